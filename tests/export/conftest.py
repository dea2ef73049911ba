"""A browser for all exported pages of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.export.pages import need_vendor
from tests.report.browser import started_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    need_vendor()
    with started_browser() as started:
        yield started
