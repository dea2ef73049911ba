"""methods.md: what a methods section needs, with the numbers of the code and of the run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from stampseg.core.machine import this_machine
from stampseg.data.splits.folds import Fold
from stampseg.data.transforms import augmentation_in_words
from stampseg.report.cases import PredictedCase, PredictedCases
from stampseg.report.methods import methods_of
from stampseg.report.record import read_record
from stampseg.run.folds.records import FoldCase, Folds, LabelDice
from stampseg.run.search.records import Entrant, Search
from tests.cli.command import call, train_quickly


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small pruned run."""
    return train_quickly(pictures, tmp_path_factory.mktemp("runs") / "run")


def test_a_run_leaves_it(run: Path) -> None:
    text = (run / "methods.md").read_text()
    assert "6 cases of 3 people trained the network; 2 cases of 1 person validated it" in text
    assert "12 steps of 4 windows, adamw (rate 0.01, weight decay 0.01" in text and "seed 0" in text
    assert "stamp+; criterion taylor-abs" in text and "doi:10.1016/j.media.2022.102583" in text
    machine = this_machine(1, "x")
    assert f"python {machine.python}" in text and f"monai {machine.monai}" in text
    assert re.search(r"- foreground: mean Dice 0\.\d{3} \(SD 0\.\d{3}\) in 2 cases", text)


def test_mean_and_deviation_over_the_cases_that_hold_the_label(run: Path) -> None:
    known = enumerate((0.5, 0.7, None))
    cases = tuple(PredictedCase(str(i), "", per_label={"liver": dice, "cyst": None}) for i, dice in known)
    text = methods_of(read_record(run), PredictedCases(cases, ("liver", "cyst")))
    assert "- liver: mean Dice 0.600 (SD 0.141) in 2 cases" in text and "cyst: mean" not in text


def test_augmentation_is_named_with_its_strengths(run: Path) -> None:
    plan = read_record(run).plan
    assert plan is not None
    words = augmentation_in_words(plan)
    assert words.startswith("70% of the windows were turned (by up to 15 degrees), scaled (by up to 15%)")
    assert "gamma of 30% was changed (0.7 to 1.5)" in words and "added to 20% (deviation up to 0.1" in words
    thick = plan.model_copy(
        update={"spatial_dims": 3, "spacing": (1.0, 1.0, 3.0), "patch_size": (8, 8, 8), "strides": ()}
    )
    assert "by up to 15 or 5 degrees, depending on the axis" in augmentation_in_words(thick)


def test_a_page_elsewhere_leaves_it_alone_and_a_run_without_end_has_none(run: Path, tmp_path: Path) -> None:
    (run / "methods.md").write_text("mine")
    call("report", run, "-o", tmp_path / "page.html")
    assert (run / "methods.md").read_text() == "mine"
    call("report", run, "--overwrite")
    assert (run / "methods.md").read_text().startswith("# Methods of run")
    record = read_record(run)
    (run / "result.json").rename(tmp_path / "result.json")
    assert methods_of(read_record(run), PredictedCases(())) == ""
    (tmp_path / "result.json").rename(run / "result.json")
    assert methods_of(record, PredictedCases(())) != ""


def test_a_run_that_cut_nothing_says_so(run: Path) -> None:
    record = read_record(run)
    assert record.result is not None
    uncut = record.result.model_copy(update={"parameters_after": record.result.parameters_before})
    text = methods_of(replace(record, result=uncut), PredictedCases(()))
    assert "; no channel was removed, towards a target of" in text and "Whole channels" not in text


LABELS = (LabelDice(label="liver", mean=0.8, low=0.7, high=0.9, kind="range", people=3, cases=6),)
FOLDS = Folds(
    words="3 folds of 6 cases",
    folds=tuple(Fold(str(number), (), (str(number),)) for number in range(3)),
    cases=(FoldCase(id="0", group="0", fold=0, mask="0.png", dice={"liver": 0.8}),),
    labels=LABELS,
    how=("few people",),
)


def test_folds_teachers_and_steps_are_told(run: Path) -> None:
    record = read_record(run)
    assert record.result is not None and record.plan is not None
    result = record.result.model_copy(
        update={"unlabelled_cases": 4, "postprocess": "foreground: holes filled"}
    )
    plan = record.plan.model_copy(update={"one_piece": (1,)})
    of = replace(record, folds=FOLDS, result=result, plan=plan)
    text = methods_of(of, PredictedCases(()))
    for words in (
        "## Cross-validation\n\n3 folds of 6 cases. Each case was predicted by a network that had not seen",
        "Few people.\n\n- liver: mean Dice 0.800, 0.700 to 0.900 (all 3 people), 6 cases of 3 people",
        "4 scans without labels were learnt from by a mean teacher.",
        "foreground: one piece in every training label; a mask keeps the piece with the largest sum "
        "of margins, and any other of at least 50% of that sum.",
        "Filling holes and dropping pieces were tried on the out-of-fold masks; kept: foreground: holes",
    ):
        assert words in text, words
    assert "distillation" not in text and "## Search" not in text
    taught = methods_of(
        replace(of, config=f"{of.config}\n".replace("distil: false", "distil: true")), PredictedCases(())
    )
    assert "4 scans without labels were learnt from with the networks of the folds as teachers." in taught
    assert "The 3 networks of the cross-validation taught it" in taught and "mean teacher" not in taught
    assert "the network that they taught was trained on everybody, and nobody was left to measure" in taught


def test_a_search_is_told(run: Path) -> None:
    entrants = (
        Entrant(name="default", words="as given", changes={}, folds=2),
        Entrant(name="wider", words="twice the channels", changes={}, folds=1),
    )
    search = Search(words="2 folds", folds=(), entrants=entrants, chosen="default", why="not beaten")
    text = methods_of(replace(read_record(run), search=search), PredictedCases(()))
    assert (
        "Settings were compared by people held out (2 folds): default (as given; 2 folds); wider (twice the "
        "channels; 1 fold). default was taken: not beaten."
    ) in text


def test_people_held_out_of_a_fold_have_chosen_nothing(run: Path) -> None:
    record = read_record(run)
    assert record.splits is not None
    splits = record.splits.model_copy(update={"validation": (), "held_out": record.splits.validation})
    found = PredictedCases((PredictedCase("a", "", per_label={"liver": 0.5}),), ("liver",))
    text = methods_of(replace(record, splits=splits), found)
    assert (
        "6 cases of 3 people trained the network; 2 cases of 1 person were held out of this fold; no" in text
    )
    assert "## Held out" in text and "nothing was learnt from these people, and no round was chosen" in text
    assert "## Validation" not in text and "too good" not in text
    assert "network was chosen by these cases" in methods_of(record, found)


def test_what_a_network_began_with_is_said(run: Path) -> None:
    record, predicted = read_record(run), PredictedCases((), ())
    assert record.given is None and "began with" not in methods_of(record, predicted)
    text = methods_of(replace(record, given="run1"), predicted)
    assert "It began with the trained network of run1, whose own training" in text
    config = record.config.replace("network:", "network:\n  widths_of: /runs/ours", 1)
    assert "widths_of" in config
    text = methods_of(replace(record, config=config), predicted)
    assert (
        "have the widths that the pruned network of ours had come to; its weights were drawn by chance"
        in text
    )
