"""A small 2D task of real anatomy that needs no download: tissue maps of the MNI ICBM152 template.

The wheel of nilearn ships the brain-extracted T1 template with its grey and white matter
probabilities at 1 mm. Axial slices become pictures with masks 0 background, 1 grey matter,
2 white matter.

Training and test slices come from two slabs of the cerebrum: training from the lower one (midbrain
to ventricles), test from the upper one (ventricles' roof to convexity), 8 mm apart. Neighbouring
slices of a smooth template are nearly equal, so interleaved ones would test memory. Still, it is one
brain, and an average one: the demo shows that the parts work together; it says nothing of how a
network generalises to other people.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from ..core.errors import DataError

# Voxel indices along the third axis (mm above the lowest plane of the file), both ends included.
# Below them lies mostly the cerebellum, whose fine white matter the maps do not resolve.
_SLABS = {"train": (62, 90), "test": (98, 131)}
# The brain with a margin, in sizes that can be halved five times: 160 x 192 of 197 x 233 voxels.
_CROP = (slice(18, 178), slice(22, 214))
_PALETTE = (0, 0, 0, 86, 180, 233, 230, 159, 0)


@dataclass(frozen=True)
class DemoData:
    """Where the demo's files are: `training` holds images/ and masks/, as `stampseg train` reads.

    Images without a mask are slices to learn from without labels.
    """

    training: Path
    test_images: Path
    test_masks: Path


def make_demo_data(
    folder: Path, training_slices: int = 8, test_slices: int = 12, unlabelled: bool = True
) -> DemoData:
    """Write the demo's pictures: 8-bit PNG, 192 rows x 160 columns of 1 mm, anterior side up.

    The other slices of the training slab become pictures without masks.

    Args:
        folder: Is created; slices of an earlier call are replaced.
        training_slices: 1 to 29, evenly spaced over the training slab.
        test_slices: 1 to 34, evenly spaced over the test slab.
        unlabelled: False: without those.

    Raises:
        DataError: nilearn or its template is missing, or a number is out of range.
    """
    counts = {"train": training_slices, "test": test_slices}
    slices = {part: _spread(_SLABS[part], count) for part, count in counts.items()}
    t1, grey, white = (_read_map(name) for name in ("t1", "gm", "wm"))
    mask = tissue_mask(grey, white)
    for part, indices in slices.items():
        images, masks = folder / part / "images", folder / part / "masks"
        for place in (images, masks):
            place.mkdir(parents=True, exist_ok=True)
            for index in _slices(part):
                (place / _name(index)).unlink(missing_ok=True)
        for index in _slices(part) if unlabelled and part == "train" else indices:
            Image.fromarray(_picture(t1, index)).save(images / _name(index))
        for index in indices:
            label = Image.fromarray(_picture(mask, index))
            label.putpalette(_PALETTE)  # the values stay 0, 1, 2; viewers show them in colour
            label.save(masks / _name(index))
    return DemoData(folder / "train", folder / "test" / "images", folder / "test" / "masks")


def tissue_mask(grey: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Classes (uint8, same shape) where a tissue's probability, stored as 0 to 255, is above one half."""
    return np.where(white > 127, 2, np.where(grey > 127, 1, 0)).astype(np.uint8)


def _name(index: int) -> str:
    return f"slice_{index:03d}.png"


def _slices(part: str) -> range:
    """All of a slab."""
    low, high = _SLABS[part]
    return range(low, high + 1)


def _spread(slab: tuple[int, int], count: int) -> list[int]:
    """`count` different indices over the slab, its ends included."""
    low, high = slab
    if not 1 <= count <= high - low + 1:
        raise DataError(
            f"{count} demo slices from a slab of {high - low + 1}; expected 1 to {high - low + 1}, "
            "ask for another number of slices"
        )
    return [int(i) for i in np.linspace(low, high, count).round()] if count > 1 else [(low + high) // 2]


def _read_map(name: str) -> np.ndarray:
    path = _template_folder() / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    if not path.is_file():
        raise DataError(
            f"{path}: not in this version of nilearn, which the demo takes its pictures from; "
            'install the tested one with pip install "nilearn==0.14.1"'
        )
    # uint8 with no scaling in the header: the stored integers are the values, 255 is probability 1.
    return np.asarray(nibabel.nifti1.load(path).dataobj)


def _template_folder() -> Path:
    # Found, not imported: importing nilearn would load scikit-learn and pandas for three files.
    spec = importlib.util.find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "the package nilearn, which holds the demo's pictures, is not installed; install it "
            'with pip install "stampseg[demo]"'
        )
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data"


def _picture(volume: np.ndarray, index: int) -> np.ndarray:
    """One axial slice of an RAS+ volume, cropped, rows from anterior to posterior."""
    return np.ascontiguousarray(volume[(*_CROP, index)].T[::-1])
