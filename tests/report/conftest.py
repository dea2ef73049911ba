"""A browser for all pages of a file, and a way to open one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.browser import Opener, Seen, opened, started_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started_browser() as started:
        yield started


@pytest.fixture
def open_page(browser: Any) -> Iterator[Opener]:
    pages: list[Seen] = []

    def start(file: Path, width: int = 1200, scheme: str = "light") -> Seen:
        pages.append(opened(browser, file, width, scheme))
        return pages[-1]

    yield start
    for seen in pages:
        seen.page.context.close()
