"""methods.md: what a methods section needs, with the numbers of the code and of the run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stampseg.core.machine import this_machine
from stampseg.data.transforms import augmentation_in_words
from stampseg.report.cases import Finding, Findings
from stampseg.report.methods import methods_of
from stampseg.report.record import read_record
from tests.cli.command import call, train_quickly


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small pruned run."""
    return train_quickly(pictures, tmp_path_factory.mktemp("runs") / "run")


def test_a_run_leaves_it(run: Path) -> None:
    text = (run / "methods.md").read_text()
    assert "6 cases of 3 people trained the network; 2 cases of 1 person validated it" in text
    assert "12 steps of 4 windows, adamw (rate 0.003, weight decay 0.01" in text and "seed 0" in text
    assert "stamp+; criterion taylor-abs" in text and "doi:10.1016/j.media.2022.102583" in text
    machine = this_machine(1, "x")
    assert f"python {machine.python}" in text and f"monai {machine.monai}" in text
    assert re.search(r"- foreground: mean Dice 0\.\d{3} \(SD 0\.\d{3}\) in 2 cases", text)


def test_mean_and_deviation_over_the_cases_that_hold_the_label(run: Path) -> None:
    known = enumerate((0.5, 0.7, None))
    cases = tuple(Finding(str(i), "", per_label={"liver": dice, "cyst": None}) for i, dice in known)
    text = methods_of(read_record(run), Findings(cases, ("liver", "cyst")))
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
    assert methods_of(read_record(run), Findings(())) == ""
    (tmp_path / "result.json").rename(run / "result.json")
    assert methods_of(record, Findings(())) != ""
