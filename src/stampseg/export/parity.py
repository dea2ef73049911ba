"""Whether an exported file does what the network does: whole predictions of real cases, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..data.cases import Case
from ..data.inverse import Restorer
from ..data.io.readers import read_image
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
    """

    cases: int
    largest_difference: float
    label_share: float
    dice: float
    dice_network: float | None
    dice_exported: float | None
    tolerance: float

    def to_json(self) -> dict[str, Any]:
        """As it stands in the exported file."""
        return asdict(self)

    def failures(self, precision: Precision) -> list[str]:
        """What exceeds the tolerance, in words; empty if nothing does.

        f32: one minus the Dice between the two exceeds it, the share of differing voxels a tenth of it,
        or a difference of class scores ten times it. bf16: one minus the Dice between the two does.
        int8: the fall of Dice against the labels does; without labels, one minus the Dice between them.
        """
        if not np.isfinite(self.largest_difference):
            return ["its scores are not all finite numbers"]
        faults, most = [], self.tolerance
        if precision == "int8" and self.dice_network is not None and self.dice_exported is not None:
            if self.dice_network - self.dice_exported > most:
                faults.append(
                    f"Dice falls from {self.dice_network:.4f} to {self.dice_exported:.4f}, "
                    f"by more than {most:g}"
                )
        elif 1 - self.dice > most:
            faults.append(f"Dice between the two is {self.dice:.4f}; expected at least {1 - most:g}")
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
    differing, voxels, largest = 0, 0, 0.0
    between: list[float] = []
    against: list[tuple[float, float]] = []
    for case in cases:
        image = read_image(case.images, plan.in_channels)
        prepared = prepare(image, plan)
        ours, theirs, off = _side_by_side(prepared, plan, network, exported)
        largest = max(largest, off)
        differing, voxels = differing + int((ours != theirs).sum()), voxels + ours.size
        between.append(_agreement(theirs, ours, plan))
        if case.label_files is not None:
            label = reference_of(case, image.header, plan)
            known = label != plan.unknown_class
            if (label[known] > 0).any():
                dice = [_mean_dice(found[known], label[known], plan) for found in (ours, theirs)]
                against.append((dice[0], dice[1]))
    means = [float(np.mean(column)) for column in zip(*against, strict=True)]
    return Parity(
        cases=len(cases),
        largest_difference=largest,
        label_share=differing / max(voxels, 1),
        dice=float(np.mean(between)),
        dice_network=means[0] if means else None,
        dice_exported=means[1] if means else None,
        tolerance=tolerance,
    )


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


def _agreement(first: np.ndarray, second: np.ndarray, plan: Plan) -> float:
    """Mean over the structures."""
    pairs = ((np.isin(first, of), np.isin(second, of)) for _, of in plan.structures)
    return float(np.mean([mask_agreement(*pair) for pair in pairs]))


def _mean_dice(predicted: np.ndarray, reference: np.ndarray, plan: Plan) -> float:
    """Over the structures that the reference holds, at least one."""
    pairs = ((np.isin(predicted, of), np.isin(reference, of)) for _, of in plan.structures)
    return float(np.nanmean([dice_score(*pair) for pair in pairs]))
