"""`stampseg bench`: real processes on a tiny network, and words that follow from the figures."""

from __future__ import annotations

import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from stampseg.cli.commands import app
from stampseg.core.errors import TrainingError
from stampseg.timing.comparison import in_words
from stampseg.timing.worker import Job, Worker, peak_megabytes
from tests.cli.command import QUICK, call


def row(runtime: str, dense: float | None, pruned: float) -> dict[str, Any]:
    networks = {"pruned": {"ms": pruned}} | ({} if dense is None else {"dense": {"ms": dense}})
    return {"runtime": runtime, "precision": "f32", "networks": networks}


def test_the_words_say_where_pruning_paid_and_where_not() -> None:
    report = {
        "flops": {"dense": 400, "pruned": 100},
        "rows": [row("eager", 30, 10), row("onnxruntime", 10.5, 10), row("openvino", None, 3)],
    }
    paid, not_paid, alone = in_words(report)
    assert paid == (
        "eager f32: 3.00 times as fast as dense with 4.00 times fewer FLOPs: 0.75 of what the FLOPs promise"
    )
    assert "1.05 times as fast" in not_paid and "pruning did not pay here (0.26 of what" in not_paid
    assert alone == "openvino f32: the network was not pruned; there is nothing to compare"


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "run"
    call("train", pictures, "-o", folder, "--target-flops", "40%", *QUICK)
    return folder


@pytest.mark.slow
def test_every_runtime_in_a_process_of_its_own(run: Path, pictures: Path) -> None:
    pytest.importorskip("onnxruntime")
    image = next((pictures / "images").iterdir())
    chosen = ("--runtimes", "eager,onnxruntime", "--precisions", "f32,bf16")
    told = call("bench", run, "--input", image, "--seconds", "0", *chosen, "--json")
    report = json.loads(told.stdout)
    assert [f"{r['runtime']} {r['precision']}" for r in report["rows"]] == [
        "eager f32",
        "eager bf16",
        "onnxruntime f32",
    ]
    assert "onnxruntime bf16: left out: `precision` bf16 is not possible" in report["left_out"][0]
    assert report["flops"]["pruned"] < 0.45 * report["flops"]["dense"]
    for entry in report["rows"]:
        assert set(entry["networks"]) == {"pruned", "dense"}
        for figures in entry["networks"].values():
            assert 0 < figures["low_ms"] <= figures["ms"] <= figures["high_ms"]
            assert figures["windows_per_second"] > 0
            # whole images are predicted in f32 by PyTorch, whose time was given for that of bf16
            assert figures.get("image_seconds", 0) > 0 or (entry["runtime"], entry["precision"]) == (
                "eager", "bf16",
            )  # fmt: skip
            assert "image_seconds" not in figures or entry["precision"] == "f32"
    peak = {r["runtime"]: r["networks"]["pruned"]["peak_megabytes"] for r in report["rows"]}
    assert peak["onnxruntime"] < peak["eager"], "it runs without PyTorch"


def test_a_table_for_people(run: Path) -> None:
    told = call("bench", run, "--seconds", "0", "--runtimes", "eager").output
    told = " ".join(told.split())  # a narrow terminal folds the table
    assert "eager" in told and "pruned" in told and "times fewer FLOPs" in told
    assert "dense is the same network before any cut, with random weights" in told


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("--runtimes", "magic"),
            2,
            "--runtimes 'magic': expected some of eager, compiled, onnxruntime, openvino",
        ),
        (("--precisions", ","), 2, "--precisions '': expected some of f32, bf16, int8"),
        (("--input", "nowhere.png"), 3, "nowhere.png: file not found"),
    ],
)
def test_messages(run: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    found = CliRunner().invoke(app, ["bench", str(run), *arguments])
    assert found.exit_code == code and message in " ".join(found.output.split())


def test_a_process_that_cannot_get_ready_says_why(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nothing\.safetensors"):
        Worker(Job(tmp_path / "nothing.safetensors", "eager", "f32", (1, 8, 8), 1, 1))


def test_the_peak_of_a_process_is_not_its_parents() -> None:
    hoard = np.ones(2**26)  # 512 MiB, and gone before the other process starts
    del hoard
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(peak_megabytes).result() < peak_megabytes() - 100


def test_memory_is_known_without_proc_and_getrusage(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, and on Windows, where psutil says it."""
    before = peak_megabytes()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    assert peak_megabytes() >= 0.9 * before
    monkeypatch.setitem(sys.modules, "resource", None)
    peak = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=int(5e6)))
    monkeypatch.setattr("psutil.Process", lambda: peak)
    assert peak_megabytes() == 5.0
