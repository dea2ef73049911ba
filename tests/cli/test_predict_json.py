"""`predict --json`: every mask with what is known of its image; what the model was trained on is marked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.data.cases import find_dataset
from stampseg.data.splits.known import trained_on
from stampseg.data.splits.record import read_splits
from tests.cli.command import call, train_quickly


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small pruned run."""
    return train_quickly(pictures, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def trained(run: Path) -> set[str]:
    """Names of the images that train."""
    return {entry["id"] for entry in json.loads((run / "splits.json").read_text())["training"]}


def test_what_is_known_of_each_image(run: Path, pictures: Path, trained: set[str], tmp_path: Path) -> None:
    found = json.loads(call("predict", run, pictures / "images", "-o", tmp_path / "out", "--json").stdout)
    assert len(found["masks"]) == 8 and found["failed"] == []
    assert found["trained_on"] == len(trained) == 6
    for mask in found["masks"]:
        assert mask["trained_on"] == (Path(mask["image"]).stem in trained)
        assert (mask["shape"], mask["orientation"], mask["channels"]) == ([40, 48], "", 1)
        assert sum(mask["voxels"].values()) == 40 * 48 and Path(mask["mask"]).is_file()
        assert (mask["unlike"], mask["unit"]) == ([], "px")
        assert all(text.startswith("foreground: ") for text in mask["unusual"])
        told = [text for text in found["warnings"] if text.startswith(f"{mask['mask']}: the mask is unlike ")]
        assert len(told) <= bool(mask["unusual"]) and all("; ".join(mask["unusual"]) in text for text in told)
    odd = sum(bool(mask["unusual"]) for mask in found["masks"])
    assert sum(": the mask is unlike " in text for text in found["warnings"]) == min(odd, 5)
    assert (
        "the model was trained on 6 of these 8 images: masks of new images will be less good"
        in found["warnings"]
    )


def test_a_model_file_alone_knows_copies_under_other_names(
    run: Path, pictures: Path, trained: set[str], tmp_path: Path
) -> None:
    (tmp_path / "scans").mkdir()
    name = min(trained)
    shutil.copyfile(pictures / "images" / f"{name}.png", tmp_path / "scans" / "renamed.png")
    other = np.array(Image.open(pictures / "images" / f"{name}.png"))
    other[0, 0] ^= 1
    Image.fromarray(other).save(tmp_path / "scans" / "other.png")
    model = tmp_path / "m.safetensors"
    shutil.copyfile(run / "model.safetensors", model)
    call("export", run, "-o", tmp_path / "m.onnx", "--input", pictures / "images")
    for place in (model, tmp_path / "m.onnx"):
        out = tmp_path / place.suffix[1:]
        said = call("predict", place, tmp_path / "scans", "-o", out).output
        lines = {line.split()[0].rpartition("/")[2]: line for line in said.splitlines() if "pixels" in line}
        assert lines["renamed.png"].endswith("(trained on)") and "trained on" not in lines["other.png"]
        assert "the model was trained on 1 of these 2 images" in said


def test_a_scan_in_another_file_format_is_known(
    run: Path, pictures: Path, trained: set[str], tmp_path: Path
) -> None:
    (tmp_path / "scans").mkdir()
    picture = Image.open(pictures / "images" / f"{min(trained)}.png")
    picture.save(tmp_path / "scans" / "other.tif")
    picture.convert("RGB").save(tmp_path / "scans" / "grey.bmp")
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "scans" / "flipped.tif")
    said = call("predict", run, tmp_path / "scans", "-o", tmp_path / "out", "--json").stdout
    known = {Path(mask["image"]).name: mask["trained_on"] for mask in json.loads(said)["masks"]}
    assert known == {"other.tif": True, "grey.bmp": True, "flipped.tif": False}


def test_other_scans_of_people_who_trained_are_told(
    run: Path, pictures: Path, trained: set[str], tmp_path: Path
) -> None:
    """By the regex of the run; the images themselves are new, and one name tells of nobody."""
    (tmp_path / "scans").mkdir()
    names = sorted(trained)
    person = names[0].split("-")[0]
    for name, new in ((names[0], f"{person}-IM-99"), (names[-1], "p9-IM-1"), (names[-1], "anybody")):
        other = np.array(Image.open(pictures / "images" / f"{name}.png"))
        other[0, 0] ^= 1
        Image.fromarray(other).save(tmp_path / "scans" / f"{new}.png")
    said = (
        f"other scans of {person} trained the model, and 1 of these 3 images is of that person, by name: "
        "masks of new people will be less good"
    )
    assert f"WARNING: {said}" in call("predict", run, tmp_path / "scans", "-o", tmp_path / "a").output
    found = json.loads(call("predict", run, tmp_path / "scans", "-o", tmp_path / "b", "--json").stdout)
    others = [text for text in found["warnings"] if "the mask is unlike all that" not in text]
    assert others == [said] and found["trained_on"] == 0
    shutil.copyfile(run / "model.safetensors", tmp_path / "m.safetensors")
    alone = call("predict", tmp_path / "m.safetensors", tmp_path / "scans", "-o", tmp_path / "c").output
    assert "other scans" not in alone


@pytest.mark.parametrize("command", ["predict", "suggest"])
def test_scans_named_before_the_model_are_told(
    command: str, run: Path, pictures: Path, tmp_path: Path
) -> None:
    scans, out = pictures / "images", tmp_path / "out"
    for model in (run, run / "model.safetensors"):
        said = call(command, scans, model, "-o", out, code=2).output
        assert f"{scans}: is no model, and {model}, named after it, is one" in said
        assert f"say `stampseg {command} {model} {scans}`" in said and not out.exists()


def test_what_is_unlike_and_what_fails_stand_in_the_document(run: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    Image.new("L", (48, 40), 7).save(tmp_path / "scans" / "flat.png")
    (tmp_path / "scans" / "torn.png").write_bytes(b"\x89PNG")
    result = call("predict", run, tmp_path / "scans", "-o", tmp_path / "out", "--json", code=3)
    found = json.loads(result.stdout)
    (mask,), (failed,) = found["masks"], found["failed"]
    assert mask["unlike"] == ["every pixel has the value 7"]
    assert failed["image"].endswith("torn.png") and failed["error"]
    assert "1 of 2 inputs could not be segmented" in result.stderr
    assert any("its image is unlike those the model was trained on" in text for text in found["warnings"])


def test_what_is_unlike_in_the_same_way_is_said_once(run: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for number in range(5):
        Image.new("L", (48, 40), 7).save(tmp_path / "scans" / f"flat{number}.png")
    said = call("predict", run, tmp_path / "scans", "-o", tmp_path / "out").stdout
    (line,) = (line for line in said.splitlines() if "unlike those the model" in line)
    names = ", ".join(str(tmp_path / "out" / f"flat{number}.png") for number in range(3))
    assert line == (
        f"WARNING: 5 images are unlike those the model was trained on, of {names} and 2 more: "
        "every pixel has the value 7"
    )


def test_runs_of_before_know_their_images_by_name_and_label(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    """Without image digests: only the files themselves, not copies that have no label beside them."""
    old = tmp_path / "old"
    shutil.copytree(run, old)
    splits = json.loads((old / "splits.json").read_text())
    for entry in (*splits["training"], *splits["validation"]):
        del entry["image_digest"]
    (old / "splits.json").write_text(json.dumps(splits))
    call("evaluate", pictures / "masks", pictures / "masks", "--groups", old)
    known = read_splits(old)
    assert known is not None and len(trained_on(find_dataset(pictures).cases, known.learnt_from)) == 6
