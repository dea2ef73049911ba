"""The commands on real scans: skipped, with a reason, where they are absent."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from typer.testing import CliRunner

from stampseg.cli.commands import app
from tests.run.options import SMALL

QUICK = (
    "--steps",
    "8",
    "--set",
    "train.missed_label=warn",
    "--set",
    "prune.rounds=2",
    *SMALL,
    "--set",
    "train.batch_size=2",
)


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def hippocampus(shared_data: Path) -> Path:
    return shared_data / "hippocampus_mri"


@pytest.fixture(scope="module")
def run(hippocampus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("real") / "run"
    call("train", hippocampus, "-o", output, "--labels", "3", "--validation", "none", *QUICK)
    return output


def test_one_person_is_never_on_both_sides(hippocampus: Path) -> None:
    found = json.loads(call("check", hippocampus, "--labels", "12", "--json"))
    assert (found["cases"], found["groups"]) == (203, 134)
    assert found["labels"] == {"0": "background", "1": "Anterior", "2": "Posterior"}
    people = [
        {(int(c[-3:]) + 1) // 2 for c in found[part]} for part in ("training_cases", "validation_cases")
    ]
    assert len(found["training_cases"]) == len(people[0]) == 12 and not people[0] & people[1]


def turned(path: Path, codes: str, target: Path) -> Path:
    """The same scan stored along other axes, its affine saying so."""
    image = nib.load(path)
    change = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    array = nib.orientations.apply_orientation(np.asarray(image.dataobj), change)
    affine = image.affine @ inv_ornt_aff(change, image.shape)
    nib.Nifti1Image(array, affine).to_filename(target)
    return target


@pytest.mark.parametrize("codes", ["LPS", "PSR", "IAL"])
def test_a_reoriented_scan_gets_the_same_mask(
    codes: str, run: Path, hippocampus: Path, tmp_path: Path
) -> None:
    plain = hippocampus / "imagesTr" / "hippocampus_006.nii.gz"
    other = turned(plain, codes, tmp_path / "turned.nii.gz")
    call("predict", run, plain, other, "-o", tmp_path / "masks")
    expected, found = (nib.load(tmp_path / "masks" / n) for n in (plain.name, other.name))
    assert nib.aff2axcodes(found.affine) == tuple(codes) and found.shape == nib.load(other).shape
    back = ornt_transform(io_orientation(found.affine), io_orientation(expected.affine))
    returned = nib.orientations.apply_orientation(np.asarray(found.dataobj), back)
    np.testing.assert_array_equal(returned, np.asarray(expected.dataobj))


def test_a_dicom_series_becomes_a_nifti_mask_on_its_grid(
    run: Path, shared_data: Path, tmp_path: Path
) -> None:
    series = shared_data / "odd_hippocampus" / "dicom_crop_series"
    call("predict", run, series, "-o", tmp_path)
    mask = nib.load(tmp_path / "dicom_crop_series.nii.gz")
    assert mask.shape[2] == len(list(series.glob("*.dcm"))) and mask.get_data_dtype() == np.uint8


def test_a_label_of_another_scan_is_named(hippocampus: Path, shared_data: Path, tmp_path: Path) -> None:
    odd = shared_data / "odd_hippocampus" / "foreign_label_512x512x94_281.nii.gz"
    image = hippocampus / "imagesTr" / "hippocampus_006.nii.gz"
    (tmp_path / "cases.csv").write_text(f"image,label\n{image},{odd}\n")
    output = call("check", tmp_path / "cases.csv", code=3)
    assert odd.name in output and "512" in output


def test_thin_vessels_in_colour_and_a_palette_of_nerves(shared_data: Path, tmp_path: Path) -> None:
    for folder, extra, values in (
        ("retina_vessels", ("--masks", "first_observer", "--group-regex", r"Image_(\d+)"), {0, 1}),
        ("nerve_ultrasound", (), {0, 1, 2}),
    ):
        data, output = shared_data / folder, tmp_path / folder
        call("train", data, "-o", output, "--labels", "2", "--validation", "none", *extra, *QUICK)
        picture = next(iter(sorted((data / "images").iterdir())))
        call("predict", output, picture, "-o", tmp_path / f"{folder}-masks")
        (mask,) = (tmp_path / f"{folder}-masks").iterdir()
        from stampseg.data.io.readers import read_image, read_label

        assert mask.suffix == ".png" and set(np.unique(read_label(mask).array)) <= values
        assert read_label(mask).array.shape == read_image([picture]).array.shape[1:]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_pruned_network_still_finds_every_class(seed: int, hippocampus: Path, tmp_path: Path) -> None:
    """A cut in the last layer before the head took a class for good; with no validation nobody saw it."""
    call(
        "train", hippocampus, "-o", tmp_path / "run", "--labels", "10", "--steps", "700", "--target", "15%",
        "--validation", "none", "--set", "data.spacing=[2,2,2]", "--seed", seed,
    )  # fmt: skip
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["target_reached"] and result["training_cases"] == 10
    splits = json.loads((tmp_path / "run" / "splits.json").read_text())
    people = {person_of(case["id"]) for case in splits["training"]}
    others = [
        p for p in sorted((hippocampus / "imagesTr").glob("*.nii.gz")) if person_of(p.name) not in people
    ]
    call("predict", tmp_path / "run", *others[:12], "-o", tmp_path / "masks")
    call("evaluate", tmp_path / "masks", hippocampus / "labelsTr", "-o", tmp_path / "metrics.json")
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["cases"] == 12
    dice = {label: found["summary"][label]["dice"]["mean"] for label in ("Anterior", "Posterior")}
    assert min(dice.values()) > 0.6, dice


def person_of(name: str) -> int:
    """Of hippocampus_NNN: the scans of one person's two sides have numbers that follow each other."""
    return (int(name.removeprefix("hippocampus_")[:3]) + 1) // 2
