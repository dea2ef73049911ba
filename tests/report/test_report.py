"""What goes into a report: files of any state, the drawing, outlines, slices, facts."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stampseg.channels.trace import trace
from stampseg.core.errors import DataError
from stampseg.data.fingerprint import Fingerprint
from stampseg.networks.unet import UNet
from stampseg.report.cases import MOST_VIEWS, PredictedCase, PredictedCases, predict_validation
from stampseg.report.cases import _thinned as thinned
from stampseg.report.charts import charts_of
from stampseg.report.drawing import draw, drawing_of
from stampseg.report.facts import command_of, data_facts, headline
from stampseg.report.outlines import outline
from stampseg.report.record import NO_RESULT, read_record
from stampseg.report.slices import slicing_axis, view_of
from stampseg.report.writing import render, write_report
from tests.report.runs import LAYERS, make_drawing, make_predicted, make_run, note_line, round_line, spec_of


def page_of(run: Path) -> str:
    record = read_record(run)
    return render(record, draw(record), predict_validation(record))


def shown_of(page: str) -> dict[str, Any]:
    """The data that the page's scripts read."""
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


# The folder


def test_a_whole_run_is_read(tmp_path: Path) -> None:
    record = read_record(make_run(tmp_path / "run"))
    assert [turn.number for turn in record.rounds] == [0, 1, 2, 3, 4]
    assert record.chosen == 3
    assert [(note.level, note.text) for note in record.notes] == [("info", "spacing: 1 x 1 mm")]
    assert record.gaps == ("plan.json is missing: the plan is not known",)


def test_no_folder_and_no_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder; name a run folder"):
        read_record(tmp_path / "nowhere")
    with pytest.raises(
        DataError, match=r"holds neither config\.yaml nor rounds\.jsonl; expected a run folder"
    ):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "name", ["result_json", "splits_json", "run_json", "notes_jsonl", "log_txt", "config_yaml"]
)
def test_any_file_may_be_absent(name: str, tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", **{name: None}))
    assert len(shown_of(page)["rounds"]) == 5
    assert (NO_RESULT in page) == (name == "result_json")


@pytest.mark.parametrize("name", ["result.json", "splits.json", "run.json", "plan.json", "fingerprint.json"])
@pytest.mark.parametrize(
    "text", ["{", "[]", "{" * 100_000, '{"chosen_round": {}, "training": 3, "command": 1}']
)
def test_a_damaged_file_is_named_and_the_rest_is_shown(name: str, text: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / name).write_text(text)
    record = read_record(run)
    assert any(gap.startswith(f"{name} is damaged (") for gap in record.gaps)
    assert len(record.rounds) == 5


@pytest.mark.parametrize("name", ["result.json", "splits.json", "run.json", "plan.json", "fingerprint.json"])
def test_a_file_of_a_newer_version_is_named_and_not_guessed_at(name: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / name).write_text('{"format": 9}')
    said = f"{name} is written in format 9; this version reads format 1; update stampseg"
    assert said in read_record(run).gaps


def test_what_was_noted_is_shown_once_with_its_level_and_not_read_from_the_log(tmp_path: Path) -> None:
    notes = [note_line("patch: 40 x 48"), note_line("look here", "warning"), note_line("patch: 40 x 48")]
    run = make_run(tmp_path / "run", notes_jsonl="\n".join(notes) + "\n")
    page = page_of(run)
    assert page.count("<li>patch: 40 x 48</li>") == 1 and "<li>WARNING: look here</li>" in page
    assert "<strong>Warning:</strong> it finds next to nothing of tumour" in page
    (run / "notes.jsonl").unlink()
    assert "What this run said of itself is in its log.txt alone" in page_of(run)


def test_half_a_line_of_a_killed_run_is_left_out(tmp_path: Path) -> None:
    lines = [json.dumps(round_line(0)), json.dumps(round_line(1))[:50]]
    record = read_record(make_run(tmp_path / "run", rounds_jsonl="\n".join(lines), result_json=None))
    assert [turn.number for turn in record.rounds] == [0]
    assert any(
        gap.startswith("rounds.jsonl: line 2 is damaged (") and "left out" in gap for gap in record.gaps
    )


def test_numbers_that_json_does_not_know_reach_no_browser(tmp_path: Path) -> None:
    lines = json.dumps(round_line(0, loss=float("nan"), scores={"first": float("inf")}))
    page = page_of(make_run(tmp_path / "run", rounds_jsonl=lines))
    turn = shown_of(page)["rounds"][0]
    assert turn["loss"] is None and turn["scores"] == {"first": None}


def test_a_run_without_any_round_has_a_page(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", rounds_jsonl=None, result_json=None))
    assert "No round has ended yet" in page and NO_RESULT in page


def test_a_page_that_is_there_is_kept_unless_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    page = write_report(run)
    assert page == run / "report.html"
    with pytest.raises(
        DataError, match=r"report\.html: exists already; choose another file with `output`, or say `over"
    ):
        write_report(run)
    (run / "link.html").symlink_to(run / "nowhere")
    with pytest.raises(DataError, match=r"link\.html: exists already"):
        write_report(run, run / "link.html")
    page.write_text("old")
    assert write_report(run, overwrite=True).read_text() != "old"
    with pytest.raises(DataError, match="is a folder; name a file to write"):
        write_report(run, tmp_path)


# Escaping


EVIL = "</script><script>window.evil=1</script><img src=x onerror='window.evil=2'>\"'&{{7*7}}"


def test_what_files_hold_is_never_markup(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run",
        config_yaml=f"method: {EVIL}\n",
        run_json=spec_of("stampseg", EVIL),
        notes_jsonl=note_line(EVIL),
        rounds_jsonl=json.dumps(
            round_line(0, event=EVIL, widths={EVIL: 3}, validation={"dice": 0.5, "per_label": {EVIL: 1}})
        ),
    )
    record = read_record(run)
    page = render(record, make_drawing((EVIL, "b", "c")), make_predicted((EVIL, "x"), EVIL))
    assert "<script>window" not in page and "<img src=x" not in page
    assert page.count("<script") == 3 and page.count("</script>") == 3
    assert shown_of(page)["rounds"][0]["event"] == EVIL
    assert "{{7*7}}" in page


def test_the_page_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run"))
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]+)"', page)[0])
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert "unsafe-inline" not in rules["script-src"] and rules["script-src"].count("sha256-") == 2
    assert not re.search(r'<(script|link|img|iframe)[^>]+(src|href)="(?!data:)', page)


# The drawing


def test_a_u_net_is_drawn_as_a_u() -> None:
    network = UNet(2, 1, 2, 4, ((2, 2), (2, 2)))
    drawn = drawing_of(trace(network, torch.zeros(1, 1, 16, 16)), {})
    names = [layer.name for layer in drawn.layers]
    assert names[0] == "encoder.0.0.conv" and names[-1] == "head"
    assert [layer.level for layer in drawn.layers] == [0, 0, 1, 1, 2, 2, 1, 1, 1, 0, 0, 0, 0]
    skips = {(names[a], names[b]) for a, b in drawn.links if b > a + 1}
    assert skips == {("encoder.0.1.conv", "decoder.0.0.conv"), ("encoder.1.1.conv", "decoder.1.0.conv")}
    assert not drawn.layers[-1].cuttable


def test_a_network_that_is_no_u_is_drawn_too() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1)
    )
    drawn = drawing_of(trace(network, torch.zeros(1, 1, 8, 8)), {"0": 9})
    assert [(layer.level, layer.dense) for layer in drawn.layers] == [(0, 9), (0, 2)]
    assert drawn.links == ((0, 1),)


def test_without_a_model_the_layers_stand_in_a_row(tmp_path: Path) -> None:
    drawn = draw(read_record(make_run(tmp_path / "run")))
    assert [layer.name for layer in drawn.layers] == list(LAYERS)
    assert [layer.dense for layer in drawn.layers] == [8, 16, 8]
    assert "no model file is there" in drawn.note


# Pictures


def area(path: str) -> int:
    """Pixels inside the loops of a path, by the shoelace rule."""
    total = 0
    for loop in re.findall(r"M(\d+) (\d+)([^z]*)z", path):
        x, y = int(loop[0]), int(loop[1])
        for kind, size in re.findall(r"([hv])(-?\d+)", loop[2]):
            if kind == "h":
                total -= y * int(size)
                x += int(size)
            else:
                y += int(size)
        # the last side closes the loop straight; it is vertical or horizontal
        total -= y * (int(loop[0]) - x)
    return total


def test_an_outline_encloses_exactly_its_mask() -> None:
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        mask = rng.random((13, 17)) < share
        assert area(outline(mask)) == mask.sum()
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    assert area(outline(ring)) == 24 and outline(ring).count("M") == 2
    assert outline(np.zeros((3, 3), bool)) == ""


def volume() -> tuple[np.ndarray, np.ndarray]:
    """8 x 10 x 6 voxels; brightest and labelled at the far right, anterior, superior."""
    image = np.zeros((1, 8, 10, 6), np.float32)
    image[0, 6:, 8:, 4] = 100
    return image, (image[0] > 50).astype(np.uint8)


def test_volumes_stand_upright_in_true_proportions() -> None:
    image, labels = volume()
    view = view_of(image, labels, labels, (1.0, 2.0, 5.0), 2, 48)
    assert (view.plane, view.compass) == ("axial", "LRAP")
    assert (view.width, view.height, view.depth) == (8, 10, 6)
    assert view.ratio == pytest.approx(8 / 20)
    shown = view.slices[view.start]
    assert shown.index == 4
    data = base64.b64decode(shown.picture.removeprefix("data:image/webp;base64,"))
    grey = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)
    assert grey[0, -1] > 200 and grey[-1, 0] < 60  # right and anterior: right and above
    assert shown.outlines[0].reference.startswith("M6 0") and area(shown.outlines[0].reference) == 4


def test_the_other_planes_show_where_most_is_labelled() -> None:
    image, labels = np.zeros((1, 8, 10, 6), np.float32), np.zeros((8, 10, 6), np.uint8)
    labels[2:5, 3, 1:3], labels[2:6, 7, 1:4], labels[4, 7, 1:6] = 1, 1, 1
    view = view_of(image, labels, labels, (1.0, 1.0, 5.0), 2, 48)
    assert [(plane.plane, plane.compass, plane.depth) for plane in view.others] == [
        ("coronal", "LRSI", 10), ("sagittal", "PASI", 8)
    ]  # fmt: skip
    assert [len(plane.slices) for plane in view.others] == [1, 1]
    assert [plane.slices[0].index for plane in view.others] == [7, 4]
    assert view.others[0].ratio == pytest.approx(8 / 30)


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((1, 1, 1), 2), ((1, 1, 5), 2), ((3, 1, 1), 0), ((1, 3, 1), 1), ((1, 1.00001, 1), 2)],
)
def test_slices_are_cut_across_thick_ones(spacing: tuple[float, ...], axis: int) -> None:
    assert slicing_axis(spacing) == axis


def test_large_pictures_are_shrunk_and_slices_thinned() -> None:
    picture = np.zeros((3, 1000, 500), np.float32)
    labels = np.zeros((1000, 500), np.uint8)
    labels[100:300, 100:400] = 1
    view = view_of(picture, labels, labels, (1.0, 1.0), 2, 48)
    assert (view.height, view.width) == (384, 192) and view.plane == "picture"
    assert area(view.slices[0].outlines[0].reference) == pytest.approx(labels.sum() * 0.384**2, rel=0.03)
    deep = np.ones((10, 10, 200), np.uint8)
    assert len(view_of(np.zeros((1, 10, 10, 200), np.float32), deep, deep, (1, 1, 1), 2, 9).slices) <= 10


def test_many_cases_are_shown_by_the_worst_the_best_and_some_between() -> None:
    image, labels = volume()
    view = view_of(image, labels, labels, (1, 1, 1), 2, 1)
    shown = thinned([PredictedCase(str(n), "", n / 60, view=view) for n in range(60)])
    seen = [case.id for case in shown if case.view]
    assert len(shown) == 60 and len(seen) == MOST_VIEWS and {"0", "59"} <= set(seen)


def test_cases_that_have_vanished_are_said() -> None:
    predicted = make_predicted()
    assert predicted.mean == pytest.approx(0.7)
    assert predicted.columns == ("liver", "tumour", "union")


def test_a_label_that_a_case_does_not_hold_is_said_and_not_scored(tmp_path: Path) -> None:
    image = np.zeros((1, 12, 16, 6), np.float32)
    prediction = np.zeros((12, 16, 6), np.uint8)
    prediction[2:4, 2:4, 2:4] = 2
    view = view_of(image, prediction, prediction * 0, (1.0, 1.0, 3.0), 3, 48)
    nothing = dict.fromkeys(("liver", "tumour", "union"))
    empty = PredictedCase(
        "e", "", None, nothing, nothing, {"liver": 0.0, "tumour": 0.024, "union": 0.024}, view=view
    )
    half = PredictedCase(
        "h", "", 0.7, {**nothing, "liver": 0.7, "union": 0.6}, {**nothing, "liver": 1.0, "union": 2.0}
    )
    record = read_record(make_run(tmp_path / "run"))
    predicted = PredictedCases((half, empty), ("liver", "tumour"))
    assert predicted.mean == 0.7
    page = render(record, draw(record), predicted)
    assert "<p>1 case without liver: none is found there</p>" in page
    assert "<p>1 case without tumour: some is found in 1 of them, median 0.024 ml</p>" in page
    rows = [
        [" ".join(re.sub("<[^>]*>", "", cell).split()) for cell in row.split("</td>")]
        for row in page.split('id="case-table"')[1].split("</table>")[0].split("<tr>")[2:]
    ]
    assert rows[0][1:8] == ["0.700", "0.700", "1.00", "not in this case", "–", "0.600", "2.00"]
    assert rows[1][1:8] == [
        "no label in this case", "not in this case", "–", "not in this case, 0.024 ml predicted", "–",
        "not in this case, 0.024 ml predicted", "–",
    ]  # fmt: skip
    assert shown_of(page)["cases"][0]["dice"] is None
    alone = PredictedCases(
        (PredictedCase("e", "", None, {"liver": None}, {"liver": None}, {"liver": 0.5}),), ("liver",)
    )
    assert "not in this case, 0.5 ml predicted" in " ".join(render(record, draw(record), alone).split())


# Words


def test_the_headline_and_the_command(tmp_path: Path) -> None:
    record = read_record(make_run(tmp_path / "run"))
    facts = {fact.name: fact.value for fact in headline(record)}
    assert facts["parameters"] == "1,000 → 700 (70%)" and facts["time"] == "1 min 15 s"
    assert command_of(record).line == "stampseg train 'my scans' -o run"
    older = command_of(read_record(make_run(tmp_path / "older", run_json=None)))
    assert older.line.startswith("stampseg train DATA -o NEW_RUN --config") and "did not record" in older.note


def test_the_fingerprint_in_words() -> None:
    seen = Fingerprint(
        spatial_dims=3, in_channels=1, channel_names=("MR",), shapes=((30, 40, 20), (35, 40, 22)),
        cropped_shapes=((30, 40, 20),) * 2, spacings=((1.0, 1.0, 3.0),) * 2, orientations=("RAS", "LPS"),
        intensity_ranges=((0.0, 100.0), (-5.0, 90.0)), foreground=(), class_voxels=(75, 25),
        object_radius=(4.0,),
    )  # fmt: skip
    facts = {fact.name: fact.value for fact in data_facts(seen, None)}
    assert facts["size"] == "30–35 × 40 × 20–22 voxels"
    assert facts["voxel size"] == "1 × 1 × 3 mm"
    assert facts["orientation in the files"] == "RAS (1), LPS (1)"
    assert facts["lowest intensity"] == "-5 to 0"
    assert facts["class 1"] == "25.00% of the voxels, up to 8 mm thick"


def test_charts_hold_a_point_per_round(tmp_path: Path) -> None:
    charts = charts_of(read_record(make_run(tmp_path / "run")))
    assert set(charts) == {"tradeoff", "loss", "dice"}
    values = next(d["values"] for d in charts["tradeoff"]["data"] if "values" in d)
    assert [v["round"] for v in values if v["chosen"]] == [3] and len(values) == 5
    dice = next(d["values"] for d in charts["dice"]["data"] if "values" in d)
    assert {v["label"] for v in dice} == {"overall", "liver", "tumour"} and len(dice) == 15


def test_what_training_windows_say_is_drawn_and_listed(tmp_path: Path) -> None:
    fits = [{"loss": 0.1, "per_label": {"liver": 0.5, "tumour": 0.7}}, {"per_label": {"liver": 0.9}}]
    record = read_record(
        make_run(
            tmp_path / "run",
            rounds_jsonl="\n".join(json.dumps(round_line(n, fit=f)) for n, f in enumerate(fits)),
        )
    )
    values = next(d["values"] for d in charts_of(record)["fit"]["data"] if "values" in d)
    assert [(v["round"], v["label"], v["Dice"]) for v in values] == [
        (0, "overall", pytest.approx(0.6)), (0, "liver", 0.5), (0, "tumour", 0.7),
        (1, "overall", 0.9), (1, "liver", 0.9),
    ]  # fmt: skip
    assert ">0.600</td>" in page_of(record.path) and "agreement</th>" not in page_of(record.path)


def test_a_teacher_its_student_and_their_agreement_are_drawn_and_listed(tmp_path: Path) -> None:
    fit = {"per_label": {"a": 0.8, "b": 0.6}, "student": {"a": 0.4, "b": 0.6}, "agreement": 0.123}
    record = read_record(make_run(tmp_path / "run", rounds_jsonl=json.dumps(round_line(0, fit=fit))))
    values = next(d["values"] for d in charts_of(record)["fit"]["data"] if "values" in d)
    assert {v["label"]: v["Dice"] for v in values} == {
        "teacher": pytest.approx(0.7), "student": pytest.approx(0.5), "both agree, no labels": 0.123,
    }  # fmt: skip
    drawn = json.dumps(charts_of(record)["fit"])
    assert '"teacher"' in drawn and "overall" not in drawn  # no line of a legend without a line
    page = page_of(record.path)
    assert all(f">{text}</td>" in page for text in ("0.700", "0.500", "0.123")) and "agreement</th>" in page


def test_without_validation_there_is_no_dice_to_draw(tmp_path: Path) -> None:
    lines = json.dumps(round_line(0, validation=None))
    record = read_record(make_run(tmp_path / "run", rounds_jsonl=lines))
    assert set(charts_of(record)) == {"loss"}
    assert "No round was validated" in page_of(record.path)
