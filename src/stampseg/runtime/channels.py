"""Images to segment with channels that have names, in the order in which a model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.run_folder import run_folder_of
from ..data.cases import Case, find_inputs, in_named_order


def inputs_of(model: Path, paths: Sequence[Path], channels: int) -> list[Case]:
    """As `find_inputs`; channels that a CSV names are those that the run of the model names.

    Args:
        model: a file or run folder.
        paths: as of `find_inputs`.
        channels: that the model reads.

    Raises:
        DataError: as `find_inputs`, or the run names other channels.
    """
    cases = find_inputs(paths, channels)
    if not any(case.channels for case in cases):
        return cases
    from ..data.fingerprint import FINGERPRINT  # only here: it takes long to import

    run = run_folder_of(model)
    if not (run / FINGERPRINT.name).is_file():
        return cases
    names = FINGERPRINT.read(run).channel_names
    return [
        in_named_order(case, names, case.images[0], run) if case.channels and names else case
        for case in cases
    ]
