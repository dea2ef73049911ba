"""Whether an exported file does what the network does: whole predictions of real cases, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..data.cases import Case
from ..data.inverse import Restorer
from ..data.io.readers import read_image
from ..data.labels.regions import in_classes
from ..data.plan import Plan
from ..data.preprocess import Prepared, prepare
from ..evaluation.metrics import dice_score, mask_agreement
from ..evaluation.predicted import reference_of
from ..runtime.details import Precision
from ..runtime.sliding import Scorer, slide, walking_axis

# Dice that may be lost. Rounding of f32 moves a voxel here and there where two classes are equal.
TOLERANCES: dict[Precision, float] = {"f32": 0.001, "bf16": 0.02, "int8": 0.01}
SHARE = 0.1  # of the tolerance: what share of the voxels may differ in f32
SCORES = 10  # times the tolerance: how far class scores may be apart in f32
STRUCTURE = 5  # times the tolerance: what one structure may lose in bf16 and int8, whatever the others do


@dataclass(frozen=True)
class Structure:
    """The network against the exported file, in one structure.

    Attributes:
        name: of the class or region.
        dice: mean over cases of the Dice between the two.
        dice_network: mean Dice of the network against the labels that hold it; None where no case's does.
        dice_exported: the same of the exported file.
    """

    name: str
    dice: float
    dice_network: float | None
    dice_exported: float | None


@dataclass(frozen=True)
class Parity:
    """The network against the exported file, over some cases.

    Attributes:
        cases: how many.
        largest_difference: of class scores on the working grid; probabilities, or logits in nnU-Net's
            convention.
        label_share: share of all voxels, on the files' own grids, whose label differs.
        dice: mean over cases and classes of the Dice between the two.
        dice_network: mean Dice of the network against the labels that a case holds; None where no case
            holds one.
        dice_exported: the same of the exported file.
        tolerance: Dice that it may lose.
        structures: the same of each structure.
        found: voxels of all structures in the network's masks; of masks of nothing the rest says nothing.
    """

    cases: int
    largest_difference: float
    label_share: float
    dice: float
    dice_network: float | None
    dice_exported: float | None
    tolerance: float
    structures: tuple[Structure, ...] = ()
    found: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in the exported file."""
        return asdict(self)

    def failures(self, precision: Precision) -> list[str]:
        """What exceeds the tolerance, in words; empty if nothing does.

        f32: one minus the Dice between the two exceeds it, the share of differing voxels a tenth of it,
        or a difference of class scores ten times it. bf16: one minus the Dice between the two does.
        int8: the fall of Dice against the labels does; without labels, one minus the Dice between them.
        In bf16 and int8 no structure may lose more than five times the tolerance, as a mean over several can
        hide that one of them is lost.
        """
        if not np.isfinite(self.largest_difference):
            return ["its scores are not all finite numbers"]
        most = self.tolerance
        fault = _fault(precision, "Dice", self, most)
        if fault is None and precision != "f32":
            lost = (
                _fault(precision, f"Dice of {one.name}", one, STRUCTURE * most) for one in self.structures
            )
            fault = next((one for one in lost if one is not None), None)
        faults = [] if fault is None else [fault]
        if precision == "f32" and self.label_share > SHARE * most:
            faults.append(f"{self.label_share:.4%} of the voxels differ; expected at most {SHARE * most:.4%}")
        if precision == "f32" and self.largest_difference > SCORES * most:
            faults.append(
                f"scores differ by up to {self.largest_difference:.2g}; expected at most {SCORES * most:g}"
            )
        return faults


def measure(cases: Sequence[Case], plan: Plan, network: Scorer, exported: Scorer, tolerance: float) -> Parity:
    """Predict every case twice, from the file to the labels on its own grid.

    Args:
        cases: images, with labels where there are.
        plan: how they are prepared.
        network: the scores of windows.
        exported: the same by the file.
        tolerance: Dice that may be lost.

    Raises:
        DataError: a file cannot be read or does not fit the plan.
    """
    differing, voxels, seen, largest = 0, 0, 0, 0.0
    between: list[list[float]] = []
    against: list[np.ndarray] = []
    for case in cases:
        image = read_image(case.images, plan.in_channels)
        prepared = prepare(image, plan)
        ours, theirs, off = _side_by_side(prepared, plan, network, exported)
        largest = max(largest, off)
        differing, voxels = differing + int((ours != theirs).sum()), voxels + ours.size
        seen += int((ours > 0).sum())
        between.append(_of_each(mask_agreement, theirs, ours, plan))
        if case.label_files is not None:
            label = reference_of(case, image.header, plan)
            known = label != plan.unknown_class
            if (label[known] > 0).any():
                both = [_of_each(dice_score, found[known], label[known], plan) for found in (ours, theirs)]
                against.append(np.array(both))
    labelled = [np.nanmean(both, axis=1) for both in against]
    ours_mean, theirs_mean = np.mean(labelled, axis=0).tolist() if labelled else (None, None)
    return Parity(
        cases=len(cases),
        largest_difference=largest,
        label_share=differing / max(voxels, 1),
        dice=float(np.mean(between)),
        dice_network=ours_mean,
        dice_exported=theirs_mean,
        tolerance=tolerance,
        structures=_structures(between, against, plan),
        found=seen,
    )


def _fault(precision: Precision, name: str, found: Parity | Structure, most: float) -> str | None:
    """What Dice is lost beyond `most`, in words."""
    before, after = found.dice_network, found.dice_exported
    if precision == "int8" and before is not None and after is not None:
        lost = before - after > most
        return f"{name} falls from {before:.4f} to {after:.4f}, by more than {most:g}" if lost else None
    if 1 - found.dice > most:
        return f"{name} between the two is {found.dice:.4f}; expected at least {1 - most:g}"
    return None


def _structures(
    between: Sequence[Sequence[float]], against: Sequence[np.ndarray], plan: Plan
) -> tuple[Structure, ...]:
    """Means over cases of each structure: of the two, and against labels (network and file, structures)."""
    structures = []
    for index, (name, _) in enumerate(plan.structures):
        dice = float(np.mean([one[index] for one in between]))
        seen = [both[:, index] for both in against if not np.isnan(both[0, index])]
        ours, theirs = np.mean(seen, axis=0).tolist() if seen else (None, None)
        structures.append(Structure(name, dice, ours, theirs))
    return tuple(structures)


def _side_by_side(
    prepared: Prepared, plan: Plan, network: Scorer, exported: Scorer
) -> tuple[np.ndarray, np.ndarray, float]:
    """Class indices (*S) on the file's own grid, twice, and the largest difference of scores."""
    axis = walking_axis(prepared.image.shape[1:], plan.patch_size)
    masks = tuple(
        Restorer(prepared.geometry, plan.out_channels, axis, regions=plan.regions) for _ in range(2)
    )
    largest = 0.0
    rows = (slide(prepared.image, plan, scorer, axis) for scorer in (network, exported))
    for ours, theirs in zip(*rows, strict=True):
        off = float(np.abs(ours - theirs).max(initial=0.0))
        largest = max(largest, off if np.isfinite(off) else float("inf"))
        for mask, scores in zip(masks, (ours, theirs), strict=True):
            mask.add(scores)
    return masks[0].mask, masks[1].mask, largest


def _of_each(
    measure: Callable[[np.ndarray, np.ndarray], float], first: np.ndarray, second: np.ndarray, plan: Plan
) -> list[float]:
    """A measure of every structure's masks."""
    return [measure(in_classes(first, of), in_classes(second, of)) for _, of in plan.structures]
