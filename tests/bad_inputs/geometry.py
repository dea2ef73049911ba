"""Headers whose voxels lie in odd places, or in none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from .bench import AFFINE, SHAPE, Bench, nifti, scan
from .entry import Refused, Same, Works, bad
from .volumes import Commands, patched, spoil

NOWHERE = r"v0\.nii\.gz: the header's affine .* does not place voxels in space; .* correct the header"


def _placed(affine: np.ndarray) -> Callable[[Path], object]:
    return lambda path: nifti(path, scan(0, SHAPE)[0], affine)


def _both(bench: Bench, affine: np.ndarray) -> Commands:
    """Image and label on another grid."""
    data = bench.copy(3)
    for part, array in zip(("images", "labels"), scan(0, SHAPE), strict=True):
        nifti(data / part / "v0.nii.gz", array, affine)
    return bench.use(data) + bench.predict(data / "images" / "v0.nii.gz")


def turned(degrees: float, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    one, other = axes
    turn, angle = np.eye(4), np.deg2rad(degrees)
    turn[one, one] = turn[other, other] = np.cos(angle)
    turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
    return turn @ AFFINE


@bad("geometry: jitter of 1e-5 in the image's affine", Same())
def jitter(bench: Bench) -> Commands:
    noise = np.vstack([np.random.default_rng(0).uniform(-1e-5, 1e-5, (3, 4)), np.zeros(4)])
    return spoil(bench, _placed(AFFINE + noise))


@bad("geometry: jitter of 1e-5 in the label's affine", Same())
def label_jitter(bench: Bench) -> Commands:
    noise = np.vstack([np.random.default_rng(0).uniform(-1e-5, 1e-5, (3, 4)), np.zeros(4)])
    return spoil(bench, lambda path: nifti(path, scan(0, SHAPE)[1], AFFINE + noise), part="labels")


@bad("geometry: oblique by 20 degrees", Same())
def oblique(bench: Bench) -> Commands:
    return _both(bench, turned(20))


@bad(
    "geometry: image and label turned against each other",
    Refused(3, r"v0\.nii\.gz: the label's affine puts it"),
)
def turned_apart(bench: Bench) -> Commands:
    return spoil(bench, lambda path: nifti(path, scan(0, SHAPE)[1], turned(20)), part="labels")


@bad(
    "geometry: the label mirrored by its affine",
    Refused(3, r"v0\.nii\.gz: the label's affine puts it .* together"),
)
def mirrored(bench: Bench) -> Commands:
    affine = AFFINE @ np.diag([-1.0, 1, 1, 1])
    return spoil(bench, lambda path: nifti(path, scan(0, SHAPE)[1], affine), part="labels")


@bad("geometry: sheared", Works())
def sheared(bench: Bench) -> Commands:
    affine = AFFINE.copy()
    affine[0, 1] = 0.3
    return _both(bench, affine)


@bad("geometry: stored along other axes", Same())
def reoriented(bench: Bench) -> Commands:
    data = bench.copy(3)
    for part, array in zip(("images", "labels"), scan(0, SHAPE), strict=True):
        image = nib.as_closest_canonical(nib.Nifti1Image(array, AFFINE))
        image.to_filename(data / part / "v0.nii.gz")
    return bench.use(data)


@bad("geometry: sform and qform disagree, the sform counts", Same())
def disagreement(bench: Bench) -> Commands:
    def change(path: Path) -> None:
        image = nib.Nifti1Image(scan(0, SHAPE)[0], AFFINE)
        image.set_sform(AFFINE, code=1)
        image.set_qform(np.diag([3.0, 3, 3, 1]), code=1)
        image.to_filename(path)

    return spoil(bench, change)


@bad("geometry: neither sform nor qform", Works())
def formless(bench: Bench) -> Commands:
    def write(path: Path, array: np.ndarray) -> None:
        image = nib.Nifti1Image(array, None)
        image.header.set_zooms((1, 1, 1.5))
        image.to_filename(path)

    data = bench.copy(3)
    for part, array in zip(("images", "labels"), scan(0, SHAPE), strict=True):
        write(data / part / "v0.nii.gz", array)
    return bench.use(data) + bench.predict(data / "images" / "v0.nii.gz")


@bad("geometry: singular sform", Refused(3, NOWHERE))
def singular(bench: Bench) -> Commands:
    return spoil(bench, patched(280, "<12f", *[1.0, 0, 0, 0] * 3))


@bad("geometry: sform of NaN", Refused(3, NOWHERE))
def nan_form(bench: Bench) -> Commands:
    return spoil(bench, patched(280, "<f", np.nan))


@bad("geometry: voxels of size 0", Refused(3, r"v0\.nii\.gz: "))
def zero_spacing(bench: Bench) -> Commands:
    def change(path: Path) -> None:
        patched(252, "<hh", 0, 0)(path)  # no form, so that the voxel size counts
        patched(80, "<3f", 0, 0, 0)(path)

    return spoil(bench, change)


@bad("geometry: voxels of size NaN", Refused(3, r"v0\.nii\.gz: "))
def nan_spacing(bench: Bench) -> Commands:
    def change(path: Path) -> None:
        patched(252, "<hh", 0, 0)(path)
        patched(80, "<3f", np.nan, np.nan, np.nan)(path)

    return spoil(bench, change)


@bad("geometry: voxels of a thousand kilometres", Refused(3, r"v0\.nii\.gz: .*voxel"))
def giant(bench: Bench) -> Commands:
    path = nifti(bench.folder / "v0.nii.gz", scan(0, SHAPE)[0], np.diag([1e6, 1e6, 1e6, 1]))
    return bench.predict(path)


@bad("geometry: voxels of a nanometre", Refused(3, r"v0\.nii\.gz: "))
def dwarf(bench: Bench) -> Commands:
    path = nifti(bench.folder / "v0.nii.gz", scan(0, SHAPE)[0], np.diag([1e-6, 1e-6, 1e-6, 1]))
    return bench.predict(path)


@bad("geometry: an origin far away", Same())
def far(bench: Bench) -> Commands:
    affine = AFFINE.copy()
    affine[:3, 3] = 1e5
    return _both(bench, affine)


@bad(
    "geometry: label of another shape", Refused(3, r"v0\.nii\.gz: label of shape 12 x 14 x 9, but its image")
)
def other_shape(bench: Bench) -> Commands:
    return spoil(bench, lambda path: nifti(path, scan(0, SHAPE)[1][..., :9]), part="labels")


@bad(
    "geometry: label with two axes exchanged",
    Refused(3, r"v0\.nii\.gz: label of shape 14 x 12 x 10, but its"),
)
def exchanged(bench: Bench) -> Commands:
    return spoil(bench, lambda path: nifti(path, scan(0, SHAPE)[1].swapaxes(0, 1)), part="labels")
