"""Which masks were taken as the predictions and which as the reference, and whether they look swapped."""

from __future__ import annotations

from pathlib import Path

from ..core.run_folder import is_run_folder
from ..data.io.formats import list_labels
from ..data.io.probabilities import PROBABILITIES
from ..data.io.readers import UNCERTAINTY
from ..data.layouts.layout import DRAFTS, SUGGESTED
from ..data.layouts.pairing import name_of

DEPTH = 3  # folders above the masks in which a run folder is looked for


def sides_text(predictions: Path, reference: Path) -> str:
    """Which is which, in a line."""
    return f"predictions: {predictions}; reference: {reference}"


def odd_sides(predictions: Path, reference: Path) -> list[str]:
    """A warning where both are the same, or where the reference was predicted and the predictions were not.

    Masks of `predict` are told from drawn ones by what lies beside them, so that this is not always known.
    """
    if predictions.resolve() == reference.resolve():
        return [
            f"{reference}: is given as the predictions and as the reference, which says nothing of either"
        ]
    sign = predicted_sign(reference)
    if sign is None or predicted_sign(predictions) is not None:
        return []
    return [
        f"{reference} is taken as the reference, and looks like predictions ({sign}): the predictions come "
        f"first and the reference masks after them; if they are swapped, say `stampseg evaluate {reference} "
        f"{predictions}`"
    ]


def predicted_sign(place: Path) -> str | None:
    """What tells that masks were written by `predict`, `suggest` or a run; None where nothing does."""
    place = place.absolute()
    folder = place if place.is_dir() else place.parent
    stems = {name_of(path) for path in list_labels(folder)}
    for ending in (UNCERTAINTY, PROBABILITIES):
        held = sorted(stem for stem in stems if stem.endswith(ending) and stem.removesuffix(ending) in stems)
        if held:
            return f"{held[0]} lies in it"
    if folder.name == DRAFTS and (folder.parent / SUGGESTED).is_file():
        return f"they are drafts of {folder.parent / SUGGESTED}"
    for above in (folder, *folder.parents[:DEPTH]):
        if is_run_folder(above):
            return f"they lie in the run folder {above}"
    return None
