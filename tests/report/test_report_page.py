"""The report in a real browser: it works, asks for nothing, and obeys the keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stampseg.report.cases import PredictedCases
from stampseg.report.pictures import Pictures
from stampseg.report.record import read_record
from stampseg.report.writing import render
from tests.report.browser import Opener, Seen, opened
from tests.report.runs import make_drawing, make_predicted, make_run, round_line, spec_of

EVIL = "</script><script>window.evil=1</script><img src=x onerror='window.evil=2'>{{7*7}}"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("runs") / "run")
    page = run / "report.html"
    page.write_text(render(read_record(run), make_drawing(), make_predicted()), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def shared(report: Path, browser: Any) -> Iterator[Seen]:
    seen = opened(browser, report)
    yield seen
    seen.page.context.close()


@pytest.fixture
def page(shared: Seen) -> Seen:
    """One for all tests that change no more of it than the round: at the chosen one."""
    shared.page.locator("#round").fill("3")
    return shared


@pytest.fixture
def own_page(report: Path, open_page: Opener) -> Seen:
    return open_page(report)


def test_it_opens_without_an_error_and_without_a_request(page: Seen, report: Path) -> None:
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [report.as_uri()]
    assert page.page.locator("#chart-tradeoff svg, #chart-loss svg, #chart-dice svg").count() == 3
    assert page.page.locator("#drawing rect.block").count() == 3


def test_the_network_outside_is_closed(own_page: Seen) -> None:
    """Even a script that got in could not send anything."""
    blocked = own_page.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'blocked')")
    assert blocked == "blocked" and any("Content Security Policy" in text for text in own_page.complaints)


def test_it_opens_at_the_chosen_round(own_page: Seen) -> None:
    assert "Round 3" in own_page.shown() and "chosen" in own_page.shown()


def test_the_slider_shrinks_the_layer_that_loses_channels(page: Seen) -> None:
    def widths() -> list[float]:
        return [float(r.get_attribute("width")) for r in page.page.locator("#drawing rect.block").all()]

    page.page.locator("#round").fill("0")
    full = widths()
    page.page.locator("#round").fill("4")
    left = widths()
    assert left[0] == full[0] and left[2] == full[2]
    assert left[1] == pytest.approx(full[1] / 2)
    assert page.page.locator("#drawing rect.cut").count() == 1
    row = page.page.locator("#layers tbody tr").nth(1).text_content()
    assert "8 of 16" in row and "−2" in row and "0.080" in row and "0.400" in row


def test_the_arrow_keys_move_the_slider_and_the_charts(page: Seen) -> None:
    page.page.locator("#round").focus()
    page.page.keyboard.press("ArrowRight")
    assert "Round 4" in page.shown()
    page.page.keyboard.press("Home")
    assert "Round 0" in page.shown()
    page.page.locator("#chart-tradeoff").focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")
    assert "Round 2" in page.shown()
    assert page.page.locator("#round").get_attribute("aria-valuetext") == page.shown()


def test_a_click_on_a_point_moves_the_slider(page: Seen) -> None:
    point = page.page.locator("#chart-tradeoff path[aria-roledescription=point]").nth(1)
    point.hover()
    assert "round: 1" in page.page.locator("#tip").inner_text()
    point.click()
    assert "Round 1" in page.shown() and page.page.locator("#round").input_value() == "1"
    page.page.locator("#chart-loss path[aria-roledescription=point]").nth(2).click()
    assert "Round 2" in page.shown()


def test_the_table_of_rounds_moves_the_slider(page: Seen) -> None:
    page.page.locator("section#tradeoff summary").click()
    page.page.get_by_role("button", name="Show round 0").press("Enter")
    assert "Round 0" in page.shown()
    assert page.page.locator("#rounds tr.current th").inner_text() == "0"


def test_the_rounds_play_to_the_end(page: Seen) -> None:
    page.page.locator("#round").fill("3")
    page.page.locator("#play").press("Enter")
    assert page.page.locator("#play").get_attribute("aria-pressed") == "true"
    page.page.wait_for_function("document.getElementById('play').getAttribute('aria-pressed') === 'false'")
    assert "Round 4" in page.shown()


def test_the_cases_are_sorted_by_buttons(own_page: Seen) -> None:
    def names() -> list[str]:
        return [text.strip() for text in own_page.page.locator("#case-table tbody th").all_inner_texts()]

    def sorting() -> str | None:
        return str(own_page.page.locator("#case-table th[aria-sort]").get_attribute("aria-sort"))

    worst = ["case0", "case1", "case2", "case-lost"]
    assert names() == worst and sorting() == "ascending"
    button = own_page.page.locator("#case-table thead button", has_text="Dice").first
    button.press("Enter")
    assert names() == ["case2", "case1", "case0", "case-lost"] and sorting() == "descending"
    button.press("Space")
    assert names() == worst
    own_page.page.locator("#case-table thead button", has_text="HD95 liver").click()
    assert names() == ["case2", "case1", "case0", "case-lost"] and sorting() == "ascending"


def test_slices_are_scrolled_and_outlines_hidden(own_page: Seen) -> None:
    own_page.page.get_by_role("button", name="Show case2").press("Enter")
    assert "case2 · Dice 0.900" in own_page.page.locator("#stage-title").inner_text()
    before = own_page.page.locator("#canvas image").get_attribute("href")
    own_page.page.locator("#slice").focus()
    own_page.page.keyboard.press("ArrowRight")
    assert own_page.page.locator("#canvas image").get_attribute("href") != before
    assert "axial slice" in own_page.page.locator("#slice-words").inner_text()
    box = own_page.page.locator("#canvas svg").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(12 / 16, rel=0.02)
    assert own_page.page.locator("#canvas path.reference").first.is_visible()
    own_page.page.locator("#show-reference").uncheck()
    assert not own_page.page.locator("#canvas path.reference").first.is_visible()
    assert own_page.page.locator("#canvas path.prediction").first.is_visible()


def test_people_kept_aside_have_a_gallery_of_their_own(tmp_path: Path, open_page: Opener) -> None:
    others = (
        Pictures("aside", "People kept aside", "Two of them.", make_predicted(prefix="test").cases[:2]),
    )
    place = tmp_path / "page.html"
    record = read_record(make_run(tmp_path / "run"))
    place.write_text(render(record, make_drawing(), make_predicted(), others), encoding="utf-8")
    seen = open_page(place)
    assert seen.complaints == []
    of = {name: seen.page.locator(f'.gallery[data-of="{name}"] button') for name in ("validation", "aside")}
    assert (of["validation"].count(), of["aside"].count()) == (3, 2)
    of["aside"].nth(1).click()
    assert "test1 · Dice 0.700" in seen.page.locator("#stage-title").inner_text()
    assert of["aside"].nth(1).get_attribute("aria-current") == "true"
    assert of["validation"].first.get_attribute("aria-current") == "false"


def test_scans_without_labels_need_no_table_and_have_no_reference(tmp_path: Path, open_page: Opener) -> None:
    cases = tuple(replace(case, dice=None) for case in make_predicted(prefix="scan").cases[:2])
    others = (Pictures("unlabelled", "Scans without labels", "Two of them.", cases),)
    place = tmp_path / "page.html"
    record = read_record(make_run(tmp_path / "run"))
    place.write_text(render(record, make_drawing(), PredictedCases(()), others), encoding="utf-8")
    seen = open_page(place)
    assert seen.complaints == [] and seen.page.locator("#show-reference").count() == 0
    assert "scan0 · without a label" in seen.page.locator("#stage-title").inner_text()
    assert "reference" not in seen.page.locator("#pictures").inner_text()


def test_everything_is_reached_by_tab(own_page: Seen) -> None:
    reached = set()
    for _ in range(60):
        own_page.page.keyboard.press("Tab")
        reached.add(
            own_page.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )
    wanted = {
        "play",
        "round",
        "chart-tradeoff",
        "chart-loss",
        "chart-dice",
        "case",
        "Dice",
        "slice",
        "show-reference",
    }
    assert wanted <= reached
    nameless = own_page.page.evaluate(
        "[...document.querySelectorAll('button, input')].filter(e => !(e.getAttribute('aria-label') ||"
        " e.textContent.trim() || (e.labels && e.labels.length))).map(e => e.outerHTML)"
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_needs_no_sideways_scrolling(report: Path, open_page: Opener, scheme: str) -> None:
    seen = open_page(report, width=360, scheme=scheme)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    for text in seen.page.locator("summary").all():
        text.click()
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_told_from_the_paper(report: Path, open_page: Opener, scheme: str) -> None:
    seen = open_page(report, scheme=scheme)
    paper = seen.luminance("body", "backgroundColor")
    assert (paper < 0.05) == (scheme == "dark")
    inks = [
        ("body", "color"),
        (".quiet", "color"),
        ("a[href='#data']", "color"),
        ("#chart-tradeoff text", "fill"),
    ]
    for selector, name in inks:
        low, high = sorted((paper, seen.luminance(selector, name)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector


def test_charts_follow_a_change_to_dark(own_page: Seen) -> None:
    light = own_page.luminance("#chart-tradeoff text", "fill")
    own_page.page.emulate_media(color_scheme="dark")
    own_page.page.wait_for_timeout(300)
    assert own_page.luminance("#chart-tradeoff text", "fill") > light + 0.1
    assert own_page.page.locator("#chart-tradeoff svg").count() == 1 and own_page.complaints == []


def test_hostile_names_do_nothing(tmp_path: Path, open_page: Opener) -> None:
    turn = round_line(0, event=EVIL, widths={EVIL: 3}, validation={"dice": 0.5, "per_label": {EVIL: 1}})
    run = make_run(tmp_path / "run", config_yaml=EVIL, rounds_jsonl=json.dumps(turn), run_json=spec_of(EVIL))
    file = run / "report.html"
    drawing, predicted = make_drawing((EVIL, "b", "c")), make_predicted((EVIL, "x"), EVIL)
    file.write_text(render(read_record(run), drawing, predicted), encoding="utf-8")
    seen = open_page(file)
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith("data:")] == [file.as_uri()]
    assert seen.page.evaluate("window.evil === undefined")
    assert seen.page.locator("#case-table button[data-case]").first.inner_text() == f"{EVIL}0"
    assert seen.page.locator("#command").inner_text() == f"'{EVIL}'".replace(
        "'window.evil=2'", "'\"'\"'window.evil=2'\"'\"'"
    )


def test_a_run_without_rounds_still_opens(tmp_path: Path, open_page: Opener) -> None:
    run = make_run(tmp_path / "run", rounds_jsonl=None, result_json=None)
    file = run / "report.html"
    file.write_text(render(read_record(run), make_drawing(), make_predicted()), encoding="utf-8")
    seen = open_page(file)
    assert seen.complaints == [] and "No round has ended yet" in seen.page.inner_text("main")
    assert seen.page.locator("#canvas svg").count() == 1


def test_the_command_is_copied(page: Seen) -> None:
    page.page.locator("#copy").click()
    page.page.wait_for_timeout(200)
    assert page.page.locator("#copy").inner_text() in ("Copied", "Press Ctrl+C")
    page.page.wait_for_timeout(2100)
    assert page.page.locator("#copy").inner_text() == "Copy" and not page.complaints


def test_outlines_have_their_labels_colour_and_a_dark_rim(page: Seen) -> None:
    """Reference and prediction of one label are of one colour; each lies on a rim that no stain hides."""
    paths = page.page.locator("#canvas path").evaluate_all(
        "all => all.map(p => [p.getAttribute('class'), p.getAttribute('stroke'), getComputedStyle(p).stroke])"
    )
    lines = [(kind, stroke) for kind, stroke, _ in paths if "rim" not in kind]
    rims = [shown for kind, _, shown in paths if "rim" in kind]
    assert {kind for kind, _ in lines} == {"reference", "prediction"}
    assert {stroke for kind, stroke in lines if kind == "reference"} <= {
        stroke for kind, stroke in lines if kind == "prediction"
    }
    assert len(rims) == len(lines) and set(rims) == {"rgb(0, 0, 0)"}


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut(report: Path, open_page: Opener, width: int) -> None:
    """No part is wider than the window unless it scrolls by itself."""
    seen = open_page(report, width=width)
    wide = seen.page.evaluate(
        """() => [...document.querySelectorAll("main *, header *, footer *")].filter((e) => {
          if (e.closest(".scroll, pre, svg, .skip, details:not([open])")) return false;
          const box = e.getBoundingClientRect();
          return box.width > 0 && box.right > document.documentElement.clientWidth + 1;
        }).map((e) => e.tagName + "." + e.className)"""
    )
    assert wide == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_volumes_are_shown_in_three_planes(page: Seen) -> None:
    words = page.page.locator("#planes figcaption").all_inner_texts()
    assert [text.split()[0] for text in words] == ["coronal", "sagittal"]
    assert page.page.locator("#planes path.reference").count() > 0 and not page.complaints
