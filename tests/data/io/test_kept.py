"""What was read once is not read again, and is what a new reading gives; what has changed is read anew."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.core.threads import in_threads
from stampseg.data.io import pictures
from stampseg.data.io.kept import kept_files
from stampseg.data.io.readers import read_header, read_image, read_label

ROOM = 10**6


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pictures that are opened, one entry each time."""
    found: list[Path] = []
    original = pictures.open_picture

    def counted(path: Path, *more: object, **others: object) -> object:
        found.append(path)
        return original(path, *more, **others)

    monkeypatch.setattr(pictures, "open_picture", counted)
    return found


def picture(path: Path, value: int) -> Path:
    array = np.arange(64 * 48, dtype=np.uint8).reshape(64, 48) % 7 + value
    Image.fromarray(array).save(path)
    return path


def test_headers_are_read_once_within_and_anew_outside(tmp_path: Path, opened: list[Path]) -> None:
    path = picture(tmp_path / "a.png", 1)
    for _ in (1, 2):
        with kept_files(), kept_files():
            first = read_header([path])
            count = len(opened)
            assert read_header([path]).shape == first.shape == (64, 48)
            assert len(opened) == count > 0
        opened.clear()


def test_voxels_are_kept_until_they_are_asked_for_once_more(tmp_path: Path, opened: list[Path]) -> None:
    path = picture(tmp_path / "a.png", 1)
    alone = read_image([path]).array
    with kept_files(ROOM):
        first = read_image([path])
        count = len(opened)
        second = read_image([path])
        assert len(opened) == count
        np.testing.assert_array_equal(first.array, alone)
        assert second.array is first.array
        with pytest.raises(ValueError, match="read-only"):
            second.array[:] = 0
        assert read_image([path]).array is not first.array
        assert len(opened) > count


def test_image_and_label_of_one_file_are_two_things(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1)
    with kept_files(ROOM):
        assert read_image([path]).array.dtype == np.float32
        label = read_label(path).array
        assert label.dtype == np.uint8
        assert label.shape == (64, 48)


def test_channels_are_made_of_what_was_kept(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1)
    with kept_files(ROOM):
        assert read_image([path]).array.shape == (1, 64, 48)
        assert read_image([path], 3).array.shape == (3, 64, 48)


def test_a_file_that_was_written_meanwhile_is_read_anew(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1)
    with kept_files(ROOM):
        first = read_image([path])
        Image.fromarray(np.full((10, 12), 9, np.uint8)).save(path)
        assert read_header([path]).shape == (10, 12)
        assert (read_image([path]).array == 9).all()
        path.unlink()
        with pytest.raises(DataError, match=r"a\.png"):
            read_image([path])
    assert first.array.shape == (1, 64, 48)


def test_no_more_is_kept_than_there_is_room_for(tmp_path: Path) -> None:
    one, two = (picture(tmp_path / name, 1) for name in ("a.png", "b.png"))
    with kept_files(64 * 48 * 4):
        first, second = read_image([one]), read_image([two])
        assert read_image([two]).array is not second.array
        assert read_image([one]).array is first.array
        third = read_image([two])  # there is room again
        assert read_image([two]).array is third.array


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".hdr"])
def test_volumes_are_what_they_are_without(tmp_path: Path, suffix: str) -> None:
    array = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    path = tmp_path / f"a{suffix}"
    kind = nib.Nifti1Pair if suffix == ".hdr" else nib.Nifti1Image
    nib.save(kind(array, np.diag([1, 2, 3, 1])), path)
    alone = read_image([path])
    with kept_files(ROOM):
        for _ in range(3):
            volume = read_image([path])
            np.testing.assert_array_equal(volume.array, alone.array)
            assert volume.header.spacing == alone.header.spacing


def test_threads_of_the_look_have_what_was_kept_and_others_nothing(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1)
    with kept_files(ROOM):
        first = read_image([path]).array
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(read_image, [path]).result().array
        assert other is not first
        assert other.flags.writeable
        assert [volume.array is first for volume in in_threads(read_image, [[path]], 2)] == [True]


def test_the_voxels_of_a_header_that_names_another_file_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mhd"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones((4, 5, 6), np.float32)), str(path))
    with kept_files(ROOM):
        assert (read_image([path]).array == 1).all()
        (tmp_path / "a.raw").write_bytes(np.full(120, 2, np.float32).tobytes())
        assert (read_image([path]).array == 2).all()
