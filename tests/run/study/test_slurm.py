"""SLURM as its commands answer, without one: what is asked, and what is made of the answers."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from stampseg.core.errors import ConfigError, TrainingError
from stampseg.run.study import slurm
from stampseg.run.study.plan import Study, open_study
from stampseg.run.study.slurm import SlurmEngine
from tests.run.study.small import write_study

CELLS = ["discs/ours/1-10", "discs/ours/2-10", "discs/ours/1-11"]
FAKE = """#!/bin/sh
echo "$(basename $0) $*" >>{folder}/asked
[ -f {folder}/$(basename $0).fails ] && {{ cat {folder}/$(basename $0).fails >&2; exit 1; }}
cat {folder}/$(basename $0).says 2>/dev/null
exit 0
"""


class Fake:
    """sbatch, squeue and sinfo that say what the test lets them say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("sbatch", "squeue", "sinfo"):
            (folder / name).write_text(FAKE.format(folder=folder))
            (folder / name).chmod(0o755)
        self.says("sinfo", "all\nlong\n")
        self.says("sbatch", "12\n")

    def says(self, name: str, text: str) -> None:
        (self.folder / f"{name}.says").write_text(text)

    def fails(self, name: str, text: str | None) -> None:
        if text is None:
            (self.folder / f"{name}.fails").unlink()
        else:
            (self.folder / f"{name}.fails").write_text(text)

    def queue(self, *tasks: str, state: str = "RUNNING", reason: str = "None") -> None:
        self.says("squeue", "".join(f"{task}|{state}|{reason}\n" for task in tasks))

    def asked(self, name: str) -> list[str]:
        return [line for line in (self.folder / "asked").read_text().splitlines() if line.startswith(name)]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "_SHORT", 0.01)
    return Fake(tmp_path / "bin")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(write_study(tmp_path / "study"), tmp_path / "out")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def engine(study: Study, fake: Fake, said: list[str]) -> SlurmEngine:
    return SlurmEngine(study, "all", said.append, grace=0)


def leave(study: Study, name: str, code: int) -> None:
    place = study.folder / "cells" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "exit").write_text(f"{code}\n")


def test_an_array_is_submitted_and_its_tasks_end(engine: SlurmEngine, study: Study, fake: Fake) -> None:
    leave(study, CELLS[0], 7)  # of another attempt
    engine.submit(CELLS)
    (words,) = fake.asked("sbatch")
    assert "--partition=all --array=0-2 " in words and "--cpus-per-task=1" in words and "gres" not in words
    assert Path(words.split()[-1]).read_text().splitlines() == CELLS
    fake.queue("12_0", "12_1", "12_2")
    assert engine.ended() == []
    leave(study, CELLS[0], 0)
    fake.queue("12_2")
    assert engine.ended() == [(CELLS[0], 0), (CELLS[1], None)]
    fake.queue("12_2", state="TIMEOUT")  # still shown, and ended
    assert engine.ended() == [(CELLS[2], None)]
    assert engine.stop() == "no cell is in the queue"


def test_many_cells_are_submitted_in_pieces(
    engine: SlurmEngine, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "MOST", 2)
    engine.submit(CELLS)
    assert [re.findall(r"--array=(\S+)", words)[0] for words in fake.asked("sbatch")] == ["0-1", "0-0"]


def test_a_queue_that_does_not_answer_is_asked_again(
    engine: SlurmEngine, fake: Fake, said: list[str]
) -> None:
    engine.submit(CELLS)
    fake.fails("squeue", "slurm_load_jobs error: Unable to contact slurm controller")
    assert [engine.ended() for _ in range(10)] == [[]] * 10
    assert said == ["squeue has not answered ten times in a row; it is asked again until it does"]
    fake.fails("squeue", None)
    fake.queue()
    assert len(engine.ended()) == 3


def test_files_of_other_machines_may_come_late(study: Study, fake: Fake) -> None:
    engine = SlurmEngine(study, "all", print, grace=60)
    engine.submit(CELLS[:1])
    fake.queue()
    assert engine.ended() == []
    leave(study, CELLS[0], 143)
    assert engine.ended() == [(CELLS[0], 143)]


def test_a_study_that_is_started_again_finds_its_cells_in_the_queue(
    engine: SlurmEngine, study: Study, fake: Fake
) -> None:
    engine.submit(CELLS)
    fake.queue("12_1", "99_0")
    again = SlurmEngine(study, "all", print, grace=0)
    assert again.begun() == [CELLS[1]]
    assert again.stop() == "left in the queue of SLURM: 1 cell; scancel 12 takes them out"
    fake.queue()
    assert again.ended() == [(CELLS[1], None)]


def test_why_cells_wait_is_said_once_where_it_may_not_pass(
    engine: SlurmEngine, fake: Fake, said: list[str]
) -> None:
    engine.submit(CELLS)
    fake.queue("12_0", "12_1", "12_2", state="PENDING", reason="Priority")
    engine.ended()
    fake.queue("12_0", "12_1", "12_2", state="PENDING", reason="PartitionTimeLimit")
    engine.ended()
    engine.ended()
    assert said == [
        "SLURM lets 3 cells wait: PartitionTimeLimit; if that does not pass, see its administrators"
    ]


def test_sbatch_that_refuses_is_said(engine: SlurmEngine, fake: Fake) -> None:
    fake.fails("sbatch", "sbatch: error: Batch job submission failed: Invalid account")
    with pytest.raises(
        TrainingError, match=r"sbatch takes no cells: .*Invalid account; options of sbatch are"
    ):
        engine.submit(CELLS)
    assert len(fake.asked("sbatch")) == 1


def test_an_array_whose_answer_was_lost_is_not_submitted_twice(engine: SlurmEngine, fake: Fake) -> None:
    fake.fails(
        "sbatch", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    )
    fake.says("squeue", "44\n")
    engine.submit(CELLS)
    assert len(fake.asked("sbatch")) == 1 and "job 44" not in engine.stop()
    assert "scancel 44 takes" in engine.stop()


@pytest.mark.parametrize("missing", ["sbatch", "squeue"])
def test_without_slurm_it_says_so(
    missing: str, study: Study, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake.folder / missing).unlink()
    monkeypatch.setenv("PATH", str(fake.folder))
    with pytest.raises(ConfigError, match=f"`slurm` 'all': {missing} is not on the PATH; start the study on"):
        SlurmEngine(study, "all", print)


def test_an_unknown_partition_is_refused(study: Study, fake: Fake) -> None:
    with pytest.raises(ConfigError, match="`slurm` 'x': no such partition; partitions are all, long"):
        SlurmEngine(study, "x", print)
