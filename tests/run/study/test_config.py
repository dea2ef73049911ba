"""What the file of a study may hold, and what is said where it holds something else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stampseg.core.errors import ConfigError
from stampseg.run.study.config import dump_study, load_study, place_of
from tests.run.study.small import METHODS, study_values

ROOT = Path(__file__).resolve().parents[3]


def written(folder: Path, values: object) -> Path:
    path = folder / "study.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False))
    return path


def task(**changes: Any) -> dict[str, Any]:
    return {"tasks": {"discs": {**study_values()["tasks"]["discs"], **changes}}}


def method(**options: Any) -> dict[str, Any]:
    return {"methods": {**METHODS, "other": options}}


def claim(**parts: Any) -> dict[str, Any]:
    return {"claims": [{"method": "ours", "against": "flat, equal FLOPs", "kind": "superior", **parts}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draw": [1]}, "draw: no such option; did you mean draws: [1]?"),
        (task(peple="x"), "tasks.discs.peple: no such option; did you mean"),
        (task(cases=3), "tasks.discs.cases: no such option; docs/how-to/run-a-study.md lists all"),
        ({"repeats": 3}, "repeats: no such option; docs/how-to/run-a-study.md lists all"),
        (task(test=0), "tasks.discs.test 0: expected 1 or more"),
        (task(labelled_people=[2, 2]), "tasks.discs.labelled_people [2, 2]: expected numbers of 1 or more"),
        ({"draws": []}, "draws []: expected at least 1 of them"),
        ({"tasks": {}}, "tasks {}: expected at least 1 of them"),
        (task(data=""), "tasks.discs.data '': expected a text that is not empty"),
        (task(images=3), "tasks.discs.images 3: expected a path"),
        ({"methods": {True: {}}}, "methods: True is no name (YAML reads yes, no, on, off and null as other"),
        (
            method(method="flat", prune={"target": {"flops of": None}}),
            "methods.other.prune.target {'flops of': None}: expected {flops of: METHOD} or {parameters of: ",
        ),
        (
            method(
                method="flat", prune={"target": {"flops of": "ours"}},
                network={"widths_of": {"network of": "ours"}},
            ),
            "methods.other: prune.target and network.widths_of both ask for the size of another method; give",
        ),
        (
            {"options": {"prune": {"target": {"flops of": "ours"}}}},
            "options.prune.target {'flops of': 'ours'}: the size of another method is given to a method",
        ),
        ({"claims": ["ours wins"]}, "claim 1: 'ours wins': expected names with values, such as {method: o"),
        ({"claims": "ours wins"}, "claims: expected a list, each with method, against, kind, tasks and, for"),
        (
            {"claims": [{"methd": "ours", "against": "dense", "kind": "superior"}]},
            "claim 1: methd is unknown; it has method, against, kind, margin, tasks, metric; correct it",
        ),
        ({"draws": [-1]}, "draws [-1]: expected numbers from 0"),
        ({"methods": {"a/b": {}}}, "'a/b' is the name of a folder in the study"),
        ({"methods": {"..": {}}}, "'..' is the name of a folder in the study"),
        ({"methods": {"aux": {}}}, "'aux' is the name of a folder in the study"),
        ({"methods": {"a.": {}}}, "'a.' is the name of a folder in the study"),
        ({"methods": {"Thin": {}, "thin": {}}}, "'Thin' and 'thin' are names of folders in the"),
        (method(metod="dense"), "methods.other: metod: no such option; did you mean method: dense?"),
        (method(seed=3), "methods.other.seed: the seed is the number of the draw; leave it out"),
        (method(labels=3), "methods.other.labels: the task says who is labelled"),
        (method(unlabelled="scans"), "methods.other.unlabelled 'scans': expected auto (the people"),
        (method(train={"validation": "a.csv"}), "methods.other.train.validation 'a.csv': expected none"),
        (method(train={"test": "25%"}), "methods.other.train.test '25%': the study itself draws the people"),
        ({"options": {"train": {"test": "a.csv"}}}, "options.train.test 'a.csv': the study itself draws"),
        (method(train={"fold_column": "site"}), "methods.other.train.fold_column 'site': the study draws"),
        (
            {**task(labelled_people=[4, 2]), **method(method="dense", train={"folds": 3})},
            "train.folds 3 of methods.other: tasks.discs labels 2 people, and each fold holds one out; ask",
        ),
        (method(train={"distil": True}), "methods.other of tasks.discs: `train.distil`: the"),
        (method(train={"budget": "2h"}), "methods.other of tasks.discs: `train.budget` 2h: it"),
        (
            method(method="dense", prune={"target": "15%"}),
            "methods.other.prune.target: `method` dense trains the whole network; leave the target out, or",
        ),
        (
            method(method="dense", prune={"target": {"flops of": "ours"}}),
            "methods.other.prune.target: `method` dense trains the whole network; leave the target out, or",
        ),
        (
            method(method="flat", prune={"target": {"flops of": "his"}}),
            "methods.other.prune.target: flops of 'his'; expected another method of this study, with a "
            "size of its own: 'ours', 'flat, equal FLOPs', 'other'",
        ),
        (
            method(method="flat", prune={"target": {"flops of": "flat, equal FLOPs"}}),
            "flops of 'flat, equal FLOPs'; expected another method",
        ),
        (
            method(method="dense", network={"widths_of": {"network of": "his"}}),
            "methods.other.network.widths_of: widths of 'his'; expected another method of this study, with",
        ),
        (
            method(method="dense", network={"widths_of": {"flops of": "ours"}}),
            "methods.other.network.widths_of {'flops of': 'ours'}: expected {network of: METHOD}, METHOD b",
        ),
        (method(prune={"target": {"flops in": "ours"}}), "prune.target.flops in: no such option"),
        ({"options": {"device": "cuda:1"}}, "options.device 'cuda:1': expected cuda; a study shares"),
        ({"options": {"labels": 3}}, "options.labels: the task says who is labelled"),
        (claim(method="his"), "claim 1, method 'his': no such method; expected one of 'ours', 'flat, equal"),
        (claim(against="ours"), "claim 1: compares ours with itself; name another method"),
        (claim(kind="noninferior"), "noninferior needs a margin: how much Dice may be lost, such as"),
        (claim(margin=0.01), "superior takes no margin; leave it out"),
        (claim(tasks=[]), "names no task; write all, or a list of tasks"),
        (claim(tasks=["discs", "discs"]), "names a task twice, whose people would count twice"),
        (claim(kind="equal"), "claim 1: kind 'equal': expected 'superior' or 'noninferior'"),
        (claim(tasks=["heads"]), "claim 1, tasks 'heads': no such task; expected all, or some of 'discs'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = written(tmp_path, study_values(**changes))
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "expected names with values, tasks, methods and draws"),
        (
            "a: [1, 2\nb: 3",
            "not a YAML file of a study (line 2: expected ',' or ']', but got ':'); correct it",
        ),
    ],
)
def test_files_that_are_no_study(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_study(written(tmp_path, text))
    with pytest.raises(ConfigError, match=r"cannot be read .*name a YAML file of a study"):
        load_study(tmp_path / "none.yaml")


def test_a_list_with_something_else_in_it_is_not_too_short_as_well(tmp_path: Path) -> None:
    path = written(tmp_path, study_values(draws=["a"]))
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    assert str(caught.value) == f"{path}: draws 'a': expected a whole number"


def test_what_is_missing_is_named_and_what_was_meant_by_its_typing_error(tmp_path: Path) -> None:
    values = study_values()
    discs = values["tasks"]["discs"]
    discs["labeled_people"] = discs.pop("labelled_people")
    with pytest.raises(ConfigError) as caught:
        load_study(written(tmp_path, values))
    message = str(caught.value)
    assert "tasks.discs.labelled_people: missing; it has no default" in message
    assert "tasks.discs.labeled_people: no such option; did you mean" in message
    assert "pictures" not in message  # the values beside it are no part of it


def test_the_first_device_that_a_cell_sees_may_be_named(tmp_path: Path) -> None:
    options = {**study_values()["options"], "device": "cuda:0"}
    assert load_study(written(tmp_path, study_values(options=options))).options["device"] == "cuda:0"


def test_it_is_written_as_it_is_read_and_good_from_anywhere(tmp_path: Path) -> None:
    config = load_study(written(tmp_path, study_values()))
    (tmp_path / "copy").mkdir()
    assert load_study(written(tmp_path / "copy", dump_study(config))) == config
    assert place_of("discs", config.tasks["discs"]) == tmp_path / "pictures"


def test_data_may_be_named_from_a_variable_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_study(written(tmp_path, study_values(**task(data="$SCANS/discs"))))
    monkeypatch.setenv("SCANS", "/data")
    assert place_of("discs", config.tasks["discs"]) == Path("/data/discs")
    monkeypatch.delenv("SCANS")
    with pytest.raises(
        ConfigError, match=r"tasks.discs.data '\$SCANS/discs': \$SCANS is not set; .*export SCANS"
    ):
        place_of("discs", config.tasks["discs"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("$ROOT/$NOPE/x", "$NOPE is not set; set it to where the data are, as in export NOPE=/data"),
        ("sub/${NOPE}/x", "${NOPE} is not set; set it to where the data are, as in export NOPE=/data"),
        ("$EMPTY/x", "$EMPTY is empty; set it to where the data are, as in export EMPTY=/data"),
    ],
)
def test_the_variable_that_is_missing_is_named(
    data: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT", str(tmp_path))
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOPE", raising=False)
    config = load_study(written(tmp_path, study_values(**task(data=data))))
    with pytest.raises(ConfigError) as caught:
        place_of("discs", config.tasks["discs"])
    assert str(caught.value).startswith("tasks.discs.data ") and str(caught.value).endswith(said)


def test_as_many_folds_as_labelled_people_and_no_test_of_a_runs_own_may_be_asked_for(tmp_path: Path) -> None:
    changes = {**task(labelled_people=[4, 2]), **method(method="dense", train={"folds": 2, "test": "none"})}
    config = load_study(written(tmp_path, study_values(**changes)))
    assert config.run_options("discs", "other").train.folds == 2


def test_options_of_study_task_and_method_come_together(tmp_path: Path) -> None:
    values = study_values(
        **task(options={"train": {"steps": 9}}), **method(method="dense", train={"steps": 7})
    )
    config = load_study(written(tmp_path, values))
    assert config.run_options("discs", "ours").train.steps == 9
    other = config.run_options("discs", "other")
    assert (other.train.steps, other.train.batch_size, other.train.validation) == (7, 2, "none")
    target = config.run_options("discs", "flat, equal FLOPs", 5e6).prune.target
    assert (target.kind, target.amount) == ("flops", 5e6)


def test_the_study_of_few_labels_can_be_read() -> None:
    config = load_study(ROOT / "studies" / "few-labels.yaml")
    assert [claim.kind for claim in config.claims] == ["noninferior", "superior", "superior"]
    assert config.run_options("cardiac", "stamp+ as published").prune.scoring == "pass"
