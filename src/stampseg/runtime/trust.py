"""What is said of a mask's trustworthiness: expected Dice of every label, and what is unusual about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import ConfigError, StampsegError, one_line
from ..core.text import counted, some
from ..data.calibration import LEVEL, MEASURE
from ..data.cases import Case
from ..data.io.formats import stem_of
from ..data.io.readers import UNCERTAINTY
from ..data.io.volume import Header
from ..data.labels.regions import in_classes
from ..data.labels.shapes import ABSURD, unusual
from ..data.plan import Plan
from .confidence import Confident

STRAY = 0.5  # of a label's voxels in pieces left out: more is unusual


class UntrustedError(StampsegError):
    """Masks of which too little is to be expected, where a least Dice was asked for."""

    exit_code = 4


@dataclass(frozen=True)
class LabelTrust:
    """Of one label of one mask.

    Attributes:
        certainty: 0 to 1; None where the label is in neither the mask nor the turned views'.
        expected: Dice, and the ends of its interval, 0 and 1 where people are too few for one; None where the
            label is not found, or the model has no calibration for it.
        missing: nothing of it was found, and every training case has it.
        found: whether the mask holds it.
        right: where it is not found: the share of such masks of other people that were right, if it is known.
        absent: share of the training cases that lack it.
        has_interval: whether people were enough for one.
    """

    name: str
    certainty: float | None
    expected: tuple[float, float, float] | None
    missing: bool = False
    found: bool = True
    right: float | None = None
    absent: float = 0.0
    has_interval: bool = True

    @property
    def figure(self) -> float | None:
        """What masks are sorted by; None where nothing was found and nothing is known of such masks."""
        if self.missing:
            return 0.0
        if not self.found:
            return self.right
        return self.certainty if self.expected is None else self.expected[0]

    @property
    def words(self) -> str:
        """`0.91 (0.84 to 0.96)`, `0.91`, `certainty 0.93`, `not found`, `nothing found`."""
        if not self.found:
            return "not found" if self.missing else "nothing found"
        if self.expected is None:
            return f"certainty {self.certainty:.2f}"
        return ("{:.2f} ({:.2f} to {:.2f})" if self.has_interval else "{:.2f}").format(*self.expected)


@dataclass(frozen=True)
class Trust:
    """Of one mask.

    Attributes:
        labels: all but the background.
        flags: what is unusual about the image or the mask, a few words each.
        unlike: those of them that say in what the image is unlike the training scans: what Dice is to be
            expected was learnt on scans that are like them, and does not hold of it.
    """

    labels: tuple[LabelTrust, ...]
    flags: tuple[str, ...]
    unlike: tuple[str, ...] = ()

    @property
    def worst(self) -> tuple[float, LabelTrust] | None:
        """The least that is to be expected, and its label; None where nothing was found and is known."""
        figures = [(label.figure, label) for label in self.labels if label.figure is not None]
        return min(figures, key=lambda one: one[0], default=None)

    @property
    def lowest(self) -> float:
        """What masks are sorted by: the least that is to be expected.

        Where no more is known of a mask of nothing, it is the share of the training cases that lack the label
        that most of them have.
        """
        worst = self.worst
        return worst[0] if worst else min((label.absent for label in self.labels), default=0.0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found, and some training cases lack it as well."""
        return not any(label.found or label.missing for label in self.labels)

    def flags_of(self, label: LabelTrust) -> list[str]:
        """Those of the image, and of this label."""
        names = sorted((each.name for each in self.labels), key=len, reverse=True)
        owners = {
            flag: next((name for name in names if flag.startswith(f"{name}: ")), None) for flag in self.flags
        }
        return [flag for flag, owner in owners.items() if owner in (None, label.name)]

    def words(self) -> str:
        """For the line of a mask: `expected Dice 0.91 (0.84 to 0.96)`."""
        if self.is_empty:
            return "nothing found"
        told = [label for label in self.labels if label.found or label.missing]
        texts = [
            label.words if len(self.labels) == 1 else f"{one_line(label.name)} {label.words}"
            for label in told
        ]
        lacking = [one_line(label.name) for label in self.labels if label not in told]
        dice = any(label.found and label.expected is not None for label in told)
        if_like = " if it were like the training scans" if dice and self.unlike else ""
        nothing = f"; nothing found of {some(lacking)}" if lacking else ""
        return f"{'expected Dice ' if dice else ''}{', '.join(texts)}{if_like}{nothing}"


@dataclass(frozen=True)
class Assessed:
    """A mask that was written: its image, the map of uncertainty beside it, its trust."""

    image: Path
    mask: Path
    uncertainty: Path
    trust: Trust


def trust_of(found: Confident, plan: Plan, header: Header, remarks: Sequence[str]) -> Trust:
    """What is known of a mask.

    Args:
        found: the mask with its confidence.
        plan: with the calibration, and the shapes of the training labels, if there are any.
        header: of the image.
        remarks: in what the image is unlike the training scans.
    """
    known = plan.scans.labels if plan.scans is not None else ()
    flags = list(remarks)
    if plan.scans is not None and known:
        picture, cases = header.is_picture, plan.scans.cases
        flags += unusual(found.mask, known, plan.label_names, header.spacing, picture=picture, cases=cases)
    if found.stray > STRAY:
        pieces = counted(found.dropped, "stray piece")
        flags.append(f"{pieces} left out, {found.stray:.0%} of what was found of a label")
    held = [bool(in_classes(found.mask, classes).any()) for _, classes in plan.structures]
    labels = tuple(
        label_trust(plan, number, certainty, held[number - 1])
        for number, certainty in enumerate(found.certainty[1:], 1)
    )
    return Trust(labels, tuple(flags), tuple(remarks))


def label_trust(plan: Plan, number: int, certainty: float | None, is_found: bool) -> LabelTrust:
    """What is known of one label of a mask.

    Args:
        plan: as of `trust_of`.
        number: of the structure in the plan, from 1 on.
        certainty: 0 to 1; None where neither the mask nor the turned views' have the label.
        is_found: whether the mask holds it.
    """
    name, classes = plan.structures[number - 1]
    calibration = plan.calibration.labels[number] if plan.calibration is not None else None
    known = plan.scans.labels if plan.scans is not None else ()
    shapes = [shape for value in classes if known and (shape := known[value]) is not None]
    holding, cases = max((shape.cases for shape in shapes), default=0), plan.scans.cases if plan.scans else 0
    expected, right = None, None
    missing = not is_found and bool(shapes) and holding == cases
    if is_found:
        certainty = certainty or 0.0  # of a speck that the scan's own grid alone shows
        expected = None if calibration is None else calibration.expected(certainty)
    elif missing:
        expected = None if calibration is None else (0.0, 0.0, 0.0)
    elif calibration is not None:
        right = calibration.right_if_empty
    absent = 1 - holding / cases if known and cases else 0.0
    has_interval = calibration is None or calibration.has_interval
    return LabelTrust(name, certainty, expected, missing, is_found, right, absent, has_interval)


def absurdities(mask: np.ndarray, plan: Plan, header: Header) -> list[str]:
    """In what a mask (*S of classes) is far from all training labels, a few words each.

    It takes a small part of the time that a mask takes, and so is said of each, with confidence or without.
    """
    scans = plan.scans
    if scans is None or not scans.labels:
        return []
    with suppress(ModuleNotFoundError):  # SciPy: masks are made without it, if the plan needs it for nothing
        return unusual(
            mask, scans.labels, plan.label_names, header.spacing, picture=header.is_picture,
            cases=scans.cases or math.inf, bounds=ABSURD, single=plan.one_piece,
        )  # fmt: skip
    return []


def check_calibrated(plan: Plan, least: float | None) -> None:
    """Refuse to hold masks to a least Dice where none can be expected of them.

    Raises:
        ConfigError: the model has no calibration.
    """
    if least is None:
        return
    if plan.calibration is None or not plan.is_calibrated:
        raise ConfigError(f"`fail_below` {least:g}: {_why_unknown(plan)}; or leave it out")
    of = zip(plan.structures, plan.calibration.labels[1:], strict=True)
    unknown = [name for (name, _), calibration in of if calibration is None]
    if unknown:
        raise ConfigError(
            f"`fail_below` {least:g}: of {some(unknown)} the model does not know its Dice on people it has "
            "not seen, as it found it in fewer than five of them, or with all pieces; leave it out"
        )


def source_of(plan: Plan) -> str:
    """On whom the expected Dice rests, and how often a label was found in vain or missed, in a sentence."""
    calibration = plan.calibration
    named = zip(plan.structures, calibration.labels[1:], strict=True) if calibration is not None else ()
    labels = [(one_line(name), of) for (name, _), of in named if of is not None]
    if calibration is None or not labels:
        return f"certainty ranks these masks and is no Dice: {_why_unknown(plan)}"
    people = min(of.people for _, of in labels)
    kind = (
        "of the folds" if calibration.source == "folds" else "who validated, and by whom the model was chosen"
    )
    few = [name for name, of in labels if not of.has_interval]
    if len(few) == len(labels):
        told = f"expected Dice, by {people} people {kind}: too few for an interval of {LEVEL:.0%}"
    else:
        without = f" (but of {some(few, 3)}: too few people)" if few else ""
        told = f"expected Dice, with intervals of {LEVEL:.0%}{without}, by {people} people {kind}"
    wrong = [
        f"{name} was not where it was found (a false alarm, or in the wrong place) in {of.vain} of "
        f"{counted(of.found, 'mask')} with it"
        + (f", and missed in {of.missed} of {of.empty} without" if of.empty else "")
        for name, of in labels
        if of.vain or of.missed
    ]
    return "; ".join([told, *([f"of theirs, {some(wrong, 3)}"] if wrong else [])])


def _why_unknown(plan: Plan) -> str:
    """Why no Dice can be expected of any label, and what to do."""
    if plan.calibration is not None and plan.calibration.measure != MEASURE:
        return "what the model knows of its Dice was measured by another version of stampseg (train it anew)"
    return (
        "the model was not held against people it had not seen, or found the label in fewer than five of "
        "them (train with folds, or with five or more people who validate)"
    )


def uncertainty_of(mask: Path, case: Case) -> Path:
    """The map beside a mask: `scan.nii.gz` -> `scan_uncertainty.nii.gz`."""
    name = case.mask_name
    stem = stem_of(Path(name))
    return mask.with_name(f"{stem}{UNCERTAINTY}{name[len(stem) :]}")


def refuse_untrusted(rows: Sequence[Assessed], least: float | None) -> None:
    """Raise where the expected Dice of masks is below what was asked for, or holds of no such image.

    Raises:
        UntrustedError: naming the lowest, else the first of an image unlike the training scans.
    """
    if least is None:
        return
    worst = [(row.trust.worst, row) for row in rows]
    below = [(*lowest, row) for lowest, row in worst if lowest and lowest[0] < least]
    others = [row for low, row in worst if row.trust.unlike and not (low and low[0] < least)]
    if not below and not others:
        return
    strange = f" ({len(others)} of images unlike the training scans)" if below and others else ""
    failed = (
        f"{counted(len(below) + len(others), 'mask')} of {len(rows)}{strange}; look at them; all are written"
    )
    if not below:
        first = others[0]
        raise UntrustedError(
            f"{first.mask}: its image is unlike the training scans ({first.trust.unlike[0]}), so that the "
            f"{least:g} of `fail_below` cannot be promised of its mask; as of {failed}"
        )
    lowest, label, row = min(below, key=lambda one: (one[0], one[2].mask))
    what = f"an expected Dice of {lowest:.2f}"
    if label.right is not None:
        what = f"nothing found of {one_line(label.name)}, which was right in {lowest:.0%} of such masks"
    raise UntrustedError(f"{row.mask}: {what}, below the {least:g} of `fail_below`, as {failed}")
