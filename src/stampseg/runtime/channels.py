"""Images to segment with channels that have names, in the order in which a model reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.errors import DataError
from ..core.run_folder import FINGERPRINT_FILE, run_folder_of
from ..core.text import some
from ..data.cases import Case, in_named_order
from ..data.inputs import find_inputs
from ..data.plan import Plan


def inputs_of(
    model: Path, inputs: Sequence[Path | Case], plan: Plan, tell: Callable[[str], None]
) -> list[Case]:
    """As `find_inputs`; channels that a CSV or files name are those that the model names.

    Args:
        model: a file or run folder.
        inputs: as of `find_inputs`, or cases that it gave, which are taken as they are.
        plan: of the model.
        tell: is told of files that are left out.

    Raises:
        DataError: as `find_inputs`; the model names other channels, or several and does not say their order.
    """
    names = plan.channel_names or _of_run(model)
    found = [each for each in inputs if isinstance(each, Case)]
    paths = [each for each in inputs if not isinstance(each, Case)]
    cases = [*found, *(find_inputs(paths, plan.in_channels, names, tell) if paths or not found else ())]
    named = next((case for case in cases if case.channels), None)
    if named is None:
        return cases
    if not names and plan.in_channels > 1:
        called = some(named.channels, 9)
        raise DataError(
            f"{named.images[0]}: its channels are called {called}, and {model} does not "
            "say which it reads first; name the run folder in its place, or put the channels into one folder "
            "as NAME_0000, NAME_0001 in the order of the training"
        )
    return [
        in_named_order(case, names, case.images[0], model) if case.channels and names else case
        for case in cases
    ]


def _of_run(model: Path) -> tuple[str, ...]:
    """As the run of a model of before names them, whose plan does not."""
    try:
        found = json.loads((run_folder_of(model) / FINGERPRINT_FILE).read_text(encoding="utf-8"))
        return tuple(map(str, found["channel_names"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ()
