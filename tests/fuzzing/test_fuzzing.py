"""Damaged files of every kind: the same few in every run, more with STAMPSEG_FUZZ=1000 (files per kind)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from stampseg.data.io.formats import FORMATS
from tests.bad_inputs.bench import Clean, make_clean

from .hunt import hunt
from .targets import KINDS, MOST_VALUES, Target, targets

EXAMPLES = int(os.environ.get("STAMPSEG_FUZZ", "0"))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    clean: Clean = make_clean(tmp_path_factory.mktemp("clean"))
    return {target.name: target for target in targets(clean, tmp_path_factory.mktemp("whole"))}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_refused_or_harmless(
    kind: str, opened: dict[str, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAMPSEG_MAX_VALUES", str(MOST_VALUES))
    with tempfile.TemporaryDirectory() as folder:
        tally = hunt(opened[kind], Path(folder), EXAMPLES or 60, seeded=not EXAMPLES)
    assert tally.runs >= (EXAMPLES or 60) // 2
    assert tally.ends["refused"], "the damages do no damage"


def test_every_format_is_damaged() -> None:
    """But for DICOM, whose image is a folder."""
    suffixes = {kind.removeprefix("image ") for kind in KINDS if kind.startswith("image ")}
    missing = [each.name for each in FORMATS if not each.series and not suffixes & {*each.suffixes}]
    assert not missing


def test_every_kind_is_named(opened: dict[str, Target]) -> None:
    assert set(opened) == set(KINDS)
