"""What `stampseg check` finds, kind by kind, and nothing where there is nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from stampseg.data.cases import match_group
from stampseg.data.splits.likely_people import suggest_groups
from stampseg.doctor.estimates import RunEstimate, judge
from stampseg.doctor.finding import CODES, finding
from tests.cli.command import FINDING, QUICK, call
from tests.data.scans import disc, write_pictures

ROOT = Path(__file__).resolve().parents[2]
Made = tuple[np.ndarray, np.ndarray, np.ndarray]  # image, mask, affine


def volume(seed: int) -> Made:
    image, mask = disc(np.random.default_rng(seed), (16, 18, 12))
    return image.astype(np.float32), mask.astype(np.uint8), np.diag([1.0, 1, 1.5, 1])


def dataset(folder: Path, count: int = 6, **spoiled: Callable[[Made], Made]) -> Path:
    """Volumes a, b, c, ...; those named are changed before they are written."""
    for index in range(count):
        name = chr(ord("a") + index)
        image, mask, affine = spoiled.get(name, lambda made: made)(volume(index))
        for part, array in (("images", image), ("labels", mask)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            nib.Nifti1Image(array, affine).to_filename(folder / part / f"{name}.nii.gz")
    return folder


def findings(folder: Path, *options: object, code: int = 0) -> list[dict[str, Any]]:
    said = call("check", folder, "--json", "--no-timing", *options, code=code)
    return json.loads(said.stdout)["findings"]


def one(folder: Path, code: str, *options: object) -> dict[str, Any]:
    """The only finding of the code; nothing else is wrong."""
    severity = CODES[code][0]
    found = findings(folder, *options, code=3 if severity == "error" else 0)
    assert [each["code"] for each in found] == [code], found
    assert found[0]["severity"] == severity
    return found[0]


def lying(made: Made) -> Made:
    """With something bright in one corner, as all of them have it."""
    image, mask, affine = made
    image = image.copy()
    image[:6, :7, :3] += 900
    image[:3, 12:, :] += 400
    return image, mask, affine


def test_scans_that_lie_otherwise_than_the_others(tmp_path: Path) -> None:
    def turned(made: Made) -> Made:
        image, mask, affine = lying(made)
        return image[::-1, ::-1].copy(), mask[::-1, ::-1].copy(), affine

    def mirrored(made: Made) -> Made:
        image, mask, affine = lying(made)
        return image[::-1].copy(), mask[::-1].copy(), affine

    names = {chr(ord("a") + n): lying for n in range(12)}
    assert findings(dataset(tmp_path / "alike", 12, **names)) == []
    folder = dataset(tmp_path / "odd", 12, **{**names, "c": turned, "h": mirrored})
    found = one(folder, "pose")
    first, second = (str(folder / "images" / f"{name}.nii.gz") for name in "ch")
    assert found["found"] == (
        f"1 image looks turned and 1 image looks mirrored against those of other people (first {first})"
    )
    assert found["fix"].startswith("look at them: what was stored so by mistake is better put right")
    assert found["files"] == [first, second]
    said = call("train", folder, "-o", tmp_path / "run", *QUICK, *FINDING, "--validation", "none").output
    assert "1 image looks turned and 1 image looks mirrored" in " ".join(said.split())


def test_clean_data_have_no_findings(tmp_path: Path) -> None:
    assert findings(dataset(tmp_path)) == []
    said = call("check", tmp_path, "--no-timing").output
    assert f"0 errors, 0 warnings, 0 notes; next: stampseg train {tmp_path} -o run" in said


def flat(made: Made) -> Made:
    return np.full_like(made[0], 7), made[1], made[2]


def scaled(made: Made) -> Made:
    return made[0] * 1000 + 50000, made[1], made[2]


def empty(made: Made) -> Made:
    return made[0], np.zeros_like(made[1]), made[2]


def full(made: Made) -> Made:
    return made[0], np.ones_like(made[1]), made[2]


def extra(made: Made) -> Made:
    made[1][5:9, 5:9, 5:9] = 2
    return made


def coarse(made: Made) -> Made:
    return made[0], made[1], made[2] @ np.diag([2.5, 1, 1, 1])


def flipped(made: Made) -> Made:
    return made[0], made[1], made[2] @ np.diag([-1.0, 1, 1, 1])


def turned(made: Made) -> Made:
    c, s = np.cos(0.3), np.sin(0.3)
    return made[0], made[1], np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]) @ made[2]


def large(made: Made) -> Made:
    return np.tile(made[0], (4, 1, 1)), np.tile(made[1], (4, 1, 1)), made[2]


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (flat, "constant", "every voxel has the value 7"),
        (scaled, "scale", "1 image of another scale of values"),
        (empty, "empty-mask", "holds background only"),
        (full, "labels", "holds one value everywhere, which is not background"),
        (coarse, "spacing", "mm voxels, in most cases 1 x 1 x 1.5"),
        (flipped, "orientation", "5 RAS, 1 LAS"),
        (turned, "oblique", "up to 17 degrees"),
        (large, "size", "in extent, in most cases"),
    ],
)
def test_a_case_unlike_the_others(
    spoil: Callable[[Made], Made], code: str, said: str, tmp_path: Path
) -> None:
    found = one(dataset(tmp_path, c=spoil), code, "--validation", "none")
    assert said in found["found"]
    if code != "orientation":
        assert len(found["files"]) == 1 and Path(found["files"][0]).name == "c.nii.gz"
        assert found["fix"]


def dark(made: Made) -> Made:
    """Values that crowd at the lower end."""
    low, high = made[0].min(), made[0].max()
    return low + (high - low) * ((made[0] - low) / (high - low)) ** 8, made[1], made[2]


def light(made: Made) -> Made:
    return made[0].max() - dark((made[0].max() - made[0], made[1], made[2]))[0], made[1], made[2]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (None, large, "in extent)"),
        (None, coarse, "mm in extent)"),
        (dark, light, "% of its range)"),
    ],
)
def test_two_halves_of_other_kinds_are_told_with_an_example_of_each(
    first: Callable[[Made], Made] | None, second: Callable[[Made], Made], said: str, tmp_path: Path
) -> None:
    """No case is an outlier where half of them are: the middle lies in one half."""
    spoiled = dict.fromkeys("fghij", second) | ({} if first is None else dict.fromkeys("abcde", first))
    (found,) = [
        each
        for each in findings(dataset(tmp_path, 10, **spoiled), "--validation", "none")
        if each["code"] == "kinds"
    ]
    assert found["found"].startswith("two kinds of images, and nothing between them: 5 images as ")
    assert "a.nii.gz (" in found["found"] and "f.nii.gz (" in found["found"]
    assert found["found"].count(said) == 2 and len(found["files"]) == 5


def test_sizes_that_go_over_into_one_another_are_of_one_kind(tmp_path: Path) -> None:
    def longer(times: int) -> Callable[[Made], Made]:
        return lambda made: (np.tile(made[0], (times, 1, 1)), np.tile(made[1], (times, 1, 1)), made[2])

    data = dataset(tmp_path, 12, **{name: longer(1 + n // 3) for n, name in enumerate("abcdefghijkl")})
    assert "kinds" not in {each["code"] for each in findings(data, "--validation", "none")}


def test_a_rare_class_is_named_with_its_cases(tmp_path: Path) -> None:
    found = one(dataset(tmp_path, c=extra), "rare-class", "--validation", "none")
    assert "class 2" in found["found"] and "1 of 6 cases (c)" in found["found"]


def test_a_class_that_most_masks_lack(tmp_path: Path) -> None:
    """It may be absent there, or not drawn: three of eight hold it."""
    data = dataset(tmp_path / "data", 8, a=extra, b=extra, c=extra)
    found = one(data, "seldom-class", "--validation", "none")
    assert (
        found["found"] == "label label_2 is in 3 of 8 masks" and "teach that it is not there" in found["fix"]
    )
    assert found["severity"] == "note"
    assert {Path(path).name[0] for path in found["files"]} == set("defgh")


def test_a_class_that_nobody_validates(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", a=extra, b=extra, c=extra)
    table = tmp_path / "validation.csv"
    table.write_text("image,label\n" + "".join(
        f"{data}/images/{n}.nii.gz,{data}/labels/{n}.nii.gz\n" for n in "ef"))  # fmt: skip
    found = one(data, "unvalidated-class", "--validation", table)
    assert "class 2" in found["found"]


def same_voxels(folder: Path) -> Path:
    """Image b is image a, stored uncompressed under another header."""
    source = nib.load(folder / "images" / "a.nii.gz")
    again = nib.Nifti1Image(np.asarray(source.dataobj, np.float64), source.affine)
    again.header["descrip"] = b"again"
    again.to_filename(folder / "images" / "b.nii")
    (folder / "images" / "b.nii.gz").unlink()
    return folder


def test_the_same_voxels_under_two_names(tmp_path: Path) -> None:
    found = one(same_voxels(dataset(tmp_path)), "twin", "--validation", "none")
    assert len(found["files"]) == 2 and "count twice" in found["fix"]


def test_the_same_voxels_that_train_and_validate_are_an_error(tmp_path: Path) -> None:
    data = same_voxels(dataset(tmp_path / "data"))
    table = tmp_path / "validation.csv"
    table.write_text(f"image,label\n{data}/images/a.nii.gz,{data}/labels/a.nii.gz\n")
    found = one(data, "leak", "--validation", table)
    assert "some train while others validate" in found["found"]
    said = call("check", data, "--no-timing", "--validation", table, code=3).output
    assert "mend the errors first" in said


def test_a_broken_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = dataset(tmp_path) / "images" / "b.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    found = findings(tmp_path, code=3)
    assert [each["code"] for each in found] == ["unusable"] and str(path) in found[0]["found"]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["p1_left", "p1_right", "p2_left", "p2_right"], "left and right"),
        (["Image_01L", "Image_01R", "Image_02L", "Image_02R"], "left and right"),
        (["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1", "sub-02_ses-2"], "several sessions"),
        (["anna-IM-001", "anna-IM-002", "bert-IM-001", "bert-IM-007"], "several time points or slices"),
        (["12_1", "12_2", "13_1", "13_2"], "a number of a person and one of a case"),
    ],
)
def test_names_of_one_person(ids: list[str], words: str, tmp_path: Path) -> None:
    found = suggest_groups(ids)
    assert found is not None and found[0] == words and len(found[2]) == 2
    data = dataset(tmp_path, 4)
    for old, new in zip("abcd", ids, strict=True):
        for part in ("images", "labels"):
            shutil.move(data / part / f"{old}.nii.gz", data / part / f"{new}.nii.gz")
    advice = one(data, "people", "--validation", "none")["fix"]
    regex = re.search(r"--group-regex '(.+?)', whose brackets are the person;", advice)
    assert regex and findings(data, "--group-regex", regex.group(1)) == []


@pytest.mark.parametrize("names", [
    ["a_x_left", "a_x_right", "b_left", "b_right", "c", "3.4"],
    ["anna-IM-1", "anna-IM-2", "bert_IM_3", "bert_IM_4", "Carl"],
    ["p1_1", "p1_2", "2-1-x", "2-2-y", "whoever"],
    ["sub-a_ses-1", "sub-a_ses-2", "sub-b_ses-1", "sub-b_ses-2", "phantom"],
])  # fmt: skip
def test_the_regex_that_is_proposed_names_a_person_in_every_case(names: list[str], tmp_path: Path) -> None:
    """One was proposed that `train` then refused, for a name without the sign."""
    data = dataset(tmp_path, len(names))
    for old, new in zip("abcdef", names, strict=False):
        for part in ("images", "labels"):
            shutil.move(data / part / f"{old}.nii.gz", data / part / f"{new}.nii.gz")
    (data / "labels" / f"{names[-1]}.nii.gz").unlink()  # a scan without a label has a person as well
    (advice,) = [each["fix"] for each in findings(data, "--validation", "none") if each["code"] == "people"]
    regex = re.search(r"--group-regex '(.+?)', whose brackets are the person;", advice)
    assert regex and len({match_group(regex[1], name) for name in names}) < len(names)
    assert "people" not in {each["code"] for each in findings(data, "--group-regex", regex[1])}


@pytest.mark.parametrize("target", ["5", "15", "0.001%", "flops:25", "150%"])
def test_a_target_that_no_cut_reaches_is_refused_as_training_would(target: str, tmp_path: Path) -> None:
    said = call("check", dataset(tmp_path), "--no-timing", "--set", f"prune.target={target}", code=2).output
    asked = {"5": "did you mean 5%?", "15": "did you mean 15%?", "150%": "'150%' is out of range"}
    assert asked.get(target, "the smallest network that is left has") in " ".join(said.split())


def test_many_equal_findings_are_shortened_in_words_only(tmp_path: Path) -> None:
    data = dataset(tmp_path, 24, **dict.fromkeys("abcdefg", empty))
    assert len(findings(data, "--validation", "none")) == 7
    said = call("check", data, "--no-timing", "--validation", "none").output
    assert said.count("[empty-mask]") == 5 and "and 2 more like these; --json lists all" in said


def test_where_many_masks_are_empty_that_is_said_once(tmp_path: Path) -> None:
    data = dataset(tmp_path, 10, **dict.fromkeys("abcd", empty))
    (found,) = [each for each in findings(data) if each["code"] == "empty-mask"]
    assert found["found"].startswith("4 of 10 masks hold background only (") and len(found["files"]) == 4


def test_time_and_space_are_estimated(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    said = json.loads(call("check", data, "--json", "--set", "train.steps=600").stdout)
    found, dense = said["estimate"], 4 * said["parameters"] / 1e6  # MB of one model file
    assert found["run_minutes"] == pytest.approx(10 * found["step_seconds"])
    assert found["peak_megabytes"] > 100 and found["free_disk_megabytes"] > 0
    assert 20 * dense < found["disk_megabytes"] < 60 * dense  # twenty rounds, checkpoints, the chosen one
    assert "estimate, from a few steps on this machine" in call("check", data).output
    said = call("check", data, "--no-timing").output
    assert "estimate: at most" in said and "a step of the dense" not in said


def test_what_does_not_fit_is_said() -> None:
    found = judge(RunEstimate(0.1, 1.0, 5000.0, 100.0, 900.0, 800.0))
    assert [each.code for each in found] == ["disk", "memory"]
    assert "900 MB and 800 MB are free" in str(found[0]) and "choose `output` on another disk" in str(
        found[0]
    )
    assert "lower train.batch_size" in str(found[1])
    assert judge(RunEstimate(0.1, 1.0, 5000.0, 9000.0, 900.0, 8000.0)) == []


def test_pictures_are_examined_too(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for index in range(5):
        image, mask = disc(np.random.default_rng(index), (40, 48))
        shade = image * 0 + 3 if index == 2 else image
        Image.fromarray(shade.clip(0, 255).astype(np.uint8)).save(tmp_path / "images" / f"k{index}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / f"k{index}.png")
    assert "value 3" in one(tmp_path, "constant", "--validation", "none")["found"]


def test_codes_are_known_and_on_the_page() -> None:
    with pytest.raises(ValueError, match="not among"):
        finding("nonsense", "x")
    page = (ROOT / "docs" / "how-to" / "check-your-data.md").read_text(encoding="utf-8")
    for code, (severity, words) in CODES.items():
        assert f"| `{code}` | {severity} | {words} |" in page


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("hippocampus_mri", {"scale", "data"}),
        ("cardiac_mri", {"people"}),
        ("fetal_head_ultrasound", set()),
        ("nerve_ultrasound", {"data"}),
    ],
)
@pytest.mark.slow
def test_real_data_raise_no_false_alarm(name: str, codes: set[str], shared_data: Path) -> None:
    result = json.loads(call("check", shared_data / name, "--json", "--no-timing", code=0).stdout)
    assert not result["errors"]
    assert {each["code"] for each in result["findings"]} == codes


def hounsfield(made: Made) -> Made:
    return made[0] * 10 - 1500, made[1], made[2]


def test_a_ct_of_other_values_is_a_warning(tmp_path: Path) -> None:
    data = dataset(tmp_path, **{**dict.fromkeys("abdef", hounsfield), "c": scaled})
    assert "Hounsfield" in one(data, "intensity", "--validation", "none")["fix"]


def ct(made: Made, offset: float, padding: float) -> Made:
    """A ball in soft tissue with air around and padding beyond; where the offset is, nothing is below 0."""
    image = made[0] - 60
    image[:3] = image[-3:] = -1000
    image[:, :2] = padding
    return (np.maximum(image, -1024) + 1024 if offset else image), made[1], made[2]


@pytest.mark.parametrize("padding", [-1000, -2000, -3024, -32768])
def test_a_ct_with_an_offset_is_a_warning_whatever_the_padding(padding: float, tmp_path: Path) -> None:
    data = dataset(
        tmp_path,
        **{name: lambda made: ct(made, 0, padding) for name in "bdef"},
        a=lambda made: ct(made, 0, -2000),
        c=lambda made: ct(made, 1024, padding),
    )
    found = one(data, "intensity", "--validation", "none")
    assert found["files"] == [str(data / "images" / "c.nii.gz")] and "Hounsfield" in found["fix"]


@pytest.mark.parametrize("shifted", ["abc", "abcde"])
def test_two_scales_of_ct_are_a_warning(shifted: str, tmp_path: Path) -> None:
    data = dataset(
        tmp_path, **{name: lambda made, o=name in shifted: ct(made, o * 1024, -2000) for name in "abcdef"}
    )
    (found,) = (each for each in findings(data, "--validation", "none") if each["code"] == "intensity")
    rest = 6 - len(shifted)
    assert found["found"].startswith(
        f"{len(shifted)} images of no value below 0, beside {rest} that reach below -500"
    )
    assert "1024 too much" in found["fix"] and len(found["files"]) == len(shifted)


def test_a_copy_does_not_hide_people(tmp_path: Path) -> None:
    data = dataset(tmp_path, 4)
    names = ["p1_left", "p1_right", "p2_left", "p2_right"]
    for old, new in zip("abcd", names, strict=True):
        for part in ("images", "labels"):
            shutil.move(data / part / f"{old}.nii.gz", data / part / f"{new}.nii.gz")
    for part in ("images", "labels"):
        shutil.copy(data / part / "p1_left.nii.gz", data / part / "zz.nii.gz")
    assert "people" in {each["code"] for each in findings(data, "--validation", "none")}


def test_a_broken_case_that_is_not_needed_is_a_warning(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    drawn = json.loads(call("check", data, "--json", "--no-timing", "--labels", "2").stdout)
    needed = {*drawn["training_cases"], *drawn["validation_cases"]}
    name = next(name for name in "abcdef" if name not in needed)
    (data / "images" / f"{name}.nii.gz").write_bytes(b"broken")
    found = json.loads(call("check", data, "--json", "--no-timing", "--labels", "2").stdout)
    assert [each["code"] for each in found["findings"]] == ["unused"] and found["plan"]
    assert findings(data, code=3)[0]["code"] == "unusable"


def test_a_step_that_fails_is_a_finding_among_others(tmp_path: Path) -> None:
    data = dataset(tmp_path, c=empty)
    said = call("check", data, "--json", "--set", "train.learning_rate=1e30", "--validation", "none", code=3)
    codes = [each["code"] for each in json.loads(said.stdout)["findings"]]
    assert codes == ["step", "empty-mask"]


def test_the_next_command_keeps_the_options(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    said = call("check", data, "--no-timing", "--group-regex", "(.)", "--set", "train.steps=5").output
    assert f"stampseg train {data} --group-regex '(.)' --set train.steps=5 -o run" in said


def unlabelled(folder: Path, made: Callable[[Made], Made], count: int = 5) -> Path:
    """Five labelled volumes, and more without a label, made otherwise."""
    dataset(folder, 5)
    for index in range(count):
        image, _, affine = made(volume(100 + index))
        nib.Nifti1Image(image, affine).to_filename(folder / "images" / f"u{index}.nii.gz")
    return folder


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (lambda made: (made[0], made[1], np.diag([3.0, 3, 4.5, 1])), "voxels of another size"),
        (lambda made: (made[0][:, :5, :], made[1], made[2]), "another field of view"),
        (lambda made: (made[0].max() - made[0], made[1], made[2]), "another contrast"),
        (lambda made: (made[0] + 300, made[1], made[2]), "no finding"),
    ],
    ids=["spacing", "field of view", "contrast", "offset"],
)
def test_scans_without_labels_that_are_unlike_the_labelled_are_told_once(
    made: Callable[[Made], Made], what: str, tmp_path: Path
) -> None:
    found = [one for one in findings(unlabelled(tmp_path, made)) if one["code"] == "stranger"]
    said = f"5 of 5 scans without labels that were read have {what} than"
    assert any(said in one["found"] for one in found) == (what != "no finding")
    assert all(len(one["files"]) == 5 and "same scanner" in one["fix"] for one in found)
    assert not [one for one in findings(tmp_path, "--unlabelled", "none") if one["code"] == "stranger"]


def test_scans_without_labels_like_the_labelled_are_no_finding(tmp_path: Path) -> None:
    assert not [one for one in findings(unlabelled(tmp_path, lambda made: made)) if one["code"] != "data"]


def test_a_scan_without_label_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    whole = unlabelled(tmp_path, lambda made: made) / "images" / "u2.nii.gz"
    whole.write_bytes(whole.read_bytes()[:2000])
    (found,) = (one for one in findings(tmp_path, code=3) if one["code"] == "unusable")
    assert (
        "u2.nii.gz" in found["found"]
        and "training stops at it; leave it out, or say --unlabelled none" in found["fix"]
    )
    assert not [one for one in findings(tmp_path, "--unlabelled", "none") if one["code"] == "unusable"]


def as_files(folder: Path, *names: str, scale: int = 1) -> Path:
    """The masks of these cases are saved as their images as well."""
    for name in names:
        mask = nib.load(folder / "labels" / f"{name}.nii.gz")
        array = (np.asarray(mask.dataobj) * scale).astype(np.float32)
        nib.Nifti1Image(array, mask.affine).to_filename(folder / "images" / f"{name}.nii.gz")
    return folder


def test_an_image_that_is_a_copy_of_its_label_is_an_error(tmp_path: Path) -> None:
    data = as_files(dataset(tmp_path / "data"), "b")
    found = one(data, "unusable", "--validation", "none")
    label = data / "labels" / "b.nii.gz"
    assert f"b.nii.gz: is a copy of its own label, {label}" in found["found"]
    assert [Path(path).name for path in found["files"]] == ["b.nii.gz"]
    assert "put the scan in its place" in call("train", data, "-o", tmp_path / "run", code=3).output


def test_folders_of_images_and_masks_that_hold_the_same_files(tmp_path: Path) -> None:
    """Masks of a palette are read as colours from the one folder and as numbers from the other."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in "abcd":
        picture = Image.fromarray((disc(rng, (24, 24))[1] * 1).astype(np.uint8), "P")
        picture.putpalette([0, 0, 0, 200, 30, 40])
        for part in ("images", "masks"):
            picture.save(tmp_path / part / f"{name}.png")
    found = findings(tmp_path, code=3)
    assert [each["code"] for each in found] == ["unusable"] * 4
    assert all("is a copy of its own label" in each["found"] for each in found)


def test_a_mask_saved_as_the_image_in_other_numbers(tmp_path: Path) -> None:
    """Nothing but the label is seen in it, and all Dice would lie; what varies within a label is a scan."""
    data = as_files(dataset(tmp_path / "data"), "a", "b", scale=255)
    found = [each for each in findings(data, "--validation", "none") if each["code"] == "label-shown"]
    assert [Path(each["files"][0]).name for each in found] == ["a.nii.gz", "b.nii.gz"]
    assert all(each["severity"] == "warning" and "is it the scan?" in each["fix"] for each in found)


def test_images_and_masks_that_are_exchanged(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data")
    folders = ("--images", data / "labels", "--masks", data / "images")
    found = findings(data, *folders, code=3)
    assert [each["code"] for each in found] == ["no-plan"]
    assert "images and labels look exchanged" in found[0]["found"]
    said = call("train", data, *folders, "-o", tmp_path / "run", code=3).output
    assert f"say --images {data / 'images'} and --masks {data / 'labels'}" in said


def test_exchanged_pictures_are_told_from_masks_that_went_through_jpeg(tmp_path: Path) -> None:
    data = write_pictures(tmp_path, "abcd")
    assert "look exchanged" in call(
        "check", data, "--images", "masks", "--masks", "images", "--no-timing", code=3
    ).output  # fmt: skip
    for path in (data / "masks").iterdir():
        array = np.random.default_rng(0).integers(0, 255, (40, 48)).astype(np.uint8)
        Image.fromarray(array).save(path)
    assert "more than 64 label values" in call("check", data, "--no-timing", code=3).output
