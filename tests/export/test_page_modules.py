"""The page's modules against numpy: the same mask, whatever the plan asks for and the file looks like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from stampseg.data.calibration import MEASURE, Calibration, LabelCalibration
from stampseg.data.io.readers import read_image
from stampseg.data.labels.postprocess import LabelSteps, postprocessed
from stampseg.data.labels.regions import Region
from stampseg.data.labels.shapes import LabelShape
from stampseg.data.likeness import remarks
from stampseg.data.plan import Intensity, Plan, TrainingScans
from stampseg.data.preprocess import prepare
from stampseg.runtime.confidence import segment_confidently
from stampseg.runtime.trust import trust_of
from tests.data.dicom_files import SAGITTAL, image, slices
from tests.data.dicom_files import values as stored
from tests.export.modules import check_read, in_node
from tests.export.page_cases import OBLIQUE, as_case, plan_of, scores, volume_of, weights_of

WINDOW = Intensity(low=-100, high=300, mean=50, std=80)
REGIONS = (
    Region(name="whole", classes=(1, 2, 3), written=1),
    Region(name="core", classes=(2, 3), written=3),
    Region(name="inner", classes=(2,), written=2),
)
VARIANTS: dict[str, tuple[Plan, tuple[LabelSteps, ...]]] = {
    "zscore": (plan_of(), ()),
    "two classes": (plan_of(2), ()),
    "as in the file": (plan_of(orientation="file", spacing=(1.0, 1.0, 2.0)), ()),
    "other axes": (plan_of(orientation="LPS", axes=(2, 0, 1), spacing=(2.0, 1.0, 1.2)), ()),
    "ct": (plan_of(normalization="ct", ct=(WINDOW,)), ()),
    "cropped": (plan_of(crop="nonzero", normalization="mean-std"), ()),
    "filled mask": (plan_of(crop="nonzero", normalization="mean-std-mask"), ()),
    "own voxels": (plan_of(normalization="mean-std-nonzero"), ()),
    "range": (plan_of(normalization="min-max", spacing=(0.7, 2.0, 1.0)), ()),
    "two channels": (plan_of(in_channels=2, normalization=("zscore", "min-max")), ()),
    "larger window": (plan_of(patch_size=(40, 12, 40)), ()),
    "one piece": (plan_of(one_piece=(1, 2)), ()),
    "steps": (
        plan_of(),
        (LabelSteps(label=1, fill_holes=True, least=8.0), LabelSteps(label=2, fill_holes=True, largest=True)),
    ),
    "picture": (plan_of(dims=2), ()),
    "coarse picture": (plan_of(dims=2, spacing=(2.0, 3.0), one_piece=(2,)), ()),
    "picture of three colours": (plan_of(dims=2, in_channels=3), ()),
    "turned picture": (plan_of(dims=2, axes=(1, 0), normalization="mean-std-mask", crop="nonzero"), ()),
    "picture with steps": (
        plan_of(dims=2), (LabelSteps(label=1, fill_holes=True, largest=True), LabelSteps(label=2, least=9.0)),
    ),
    "regions": (plan_of(4, regions=REGIONS), ()),
    "regions as they lie": (plan_of(4, regions=REGIONS, orientation="file", spacing=(1.1, 1.0, 2.2)), ()),
    "regions of pictures": (
        plan_of(4, dims=2, regions=REGIONS, spacing=(2.0, 1.5), one_piece=(2,)),
        (LabelSteps(label=1, fill_holes=True, least=9.0),),
    ),
    "many classes": (plan_of(300, dims=2, spacing=(1.5, 1.0)), ()),
    "bright spots": (plan_of(), ()),
}  # fmt: skip


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("modules")
    cases = [
        as_case(plan, steps, volume_of(plan, seed, name == "bright spots"), folder, seed)
        for seed, (name, (plan, steps)) in enumerate(VARIANTS.items())
    ]
    return dict(zip(VARIANTS, in_node(cases, folder), strict=True))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_mask_is_that_of_predict(name: str, masks: dict[str, dict[str, Any]]) -> None:
    plan, steps = VARIANTS[name]
    seed = list(VARIANTS).index(name)
    volume = volume_of(plan, seed, name == "bright spots")
    found = segment_confidently(prepare(volume, plan), plan, scores(weights_of(plan, seed)))
    expected = postprocessed(found.mask, steps, volume.header.spacing)
    order = "F" if plan.spatial_dims == 3 else "C"
    mask = np.reshape(masks[name]["mask"], volume.header.shape, order=order)
    assert len(np.unique(expected)) >= 2
    assert (mask != expected).mean() <= 1e-3  # of voxels whose scores are the same but for rounding
    assert masks[name]["dropped"] == found.dropped
    doubt = np.reshape(masks[name]["doubt"], volume.header.shape, order=order)
    assert found.uncertainty.max() > 50
    assert (abs(doubt - found.uncertainty.astype(float)) / 255 <= 0.01).mean() >= 0.999
    certainty = [label["certainty"] for label in masks[name]["labels"]]
    assert certainty == pytest.approx(list(found.certainty[1:]), abs=2e-3)
    voxel = float(np.prod(volume.header.spacing))
    for (structure, classes), label in zip(plan.structures, masks[name]["labels"], strict=True):
        assert label["size"] == pytest.approx(label["voxels"] * voxel)
        assert (label["name"], label["voxels"]) == (structure, np.isin(mask, classes).sum())
    if plan.regions:  # which other voxels have than those whose likeliest class is of the region
        classes_alone = plan.model_copy(update={"regions": ()})
        likeliest = segment_confidently(prepare(volume, plan), classes_alone, scores(weights_of(plan, seed)))
        assert (likeliest.mask != found.mask).mean() > 0.01 and len(np.unique(found.mask)) >= 3


def test_without_confidence_there_is_no_map_of_doubt(tmp_path: Path) -> None:
    case = as_case(plan_of(), (), volume_of(plan_of(), 1), tmp_path, 1)
    (made,) = in_node([{**case, "confidence": False}], tmp_path)
    assert made["doubt"] is None and [label["certainty"] for label in made["labels"]] == [None, None]


def test_the_colours_of_doubt_rise_in_lightness_by_even_steps(tmp_path: Path) -> None:
    """By CIELAB, which is another measure of what eyes see than the one that they are made by."""
    (colours,) = in_node([{"job": "scale", "count": 21}], tmp_path)
    share = np.array(colours) / 255
    assert share.min() > 0 and share.max() < 1  # none lies outside of what screens show
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    white = np.array([0.9505, 1.0, 1.089])
    cones = (
        linear
        @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
        / white
    )
    light = 116 * np.cbrt(cones[:, 1]) - 16  # all above .0089
    steps = np.diff(light)
    assert light[0] < 40 and light[-1] > 85 and steps.min() > 1 and steps.max() < 2 * steps.min()


def test_what_is_said_of_a_mask_is_said_by_predict(tmp_path: Path) -> None:
    """Expected Dice, labels that are missing, and in what the image is unlike those of training."""
    known = LabelShape(cases=6, size=(1.0, 2.0), pieces=1, at_border=False)
    points = LabelCalibration(certainty=(0.2, 0.5, 0.9), dice=(0.1, 0.4, 0.8), margin=0.15, people=6)
    plan = plan_of(
        4,
        normalization="ct", ct=(WINDOW,),
        calibration=Calibration(labels=(None, points, None, points), source="validation", measure=MEASURE),
        scans=TrainingScans(
            spacing=((0.4, 0.5),) * 3, extent=((5.0, 6.0),) * 3, labels=(None, known, known, known), cases=6,
            values=((-1000.0, -900.0), (-950.0, -940.0), (-900.0, -800.0)),
        ),
    )  # fmt: skip
    volume, seed = volume_of(plan, 50), 50
    case = as_case(plan, (), volume, tmp_path, seed)
    case["weights"][3]["bias"] = -100.0
    (made,) = in_node([case], tmp_path)
    found = segment_confidently(prepare(volume, plan), plan, scores(case["weights"]))
    unlike = remarks(volume, plan)
    assert made["remarks"] == unlike and len(unlike) == 3
    for label, trust in zip(made["labels"], trust_of(found, plan, volume.header, unlike).labels, strict=True):
        wanted = None if trust.expected is None else pytest.approx(list(trust.expected), abs=2e-3)
        assert label["expected"] == wanted
    assert made["labels"][2]["expected"] == [0, 0, 0] and made["labels"][1]["expected"] is None
    assert [label["words"] for label in made["labels"][1:]] == ["not found", "not found"]


def test_nothing_found_and_too_few_people_are_said_as_by_predict(tmp_path: Path) -> None:
    """One label of six people, one that half of the training cases lack, and one that all of them have."""
    always = LabelShape(cases=6, size=(1.0, 2.0), pieces=1, at_border=False)
    shapes = (None, always, always.model_copy(update={"cases": 3}), always)
    points = LabelCalibration(certainty=(0.2, 0.9), dice=(0.3, 0.8), margin=0.15, people=9)
    few = points.model_copy(update={"people": 6, "level": 6 / 7})
    ranges = {"spacing": ((0.1, 9.0),) * 3, "extent": ((1.0, 99.0),) * 3, "values": ()}
    plan = plan_of(
        4,
        calibration=Calibration(labels=(None, few, points, points), source="folds", measure=MEASURE),
        scans=TrainingScans(**ranges, labels=shapes, cases=6),
    )
    volume, seed = volume_of(plan, 64), 64
    case = as_case(plan, (), volume, tmp_path, seed)
    case["weights"][2]["bias"] = -100.0
    (made,) = in_node([case], tmp_path)
    found = segment_confidently(prepare(volume, plan), plan, scores(case["weights"]))
    trusts = trust_of(found, plan, volume.header, ()).labels
    assert [trust.found for trust in trusts] == [True, False, True]
    words = [label["words"] for label in made["labels"]]
    assert words == [trust.words for trust in trusts] and words[1] == "nothing found"
    assert words[0].startswith("0.") and "(" not in words[0] and words[2].endswith(")")
    assert made["labels"][0]["expected"][1:] == [0, 1] and made["labels"][1]["expected"] is None


def test_what_is_to_be_expected_of_regions_is_said_by_predict(tmp_path: Path) -> None:
    known = LabelShape(cases=6, size=(1.0, 2.0), pieces=1, at_border=False)
    points = LabelCalibration(certainty=(0.2, 0.5, 0.9), dice=(0.1, 0.4, 0.8), margin=0.15, people=6)
    ranges = {"spacing": ((0.1, 9.0),) * 3, "extent": ((1.0, 99.0),) * 3, "values": ()}
    plan = plan_of(
        4,
        regions=REGIONS,
        calibration=Calibration(labels=(None, points, None, points), source="folds", measure=MEASURE),
        scans=TrainingScans(**ranges, labels=(None, None, known, None), cases=6),
    )
    volume, seed = volume_of(plan, 90), 90
    case = as_case(plan, (), volume, tmp_path, seed)
    case["weights"][2]["bias"] = -100.0  # the innermost region is not found
    (made,) = in_node([case], tmp_path)
    found = segment_confidently(prepare(volume, plan), plan, scores(case["weights"]))
    trusts = trust_of(found, plan, volume.header, ()).labels
    assert [trust.missing for trust in trusts] == [False, False, True]
    for label, trust in zip(made["labels"], trusts, strict=True):
        assert label["expected"] == (trust.expected and pytest.approx(list(trust.expected), abs=2e-3))


@pytest.mark.parametrize("what", ["spacing", "extent"])
def test_voxels_and_extent_are_unlike_from_the_same_factor_on(what: str, tmp_path: Path) -> None:
    seed, file = 70, plan_of(orientation="file")
    volume = volume_of(file, seed)
    sizes = volume.header.spacing
    extent = [n * size for n, size in zip(volume.header.shape, sizes, strict=True)]
    wide = {"spacing": ((0.01, 100.0),) * 3, "extent": ((0.1, 1000.0),) * 3, "values": ()}
    plans = []
    for factor in (1 / 1.8, 1 / 1.65, 1 / 1.55, 1.55, 1.65, 1.8):
        near = tuple((size / factor,) * 2 for size in (sizes if what == "spacing" else extent))
        plans.append(file.model_copy(update={"scans": TrainingScans(**{**wide, what: near})}))
    made = in_node([as_case(plan, (), volume, tmp_path, seed) for plan in plans], tmp_path)
    said = [one["remarks"] for one in made]
    assert said == [remarks(volume, plan) for plan in plans]
    assert [len(words) for words in said] == [1, 1, 0, 0, 1, 1]


def test_a_label_that_the_steps_empty_is_missing_as_by_predict(tmp_path: Path) -> None:
    known = LabelShape(cases=6, size=(1.0, 2.0), pieces=1, at_border=False)
    points = LabelCalibration(certainty=(0.2, 0.9), dice=(0.3, 0.8), margin=0.15, people=6)
    volume, seed = volume_of(plan_of(), 60), 60
    ranges = {"spacing": ((0.1, 9.0),) * 3, "extent": ((1.0, 99.0),) * 3, "values": ()}
    plan = plan_of(
        calibration=Calibration(labels=(None, points, points), source="validation", measure=MEASURE),
        scans=TrainingScans(**ranges, labels=(None, known, known), cases=6),
    )
    steps = (LabelSteps(label=2, least=1e6),)
    case = as_case(plan, steps, volume, tmp_path, seed)
    (made,) = in_node([case], tmp_path)
    found = segment_confidently(prepare(volume, plan), plan, scores(case["weights"]))
    assert (found.mask == 2).any()  # and the page would call it found, did it look before the steps
    after = replace(found, mask=postprocessed(found.mask, steps, volume.header.spacing))
    trusts = trust_of(after, plan, volume.header, ()).labels
    assert [trust.missing for trust in trusts] == [False, True]
    for label, trust in zip(made["labels"], trusts, strict=True):
        assert label["expected"] == pytest.approx(list(trust.expected or ()), abs=2e-3)
    assert made["labels"][1]["voxels"] == 0 and made["labels"][1]["expected"] == [0, 0, 0]


def test_plans_that_the_page_cannot_do_are_refused(tmp_path: Path) -> None:
    plan = plan_of()
    cases = [as_case(plan, (), volume_of(plan, 1), tmp_path, 1) for _ in range(4)]
    cases[0]["plan"]["convention"] = "nnunet"
    cases[1]["plan"]["normalization"] = "rank"
    cases[2]["plan"]["in_channels"] = 2
    cases[3]["plan"] = plan_of(dims=2).model_dump(mode="json")
    made = [one["refused"] for one in in_node(cases, tmp_path)]
    assert "by the convention nnunet, which this page cannot do" in made[0]
    assert "normalises images by rank, which this page cannot do" in made[1]
    assert "1 channel(s), expected 2" in made[2]
    assert "is a volume, and this model is for pictures" in made[3]


def test_percentiles_and_axes_are_those_of_numpy_and_nibabel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 100, 500), [0] * 300, [1e30, -1e-30, -5]]).astype(np.float32)
    shares = [0, 0.5, 1, 50, 99, 99.5, 100]
    affines = []
    for _ in range(40):
        affine = np.eye(4)
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        affine[:3, :3] = turn * rng.uniform(0.3, 4, 3) + rng.normal(0, 0.05, (3, 3))
        affines.append(affine)
    percentiles, ras, lpi = in_node(
        [
            {"job": "percentiles", "values": values.astype(float).tolist(), "shares": shares},
            {"job": "turn", "affines": [a.tolist() for a in affines], "code": "RAS"},
            {"job": "turn", "affines": [a.tolist() for a in affines], "code": "LPI"},
        ],
        tmp_path,
    )
    assert percentiles == pytest.approx(np.percentile(values, shares).tolist(), rel=1e-6)
    for code, found in (("RAS", ras), ("LPI", lpi)):
        for affine, turn in zip(affines, found, strict=True):
            assert turn == ornt_transform(io_orientation(affine), axcodes2ornt(tuple(code))).tolist()


def nifti_files(folder: Path) -> list[Path]:
    """The ways in which a NIfTI says where it lies and what its values mean."""
    rng = np.random.default_rng(0)
    shape = (5, 4, 3)
    made = []

    def save(name: str, kind: Any, array: np.ndarray, change: Any = None) -> None:
        source = kind(array, OBLIQUE)
        if change is not None:
            change(source)
        made.append(folder / name)
        nib.save(source, made[-1])

    def of_qform(source: Any) -> None:
        source.set_sform(None, code=0)
        turn, _ = np.linalg.qr(OBLIQUE[:3, :3])
        source.set_qform(nib.affines.from_matvec(turn * [1, 2, -3], [4, 5, 6]), code=1)

    def of_neither(source: Any) -> None:
        source.set_sform(None, code=0)
        source.set_qform(None, code=0)

    def in_metres(source: Any) -> None:
        source.header.set_xyzt_units("meter")

    def scaled(source: Any) -> None:
        source.header.set_slope_inter(0.37, -12.5)

    small = rng.integers(0, 200, shape)
    save("i16.nii.gz", nib.Nifti1Image, small.astype(np.int16))
    save("u8.nii", nib.Nifti1Image, small.astype(np.uint8))
    save("f64.nii.gz", nib.Nifti2Image, rng.normal(0, 5, shape))
    save("q.nii.gz", nib.Nifti1Image, small.astype(np.float32), of_qform)
    save("none.nii.gz", nib.Nifti1Image, small.astype(np.uint16), of_neither)
    save("metres.nii.gz", nib.Nifti1Image, small.astype(np.int32), in_metres)
    save("scaled.nii.gz", nib.Nifti1Image, small.astype(np.int16), scaled)
    save("channels.nii.gz", nib.Nifti1Image, rng.normal(0, 5, (*shape, 2)).astype(np.float32))
    save("nan.nii.gz", nib.Nifti1Image, np.where(small > 100, np.nan, small).astype(np.float32))
    save("one.nii.gz", nib.Nifti1Image, small.astype(np.int16).reshape(*shape, 1, 1))
    big = nib.Nifti1Image(small.astype(np.int16), OBLIQUE, nib.Nifti1Header(endianness=">"))
    made.append(folder / "big.nii")
    nib.save(big, made[-1])
    return made


def test_volumes_are_read_and_masks_written_as_by_nibabel(tmp_path: Path) -> None:
    files = nifti_files(tmp_path)
    masks = [tmp_path / f"mask{n}.nii" for n in range(len(files))]
    made = in_node(
        [{"job": "read", "files": [str(f)], "mask": str(m)} for f, m in zip(files, masks, strict=True)],
        tmp_path,
    )
    for file, mask, found in zip(files, masks, made, strict=True):
        volume = read_image([file])
        check_read(volume, found, file.name)
        written, source = nib.load(mask), nib.load(file)
        assert written.affine == pytest.approx(source.affine), file.name
        assert np.array_equal(written.get_fdata(), volume.array[0] > 0), file.name
        codes = ("qform_code", "sform_code", "xyzt_units")
        assert [written.header[code] for code in codes] == [source.header[code] for code in codes]
        assert written.header.get_slope_inter() in ((1, 0), (None, None))


def test_nrrd_is_read_as_by_itk(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    pixels = np.random.default_rng(0).integers(-50, 900, (4, 5, 6))
    turn, _ = np.linalg.qr(OBLIQUE[:3, :3])
    files = []
    for name, kind, packed in (("a", np.int16, True), ("b", np.float32, False), ("c", np.uint16, True)):
        scan = sitk.GetImageFromArray(pixels.clip(0 if kind is np.uint16 else -50).astype(kind))
        scan.SetSpacing((0.5, 0.75, 3.0))
        scan.SetOrigin((3.0, -4.0, 5.0))
        scan.SetDirection(turn.ravel().tolist())
        files.append(tmp_path / f"{name}.nrrd")
        sitk.WriteImage(scan, str(files[-1]), packed)
    masks = [tmp_path / f"mask{n}.nii" for n in range(len(files))]
    made = in_node(
        [{"job": "read", "files": [str(f)], "mask": str(m)} for f, m in zip(files, masks, strict=True)],
        tmp_path,
    )
    for file, mask, found in zip(files, masks, made, strict=True):
        volume = read_image([file])
        check_read(volume, found, file.name)
        written = nib.load(mask)
        assert written.get_sform() == pytest.approx(volume.header.affine, abs=1e-4)
        assert written.get_qform() == pytest.approx(volume.header.affine, abs=1e-3)
        assert np.array_equal(written.get_fdata(), volume.array[0] > 0)


def test_dicom_is_read_as_by_predict_or_refused(tmp_path: Path) -> None:
    oblique = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
    even: dict[str, dict[str, Any]] = {
        "plain": {},
        "sagittal": {"orientation": SAGITTAL},
        "oblique": {"orientation": oblique, "spacing": (0.5, 0.7, 4.0)},
        "tilted": {"step": (0.0, 0.6, 2.0)},
        "own slopes": {"tags": lambda n: {"RescaleSlope": 1 + 0.1 * n, "RescaleIntercept": -1000}},
        "few bits": {"BitsStored": 12, "HighBit": 11},
    }
    for name, how in even.items():
        slices(tmp_path / name, stored(), **how)
    uneven = {"missing": (3,), "copied": ()}
    for name in uneven:
        slices(tmp_path / name, stored())
    (tmp_path / "missing" / "03.dcm").unlink()
    (tmp_path / "copied" / "99.dcm").write_bytes((tmp_path / "copied" / "04.dcm").read_bytes())
    slices(tmp_path / "two", stored())
    slices(tmp_path / "two", stored(), name="b{:02d}.dcm")
    image(tmp_path / "colour" / "a.dcm", np.zeros((4, 4, 3), np.uint8), series="1.2")
    slices(tmp_path / "nowhere", stored(), ImagePositionPatient=None, tags=lambda _: {"PixelSpacing": None})
    refused = {
        "missing": "slices are missing between 02.dcm and 04.dcm",
        "copied": "lie at one place",
        "two": "2 scans or planes among the files; expected one series",
        "colour": "a.dcm: is in colour, which this page cannot read; segment it with `stampseg predict`",
        "nowhere": "has no position, orientation or pixel size",
    }
    cases = [
        {"job": "read", "files": [str(file) for file in sorted((tmp_path / name).iterdir())]}
        for name in (*even, *refused)
    ]
    made = dict(zip((*even, *refused), in_node(cases, tmp_path, "dicom"), strict=True))
    for name in even:
        check_read(read_image([tmp_path / name]), made[name], name)
    for name, words in refused.items():
        assert words in made[name]["refused"], name


def test_pictures_are_read_as_by_pillow_or_refused(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    grey = (rng.random((9, 13)) * 255).astype(np.uint8)
    colour = (rng.random((9, 13, 3)) * 255).astype(np.uint8)
    few = Image.fromarray(grey // 64).convert("P")
    few.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 200])
    greys = Image.fromarray(grey // 64).convert("P")
    greys.putpalette([0, 0, 0, 90, 90, 90, 5, 5, 5, 200, 200, 200])
    pictures = {
        "grey": Image.fromarray(grey), "colour": Image.fromarray(colour), "few": few, "greys": greys,
        "bits": Image.fromarray(grey).convert("1"), "deep": Image.fromarray(grey.astype(np.uint16) * 200),
        "alpha": Image.fromarray(np.dstack([colour, grey])), "faint": Image.fromarray(grey).convert("LA"),
    }  # fmt: skip
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png", **({"bits": 2} if name == "few" else {}))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(grey).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(grey).save(
        tmp_path / "film.png", save_all=True, append_images=[Image.fromarray(grey[::-1].copy())]
    )
    (tmp_path / "cut.png").write_bytes((tmp_path / "grey.png").read_bytes()[:60])
    (tmp_path / "a.txt").write_text("no picture")
    refused = {
        "turned.png": "is stored turned (its EXIF orientation); save it upright",
        "film.png": "holds several frames; expected one",
        "cut.png": "cannot be read",
        "a.txt": "not a kind of file that this page reads; expected NIfTI",
    }
    names = [*(f"{name}.png" for name in pictures), *refused]
    made = in_node([{"job": "read", "files": [str(tmp_path / name)]} for name in names], tmp_path, "png")
    for name, found in zip(names, made, strict=True):
        if name in refused:
            assert refused[name] in found["refused"], name
        else:
            check_read(read_image([tmp_path / name]), found, name)


def test_files_that_are_none_or_cut_short_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.nii"
    nib.save(nib.Nifti1Image(np.zeros((6, 6, 6), np.float32) + 1, np.eye(4)), whole)
    (tmp_path / "cut.nii").write_bytes(whole.read_bytes()[:700])
    (tmp_path / "text.nii").write_text("not a scan " * 50)
    (tmp_path / "bad.nii.gz").write_bytes(b"\x1f\x8b" + bytes(40))
    (tmp_path / "text.nrrd").write_text("not a scan")
    (tmp_path / "apart.nrrd").write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 1 1 1\ndata file: a.raw\n\n"
    )
    nib.save(nib.Nifti1Image(np.full((3, 3, 3), np.nan, np.float32), np.eye(4)), tmp_path / "nan.nii")
    wanted = {
        ("cut.nii",): "promises more voxels than the file has",
        ("text.nii",): "not a NIfTI file, whatever its name says",
        ("bad.nii.gz",): "its gzip stream is damaged",
        ("text.nrrd",): "not a NRRD file, whatever its name says",
        ("apart.nrrd",): "its voxels are in another file",
        ("nan.nii",): "every value is NaN or infinite",
        ("whole.nii", "cut.nii"): "2 files; expected one scan",
        (): "nothing to read",
    }
    cases = [{"job": "read", "files": [str(tmp_path / name) for name in names]} for names in wanted]
    for found, words in zip(in_node(cases, tmp_path), wanted.values(), strict=True):
        assert words in found["refused"]


def test_all_files_of_dropped_folders_are_taken(tmp_path: Path) -> None:
    names = [f"{n}.dcm" for n in range(7)]
    (found,) = in_node([{"job": "drop", "files": names}], tmp_path)
    assert sorted(found) == [[name, len(name)] for name in names]
