"""Expected against true Dice of the validation cases, in the report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from stampseg.evaluation.calibration import calibrate
from stampseg.report.cases import PredictedCase, PredictedCases
from stampseg.report.drawing import draw
from stampseg.report.expected import chart_of, least_expected, with_expected, words_of
from stampseg.report.record import read_record
from stampseg.report.writing import render
from tests.cli.command import FINDING, QUICK, call
from tests.data.scans import write_pictures
from tests.report.runs import make_predicted, make_run


def predicted(count: int, labels: tuple[str, ...] = ("liver",)) -> PredictedCases:
    """The surer, the better; case 0 is missed altogether."""
    cases = []
    for number in range(count):
        certainty = dict.fromkeys(labels, 0.5 + 0.05 * number)
        dice = dict.fromkeys(labels, 0.4 + 0.06 * number)
        case = PredictedCase(f"c{number}", f"p{number}", dice["liver"], dice, certainty=certainty)
        cases.append(
            case if number else replace(case, certainty={"liver": None}, dice=0.0, per_label={"liver": 0.0})
        )
    return PredictedCases(tuple(cases), labels)


def test_each_case_is_calibrated_on_other_people_alone() -> None:
    """Oracle: the calibration of the others, by hand."""
    given = predicted(8)
    found = with_expected(given)
    assert found.expected_as == "expected Dice" and "chose the model" in words_of(found)
    for case in found.cases:
        others = {
            other.group: [(other.certainty["liver"], (other.per_label or {})["liver"] or 0.0)]
            for other in given.cases
            if other.group != case.group
        }
        fit = calibrate(others)
        assert fit is not None
        certainty = case.certainty["liver"]
        assert case.expected == pytest.approx(0.0 if certainty is None else fit.expected(certainty)[0])
    assert least_expected(found)[0].id == "c0"


def test_a_mask_of_nothing_counts_what_such_masks_of_the_others_were_worth() -> None:
    """Six people whose other slice rightly shows nothing: that of a seventh is missed."""
    given = predicted(8)
    empty = [
        PredictedCase(f"e{number}", f"p{number}", None, {"liver": None}, certainty={"liver": None})
        for number in range(1, 7)
    ]
    missed = replace(empty[0], id="missed", group="p7", dice=0.0, per_label={"liver": 0.0})
    found = with_expected(replace(given, cases=(*given.cases, *empty, missed)))
    expected = {case.id: case.expected for case in found.cases}
    assert expected["missed"] == pytest.approx(6 / 7)  # c0 was missed as well
    assert expected["e1"] is None


def test_of_few_people_it_is_certainty() -> None:
    found = with_expected(predicted(5))
    assert found.expected_as == "certainty" and "ranks masks and is no Dice" in words_of(found)
    assert [case.expected for case in found.cases] == pytest.approx([0, 0.55, 0.6, 0.65, 0.7])
    assert [case.id for case in least_expected(found)] == ["c0", "c1", "c2", "c3", "c4"]


def test_scans_of_one_person_are_left_out_together() -> None:
    given = predicted(8)
    twice = replace(
        given, cases=(*given.cases, replace(given.cases[7], id="again", dice=0.1, per_label={"liver": 0.1}))
    )
    one, other = with_expected(given), with_expected(twice)
    assert other.cases[7].expected == other.cases[8].expected == one.cases[7].expected


def test_without_certainty_nothing_is_drawn() -> None:
    given = PredictedCases((PredictedCase("a", "", 0.5, {"liver": 0.5}),), ("liver",))
    assert with_expected(given) == given and chart_of(given) is None and least_expected(given) == []


def test_the_page_shows_table_chart_and_the_least_expected(tmp_path: Path) -> None:
    given = make_predicted()
    cases = [
        replace(case, certainty={"liver": 0.9 - 0.1 * place, "tumour": 0.8})
        for place, case in enumerate(given.cases[:3])
    ]
    run = make_run(tmp_path / "run")
    record = read_record(run)
    page = render(record, draw(record), with_expected(replace(given, cases=(*cases, given.cases[3]))))
    assert 'id="chart-expected"' in page and "Certainty against true Dice" in page
    assert "case2 (0.75, true 0.90), case1 (0.80, true 0.70), case0 (0.85, true 0.50)" in page
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)
    assert found and "expected" in json.loads(found[1])["charts"]
    heads = re.findall(r"<th scope=\"col\"[^>]*><button type=\"button\">([^<]*)</button>", page)
    assert heads[:4] == ["case", "person", "Dice", "certainty"]
    row = re.search(r"<tr>\s*<th scope=\"row\">(?:(?!</tr>).)*case-lost(?:(?!</tr>).)*</tr>", page, re.DOTALL)
    assert row and f'colspan="{len(heads) - 2}"' in row[0]


def test_a_run_with_six_people_who_validate_shows_expected_dice(tmp_path: Path) -> None:
    data = write_pictures(tmp_path, [f"{n:02}" for n in range(10)])
    call("train", data, "-o", tmp_path / "run", "--validation", "60%", *QUICK, *FINDING)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Expected against true Dice" in page
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)
    assert found
    values = json.dumps(json.loads(found[1])["charts"]["expected"])
    assert values.count('"person"') >= 6


def test_both_axes_are_of_the_same_labels() -> None:
    """A label found in vain lowered what was expected, and not what was true."""
    labels = ("liver", "tumour")
    cases = [
        replace(
            case,
            certainty={**case.certainty, "tumour": 0.9},
            per_label={**(case.per_label or {}), "tumour": None},
        )
        for case in predicted(9).cases
    ]
    found = with_expected(PredictedCases(tuple(cases), labels))
    chart = json.dumps(chart_of(found))
    points = re.findall(r'"case": "(c\d)", "person": "p\d", "expected": [0-9.]+, "Dice": ([0-9.]+)', chart)
    assert dict(points)["c8"] == "0.44" and float(dict(points)["c0"]) == 0


def test_what_nobody_knows_is_no_point_of_a_calibration() -> None:
    """A tumour found where nobody said what is there counted as one found in vain."""
    given = predicted(9, ("liver", "tumour"))
    known = with_expected(given)
    unknown = replace(
        given.cases[1],
        id="u",
        group="p20",
        per_label={"liver": 0.46, "tumour": None},
        certainty={"liver": 0.55},
    )
    found = with_expected(replace(given, cases=(*given.cases, unknown)))
    (case,) = [case for case in found.cases if case.id == "u"]
    assert (
        case.expected == pytest.approx(known.cases[1].expected, abs=0.1)
        and known.expected_as == found.expected_as
    )
