"""`evaluate --overlays`: a picture of each case, the worst named first, nothing replaced unasked."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tests.cli.command import call
from tests.data.scans import write_pictures


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three scans, their masks, and predictions: right, shifted, and wrong."""
    write_pictures(tmp_path, ["a", "b", "c"])
    (tmp_path / "found").mkdir()
    for name, shift in (("a", 5), ("b", 0), ("c", 20)):
        mask = np.array(Image.open(tmp_path / "masks" / f"{name}.png"))
        Image.fromarray(np.roll(mask, shift, 1)).save(tmp_path / "found" / f"{name}.png")
    return tmp_path


def test_the_worst_are_named_first(scans: Path) -> None:
    seen = scans / "seen"
    said = call("evaluate", scans / "found", scans / "masks", "--overlays", seen).output
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"pictures in {seen}; lowest Dice first: {seen / 'c.png'} (0.")
    assert last.index("c.png") < last.index("a.png") < last.index("b.png (1.000)")
    assert sorted(path.name for path in seen.iterdir()) == ["a.png", "b.png", "c.png"]


def test_over_the_scans_where_they_are(scans: Path) -> None:
    options = ("evaluate", scans / "found", scans / "masks", "--overlays")
    call(*options, scans / "black")
    call(*options, scans / "grey", "--images", scans / "images")
    black, grey = (np.array(Image.open(scans / name / "b.png")) for name in ("black", "grey"))
    assert black.shape == grey.shape and grey.mean() > black.mean() + 10


def test_a_picture_that_is_there_is_kept(scans: Path) -> None:
    options = ("evaluate", scans / "found", scans / "masks", "--overlays", scans / "seen")
    call(*options)
    (scans / "seen" / "b.png").write_bytes(b"mine")
    said = call(*options, code=3).output
    assert "a.png: exists already; choose another folder with --overlays, or say --overwrite" in said
    assert (scans / "seen" / "b.png").read_bytes() == b"mine"
    call(*options, "--overwrite")
    assert (scans / "seen" / "b.png").read_bytes() != b"mine"


def test_scans_that_do_not_fit_are_said(scans: Path) -> None:
    options = ("evaluate", scans / "found", scans / "masks", "--overlays", scans / "seen", "--images")
    (scans / "others").mkdir()
    Image.new("L", (8, 8)).save(scans / "others" / "z.png")
    assert "no scan is called as a prediction (a, b, c)" in call(*options, scans / "others", code=3).output
    Image.new("L", (8, 8)).save(scans / "others" / "a.png")
    said = call(*options, scans / "others").output
    assert "a.png: shape (8, 8), its mask has (40, 48); the mask is drawn on black" in said
    assert f"b: no scan of this name in {scans / 'others'}; its masks are drawn on black" in said
    said = call("evaluate", scans / "found", scans / "masks", "--images", scans / "images", code=2).output
    assert "--images are drawn in the pictures of --overlays FOLDER" in said


def test_volumes_are_drawn_upright_however_they_lie(tmp_path: Path) -> None:
    """The same mask, stored as RAS and as LPI: the pictures are equal."""
    mask = np.zeros((20, 24, 16), np.uint8)
    mask[2:9, 3:8, 2:7] = 1
    drawn = []
    for name, signs in (("ras", (1, 1, 1)), ("lpi", (-1, -1, -1))):
        folder = tmp_path / name
        folder.mkdir()
        turned = mask[tuple(slice(None, None, s) for s in signs)]
        nib.Nifti1Image(turned, np.diag([*map(float, signs), 1.0])).to_filename(folder / "v.nii.gz")
        call("evaluate", folder, folder, "--overlays", folder / "seen")
        drawn.append(np.array(Image.open(folder / "seen" / "v.png")))
    assert np.array_equal(*drawn)


def test_letters_tell_left_from_right_where_the_file_says_where_it_lies(tmp_path: Path) -> None:
    """A NIfTI without qform and sform lies anywhere."""
    mask = np.zeros((12, 12, 12), np.uint8)
    mask[3:6, 3:6, 3:6] = 1
    for name, code in (("placed", 1), ("nowhere", 0)):
        image = nib.Nifti1Image(mask, np.diag([-1.0, 1, 1, 1]))
        image.set_qform(image.affine, code)
        image.set_sform(image.affine, code)
        (tmp_path / name).mkdir()
        nib.save(image, tmp_path / name / "a.nii.gz")
        call("evaluate", tmp_path / name, tmp_path / name, "--overlays", tmp_path / name)
    drawn = [np.array(Image.open(tmp_path / name / "a.png")) for name in ("placed", "nowhere")]
    assert not np.array_equal(drawn[0][8:392, 8:392], drawn[1][8:392, 8:392])


@pytest.mark.parametrize("place", ["masks", "found", "images"])
def test_pictures_replace_nothing_that_is_read(scans: Path, place: str) -> None:
    before = {path: path.read_bytes() for path in sorted(scans.rglob("*.png"))}
    words = ("evaluate", scans / "found", scans / "masks", "--images", scans / "images", "--overwrite")
    said = call(*words, "--overlays", scans / place, code=3).output
    assert f"{scans / place}" in said and "a picture would replace a file that is read; choose" in said
    assert {path: path.read_bytes() for path in sorted(scans.rglob("*.png"))} == before
