"""Copies are found among files that look alike."""

from __future__ import annotations

from pathlib import Path

from stampseg.data.duplicates import SAMPLE_BYTES, find_duplicates

SIZE = 8 * SAMPLE_BYTES


def alike(path: Path, *changed: int) -> Path:
    """A file of the size and sample that all of these have."""
    content = bytearray(SIZE)
    for place in changed:
        content[place] = 1
    path.write_bytes(content)
    return path


def test_copies_are_found_behind_another_of_their_size_and_sample(tmp_path: Path) -> None:
    other, unseen = 2 * SAMPLE_BYTES, 2 * SAMPLE_BYTES + 1
    contents = {"a": (), "b": (other,), "c": (other,), "d": (other, unseen), "e": (), "f": (other,)}
    items = [[alike(tmp_path / f"{name}.nii", *changed)] for name, changed in contents.items()]
    assert find_duplicates(items) == [(0, 4), (1, 2), (1, 5)]


def test_of_several_files_all_count(tmp_path: Path) -> None:
    last = [alike(tmp_path / f"{name}_1.nii") for name in "abc"]
    changes = {"a": (), "b": (9,), "c": (9,)}
    first = [alike(tmp_path / f"{name}_0.nii", *changed) for name, changed in changes.items()]
    assert find_duplicates(list(zip(first, last, strict=True))) == [(1, 2)]
