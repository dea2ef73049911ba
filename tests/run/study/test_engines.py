"""Eight cells by every engine, killed or not: the same models, byte for byte.

SLURM is used where there is one (`studies/slurm_one_node.sh` sets one up), Ray where it is installed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.run.study.small import CELLS, digests, write_study

pytestmark = pytest.mark.slow
LIMIT = 1800  # seconds


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """The study, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "stampseg", "study", folder / "study.yaml", "-o", folder / "out", *words]
    with (folder / "said.txt").open("a") as said:
        return subprocess.Popen(list(map(str, command)), stdout=said, stderr=said, text=True, env=environment)


def cells_at_work(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "--cell" in words and str(folder / "out") in words and Path(words[0]).name.startswith("python"):
            found.append(process)
    return found


def kill_one(folder: Path) -> None:
    """SIGKILL to a cell that has begun its run."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        begun = {path.parents[1] for path in (folder / "out").glob("cells/*/*/*/run/rounds.jsonl")}
        for process in cells_at_work(folder):
            place = folder / "out" / "cells" / process.cmdline()[process.cmdline().index("--cell") + 1]
            if place in begun and not (place / "cell.json").exists():
                process.kill()
                return
        time.sleep(0.1)
    raise AssertionError((folder / "said.txt").read_text())


def finish(study: subprocess.Popen[str], folder: Path) -> dict[str, str]:
    code = study.wait(LIMIT)
    assert code == 0, f"{code}: {(folder / 'said.txt').read_text()}"
    found = digests(folder / "out")
    assert len(found) == CELLS
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One after the other, nothing killed."""
    folder = tmp_path_factory.mktemp("whole")
    write_study(folder)
    return finish(start(folder, "--workers", "1"), folder)


def test_two_workers_of_which_one_is_killed(whole: dict[str, str], tmp_path: Path) -> None:
    write_study(tmp_path)
    study = start(tmp_path, "--workers", "2")
    kill_one(tmp_path)
    assert finish(study, tmp_path) == whole


def test_the_study_itself_is_killed_and_started_again(whole: dict[str, str], tmp_path: Path) -> None:
    write_study(tmp_path)
    study = start(tmp_path, "--workers", "2")
    end = time.monotonic() + LIMIT
    while not digests(tmp_path / "out") and time.monotonic() < end:
        time.sleep(0.2)
    study.kill()
    study.wait()
    assert finish(start(tmp_path, "--workers", "2"), tmp_path) == whole
    assert "done already" in (tmp_path / "said.txt").read_text()


def test_the_study_is_asked_to_end_and_started_again(whole: dict[str, str], tmp_path: Path) -> None:
    write_study(tmp_path)
    study = start(tmp_path, "--workers", "2")
    end = time.monotonic() + LIMIT
    while len(cells_at_work(tmp_path)) < 2 and time.monotonic() < end:
        time.sleep(0.2)
    study.send_signal(signal.SIGTERM)
    assert study.wait(LIMIT) == 143
    assert not cells_at_work(tmp_path)
    assert "asked to stop; the same command goes on" in (tmp_path / "said.txt").read_text()
    assert finish(start(tmp_path, "--workers", "2"), tmp_path) == whole


def test_slurm_with_a_killed_cell_and_a_killed_study(whole: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("sbatch") is None:
        pytest.skip("no sbatch here; studies/slurm_one_node.sh says how to set up a SLURM of one node")
    partitions = subprocess.run(["sinfo", "-h", "-o", "%R"], capture_output=True, text=True, check=False)
    if partitions.returncode or not partitions.stdout.split():
        pytest.skip("SLURM does not answer; is SLURM_CONF set?")
    partition = partitions.stdout.split()[0]
    write_study(tmp_path)
    study = start(tmp_path, "--slurm", partition)
    kill_one(tmp_path)
    study.kill()
    study.wait()
    assert finish(start(tmp_path, "--slurm", partition), tmp_path) == whole


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_ray_with_a_killed_cell(whole: dict[str, str], tmp_path: Path) -> None:
    write_study(tmp_path)
    study = start(tmp_path, "--ray", "local")
    kill_one(tmp_path)
    assert finish(study, tmp_path) == whole
