"""Order, attempts, failures and tables of a study, with an engine that trains nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stampseg.core.errors import ConfigError, DataError, TrainingError
from stampseg.report.comparison.reading import read_study
from stampseg.run.study.command import LOG
from stampseg.run.study.plan import CELL, CellRecord, CellResult, Study, open_study
from stampseg.run.study.tables import write_tables
from stampseg.run.study.work import Work, failure
from tests.run.study.small import study_values, write_study

Doing = Callable[[Study, str], int | None]


class Engine:
    """Does each cell at once by a function of its name."""

    def __init__(self, study: Study, doing: Doing, room: int | None = None) -> None:
        self.study, self.doing, self.room = study, doing, room
        self.given: list[str] = []
        self._ended: list[tuple[str, int | None]] = []

    def begun(self) -> list[str]:
        return []

    def submit(self, names: Sequence[str]) -> None:
        self.given += names
        self._ended += [(name, self.doing(self.study, name)) for name in names]

    def ended(self) -> list[tuple[str, int | None]]:
        found, self._ended = self._ended, []
        return found

    def stop(self) -> str:
        return ""


def succeed(study: Study, name: str, dice: float | None = 0.5) -> int:
    cell = study.cell(name)
    rows = [
        {"case": case, "label": label, "dice": dice, "hd95": None}
        for case in ("a", "b") for label in ("one", "union")
    ]  # fmt: skip
    study.place(cell).mkdir(parents=True, exist_ok=True)
    (study.place(cell) / "metrics.json").write_text(json.dumps({"rows": rows}))
    result = CellResult(
        parameters=1000 + cell.draw,
        flops=5_000_000,
        train_seconds=2,
        predict_seconds=1,
        dice=dice,
        sha256="x",
    )
    options = study.run_options(cell).as_given()
    CELL.write(
        study.place(cell),
        CellRecord(
            task=cell.task, method=cell.method, labels=cell.labels, draw=cell.draw, options=options,
            labelled=("c",), unlabelled=3, test={"a": "p1", "b": "p2"}, result=result,
        ),
    )  # fmt: skip
    return 0


def step_forward(study: Study, name: str) -> None:
    run = study.place(study.cell(name)) / "run"
    run.mkdir(parents=True, exist_ok=True)
    with (run / "rounds.jsonl").open("a") as file:
        file.write("{}\n")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(write_study(tmp_path), tmp_path / "out")


def worked(study: Study, doing: Doing, room: int | None = None) -> tuple[Work, Engine, list[str]]:
    said: list[str] = []
    engine = Engine(study, doing, room)
    work = Work(study, engine, said.append)
    work.all()
    return work, engine, said


def test_cells_that_need_the_size_of_others_come_after_them(study: Study) -> None:
    work, engine, said = worked(study, succeed)
    assert len(engine.given) == 8 and not work.failed and failure(work) is None
    for cell in study.cells:
        if (other := study.needs(cell)) is not None:
            assert engine.given.index(other.name) < engine.given.index(cell.name)
            assert study.run_options(cell).prune.target.amount == 5e6
    assert said[0] == "8 cells to do, each with a log in its folder"
    assert said[1].startswith("discs/ours/1-10  Dice 0.500  1,010 parameters  2 s  (1 of 8; about ")
    assert said[-1].endswith("(8 of 8)")


def test_with_little_room_draws_become_whole_one_by_one(study: Study) -> None:
    _, engine, _ = worked(study, succeed, room=1)
    assert [name.split("-")[-1] for name in engine.given] == ["10"] * 4 + ["11"] * 4


def test_what_is_done_is_not_done_again(study: Study) -> None:
    succeed(study, "discs/ours/1-10")
    _, engine, said = worked(study, succeed)
    assert len(engine.given) == 7 and said[0] == (
        "1 cell of 8 done already; 7 cells to do, each with a log in its folder"
    )
    assert worked(study, succeed)[1].given == []


def test_a_cell_that_fails_is_named_with_its_log_and_the_rest_goes_on(study: Study) -> None:
    bad = "discs/ours/1-10"

    def doing(study: Study, name: str) -> int:
        if name != bad:
            return succeed(study, name)
        place = study.place(study.cell(name))
        place.mkdir(parents=True)
        (place / LOG).write_text("reading\nstampseg: no such file\nresume it with: x\n")
        return 3

    work, engine, said = worked(study, doing)
    log = study.folder / "cells" / bad / LOG
    assert f"{bad}  FAILED: ended (exit code 3): no such file; its log: {log}" in said
    assert "discs/flat, equal FLOPs/1-10  FAILED: needs discs/ours/1-10, which failed" in said
    assert engine.given.count(bad) == 1 and len(engine.given) == 7
    error = failure(work)
    assert isinstance(error, TrainingError) and error.exit_code == 4
    assert str(error).startswith(
        "2 cells of 8 failed: discs/ours/1-10, discs/flat, equal FLOPs/1-10; mend what"
    )


@pytest.mark.parametrize("code", [-9, 137, 143, None, 1])
def test_a_killed_cell_is_tried_three_times(code: int | None, study: Study) -> None:
    bad = "discs/flat, equal FLOPs/2-11"
    work, engine, _ = worked(study, lambda study, name: code if name == bad else succeed(study, name))
    assert engine.given.count(bad) == 3 and list(work.failed) == [bad]
    known = "no exit code is known" if code is None else f"exit code {code}"
    assert f"3 times without a step forward ({known}): it said nothing" in work.failed[bad]


def test_attempts_count_only_where_nothing_was_added(study: Study) -> None:
    """A long run in a queue of short jobs is killed many times, and does not give up."""
    slow, left = "discs/ours/2-10", [0] * 9

    def doing(study: Study, name: str) -> int:
        if name != slow or not left:
            return succeed(study, name)
        left.pop()
        step_forward(study, name)
        return 143

    work, engine, _ = worked(study, doing)
    assert not work.failed and engine.given.count(slow) == 10


def test_the_tables(study: Study) -> None:
    worked(study, lambda study, name: succeed(study, name, None if name.endswith("2-11") else 0.25))
    write_tables(study)
    with (study.folder / "cells.csv").open() as file:
        cells = list(csv.DictReader(file))
    with (study.folder / "cases.csv").open() as file:
        cases = list(csv.DictReader(file))
    assert ",".join(cells[0]) == (
        "task,labels,method,draw,parameters,flops,parameters_dense,train_seconds,predict_seconds,dice"
    )
    assert list(cells[1].values()) == [
        "discs", "1", "flat, equal FLOPs", "10", "1010", "5000000", "", "2.0", "1.0", "0.25"
    ]  # fmt: skip
    assert len(cells) == 8 and [cell["dice"] for cell in cells].count("") == 2
    assert ",".join(cases[0]) == "task,labels,method,draw,person,case,label,dice,hd95"
    assert list(cases[1].values()) == ["discs", "1", "ours", "10", "p2", "b", "one", "0.25", ""]
    assert len(cases) == 8 * 2 and not list(study.folder.glob("*.tmp"))


def test_false_positives_and_people_without_a_label_are_in_the_tables(study: Study) -> None:
    """A method that paints a lesion in everybody who has none looked perfect."""
    worked(study, succeed)
    path = study.folder / "cells" / "discs" / "ours" / "1-10" / "metrics.json"
    metrics = json.loads(path.read_text())
    first = metrics["rows"][0]
    first |= {"dice": None, "hd95": None, "false_positive_volume": 400.0}
    path.write_text(json.dumps(metrics))
    write_tables(study)
    with (study.folder / "cases.csv").open() as file:
        cases = list(csv.DictReader(file))
    assert list(cases[0].values())[-5:] == [first["case"], first["label"], "", "", "400.0"]
    assert {row["false_positive"] for row in cases[1:]} == {""}
    remarks = "\n".join(read_study(study.folder).remarks)
    assert (
        "labels are found in cases that do not hold them, which no Dice tells of: ours in 1 of 1" in remarks
    )


def test_damaged_metrics_are_named(study: Study) -> None:
    worked(study, succeed)
    path = study.folder / "cells" / "discs" / "ours" / "1-10" / "metrics.json"
    path.write_text("{}")
    with pytest.raises(DataError, match=r"metrics.json: cannot be used .*; delete .*cell.json and start"):
        write_tables(study)


def test_draws_may_be_added_and_claims_may_not_change(study: Study, tmp_path: Path) -> None:
    write_study(tmp_path, claims=[])
    open_study(tmp_path / "study.yaml", study.folder)  # nothing is done yet
    write_study(tmp_path)
    study = open_study(tmp_path / "study.yaml", study.folder)
    succeed(study, "discs/ours/1-10")
    write_study(tmp_path, draws=[10, 11, 12])
    more = open_study(tmp_path / "study.yaml", study.folder)
    assert len(more.cells) == 12 and more.config.added == ("draw 12",)
    assert open_study(study.folder / "study.yaml", study.folder) == more  # it stays written down
    write_study(tmp_path, claims=[])
    with pytest.raises(
        ConfigError, match=r"claims are others than those of its study.yaml, and 1 cell done already"
    ):
        open_study(tmp_path / "study.yaml", study.folder)


def test_a_fresh_study_has_nothing_added(study: Study, tmp_path: Path) -> None:
    """Nor one that is begun with the file of another, or changed before its first result."""
    write_study(tmp_path, added=["draw 3"], draws=[10])
    assert open_study(tmp_path / "study.yaml", tmp_path / "other").config.added == ()
    write_study(tmp_path, draws=[11, 12])
    assert open_study(tmp_path / "study.yaml", study.folder).config.added == ()


TASK = study_values()["tasks"]["discs"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draws": [11]}, "discs/ours/1-10: task, draw or number of labelled people taken out, and 1 cell"),
        (
            {"tasks": {"heads": study_values()["tasks"]["discs"]}},
            "discs/ours/1-10: task, draw or number of labelled people taken out",
        ),
        ({"tasks": {"discs": TASK | {"labelled_people": [2]}}}, "number of labelled people taken out"),
        (
            {"tasks": {"discs": TASK | {"test": 2}}},
            "tasks.discs: other people or files (test 1, now 2), and 1 cell",
        ),
        (
            {"tasks": {"discs": TASK | {"masks": "second_observer"}}},
            "tasks.discs: other people or files (masks ",
        ),
        (
            {"tasks": {"discs": TASK, "heads": study_values()["tasks"]["discs"]}},
            "tasks heads added, and a claim is over all tasks, and",
        ),
    ],
)
def test_what_claims_are_over_is_not_chosen_by_results(
    changes: dict[str, Any], message: str, study: Study, tmp_path: Path
) -> None:
    succeed(study, "discs/ours/1-10")
    write_study(tmp_path, **changes)
    with pytest.raises(ConfigError) as caught:
        open_study(tmp_path / "study.yaml", study.folder)
    assert str(caught.value).startswith(f"{study.folder}: ") and message in str(caught.value)
    assert "put it back as it was, or begin another study with another `output`" in str(caught.value)


def test_what_no_claim_is_over_may_come_later_and_is_written_down(tmp_path: Path) -> None:
    claims = [{**study_values()["claims"][0], "tasks": ["discs"]}]
    study = open_study(write_study(tmp_path, claims=claims), tmp_path / "out")
    succeed(study, "discs/ours/1-10")
    methods = {**study_values()["methods"], "dense": {"method": "dense"}}
    tasks = {"discs": TASK | {"labelled_people": [1, 2, 3]}, "heads": study_values()["tasks"]["discs"]}
    config = write_study(tmp_path, claims=claims, methods=methods, tasks=tasks)
    added = ("task heads", "method dense", "discs with 3 labelled")
    assert open_study(config, study.folder).config.added == added
    succeed(study, "discs/ours/1-11")
    config = write_study(tmp_path, claims=claims, tasks=tasks)  # a method without a claim
    assert open_study(config, study.folder).config.added == added


def test_a_method_that_is_taken_out_after_results_is_written_down(tmp_path: Path) -> None:
    methods = {**study_values()["methods"], "dense": {"method": "dense"}, "none": {"method": "dense"}}
    study = open_study(write_study(tmp_path, methods=methods), tmp_path / "out")
    succeed(study, "discs/dense/1-10")
    less = open_study(write_study(tmp_path), study.folder)
    assert less.config.taken_out == ("method dense taken out, 1 cell done",)
    assert open_study(tmp_path / "study.yaml", study.folder).config.taken_out == less.config.taken_out
    more = open_study(write_study(tmp_path, methods=methods), study.folder)  # put back, it is no news
    assert more.config.taken_out == less.config.taken_out
    fresh = open_study(study.folder / "study.yaml", tmp_path / "other")
    assert fresh.config.taken_out == ()


def test_cells_of_other_options_are_refused(study: Study, tmp_path: Path) -> None:
    succeed(study, "discs/ours/1-10")
    options = study_values()["options"]
    write_study(tmp_path, options={**options, "train": {**options["train"], "steps": 7}})
    with pytest.raises(ConfigError) as caught:
        open_study(tmp_path / "study.yaml", study.folder)
    place = study.folder / "cells" / "discs" / "ours" / "1-10"
    assert str(caught.value) == (
        f"{place}: was done with other options (train.steps 6, now 7); put them back, choose another "
        "`output`, or delete that folder to do the cell anew"
    )


def test_cells_that_take_a_network_are_known_again_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers name the folder of the study in full, its user as it is typed; and it may be moved."""
    same = {"method": "dense", "network": {"widths_of": {"network of": "ours"}}}
    config = write_study(tmp_path, methods={**study_values()["methods"], "same": same})
    for name in ("discs/ours/1-10", "discs/same/1-10"):
        succeed(open_study(config, tmp_path / "out", name), name)
    monkeypatch.chdir(tmp_path)
    study = open_study(config, Path("out"))
    assert study.folder.is_absolute() and sum(map(study.done, study.cells)) == 2
    (tmp_path / "out").rename(tmp_path / "moved")
    study = open_study(config, Path("moved"))
    assert sum(map(study.done, study.cells)) == 2
    record = CELL.read(tmp_path / "moved" / "cells" / "discs" / "same" / "1-10")
    other = {**record.options, "network": {"widths_of": "/elsewhere/run"}}
    CELL.write(
        tmp_path / "moved" / "cells" / "discs" / "same" / "1-10",
        record.model_copy(update={"options": other}),
    )
    with pytest.raises(ConfigError, match=r"network.widths_of '/elsewhere/run', now 'cells/discs/ours/1-10"):
        open_study(config, Path("moved"))


def test_the_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    config = write_study(tmp_path)
    with pytest.raises(ConfigError, match=r"is not the folder of a study .* holds pictures; choose another"):
        (tmp_path / "study.yaml").rename(tmp_path / "pictures" / "s.yaml")
        config = tmp_path / "pictures" / "s.yaml"
        open_study(config, tmp_path)


def test_unknown_cells_are_refused(study: Study) -> None:
    with pytest.raises(
        ConfigError, match=r"`cell` 'x': no such cell of this study; cells are discs/ours/1-10,"
    ):
        study.cell("x")
    with pytest.raises(
        ConfigError, match=r"shall have the flops of discs/ours/1-10, which is not done; do that"
    ):
        study.run_options(study.cell("discs/flat, equal FLOPs/1-10"))
