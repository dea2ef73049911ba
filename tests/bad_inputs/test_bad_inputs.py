"""Every bad input ends in the right answer, or in one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from . import corpus
from .bench import Bench, Clean, make_clean
from .judge import judge


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    return make_clean(tmp_path_factory.mktemp("clean"))


@pytest.mark.parametrize("name", corpus.INPUTS)
def test_a_bad_input_does_no_harm(name: str, clean: Clean, tmp_path: Path) -> None:
    for verdict in judge(corpus.INPUTS[name], Bench(clean, tmp_path)):
        assert not verdict.wrong, f"{name}: {verdict.command}: {verdict.wrong}; said: {verdict.said}"


def test_there_are_many_of_them() -> None:
    assert len(corpus.INPUTS) >= 100
