"""The page's engine on several threads where a server isolates the page, and on one everywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tests.export.page_driver import refusal, segmented
from tests.export.page_server import cores, served
from tests.export.pages import model_of, need_vendor, page_of, scan_file
from tests.report.browser import Seen, opened

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

ALONE = "The engine runs on 1 thread"
HOW = ": browsers give a page more only where a server sends it with the headers COOP and COEP"
# What the page's worker, whose type alone is said, finds before its own program.
AHEAD = """const made = URL.createObjectURL;
URL.createObjectURL = (blob) => made(blob.type ? new Blob(["%s\\n", blob], { type: blob.type }) : blob);"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_vendor()
    return page_of(model_of(3, spacing=(1.5, 1.5, 2.0)), tmp_path_factory.mktemp("threads"))[0]


def found_by(seen: Seen, folder: Path) -> tuple[np.ndarray, str, int]:
    """The mask of the scan in a folder, what the page says of its threads, and its workers; it is closed."""
    mask = np.asanyarray(nib.load(segmented(seen.page, [folder / "scan.nii.gz"], folder).mask).dataobj)
    words, workers = str(seen.page.locator("#threads").text_content()), len(seen.page.workers)
    seen.page.context.close()
    return mask, words, workers


def test_several_threads_give_the_mask_of_one(browser: Any, page: Path, tmp_path: Path) -> None:
    scan_file(tmp_path)
    alone = opened(browser, page, before=cores(64))
    mask, words, workers = found_by(alone, tmp_path)
    assert set(np.unique(mask)) == {0, 5} and (words, workers) == (f"{ALONE}{HOW}.", 1)
    with served(page.parent) as address:
        several = opened(browser, f"{address}/{page.name}", before=cores(64))
        assert several.page.evaluate("crossOriginIsolated")
        found, words, workers = found_by(several, tmp_path)
    assert np.array_equal(found, mask)
    assert (words, workers) == ("The engine runs on 4 threads.", 4)  # the worker's own is one of them
    assert alone.complaints == several.complaints == []


def test_threads_that_do_not_start_are_done_without(browser: Any, page: Path, tmp_path: Path) -> None:
    scan_file(tmp_path)
    with served(page.parent) as address:
        place = f"{address}/{page.name}"
        seen = opened(browser, place, before=cores(2) + AHEAD % "globalThis.Worker = undefined;")
        mask, words, workers = found_by(seen, tmp_path)
    assert mask.any() and (words, workers) == (f"{ALONE}.", 1)


def test_an_engine_that_does_not_start_is_said(browser: Any, page: Path, tmp_path: Path) -> None:
    with served(page.parent) as address:
        place = f"{address}/{page.name}"
        seen = opened(browser, place, before=cores(2) + AHEAD % "WebAssembly.instantiate = undefined;")
        assert "the engine cannot be started in this browser" in refusal(seen.page, [scan_file(tmp_path)])
        seen.page.context.close()
