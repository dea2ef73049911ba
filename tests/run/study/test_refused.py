"""A run whose network does not find a label counts in a study: left out, it would flatter its method."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from stampseg.run.study.plan import METRICS
from tests.cli.command import call
from tests.run.study.small import METHODS, OPTIONS, write_study

SAID = "the run ended without a model; the network that it refused was tested all the same"
STRICT = {"train": {**OPTIONS["train"], "missed_label": "fail"}}
DENSE = {"method": "dense", "train": {"missed_label": "warn"}}


def test_other_cells_take_its_size_and_its_widths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control without them would lack just the draws in which its method was worst."""
    monkeypatch.setattr("stampseg.run.verdict.FOUND_DICE", 1.1)
    like = {"method": "dense", "network": {"widths_of": {"network of": "ours"}}, "train": DENSE["train"]}
    path = write_study(
        tmp_path, options={**OPTIONS, **STRICT}, draws=[10],
        methods={"ours": METHODS["ours"], "like ours": like, "flat": METHODS["flat, equal FLOPs"]},
        claims=[{"method": "ours", "against": "flat", "kind": "superior"}],
    )  # fmt: skip
    results = {}
    for method in ("ours", "like ours", "flat"):
        call("study", path, "-o", tmp_path / "study", "--cell", f"discs/{method}/1-10")
        cell = tmp_path / "study" / "cells" / "discs" / method / "1-10"
        results[method] = json.loads((cell / "cell.json").read_text())["result"]
    assert results["ours"]["failure"] is not None
    assert results["like ours"]["parameters"] == results["ours"]["parameters"]
    assert results["flat"]["flops"] == pytest.approx(results["ours"]["flops"], rel=0.25)


def test_a_run_that_ended_without_a_model_is_tested_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stampseg.run.verdict.FOUND_DICE", 1.1)  # no network is good enough
    path = write_study(
        tmp_path, options={**OPTIONS, **STRICT}, methods={"ours": METHODS["ours"], "dense": DENSE},
        draws=[10], claims=[{"method": "ours", "against": "dense", "kind": "superior"}],
    )  # fmt: skip
    study = tmp_path / "study"
    for name in ("discs/ours/1-10", "discs/ours/2-10", "discs/dense/1-10", "discs/dense/2-10"):
        said = call("study", path, "-o", study, "--cell", name).output
        assert (SAID in said) == ("ours" in name)
    cell = study / "cells" / "discs/ours/1-10"
    record = json.loads((cell / "cell.json").read_text())["result"]
    result = json.loads((cell / "run" / "result.json").read_text())
    assert record["failure"] == result["failure"] is not None
    assert record["parameters"] == result["parameters_after"]
    assert not (cell / "run" / "model.safetensors").exists() and (cell / METRICS).is_file()

    call("study", path, "-o", study)  # all are done: it writes the tables
    with (study / "cells.csv").open(newline="") as file:
        rows = [(row["method"], row["labels"], row["refused"]) for row in csv.DictReader(file)]
    assert sorted(rows) == [("dense", "1", "0"), ("dense", "2", "0"), ("ours", "1", "1"), ("ours", "2", "1")]
    call("compare", study, "-o", tmp_path / "compare.md")
    warned = " ".join((tmp_path / "compare.md").read_text().split())
    assert (
        "2 runs ended without a model, for a label was not found in its own training cases: ours (discs, 1 "
        "labelled person, draw 10), ours (discs, 2 labelled people, draw 10); the network that was refused "
        "is counted all the same"
    ) in warned
