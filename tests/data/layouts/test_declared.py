"""Labels as dataset.json declares them: in which forms, and what is refused or told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.layouts.declared import declared_labels
from tests.cli.command import call


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        Image.fromarray(np.eye(32, dtype=np.uint8)).save(tmp_path / part / "a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"labels": {"liver": 1, "liver": 2}}', '"liver" is there twice in "labels", and the last'),
        ('{"labels": {"1": "liver", "1": "spleen"}}', '"1" is there twice in "labels"'),
        ('{"channel_names": {"0": "T1", "0": "T2"}}', '"0" is there twice in "channel_names"'),
        ('{"labels": {"1": "liver"}, "labels": {"1": "spleen"}}', '"labels" is there twice, and the last'),
    ],
)  # fmt: skip
def test_what_is_there_twice_is_refused(text: str, said: str, data: Path) -> None:
    (data / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=rf"^{data / 'dataset.json'}: {said}"):
        find_dataset(data)
    assert "is there twice" in call("check", data, "--no-timing", code=3).output


def test_what_is_not_used_may_be_there_twice(data: Path) -> None:
    (data / "dataset.json").write_text('{"name": "a", "name": "b", "labels": {"1": "liver"}}')
    assert find_dataset(data).label_names == {1: "liver"}


@pytest.mark.parametrize(
    "labels",
    [
        {"1": "liver", "2": "spleen"},
        {"liver": 1, "spleen": 2},
        {"liver": 1.0, "spleen": 2.0},
        {"liver": "1", "spleen": "2.0"},
        {"1.0": "liver", "2": {"name": "spleen", "color": "red"}},
    ],
)
def test_values_and_names_in_many_forms(labels: dict) -> None:
    found = declared_labels({"labels": labels})
    assert dict(found.names) == {1: "liver", 2: "spleen"} and not found.unread


@pytest.mark.parametrize(
    "unread", [{"2": {"colour": "red"}}, {"spleen": "left"}, {"spleen": 1.5}, {"spleen": True}, {"2": None}]
)
def test_what_says_no_value_and_name_is_told(unread: dict, data: Path) -> None:
    assert dict(declared_labels({"labels": {"1": "liver", **unread}}).names) == {1: "liver"}
    (data / "dataset.json").write_text(json.dumps({"labels": {"1": "liver", **unread}}))
    (name,) = unread
    told = f'of "labels" in dataset.json not read, as neither "1": "liver" nor "liver": 1 (1): {name}: '
    assert any(warning.startswith(told) for warning in find_dataset(data).warnings)


def test_a_list_of_names_is_told(data: Path) -> None:
    (data / "dataset.json").write_text('{"labels": ["background", "liver"]}')
    (told,) = find_dataset(data).warnings
    assert "not read" in told and told.endswith("(1): ['background', 'liver']")
