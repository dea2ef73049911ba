"""A format is one record in one table: what is added there is read, paired, listed and written at once."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from stampseg.core.errors import DataError, MissingPackageError
from stampseg.data.cases import find_dataset
from stampseg.data.inputs import find_inputs
from stampseg.data.io import formats
from stampseg.data.io.format import Format, Series
from stampseg.data.io.formats import list_images, readable, series_format, stem_of
from stampseg.data.io.readers import output_name, read_header, read_image, read_label, write_label
from stampseg.data.io.volume import Header, as_image, as_label, check_pair, volume_header

AFFINE = np.diag([2.0, 3, 4, 1])
GRID = np.arange(24).reshape(2, 3, 4)


def load_text(path: Path) -> np.ndarray:
    return np.loadtxt(path, ndmin=2).reshape(2, 3, -1)


def save_text(path: Path, array: np.ndarray, _: Header | None = None) -> None:
    np.savetxt(path, array.reshape(len(array), -1))


TEXT = Format(
    name="Table",
    suffixes=(".grid.txt",),
    package="numpy",
    read_header=lambda path: volume_header(path, load_text(path).shape, AFFINE, 1, "float64"),
    read_image=lambda path: as_image(load_text(path)[None], path),
    read_label=lambda path: as_label(load_text(path), path),
    write_label=save_text,
)


def add(monkeypatch: pytest.MonkeyPatch, *added: Format) -> None:
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, *added))


def made(path: Path, array: np.ndarray = GRID) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_text(path, array)
    return path


def test_unknown_until_it_is_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a.grid.txt")
    known = readable()
    with pytest.raises(
        DataError, match=re.escape(f"a.grid.txt: file type not known; expected {known}; convert it")
    ):
        read_image([path])
    with pytest.raises(DataError, match="file type not known"):
        find_inputs([path])
    assert list_images(tmp_path) == []
    add(monkeypatch, TEXT)
    assert known.startswith("NIfTI (") and readable() == f"{known.replace(' or ', ', ')} or Table"
    assert list_images(tmp_path) == [path] and stem_of(path) == "a"


def test_it_is_read_paired_listed_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, TEXT)
    for name in "ab":
        made(tmp_path / "images" / f"{name}.Grid.txt")
        made(tmp_path / "masks" / f"{name}.grid.txt", GRID % 2)
    cases = find_dataset(tmp_path).cases
    assert [case.id for case in cases] == ["a", "b"]
    for case in cases:
        np.testing.assert_array_equal(read_image(case.images).array, GRID[None])
        np.testing.assert_array_equal(read_label(case.label).array, GRID % 2)
        check_pair(read_header(case.images), read_header([case.label]))
    assert [case.id for case in find_inputs([tmp_path / "images"])] == ["a", "b"]
    assert output_name(cases[0].images) == "a.Grid.txt"
    written = write_label(tmp_path / "out" / "x.nii.gz", GRID % 3, cases[0].images)
    assert [path.name for path in written.parent.iterdir()] == ["x.Grid.txt"]
    np.testing.assert_array_equal(read_label(written).array, GRID % 3)


def test_where_it_holds_no_labels_its_masks_are_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "a table is no label; expected another file; draw one"
    images = replace(TEXT, read_label=None, no_labels=reason, write_label=None, mask_suffix=".nii.gz")
    add(monkeypatch, images)
    path = made(tmp_path / "a.grid.txt")
    with pytest.raises(DataError, match=rf"a\.grid\.txt: {reason}"):
        read_label(path)
    written = write_label(tmp_path / output_name([path]), GRID % 2, path)
    assert written.name == "a.nii.gz"
    check_pair(read_header([path]), read_header([written]))
    np.testing.assert_array_equal(read_label(written).array, GRID % 2)


def test_pairs_count_once_and_are_written_as_two_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_pair(path: Path, array: np.ndarray, like: Header) -> None:
        save_text(path.with_suffix(".top"), array, like)
        path.with_suffix(".low").write_text("the other half")

    add(monkeypatch, replace(TEXT, suffixes=(".top", ".low"), pair=(".top", ".low"), write_label=save_pair))
    path = made(tmp_path / "a.top")
    path.with_suffix(".low").write_text("the other half")
    assert list_images(tmp_path) == [path]
    written = write_label(tmp_path / "out" / "a", GRID, path)
    assert sorted(each.name for each in written.parent.iterdir()) == ["a.low", "a.top"]


def test_a_folder_of_marked_files_is_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_folder(path: Path) -> np.ndarray:
        return np.stack([np.loadtxt(each, skiprows=1) for each in sorted(path.iterdir())])

    series = replace(
        TEXT,
        read_header=lambda path: volume_header(path, read_folder(path).shape, AFFINE, 1, "float64"),
        read_image=lambda path: as_image(read_folder(path)[None], path),
        mask_suffix=".nii",
        is_one=lambda path: path.read_bytes().startswith(b"# slice"),
        series=Series(lambda folder: (folder / "0").is_file(), lambda folder: [folder]),
    )
    add(monkeypatch, series)
    folder = tmp_path / "scan"
    folder.mkdir()
    for number, array in enumerate(GRID):
        (folder / str(number)).write_text("# slice\n" + "\n".join(" ".join(map(str, row)) for row in array))
    assert series_format(folder) is series and list_images(tmp_path) == [folder]
    np.testing.assert_array_equal(read_image([folder]).array, GRID[None])
    assert write_label(tmp_path / "scan", GRID, folder).name == output_name([folder]) == "scan.nii"


def test_a_missing_package_is_called_as_pip_calls_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(TEXT, package="table-reader", module="no_such_module_at_all")
    add(monkeypatch, absent, replace(absent, name="Chart", suffixes=(".chart",)))
    path = made(tmp_path / "a.grid.txt")
    with pytest.raises(
        MissingPackageError,
        match=r"a\.grid\.txt: reading and writing Table and Chart needs table-reader, which is not "
        r"installed; pip install table-reader",
    ):
        read_image([path])


def test_whatever_its_reader_raises_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, TEXT)
    path = tmp_path / "a.grid.txt"
    path.write_text("no numbers")
    with pytest.raises(DataError, match=r"a\.grid\.txt: cannot be read \(.*\); the file is damaged or not"):
        read_image([path])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"read_label": None}, "Table: give read_label, or no_labels"),
        ({"no_labels": "never"}, "Table: give read_label, or no_labels"),
        ({"write_label": None}, "Table: masks have no suffix"),
        ({"series": Series(Path.is_dir, lambda folder: [folder])}, "Table: masks have no suffix"),
    ],
)
def test_records_that_say_too_little_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TEXT, **changes)


def test_a_mask_that_no_format_writes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, replace(TEXT, mask_suffix=".jpg"))
    path = made(tmp_path / "a.grid.txt")
    with pytest.raises(ValueError, match=r"a\.jpg: no format writes masks of this name"):
        write_label(tmp_path / "a", GRID, path)


def test_the_records_fit_together() -> None:
    suffixes = [suffix for each in formats.FORMATS for suffix in each.suffixes]
    assert len(set(suffixes)) == len(suffixes) and all(suffix == suffix.lower() for suffix in suffixes)
    for each in formats.FORMATS:
        assert each.name in readable() or any(suffix in readable() for suffix in each.suffixes), each.name
        for suffix in each.suffixes:
            masks = formats.format_named(Path("x" + (each.mask_suffix or suffix)))
            assert masks is not None and masks.write_label and masks.read_label, each.name


@pytest.mark.parametrize(
    ("named", "files"),
    [
        ("LOCAL", []),
        ("my data.raw", ["my data.raw"]),
        ("LIST 2\na.raw\nb c.raw\n", ["a.raw", "b c.raw"]),
        ("s %02d.raw 3 9 3", ["s 03.raw", "s 06.raw", "s 09.raw"]),
        ("s%d.raw 1 2", ["s1.raw", "s2.raw"]),
        ("100%.raw", ["100%.raw"]),
    ],
)
def test_the_files_that_a_detached_header_names(tmp_path: Path, named: str, files: list[str]) -> None:
    path = tmp_path / "a.mhd"
    path.write_bytes(b"NDims = 3\r\nDimSize = 2 2 2\r\nElementDataFile = " + named.encode())
    assert formats.data_files(path) == [path, *(tmp_path / name for name in files)]


def test_both_files_of_a_pair(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(np.zeros((2, 2, 2), np.uint8), np.eye(4)), tmp_path / "a.img")
    both = [tmp_path / "a.hdr", tmp_path / "a.img"]
    assert formats.data_files(tmp_path / "a.hdr") == formats.data_files(tmp_path / "a.img") == both
