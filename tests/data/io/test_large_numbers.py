"""Large numbers in labels are numbers, and colours are colours."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.io.colours import COLOUR
from stampseg.data.io.readers import check_storable, read_label, write_label

RED = COLOUR | 0xFF0000


def image(folder: Path, name: str = "i.tif") -> Path:
    Image.fromarray(np.zeros((1, 4), np.uint8)).save(folder / name)
    return folder / name


@pytest.mark.parametrize("large", [2**24, 20_000_000, 2**25, 2**32 - 1])
@pytest.mark.parametrize("other", [0, 300])
def test_numbers_are_written_as_numbers(large: int, other: int, tmp_path: Path) -> None:
    labels = np.array([[0, other, large, large]], np.uint32)
    written = write_label(tmp_path / "m", labels, image(tmp_path))
    np.testing.assert_array_equal(tifffile.imread(written), labels)
    np.testing.assert_array_equal(read_label(written).array, labels)


def test_a_number_is_no_colour_of_a_png(tmp_path: Path) -> None:
    labels = np.array([[0, 0, 20_000_000, 1]], np.uint32)
    with pytest.raises(DataError, match=r"i\.png: .* which hold labels to 65535, and not 20000000; number"):
        write_label(tmp_path / "m", labels, image(tmp_path, "i.png"))


def test_colours_beside_large_numbers_are_refused(tmp_path: Path) -> None:
    """The number would be written as the grey of its last eight bits."""
    with pytest.raises(DataError, match=r"m\.tif: labels hold colours and the number 300; expected numbers"):
        write_label(tmp_path / "m", np.array([[0, 300, RED, 0]]), image(tmp_path))


def test_colours_are_refused_where_masks_hold_none(tmp_path: Path) -> None:
    nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_filename(tmp_path / "i.nii")
    with pytest.raises(DataError, match=r"i\.nii: its masks are NIfTI files, .* and not colours; number"):
        check_storable([tmp_path / "i.nii"], RED)
    check_storable([image(tmp_path)], RED)
