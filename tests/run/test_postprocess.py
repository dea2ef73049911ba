"""Without folds, post-processing is tried on the validation cases, where at least four people validate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stampseg.evaluation.evidence import Cases
from stampseg.networks.model_file import read_description
from stampseg.run import postprocess
from stampseg.run.records import read_result
from tests.cli.command import call
from tests.data.scans import write_pictures

QUICK = (
    "--method", "dense", "--steps", "2", "--set", "network.width=2", "--set", "network.poolings=1",
    "--set", "train.validate_every=2", "--set", "train.augment=false", "--set", "train.missed_label=warn",
)  # fmt: skip


def test_it_is_tried_where_four_people_validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_pictures(tmp_path, "abcdefgh", (16, 16))
    seen: list[int] = []
    found = postprocess.find_steps

    def counted(cases: Cases, names: Sequence[str], unit: str) -> Any:
        seen.append(len(list(cases())))
        return found(cases, names, unit)

    monkeypatch.setattr(postprocess, "find_steps", counted)
    call("train", data, "-o", tmp_path / "four", "--validation", "50%", *QUICK)
    result = read_result(tmp_path / "four")
    assert seen == [4]
    assert [trial.people for trial in result.trials] == [4] * 4
    assert result.postprocess is not None
    kept = read_description(tmp_path / "four" / "model.safetensors").postprocess
    assert (result.postprocess == "none") == (kept == ())
    call("train", data, "-o", tmp_path / "three", "--validation", "37%", *QUICK)
    assert seen == [4]
    assert read_result(tmp_path / "three").postprocess is None
