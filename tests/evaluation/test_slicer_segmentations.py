"""Segmentations of 3D Slicer, cut to a box, on either side of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from stampseg.evaluation.folders import evaluate_folder
from tests.cli.command import call

SHAPE, SPACING, ORIGIN = (12, 11, 10), (1.0, 2.0, 3.0), (10.0, 20.0, 30.0)
COSINE, SINE = np.cos(0.1), np.sin(0.1)
TURNED = (COSINE, -SINE, 0, SINE, COSINE, 0, 0, 0, 1)


def drawn() -> np.ndarray:
    classes = np.zeros(SHAPE, np.uint8)
    classes[3:8, 2:7, 4:8], classes[6:8, 2:7, 4:6] = 1, 2
    return classes


def save(
    path: Path,
    array: np.ndarray,
    first: tuple[float, float, float] = (0, 0, 0),
    spacing: tuple[float, ...] = SPACING,
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
) -> Path:
    """Voxels of which the first is voxel `first` of the image."""
    path.parent.mkdir(exist_ok=True)
    volume = sitk.GetImageFromArray(array.T.copy())
    volume.SetSpacing(spacing)
    volume.SetOrigin([o + n * size for o, n, size in zip(ORIGIN, first, SPACING, strict=True)])
    volume.SetDirection(direction)
    sitk.WriteImage(volume, str(path))
    return path


def test_a_box_of_the_same_voxels_is_put_back(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole" / "p.nrrd", drawn())
    box = save(tmp_path / "box" / "p.seg.nrrd", drawn()[3:8, 2:7, 4:8], (3, 2, 4))
    wider = save(tmp_path / "wider" / "p.seg.nrrd", drawn()[1:9, 1:, 3:9], (1, 1, 3))
    for sides in ((whole, box), (box, whole), (box, wider), (wider, box)):
        found = evaluate_folder(*sides)
        assert {row.dice for row in found.rows} == {1} and not found.warnings


@pytest.mark.parametrize(
    ("first", "spacing", "direction", "said"),
    [
        ((2.75, 1.75, 3.75), (0.5, 1.0, 1.5), (), "10 x 10 x 8 voxels of 0.5 x 1 x 1.5 mm"),
        ((3.5, 2, 4), SPACING, (), "5 x 5 x 4 voxels of 1 x 2 x 3 mm, the first at (-13.5, -24, 42)"),
        ((3, 2, 4), SPACING, TURNED, "5 x 5 x 4 voxels of 1 x 2 x 3 mm, the first at (-13, -24, 42)"),
    ],
    ids=["finer", "half a voxel", "turned"],
)  # fmt: skip
def test_voxels_of_its_own_are_refused_on_either_side(
    first: tuple[float, ...],
    spacing: tuple[float, ...],
    direction: tuple[float, ...],
    said: str,
    tmp_path: Path,
) -> None:
    """They were resampled without a word, and the figures were of masks that nobody had drawn."""
    part = drawn()[3:8, 2:7, 4:8]
    if spacing != SPACING:
        part = part.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    turn = {"direction": direction} if direction else {}
    own = save(tmp_path / "own" / "p.seg.nrrd", part, first, spacing, **turn)  # type: ignore[arg-type]
    whole = save(tmp_path / "whole" / "p.nrrd", drawn())
    box = save(tmp_path / "box" / "p.seg.nrrd", drawn()[3:8, 2:7, 4:8], (3, 2, 4))
    for sides in ((own, whole), (whole, own), (own, box), (box, own)):
        shown = " ".join(call("evaluate", *sides, code=3).output.split())
        assert said in shown and f"but its label {sides[1]} has" in shown
        assert "expected one grid, of which a Slicer segmentation may be cut to a box alone" in shown


def test_what_lies_beyond_the_other_side_is_told(tmp_path: Path) -> None:
    """A voxel or two at the border; where they are more than a few, the case is another's."""
    large = np.zeros((14, *SHAPE[1:]), np.uint8)
    large[:12], large[12, 5, 5] = drawn(), 2
    whole = save(tmp_path / "whole" / "p.nrrd", drawn())
    beyond = save(tmp_path / "large" / "p.seg.nrrd", large)
    for sides in ((beyond, whole), (whole, beyond)):
        found = evaluate_folder(*sides)
        assert {row.dice for row in found.rows} == {1}
        assert found.warnings == (f"{beyond}: left out, 1 voxel of its segments beyond its image {whole}",)
