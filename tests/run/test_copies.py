"""A scan that trains under another name, in another file, is not taken for somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import OPTIONS


def pool(folder: Path) -> Path:
    """Four scans, and z: the pixels of c in a file that is packed otherwise."""
    folder.mkdir()
    data = write_pictures(folder, "abcd", (24, 32))
    for part in ("images", "masks"):
        Image.open(data / part / "c.png").save(data / part / "z.png", compress_level=1)
    assert (data / "images" / "c.png").read_bytes() != (data / "images" / "z.png").read_bytes()
    return data


@pytest.mark.parametrize(("option", "what"), [("--validation", "validates"), ("--test", "is kept aside")])
def test_a_copy_that_is_packed_otherwise_is_told_of(tmp_path: Path, option: str, what: str) -> None:
    data, rows = pool(tmp_path / "data"), tmp_path / "judge.csv"
    rows.write_text(f"image,label\n{data}/images/z.png,{data}/masks/z.png\n")
    others = [word for word in OPTIONS if word not in ("--validation", "25%")]
    more = () if option == "--validation" else ("--validation", "none")
    said = " ".join(call("train", data, "-o", tmp_path / "run", *others, *more, option, rows).output.split())
    assert f"WARNING: z {what} and has the voxels of c, which trains: its Dice will be too good" in said
    assert "by --group-regex or a CSV's group column" in said


def test_scans_of_one_size_are_no_copies(tmp_path: Path) -> None:
    data = write_pictures(tmp_path, "abcd", (24, 32))
    said = call("train", data, "-o", tmp_path / "run", *OPTIONS).output
    assert "has the voxels of" not in said
