"""A stopped run does not go on where its labels mean something else by now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stampseg.train.trainer import Trainer
from tests.cli.command import call
from tests.run.options import OPTIONS
from tests.run.stopping import killed_run

LABELS: dict[str, Any] = {"background": 0, "rim": 1, "core": 2}
CHANGED = {
    "the label to be ignored": {"background": 0, "rim": 1, "ignore": 2},
    "names": {"background": 0, "edge": 1, "core": 2},
    "regions": {"background": 0, "whole": [1, 2], "core": [2]},
}


def pool(folder: Path) -> Path:
    """Four pictures of two classes in folders as nnU-Net has them, with what says so beside them."""
    rng = np.random.default_rng(0)
    for number in range(4):
        mask = np.zeros((32, 32), np.uint8)
        mask[6:24, 6:24], mask[10:18, 10:18] = 1, 2
        image = (60 * mask + rng.normal(60, 5, mask.shape)).astype(np.uint8)
        for part, name, picture in (("imagesTr", "_0000", image), ("labelsTr", "", mask)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / part / f"c{number}{name}.png")
    say(folder, LABELS)
    return folder


def say(folder: Path, labels: dict[str, Any]) -> None:
    said = {"labels": labels, "channel_names": {"0": "grey"}, "numTraining": 4, "file_ending": ".png"}
    if any(isinstance(value, list) for value in labels.values()):
        said["regions_class_order"] = [1, 2]
    (folder / "dataset.json").write_text(json.dumps(said))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed after its first round, beside its data."""
    place = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        command = ("train", pool(place / "data"), "-o", place / "run", *OPTIONS)
        killed_run(patch, command, Trainer, "_step", 7, True)
    return place


@pytest.mark.parametrize("what", CHANGED)
def test_what_is_said_of_labels_may_not_change(stopped: Path, what: str) -> None:
    say(stopped / "data", CHANGED[what])
    said = " ".join(call("train", "--resume", stopped / "run", code=3).output.split())
    told = said.partition("what is said of its labels has changed since the run began (")[2]
    assert what in told.partition("); put things back as they were, or start a new run")[0]


def test_as_it_was_it_goes_on(stopped: Path) -> None:
    say(stopped / "data", LABELS)
    call("train", "--resume", stopped / "run")
    assert (stopped / "run" / "model.safetensors").is_file()
