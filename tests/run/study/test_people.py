"""A study whose data change between two cells: the people of a draw stay the same, or the cell is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.run.study.draw import Draw, draw, find_task, write_pool
from stampseg.run.study.people import REMEDY, check_people
from stampseg.run.study.plan import CELL, POOL, RUN, Cell, CellRecord, CellResult, Study, open_study
from tests.data.scans import write_pictures
from tests.run.study.small import write_study


def study_of(folder: Path) -> Study:
    return open_study(write_study(folder), folder / "study")


def drawn_of(study: Study, cell: Cell) -> Draw:
    task = study.config.tasks[cell.task]
    return draw(find_task(cell.task, task), task, cell.labels, cell.draw)


def done(study: Study, cell: Cell) -> None:
    """As `work_cell` leaves a cell, without the training."""
    drawn, place = drawn_of(study, cell), study.place(cell)
    (place / RUN).mkdir(parents=True)
    write_pool(place / POOL, drawn)
    result = CellResult(parameters=1, flops=1, train_seconds=1, predict_seconds=1, sha256="")
    record = CellRecord(
        task=cell.task, method=cell.method, labels=cell.labels, draw=cell.draw,
        options=study.run_options(cell).as_given(),
        labelled=tuple(case.id for case in drawn.labelled), unlabelled=len(drawn.unlabelled),
        test={case.id: case.group for case in drawn.test}, result=result,
    )  # fmt: skip
    CELL.write(place, record)


def refusal(study: Study, cell: Cell) -> str:
    with pytest.raises(DataError) as caught:
        check_people(study, cell, drawn_of(study, cell))
    text = str(caught.value)
    assert text.startswith(str(study.place(cell)))
    assert text.endswith(f": the data have changed since; {REMEDY}")
    return text


def test_all_cells_of_unchanged_data_agree(tmp_path: Path) -> None:
    """Of one person or two labelled, by any method; the data may lie elsewhere."""
    study = study_of(tmp_path / "here")
    for cell in study.cells:
        check_people(study, cell, drawn_of(study, cell))
        done(study, cell)
    (tmp_path / "here").rename(tmp_path / "there")
    study = study_of(tmp_path / "there")
    for cell in study.cells:
        check_people(study, cell, drawn_of(study, cell))


@pytest.mark.parametrize("labels", [1, 2])
def test_a_person_who_came_between_two_methods_is_refused(tmp_path: Path, labels: int) -> None:
    study = study_of(tmp_path)
    done(study, Cell("discs", "ours", 1, 10))
    write_pictures(tmp_path / "pictures", [f"p{person}-IM-{person}x" for person in range(4, 9)], seed=1)
    said = refusal(study, Cell("discs", "flat, equal FLOPs", labels, 10))
    assert "ours with 1 labelled person learns from other cases (" in said and re.search(
        "new: p[0-8]-IM", said
    )
    other = Cell("discs", "flat, equal FLOPs", labels, 11)
    check_people(study, other, drawn_of(study, other))  # nobody was drawn with that number yet


def test_images_without_labels_count(tmp_path: Path) -> None:
    """They came with a person who neither trains with labels nor tests."""
    study = study_of(tmp_path)
    cell = Cell("discs", "ours", 1, 10)
    done(study, cell)
    drawn = drawn_of(study, cell)
    (person, *_) = {case.group for case in drawn.unlabelled} - {case.group for case in drawn.labelled}
    write_pictures(tmp_path / "pictures", [f"{person}-IM-9"], seed=1)
    said = refusal(study, Cell("discs", "flat, equal FLOPs", 1, 10))
    assert f"ours with 1 labelled person learns from other cases (new: {person}-IM-9.png)" in said
    said = refusal(study, Cell("discs", "flat, equal FLOPs", 2, 10))  # the same images, more of them labelled
    assert f"(new: {person}-IM-9.png)" in said


def test_a_cell_that_has_only_begun_counts(tmp_path: Path) -> None:
    """Cells run side by side, and the data grow between the beginnings of two."""
    study = study_of(tmp_path)
    cell = Cell("discs", "ours", 1, 10)
    done(study, cell)
    (study.place(cell) / CELL.name).unlink()
    write_pictures(tmp_path / "pictures", [f"p{person}-IM-{person}x" for person in range(4, 9)], seed=1)
    assert "ours with 1 labelled person learns from" in refusal(study, Cell("discs", "ours", 2, 10))


def test_one_who_tests_is_exchanged(tmp_path: Path) -> None:
    """As told by the record of a cell of which no more is left."""
    study = study_of(tmp_path)
    cell = Cell("discs", "ours", 1, 10)
    done(study, cell)
    record = CELL.read(study.place(cell))
    CELL.write(study.place(cell), record.model_copy(update={"test": dict.fromkeys(record.test, "p17")}))
    shutil.rmtree(study.place(cell) / RUN)
    said = refusal(study, Cell("discs", "flat, equal FLOPs", 2, 10))
    assert "ours with 1 labelled person tests other cases (gone: p17; new: p" in said


def test_a_run_is_not_tested_on_people_whom_it_learnt_from(tmp_path: Path) -> None:
    """Its record was deleted so that it be predicted anew, and someone who tested is gone from the data."""
    study = study_of(tmp_path)
    cell = Cell("discs", "ours", 2, 10)
    done(study, cell)
    (study.place(cell) / CELL.name).unlink()
    check_people(study, cell, drawn_of(study, cell))
    (tested,) = {case.group for case in drawn_of(study, cell).test}
    for path in (tmp_path / "pictures").rglob(f"{tested}-IM-*"):
        path.unlink()
    assert "its run was begun with other cases (" in refusal(study, cell)
    shutil.rmtree(study.place(cell))
    check_people(study, cell, drawn_of(study, cell))  # nothing was learnt from anyone
