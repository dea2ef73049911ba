"""Folds of people: everybody once, nobody twice, labels spread, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stampseg.core.config import Config
from stampseg.core.errors import ConfigError, DataError
from stampseg.data.cases import Case, Dataset, find_dataset
from stampseg.data.splits.folds import Fold, make_folds, spread, without_held_out
from tests.data.scans import write_pictures


def case(name: str, person: str = "") -> Case:
    return Case(name, person or name, (Path(f"{name}.png"),), Path(f"{name}_mask.png"))


def dataset(*cases: Case) -> Dataset:
    return Dataset(Path("d"), "folders", cases, (), {}, (), ())


def options(**train: object) -> Config:
    return Config().merged({"train": train})


@pytest.mark.parametrize(("people", "count"), [(2, 2), (5, 5), (7, 3), (23, 5)])
def test_everybody_is_held_out_once_and_nobody_is_on_two_sides(people: int, count: int) -> None:
    cases = [case(f"c{n}", f"p{n % people}") for n in range(3 * people)]
    folds, words = make_folds(dataset(*cases), Path("d"), options(folds=count), lambda c: {0, 1})
    assert sorted(name for fold in folds for name in fold.held_out) == sorted(c.id for c in cases)
    person = {c.id: c.group for c in cases}
    for fold in folds:
        assert {person[n] for n in fold.training} & {person[n] for n in fold.held_out} == set()
        assert len(fold.training) + len(fold.held_out) == len(cases)
    sizes = [len(fold.held_out) // 3 for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert ("leave one out" in words) == (people == count)
    assert words.startswith(f"{count} folds of {len(cases)} cases, {people} people")


def test_the_draw_is_of_the_seed_not_of_the_order() -> None:
    cases = [case(f"c{n}") for n in range(9)]
    one, same, other = (
        spread(given, 3, seed, lambda c: {0, 1}) for given, seed in ((cases, 4), (cases[::-1], 4), (cases, 5))
    )
    assert one == same != other


@pytest.mark.parametrize("seed", range(20))
def test_a_label_that_two_hold_is_learnt_in_every_fold(seed: int) -> None:
    labels = {f"c{n}": {0, 1} for n in range(10)}
    labels |= {"c0": {0, 2, 3}, "c1": {0, 2, 4}, "c2": {0, 3}, "c3": {0, 4}, "c4": {0, 5}, "c5": {0, 5, 1}}
    cases = [case(name) for name in labels]
    sides = spread(cases, 3, seed, lambda c: labels[c.id])
    assert sorted(map(len, sides)) == [3, 3, 4]
    for value in range(6):
        holders = {name for name, values in labels.items() if value in values}
        assert not any(holders <= side for side in sides), value


def test_labels_says_how_many_cases_are_in_the_folds() -> None:
    config = options(folds=2).merged({"labels": 4})
    folds, _ = make_folds(dataset(*(case(f"c{n}") for n in range(9))), Path("d"), config, lambda c: {0, 1})
    assert sum(len(fold.held_out) for fold in folds) == 4


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (3, "`train.folds` 4: 3 people are labelled, and each fold holds out one at least; take at most 3"),
        (1, "`train.folds` 4: 1 person is labelled, and each fold holds out one at least; label scans of"),
    ],
)
def test_more_folds_than_people_are_refused(people: int, said: str) -> None:
    cases = [case(f"c{n}", f"p{n % people}") for n in range(6)]
    with pytest.raises(ConfigError, match=said):
        make_folds(dataset(*cases), Path("d"), options(folds=4), lambda c: {0, 1})


def sites(folder: Path, header: str, rows: list[str]) -> Path:
    write_pictures(folder, [f"c{n}" for n in range(len(rows))])
    lines = [f"images/c{n}.png,masks/c{n}.png,{row}" for n, row in enumerate(rows)]
    table = folder / "cases.csv"
    table.write_text("\n".join([f"image,label,{header}", *lines]) + "\n")
    return table


def fold_of(table: Path, column: str, **train: object) -> list[Fold]:
    found = find_dataset(table)
    return make_folds(found, table, options(fold_column=column, **train), lambda c: {0, 1})[0]


def test_a_column_makes_a_fold_of_each_value(tmp_path: Path) -> None:
    table = sites(tmp_path, "group,Site", ["a,Bonn", "b,Graz", "a,Bonn", "c,Graz"])
    for place in (table, tmp_path):  # the table itself, or the folder that holds it
        found = make_folds(find_dataset(place), place, options(fold_column="site"), lambda c: {0, 1})
        assert [(fold.name, fold.held_out) for fold in found[0]] == [
            ("Bonn", ("c0", "c2")), ("Graz", ("c1", "c3")),
        ]  # fmt: skip
        assert found[1] == "2 folds by site: Bonn, Graz; each is held out once"


@pytest.mark.parametrize(
    ("header", "rows", "column", "error", "said"),
    [
        ("group,site", ["a,Bonn", "a,Graz"], "site", DataError, "person a has Bonn and Graz in column site"),
        ("site", ["Bonn", "Bonn"], "site", ConfigError, "holds Bonn for every case; expected two values"),
        ("site", ["Bonn", ""], "site", DataError, "nothing in column site for images/c1.png; fill it in"),
        (
            "site",
            ["Bonn", "Graz"],
            "town",
            DataError,
            "has no column town, only image, label, site; name one",
        ),
    ],
)
def test_a_column_that_makes_no_folds_is_refused(
    tmp_path: Path, header: str, rows: list[str], column: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        fold_of(sites(tmp_path, header, rows), column)


def test_a_column_needs_a_table_and_stands_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the column says how many folds there are; give one of the two"):
        fold_of(sites(tmp_path, "site", ["Bonn", "Graz"]), "site", folds=2)
    with pytest.raises(ConfigError, match="d is no CSV of cases; list images and labels in one with the col"):
        make_folds(dataset(case("a")), Path("d"), options(fold_column="site"), lambda c: {0})


def test_a_fold_whose_case_is_gone_is_not_trained() -> None:
    fold = Fold("0", ("a",), ("b",))
    split = without_held_out(dataset(case("a"), case("b"), case("c")), fold)
    assert ([c.id for c in split.cases], [c.id for c in split.held_out]) == (["a"], ["b"])
    with pytest.raises(DataError, match="d: b not there any more, of the cases that the folds were made of"):
        without_held_out(dataset(case("a")), fold)
