"""`evaluate` over people: who is who by a regex, a CSV or a run, and what is printed and written of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.splits.people import people_of_names
from tests.cli.command import call
from tests.data.scans import write_pictures

NAMES = ("ann-1", "ann-2", "ann-3", "bob-1")


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and references: all of one person's are right, the other's one is empty."""
    write_pictures(tmp_path, NAMES)
    (tmp_path / "found").mkdir()
    for name in NAMES:
        mask = np.array(Image.open(tmp_path / "masks" / f"{name}.png"))
        if name == "bob-1":
            mask[:] = 0
            mask[0, 0] = 255
        Image.fromarray(mask).save(tmp_path / "found" / f"{name}.png")
    return tmp_path / "found", tmp_path / "masks"


def test_each_person_counts_once(masks: tuple[Path, Path]) -> None:
    found = json.loads(call("evaluate", *masks, "--group-regex", "(.+)-", "--json").stdout)
    assert found["summary"]["foreground"]["dice"]["mean"] == pytest.approx(0.75)
    over = found["over_people"]["foreground"]["dice"]
    assert (over["mean"], over["low"], over["high"]) == (pytest.approx(0.5), 0.0, 1.0)
    assert (over["people"], over["cases"], over["kind"], found["people"]) == (2, 4, "range", 2)
    assert found["by_person"]["ann"]["foreground"]["dice"] == 1
    assert found["by_person"]["ann"]["foreground"]["cases"] == 3
    assert {row["case"]: row["person"] for row in found["rows"]}["bob-1"] == "bob"


def test_what_is_printed_fits_80_columns_and_names_the_lowest_first(masks: tuple[Path, Path]) -> None:
    said = call("evaluate", *masks, "--group-regex", "(.+)-").output
    assert "over 2 people, each counts once" in said and "0.000 to 1.000 (all 2 people)" in said
    assert "of fewer than 10 people the lowest and the highest person are given" in said
    assert said.index("│ bob") < said.index("│ ann")
    assert all(len(line) <= 80 for line in said.splitlines() if line.startswith(("│", "┃", "└", "┏", "├")))


def test_without_who_is_who_nothing_is_said_of_people(masks: tuple[Path, Path]) -> None:
    assert "people" not in call("evaluate", *masks).output
    assert "people" not in json.loads(call("evaluate", *masks, "--json").stdout)


@pytest.mark.parametrize("header", ["case,group", "image;group", "label\tgroup"])
def test_a_csv_says_who_is_who(masks: tuple[Path, Path], tmp_path: Path, header: str) -> None:
    mark = next(letter for letter in ",;\t" if letter in header)
    ending = "" if header.startswith("case") else ".png" if "label" in header else "_0000.nii.gz"
    rows = [f"x/{name}{ending}{mark}{name[:3]}" for name in NAMES]
    table = tmp_path / "who.csv"
    table.write_text("\n".join([header, *rows]))
    call("evaluate", *masks, "--groups", table, "-o", tmp_path / "m.csv")
    lines = list(csv.DictReader((tmp_path / "m.csv").open()))
    assert [(line["case"], line["person"]) for line in lines] == [(name, name[:3]) for name in NAMES]


def test_a_run_says_who_is_who(masks: tuple[Path, Path], tmp_path: Path) -> None:
    entries = [{"id": name, "group": name[:3]} for name in NAMES]
    (tmp_path / "splits.json").write_text(json.dumps({"training": entries[:2], "test": entries[2:]}))
    for place in (tmp_path, tmp_path / "splits.json"):
        found = json.loads(call("evaluate", *masks, "--groups", place, "--json").stdout)
        assert found["people"] == 2


def test_a_run_says_who_is_who_of_those_it_did_not_learn_from(
    masks: tuple[Path, Path], tmp_path: Path
) -> None:
    """Of a fold those who were held out, and of a pruning those of the runs before."""
    entries = [{"id": name, "group": name[:3]} for name in NAMES]
    others = [{"id": "bob-1", "group": "another Bob"}]
    splits = {"training": entries[3:], "held_out": entries[:2], "known": [*entries[2:3], *others]}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    found = json.loads(call("evaluate", *masks, "--groups", tmp_path, "--json").stdout)
    assert {row["case"]: row["person"] for row in found["rows"]} == {name: name[:3] for name in NAMES}


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nimage;group\n{0}.png;ann\n{1}.png;ann\n{2}.png;ann\n{3}.png;bob\n",
        "image:t1,image:t2,group\n{0}.png,a.png,ann\n{1}.png,b.png,ann\n{2}.png,c.png,ann\n{3}.png,d.png,bob\n",
        "image_1,Group\n{0}.png,ann\n{1}.png,ann\n{2}.png,ann\n{3}.png,bob\n",
        "label:a,label:b,group\n{0}.png,x.png,ann\n{1}.png,x.png,ann\n{2}.png,x.png,ann\n{3}.png,x.png,bob\n",
    ],
)
def test_a_csv_of_a_training_says_who_is_who(masks: tuple[Path, Path], tmp_path: Path, text: str) -> None:
    (tmp_path / "who.csv").write_text(text.format(*NAMES))
    found = json.loads(call("evaluate", *masks, "--groups", tmp_path / "who.csv", "--json").stdout)
    assert {row["case"]: row["person"] for row in found["rows"]} == {name: name[:3] for name in NAMES}


def test_one_name_in_two_folders_is_not_one_person(tmp_path: Path) -> None:
    """The masks are called by the files alone, which says nothing; or as a training calls the cases."""
    table = tmp_path / "who.csv"
    table.write_text("image,group\nann/ct.png,Ann\nbob/ct.png,Bob\n")
    with pytest.raises(DataError) as caught:
        people_of_names(["ct"], None, table)
    assert str(caught.value) == (
        f"{table}: ct is Ann and Bob (1 of 1 cases are several persons); expected one person for every case; "
        "write a CSV with columns case and group alone, a row for each mask"
    )
    found = people_of_names(["ann_ct", "bob_ct"], None, table)
    assert found == {"ann_ct": "Ann", "bob_ct": "Bob"}
    table.write_text("image,group\nann/ct.png,Ann\nann/2/ct.png,Ann\n")
    assert people_of_names(["ct"], None, table) == {"ct": "Ann"}


def test_what_says_nothing_is_refused(masks: tuple[Path, Path], tmp_path: Path) -> None:
    def said(text: str, name: str = "who.csv") -> str:
        (tmp_path / name).write_text(text)
        return call("evaluate", *masks, "--groups", tmp_path / name, code=3).output

    assert "says nothing of bob-1 (1 of 4 cases); expected a person for every case" in said(
        "case,group\nann-1,a\nann-2,a\nann-3,a\n"
    )
    assert "no column group beside one of case, image, label" in said("case,person\nann-1,a\n")
    assert "holds no splits.json" in call("evaluate", *masks, "--groups", masks[0], code=3).output
    assert "file not found" in call("evaluate", *masks, "--groups", tmp_path / "no.csv", code=3).output
    both = ("--groups", masks[0], "--group-regex", "(.+)-")
    told = call("evaluate", *masks, *both, code=2).output
    assert "--group-regex and --groups both say who is who; give one of them" in told
    assert "finds nothing in the case id" in call("evaluate", *masks, "--group-regex", "(x)", code=2).output
