"""A JSON file with a format number: written by one form, read by it in this version and in older ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stampseg.core.errors import DataError
from stampseg.core.json_file import JsonFile, whole_lines
from stampseg.core.level import Level
from stampseg.core.options import FileRecord, Number


class Thing(FileRecord):
    name: str
    size: Number = None


class Places(FileRecord):
    place: Path
    level: Level


THING = JsonFile("thing.json", Thing, remedy="write it again", newest=3)


def test_what_is_written_is_read_and_says_its_format_first(tmp_path: Path) -> None:
    thing = Thing(name="é\u2028\n", size=0.1 + 0.2)
    THING.write(tmp_path, thing)
    assert THING.read(tmp_path) == thing
    assert list(json.loads((tmp_path / "thing.json").read_text(encoding="utf-8"))) == [
        "format",
        "name",
        "size",
    ]
    assert json.loads(THING.line(thing)) == {"format": 3, "name": "é\u2028\n", "size": 0.1 + 0.2}
    assert "\n" not in THING.line(thing)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_know_are_none(number: float) -> None:
    assert Thing(name="a", size=number).size is None
    assert THING.parse('{"name": "a", "size": NaN}', "x") == Thing(name="a")


@pytest.mark.parametrize("older", [{}, {"format": 1}, {"format": 3}, {"format": 2, "unheard_of": [1]}])
def test_older_formats_and_those_without_a_number_are_read(older: dict[str, Any]) -> None:
    assert THING.parse(json.dumps({"name": "a", **older}), "x") == Thing(name="a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format": 4, "name": 1}', "written in format 4; this version reads format 3; update stampseg"),
        ('{"format": "2", "name": "a"}', r'is damaged \(format: "2" is no whole number\); write it again'),
        ('{"format": true, "name": "a"}', "is damaged .format: true is no whole number"),
        ("{}", r"is damaged \(name: Field required\); write it again"),
        ('{"name": 5}', r"is damaged \(name: Input should be a valid string\); write it again"),
        ("[]", r"is damaged \(all of it: no JSON object\); write it again"),
        ("{", "is damaged .Expecting property name"),
        ('{"a": ' * 100_000, "is damaged "),
        (f'{{"format": {"9" * 5000}}}', "is damaged "),
    ],
)
def test_other_json_is_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "thing.json").write_text(text)
    with pytest.raises(DataError, match=rf"thing\.json: {said}") as error:
        THING.read(tmp_path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"thing\.json: cannot be read \(No such file or directory\)"):
        THING.read(tmp_path)


def test_lines_end_with_a_line_feed_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    things = [Thing(name="a\u2028b"), Thing(name="c\x85\r")]
    lines = [THING.line(thing) + "\n" for thing in things]
    (tmp_path / "thing.json").write_text("".join(lines) + '{"name', encoding="utf-8")
    assert THING.read_lines(tmp_path) == things
    assert whole_lines("") == [] and whole_lines("a\n\nb") == ["a", ""]
    (tmp_path / "thing.json").write_text("{}\n")
    with pytest.raises(DataError, match=r"thing\.json: line 1 is damaged \(name: Field required\)"):
        THING.read_lines(tmp_path)


def test_a_name_of_bytes_that_are_no_utf8_is_written_and_read_back(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(b"scan\xe9.png"))
    form = JsonFile("places.json", Places)
    form.write(tmp_path, Places(place=odd, level=Level.WARNING))
    assert form.read(tmp_path) == Places(place=odd, level=Level.WARNING)
