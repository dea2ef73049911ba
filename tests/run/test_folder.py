"""A refused command deletes nothing that it did not write; a run takes only a folder that is free."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stampseg.core import json_file
from stampseg.core.config import Config, dump_config
from stampseg.core.errors import ConfigError, DataError
from stampseg.core.files import remove_leftovers
from stampseg.data import demo
from stampseg.run.checkpoint import delete_checkpoints, round_files
from stampseg.run.folder import RunFolder
from stampseg.run.spec import RunSpec
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import SMALL

LEFTOVER = ".123-0a1b2c3d.json"  # as core/files.py names what it is writing
WRONG = ("--target", "1")  # smaller than any network: refused when the folder has been written to


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), map(str, range(4)), (32, 32))


def refused(pictures: Path, output: object, *more: str) -> str:
    return str(call("train", pictures, "-o", output, *WRONG, *more, code=2).stderr)


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


def test_hidden_files_of_the_user_are_kept_and_named(pictures: Path, tmp_path: Path) -> None:
    put(tmp_path, ".git/HEAD", "notes.txt")
    before = tree(tmp_path)
    said = refused(pictures, tmp_path)
    assert f"{tmp_path}: is not empty, it holds .git, notes.txt; choose another -o or empty it" in said
    assert tree(tmp_path) == before


def test_an_empty_folder_that_was_there_stays(pictures: Path, tmp_path: Path) -> None:
    assert "the smallest network" in refused(pictures, tmp_path)
    assert tmp_path.is_dir() and not tree(tmp_path)


def test_the_current_folder_stays(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "the smallest network" in refused(pictures, ".")
    assert tmp_path.is_dir() and not tree(tmp_path)
    put(tmp_path, ".envrc")
    assert ".: is not empty, it holds .envrc;" in refused(pictures, ".")
    assert tree(tmp_path) == [".envrc"]


def test_folders_made_for_the_run_go_and_those_above_stay(pictures: Path, tmp_path: Path) -> None:
    put(tmp_path, "study/notes.txt")
    refused(pictures, tmp_path / "study" / "a" / "b" / "run")
    assert tree(tmp_path) == ["study", "study/notes.txt"]


def test_the_corrected_command_may_use_the_same_name(pictures: Path, tmp_path: Path) -> None:
    refused(pictures, tmp_path / "run")
    call(
        "train",
        pictures,
        "-o",
        tmp_path / "run",
        "--steps",
        "2",
        "--set",
        "train.missed_label=warn",
        "--method",
        "dense",
        *SMALL,
    )
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_link_to_an_empty_folder_is_followed_and_stays(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    refused(pictures, tmp_path / "run")
    assert tree(tmp_path) == ["disk", "run"] and (tmp_path / "run").is_symlink()


@pytest.mark.parametrize("kind", ["file", "broken link"])
def test_what_is_no_folder_is_refused(kind: str, pictures: Path, tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.write_text("mine") if kind == "file" else place.symlink_to(tmp_path / "nowhere")
    assert f"{place}: is not a folder; expected a new or an empty one" in refused(pictures, place)
    assert tree(tmp_path) == ["run"]


def test_what_a_killed_run_left_does_not_count(pictures: Path, tmp_path: Path) -> None:
    put(tmp_path, LEFTOVER)
    (tmp_path / ".lock").touch()
    assert "the smallest network" in refused(pictures, tmp_path)
    assert tree(tmp_path) == [LEFTOVER, ".lock"]


@pytest.mark.parametrize("name", [".lock", ".2024-notes", ".7-days.txt", ".DS_Store", "run.yaml"])
def test_what_only_looks_like_it_counts(name: str, pictures: Path, tmp_path: Path) -> None:
    put(tmp_path, name)
    assert f"it holds {name};" in refused(pictures, tmp_path)
    remove_leftovers(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_what_comes_into_the_folder_meanwhile_is_kept(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RunFolder.write_or_match

    def write_or_match(self: RunFolder, *rest: Any) -> None:
        real(self, *rest)
        put(self.path, "notes.txt", "rounds/mine.txt")

    monkeypatch.setattr(RunFolder, "write_or_match", write_or_match)
    refused(pictures, tmp_path / "run")
    assert tree(tmp_path) == ["run", "run/notes.txt", "run/rounds", "run/rounds/mine.txt"]


def test_a_folder_that_cannot_be_begun_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DataError("the disk is full")

    monkeypatch.setattr(json_file, "write_text", full)
    with pytest.raises(DataError, match="the disk is full"):
        RunFolder.create(tmp_path / "a" / "run", RunSpec("train", tmp_path, Config()))
    assert not tree(tmp_path)


def test_a_folder_of_another_process_is_left_alone(tmp_path: Path) -> None:
    first = RunFolder(tmp_path)
    first._take()
    with pytest.raises(ConfigError, match="another process is at work on this run"):
        RunFolder.create(tmp_path)
    assert tree(tmp_path) == [".lock", ".owner"]
    first.release()


def test_a_run_that_was_taken_up_is_never_discarded(pictures: Path, tmp_path: Path) -> None:
    spec = RunSpec("train", tmp_path / "gone", Config())
    RunFolder.create(tmp_path / "run", spec).release()
    before = tree(tmp_path)
    assert "gone: no such file or folder" in call("train", "--resume", tmp_path / "run", code=3).stderr
    assert tree(tmp_path) == before


@pytest.mark.parametrize("tracker", ["tensorboard", pytest.param("mlflow", marks=pytest.mark.slow)])
def test_what_trackers_wrote_goes_with_it(
    tracker: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(tracker, reason=f"the extra {tracker} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):  # the program sets them; put back afterwards
        monkeypatch.setenv(name, "true")
    assert "the smallest network" in refused(pictures, tmp_path / "run", "--track", tracker)
    assert not tree(tmp_path)


def test_a_tracker_that_is_not_installed_leaves_no_folder(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert "which is not installed" in refused(pictures, tmp_path / "run", "--track", "tensorboard")
    assert not tree(tmp_path)


def test_the_end_of_a_run_deletes_its_checkpoints_only(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    kept = ("round-0003-copy.safetensors", "notes.txt")
    put(
        folder.path / "checkpoint",
        "round-0003.safetensors",
        "round-0004.safetensors",
        "step.safetensors",
        *kept,
    )
    names = [path.name for path in round_files(folder.path / "checkpoint")]
    assert names == ["round-0003.safetensors", "round-0004.safetensors"]
    folder.finish()
    assert tree(folder.path / ".ended") == sorted(kept) and not (folder.path / "checkpoint").exists()


def test_checkpoints_behind_a_link_are_deleted_and_nothing_else_is(tmp_path: Path) -> None:
    put(tmp_path / "disk", "round-0001.safetensors", "photo.png")
    (tmp_path / "checkpoint").symlink_to(tmp_path / "disk")
    delete_checkpoints(tmp_path / "checkpoint")
    assert tree(tmp_path / "disk") == ["photo.png"]


def test_the_demo_asks_for_a_free_folder(tmp_path: Path) -> None:
    put(tmp_path, "notes.txt")
    said = call("demo", "-o", tmp_path, code=2).stderr
    assert f"{tmp_path}: is not empty, it holds notes.txt; choose another -o" in said


def test_the_demo_replaces_its_own_pictures_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_read_map", lambda name: np.zeros((197, 233, 189), np.uint8))
    demo.make_demo_data(tmp_path, 3, 1, unlabelled=False)
    put(tmp_path / "train" / "images", "slice_of_mine.png", "slice_007.png")
    demo.make_demo_data(tmp_path, 1, 1, unlabelled=False)
    assert tree(tmp_path / "train" / "images") == ["slice_007.png", "slice_076.png", "slice_of_mine.png"]


def test_a_run_of_before_there_was_a_guard_goes_on_without_one(tmp_path: Path) -> None:
    """What it was told before it stopped could not be told again otherwise."""
    text = dump_config(Config())
    (tmp_path / "config.yaml").write_text(text)
    now = RunFolder(tmp_path).config()
    assert now is not None and now.prune.guard and now.train.missed_label == "fail"
    older = "".join(line for line in text.splitlines(True) if "guard:" not in line)
    (tmp_path / "config.yaml").write_text(older)
    before = RunFolder(tmp_path).config()
    assert before is not None and not before.prune.guard and before.train.missed_label == "warn"
