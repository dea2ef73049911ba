"""Several cases are measured at once, as far as memory allows, and come to what one after the other does."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from stampseg.core import threads
from stampseg.data.cases import Case, find_dataset
from stampseg.data.fingerprint import AT_ONCE, fingerprint, threads_for
from stampseg.data.labels.label_table import label_table
from tests.data.scans import write_pictures, write_volumes


def case(*files: Path) -> Case:
    return Case(files[0].stem, files[0].stem, files, None)


def zeros(path: Path, values: int) -> Path:
    """An image of so many values, next to nothing on the disk."""
    nib.save(nib.Nifti1Image(np.zeros((64, 64, values // 64**2), np.uint8), np.eye(4)), path)
    return path


def test_a_large_scan_is_in_memory_alone_however_small_its_file(tmp_path: Path) -> None:
    small, half = zeros(tmp_path / "a.nii.gz", 2**14), zeros(tmp_path / "b.nii.gz", AT_ONCE // 2)
    large = tmp_path / "c.mhd"
    SimpleITK.WriteImage(SimpleITK.Image([64, 64, AT_ONCE // 64**2 + 1], SimpleITK.sitkUInt8), str(large))
    assert large.stat().st_size < 1000
    assert threads_for([case(small)]) == 4
    assert threads_for([case(small), case(half)]) == 2
    assert threads_for([case(half, half)]) == 1  # channels are in memory together
    assert threads_for([case(small), case(large)]) == 1


def test_a_series_is_read_alone_and_what_cannot_be_read_does_not_count(tmp_path: Path) -> None:
    small, broken = zeros(tmp_path / "a.nii.gz", 2**14), tmp_path / "b.nii.gz"
    broken.write_bytes(b"no volume")
    (tmp_path / "series").mkdir()
    assert threads_for([case(small), case(broken)]) == 4
    assert threads_for([case(small, small), case(tmp_path / "series")]) == 1


@pytest.mark.parametrize("write", [lambda p: write_pictures(p, "abcdefg"), write_volumes])
def test_several_threads_measure_what_one_does(
    write: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = find_dataset(write(tmp_path))  # type: ignore[operator]
    table = label_table(dataset.cases, {})
    found = []
    for count in (1, 4):
        monkeypatch.setattr(threads, "processors", lambda count=count: count)
        found.append(fingerprint(dataset.cases, table, ()))
    assert found[0] == found[1]


def test_pictures_in_grey_and_in_colour_look_like_something_together(tmp_path: Path) -> None:
    """Grey is repeated for the network, and so it is where scans are compared."""
    folder = write_pictures(tmp_path, "abcdefg")
    for name in "ceg":
        grey = np.asarray(Image.open(folder / "images" / f"{name}.png"))
        colour = np.stack([grey, grey // 2, grey // 3], axis=-1)
        Image.fromarray(colour).save(folder / "images" / f"{name}.png")
    dataset = find_dataset(folder)
    found = fingerprint(dataset.cases, label_table(dataset.cases, {}), ())
    assert found.in_channels == 3 and found.appearance is not None
    assert len(found.appearance.cells) == 3 * 12 * 12 and found.appearance.people == 7
