"""Scans without labels, and the working grid, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import OPTIONS


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


def test_who_validates_is_not_among_them_nor_a_copy(pictures: Path, tmp_path: Path) -> None:
    rows = "image,label\n" + "".join(f"{pictures}/images/{i}.png,{pictures}/masks/{i}.png\n" for i in (2, 3))
    (tmp_path / "validation.csv").write_text(rows)
    others = tmp_path / "others"
    others.mkdir()
    for source, name in (("3", "copy"), ("4", "new")):
        (others / f"{name}.png").write_bytes((pictures / "images" / f"{source}.png").read_bytes())
    said = call(
        "train", pictures, "-o", tmp_path / "run", "--validation", tmp_path / "validation.csv",
        "--steps", "4", "--unlabelled", others, "--method", "dense", "--set", "network.width=2",
    ).stdout  # fmt: skip
    assert ids(tmp_path / "run", "unlabelled") == ["new"]
    assert "1 images without labels are learnt from as well (1 left out" in said


def test_what_cannot_be_used_is_refused(pictures: Path, tmp_path: Path) -> None:
    common = ("train", pictures, "-o", tmp_path / "run", "--steps", "2", "--validation", "none")
    said = call(*common, "--unlabelled", pictures / "images" / "0.png", code=3).stderr
    assert "train, validate, or are of people who validate" in said
    said = call(*common, "--unlabelled", tmp_path / "nowhere", code=3).stderr
    assert "nowhere: no such file or folder" in said
    assert not (tmp_path / "run").exists()


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

    assert "spacing: 3 x 3 pixels, the whole picture in one window; allows Dice up to 0.99" in spacing()
    assert "spacing: 1 x 1 pixels" in spacing("--grid", "native")
    assert "spacing: 2 x 2 pixels, as given" in spacing("--grid", "2")
    assert "expected auto, native, or a spacing" in call("check", tmp_path, "--grid", "big", code=2).stderr
    for name in ("a", "b"):  # lines of two pixels would be lost
        Image.fromarray((place[1] % 23 < 2).astype(np.uint8)).save(tmp_path / "masks" / f"{name}.png")
    assert "spacing: 1 x 1 pixels, the same in all cases; on a coarser grid no Dice above" in spacing()
