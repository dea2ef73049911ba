"""Pages in a real browser: opened without a network, with all that they complain of and ask for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@contextmanager
def started_browser() -> Iterator[Any]:
    """A Chromium; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with playwright.sync_playwright() as driver:
        place = found or driver.chromium.executable_path
        if not Path(place).exists():
            pytest.skip("no Chromium is installed; install the package chromium")
        started = driver.chromium.launch(executable_path=place, args=list(QUIET))
        yield started
        started.close()


@dataclass
class Seen:
    """An open page, what it complained of, and what it asked the network for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def shown(self) -> str:
        """What the report says of the round that is shown."""
        return str(self.page.locator("#round-words").inner_text())

    def luminance(self, selector: str, name: str) -> float:
        """Of a colour of an element, 0 to 1."""
        code = "([s, n]) => getComputedStyle(document.querySelector(s))[n]"
        colour = self.page.evaluate(code, [selector, name])
        red, green, blue = (int(part) / 255 for part in colour.split("(")[1].rstrip(")").split(",")[:3])
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2


def opened(
    browser: Any, place: Path | str, width: int = 1200, scheme: str = "light", before: str = ""
) -> Seen:
    """A file or an address in a window of its own; whoever opens it closes `page.context`.

    Args:
        before: a script that runs before those of the page.
    """
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    seen = Seen(context.new_page())
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.add_init_script(before)
    seen.page.goto(place if isinstance(place, str) else place.as_uri())
    seen.page.wait_for_timeout(300)
    return seen


Opener = Callable[..., Seen]  # (place, width, scheme)
