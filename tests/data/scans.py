"""Small scans and their masks, made in a moment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image


def disc(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A bright ball on noise, and its mask."""
    centre = [n / 2 + rng.uniform(-2, 2) for n in shape]
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(shape), centre, strict=True)))
    mask = distance < min(shape) / 3.5
    return mask * 120 + rng.normal(60, 10, shape), mask


def write_pictures(
    folder: Path, names: Iterable[str], shape: tuple[int, int] = (40, 48), seed: int = 0
) -> Path:
    """A data set of PNG of these names, with masks of 0 and 255; further ones need another seed."""
    rng = np.random.default_rng(seed)
    for part in ("images", "masks"):
        (folder / part).mkdir(exist_ok=True)
    for name in names:
        image, mask = disc(rng, shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{name}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{name}.png")
    return folder


def write_volumes(folder: Path) -> Path:
    """Five NIfTI volumes of two classes with an oblique affine."""
    rng = np.random.default_rng(1)
    affine = np.array([[-1.0, 0.1, 0, 5], [0.1, 1.0, 0, 6], [0, 0, 1.5, 7], [0, 0, 0, 1]])
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for index in range(5):
        image, mask = disc(rng, (20, 24, 16))
        classes = mask.astype(np.uint8)
        classes[mask & (np.indices(mask.shape)[1] > 12)] = 2
        nib.Nifti1Image(image.astype(np.float32), affine).to_filename(folder / "images" / f"v{index}.nii.gz")
        nib.Nifti1Image(classes, affine).to_filename(folder / "labels" / f"v{index}.nii.gz")
    return folder
