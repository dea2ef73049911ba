"""Scans without labels, and the working grid, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import QUICK, call
from tests.data.scans import write_pictures
from tests.run.options import OPTIONS, SMALL


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures, of which two have no mask."""
    folder = write_pictures(tmp_path_factory.mktemp("some"), map(str, range(6)))
    for name in ("4", "5"):
        (folder / "masks" / f"{name}.png").unlink()
    return folder


def splits_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "splits.json").read_text())


def ids(run: Path, part: str) -> list[str]:
    return [entry["id"] for entry in splits_of(run).get(part) or []]


def test_images_without_a_mask_teach_and_the_model_is_the_average(pictures: Path, tmp_path: Path) -> None:
    said = call("train", pictures, "-o", tmp_path / "run", *OPTIONS).stdout
    assert "2 images without labels are learnt from as well" in said
    assert ids(tmp_path / "run", "unlabelled") == ["4", "5"]
    call("train", pictures, "-o", tmp_path / "alone", *OPTIONS, "--unlabelled", "none")
    assert not ids(tmp_path / "alone", "unlabelled")
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "alone")]
    assert models[0] != models[1]
    # the rate is held where a teacher is at work, and the run remembers that as settled
    assert "schedule: hold" in (tmp_path / "run" / "config.yaml").read_text()
    assert "schedule: cosine" in (tmp_path / "alone" / "config.yaml").read_text()
    last = json.loads((tmp_path / "run" / "rounds.jsonl").read_text().splitlines()[-1])
    assert last["fit"]["student"].keys() == last["fit"]["per_label"].keys()
    assert not json.loads((tmp_path / "alone" / "rounds.jsonl").read_text().splitlines()[-1])["fit"][
        "student"
    ]


def test_who_validates_is_not_among_them_nor_a_copy(pictures: Path, tmp_path: Path) -> None:
    rows = "image,label\n" + "".join(f"{pictures}/images/{i}.png,{pictures}/masks/{i}.png\n" for i in (2, 3))
    (tmp_path / "validation.csv").write_text(rows)
    others = tmp_path / "others"
    others.mkdir()
    for source, name in (("3", "copy"), ("4", "new")):
        (others / f"{name}.png").write_bytes((pictures / "images" / f"{source}.png").read_bytes())
    said = call(
        "train", pictures, "-o", tmp_path / "run", "--validation", tmp_path / "validation.csv",
        "--steps", "4", "--unlabelled", others, "--method", "dense", *SMALL,
        "--set", "train.missed_label=warn",
    ).stdout  # fmt: skip
    assert ids(tmp_path / "run", "unlabelled") == ["new"]
    assert "1 image without a label is learnt from as well (1 left out" in said


def test_what_cannot_be_used_is_refused(pictures: Path, tmp_path: Path) -> None:
    common = (
        "train",
        pictures,
        "-o",
        tmp_path / "run",
        "--steps",
        "2",
        "--set",
        "train.missed_label=warn",
        "--validation",
        "none",
    )
    said = call(*common, "--unlabelled", pictures / "images" / "0.png", code=3).stderr
    assert "train, validate, or are of people who validate" in said
    said = call(*common, "--unlabelled", tmp_path / "nowhere", code=3).stderr
    assert "nowhere: no such file or folder" in said
    assert not (tmp_path / "run").exists()


def test_an_image_of_another_kind_is_known_before_the_run(pictures: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    colours = np.random.default_rng(0).integers(0, 255, (40, 48, 3)).astype(np.uint8)
    Image.fromarray(colours).save(others / "colours.png")
    Image.fromarray(np.zeros((40, 48), np.uint8)).save(others / "grey.png")
    common = ("train", pictures, "-o", tmp_path / "run", *OPTIONS)
    said = call(*common, "--unlabelled", others, code=3).stderr
    assert "colours.png: 3 channel(s), but 1 expected" in said and "leave such images out" in said
    assert not (tmp_path / "run").exists()
    data = tmp_path / "data"
    for part in ("images", "masks"):
        shutil.copytree(pictures / part, data / part)
    (others / "colours.png").rename(data / "images" / "colours.png")
    said = call("train", data, "-o", tmp_path / "run", *OPTIONS).stdout
    assert "2 images without labels are learnt from as well; left out, of another kind: colours" in said


def test_unreadable_images_without_a_label_are_told_where_they_are_all(
    pictures: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    names = []
    for part in ("images", "masks"):
        shutil.copytree(pictures / part, data / part)
    for path in sorted((data / "images").iterdir()):
        if not list((data / "masks").glob(f"{path.stem}*")):
            path.write_bytes(b"no picture")
            names.append(path.name)
    said = call("train", data, "-o", tmp_path / "run", *OPTIONS).stdout
    assert names
    assert f"of {len(names)} without a label none is learnt from" in said
    assert f"{names[0]}: cannot be read" in " ".join(said.split())


def test_numbered_slices_are_images_each(pictures: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for k in range(3):
        Image.fromarray(np.full((40, 48), 40 * k, np.uint8)).save(others / f"slice_{k:04d}.png")
    call("train", pictures, "-o", tmp_path / "run", *OPTIONS, "--unlabelled", others)
    assert ids(tmp_path / "run", "unlabelled") == ["slice_0000", "slice_0001", "slice_0002"]


def test_who_has_a_copy_of_a_validation_image_does_not_teach(pictures: Path, tmp_path: Path) -> None:
    copy = tmp_path / "x_1.png"
    copy.write_bytes((pictures / "images" / "3.png").read_bytes())
    other = tmp_path / "x_2.png"
    other.write_bytes((pictures / "images" / "4.png").read_bytes())
    third = tmp_path / "y_1.png"
    third.write_bytes((pictures / "images" / "5.png").read_bytes())
    validation, more = tmp_path / "validation.csv", tmp_path / "more.csv"
    validation.write_text(f"image,label\n{pictures}/images/3.png,{pictures}/masks/3.png\n")
    more.write_text(f"image,label,group\n{copy},,x\n{other},,x\n{third},,y\n")
    call(
        "train", pictures, "-o", tmp_path / "run", "--validation", validation, "--unlabelled", more,
        "--steps", "2", "--set", "train.missed_label=warn", "--method", "dense", *SMALL,
    )  # fmt: skip
    assert ids(tmp_path / "run", "unlabelled") == ["y_1"]


def test_the_result_says_how_many_taught(pictures: Path, tmp_path: Path) -> None:
    options = (
        "--steps",
        "2",
        "--set",
        "train.missed_label=warn",
        "--method",
        "dense",
        *SMALL,
        "--validation",
        "none",
    )
    call("train", pictures, "-o", tmp_path / "run", *options)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["unlabelled_cases"], result["unlabelled_people"]) == (2, 2)
    assert "learnt from without labels" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_the_grid_is_planned_native_or_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    place = np.indices((400, 360))
    disc = (place[0] - 200) ** 2 + (place[1] - 180) ** 2 < 90**2
    for name in ("a", "b"):
        grey = (disc * 90 + rng.integers(0, 99, disc.shape)).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(disc.astype(np.uint8)).save(tmp_path / "masks" / f"{name}.png")

    def spacing(*options: str) -> str:
        return call("check", tmp_path, "--no-timing", *options).stdout

    assert "spacing: 3 x 3 pixels, coarser, so that a window shows more" in spacing()
    assert "spacing: 1 x 1 pixels" in spacing("--grid", "native")
    assert "spacing: 2 x 2 pixels, as given" in spacing("--grid", "2")
    assert "expected auto, native, or a spacing" in call("check", tmp_path, "--grid", "big", code=2).stderr
    for name in ("a", "b"):  # lines of two pixels would be lost
        Image.fromarray((place[1] % 23 < 2).astype(np.uint8)).save(tmp_path / "masks" / f"{name}.png")
    assert "spacing: 1 x 1 pixels, the same in all cases; on a coarser grid no Dice above" in spacing()


def test_a_named_folder_keeps_the_people_whom_the_csv_knows(tmp_path: Path) -> None:
    """The other scan of somebody who validates was learnt from: a folder of images knows no people."""
    data = write_pictures(tmp_path, [f"{n}{side}" for n in range(4) for side in "lr"])
    rows = [f"images/{n}{side}.png,masks/{n}{side}.png,p{n}" for n in range(4) for side in "lr"]
    (data / "cases.csv").write_text("\n".join(["image,label,group", *rows]))
    call(
        "train", data / "cases.csv", "-o", tmp_path / "run", "--labels", "2", "--validation", "25%",
        "--unlabelled", data / "images", *QUICK,
    )  # fmt: skip
    splits = json.loads((tmp_path / "run" / "splits.json").read_text())
    people = {part: {entry["group"] for entry in splits[part]} for part in ("validation", "unlabelled")}
    assert people["validation"] and not people["validation"] & people["unlabelled"]
    assert people["unlabelled"] < {"p0", "p1", "p2", "p3"}
