"""Unusual files by the page's modules: read as by predict, or refused, and never as something else."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from stampseg.core.errors import DataError
from stampseg.data.calibration import Calibration, LabelCalibration
from stampseg.data.io.readers import read_image
from stampseg.export import export_model
from stampseg.export.web_script import script_of
from tests.data.dicom_files import slices
from tests.data.dicom_files import values as stored
from tests.export.modules import check_read, in_node
from tests.export.page_cases import OBLIQUE
from tests.export.page_driver import segmented
from tests.export.pages import model_of, scan_file
from tests.report.browser import opened


def page_reads(files: dict[str, list[Path]], folder: Path, *needs: str) -> dict[str, Any]:
    """What the page makes of each, or `{"refused": words}`."""
    cases = [{"job": "read", "files": [str(file) for file in given]} for given in files.values()]
    return dict(zip(files, in_node(cases, folder, *needs), strict=True))


def series(folder: Path, **how: Any) -> list[Path]:
    slices(folder, stored(), **how)
    return sorted(folder.iterdir())


def without_mark(file: Path) -> None:
    file.write_bytes(file.read_bytes()[132:])


def replaced(files: list[Path], old: bytes, new: bytes) -> list[Path]:
    for file in files:
        assert file.read_bytes().count(old) == 1
        file.write_bytes(file.read_bytes().replace(old, new))
    return files


def test_bits_of_dicom_pixels_are_those_of_predict(tmp_path: Path) -> None:
    read = {
        "highest": {"BitsStored": 12, "HighBit": 15},
        "highest, unsigned": {"BitsStored": 12, "HighBit": 15, "PixelRepresentation": 0},
        "lowest": {"BitsStored": 7, "HighBit": 6},
        "unsaid": {"BitsStored": 12, "HighBit": None},
    }
    refused = {
        "between": ({"BitsStored": 12, "HighBit": 13}, "lie in the bits 2 to 13 of 16 (HighBit, BitsStored)"),
        "none": ({"BitsStored": None, "HighBit": None}, "does not say what its pixels are"),
    }
    files = {name: series(tmp_path / name, **how) for name, how in read.items()}
    files |= {name: series(tmp_path / name, **how) for name, (how, _) in refused.items()}
    made = page_reads(files, tmp_path, "dicom")
    for name in read:
        check_read(read_image([tmp_path / name]), made[name], name)
    for name, (_, words) in refused.items():
        assert words in made[name]["refused"], name
        with pytest.raises(DataError):
            read_image([tmp_path / name])


def test_dicom_text_that_is_no_number_is_refused(tmp_path: Path) -> None:
    files = {
        "spacing": replaced(series(tmp_path / "spacing", PixelSpacing=[1.5, 1.5]), b"1.5\\1.5", b"1,5\\1,5"),
        "intercept": replaced(
            series(tmp_path / "intercept", RescaleIntercept="-1024.5", RescaleSlope=1), b"-1024.5", b"-1024,5"
        ),
        "slopes": series(tmp_path / "slopes", RescaleSlope=[1, 2]),
        "blank": series(tmp_path / "blank", RescaleSlope="", RescaleIntercept=-1000),
    }
    made = page_reads(files, tmp_path, "dicom")
    assert '00.dcm: PixelSpacing is "1,5\\1,5"; expected numbers' in made["spacing"]["refused"]
    assert 'RescaleIntercept is "-1024,5"; expected numbers' in made["intercept"]["refused"]
    assert 'RescaleSlope is "1.0\\2.0"; expected one number' in made["slopes"]["refused"]
    check_read(read_image([tmp_path / "blank"]), made["blank"], "blank")
    for name in ("spacing", "intercept"):
        with pytest.raises(DataError):
            read_image([tmp_path / name])


def test_no_slice_of_a_dicom_series_disappears(tmp_path: Path) -> None:
    damages: dict[str, tuple[Callable[[Path], Any], str]] = {
        "empty": (lambda file: file.write_bytes(b""), "IM0007: named as the slices beside it, but no DICOM"),
        "zeros": (lambda file: file.write_bytes(bytes(900)), "IM0007: named as the slices beside it"),
        "old": (without_mark, "IM0007: old DICOM, without the mark that begins new files, which this page"),
        "headless": (lambda file: replaced([file], b"(\0\x10\0US", b"(\0\x0f\0US"), "IM0007: broken DICOM"),
    }
    files = {name: series(tmp_path / name, name="IM{:04d}") for name in (*damages, "all old", "whole")}
    for name, (damage, _) in damages.items():
        damage(files[name][-1])
    for file in files["all old"]:
        without_mark(file)
    for name in ("whole", "old"):
        (tmp_path / name / "README").write_text("the slices of one person")
    files["whole"].append(tmp_path / "whole" / "README")
    made = page_reads(files, tmp_path, "dicom")
    for name, (_, words) in damages.items():
        assert words in made[name]["refused"], name
    assert "old DICOM" in made["all old"]["refused"]
    check_read(read_image([tmp_path / "whole"]), made["whole"], "whole")
    assert made["whole"]["notes"] == ["README: left out, no DICOM"]
    for name in ("empty", "zeros", "headless"):
        with pytest.raises(DataError):
            read_image([tmp_path / name])


def test_a_slice_without_thickness_is_as_thick_as_slices_lie_apart(tmp_path: Path) -> None:
    said: dict[str, dict[str, Any]] = {
        "zero": {"SliceThickness": 0, "SpacingBetweenSlices": 5},
        "both": {"SliceThickness": 3, "SpacingBetweenSlices": 5},
        "neither": {"SliceThickness": None},
    }
    for name, how in said.items():
        slices(tmp_path / name, stored((6, 5, 1)), **how)
    made = page_reads({name: [tmp_path / name / "00.dcm"] for name in said}, tmp_path, "dicom")
    for name in said:
        check_read(read_image([tmp_path / name]), made[name], name)
    assert made["zero"]["spacing"][2] == pytest.approx(5)


XMP = '<x:xmpmeta><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {}/></x:xmpmeta>'


def test_a_jpeg_that_xmp_turns_is_refused(tmp_path: Path) -> None:
    """Predict turns it, browsers do not; where EXIF says how it lies, XMP is not asked."""
    from PIL import Image

    pixels = (np.random.default_rng(0).random((9, 13)) * 255).astype(np.uint8)
    kinds = {"turned": ("6", None), "upright": ("1", None), "of both": ("6", 1), "by exif": ("1", 8)}
    shapes = {}
    for name, (said, tag) in kinds.items():
        exif = Image.Exif()
        if tag is not None:
            exif[274] = tag
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg", exif=exif)
        plain = (tmp_path / f"{name}.jpg").read_bytes()
        segment = b"http://ns.adobe.com/xap/1.0/\0" + XMP.format(f'tiff:Orientation="{said}"').encode()
        segment = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
        (tmp_path / f"{name}.jpg").write_bytes(plain[:2] + segment + plain[2:])
        shapes[name] = read_image([tmp_path / f"{name}.jpg"]).header.shape
    assert shapes == {"turned": (13, 9), "upright": (9, 13), "of both": (9, 13), "by exif": (13, 9)}
    made = page_reads({name: [tmp_path / f"{name}.jpg"] for name in kinds}, tmp_path)
    assert "turned.jpg: is stored turned (its XMP orientation); save it upright" in made["turned"]["refused"]
    assert "is stored turned (its EXIF orientation)" in made["by exif"]["refused"]
    for name in ("upright", "of both"):  # Node has no decoder of pictures, where it ends
        assert "the browser cannot read it" in made[name]["refused"]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_a_png_index_beyond_its_palette_is_black(tmp_path: Path) -> None:
    palettes = {"colour": bytes([255, 0, 9, 0, 255, 0]), "grey": bytes([9, 9, 9, 50, 50, 50])}
    for name, palette in palettes.items():
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 8, 3, 0, 0, 0)) + chunk(b"PLTE", palette)
        rows = chunk(b"IDAT", zlib.compress(bytes([0, 0, 1, 2, 200]))) + chunk(b"IEND", b"")
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + rows)
    made = page_reads({name: [tmp_path / f"{name}.png"] for name in palettes}, tmp_path, "png")
    for name in palettes:
        check_read(read_image([tmp_path / f"{name}.png"]), made[name], name)


NRRD = {
    "type": "short", "dimension": "3", "space": "left-posterior-superior", "sizes": "4 5 3",
    "space directions": "(1.1,0.1,0) (0,1.2,0.2) (0,-0.2,2.3)", "kinds": "domain domain domain",
    "endian": "little", "encoding": "raw", "space origin": "(5,-7,9)",
}  # fmt: skip


def nrrd(path: Path, changed: dict[str, str], before: bytes = b"", without: str = "") -> Path:
    fields = {name: value for name, value in {**NRRD, **changed}.items() if name != without}
    header = "NRRD0005\n" + "".join(f"{name}: {value}\n" for name, value in fields.items()) + "\n"
    pixels = np.random.default_rng(0).integers(-50, 900, 60).astype("<i2").tobytes()
    path.write_bytes(header.encode() + before + pixels)
    return path


def test_fields_of_nrrd_are_those_of_itk(tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    origin, directions = NRRD["space origin"], NRRD["space directions"]
    read = {
        "origin": nrrd(tmp_path / "origin.nrrd", {"spaceorigin": origin}, without="space origin"),
        "axes": nrrd(tmp_path / "axes.nrrd", {"spacedirections": directions}, without="space directions"),
        "spaces": nrrd(tmp_path / "spaces.nrrd", {"kinds": "space Domain space"}),
        "no kinds": nrrd(tmp_path / "plain.nrrd", {}, without="kinds"),
        "unknown": nrrd(tmp_path / "unknown.nrrd", {"kinds": "??? ??? ???"}),
        "nothing skipped": nrrd(tmp_path / "skip.nrrd", {"byteskip": "0", "line skip": "0"}),
    }
    refused = {
        "bytes": (nrrd(tmp_path / "bytes.nrrd", {"byteskip": "4"}, b"abcd"), "skips bytes"),
        "lines": (nrrd(tmp_path / "lines.nrrd", {"lineskip": "1"}, b"abc\n"), "skips bytes"),
        "list": (nrrd(tmp_path / "list.nrrd", {"kinds": "domain domain list"}), "an axis of the kind list"),
        "colour": (
            nrrd(tmp_path / "rgb.nrrd", {"sizes": "3 5 4", "kinds": "RGB-color domain domain"}),
            "an axis of the kind rgb-color; expected three of space",
        ),
        "vector": (nrrd(tmp_path / "vector.nrrd", {"kinds": "vector domain domain"}), "of the kind vector"),
        "twice": (nrrd(tmp_path / "twice.nrrd", {"spaceorigin": "(1,1,1)"}), "says spaceorigin twice"),
    }
    files = {**read, **{name: file for name, (file, _) in refused.items()}}
    made = page_reads({name: [file] for name, file in files.items()}, tmp_path)
    for name, file in read.items():
        check_read(read_image([file]), made[name], name)
    for name, (file, words) in refused.items():
        assert words in made[name]["refused"], name
        if name in ("list", "colour", "vector", "twice"):  # ITK reads the others
            with pytest.raises(DataError):
                read_image([file])


def nifti(
    path: Path, shape: tuple[int, ...] = (4, 5, 3), *, kind: Any = nib.Nifti1Image, **fields: Any
) -> Path:
    """A file whose header has these fields, whatever nibabel thinks of them."""
    pixels = np.random.default_rng(0).integers(1, 900, shape).astype(np.int16)
    nib.save(kind(pixels, OBLIQUE), path)
    content = path.read_bytes()
    header = kind.header_class(content[: kind.header_class.sizeof_hdr], check=False)
    for name, value in fields.items():
        header._structarr[name] = value
    path.write_bytes(header.binaryblock + content[len(header.binaryblock) :])
    return path


def turned_by(b: float, c: float, d: float) -> dict[str, Any]:
    return {"qform_code": 1, "quatern_b": b, "quatern_c": c, "quatern_d": d}


def test_headers_of_nifti_are_read_as_by_nibabel_or_refused(tmp_path: Path) -> None:
    flat, placed = (4, 5), {"sform_code": 0, "qform_code": 0}
    sizes = [1, 1.5, 2, 5, 1, 1, 1, 1]
    read = {
        "flat": nifti(tmp_path / "flat.nii", flat, **placed, pixdim=sizes),
        "flat 0": nifti(tmp_path / "flat0.nii", flat, **placed, pixdim=[*sizes[:3], 0, 1, 1, 1, 1]),
        "flat and turned": nifti(
            tmp_path / "turned.nii", flat, sform_code=0, **turned_by(0, 0, 0.5), pixdim=sizes
        ),
        "flat, turned, 0": nifti(
            tmp_path / "turned0.nii",
            flat,
            sform_code=0,
            **turned_by(0, 0, 0.5),
            pixdim=[*sizes[:3], 0, *sizes[4:]],
        ),
        "three": nifti(tmp_path / "three.nii", **placed, pixdim=sizes),
        "edge": nifti(tmp_path / "edge.nii", sform_code=0, **turned_by(0, 0, 1 - 1e-7), pixdim=sizes),
        "later": nifti(tmp_path / "later.nii", vox_offset=354, dim=[3, 4, 5, 2, 1, 1, 1, 1]),
    }
    two = nib.Nifti2Image
    within, long = "which is within the header; expected byte", "the quaternion of its qform is longer than 1"
    refused = {
        "348": (nifti(tmp_path / "348.nii", vox_offset=348), within),
        "0": (nifti(tmp_path / "0.nii", vox_offset=0), within),
        "540": (nifti(tmp_path / "540.nii", kind=two, vox_offset=540), within),
        "long": (nifti(tmp_path / "long.nii", sform_code=0, **turned_by(0.9, 0.7, 0.3)), long),
        "long beside": (nifti(tmp_path / "beside.nii", **turned_by(0.9, 0.7, 0.3)), long),
        "long of two": (nifti(tmp_path / "two.nii", kind=two, **turned_by(0, 0, 1 + 1e-7)), long),
        "flat, no size": (
            nifti(tmp_path / "none.nii", flat, **placed, pixdim=[1, 0, *sizes[2:]]), "voxels of size 0 x 2;"
        ),
    }  # fmt: skip
    colours = np.zeros((4, 5, 3, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, OBLIQUE), tmp_path / "rgb.nii")
    refused["colours"] = (tmp_path / "rgb.nii", "2 volumes in colour; expected one")
    files = {**read, **{name: file for name, (file, _) in refused.items()}}
    made = page_reads({name: [file] for name, file in files.items()}, tmp_path)
    for name, (file, words) in refused.items():
        assert words in made[name]["refused"], name
        if name != "0":  # nibabel takes the header for voxels
            with pytest.raises(DataError):
                read_image([file])
    for name, file in read.items():
        check_read(read_image([file]), made[name], name)
    assert made["flat"]["spacing"] == pytest.approx([1.5, 2, 1])


def test_a_code_that_nifti_does_not_have_is_refused(tmp_path: Path) -> None:
    file = nifti(tmp_path / "a.nii", sform_code=7)
    (made,) = page_reads({"a": [file]}, tmp_path).values()
    assert "a.nii: qform_code or sform_code is 7; expected 0 to 5" in made["refused"]


def test_gzip_of_several_parts_is_unpacked_in_a_browser(browser: Any) -> None:
    """Which takes nothing behind the end of the first; Node does."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 20_000, dtype=np.uint8).tobytes()
    start = gzip.compress(b"one" * 999)
    content = {
        "one": (gzip.compress(noise), noise),
        "members": (b"".join(gzip.compress(noise[n : n + 999]) for n in range(0, len(noise), 999)), noise),
        "empty members": (gzip.compress(b"") + gzip.compress(b"a") + gzip.compress(b""), b"a"),
        "padded": (start + bytes(512), b"one" * 999),
        "padded between": (start + bytes(3) + gzip.compress(noise) + bytes(9), b"one" * 999 + noise),
        "start by chance": (  # of a member, within what is stored as it is
            gzip.compress(start + noise, 0) + gzip.compress(b"end"), start + noise + b"end",
        ),
        "cut": (gzip.compress(noise)[:-9], None),
        "cut in the second": (start + gzip.compress(noise)[:-3], None),
        "junk behind": (start + b"junk", None),
        "changed": (start[:-8] + bytes([start[-8] ^ 1]) + start[-7:], None),
    }  # fmt: skip
    page = browser.new_page()
    inside = script_of("gzip").partition("(() => {")[2].removesuffix("})();\n")
    page.add_script_tag(content=inside)
    unpack = """async (text) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const made = await module_gzip.unpacked(bytes, "a.gz").catch((error) => error.message);
      return typeof made === "string" ? made : [...made];
    }"""
    for name, (packed, expected) in content.items():
        found = page.evaluate(unpack, base64.b64encode(packed).decode())
        if expected is None:
            assert found == "a.gz: its gzip stream is damaged; copy the file again", name
        else:
            assert found == list(expected), name
    page.close()


def test_what_a_calibration_of_an_older_measure_is_not_good_for_is_not_computed(
    browser: Any, tmp_path: Path
) -> None:
    points = LabelCalibration(certainty=(0.0, 1.0), dice=(0.0, 0.9), margin=0.1, people=6)
    older = Calibration(labels=(None, points), source="validation", measure=1)
    export_model(model_of(3, calibration=older), tmp_path / "a.html", format="html")
    seen = opened(browser, tmp_path / "a.html")
    tick = seen.page.locator("#confidence")
    assert tick.is_hidden() and not tick.is_checked()
    found = segmented(seen.page, [scan_file(tmp_path)], tmp_path)
    assert seen.page.locator("#doubts").is_hidden()  # the map comes of the work that is left out
    assert [len(row) for row in found.labels] == [2] and seen.complaints == []
    seen.page.context.close()
