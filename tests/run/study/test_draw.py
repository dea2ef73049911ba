"""Who is labelled, seen without labels, and tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stampseg.core.errors import ConfigError, DataError
from stampseg.data.cases import Case, Dataset, find_dataset
from stampseg.run.study.config import TaskOptions, load_study
from stampseg.run.study.draw import Draw, draw, find_task, spread, write_pool
from tests.data.scans import write_pictures

ROOT = Path(__file__).resolve().parents[3]
LABELLED = {
    "fetal5": 5,
    "hippocampus5": 5,
    "cardiac": 4,
    "fetal": 10,
    "nerve": 10,
    "retina": 5,
    "hippocampus": 10,
}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten people of four images each; one of the images of the last two has no label."""
    names = [f"p{person}-{number}" for person in range(10) for number in range(4)]
    folder = write_pictures(tmp_path_factory.mktemp("scans"), names)
    for name in ("p8-1", "p9-0"):
        (folder / "masks" / f"{name}.png").unlink()
    return folder


def task_of(data: Path, **changes: object) -> TaskOptions:
    values = {"data": str(data), "people": "(p.+)-", "labelled_people": [3], "each": 2, "test": 4, **changes}
    return TaskOptions.model_validate(values)


def people(cases: tuple[Case, ...]) -> set[str]:
    return {case.group for case in cases}


@pytest.mark.parametrize("number", range(12))
def test_nobody_is_in_two_parts(number: int, scans: Path) -> None:
    task = task_of(scans)
    drawn = draw(find_task("t", task), task, 3, number)
    assert (len(people(drawn.labelled)), len(drawn.labelled), len(people(drawn.test))) == (3, 6, 4)
    assert not people(drawn.test) & people((*drawn.labelled, *drawn.unlabelled))
    ids = [case.id for part in (drawn.labelled, drawn.unlabelled, drawn.test) for case in part]
    assert len(ids) == len(set(ids))
    assert all(case.label is not None for case in (*drawn.labelled, *drawn.test))
    assert len(ids) + sum(case.group in people(drawn.test) for case in find_task("t", task).unlabelled) == 40


def test_fewer_labelled_people_are_the_first_of_more_and_the_same_test(scans: Path) -> None:
    task = task_of(scans, labelled_people=[2, 5])
    dataset = find_task("t", task)
    few, more = draw(dataset, task, 2, 7), draw(dataset, task, 5, 7)
    assert set(few.labelled) < set(more.labelled) and few.test == more.test
    assert draw(dataset, task, 2, 8).test != few.test


def test_copies_of_a_test_scan_are_of_its_person(scans: Path, tmp_path: Path) -> None:
    data = shutil.copytree(scans, tmp_path / "scans")
    shutil.copy(data / "images" / "p0-0.png", data / "images" / "p7-0.png")
    task = task_of(data)
    for number in range(8):
        drawn = draw(find_task("t", task), task, 3, number)
        parts = [
            {c.id for c in part} & {"p0-0", "p7-0"}
            for part in (drawn.test, drawn.labelled + drawn.unlabelled)
        ]
        assert not all(parts), "one tests and its copy is learnt from"


def test_scans_are_spread(scans: Path) -> None:
    cases = [Case(str(n), "p", (Path(str(n)),), None) for n in range(26)]
    assert [case.id for case in spread(cases, 5)] == ["2", "7", "12", "18", "23"]
    assert spread(cases[:3], 5) == cases[:3] == spread(cases[:3], None)


def test_the_pool_is_read_as_it_was_drawn(scans: Path, tmp_path: Path) -> None:
    task = task_of(scans)
    drawn: Draw = draw(find_task("t", task), task, 3, 1)
    write_pool(tmp_path / "pool.csv", drawn)
    found: Dataset = find_dataset(tmp_path / "pool.csv")
    assert sorted(c.id for c in found.cases) == sorted(c.id for c in drawn.labelled)
    assert {c.id: c.group for c in found.unlabelled} == {c.id: c.group for c in drawn.unlabelled}


def test_masks_of_organs_are_all_in_the_pool(scans: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(scans / "images", data / "images")
    for organ in ("left", "right"):
        shutil.copytree(scans / "masks", data / "masks" / organ)
    task = task_of(data)
    drawn = draw(find_task("t", task), task, 3, 1)
    write_pool(tmp_path / "pool.csv", drawn)
    found = find_dataset(tmp_path / "pool.csv")
    assert found.label_names == {1: "left", 2: "right"}
    assert {c.id: c.organs for c in found.cases} == {c.id: c.organs for c in drawn.labelled}
    assert {c.id for c in found.unlabelled} == {c.id for c in drawn.unlabelled}


def test_masks_of_one_name_are_refused_where_they_may_come_together(tmp_path: Path) -> None:
    rows = []
    for number, person in enumerate("abc"):
        (tmp_path / person).mkdir()
        write_pictures(tmp_path / person, ["scan"], (40, 48 + number))
        rows.append(f"{person}/images/scan.png,{person}/masks/scan.png,{person}\n")
    table = tmp_path / "cases.csv"
    table.write_text("image,label,group\n" + "".join(rows))
    task = task_of(table, people=None, labelled_people=[1], test=2)
    with pytest.raises(DataError, match=r"scan.png: tasks.t may test it together with .*be called scan; exp"):
        find_task("t", task)
    assert len(find_task("t", task.model_copy(update={"test": 1})).cases) == 3


def test_too_few_people_are_refused(scans: Path) -> None:
    with pytest.raises(
        DataError, match=r"10 labelled people; tasks.t asks for 7 .* and 4 who test, 11 in all"
    ):
        find_task("t", task_of(scans, labelled_people=[7]))


@pytest.mark.parametrize("people", ["((", "(zz)"])
def test_people_that_do_not_fit_are_named_as_in_the_study(people: str, scans: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_task("t", task_of(scans, people=people), Path("study.yaml"))
    assert str(caught.value).startswith(f"study.yaml: tasks.t.people {people!r}")
    assert "group_regex" not in str(caught.value)


def test_cases_of_several_files_are_refused(tmp_path: Path) -> None:
    data = write_pictures(tmp_path, [f"c{n}_000{channel}" for n in range(4) for channel in range(2)])
    for mask in list((data / "masks").iterdir()):
        mask.rename(mask.with_name(mask.name.replace("_0000", "").replace("_0001", "")))
    (data / "images").rename(data / "imagesTr")
    (data / "masks").rename(data / "labelsTr")
    with pytest.raises(DataError, match="one of 2 files of case c0; a study takes cases of one file each"):
        find_task("t", task_of(data, people=None))


def test_the_people_of_docs_results_are_drawn_again(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that cells that were done by the script of before count."""
    monkeypatch.setenv("STAMPSEG_DATA", str(shared_data))
    config, sets = load_study(ROOT / "studies" / "few-labels.yaml"), dict[str, Dataset]()
    rows = (ROOT / "docs" / "results" / "few-labels-before.jsonl").read_text().splitlines()
    for row in map(json.loads, rows):
        name = row["task"].removesuffix("5")
        if name not in sets:
            sets[name] = find_task(name, config.tasks[name])
        drawn = draw(sets[name], config.tasks[name], LABELLED[row["task"]], row["draw"])
        assert people(drawn.test) == set(row["people"])
        counts = (len(drawn.labelled), len(drawn.unlabelled), len(drawn.test))
        assert counts == (row["labelled"], row["unlabelled"], row["test"])
