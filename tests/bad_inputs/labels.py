"""Labels of odd types and values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .bench import SHAPE, Bench, nifti, scan
from .entry import Refused, Same, Works, bad
from .volumes import Commands, spoil

CLASSES = scan(0, SHAPE)[1]


def _label(bench: Bench, array: np.ndarray) -> Commands:
    return spoil(bench, lambda path: nifti(path, array), part="labels")


def _enter_types() -> None:
    for kind in ("int16", "int32", "uint32", "float32", "float64", "uint16", "int8"):

        def make(bench: Bench, kind: str = kind) -> Commands:
            return _label(bench, CLASSES.astype(kind))[: 2 if kind == "float32" else 1]

        bad(f"label: {kind} of whole numbers", Same())(make)


_enter_types()


@bad("label: int64", Same())
def int64(bench: Bench) -> Commands:
    import nibabel as nib

    from .bench import AFFINE

    image = nib.Nifti1Image(CLASSES.astype(np.int64), AFFINE, dtype=np.int64)
    return spoil(bench, image.to_filename, part="labels")


@bad("label: whole numbers but for 1e-6", Same())
def almost_whole(bench: Bench) -> Commands:
    return _label(bench, CLASSES.astype(np.float32) + np.float32(1e-6))


def _every(bench: Bench, change: Callable[[np.ndarray, int], np.ndarray]) -> Path:
    data = bench.copy(3)
    for number in range(3):
        nifti(data / "labels" / f"v{number}.nii.gz", change(scan(number, SHAPE)[1], number))
    return data


WRONG = {
    "probabilities": (
        CLASSES * 0.4,
        r"v0\.nii\.gz: label values such as 0\.[48] are not whole numbers; .* thresh",
    ),
    "NaN in it": (
        np.where(CLASSES == 2, np.nan, CLASSES).astype(np.float32),
        r"v0\.nii\.gz: label values such as nan are not whole numbers",
    ),
    "infinity in it": (
        np.where(CLASSES == 2, np.inf, CLASSES).astype(np.float32),
        r"v0\.nii\.gz: label values such as inf are not whole numbers",
    ),
    "negative values": (
        CLASSES.astype(np.int16) * -1,
        r"v0\.nii\.gz: label value -\d; expected 0 or above; correct",
    ),
    "four axes": (
        np.stack([CLASSES, CLASSES], axis=3),
        r"v0\.nii\.gz: label of shape \(12, 14, 10, 2\); expected three axes, one class per voxel; merge",
    ),
    "complex values": (
        CLASSES.astype(np.complex64),
        r"v0\.nii\.gz: label values of type complex64; expected whole",
    ),
    "an image in the label's place": (
        np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.int16),
        r"v0\.nii\.gz: more than 64 label values, such as .* export it again",
    ),
    "values near 2 to the 31": (
        np.random.default_rng(0).integers(2**31 - 4000, 2**31 - 1, SHAPE).astype(np.int32),
        r"v0\.nii\.gz: more than 64 label values",
    ),
}


def _enter_wrong(name: str, array: np.ndarray, pattern: str) -> None:
    @bad(f"label: {name}", Refused(3, pattern))
    def make(bench: Bench) -> Commands:
        return _label(bench, array)


for _name, (_array, _pattern) in WRONG.items():
    _enter_wrong(_name, _array, _pattern)


@bad("label: 255 for the only class", Works())
def white(bench: Bench) -> Commands:
    return bench.use(_every(bench, lambda classes, _: (classes > 0).astype(np.uint8) * 255))


@bad("label: a class is missing in every case", Works("declared labels in none of these cases: tumour"))
def absent_everywhere(bench: Bench) -> Commands:
    data = _every(bench, lambda classes, _: np.minimum(classes, 1))
    (data / "dataset.json").write_text('{"labels": {"0": "background", "1": "organ", "2": "tumour"}}')
    return bench.use(data)[:1]


@bad("label: a class is missing in some cases", Works())
def absent_somewhere(bench: Bench) -> Commands:
    return bench.use(_every(bench, lambda classes, number: np.minimum(classes, 1) if number else classes))


@bad("label: one mask is empty", Works())
def one_empty(bench: Bench) -> Commands:
    return bench.use(_every(bench, lambda classes, number: classes * (number > 0)))


@bad(
    "label: all masks are empty",
    Refused(3, r"the only value in 3 label\(s\) is 0; expected background and a class"),
)
def all_empty(bench: Bench) -> Commands:
    return bench.use(_every(bench, lambda classes, _: classes * 0))


@bad(
    "label: all masks are full",
    Refused(3, r"the only value in 3 label\(s\) is 1; expected background and a class"),
)
def all_full(bench: Bench) -> Commands:
    return bench.use(_every(bench, lambda classes, _: classes * 0 + 1))


@bad("label: a gap in the numbers", Works())
def gap(bench: Bench) -> Commands:
    return bench.use(_every(bench, lambda classes, _: classes * 7))


@bad("label: 255 beside small numbers", Works("value 255 beside 1, 2 in .* say --ignore-label 255"))
def void(bench: Bench) -> Commands:
    def change(classes: np.ndarray, _: int) -> np.ndarray:
        changed = classes.astype(np.uint8)
        changed[:2] = 255
        return changed

    return bench.use(_every(bench, change))[:1]


@bad(
    "label: numbered one higher in one file", Works(r"1 label\(s\) hold 1, 2, 3 and no 0, the others 0, 1, 2")
)
def numbered_higher(bench: Bench) -> Commands:
    return bench.use(_every(bench, lambda classes, number: classes + (number == 2)))[:1]
