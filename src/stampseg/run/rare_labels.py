"""Labels that most of the training masks lack."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.config import Config
from ..core.level import Level
from .survey import Survey

SELDOM = 0.5  # share of the masks
FEW = 3  # masks: a network seldom learns a label from fewer
SELDOM_FIX = (
    "right where the other scans do not show it; where it is only not drawn in them, they teach that it is "
    "not there: leave them out, or draw it"
)


NEVER_FIX = "the network learns that it is nowhere; draw it in some, or leave it out with `data.only`"


def seldom_text(name: str, count: int, masks: int) -> str:
    """That a label is missing in most masks, or in all."""
    return f"label {name} is in {count or 'none'} of {masks} masks"


def rare_labels(seen: Survey, config: Config) -> Iterator[tuple[str, Level]]:
    """A sentence for each label that most training masks lack; a warning where next to none holds it.

    Those that validate, or are held out, may hold what no training mask does.
    """
    masks = len(seen.split.training)
    others = len(seen.dataset.cases) > masks + len(seen.split.validation) + len(seen.split.test)
    redraw = "; or draw other cases with `seed`, or more with `labels`" if config.labels and others else ""
    for name, count in list(zip(seen.table.names, seen.fingerprint.class_cases, strict=False))[1:]:
        if count < SELDOM * masks:
            fix = SELDOM_FIX if count else NEVER_FIX
            said = f"{seldom_text(name, count, masks)} that train; {fix}{redraw}"
            yield said, Level.WARNING if count < FEW else Level.INFO
