"""A run that learns from pictures without masks too is resumed as exactly as any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stampseg.data.cases import find_dataset
from stampseg.data.loaders import CaseCache, ValidationCases
from stampseg.networks.model_file import load_model
from stampseg.run.folder import RunFolder
from stampseg.train.trainer import Trainer
from stampseg.train.validation import validate
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import options
from tests.run.stopping import killed_run, outcome

# The teacher is at work from the second step on.
TAUGHT = (
    *options(steps=8, rounds=2), "--set", "teacher.start=0.0", "--set", "teacher.full=0.1",
    "--set", "prune.recovery_steps=2", "--set", "prune.warmup_share=0.15",
)  # fmt: skip
PRUNED = [("warm-up", 1), ("cut", 3)]  # the first rounds, and the steps taken by their end


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures, four masks."""
    folder = write_pictures(tmp_path_factory.mktemp("pictures"), map(str, range(6)), (24, 32))
    for name in ("1", "4"):
        (folder / "masks" / f"{name}.png").unlink()
    return folder


@pytest.mark.parametrize(
    ("extra", "rounds"),
    [
        pytest.param((), PRUNED, id="stamp+"),
        pytest.param(("--set", "teacher.dense_self=0.5"), PRUNED, id="dense-self", marks=pytest.mark.slow),
        pytest.param(("--set", "prune.score_round=true"), PRUNED, id="score-round", marks=pytest.mark.slow),
        pytest.param(
            ("--method", "flat", "--set", "train.validate_every=4"),
            [("train", 4)],
            id="flat",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_stopped_within_a_round_and_after_one_it_ends_the_same(
    extra: tuple[str, ...], rounds: list[tuple[str, int]], pictures: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole, run = tmp_path / "whole", tmp_path / "run"
    call("train", pictures, "-o", whole, *TAUGHT, *extra)
    splits = json.loads((whole / "splits.json").read_text())
    names = {Path(image).stem for entry in splits["unlabelled"] for image in entry["images"]}
    assert names == {"1", "4"}
    # within the round of the first cut
    killed_run(monkeypatch, ("train", pictures, "-o", run, *TAUGHT, *extra), Trainer, "_step", 3, True)
    # the first round is written down, but the checkpoint is still that of its last step
    killed_run(monkeypatch, ("train", "--resume", run), RunFolder, "append_round", 1, False)
    rows = [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]
    assert [(row["event"], row["steps"]) for row in rows] == rounds
    call("train", "--resume", run)
    assert outcome(run) == outcome(whole)


def test_a_run_that_ends_early_keeps_the_average_with_statistics_of_its_own(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that takes all its steps; also where it was stopped just then."""
    early = (
        *TAUGHT, "--method", "flat", "--set", "train.validate_every=1", "--set", "train.patience=1",
        "--set", "train.learning_rate=1e-9",
    )  # fmt: skip
    whole, run = tmp_path / "whole", tmp_path / "run"
    call("train", pictures, "-o", whole, *early)
    rows = [json.loads(line) for line in (whole / "rounds.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [1, 2, 2]  # no better Dice after one more stage: it ends
    last = [load_file(whole / "rounds" / f"{number:03d}.safetensors") for number in (1, 2)]
    differ = {name for name in last[0] if not torch.equal(last[0][name], last[1][name])}
    assert differ and all("running" in name or "tracked" in name for name in differ)
    killed_run(monkeypatch, ("train", pictures, "-o", run, *early), Trainer, "end", 1, False)
    call("train", "--resume", run)
    assert outcome(run) == outcome(whole)


def test_a_resumed_run_prepares_its_cases_as_it_began_whatever_would_be_planned_now(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules of the planner change between versions; the files of a run say what it does."""
    run = tmp_path / "run"
    killed_run(monkeypatch, ("train", pictures, "-o", run, *TAUGHT), RunFolder, "append_round", 1, False)
    before = (run / "plan.json").read_bytes()

    def other_rules(*_: object) -> None:
        raise AssertionError("planned anew")

    monkeypatch.setattr("stampseg.run.survey.make_plan", other_rules)
    call("train", "--resume", run)
    assert (run / "plan.json").read_bytes() == before and (run / "result.json").is_file()


def test_a_scan_without_a_label_that_comes_later_does_not_stop_a_resumed_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(pictures, data)
    killed_run(monkeypatch, ("train", data, "-o", run, *TAUGHT), RunFolder, "append_round", 1, False)
    shutil.copy(data / "images" / "1.png", data / "images" / "new.png")
    call("train", "--resume", run)
    splits = json.loads((run / "splits.json").read_text())
    assert [entry["id"] for entry in splits["unlabelled"]] == ["1", "4"]


def test_paths_of_scans_without_labels_are_good_from_any_directory(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    shutil.copytree(pictures / "images", tmp_path / "here" / "more")
    monkeypatch.chdir(tmp_path / "here")
    run = tmp_path / "run"
    command = ("train", pictures, "-o", run, *TAUGHT, "--unlabelled", "more")
    killed_run(monkeypatch, command, Trainer, "_step", 3, True)
    monkeypatch.chdir(tmp_path)
    call("train", "--resume", run)
    assert (run / "result.json").is_file()


def test_the_last_validation_is_of_the_model_that_is_kept(pictures: Path, tmp_path: Path) -> None:
    """Statistics that an average is given at the end are there before it is validated."""
    run = tmp_path / "run"
    call("train", pictures, "-o", run, *TAUGHT)
    last = json.loads((run / "rounds.jsonl").read_text().splitlines()[-1])
    assert last["steps"] == 8
    kept = load_model(run / "rounds" / f"{last['number']:03d}.safetensors")
    assert kept.plan is not None
    held_out = [entry["id"] for entry in json.loads((run / "splits.json").read_text())["validation"]]
    cases = [case for case in find_dataset(pictures).cases if case.id in held_out]
    looked_at = ValidationCases(cases, CaseCache(kept.plan, 10))
    found = validate(kept.network, looked_at, kept.plan, torch.device("cpu"))
    assert found is not None and found.dice == pytest.approx(last["validation"]["dice"], abs=1e-6)
