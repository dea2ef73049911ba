"""Every bad input ends in the right answer, or in one line that says what is wrong."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.scripts import load_script

from . import corpus
from .bench import Bench, Clean, make_clean
from .judge import judge

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    return make_clean(tmp_path_factory.mktemp("clean"))


# One of three in the usual suite; all with the slow ones, and whenever the page of them is made.
EACH = [
    pytest.param(name, marks=[] if number % 3 == 0 else [pytest.mark.slow])
    for number, name in enumerate(corpus.INPUTS)
]


@pytest.mark.parametrize("name", EACH)
def test_a_bad_input_does_no_harm(name: str, clean: Clean, tmp_path: Path) -> None:
    for verdict in judge(corpus.INPUTS[name], Bench(clean, tmp_path)):
        assert not verdict.wrong, f"{name}: {verdict.command}: {verdict.wrong}; said: {verdict.said}"


def test_there_are_many_of_them_and_the_page_names_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(corpus.INPUTS) >= 100
    monkeypatch.setattr(sys, "path", [*sys.path])  # the script adds to it
    generator = load_script(ROOT / "docs" / "generate_bad_inputs.py")
    page = generator.TARGET.read_text(encoding="utf-8")
    named = re.findall(r"^\| (.*?) \| [a-z, ]* \|", page, re.MULTILINE)
    assert named[1:] == [generator.cell(name) for name in corpus.INPUTS], (
        "run python docs/generate_bad_inputs.py"
    )
