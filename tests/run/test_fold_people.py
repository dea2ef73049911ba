"""Nothing is learnt of the people whom a fold holds out: not from scans without labels either."""

from __future__ import annotations

import csv
from pathlib import Path

from stampseg.core.config import Config, parse_config
from stampseg.data.cases import find_dataset
from stampseg.data.splits.folds import without_held_out
from stampseg.run.folds.cross_validation import fold_spec, folds_of
from stampseg.run.spec import RunSpec
from stampseg.run.survey import survey
from tests.data.scans import write_pictures

PEOPLE = ("anna", "bert", "carl", "dora")


def table_of(folder: Path, rows: list[list[object]], columns: str) -> Path:
    path = folder / "scans.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns.split(), *rows])
    return path


def learnt_from(table: Path, config: Config) -> list[tuple[set[str], set[str]]]:
    """Ids of the cases that are held out, and of the scans without labels, of each fold."""
    dataset, spec = find_dataset(table), RunSpec("train", table, config)
    found = []
    for fold in folds_of(dataset, table, config)[0]:
        split = survey(without_held_out(dataset, fold), fold_spec(spec, fold).config).split
        found.append(({case.id for case in split.held_out}, {case.id for case in split.unlabelled}))
    return found


def test_scans_of_a_folder_are_of_the_people_whom_the_table_names(tmp_path: Path) -> None:
    """Of each of four people one scan of two is drawn; the other, in the folder, is known by the table."""
    write_pictures(tmp_path, [f"scan{n}" for n in range(8)], (16, 16))
    rows: list[list[object]] = [
        [f"images/scan{n}.png", f"masks/scan{n}.png", PEOPLE[n % 4]] for n in range(8)
    ]
    table = table_of(tmp_path, rows, "image label group")
    config = parse_config(
        {"labels": 4, "unlabelled": str(tmp_path / "images"), "train": {"folds": 2}}, "test"
    )
    whose = {f"scan{n}": PEOPLE[n % 4] for n in range(8)}
    for held_out, unlabelled in learnt_from(table, config):
        assert len(held_out) == len(unlabelled) == 2  # the second scans of the two who train
        assert not {whose[name] for name in held_out} & {whose[name] for name in unlabelled}


def test_scans_of_the_site_that_is_held_out_are_not_learnt_from(tmp_path: Path) -> None:
    write_pictures(tmp_path, [f"s{n}" for n in range(8)], (16, 16))
    site = ["Bonn", "Graz"]
    rows: list[list[object]] = [
        [f"images/s{n}.png", f"masks/s{n}.png" if n < 4 else "", f"p{n}", site[n % 2]] for n in range(8)
    ]
    table = table_of(tmp_path, rows, "image label group site")
    found = learnt_from(table, parse_config({"train": {"fold_column": "site"}}, "test"))
    assert found == [({"s0", "s2"}, {"s5", "s7"}), ({"s1", "s3"}, {"s4", "s6"})]
    named = parse_config({"unlabelled": str(tmp_path / "images"), "train": {"fold_column": "site"}}, "test")
    words = folds_of(find_dataset(table), table, named)[1]
    assert "nothing says the site of the scans in" in words and "if some are of one that is held out" in words
