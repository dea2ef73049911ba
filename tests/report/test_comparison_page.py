"""The page of a comparison in a real browser: it draws, asks for nothing, and cuts nothing off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stampseg.report.comparison.writing import write_comparison
from tests.report.browser import Opener, Seen, opened
from tests.report.studies import make_study

EVIL = "</script><script>window.evil=1</script><img src=x onerror='window.evil=2'>{{7*7}}"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    study = make_study(folder / "a-study", tasks={"liver": (5, 10), "spleen": (10,)})
    write_comparison(study, folder / "compare.html")
    return folder / "compare.html"


@pytest.fixture(scope="module")
def seen(page: Path, browser: Any) -> Iterator[Seen]:
    """One for all tests that change nothing of it."""
    shown = opened(browser, page)
    yield shown
    shown.page.context.close()


def test_it_opens_without_an_error_and_without_a_request(page: Path, seen: Seen) -> None:
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith("data:")] == [page.as_uri()]
    assert seen.page.locator(".chart svg").count() == seen.page.locator(".chart").count() == 7
    verdicts = seen.page.locator("#claims .verdict").all_inner_texts()
    assert verdicts == ["held", "held", "lost"]
    assert seen.page.locator("#methods table").count() == 3


def test_claims_come_first(seen: Seen) -> None:
    sections = seen.page.locator("main section").evaluate_all("all => all.map(each => each.id)")
    assert sections[:3] == ["claims", "warnings", "forest"]


def test_a_point_says_what_it_is(seen: Seen) -> None:
    seen.page.locator("#chart-cost-1-parameters path[aria-roledescription=point]").first.hover()
    assert "method: ours" in seen.page.locator("#tip").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_cuts_nothing_off(page: Path, open_page: Opener, scheme: str) -> None:
    seen = open_page(page, width=390, scheme=scheme)
    for text in seen.page.locator("summary").all():
        text.click()
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    cut = seen.page.evaluate(
        "[...document.querySelectorAll('.claim, .estimate span, .notice li, .chart svg, .chart text')]"
        ".filter(e => e.getBoundingClientRect().right > 390.5 || e.getBoundingClientRect().left < 0)"
        ".map(e => e.textContent)"
    )
    assert cut == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_told_from_what_lies_behind(page: Path, open_page: Opener, scheme: str) -> None:
    seen = open_page(page, scheme=scheme)
    paper = seen.luminance("body", "backgroundColor")
    assert (paper < 0.05) == (scheme == "dark")
    pairs = [(paper, seen.luminance(*ink)) for ink in (("body", "color"), (".chart text", "fill"))]
    for verdict in (".verdict.held", ".verdict.lost"):
        pairs.append((seen.luminance(verdict, "backgroundColor"), seen.luminance(verdict, "color")))
    for one, other in pairs:
        low, high = sorted((one, other))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_charts_follow_a_change_to_dark(page: Path, open_page: Opener) -> None:
    seen = open_page(page)
    light = seen.luminance(".chart text", "fill")
    seen.page.emulate_media(color_scheme="dark")
    seen.page.wait_for_timeout(300)
    assert seen.luminance(".chart text", "fill") > light + 0.1
    assert seen.page.locator(".chart svg").count() == 7 and seen.complaints == []


def test_hostile_names_do_nothing(tmp_path: Path, open_page: Opener) -> None:
    study = make_study(tmp_path / "study", draws=2, people=3)
    for name in ("cells.csv", "cases.csv", "study.yaml"):
        path = study / name
        quoted = f'"{EVIL}"' if name == "study.yaml" else EVIL
        path.write_text(path.read_text().replace("usual", quoted))
    write_comparison(study, tmp_path / "page.html")
    seen = open_page(tmp_path / "page.html")
    assert seen.complaints == [] and seen.page.evaluate("window.evil === undefined")
    assert EVIL in seen.page.locator("#claims").inner_text()
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<script") == 3
