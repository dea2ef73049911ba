"""Names and disks of other systems, told of without having one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stampseg.core.system import folds_case, is_portable, one_name


@pytest.mark.parametrize(
    "name",
    ["con", "NUL", "aux.png", "Com1.nii.gz", "lpt9", "COM¹", "con .txt", "a:b", "a?", "a.", "a ", "", "..",
     "x\x07", "a/b", "a\\b", "x" * 256, "é" * 128],
)  # fmt: skip
def test_names_that_some_system_refuses(name: str) -> None:
    assert not is_portable(name)


@pytest.mark.parametrize(
    "name", ["scan.nii.gz", "console", "com10", "auxiliary.png", ".lock", "é" * 127, "a b,c"]
)
def test_names_that_every_system_takes(name: str) -> None:
    assert is_portable(name)


def test_names_that_are_one_on_macos_and_windows() -> None:
    assert one_name("Scan.PNG") == one_name("scan.png") != one_name("scan1.png")
    assert one_name("caf\u00e9") == one_name("cafe\u0301") == one_name("CAF\u00c9")
    assert one_name("straße") == one_name("STRASSE")


def test_a_disk_that_folds_case_is_known_without_writing(tmp_path: Path) -> None:
    (tmp_path / "Data").mkdir()
    assert not folds_case(tmp_path / "Data" / "out" / "deep")
    (tmp_path / "dATA").symlink_to("Data")  # as if the disk found the folder under the other name
    assert folds_case(tmp_path / "Data" / "out" / "deep")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Data", "dATA"]
