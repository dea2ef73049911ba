"""`stampseg study` through the command line, one cell at a time in this process."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stampseg.networks.model_file import read_description
from stampseg.run.study import cell as cells
from stampseg.run.study.work import Work
from stampseg.train.trainer import Trainer
from tests.cli.command import call
from tests.run.stopping import killed_run
from tests.run.study.small import METHODS, OPTIONS, write_study

OURS, FLAT = "discs/ours/1-10", "discs/flat, equal FLOPs/1-10"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two cells, each done at one stretch."""
    folder = tmp_path_factory.mktemp("whole")
    config = write_study(folder)
    for name in (OURS, FLAT):
        call("study", config, "-o", folder / "out", "--cell", name)
    return folder / "out"


def record(study: Path, name: str) -> dict[str, Any]:
    return json.loads((study / "cells" / name / "cell.json").read_text())


def test_a_cell_trains_on_some_people_and_is_tested_on_others(whole: Path) -> None:
    place, found = whole / "cells" / OURS, record(whole, OURS)
    with (place / "pool.csv").open() as file:
        pool = list(csv.DictReader(file))
    assert [bool(row["label"]) for row in pool] == [True] + [False] * 5
    assert len({row["group"] for row in pool}) == 3
    assert set(found["test"].values()) & {row["group"] for row in pool} == set()
    assert sorted(p.stem for p in (place / "masks").iterdir()) == sorted(found["test"])
    rows = json.loads((place / "metrics.json").read_text())["rows"]
    assert found["result"]["dice"] == pytest.approx(sum(row["dice"] for row in rows) / len(rows))
    model = (place / "run" / "model.safetensors").read_bytes()
    assert found["result"]["sha256"] == hashlib.sha256(model).hexdigest()
    assert found["options"]["seed"] == 10 and found["options"]["train"]["validation"] == "none"


def test_masks_of_organs_are_all_learnt_and_tested(tmp_path: Path) -> None:
    config = write_study(tmp_path, methods={"dense": {"method": "dense"}}, claims=[])
    whole = (tmp_path / "pictures" / "masks").rename(tmp_path / "whole")
    for organ, half in (("left", slice(0, 24)), ("right", slice(24, 48))):
        (tmp_path / "pictures" / "masks" / organ).mkdir(parents=True)
        for path in whole.iterdir():
            mask = np.array(Image.open(path))
            mask[:, half] = 0
            Image.fromarray(mask).save(tmp_path / "pictures" / "masks" / organ / path.name)
    call("study", config, "-o", tmp_path / "out", "--cell", "discs/dense/1-10")
    place = tmp_path / "out" / "cells" / "discs" / "dense" / "1-10"
    rows = json.loads((place / "metrics.json").read_text())["rows"]
    assert {row["label"] for row in rows} == {"left", "right", "union"}
    assert (place / "pool.csv").read_text().startswith("image,label:left,label:right,group\n")


def test_a_cell_of_equal_size_takes_the_size_of_the_other(whole: Path) -> None:
    target = record(whole, FLAT)["options"]["prune"]["target"]
    assert target == {"kind": "flops", "amount": record(whole, OURS)["result"]["flops"]}
    assert record(whole, FLAT)["labelled"] == record(whole, OURS)["labelled"]


def test_a_cell_of_anothers_widths_has_them_from_random_weights(tmp_path: Path) -> None:
    widths = {"method": "dense", "network": {"widths_of": {"network of": "ours"}}}
    methods = {"ours": METHODS["ours"], "widths": widths}
    ours, anew = "discs/ours/1-10", "discs/widths/1-10"
    study = ("study", write_study(tmp_path, methods=methods, claims=[]), "-o", tmp_path / "out", "--cell")
    said = call(*study, anew, code=2).stderr
    assert f"{anew} shall have the widths of {ours}, which is not done" in said
    call(*study, ours)
    call(*study, anew)
    first, second = (record(tmp_path / "out", name)["result"] for name in (ours, anew))
    for count in ("parameters", "flops", "parameters_dense"):
        assert first[count] == second[count], count
    assert first["parameters"] < first["parameters_dense"]
    place = tmp_path / "out" / "cells"
    one, other = (read_description(place / name / "run" / "model.safetensors").kept for name in (ours, anew))
    assert one == other
    assert first["sha256"] != second["sha256"]


def test_a_cell_that_is_done_is_left_as_it_is(whole: Path) -> None:
    before = (whole / "cells" / OURS / "cell.json").stat().st_mtime_ns
    said = call("study", whole / "study.yaml", "-o", whole, "--cell", OURS).output
    assert (whole / "cells" / OURS / "cell.json").stat().st_mtime_ns == before
    assert said.startswith(f"{OURS}: Dice 0.")


@pytest.mark.parametrize(
    ("owner", "name", "count"),
    [
        (Trainer, "_step", 4),
        (cells, "segment", 1),
        pytest.param(cells, "evaluate_folder", 1, marks=pytest.mark.slow),
    ],
)
def test_a_cell_that_was_killed_goes_on(
    owner: Any, name: str, count: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("study", write_study(tmp_path), "-o", tmp_path / "out", "--cell", OURS)
    killed_run(monkeypatch, command, owner, name, count, False)
    assert not (tmp_path / "out" / "cells" / OURS / "cell.json").exists()
    call(*command)
    one, other = record(tmp_path / "out", OURS)["result"], record(whole, OURS)["result"]
    assert [one[key] for key in ("sha256", "dice")] == [other[key] for key in ("sha256", "dice")]
    assert not [p for p in (tmp_path / "out" / "cells" / OURS).glob(".*") if p.name != ".lock"]


def test_a_run_of_other_options_is_not_taken_for_the_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("study", write_study(tmp_path), "-o", tmp_path / "out", "--cell", OURS)
    killed_run(monkeypatch, command, Trainer, "_step", 2, True)
    write_study(tmp_path, methods={**METHODS, "ours": {"method": "stamp+", "prune": {"target": "50%"}}})
    said = call(*command, code=2).stderr
    run = tmp_path / "out" / "cells" / OURS / "run"
    assert (
        f"{run}: holds a run of other options (prune.target.share); put them back, or delete {run.parent}"
        in said
    )


def test_the_cells_are_listed_with_what_they_need(tmp_path: Path) -> None:
    said = call("study", write_study(tmp_path), "-o", tmp_path / "out", "--list").output.splitlines()
    assert len(said) == 8 and said[:2] == [OURS, f"{FLAT}\t{OURS}"]
    assert not (tmp_path / "out").exists(), "who only looks leaves nothing behind"


def test_names_that_look_like_one_persons_are_said_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Work, "all", lambda _: None)
    path = write_study(tmp_path)
    assert "WARNING" not in call("study", path, "-o", tmp_path / "out").stderr
    path.write_text(path.read_text().replace("people: (p.)-IM", "people: null"))
    said = call("study", path, "-o", tmp_path / "other").stderr
    assert "WARNING: tasks.discs: names look like several time points or slices of one person" in said
    assert "those who are labelled and those who test may share people; if they are, say `people` of" in said
    assert "of tasks.discs '^([^-]+)', whose brackets are the person" in said


def test_a_cell_that_is_done_alone_is_in_the_tables(tmp_path: Path) -> None:
    config, out = write_study(tmp_path), tmp_path / "out"
    (out / "cells").mkdir(parents=True)
    (out / "study.yaml").write_text(config.read_text())
    said = call("compare", out, "-o", tmp_path / "x.md", code=3).stderr
    assert f"{out}: holds no cells.csv yet, which a study writes when its first cell has ended" in said
    call("study", config, "-o", out, "--cell", OURS)
    with (out / "cells.csv").open(encoding="utf-8", newline="") as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["ours"]
    assert (out / "cases.csv").is_file()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--cell", "x"], 2, "--cell 'x': no such cell of this study; cells are discs/ours/1-10,"),
        (["--cell", FLAT], 2, f"{FLAT} shall have the flops of {OURS}, which is not done; do that first"),
        (["--cell", OURS, "--workers", "2"], 2, "--workers and --cell: give one of them"),
        (["--slurm", "all", "--ray", "x:1"], 2, "--slurm and --ray: give one of them"),
    ],
)
def test_wrong_requests(words: list[str], code: int, message: str, tmp_path: Path) -> None:
    assert message in call("study", write_study(tmp_path), "-o", tmp_path / "out", *words, code=code).stderr


def test_data_that_cannot_be_used_are_said_before_the_first_run(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    path.write_text(path.read_text().replace("test: 1", "test: 9"))
    said = call("study", path, "-o", tmp_path / "out", code=3).stderr
    assert "4 labelled people; tasks.discs asks for 2 who are labelled and 9 who test, 11 in all" in said


def test_people_that_do_not_fit_are_named_with_task_and_file(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    path.write_text(path.read_text().replace("(p.)-IM", "(q.)-IM"))
    said = f"{path}: tasks.discs.people '(q.)-IM' finds nothing in the case id"
    assert said in call("study", path, "-o", tmp_path / "out", code=2).stderr
    assert said in call("study", path, "-o", tmp_path / "out", "--cell", OURS, code=2).stderr


def test_draws_that_are_added_after_results_are_said(whole: Path, tmp_path: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    path = write_study(tmp_path, draws=[10, 11, 12])
    path.write_text(path.read_text().replace("data: pictures", "data: nowhere"))
    said = call("study", path, "-o", out, code=3)
    assert "added after the first result: draw 12" in said.output and "nowhere" in said.stderr
    assert "added:\n- draw 12\n" in (out / "study.yaml").read_text()


def test_an_option_of_the_runs_is_not_told_by_a_flag_of_the_command(tmp_path: Path) -> None:
    config = write_study(tmp_path, options={**OPTIONS, "data": {"only": ["liver"]}})
    said = call("study", config, "-o", tmp_path / "out", "--cell", OURS, code=2).stderr
    assert "--list" not in said and "`data.names`" in said
