"""One odd file among good ones: told, or read as it is meant."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import tifffile
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.io.placing import on_grid_of
from stampseg.data.io.readers import read_header, read_image, read_label
from stampseg.data.io.scans import scans_of
from stampseg.data.io.volume import NOT_HELD, check_pair
from stampseg.evaluation.folders import evaluate_folder
from tests.cli.command import call
from tests.data.dicom_files import slices, values
from tests.data.scans import write_pictures, write_volumes


def findings(data: Path, code: str) -> list[dict[str, Any]]:
    found = json.loads(call("check", data, "--json", "--no-timing").stdout)["findings"]
    return [one for one in found if one["code"] == code]


def test_a_letter_in_one_or_two_characters_is_the_same(tmp_path: Path) -> None:
    """macOS writes names otherwise than Windows and Linux; they look alike, and were called different."""
    write_pictures(tmp_path, ["Fü1", "Fü2"])
    for part, form in (("images", "NFD"), ("masks", "NFC")):
        for path in list((tmp_path / part).iterdir()):
            path.rename(path.with_name(unicodedata.normalize(form, path.name)))  # type: ignore[arg-type]
    cases = find_dataset(tmp_path).cases
    assert [case.label is not None for case in cases] == [True, True]
    (tmp_path / "found").mkdir()
    for path in (tmp_path / "masks").iterdir():
        (tmp_path / "found" / unicodedata.normalize("NFD", path.name)).write_bytes(path.read_bytes())
    for sides in (("found", "masks"), ("masks", "found")):
        assert [row.dice for row in evaluate_folder(*(tmp_path / side for side in sides)).rows] == [1, 1]


def test_a_label_of_two_people_is_told(tmp_path: Path) -> None:
    write_pictures(tmp_path, "abc")
    rows = ["images/a.png,masks/a.png", "images/b.png,masks/a.png", "images/c.png,masks/c.png"]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["image,label", *rows]))
    assert find_dataset(table).warnings == (
        "a.png is the label of a and of b; expected one for each image; correct the line, or give both one "
        "group",
    )
    table.write_text("\n".join(["image,label,group", *(f"{row},{'xxy'[n]}" for n, row in enumerate(rows))]))
    assert find_dataset(table).warnings == ()  # two channels of a person, say


@pytest.mark.parametrize("kind", ["index", "table", "black first"])
def test_transparent_colours_of_a_palette_are_background(kind: str, tmp_path: Path) -> None:
    """White that is not shown was the foreground, and red the background, as the darker one."""
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3:6] = 1
    picture = Image.fromarray(mask, "P")
    picture.putpalette([0, 0, 0, 255, 0, 0] if kind == "black first" else [255, 255, 255, 255, 0, 0])
    picture.save(tmp_path / "m.png", transparency=0 if kind == "index" else b"\x00\xff")
    label = read_label(tmp_path / "m.png").array
    np.testing.assert_array_equal(label > 0, mask > 0)
    assert len(np.unique(label)) == 2


def test_a_label_in_the_transparency_of_a_palette_alone_is_refused(tmp_path: Path) -> None:
    picture = Image.fromarray(np.eye(4, dtype=np.uint8), "P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    picture.save(tmp_path / "m.png", transparency=0)
    with pytest.raises(DataError, match=r"m\.png: is black wherever it is not transparent"):
        read_label(tmp_path / "m.png")


def test_two_sizes_of_voxels_in_one_header_are_told(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), None)
    for name, size, code in (("same", 1.004, 1), ("other", 2, 1), ("uncoded", 2, 0)):
        image.set_sform(np.eye(4), 1)
        image.set_qform(np.diag([size, size, size, 1.0]), code)
        image.to_filename(tmp_path / f"{name}.nii.gz")
    assert read_header([tmp_path / "other.nii.gz"]).notes == (
        f"{tmp_path}/other.nii.gz: voxels of 2 x 2 x 2 by its qform, of 1 x 1 x 1 by its sform, which is "
        "taken; programs that take the other see another size: correct the header",
    )
    for name in ("same", "uncoded"):
        assert read_header([tmp_path / f"{name}.nii.gz"]).notes == ()


@pytest.mark.parametrize("code", [1, 2, 4])
def test_a_label_drawn_by_the_other_of_two_places_is_paired_voxel_by_voxel(code: int, tmp_path: Path) -> None:
    """ITK takes the qform by some codes: a label that was drawn there was mirrored, and learnt so."""
    voxels = np.zeros((12, 9, 7), np.int16)
    voxels[:3] = 300
    image = nib.Nifti1Image(voxels, None)
    mirrored = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirrored[0, 3] = 11
    image.set_sform(np.eye(4), code)
    image.set_qform(mirrored, 1)
    image.to_filename(tmp_path / "image.nii.gz")
    drawn = sitk.ReadImage(str(tmp_path / "image.nii.gz"))
    mask = sitk.GetImageFromArray((sitk.GetArrayFromImage(drawn) > 250).astype(np.uint8))
    mask.CopyInformation(drawn)
    sitk.WriteImage(mask, str(tmp_path / "label.nii.gz"))
    header, label = read_header([tmp_path / "image.nii.gz"]), read_label(tmp_path / "label.nii.gz")
    assert header.notes == (
        f"{tmp_path}/image.nii.gz: axes run to LAS by its qform, to RAS by its sform, which is taken; "
        "programs that take the other (ITK's, by some codes) see another side: correct the header",
    )
    found = on_grid_of(label, header)
    assert np.array_equal(found.array > 0, voxels > 0)
    said = " ".join(found.header.notes)
    assert ("taken voxel by voxel" in said and "made otherwise it is wrong now" in said) == (code != 1)
    # where the image says one place alone, a label that is stored the other way round is turned
    turned = nib.Nifti1Image((voxels[::-1] > 0).astype(np.uint8), mirrored)
    turned.to_filename(tmp_path / "turned.nii.gz")
    image.set_qform(np.eye(4), 1)
    image.to_filename(tmp_path / "image.nii.gz")
    found = on_grid_of(read_label(tmp_path / "turned.nii.gz"), read_header([tmp_path / "image.nii.gz"]))
    assert np.array_equal(found.array > 0, voxels > 0)


@pytest.mark.parametrize("cut", [False, True])
def test_so_is_a_segmentation_of_slicer(cut: bool, tmp_path: Path) -> None:
    """It may be cut to a box, of either form; one that runs as neither is refused."""
    voxels = np.zeros((12, 9, 7), np.int16)
    voxels[1:4, 2:5, 2:6] = 300
    image = nib.Nifti1Image(voxels, None)
    mirrored = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirrored[0, 3] = 11
    image.set_sform(np.eye(4), 2)
    image.set_qform(mirrored, 1)
    image.to_filename(tmp_path / "image.nii.gz")
    drawn = sitk.ReadImage(str(tmp_path / "image.nii.gz"))
    mask = sitk.GetImageFromArray((sitk.GetArrayFromImage(drawn) > 250).astype(np.uint8))
    mask.CopyInformation(drawn)
    header = read_header([tmp_path / "image.nii.gz"])
    for name, flip in (("qform", False), ("sform", True)):
        if flip:  # as a program draws that takes the sform
            mask.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
            mask.SetOrigin([0, 0, 0])
        part = mask[1:4, 2:5, 2:6] if cut else mask
        sitk.WriteImage(part, str(tmp_path / f"{name}.seg.nrrd"))
        found = on_grid_of(read_label(tmp_path / f"{name}.seg.nrrd"), header)
        assert np.array_equal(found.array > 0, voxels > 0)
        assert np.array_equal(found.header.affine, header.affine)  # type: ignore[arg-type]
        said = any("taken voxel by voxel" in note for note in found.header.notes)
        assert said == (name == "qform")
    mask.SetDirection([1, 0, 0, 0, 1, 0, 0, 0, 1])
    sitk.WriteImage(mask[1:4, 2:5, 2:6], str(tmp_path / "other.seg.nrrd"))
    message = r"other\.seg\.nrrd: runs to LPS, and its image .* to RAS by its sform, to LAS by its qform"
    with pytest.raises(DataError, match=message):
        on_grid_of(read_label(tmp_path / "other.seg.nrrd"), header)


def test_a_prediction_mirrored_against_its_label_has_no_dice(tmp_path: Path) -> None:
    """Dice was 1.000, voxel by voxel, of masks on two sides of the body."""
    voxels = np.zeros((8, 8, 8), np.uint8)
    voxels[:3] = 1
    for folder, affine in (("p", np.diag([2.0, 2, 2, 1])), ("l", np.diag([-2.0, 2, 2, 1]))):
        (tmp_path / folder).mkdir()
        nib.save(nib.Nifti1Image(voxels, affine), tmp_path / folder / "a.nii.gz")
    said = call("evaluate", tmp_path / "p", tmp_path / "l", code=3).stderr
    assert "a.nii.gz runs to RAS," in said and "to LAS; which of them is right cannot be known" in said
    assert "save the prediction with the affine of its image" in said
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "p" / "a.nii.gz")  # as many scripts do
    said = call("evaluate", tmp_path / "p", tmp_path / "l").stdout
    assert "compared voxel by voxel all the same" in " ".join(said.split())


def test_one_of_the_files_of_an_ome_set_is_refused(tmp_path: Path) -> None:
    """Each stood for the whole set, and slices whose files were not there were zero."""
    names = ["z0.ome.tif", "z1.ome.tif"]
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{number}" for number in range(2)]
    planes = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
        for z, (name, uuid) in enumerate(zip(names, uuids, strict=True))
    )
    for z, (name, uuid) in enumerate(zip(names, uuids, strict=True)):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{uuid}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            f'SizeX="6" SizeY="5" SizeZ="2" SizeC="1" SizeT="1"><Channel ID="Channel:0:0"/>'
            f"{planes}</Pixels></Image></OME>"
        )
        tifffile.imwrite(tmp_path / name, np.full((5, 6), z + 1, np.uint8), description=xml, metadata=None)
        attached = '<StructuredAnnotations><FileAnnotation><BinaryFile FileName="notes.pdf" Size="1"/>'
        alone = xml.replace(planes, "").replace('SizeZ="2"', 'SizeZ="1"')
        alone = alone.replace("</OME>", f"{attached}</FileAnnotation></StructuredAnnotations></OME>")
        whole = tmp_path / f"whole{z}.ome.tif"
        tifffile.imwrite(whole, np.full((5, 6), z + 1, np.uint8), description=alone, metadata=None)
        assert read_header([whole]).shape == (5, 6)
    message = r"z0\.ome\.tif: is one of 2 files of an OME set \(z0.ome.tif, z1.ome.tif\); .*save it"
    for read in (read_header, read_image):
        with pytest.raises(DataError, match=message):
            read([tmp_path / "z0.ome.tif"])
    tifffile.imwrite(tmp_path / "own.ome.tif", np.ones((3, 5, 6), np.uint8), metadata={"axes": "ZYX"})
    assert read_header([tmp_path / "own.ome.tif"]).shape == (6, 5, 3)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_tiff_that_is_cut_short_is_said_to_be(share: float, tmp_path: Path) -> None:
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(
        tmp_path / "a.tif", compression="tiff_lzw"
    )
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"a\.tif: .*cut short"):
        read_header([tmp_path / "a.tif"])


def test_endings_in_capital_letters_are_read_or_named(tmp_path: Path) -> None:
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = sitk.GetImageFromArray(voxels)
    for small, capital in (("a.mha", "A.MHA"), ("b.nrrd", "B.Nrrd")):
        sitk.WriteImage(image, str(tmp_path / small))
        (tmp_path / small).rename(tmp_path / capital)
        assert np.array_equal(read_image([tmp_path / capital]).array[0], voxels.T)
    nib.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "c.nii.gz")
    (tmp_path / "c.nii.gz").rename(tmp_path / "C.Nii.gz")
    with pytest.raises(DataError, match=r"C\.Nii\.gz: its ending mixes .*rename the file to C\.nii\.gz"):
        read_header([tmp_path / "C.Nii.gz"])


def test_a_nrrd_whose_slices_are_numbered_downwards_is_read(tmp_path: Path) -> None:
    voxels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    for number, plane in enumerate(voxels):
        (tmp_path / f"s{number:02d}.raw").write_bytes(plane.tobytes())
    lines = [
        "NRRD0004", "type: uint8", "dimension: 3", "sizes: 5 4 3", "spacings: 1 1 2", "encoding: raw",
        "data file: s%02d.raw 2 0 -1", "", "",
    ]  # fmt: skip
    (tmp_path / "a.nhdr").write_text("\n".join(lines))
    assert np.array_equal(read_image([tmp_path / "a.nhdr"]).array[0], voxels[::-1].T)
    lines[4] = "axis mins: nan nan nan"  # says nothing
    (tmp_path / "c.nhdr").write_text("\n".join(lines))
    assert "does not say how large its voxels are" in read_header([tmp_path / "c.nhdr"]).notes[0]
    lines[4] = "axis mins: 0 0 0\naxis maxs: 4 3 4"
    (tmp_path / "b.nhdr").write_text("\n".join(lines))
    with pytest.raises(
        DataError, match=r"b\.nhdr: its header says .* by axis mins and axis maxs alone, .*write"
    ):
        read_header([tmp_path / "b.nhdr"])


def test_names_that_are_no_text_are_written_in_tables(tmp_path: Path) -> None:
    """A ZIP of Windows gives such names; all was computed, and the table ended in a traceback."""
    for folder in ("p", "l"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / folder / "a.png")
        (tmp_path / folder / "a.png").rename(tmp_path / folder / "caf\udce9.png")
    call("evaluate", tmp_path / "p", tmp_path / "l", "-o", tmp_path / "m.csv")
    assert "caf\\udce9" in (tmp_path / "m.csv").read_text(encoding="utf-8")


def test_a_mask_of_swapped_values_is_told(tmp_path: Path) -> None:
    write_pictures(tmp_path, "abcde")
    assert not findings(tmp_path, "labels")
    path = tmp_path / "masks" / "c.png"
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    (found,) = findings(tmp_path, "labels")
    assert found["files"] == [str(path)] and "of it is 255, and" in found["found"]
    assert found["fix"] == "are its values swapped? exchange them, or leave the case out"


def test_several_masks_of_swapped_values_are_told(tmp_path: Path) -> None:
    """Also where they hide one another; of half and half nobody knows which is right."""
    write_pictures(tmp_path, "abcdefgh")
    for number, name in enumerate("behg"):
        path = tmp_path / "masks" / f"{name}.png"
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
        told = {found["files"][0][-5] for found in findings(tmp_path, "labels")}
        assert told == (set("behg"[: number + 1]) if number < 2 else set())


def test_a_slice_that_is_missing_because_it_is_turned_is_named(tmp_path: Path) -> None:
    turned = [0.9999, 0.0141, 0, -0.0141, 0.9999, 0]
    slices(tmp_path, values(), tags=lambda n: {"ImageOrientationPatient": turned} if n == 4 else {})
    with pytest.raises(DataError, match=r"slices are missing .*; .*left out, of another plane .*: 04\.dcm"):
        scans_of(tmp_path)


def test_a_mask_of_another_case_is_told(tmp_path: Path) -> None:
    write_pictures(tmp_path, "abcde")
    mask = (tmp_path / "masks" / "b.png").read_bytes()
    (tmp_path / "masks" / "d.png").write_bytes(mask)
    (found,) = findings(tmp_path, "labels")
    assert found["files"] == [str(tmp_path / "masks" / name) for name in ("b.png", "d.png")]
    assert found["found"].endswith("b.png: the same mask as that of d, of other images")


def test_voxels_without_their_header_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(bytes(1000))
    with pytest.raises(DataError, match=r"a\.img: its header a\.hdr is missing; put it beside the data"):
        read_header([tmp_path / "a.img"])


def test_an_analyze_image_has_no_place_unless_it_says_so(tmp_path: Path) -> None:
    array, affine = np.zeros((5, 6, 7), np.uint8), np.diag([1.0, 1, 2, 1])
    nib.save(nib.AnalyzeImage(array, affine), tmp_path / "plain.img")
    nib.save(nib.Spm99AnalyzeImage(array, affine), tmp_path / "beside.img")
    origin = nib.Spm99AnalyzeImage(array, affine)
    origin.header["origin"][:3] = 2, 3, 4
    nib.save(origin, tmp_path / "said.img")
    (tmp_path / "said.mat").unlink()
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "label.nii.gz")
    plain, beside, said = (read_header([tmp_path / f"{n}.img"]) for n in ("plain", "beside", "said"))
    assert (plain.placed, beside.placed, said.placed) == (False, True, True)
    label = read_header([tmp_path / "label.nii.gz"])
    check_pair(plain, label)
    with pytest.raises(DataError, match="voxels away from its image"):
        check_pair(said, label)


def test_a_mask_that_is_a_jpeg_under_another_name_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.eye(32, dtype=np.uint8) * 120).save(tmp_path / "a.png", "JPEG")
    assert read_image([tmp_path / "a.png"]).array.shape == (1, 32, 32)
    with pytest.raises(DataError, match=r"a.png: is a JPEG, whatever its name says: .*; save masks as PNG"):
        read_label(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "start", "said"),
    [
        ("a.nii.gz", b"", "it is empty; copy it again"),
        ("a.nii.gz", b"\x5c\x01\0\0" + bytes(400), "it begins as NIfTI that is not packed; name it .nii"),
        ("a.nii", gzip.compress(bytes(400), mtime=0), "it begins as packed by gzip; name it .nii.gz"),
        ("a.mha", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS, .*; fetch it with git lfs pull"),
        ("a.png", b"<!DOCTYPE html>", "it begins as a web page .*; download the file again"),
        ("a.tif", b"\x89PNG\r\n\x1a\n", "it begins as a PNG picture; name it .png"),
        ("a.png", b"\x89PNG", "the file is damaged or not what its name says"),
    ],
)
def test_what_a_file_is_instead_is_told(name: str, start: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(start)
    with pytest.raises(DataError, match=rf"{name}: cannot be read \(.*\); .*{said}"):
        read_image([tmp_path / name])


def test_how_much_is_missing_of_a_volume_is_told(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((5, 6, 7), np.uint8), np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress((tmp_path / "a.nii").read_bytes()[:-30]))
    with pytest.raises(DataError, match=r"a.nii.gz: cannot be read \(Expected 210 bytes, got 180"):
        read_image([tmp_path / "a.nii.gz"])


def test_values_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    """They were taken as 0 without a word."""
    write_volumes(tmp_path)
    path = tmp_path / "images" / "v3.nii.gz"
    image = nib.load(path)
    array = np.asarray(image.dataobj).copy()
    array[:2], array[2] = np.nan, np.inf
    nib.Nifti1Image(array, image.affine).to_filename(path)
    (found,) = findings(tmp_path, "reader")
    assert found["found"] == f"{path}: holds values that are {NOT_HELD}, taken as 0"
    assert (read_image([path]).array[0, :3] == 0).all()
