"""An exported page in a browser: files go in as by hand, the mask comes out as it is downloaded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WAIT = 300_000  # ms


@dataclass
class Segmentation:
    """What the page made of files: the mask that it gave, what it said, and the seconds it took."""

    mask: Path
    status: str
    labels: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]
    seconds: float


def give(page: Any, files: Sequence[Path]) -> None:
    """Choose files, or the one folder."""
    box = "#folder" if files[0].is_dir() else "#files"
    page.locator(box).set_input_files([str(file) for file in files] if box == "#files" else str(files[0]))


def segmented(page: Any, files: Sequence[Path], folder: Path) -> Segmentation:
    """Segment one scan in an open page and save its mask in a folder.

    Raises:
        RuntimeError: the page refused the files; says why.
    """
    start = time.perf_counter()
    give(page, files)
    page.wait_for_selector("#status.error, #download:enabled", timeout=WAIT)
    seconds = time.perf_counter() - start
    status = page.locator("#status").inner_text()
    if page.locator("#status.error").count():
        raise RuntimeError(status)
    with page.expect_download() as waiting:
        page.locator("#download").click()
    mask = folder / waiting.value.suggested_filename
    waiting.value.save_as(mask)
    rows = page.locator("#labels tr").all()
    return Segmentation(
        mask,
        status,
        tuple(tuple(cell.inner_text() for cell in row.locator("th, td").all()) for row in rows),
        tuple(page.locator("#remarks li").all_inner_texts()),
        seconds,
    )


def refusal(page: Any, files: Sequence[Path]) -> str:
    """What the page says of files that it refuses."""
    give(page, files)
    page.wait_for_selector("#status.error", timeout=WAIT)
    return str(page.locator("#status").inner_text())
