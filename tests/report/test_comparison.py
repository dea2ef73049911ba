"""Studies compared: what is read and refused, pairs, verdicts, warnings, and what is written."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stampseg.core.errors import ConfigError, DataError
from stampseg.evaluation.statistics import Design, runs_and_people
from stampseg.report.comparison.charts import charts_of, front, front_text
from stampseg.report.comparison.comparing import Comparison, Summary, Verdict, compare
from stampseg.report.comparison.forest import forest_of
from stampseg.report.comparison.markdown import markdown_of
from stampseg.report.comparison.reading import read_study
from stampseg.report.comparison.records import csv_of, json_of
from stampseg.report.comparison.study import Cell, Figures, Measure, Score, Setting, Study, people_of
from stampseg.report.comparison.tables import method_table
from stampseg.report.comparison.words import claims_head, flips_text, verdict_text, warnings
from tests.report.studies import CLAIMS, case_row, cell_row, make_study, write_study

PAIR = [cell_row(), cell_row(method="usual")]


def compared(folder: Path) -> Comparison:
    return compare(read_study(folder))


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(make_study(tmp_path_factory.mktemp("studies") / "crossed"))


# Reading


def test_a_person_is_the_mean_of_the_cases_and_a_case_of_its_labels() -> None:
    measures = [
        Measure("anna", "a1", "left", 0.8, 1.0),
        Measure("anna", "a1", "right", 0.6, None),
        Measure("anna", "a1", "union", 0.1, 9.0),
        Measure("anna", "a2", "left", 0.3, 3.0),
        Measure("anna", "a2", "right", None, None),
        Measure("ben", "b1", "left", None, None),
        Measure("cleo", "c1", "union", 0.5, 2.0),
    ]
    assert people_of(measures) == {
        "anna": Score(pytest.approx((0.7 + 0.3) / 2), 2.0),
        "ben": Score(None, None),
        "cleo": Score(0.5, 2.0),
    }


def test_rows_of_people_and_rows_of_cases_are_read(tmp_path: Path) -> None:
    rows = [case_row("anna", 0.5), case_row("anna", 0.4, "usual", case="a1", label="left")]
    rows += [
        case_row("anna", 0.6, "usual", case="a2", label="left"),
        case_row("ben", "", case="b", label="left"),
    ]
    study = read_study(write_study(tmp_path, PAIR, rows))
    cells = {cell.method: cell for cell in study.cells}
    assert cells["ours"].dice == {"anna": 0.5} and cells["usual"].dice == {"anna": pytest.approx(0.5)}
    assert cells["ours"].figures.parameters == 70_000 and cells["ours"].setting == Setting("liver", 10)
    assert study.remarks == ("1 person without a Dice left out (none of their cases holds a label)",)


def test_numbers_of_labels_come_in_their_order_and_all_last(tmp_path: Path) -> None:
    rows = [case_row("anna", 0.5, labels=labels) for labels in (20, "", 5)]
    cells = [cell_row(labels=labels) for labels in (20, "", 5)]
    assert list(map(str, read_study(write_study(tmp_path, cells, rows)).settings)) == [
        "liver, 5 labelled people", "liver, 20 labelled people", "liver",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["cells.csv", "cases.csv", "study.yaml"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    (make_study(tmp_path / "study") / name).unlink()
    with pytest.raises(
        DataError,
        match=rf"study: holds no {name}; expected a study folder, with cells.csv, cases.csv and study.yaml,",
    ):
        read_study(tmp_path / "study")
    with pytest.raises(
        DataError, match=r"nowhere: no such folder; name a study folder, with cells.csv, cases.csv"
    ):
        read_study(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "train_seconds",
            "seconds",
            "cells.csv: unknown columns seconds; no column train_seconds; expected task, lab",
        ),
        (
            "dice\n",
            "dice,colour\n",
            "cells.csv: unknown columns colour; expected task, labels, method, draw, par",
        ),
        ("labels,", "", "cells.csv: no column labels; expected task, labels"),
        ("train_seconds", "flops", "cells.csv: no column train_seconds; expected"),
        ("dice\n", "dice,dice\n", "cells.csv: a column is there twice; expected"),
    ],
)
def test_other_columns_are_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    path = write_study(tmp_path, PAIR, [case_row("anna", 0.5)]) / "cells.csv"
    path.write_text(path.read_text().replace("\r\n", "\n").replace(old, new, 1))
    with pytest.raises(DataError, match=said):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            case_row("anna", 1.2),
            r"cases.csv: line 2: dice '1.2': expected a number, 0 to 1, or nothing where it is",
        ),
        (case_row("anna", "good"), r"line 2: dice 'good': expected a number, 0 to 1"),
        (case_row("anna", "0_1"), r"line 2: dice '0_1': expected a number, 0 to 1, or nothing"),
        (
            case_row("anna", 0.5, labels="9" * 5000),
            r"line 2: labels '99999999999999999...': expected how many people were labelled, or nothing",
        ),
        (case_row("anna", 0.5, hd95=-1), r"line 2: hd95 '-1': expected a number, 0 or more, or nothing"),
        (case_row("", 0.5), "line 2: has no person; expected who was tested, for people are the units"),
        (
            case_row("anna", 0.5, method=" "),
            "line 2: has no method; let the study write it again, or correct",
        ),
        (
            case_row("anna", 0.5, labels="ten"),
            "line 2: labels 'ten': expected how many people were labelled, or noth",
        ),
        (
            case_row("anna", 0.5, case="a1"),
            "line 2: has a case alone; expected case and label, or neither in a row",
        ),
        (case_row("anna", 0.5, label="left"), "line 2: has a label alone; expected case and label"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(row: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read_study(write_study(tmp_path, PAIR, [row]))


def test_a_dice_of_a_cell_that_its_cases_do_not_have_is_told(tmp_path: Path) -> None:
    rows = [case_row("anna", 0.5), case_row("anna", 0.4, "usual")]
    cells = [cell_row(dice=0.5004), cell_row(method="usual", dice=0.9)]
    assert read_study(write_study(tmp_path, cells, rows)).remarks == (
        "cells.csv and cases.csv differ in the Dice of 1 cell (usual (liver, 10 labelled people, draw 1) "
        "0.900 and 0.400), so that one of both is not as it was written; the figures here are of cases.csv; "
        "let the study write both again",
    )
    with pytest.raises(DataError, match=r"cells.csv: line 2: dice 'banana': expected a number, 0 to 1"):
        read_study(write_study(tmp_path, [cell_row(dice="banana")], rows))


def test_people_and_draws_of_a_setting_are_those_of_all_methods(tmp_path: Path) -> None:
    rows = [case_row(p, 0.5, m, draw) for m in ("ours", "usual") for draw in (9, 10) for p in ("anna", "ben")]
    rows += [case_row(person, 0.6, "usual", 11) for person in ("ben", "cleo")]
    cells = [cell_row(method=method, draw=draw) for method in ("ours", "usual") for draw in (9, 10, 11)]
    found = compared(write_study(tmp_path, cells, rows))
    table = method_table(found, Setting("liver", 10))
    assert table.note.startswith("3 people in 3 draws, partly crossed. In medians and counts a person is one")
    assert table.columns[-1] == "each draw (9, 10, 11)"
    assert [row[-1] for row in table.rows] == ["0.500 0.500 –", "0.500 0.500 0.600"]
    assert table.numbers == frozenset(range(1, len(table.columns) - 1))


def test_what_is_there_twice_is_refused(tmp_path: Path) -> None:
    twice = [case_row("anna", 0.5, case="a", label="left")] * 2
    with pytest.raises(
        DataError,
        match=r"line 3: label left of case a is there twice for ours \(liver, 10 labelled people, dr",
    ):
        read_study(write_study(tmp_path, PAIR, twice))
    with pytest.raises(DataError, match="line 3: anna is there twice for ours"):
        read_study(write_study(tmp_path, PAIR, [case_row("anna", 0.5)] * 2))
    with pytest.raises(DataError, match=r"line 3: anna of ours .* has both cases and a mean; leave one out"):
        read_study(write_study(tmp_path, PAIR, [twice[0], case_row("anna", 0.5)]))
    with pytest.raises(
        DataError, match=r"cells.csv: line 3: ours \(liver, 10 labelled people, draw 1\) is there twice; let"
    ):
        read_study(write_study(tmp_path, [cell_row()] * 2, []))


def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = write_study(tmp_path, PAIR, [case_row("anna", 0.5)])
    (folder / "cases.csv").write_bytes((folder / "cases.csv").read_bytes() + b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"cases.csv: not a table of comma-separated values"):
        read_study(folder)
    write_study(tmp_path, PAIR, [])
    with pytest.raises(DataError, match="no case has a Dice; compare when a cell of the study has ended"):
        read_study(folder)
    (folder / "cases.csv").write_text((folder / "cases.csv").read_text() + "liver,10\n")
    with pytest.raises(DataError, match="line 2: expected 9 values; let the study write it again"):
        read_study(folder)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("{method: ours, against: dense, kind: superior}", "claim 1 names the method dense, and no "
         "cell has it; there are ours, usual, flat; correct the name, or compare when its cells have ended"),
        ("{method: ours, against: flat, kind: superior, tasks: [lung]}", "claim 1 names the task lung, and"),
        ("{method: ours, against: flat, kind: better}", "claim 1: kind 'better': expected 'superior' or 'no"),
        ("{method: ours, against: flat}", "claim 1: has no kind; correct it"),
        ("{method: ours, against: flat, kind: noninferior}", "claim 1: noninferior needs a margin: how muc"),
        ("{method: ours, against: flat, kind: superior, margin: 0.1}", "superior takes no margin; leave it"),
        ("{method: ours, against: flat, kind: superior, tasks: [liver, liver]}", "names a task twice, whose"),
        ("{method: ours, against: flat, kind: noninferior, margin: -1}", "1: margin -1: expected greater th"),
        ("{method: ours, against: ours, kind: superior}", "claim 1: compares ours with itself; name another"),
        ("{method: ours, against: flat, kind: superior, tasks: liver}", "tasks 'liver': expected all, or a"),
        ("{method: ours, against: flat, kind: superior, tasks: []}", "claim 1: names no task; write all, or"),
        ("{method: ours, against: flat, kind: superior, metric: hd95}", "claim 1: metric 'hd95': expected '"),
        ("{method: ours, against: flat, kind: superior, taks: all}", "claim 1: taks is unknown; it has meth"),
        ("better", "claim 1: 'better': expected names with values, such as {method: ours, against: dense, k"),
    ],
)  # fmt: skip
def test_a_claim_that_cannot_be_tested_is_refused(claim: str, said: str, tmp_path: Path) -> None:
    folder = make_study(tmp_path, draws=1, people=1, claims=f"claims:\n  - {claim}\n")
    with pytest.raises(ConfigError) as caught:
        read_study(folder)
    assert str(caught.value).startswith(f"{folder / 'study.yaml'}: claim") and said in str(caught.value)


def test_what_was_added_after_the_first_result_is_said(tmp_path: Path) -> None:
    folder = make_study(tmp_path, claims=f"{CLAIMS}added: [draw 12, task heads]\n")
    said = "Added to the study after its first result: draw 12, task heads"
    assert read_study(folder).remarks[-1] == said
    assert said in warnings(compared(folder))


def test_a_method_that_was_taken_out_after_results_is_said(tmp_path: Path) -> None:
    folder = make_study(tmp_path, claims=f"{CLAIMS}taken_out: ['method b taken out, 1 cell done']\n")
    said = "Taken out of the study after results, which are not compared: method b taken out, 1 cell done"
    assert said in warnings(compared(folder))


def test_claims_are_a_list_in_yaml_or_are_not_there(tmp_path: Path) -> None:
    for text in ("", "name: x\n", "claims:\n"):
        assert read_study(make_study(tmp_path, draws=1, people=1, claims=text)).claims == ()
    for text in ("claims: ours wins", "- a\n", "claims: {method: ours}"):
        make_study(tmp_path, draws=1, people=1, claims=text)
        with pytest.raises(
            ConfigError, match=r"study.yaml: claims: expected a list, each with method, against, kin"
        ):
            read_study(tmp_path)
    make_study(tmp_path, draws=1, people=1, claims="claims: [")
    with pytest.raises(ConfigError, match=r"study.yaml: not a YAML file"):
        read_study(tmp_path)


# Comparing


def test_without_a_pair_there_is_nothing_to_compare(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", PAIR, [case_row("anna", 0.5), case_row("ben", 0.4, "usual")])
    with pytest.raises(
        DataError,
        match="study: no two methods share a person in a draw of a task, so nothing can be paired; there are",
    ):
        compared(folder)


def test_verdicts(crossed: Comparison) -> None:
    better, near, worse = crossed.claims
    assert [each.verdict for each in crossed.claims] == [Verdict.HELD, Verdict.HELD, Verdict.LOST]
    assert better.mean == pytest.approx(0.1, abs=0.01) and near.claim.bound == -0.02
    assert [pair.design for pair in better.pairs] == [Design.CROSSED] * 2 and len(near.pairs) == 1
    assert near.two_way == runs_and_people(near.pairs[0].table)
    assert worse.two_way is not None and worse.two_way.interval()[1] < 0
    assert better.p_holm == pytest.approx(3 * better.p) and worse.p_holm == 1
    assert claims_head(crossed).startswith(
        "3 comparisons were claimed in study.yaml; P is after Holm for these 3."
    )
    assert "it lies above -0.02, P" in verdict_text(near) and "it lies below 0, P" in verdict_text(worse)
    assert verdict_text(worse).endswith("P below 0.001 after Holm: the contrary is shown.")
    assert "Sign-flip over 8 draws of 2 tasks together: P 0.008; it takes the people" in flips_text(better)
    assert "Sign-flip over 4 draws: P" in flips_text(near)
    assert "(so few draws cannot have less than 0.125)" in flips_text(near)


def test_an_interval_that_holds_the_bound_shows_nothing(tmp_path: Path) -> None:
    claims = "claims: [{method: ours, against: flat, kind: noninferior, margin: 0.003}]"
    finding = compared(make_study(tmp_path, claims=claims)).claims[0]
    assert finding.verdict is Verdict.NOT_SHOWN
    assert "it holds -0.003, so that neither this nor the contrary is shown" in verdict_text(finding)


def test_a_claim_needs_every_task_and_more_than_one_draw(tmp_path: Path) -> None:
    """It is never held on a part of what was claimed."""
    folder = make_study(tmp_path, tasks={"liver": (10,), "spleen": (10,)})
    lines = (folder / "cases.csv").read_text().splitlines(keepends=True)
    few = [x for x in lines if not x.startswith("spleen,10,usual") or x.startswith("spleen,10,usual,0")]
    (folder / "cases.csv").write_text("".join(few))
    finding = compared(folder).claims[0]
    assert finding.verdict is Verdict.NOT_SHOWN and finding.p_holm == 1 and finding.mean is not None
    assert "so far, but spleen has one draw, and the luck of one run cannot be told" in verdict_text(finding)
    (folder / "cases.csv").write_text("".join(x for x in lines if not x.startswith("spleen,10,usual")))
    found = compared(folder)
    assert "so far, but spleen has no pair yet" in verdict_text(found.claims[0])
    few = [x for x in lines if ",usual," not in x or ",usual,0" in x]
    (folder / "cases.csv").write_text("".join(few))
    said = verdict_text(compared(folder).claims[0])
    assert "so far, but liver, spleen have one draw each, and the luck of one run cannot be told" in said
    assert (
        "4 cells without any Dice left out: usual (spleen, 10 labelled people, draw 0)" in warnings(found)[0]
    )


def test_nested_people_make_the_draws_the_units(tmp_path: Path) -> None:
    found = compared(make_study(tmp_path, nested=True))
    pair = found.claims[0].pairs[0]
    assert pair.design is Design.NESTED and pair.people == 32
    means = np.nanmean(pair.table, axis=1)
    assert pair.mean == pytest.approx(means.mean())
    assert "nested, other people in each draw: draws are the units." in markdown_of(found)
    assert flips_text(found.claims[0]).endswith("P 0.008.")


def test_numbers_of_labels_are_one_task_of_a_claim(tmp_path: Path) -> None:
    found = compared(make_study(tmp_path, tasks={"liver": (5, 10, 20)}))
    pair, single = found.claims[0].pairs[0], [pair for _, pair in found.pairs if pair.against == "usual"]
    assert len(found.claims[0].pairs) == 1 and len(single) == 3
    assert pair.mean == pytest.approx(np.mean([each.mean for each in single]))
    assert pair.table.shape == single[0].table.shape


def test_warnings_say_what_few_draws_and_people_cannot_show(tmp_path: Path) -> None:
    said = warnings(compared(make_study(tmp_path / "a", tasks={"liver": (10,)})))
    assert any(
        text.startswith(
            "4 draws on liver, against usual, flat: a sign-flip over 4 cannot have a P below 0.125"
        )
        for text in said
    )
    assert any(text.startswith("few people: liver (8); intervals over fewer than 10 people") for text in said)
    one = warnings(compared(make_study(tmp_path / "b", tasks={"liver": (10,)}, draws=1)))
    assert any(
        text.startswith("a single draw on liver, against usual, flat: what differs may be") for text in one
    )


def test_what_is_not_paired_is_told(tmp_path: Path) -> None:
    rows = [case_row(person, 0.5, method) for person in ("anna", "ben") for method in ("ours", "usual")]
    rows += [case_row("cleo", 0.5), case_row("anna", 0.5, draw=2)]
    said = warnings(compared(write_study(tmp_path, PAIR, rows)))
    assert (
        "pairs leave 1 person out who were not tested with every method of their draw: usual has no Dice for "
        "cleo where ours has"
    ) in said
    assert (
        "not every method has every draw, and what is missing is in no pair: usual lacks draw 2 on liver"
        in said
    )
    assert any(
        text.startswith("cells.csv does not name ours (liver, 10 labelled people, draw 2)") for text in said
    )


def shortened(folder: Path, *starts: str) -> Path:
    """The study without lines of cases.csv and cells.csv that begin so."""
    for name in ("cases.csv", "cells.csv"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(line for line in lines if not line.startswith(starts)))
    return folder


def test_few_draws_are_named_with_their_own_task_and_methods(tmp_path: Path) -> None:
    """Nothing is said of a task against a method that has other draws there, or none."""
    folder = make_study(tmp_path, tasks={"liver": (5, 10), "spleen": (10,)})
    said = warnings(compared(shortened(folder, "spleen,10,usual,3", "spleen,10,flat", "liver,5,flat,2")))
    three, of_claim = [text for text in said if text.startswith("3 draws ")]
    assert of_claim.startswith("3 draws on spleen, usual against flat: a sign") or of_claim.startswith(
        "3 draws on liver with 5 labelled, usual against flat"
    )
    assert three.startswith(
        "3 draws on liver with 5 labelled, against flat; on spleen, against usual: a sign"
    )
    four, _ = [text for text in said if text.startswith("4 draws ")]
    assert four.startswith(
        "4 draws on liver with 5 labelled, against usual; on liver with 10 labelled, against usual, flat: a "
    )


def test_cells_that_were_planned_and_are_not_there_are_all_named(tmp_path: Path) -> None:
    folder = make_study(tmp_path, claims=ASKED)
    said = warnings(compared(shortened(folder, "spleen,10,flat", "liver,10,usual,3")))
    assert (
        "not every method has every draw, and what is missing is in no pair: no method has a cell on heart; "
        "thin has no cell on liver, spleen; flat has no cell on spleen; usual lacks draw 3 on liver"
    ) in said


def test_cells_that_nobody_planned_do_not_make_a_study_whole(tmp_path: Path) -> None:
    asked = """
        tasks: {liver: {labelled_people: [5, 10]}}
        methods: {ours: {}, usual: {}}
        draws: [0, 1, 2, 3]
        claims: [{method: ours, against: usual, kind: superior}]
    """
    folder = make_study(tmp_path, tasks={"liver": (10,), "lung": (10,)}, claims=asked)
    found = compared(folder)
    assert any(
        text.startswith("The study is not whole: 8 of 16 cells have ended") for text in warnings(found)
    )
    assert any(text.startswith("study.yaml does not plan 16 cells that are comp") for text in warnings(found))
    assert verdict_text(found.claims[0]).endswith(" liver: of 5 and 10 labelled, 10 alone.")
    assert {each.said.removeprefix(each.verdict) for each in found.claims} == {" so far"}


def test_a_claim_takes_the_draws_that_have_all_numbers_of_labels(tmp_path: Path) -> None:
    """A draw with one of them weighs it as the mean of all, so that a claim turns with what has ended."""
    folder = make_study(tmp_path, tasks={"liver": (5, 10)})
    whole = compared(folder).claims[0].pairs[0]
    found = compared(shortened(folder, "liver,10,usual,3", "liver,5,ours,2")).claims[0]
    assert found.pairs[0].differences == {draw: whole.differences[draw] for draw in ("0", "1")}
    assert verdict_text(found).endswith(
        " liver: draws 2, 3 left out, as not both methods have 5 and 10 labelled there."
    )
    starts = [f"liver,{labels},usual,{draw}" for labels, draws in ((5, "01"), (10, "123")) for draw in draws]
    none = compared(shortened(folder, *starts)).claims[0]
    assert none.mean is None
    assert verdict_text(none).startswith(
        "No draw has all numbers of labels with both methods yet. liver: dra"
    )


def test_a_number_of_labels_that_has_begun_takes_no_draw_from_a_claim(tmp_path: Path) -> None:
    """The first cells of another setting would leave a claim with their draws alone."""
    folder = make_study(tmp_path, tasks={"liver": (5, 10)})
    found = compared(shortened(folder, *[f"liver,5,usual,{draw}" for draw in "012"])).claims[0]
    assert len(found.pairs[0].differences) == 4 and found.two_way is not None
    assert verdict_text(found).endswith(" liver: of 5 and 10 labelled, 10 alone.")


def test_people_without_a_dice_are_counted_once_and_why_is_said(tmp_path: Path) -> None:
    rows = [
        case_row(person, dice, method, draw)
        for method in ("ours", "usual")
        for draw in (1, 2)
        for person, dice in (("anna", 0.5), ("ben", ""), ("cleo", "" if method == "ours" else 0.4))
    ]
    cells = [cell_row(method=method, draw=draw) for method in ("ours", "usual") for draw in (1, 2)]
    said = warnings(compared(write_study(tmp_path, cells, rows)))
    assert said[0] == "1 person without a Dice left out (none of their cases holds a label)"
    assert any(text.endswith(": ours has no Dice for cleo where usual has") for text in said)


def cases_of(method: str, dice: dict[tuple[str, str], float], draw: int = 1) -> list[dict[str, object]]:
    """Rows of two people with these cases and labels."""
    return [
        case_row(person, value, method, draw, case=f"{person}-{case}", label=label)
        for person in ("anna", "ben")
        for (case, label), value in dice.items()
    ]


def test_methods_are_paired_over_the_cases_and_labels_that_both_have(tmp_path: Path) -> None:
    """A label or a slice that one method lacks makes no difference between the methods."""
    rows = cases_of("ours", {("1", "left"): 0.8, ("2", "left"): 0.6})
    rows += cases_of("usual", {("1", "left"): 0.7, ("1", "right"): 0.1, ("2", "left"): 0.5})
    rows += cases_of("usual", {("3", "left"): 0.0})
    found = compared(write_study(tmp_path, PAIR, rows))
    ((_, pair),) = found.pairs
    assert pair.differences == {"1": {"anna": pytest.approx(0.1), "ben": pytest.approx(0.1)}}
    dice = {summary.method: summary.dice for summary in found.summaries}  # each over all that it has
    assert dice == {"ours": pytest.approx(0.7), "usual": pytest.approx((0.4 + 0.5 + 0) / 3)}
    assert (
        "pairs leave 4 cases and labels out that not every method of their draw has a Dice of, such as label "
        "right of case anna-1 of anna (liver, 10 labelled people, draw 1): usual has it, ours not"
    ) in warnings(found)


def test_people_without_a_case_in_common_are_in_no_pair(tmp_path: Path) -> None:
    rows = [*cases_of("ours", {("1", "left"): 0.8}), *cases_of("usual", {("2", "left"): 0.7})]
    with pytest.raises(DataError, match="no two methods share a case and label of a person in a draw of a t"):
        compared(write_study(tmp_path, PAIR, rows))


def test_a_mean_alone_against_cases_is_told(tmp_path: Path) -> None:
    rows = [*cases_of("ours", {("1", "left"): 0.8}), case_row("anna", 0.7, "usual")]
    found = compared(write_study(tmp_path, PAIR, rows))
    assert found.pairs[0][1].differences == {"1": {"anna": pytest.approx(0.1)}}
    said = "1 person with a mean alone from one method and cases from another, such as anna from ours and us"
    assert any(text.startswith(said) for text in warnings(found))


def test_two_tests_that_disagree_are_told(tmp_path: Path) -> None:
    """One draw of seven is against the claim, and outweighs the rest for signs alone."""
    rows = []
    for draw, shift in enumerate((0.1, 0.1, 0.1, 0.1, 0.1, 0.1, -0.02)):
        for person, own in (("anna", 0.01), ("ben", -0.01), ("cleo", 0.0)):
            rows += [case_row(person, 0.7 + shift + own, draw=draw), case_row(person, 0.7, "usual", draw)]
    text = "claims: [{method: ours, against: usual, kind: superior}]"
    found = compared(write_study(tmp_path, PAIR, rows, text))
    finding = found.claims[0]
    assert finding.flips is not None
    disagree = [each for each in warnings(found) if each.startswith("claim 1 is held by the interval")]
    assert bool(disagree) == (finding.verdict is Verdict.HELD and finding.flips.p >= 0.05)


# What is written


def test_the_front_holds_what_no_other_beats() -> None:
    assert front([(3, 0.9), (1, 0.5), (2, 0.4), (2, 0.7), (4, 0.9)]) == [1, 3, 0]
    assert front([]) == []


def test_of_methods_that_are_equal_none_is_left_out_of_the_front() -> None:
    assert front([(1, 0.5), (1, 0.5), (2, 0.5), (1, 0.4)]) == [0, 1]


def test_costs_of_the_front_are_of_the_same_draws() -> None:
    """Small networks of draws that others do not have made a method look cheap."""
    costs = {"a": {"1": 1000.0}, "b": {"1": 2000.0, "2": 100.0, "3": 100.0}}
    dice = {"a": {"1": 0.83}, "b": {"1": 0.88, "2": 0.5, "3": 0.5}}
    summaries = [
        Summary(Setting("liver", 10), name, dice[name], (), None, {"parameters": costs[name]})
        for name in "ab"
    ]
    assert "Of the 1 draw that all have. By parameters: a; b." in front_text(summaries)


def test_lines_of_learning_are_through_the_same_draws(tmp_path: Path) -> None:
    rows = [
        (labels, method, draw, 0.3 + 0.2 * draw)
        for labels, draws in ((5, (1, 2)), (10, (2,)), (20, (2, 3)))
        for draw in draws
        for method in ("ours", "usual")
    ]
    cells = [cell_row(method=m, draw=d, labels=n) for n, m, d, _ in rows]
    cases = [case_row("anna", dice, m, d, labels=n) for n, m, d, dice in rows]
    chart = json.dumps(charts_of(compared(write_study(tmp_path, cells, cases)))["labels-0"])
    found = re.findall(r'"method": "ours", "labels": \d+, "Dice": ([0-9.]+)\}', chart)
    assert len(found) >= 3 and all(float(mean) == pytest.approx(0.7) for mean in found)


def test_an_interval_beyond_the_scale_has_an_arrow(tmp_path: Path) -> None:
    rows = [
        case_row(person, 0.5 + gain, "ours" if gain else "usual", draw)
        for draw, shift in ((1, 0.11), (2, 0.002))
        for person in ("anna", "ben")
        for gain in (shift, 0)
    ]
    cells = [cell_row(method=method, draw=draw) for method in ("ours", "usual") for draw in (1, 2)]
    forest = forest_of(compared(write_study(tmp_path, cells, rows)))
    (line,) = forest.groups[0][1]
    assert line.cut == (True, True) and forest.cut
    whole = forest_of(compared(make_study(tmp_path / "b")))
    assert not whole.cut


def test_the_contrary_of_a_claim_is_shown_after_holm_alone(tmp_path: Path) -> None:
    """Of ten claims of nothing one in four was called lost."""
    one = "claims: [{method: ours, against: flat, kind: superior, tasks: [liver]}%s]"
    rows = [
        case_row(person, 0.5 - (0.01 + 0.004 * (place % 3) if method == "ours" else 0), method, draw)
        for draw in (1, 2, 3)
        for place, person in enumerate(f"p{draw}{n}" for n in range(4))
        for method in ("ours", "flat")
    ]
    rows = [
        {**row, "dice": row["dice"] + 0.004 * (int(row["draw"]) - 2) * (row["method"] == "ours")}
        for row in rows
    ]
    cells = [cell_row(method=method, draw=draw) for method in ("ours", "flat") for draw in (1, 2, 3)]
    alone = compared(write_study(tmp_path / "a", cells, rows, "data: x\n" + one % "")).claims[0]
    assert alone.verdict is Verdict.LOST and 0.005 < alone.p_contrary < 0.05
    more = ", {method: ours, against: flat, kind: noninferior, margin: %g, tasks: [liver]}"
    many = one % "".join(more % (0.0001 * n) for n in range(1, 10))
    found = compared(write_study(tmp_path / "b", cells, rows, "data: x\n" + many)).claims[0]
    assert found.verdict is Verdict.NOT_SHOWN and found.p_contrary_holm > 0.05
    assert "it lies below 0, but P of that is " in verdict_text(found)


def test_a_claim_that_leaves_the_reference_out_is_warned_of_too(tmp_path: Path) -> None:
    """It was held on two draws of three people without a word."""

    def rows_of(task: str, methods: Sequence[str], draws: int, people: int) -> tuple[list, list]:
        keys = [(m, d) for m in methods for d in range(draws)]
        cells = [cell_row(task, m, d) for m, d in keys]
        cases = [
            case_row(f"p{n}", 0.5 + 0.1 * (m == "usual") + 0.001 * n * d, m, d, task=task)
            for m, d in keys
            for n in range(people)
        ]
        return cells, cases

    big, small = rows_of("big", ("ours", "usual"), 8, 12), rows_of("small", ("usual", "flat"), 2, 3)
    claims = (
        "data: x\nclaims: [{method: ours, against: usual, kind: superior, tasks: [big]}, "
        "{method: usual, against: flat, kind: superior, tasks: [small]}]"
    )
    said = warnings(compared(write_study(tmp_path, big[0] + small[0], big[1] + small[1], claims)))
    assert any(text.startswith("2 draws on small, usual against flat: a sign-flip over 2") for text in said)
    assert any(text.startswith("few people: small (3)") for text in said)


def test_the_front_is_said_in_words(crossed: Comparison) -> None:
    said = front_text(crossed.of(Setting("liver", 10)))
    assert said.startswith("On the front, where no other costs less and is as good. By parameters: ours")


def test_the_front_is_of_the_draws_that_all_methods_have(crossed: Comparison) -> None:
    """A method with one lucky draw more is no better for it."""
    small, large = (
        Summary(Setting("liver", 10), name, draws, (), None, {"parameters": dict.fromkeys(draws, cost)})
        for name, draws, cost in (("small", {"0": 0.7}, 1.0), ("large", {"0": 0.6, "1": 1.0}, 2.0))
    )
    said = front_text([small, large])
    assert "Of the 1 draw that all have. By parameters: small." in said
    assert front_text([small, replace(large, draws={"1": 1.0})]) == ""


def test_tasks_of_one_data_set_are_told_from_independent_ones(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    text = (study / "study.yaml").read_text()
    (study / "study.yaml").write_text("tasks: {liver: {data: d}, spleen: {data: d}}\n" + text)
    (told,) = [each for each in warnings(compared(study)) if "one data set" in each]
    assert told.startswith("liver, spleen: of one data set, so that their people are the same")


def test_charts_of_every_cost_and_of_several_numbers_of_labels(tmp_path: Path, crossed: Comparison) -> None:
    costs = {f"cost-{task}-{cost}" for task in (0, 1) for cost in ("parameters", "flops", "train_seconds")}
    assert charts_of(crossed).keys() == costs
    found = compared(make_study(tmp_path, tasks={"liver": (5, 10)}))
    assert "labels-0" in charts_of(found)


def test_a_claim_of_which_some_tasks_have_no_pair_yet_does_not_say_all(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study")
    lines = (folder / "cases.csv").read_text().splitlines(keepends=True)
    (folder / "cases.csv").write_text(
        "".join(line for line in lines if not line.startswith("spleen,10,usual"))
    )
    names = [line.name for _, group in forest_of(compared(folder)).groups for line in group]
    assert "claim 1, liver of its 2 tasks" in names and "claim 1, all its tasks" not in names


def test_networks_that_were_to_be_pruned_and_were_not_are_said(tmp_path: Path) -> None:
    claims = (
        f"methods: {{ours: {{method: stamp+}}, usual: {{method: dense}}, flat: {{method: flat}}}}\n{CLAIMS}"
    )
    folder = make_study(tmp_path / "study", claims=claims)
    assert not any("without a cut" in text for text in read_study(folder).remarks)
    text = (folder / "cells.csv").read_text()
    first = next(line for line in text.splitlines() if ",ours," in line)
    (folder / "cells.csv").write_text(text.replace(first, first.replace(",70000,", ",490000,")))
    default, task = claims.replace("{method: stamp+}", "{}"), "tasks: {liver: {options: {method: flat}}}"
    for text in (claims, default, f"options: {{method: stamp}}\n{default}"):
        (folder / "study.yaml").write_text(text)
        (said,) = (text for text in read_study(folder).remarks if "without a cut" in text)
        assert said.startswith("1 run of methods that prune ended without a cut: ours")
    for text in (f"options: {{method: flat}}\n{default}", f"{task}\n{default}"):
        (folder / "study.yaml").write_text(text)
        assert not any("without a cut" in remark for remark in read_study(folder).remarks)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ("{}", None),
        ("{train: {steps: 5}}", "Methods take unlike numbers of steps: usual takes 5 steps, the others as"),
    ],
)
def test_methods_of_other_steps_are_said(train: str, said: str | None, tmp_path: Path) -> None:
    claims = f"methods: {{ours: {{}}, usual: {train}, flat: {{}}}}\n{CLAIMS}"
    remarks = read_study(make_study(tmp_path / "study", claims=claims)).remarks
    assert any(text.startswith(said or "Methods take") for text in remarks) == (said is not None)


def test_the_forest_puts_everything_on_one_scale(crossed: Comparison) -> None:
    forest = forest_of(crossed)
    assert [heading for heading, _ in forest.groups] == [
        "ours minus usual",
        "ours minus flat",
        "usual minus flat",
    ]
    lines = [line for _, lines in forest.groups for line in lines]
    assert [line.name for line in lines[:3]] == [
        "liver, 10 labelled people",
        "spleen, 10 labelled people",
        "claim 1, all its tasks",
    ]
    for line in lines:
        assert line.two_way is not None and line.given_runs is not None
        assert 0 <= line.two_way[0] <= line.mean <= sum(line.two_way) <= 100.01
        assert line.two_way[0] <= line.given_runs[0] + 0.01
    assert lines[2].mean > forest.zero > lines[-1].mean and "0" in [text for _, text in forest.marks]
    bound = next(line.bound for line in lines if line.bound is not None)
    assert bound < forest.zero


def test_names_are_no_markup_in_markdown(tmp_path: Path) -> None:
    folder = make_study(tmp_path, draws=2, people=2, claims="")
    for name in ("cells.csv", "cases.csv"):
        path = folder / name
        path.write_text(path.read_text().replace("usual", "a|b <img src=x> [c](d) `e`"))
    text = markdown_of(compared(folder))
    assert r"a\|b \<img src=x\> \[c\](d) \`e\`" in text and not re.search(r"(?<!\\)<img", text)
    rows = [line for line in text.splitlines() if line.startswith("| ours |")]
    assert len({line.replace(r"\|", "").count("|") for line in rows}) == 1


def test_json_and_csv_hold_the_same(crossed: Comparison) -> None:
    found = json.loads(json_of(crossed))
    rows = list(csv.DictReader(csv_of(crossed).splitlines()))
    assert found["format"] == 1 and len(rows) == len(found["differences"]) == 6
    for row, each in zip(rows, found["differences"], strict=True):
        assert (row["method"], row["against"], row["design"]) == (each["method"], each["against"], "crossed")
        assert float(row["difference"]) == pytest.approx(each["difference"], abs=1e-6)
        assert float(row["low"]) == pytest.approx(each["runs_and_people"]["low"], abs=1e-6)
    claim = found["claims"][1]
    assert (claim["verdict"], claim["margin"], claim["tested_on"]) == ("held", 0.02, ["liver"])
    assert claim["sign_flip"] == {"p": 0.125, "smallest": 0.125, "draws": 4}
    assert found["methods"][0]["dice_of_draws"].keys() == {"0", "1", "2", "3"}
    assert found["warnings"] == warnings(crossed)


def test_a_study_without_claims_says_so(tmp_path: Path) -> None:
    found = compared(make_study(tmp_path, claims="claims: []"))
    assert claims_head(found).startswith("No claim was written into study.yaml: everything below explores")
    assert found.reference == "ours" and CLAIMS not in markdown_of(found)


def test_networks_that_found_nothing_say_nothing_of_their_method(tmp_path: Path) -> None:
    of = {"ours": 0.0, "usual": 0.6}
    rows = [case_row(person, dice, method) for person in ("anna", "ben") for method, dice in of.items()]
    said = warnings(compared(write_study(tmp_path, PAIR, rows)))
    told = "ours on liver: 1 of 1 network found next to nothing (mean Dice below 0.1): they say nothing"
    assert f"{told} about the method; give them more steps or labels" in said
    assert not any("usual on liver" in text and "found next" in text for text in said)


ASKED = """
tasks:
  liver: {data: x, labelled_people: [10], test: 8}
  spleen: {data: x, labelled_people: [10], test: 8}
  heart: {data: x, labelled_people: [5, 10], test: 8}
methods: {ours: {}, usual: {}, flat: {}, thin: {}}
draws: [0, 1, 2, 3]
claims:
  - {method: ours, against: usual, kind: superior, tasks: all}
  - {method: ours, against: usual, kind: superior, tasks: [liver]}
  - {method: ours, against: thin, kind: superior, tasks: [liver]}
"""


def test_a_study_that_is_not_whole_is_read_and_nothing_is_held_without_its_tasks(tmp_path: Path) -> None:
    study = read_study(make_study(tmp_path / "study", claims=ASKED))
    found = compare(study)
    over_all, on_liver, on_thin = found.claims
    assert over_all.missing == ("heart",) and over_all.verdict is not Verdict.HELD
    assert on_liver.verdict is Verdict.HELD
    assert on_thin.mean is None and verdict_text(on_thin).startswith("No person was tested with both")
    assert (
        "The study is not whole: 24 of 64 cells have ended; what is said now may change, and whoever stops "
        "when it suits finds what is not there"
    ) in study.remarks


def test_a_study_that_is_whole_says_nothing_of_that(tmp_path: Path) -> None:
    asked = ASKED.replace("  heart: {data: x, labelled_people: [5, 10], test: 8}\n", "").replace(
        ", thin: {}", ""
    )
    asked = asked.rsplit("  - ", 1)[0]
    study = read_study(make_study(tmp_path / "study", claims=asked))
    assert not [text for text in study.remarks if "not whole" in text]
    with pytest.raises(
        ConfigError, match="claim 1 names the task kidney, and no cell has it; there are liver"
    ):
        read_study(make_study(tmp_path / "other", claims=asked.replace("tasks: all", "tasks: [kidney]")))


def test_a_method_of_another_draw_does_not_take_the_front_from_the_others() -> None:
    setting = Setting("liver", 10)
    summaries = [
        Summary(setting, name, draws, (), None, {"parameters": dict.fromkeys(draws, cost)})
        for name, draws, cost in (("a", {"0": 0.7}, 1.0), ("b", {"0": 0.8}, 2.0), ("c", {"1": 0.9}, 3.0))
    ]
    said = front_text(summaries)
    assert said.endswith("Without c, of other draws. By parameters: a; b.")


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((0.1, 0.12, 0.11), "one is better than other on people like these, as far as these two networks go"),
        ((-0.1, -0.12, -0.11), "other is better than one on people like these"),
        ((-0.1, 0.12, 0.01), "one or other: which of these networks is better is not shown, as the interval"),
        ((0.1,), "one or other: which of these networks is better cannot be told, as there is one person"),
    ],
)
def test_of_two_runs_it_is_said_which_is_better(gains: tuple[float, ...], said: str) -> None:
    people = [{f"p{n}": Score(0.5 + lift * gain, None) for n, gain in enumerate(gains)} for lift in (1, 0)]
    cells = tuple(
        Cell(Setting("validation", None), name, "these runs", Figures(), of)
        for name, of in zip(("one", "other"), people, strict=True)
    )
    found = compare(Study("runs", cells, kind="runs"))
    assert said in claims_head(found)
    assert not any("is better" in text for text in warnings(found) if "seed" not in text)  # it is no warning
