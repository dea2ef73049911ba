"""A run whose network does not find a label in its own training cases is a failed run, and is kept as one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stampseg.core.config import Config
from stampseg.run.pipeline import _unready as unready
from stampseg.train.round import Event, Fit, Round
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import SMALL

TOO_SHORT = (
    "--steps", "2", "--method", "dense", "--validation", "none", *SMALL,
    "--set", "train.augment=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    folder = tmp_path_factory.mktemp("lost")
    pictures = write_pictures(folder, map(str, range(3)), (24, 32))
    shown = call("train", pictures, "-o", folder / "run", *TOO_SHORT, code=4)
    return pictures, folder / "run", shown.stderr


def test_it_ends_with_status_4_and_says_what_to_do(failed: tuple[Path, Path, str]) -> None:
    _, _, said = failed
    text = " ".join(said.split())
    assert "the network finds next to nothing of" in text and "so the run has no model" in text
    assert "no round found every label; give it more --steps" in text
    assert "look at the masks of these labels" in text and "resume it with" not in text
    assert len(said.strip().splitlines()) == 1


def test_a_run_of_few_steps_is_warned_before_it_begins(failed: tuple[Path, Path, str]) -> None:
    first, *_ = (failed[1] / "notes.jsonl").read_text().splitlines()
    note = json.loads(first)
    assert note["level"] == "warning"
    assert note["text"].startswith("`train.steps` 2 are few: where a label is not found by then")


def test_the_rounds_are_kept_and_the_run_has_ended_without_a_model(failed: tuple[Path, Path, str]) -> None:
    pictures, run, _ = failed
    result = json.loads((run / "result.json").read_text())
    assert "so the run has no model" in result["failure"] and result["training_dice_per_label"]
    assert list((run / "rounds").glob("*.safetensors")) and not (run / "model.safetensors").exists()
    assert (run / "report.html").is_file() and not (run / "checkpoint").exists()
    assert (
        "it ended without a model (result.json says why); nothing is left"
        in call("train", "--resume", run, code=2).stderr
    )
    message = " ".join(
        call("predict", run, pictures / "images", "-o", run.parent / "found", code=3).stderr.split()
    )
    assert f"{run}: the run ended without a model: the network finds next to nothing of" in message
    assert message.endswith("one of its networks in rounds/ can be named all the same")
    assert not (run.parent / "found").exists()


def test_its_pages_say_that_there_is_no_model(failed: tuple[Path, Path, str]) -> None:
    """Nothing was chosen, and nothing is advised of other rounds."""
    _, run, _ = failed
    methods, page = (run / "methods.md").read_text(), (run / "report.html").read_text()
    assert "**This run has no model** (the network finds next to nothing of" in methods
    assert "No network was kept" in methods and "was chosen" not in methods
    assert "No round is chosen: the run has no model." in page and "round None" not in page
    assert page.index("This run has no model:") < page.index('id="network"')
    result = json.loads((run / "result.json").read_text())
    assert result["warnings"] == [] and result["better_round"] is None


def test_a_run_that_goes_on_is_no_failed_one(failed: tuple[Path, Path, str], tmp_path: Path) -> None:
    pictures, run, _ = failed
    going = Path(shutil.copytree(run, tmp_path / "run"))
    (going / "result.json").unlink()
    message = " ".join(call("predict", going, pictures, "-o", tmp_path / "x", code=3).stderr.split())
    assert (
        "the run has not ended: it is still going on, or was stopped (resume it with `stampseg train"
        in message
    )
    said = call("prune", going, pictures, "-o", tmp_path / "x", "--steps", 9, code=3).stderr
    assert "the run has not ended: it is still going on" in " ".join(said.split())
    shutil.copyfile(run / "result.json", going / "result.json")
    result = json.loads((going / "result.json").read_text())
    (going / "result.json").write_text(json.dumps({**result, "failure": None}))
    said = " ".join(call("predict", going, pictures, "-o", tmp_path / "x", code=3).stderr.split())
    assert "the run has ended, and its model.safetensors is gone: put it back, or train again" in said
    (tmp_path / "none").mkdir()
    message = " ".join(
        call("predict", tmp_path / "none", pictures, "-o", tmp_path / "x", code=3).stderr.split()
    )
    assert "holds no model.safetensors: it is no run folder (a run comes first, scans after it)" in message


def test_a_round_can_be_used_all_the_same_and_the_model_kept_on_request(
    failed: tuple[Path, Path, str], tmp_path: Path
) -> None:
    pictures, run, _ = failed
    last = sorted((run / "rounds").glob("*.safetensors"))[-1]
    warned = f"{last}: of a run that ended without a model: the network finds next to nothing of"
    for command in (
        ("predict", last, pictures / "images", "-o", tmp_path / "masks"),
        ("export", last, "-o", tmp_path / "model.onnx"),
    ):
        assert warned in " ".join(call(*command).output.split())
    call("train", pictures, "-o", tmp_path / "run", *TOO_SHORT, "--set", "train.missed_label=warn")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["failure"] is None and "next to nothing of" in result["warnings"][0]
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_cutting_that_begins_before_every_label_is_found_is_said_once() -> None:
    def turn(event: Event, **dice: float) -> Round:
        return Round(0, event, {}, 9, 0, 0, 10, 0.5, None, fit=Fit(0.1, dice) if dice else None)

    config = Config()
    assert unready([turn("warm-up", liver=0.8, tumour=0.234)], config) == (
        "cutting begins although some labels are hardly found (Dice on training windows: tumour 0.23; "
        "`prune.ready_dice` is 0.5); give it more `train.steps`"
    )
    assert unready([turn("warm-up", liver=0.8, tumour=0.5)], config) == ""
    assert unready([turn("warm-up")], config) == "" == unready([], config)
    assert unready([turn("warm-up", a=0.1), turn("cut", a=0.1)], config) == ""
    rounds = [turn("cut", a=0.1), turn("rolled back", a=0.1)]
    assert unready(rounds, config) == ""
