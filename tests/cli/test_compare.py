"""`stampseg compare` as a user meets it: a study, two runs, and every refusal."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.report.record import read_record
from tests.cli.command import call
from tests.report.studies import make_study
from tests.run.options import SMALL

QUICK = ("--steps", "4", *SMALL, "--set", "train.missed_label=warn", "--target", "50%")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("studies") / "few labels")


def test_a_page_with_json_and_csv_beside_it(study: Path, tmp_path: Path) -> None:
    said = call("compare", study, "-o", tmp_path / "compare.html").output
    assert said.startswith(
        "3 comparisons were claimed in study.yaml; P is after Holm for these 3. 2 of 3 held.\n"
    )
    assert "1. held: ours is better than usual, over liver, spleen\n" in said
    assert "WARNING: 4 draws on liver, spleen, against usual, flat: a sign-flip over 4" in said
    assert said.splitlines()[-1].startswith(f"{tmp_path / 'compare.html'}  ")
    assert {path.name for path in tmp_path.iterdir()} == {"compare.html", "compare.json", "compare.csv"}
    assert json.loads((tmp_path / "compare.json").read_text())["claims"][0]["verdict"] == "held"
    with (tmp_path / "compare.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 6


@pytest.mark.parametrize("command", ["compare", "report"])
def test_folders_of_a_data_set_that_is_not_named_are_refused(
    command: str, study: Path, tmp_path: Path
) -> None:
    said = call(command, study, "-o", tmp_path / "page.html", "--images", tmp_path, code=2).stderr
    assert "--images and --masks name folders of --data, and there is none; give --data as well" in said
    assert not list(tmp_path.iterdir())


def test_markdown_for_a_page_of_results(study: Path, tmp_path: Path) -> None:
    call("compare", study, "-o", tmp_path / "few.md")
    text = (tmp_path / "few.md").read_text(encoding="utf-8")
    assert text.startswith("# few labels\n\n3 comparisons were claimed") and "**held**" in text
    assert (tmp_path / "few.json").exists() and (tmp_path / "few.csv").exists()


def test_both_forms_of_one_comparison_stand_side_by_side(study: Path, tmp_path: Path) -> None:
    call("compare", study, "-o", tmp_path / "few.html")
    call("compare", study, "-o", tmp_path / "few.md")
    assert {path.suffix for path in tmp_path.iterdir()} == {".html", ".md", ".json", ".csv"}
    (tmp_path / "few.md").unlink()
    (tmp_path / "few.json").write_text("of another comparison")
    said = call("compare", study, "-o", tmp_path / "few.md", code=3).stderr
    assert f"{tmp_path / 'few.json'}: exists already; choose another file with -o" in said
    assert (tmp_path / "few.json").read_text() == "of another comparison" and not (
        tmp_path / "few.md"
    ).exists()


def test_nothing_is_replaced_unless_told(study: Path, tmp_path: Path) -> None:
    (tmp_path / "compare.csv").write_text("mine")
    said = call("compare", study, "-o", tmp_path / "compare.md", code=3).output
    assert said == (
        f"stampseg: {tmp_path / 'compare.csv'}: exists already; choose another file with -o, or say "
        "--overwrite\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["compare.csv"]
    call("compare", study, "-o", tmp_path / "compare.md", "--overwrite")
    assert (tmp_path / "compare.csv").read_text() != "mine"


def test_refusals_in_one_line(study: Path, tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    said = call("compare", study, "-o", tmp_path / "compare.pdf", code=2).output
    assert said.endswith("compare.pdf: a comparison is written as .html or .md, found .pdf; rename it\n")
    (tmp_path / "x.md").mkdir()
    said = call("compare", study, "-o", tmp_path / "x.md", "--overwrite", code=3).output
    assert "x.md: is a folder; name a file to write, such as" in said
    said = call("compare", tmp_path / "none", "-o", page, code=3).output
    assert said == (
        f"stampseg: {tmp_path / 'none'}: no such folder; name a study folder, with cells.csv, cases.csv and "
        "study.yaml\n"
    )
    said = call("compare", study, "-o", page, "--device", "cpu", code=2).output
    assert said == "stampseg: --device: of use for two runs alone; a study is not predicted anew\n"
    assert (
        "holds neither config.yaml nor rounds.jsonl"
        in call("compare", study, tmp_path, "-o", page, code=3).output
    )
    broken = tmp_path / "broken"
    shutil.copytree(study, broken)
    (broken / "study.yaml").write_text("claims: [{method: best, against: flat, kind: superior}]")
    said = call("compare", broken, "-o", page, code=2).output
    assert said.count("\n") == 1 and "claim 1 names the method best, and no cell has it" in said
    assert not page.exists()


# Two runs


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people with a bright rectangle each."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for index in range(6):
        mask = np.zeros((32, 32), np.uint8)
        mask[6 : 20 + index, 8:24] = 255
        noisy = np.clip(mask * 0.6 + rng.integers(0, 70, mask.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "images" / f"p{index}.png")
        Image.fromarray(mask).save(folder / "masks" / f"p{index}.png")
    return folder


@pytest.fixture(scope="module")
def runs(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, method in (("small", "flat"), ("full", "dense")):
        call("train", pictures, "-o", folder / name, "--validation", "50%", "--method", method, *QUICK)
    return folder / "small", folder / "full"


def test_two_runs_are_paired_by_case(runs: tuple[Path, Path], tmp_path: Path) -> None:
    said = call("compare", *runs, "-o", tmp_path / "runs.html").output
    assert said.startswith("Two runs are compared: what is said is about these two networks. ")
    assert "WARNING: one run of each: a second run of either with another seed may differ as much" in said
    assert "WARNING: the cases are those that validated: they chose each run's network" in said
    found = json.loads((tmp_path / "runs.json").read_text())
    assert found["said"] == said.splitlines()[0]
    each = found["differences"][0]
    assert (each["method"], each["against"], each["design"]) == ("small", "full", "one draw")
    assert len(each["draws"]["these runs"]) == 3 and each["runs_and_people"] is None
    parameters = [json.loads((run / "result.json").read_text())["parameters_after"] for run in runs]
    assert [row["parameters"] for row in found["methods"]] == parameters
    for row, count in zip(found["methods"], parameters, strict=True):  # the figures, in the terminal too
        assert f"{row['method']}: Dice {row['dice']:.3f}, {count:,} parameters" in said
    assert f"; small minus it {each['difference']:+.3f}" in said
    assert "small against full" in (tmp_path / "runs.html").read_text(encoding="utf-8")


def test_what_differs_between_two_runs_is_told(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """Options, people and versions, and that one began with the other's network, as files say."""
    said = call("compare", *runs, "-o", tmp_path / "a.html").output
    assert (
        "What differs:\n  `method`: flat in small, dense in full\n" in said
        and "people who trained" not in said
    )
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["what_differs"] == ["`method`: flat in small, dense in full"]
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert '<h2 id="differs-title">What differs</h2>' in page and "flat in small, dense in full" in page
    other = tmp_path / "later"
    shutil.copytree(runs[0], other)
    changes = {
        "run.json": {"model": str(runs[0]), "data": "/elsewhere"},
        "result.json": {
            "machine": {**json.loads((other / "result.json").read_text())["machine"], "torch": "9"}
        },
    }
    for name, values in changes.items():
        (other / name).write_text(json.dumps(json.loads((other / name).read_text()) | values))
    splits = json.loads((other / "splits.json").read_text())
    gone = splits["training"].pop()["id"]
    (other / "splits.json").write_text(json.dumps(splits))
    call("compare", runs[0], other, "-o", tmp_path / "b.md")
    text = (tmp_path / "b.md").read_text(encoding="utf-8")
    section = text[text.index("## What differs") : text.index("## Warnings")].replace("\\", "")
    assert section.splitlines()[2].startswith("- later went on from small: it began with that network")
    assert "/elsewhere in later" in section and "9 in later" in section
    assert f"people who trained: 3 in small, 2 in later, 2 people in both; {gone} in small alone" in section


def test_two_runs_alike_differ_in_nothing(runs: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "again")
    said = call("compare", runs[0], tmp_path / "again", "-o", tmp_path / "a.md").output
    assert "What differs:\n  nothing that the run folders know of: the same options, people and" in said


def test_cases_that_only_one_run_validated_are_left_out(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(runs[1], other)
    splits = json.loads((other / "splits.json").read_text())
    gone = splits["validation"].pop()
    (other / "splits.json").write_text(json.dumps(splits))
    said = call("compare", runs[0], other, "-o", tmp_path / "a.md").output
    assert "WARNING: 1 validation case of small left out: not validated by both\n" in said
    assert "without a Dice" not in said
    compared = json.loads((tmp_path / "a.json").read_text())
    assert gone["id"] in json.dumps(compared.pop("what_differs"))
    assert gone["id"] not in json.dumps(compared)
    for case in splits["validation"]:
        case["id"] = f"not-{case['id']}"
    (other / "splits.json").write_text(json.dumps(splits))
    said = call("compare", runs[0], other, "-o", tmp_path / "b.md", code=3).output
    assert said.count("\n") == 1 and "no case validated both (p" in said
    otherwise = (
        "or predict people of whom neither has learnt (`stampseg predict`) with each and measure the masks "
        "of both (`stampseg evaluate`); `stampseg study` trains and tests methods on several draws of "
        "people, and its folder is compared as well\n"
    )
    assert said.endswith(f"train both with the same `train.validation` cases (a CSV) and `seed`, {otherwise}")
    splits["validation"] = []
    (other / "splits.json").write_text(json.dumps(splits))
    said = call("compare", runs[0], other, "-o", tmp_path / "b.md", code=3).output
    first = f"{other}: no case was held out to validate on, and two runs are compared on the cases that "
    train = f"train both with the same `train.validation` cases, {otherwise}"
    assert f"{first}validated both; {train}" in said
    folds = {"words": "by people", "folds": []}
    (other / "folds.json").write_text(json.dumps(folds))
    said = call("compare", runs[0], other, "-o", tmp_path / "b.md", code=3).output
    assert "(the Dice of its folds stands in folds.json of the run and in its report, and is not rea" in said


def test_a_run_without_a_model_is_compared_by_what_was_refused(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Its figures are of the round that would have been chosen, and its Dice was of the last one."""
    failed = Path(shutil.copytree(runs[0], tmp_path / "failed"))
    result = json.loads((failed / "result.json").read_text())
    chosen = failed / "rounds" / f"{result['chosen_round']:03d}.safetensors"
    assert chosen.is_file()
    shutil.copyfile(chosen, failed / "rounds" / "999.safetensors")
    (failed / "result.json").write_text(json.dumps({**result, "failure": "it finds nothing of b"}))
    (failed / "model.safetensors").unlink()
    said = call("compare", runs[0], failed, "-o", tmp_path / "a.md").output
    assert "WARNING: failed: this run ended without a model (it finds nothing of b); the network" in said
    assert read_record(failed).model == chosen
    methods = call("report", failed, "--overwrite").output and (failed / "methods.md").read_text()
    assert "chosen by these cases" not in methods and "of the network that was refused as a model" in methods


def test_why_a_case_is_left_out_is_said(runs: tuple[Path, Path], pictures: Path, tmp_path: Path) -> None:
    splits = json.loads((runs[0] / "splits.json").read_text())
    gone = splits["validation"][0]["id"]
    moved = Path(shutil.copytree(pictures, tmp_path / "data"))
    (moved / "images" / f"{gone}.png").unlink()
    said = call("compare", *runs, "-o", tmp_path / "a.md", "--data", moved).output
    assert f"1 validation case left out ({gone}): " in said and "as where a mask holds no label" not in said


def test_runs_that_cannot_be_predicted_are_refused(
    runs: tuple[Path, Path], pictures: Path, tmp_path: Path
) -> None:
    said = call("compare", runs[0], runs[0], "-o", tmp_path / "a.md", code=3).output
    assert said.endswith("small: named twice; name two run folders, or a study folder alone\n")
    said = call("compare", runs[0], "-o", tmp_path / "a.md", code=3).output
    assert "small: is one run folder; name a second one to compare it with, or a study folder" in said
    moved = [tmp_path / run.name for run in runs]
    for run, copy in zip(runs, moved, strict=True):
        shutil.copytree(run, copy)
        text = (copy / "splits.json").read_text()
        (copy / "splits.json").write_text(text.replace(str(pictures), str(tmp_path / "gone")))
    said = call("compare", *moved, "-o", tmp_path / "a.md", code=3).output
    assert "no validation case has a Dice in both: " in said and said.endswith(
        "say with --data where the scans are\n"
    )
    call("compare", *moved, "-o", tmp_path / "a.md", "--data", pictures)
    (moved[0] / "model.safetensors").write_bytes(b"nothing")
    said = call("compare", *moved, "-o", tmp_path / "b.md", "--data", pictures, code=3).output
    assert "the validation cases are not predicted: " in said and said.endswith("name a run that has ended\n")


def test_runs_that_kept_people_aside_are_told_how_to_compare_them(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    copies = [tmp_path / run.name for run in runs]
    for number, (run, copy) in enumerate(zip(runs, copies, strict=True)):
        shutil.copytree(run, copy)
        splits = json.loads((copy / "splits.json").read_text())
        for case in splits["validation"]:
            case["id"] = f"{number}-{case['id']}"
        (copy / "splits.json").write_text(json.dumps(splits))
        (copy / "test").mkdir()
        (copy / "test" / "cases.csv").write_text("")
    said = " ".join(call("compare", *copies, "-o", tmp_path / "b.md", code=3).stderr.split())
    files = [copy / "test" / "cases.csv" for copy in copies]
    assert f"both kept people aside: compare {files[0]} with {files[1]} in place of the runs; or" in said


@pytest.mark.parametrize("name", ["cells.md", "cases.html"])
def test_the_tables_of_a_study_are_never_replaced(study: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "study"
    shutil.copytree(study, copy)
    said = call("compare", copy, "-o", copy / name, "--overwrite", code=3).stderr
    assert f"{(copy / name).with_suffix('.csv')}: is what is compared, and would be replaced" in said
    assert (copy / "cells.csv").read_bytes() == (study / "cells.csv").read_bytes()
