"""Series of DICOM slices: the rules by which files become scans, each held by its right value."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.inputs import find_inputs
from stampseg.data.io import pixels
from stampseg.data.io.readers import output_name, read_header, read_image, write_label
from stampseg.data.io.scans import scan_paths
from tests.data.dicom_files import AXIAL, SAGITTAL, affine_of, enhanced, image, slices, values


def check(path: Path, expected: np.ndarray, affine: np.ndarray) -> tuple[str, ...]:
    """Compare what is read with stored values; returns the notes."""
    volume = read_image([path])
    np.testing.assert_array_equal(volume.array[0], expected)
    np.testing.assert_allclose(volume.header.affine, affine, atol=1e-4)
    assert read_header([path]).shape == expected.shape
    return volume.header.notes


def _placed(seen: sitk.Image) -> tuple[object, ...]:
    return seen.GetOrigin(), seen.GetSpacing(), seen.GetDirection()


class TestOfWhom:
    """Slices of two people, or measured from two points, make no scan."""

    @pytest.mark.parametrize("series", ["1.2.840.9", ""])
    def test_slices_of_two_patients_are_two_scans(self, series: str, tmp_path: Path) -> None:
        place = tmp_path / "s"
        for number, patient in enumerate("AB"):
            slices(
                place, values()[:, :, 4 * number : 4 * number + 4], name=patient + "{}.dcm", series=series,
                origin=(-30, 5, 100 + 8 * number), PatientID=patient,
            )  # fmt: skip
        with pytest.raises(
            DataError, match=r"s: 2 DICOM scans found \(.*A0.dcm .*B0.dcm .*; put each in a f"
        ):
            read_image([place])
        assert [case.channels for case in (read_header([path]) for path in scan_paths(place))] == [1, 1]

    def test_a_name_that_some_slices_lack_parts_nothing(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), tags=lambda number: {"PatientID": "" if number % 3 else "A"})
        check(tmp_path / "s", values(), affine_of())

    def test_positions_from_two_points_are_refused(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), tags=lambda n: {"FrameOfReferenceUID": f"1.2.3.{5 + n // 4}"})
        with pytest.raises(DataError, match=r"00.dcm and 04.dcm are of one series, .* 1.2.3.5 and 1.2.3.6\)"):
            read_image([tmp_path / "s"])

    def test_a_point_for_each_slice_was_made_up(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), tags=lambda number: {"FrameOfReferenceUID": f"1.2.3.{number}"})
        check(tmp_path / "s", values(), affine_of())


class TestGeometry:
    @pytest.mark.parametrize(
        "orientation",
        [AXIAL, SAGITTAL, (1, 0, 0, 0, 0, -1), (0.96, 0.28, 0, -0.28, 0.96, 0), (-1, 0, 0, 0, -1, 0)],
        ids=["axial", "sagittal", "coronal", "oblique", "head down"],
    )
    def test_planes_as_itk_has_them(self, tmp_path: Path, orientation: tuple[float, ...]) -> None:
        slices(tmp_path / "s", values(), orientation=orientation)
        assert check(tmp_path / "s", values(), affine_of(orientation=orientation)) == ()
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "s")))
        seen = reader.Execute()
        corner = seen.TransformIndexToPhysicalPoint((5, 4, 7))
        ours = read_header([tmp_path / "s"]).affine @ [5, 4, 7, 1]
        np.testing.assert_allclose(ours[:3] * [-1, -1, 1], corner, atol=1e-3)

    def test_slices_are_sorted_by_place_whatever_their_names_and_numbers(self, tmp_path: Path) -> None:
        slices(
            tmp_path / "s",
            values()[:, :, ::-1],
            name="{:d}.IMA",
            step=(0, 0, -2),
            origin=(-30, 5, 100 + 2 * 7),
            tags=lambda number: {"InstanceNumber": (number * 3) % 8},
        )
        check(tmp_path / "s", values(), affine_of())

    def test_a_tilted_gantry_shears_the_affine_and_is_told(self, tmp_path: Path) -> None:
        tilt = np.deg2rad(20)
        orientation, step = (1, 0, 0, 0, float(np.cos(tilt)), float(np.sin(tilt))), (0.0, 0.0, 2.0)
        slices(tmp_path / "s", values(), orientation=orientation, step=step)
        notes = check(tmp_path / "s", values(), affine_of(orientation=orientation, step=step))
        assert len(notes) == 1 and "s: the slices are tilted by 20 degrees against their stack" in notes[0]
        mask = nib.load(write_label(tmp_path / "mask", values() % 2, tmp_path / "s"))
        np.testing.assert_allclose(mask.affine, affine_of(orientation=orientation, step=step), atol=1e-4)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "s")))
        seen, ours = reader.Execute(), sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
        for one, other in zip(
            _placed(seen), _placed(ours), strict=True
        ):  # right angles, as ITK has the slices
            np.testing.assert_allclose(one, other, atol=1e-5)

    def test_the_distance_of_slices_is_that_of_their_places_not_their_thickness(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), step=(0, 0, 2.5), SliceThickness=5)
        assert read_header([tmp_path / "s"]).spacing == (0.8, 0.9, 2.5)

    def test_one_slice_is_as_thick_as_it_says(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values((6, 5, 1)))
        header = read_header([tmp_path / "s" / "00.dcm"])
        assert header.shape == (6, 5, 1) and header.spacing == (0.8, 0.9, 2.0)
        assert output_name([tmp_path / "s" / "00.dcm"]) == "00.nii.gz"

    def test_directions_of_any_length(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), ImageOrientationPatient=[1.002, 0, 0, 0, 0.997, 0])
        np.testing.assert_allclose(read_header([tmp_path / "s"]).spacing, (0.8, 0.9, 2.0), rtol=1e-5)

    def test_slices_that_some_other_program_stored(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), sop_class=SecondaryCaptureImageStorage, Modality="OT")
        assert [case.id for case in find_inputs([tmp_path / "s"])] == ["s"]
        check(tmp_path / "s", values(), affine_of())

    def test_very_small_voxels(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), spacing=(0.004, 0.004, 0.005), origin=(0, 0, 1))
        np.testing.assert_allclose(read_header([tmp_path / "s"]).spacing, (0.004, 0.004, 0.005), rtol=1e-3)


class TestValues:
    def test_each_slice_has_its_own_slope_and_intercept(self, tmp_path: Path) -> None:
        slopes, intercepts = np.linspace(1, 0.013, 8).round(5), np.arange(8) * -100.5
        slices(
            tmp_path / "s",
            values(),
            tags=lambda n: {"RescaleSlope": slopes[n], "RescaleIntercept": intercepts[n]},
        )
        read = read_image([tmp_path / "s"]).array[0]
        np.testing.assert_allclose(read, values() * slopes + intercepts, atol=1e-4)

    def test_signed_values_of_twelve_bits(self, tmp_path: Path) -> None:
        stored = (values() - 250).astype(np.int16) & 0x0FFF  # the upper bits are not filled
        slices(tmp_path / "s", stored.astype(np.int16), BitsStored=12, HighBit=11)
        np.testing.assert_array_equal(read_image([tmp_path / "s"]).array[0], values() - 250)

    def test_run_length_packed(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values())
        repack(tmp_path / "s")
        check(tmp_path / "s", values(), affine_of())

    def test_what_pydicom_cannot_unpack_itk_does(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = values((28, 30, 3))  # GDCM takes no smaller ones
        slices(tmp_path / "s", stored, RescaleSlope="0.5", RescaleIntercept="-7")
        repack(tmp_path / "s")
        monkeypatch.setattr(get_decoder(RLELossless), "_available", {})
        unpacked = []
        by_itk = pixels._unpacked_by_itk
        monkeypatch.setattr(pixels, "_unpacked_by_itk", lambda *a: unpacked.append(a) or by_itk(*a))
        read = read_image([tmp_path / "s"]).array[0]
        np.testing.assert_allclose(read, stored * 0.5 - 7)
        assert len(unpacked) == 3

    def test_a_slope_of_nothing_is_refused(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), RescaleSlope=0)
        with pytest.raises(DataError, match=r"00\.dcm: broken DICOM file \(RescaleSlope is 0, which makes"):
            read_image([tmp_path / "s"])

    @pytest.mark.parametrize("keyword", ["RescaleIntercept", "RescaleSlope"])
    @pytest.mark.parametrize("value", [b"-1024,5 ", rb"1\2 ", b"nan "])
    def test_a_rescaling_that_is_no_number_is_refused(
        self, tmp_path: Path, keyword: str, value: bytes
    ) -> None:
        """Taken for absent, it would put a CT 1024 HU off."""
        slices(tmp_path / "s", values(), RescaleIntercept=-1000, RescaleSlope=2)
        tag = {"RescaleIntercept": b"\x28\0\x52\x10DS", "RescaleSlope": b"\x28\0\x53\x10DS"}[keyword]
        for path in (tmp_path / "s").iterdir():
            start, end = path.read_bytes().split(tag)
            length = int.from_bytes(end[:2], "little")
            path.write_bytes(start + tag + len(value).to_bytes(2, "little") + value + end[2 + length :])
        told = re.escape(repr(value.decode().strip()))
        with pytest.raises(DataError, match=rf"\.dcm: {keyword} is {told}; expected one number.*correct the"):
            read_image([tmp_path / "s"])

    def test_an_empty_rescaling_is_none(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), RescaleIntercept="", RescaleSlope="")
        check(tmp_path / "s", values(), affine_of())

    def test_frames_of_one_file_by_time_and_place(self, tmp_path: Path) -> None:
        first, second = values((6, 5, 4), 1), values((6, 5, 4), 2)
        order = np.random.default_rng(0).permutation(8).tolist()
        path = enhanced(tmp_path / "s" / "e.dcm", [first, second], [0.5, 2.0], order)
        with pytest.raises(DataError, match=r"e\.dcm: 2 DICOM scans found \(series3_time1: e\.dcm; series3_"):
            read_image([path])
        one, two = find_inputs([tmp_path / "s"])
        assert [one.id, two.id] == ["s_series3_time1", "s_series3_time2"]
        check(one.images[0], first * np.float32(0.5), affine_of())
        check(two.images[0], second * np.float32(2), affine_of())

    def test_frames_of_one_file_are_one_scan(self, tmp_path: Path) -> None:
        path = enhanced(tmp_path / "e.dcm", [values()], [1.0], [3, 1, 2, 0, 7, 6, 5, 4])
        check(path, values(), affine_of())


class TestStrangers:
    def test_files_that_are_no_images(self, tmp_path: Path) -> None:
        series = slices(tmp_path / "s", values())
        for name in ("DICOMDIR", "Thumbs.db", "readme.txt", "notes"):
            (tmp_path / "s" / name).write_bytes(b"x" * 300)
        picture(tmp_path / "s" / "preview.jpg")
        common = {"series": series, "pixels": values((5, 6))}
        image(tmp_path / "s" / "seg.dcm", sop_class=SegmentationStorage, **common)
        nothing = {"Rows": None, "Columns": None, "PixelData": None}
        image(tmp_path / "s" / "rs.dcm", sop_class=RTStructureSetStorage, **common, **nothing)
        assert check(tmp_path / "s", values(), affine_of()) == ()
        (case,) = find_inputs([tmp_path / "s"])
        assert case.images == (tmp_path / "s",)

    @pytest.mark.parametrize("size", [(5, 6), (64, 60)])
    def test_a_capture_without_a_place_is_left_out_and_told(
        self, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        series = slices(tmp_path / "s", values())
        capture = SecondaryCaptureImageStorage
        image(tmp_path / "s" / "sheet.dcm", values(size), series=series, sop_class=capture)
        (note,) = check(tmp_path / "s", values(), affine_of())
        assert note.endswith("s: left out, without a position: sheet.dcm")

    def test_localizers_are_left_out_and_told(self, tmp_path: Path) -> None:
        series = slices(tmp_path / "s", values())
        slices(
            tmp_path / "s", values((6, 5, 3)), series=series, orientation=SAGITTAL, name="scout{}.dcm",
            ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        )  # fmt: skip
        (note,) = check(tmp_path / "s", values(), affine_of())
        assert note.endswith("s: left out, localizers: scout0.dcm, scout1.dcm, scout2.dcm")

    def test_two_slices_of_another_plane_are_left_out_and_told(self, tmp_path: Path) -> None:
        series = slices(tmp_path / "s", values())
        across = {"orientation": (1, 0, 0, 0, 0, -1), "series": series, "name": "loc{}.dcm"}
        slices(tmp_path / "s", values()[:, :, :2], **across)
        (note,) = check(tmp_path / "s", values(), affine_of())
        assert note.endswith("left out, of another plane or series: loc0.dcm, loc1.dcm")

    def test_a_lone_slice_of_another_plane_is_left_out_and_told(self, tmp_path: Path) -> None:
        series = slices(tmp_path / "s", values())
        slices(tmp_path / "s", values((6, 5, 1)), series=series, orientation=SAGITTAL, name="x{}.dcm")
        (note,) = check(tmp_path / "s", values(), affine_of())
        assert note.endswith("s: left out, of another plane or series: x0.dcm")

    def test_a_lone_slice_of_another_size_is_refused(self, tmp_path: Path) -> None:
        series = slices(tmp_path / "s", values())
        slices(tmp_path / "s", values((9, 9, 1)), series=series, origin=(-30, 5, 116), name="x{}.dcm")
        message = r"s: x0\.dcm is of 9 x 9 pixels of 0.8 x 0.9 mm in a series of 6 x 5 pixels of 0.8 x 0.9 mm"
        with pytest.raises(DataError, match=message):
            read_header([tmp_path / "s"])


class TestSeveral:
    def test_planes_of_one_series_are_scans_each(self, tmp_path: Path) -> None:
        series = slices(tmp_path / "s", values())
        slices(tmp_path / "s", values(seed=1), series=series, orientation=SAGITTAL, name="b{}.dcm")
        one, two = find_inputs([tmp_path / "s"])
        check(one.images[0], values(), affine_of())
        check(two.images[0], values(seed=1), affine_of(orientation=SAGITTAL))
        assert output_name(two.images) == "s_series3_2.nii.gz"
        message = (
            r"s: 2 DICOM scans found \(series3: 8 files from 00.dcm to 07.dcm; series3_2: 8 files from b0.dcm"
        )
        with pytest.raises(DataError, match=message):
            read_header([tmp_path / "s"])
        with pytest.raises(DataError, match=r"s/other: no such scan; .*s holds s_series3, s_series3_2"):
            read_header([tmp_path / "s" / "other"])

    @pytest.mark.parametrize(
        ("keyword", "given", "names"),
        [
            ("EchoTime", (4.6, 9.2), ["echo4-6", "echo9-2"]),
            ("AcquisitionNumber", (1, 2), ["acquisition1", "acquisition2"]),
            ("TemporalPositionIdentifier", (1, 2), ["time1", "time2"]),
            ("DiffusionBValue", (0.0, 800.0), ["b0", "b800"]),
            ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]), None),
        ],
    )
    def test_slices_at_one_place_are_parted_by_what_the_headers_tell(
        self, tmp_path: Path, keyword: str, given: tuple, names: list[str] | None
    ) -> None:
        series = slices(tmp_path / "s", values(), **{keyword: given[0]})
        slices(tmp_path / "s", values(seed=1), series=series, name="x{}.dcm", **{keyword: given[1]})
        one, two = find_inputs([tmp_path / "s"])
        check(one.images[0], values(), affine_of())
        check(two.images[0], values(seed=1), affine_of())
        if names:
            assert [case.id for case in (one, two)] == [f"s_series3_{name}" for name in names]

    def test_echoes_of_phases(self, tmp_path: Path) -> None:
        series = None
        for echo in (1, 2):
            for time in (1, 2):
                series = slices(
                    tmp_path / "s", values(seed=10 * echo + time), series=series,
                    name=f"{echo}{time}" + "_{}.dcm", EchoNumbers=echo, TemporalPositionIdentifier=time,
                )  # fmt: skip
        cases = {case.id: case for case in find_inputs([tmp_path / "s"])}
        assert len(cases) == 4
        check(cases["s_series3_time1_echo2"].images[0], values(seed=21), affine_of())

    def test_two_regions_of_one_series(self, tmp_path: Path) -> None:
        series = slices(tmp_path / "s", values(), AcquisitionNumber=1)
        slices(
            tmp_path / "s", values(seed=1), series=series, name="x{}.dcm", origin=(-30, 5, 300),
            AcquisitionNumber=2,
        )  # fmt: skip
        one, two = find_inputs([tmp_path / "s"])
        check(one.images[0], values(), affine_of())
        check(two.images[0], values(seed=1), affine_of(origin=(-30, 5, 300)))

    @pytest.mark.parametrize(
        ("first", "step", "thick"), [(102.1, 5.0, 2.0), (102.5, 5.0, 5.0)], ids=["uneven", "overlapping"]
    )
    def test_two_acquisitions_whose_slices_lie_between_each_other(
        self, first: float, step: float, thick: float, tmp_path: Path
    ) -> None:
        common = {"spacing": (0.8, 0.9, step), "SliceThickness": thick}
        series = slices(tmp_path / "s", values(), AcquisitionNumber=1, **common)
        slices(
            tmp_path / "s", values(seed=1), series=series, name="x{}.dcm", origin=(-30, 5, first),
            AcquisitionNumber=2, **common,
        )  # fmt: skip
        one, two = find_inputs([tmp_path / "s"])
        assert [case.id for case in (one, two)] == ["s_series3_acquisition1", "s_series3_acquisition2"]
        (note,) = check(one.images[0], values(), affine_of(spacing=(0.8, 0.9, step)))
        assert "s: slices of several acquisitions lie between each other; each is a scan of its own" in note
        check(two.images[0], values(seed=1), affine_of(spacing=(0.8, 0.9, step), origin=(-30, 5, first)))

    def test_a_scan_taken_in_two_packages_is_one(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), tags=lambda number: {"AcquisitionNumber": 1 + number % 2})
        assert check(tmp_path / "s", values(), affine_of()) == ()

    def test_a_scan_taken_in_two_halves_is_one(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), tags=lambda number: {"AcquisitionNumber": 1 + number // 4})
        assert check(tmp_path / "s", values(), affine_of()) == ()

    def test_copies_of_slices_are_left_out_and_told(self, tmp_path: Path) -> None:
        series = slices(tmp_path / "s", values())
        slices(tmp_path / "s", values(), series=series, name="copy{}.dcm")
        (note,) = check(tmp_path / "s", values(), affine_of())
        assert "s: left out, copies of slices: copy0.dcm, copy1.dcm, copy2.dcm, copy3.dcm and 4 more" in note

    def test_slices_at_one_place_that_nothing_tells_apart_are_refused(self, tmp_path: Path) -> None:
        series = slices(tmp_path / "s", values())
        slices(tmp_path / "s", values(seed=1), series=series, name="x{}.dcm")
        message = (
            r"s: 8 positions have more than one slice, the first at \(-30, 5, 100\) mm: 00.dcm, x0.dcm; "
            "expected each position once"
        )
        with pytest.raises(DataError, match=message):
            read_header([tmp_path / "s"])

    def test_series_of_one_folder(self, tmp_path: Path) -> None:
        for number, name in ((3, "a{}"), (4, "b{}")):
            slices(tmp_path / "s", values(seed=number), name=name, SeriesNumber=number)
        assert [case.id for case in find_inputs([tmp_path / "s"])] == ["s_series3", "s_series4"]

    def test_slices_of_many_planes_are_refused(self, tmp_path: Path) -> None:
        series = None
        for number in range(5):
            turn = np.deg2rad(36 * number)
            plane = (float(np.cos(turn)), float(np.sin(turn)), 0, 0, 0, -1)
            series = slices(
                tmp_path / "s", values((6, 5, 1)), series=series, orientation=plane, name=f"{number}.dcm"
            )
        with pytest.raises(DataError, match=r"s: 5 slices of 5 planes, sizes or series \(0.dcm, 1.dcm, "):
            read_header([tmp_path / "s"])

    def test_a_missing_slice_is_not_explained_by_the_time(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), tags=lambda n: {"ContentTime": f"10000{n // 3}"})
        (tmp_path / "s" / "03.dcm").unlink()
        with pytest.raises(DataError, match="slices are missing between"):
            read_header([tmp_path / "s"])

    def test_a_mosaic_is_refused(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
        with pytest.raises(DataError, match=r"holds its slices side by side \(a Siemens mosaic\); expected"):
            read_header([tmp_path / "s"])


class TestMissing:
    def test_slices_that_are_not_there(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values())
        (tmp_path / "s" / "03.dcm").unlink()
        message = (
            r"s: slices are missing between \(-30, 5, 104\) mm \(02.dcm\) and \(-30, 5, 108\) mm \(04.dcm\): "
            "4 mm apart, mostly 2; add the missing slices"
        )
        with pytest.raises(DataError, match=message):
            read_image([tmp_path / "s"])

    def test_uneven_slices(self, tmp_path: Path) -> None:
        heights = [0, 2, 4, 6, 8.7, 10, 12, 14]
        slices(tmp_path / "s", values(), tags=lambda n: {"ImagePositionPatient": [-30, 5, 100 + heights[n]]})
        message = (
            r"s: slices are not evenly spaced \(1.3 to 2.7 mm, mostly 2\): 04.dcm at \(-30, 5, 108.7\) mm"
        )
        with pytest.raises(DataError, match=message):
            read_image([tmp_path / "s"])

    def test_slices_that_lie_beside_each_other(self, tmp_path: Path) -> None:
        slices(
            tmp_path / "s",
            values(),
            tags=lambda n: {"ImagePositionPatient": [-30 + 2 * (n == 4), 5, 100 + 2 * n]},
        )
        with pytest.raises(DataError, match=r"04.dcm at \(-28, 5, 108\) mm lies 2.5 voxels beside the even"):
            read_image([tmp_path / "s"])

    @pytest.mark.parametrize(
        ("place", "bytes_left", "message"),
        [
            (7, 0, r"07\.dcm: is empty; copy it again"),
            (0, 500, r"00\.dcm: broken DICOM file \(a CT Image without rows and columns\)"),
            (3, -30, r"03\.dcm: the header promises 60 bytes of voxels"),
            (4, 150, r"04\.dcm: broken DICOM file \("),
        ],
    )
    def test_a_file_that_is_cut_short_is_named(
        self, tmp_path: Path, place: int, bytes_left: int, message: str
    ) -> None:
        slices(tmp_path / "s", values())
        cut(tmp_path / "s" / f"{place:02d}.dcm", bytes_left)
        for read in (read_header, read_image):
            with pytest.raises(DataError, match=message):
                read([tmp_path / "s"])

    def test_a_broken_file_without_a_suffix(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values(), name="IM{:04d}")
        (tmp_path / "s" / "IM0007").write_bytes(b"")
        with pytest.raises(DataError, match="IM0007: named as the slices beside it, but no DICOM; copy it"):
            read_image([tmp_path / "s"])

    def test_packed_pixels_that_are_cut_short(self, tmp_path: Path) -> None:
        slices(tmp_path / "s", values())
        repack(tmp_path / "s")
        cut(tmp_path / "s" / "05.dcm", -40)
        with pytest.raises(DataError, match=r"05\.dcm: its pixels cannot be read"):
            read_image([tmp_path / "s"])

    @pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
    def test_no_place(self, tmp_path: Path, keyword: str) -> None:
        slices(tmp_path / "all", values(), tags=lambda _: {keyword: None})
        with pytest.raises(DataError, match=r"all: 00.dcm, 01.dcm, 02.dcm, 03.dcm and 4 more without posit"):
            read_image([tmp_path / "all"])
        slices(tmp_path / "one", values(), tags=lambda n: {keyword: None} if n == 5 else {})
        with pytest.raises(
            DataError, match=r"one: 05.dcm without position, .* which the other 7 slices have"
        ):
            read_image([tmp_path / "one"])


class TestPictures:
    def test_one_x_ray_a_file(self, tmp_path: Path) -> None:
        kind = DigitalXRayImageStorageForPresentation
        for number in range(3):
            stored = values((7, 9), number)
            image(tmp_path / f"p{number}.dcm", stored, series=f"1.{number}", sop_class=kind, Modality="DX")
        cases = find_inputs([tmp_path])
        assert [case.id for case in cases] == ["p0", "p1", "p2"]
        read = read_image(cases[2].images)
        assert read.header.is_picture and read.header.affine is None
        np.testing.assert_array_equal(read.array, values((7, 9), 2)[None])
        assert output_name(cases[2].images) == "p2.png"
        assert write_label(tmp_path / "m", values((7, 9)) % 2, cases[2].images).name == "m.png"

    def test_one_x_ray_a_folder(self, tmp_path: Path) -> None:
        for number in range(2):
            path = tmp_path / f"p{number}" / "scan"
            image(path, values((7, 9), number), series=f"1.{number}", Modality="CR")
        assert [output_name(case.images) for case in find_inputs([tmp_path])] == ["p0.png", "p1.png"]

    def test_views_of_one_series_stay_apart(self, tmp_path: Path) -> None:
        for number in range(4):
            image(tmp_path / f"v{number}.dcm", values((7, 9), number), series="1.5", Modality="MG")
        assert len(find_inputs([tmp_path])) == 4

    def test_greys_that_are_stored_inverted_are_turned(self, tmp_path: Path) -> None:
        stored = np.array([[0, 4095], [1000, 3]], np.uint16)
        tags = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
        path = image(tmp_path / "a.dcm", stored, series="1.1", Modality="CR", **tags)
        np.testing.assert_array_equal(read_image([path]).array[0], [[4095, 0], [3095, 4092]])

    def test_colours(self, tmp_path: Path) -> None:
        stored = np.random.default_rng(0).integers(0, 255, (7, 9, 3)).astype(np.uint8)
        path = image(tmp_path / "a.dcm", stored, series="1", sop_class=UltrasoundImageStorage, Modality="US")
        np.testing.assert_array_equal(read_image([path]).array, stored.transpose(2, 0, 1))

    def test_a_film_of_pictures_is_refused(self, tmp_path: Path) -> None:
        kind = UltrasoundMultiFrameImageStorage
        path = image(tmp_path / "a.dcm", values((3, 7, 9)), series="1", sop_class=kind, Modality="US")
        with pytest.raises(DataError, match=r"a.dcm: a.dcm without position, .*save each picture as a file"):
            read_image([path])

    def test_a_file_without_a_suffix(self, tmp_path: Path) -> None:
        path = image(tmp_path / "1.2.840.7", values((7, 9)), series="1", Modality="DX")
        (case,) = find_inputs([path])
        assert case.id == "1.2.840.7" and output_name(case.images) == "1.2.840.7.png"
        np.testing.assert_array_equal(read_image([path]).array[0], values((7, 9)))


class TestFolders:
    def test_a_person_a_study_and_a_series(self, tmp_path: Path) -> None:
        for person in ("P1", "P2"):
            slices(tmp_path / "images" / person / "study" / "7", values())
            (tmp_path / "labels").mkdir(exist_ok=True)
            mask = nib.Nifti1Image((values() > 200).astype(np.uint8), affine_of())
            nib.save(mask, tmp_path / "labels" / f"{person}.nii.gz")
        assert [case.id for case in find_dataset(tmp_path).cases] == ["P1", "P2"]
        check(tmp_path / "images" / "P1", values(), affine_of())
        assert [case.id for case in find_inputs([tmp_path / "images"])] == ["P1", "P2"]

    def test_a_study_gives_its_series(self, tmp_path: Path) -> None:
        for name in ("t1", "t2"):
            slices(tmp_path / "study" / name, values())
        assert [case.id for case in find_inputs([tmp_path / "study"])] == ["t1", "t2"]
        with pytest.raises(DataError, match=r"no image found; .*; name one of its folders: study"):
            find_inputs([tmp_path])

    def test_copies_of_a_series_are_one_person(self, tmp_path: Path) -> None:
        for person, seed in (("a", 0), ("b", 1), ("c", 2)):
            slices(tmp_path / "images" / person, values(seed=seed))
            (tmp_path / "labels").mkdir(exist_ok=True)
            mask = nib.Nifti1Image((values() > 200).astype(np.uint8), affine_of())
            nib.save(mask, tmp_path / "labels" / f"{person}.nii.gz")
        shutil.rmtree(tmp_path / "images" / "c")
        shutil.copytree(tmp_path / "images" / "a", tmp_path / "images" / "c")
        dataset = find_dataset(tmp_path)
        assert dataset.warnings == ("a and c are the same image; they are kept in one group",)
        assert dataset.cases[0].group == dataset.cases[2].group != dataset.cases[1].group

    def test_a_broken_series_does_not_stop_the_search(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            slices(tmp_path / name, values())
        cut(tmp_path / "a" / "03.dcm", 0)
        assert [case.id for case in find_inputs([tmp_path / "a", tmp_path / "b"])] == ["a", "b"]


def picture(path: Path) -> None:
    from PIL import Image

    Image.new("L", (64, 64)).save(path)


def cut(path: Path, length: int) -> None:
    """Keep the first bytes of a file, or lose the last ones."""
    path.write_bytes(path.read_bytes()[:length])


def repack(folder: Path) -> None:
    for path in folder.iterdir():
        source = pydicom.dcmread(path)
        source.compress(RLELossless)
        source.save_as(path)
