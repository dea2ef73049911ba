"""The page of `stampseg export RUN -o segment.html` in headless Chromium, beside `stampseg predict`.

    python benchmarks/page.py --task NAME RUN SCAN [SCAN ...] [--task ...] [--pictures FOLDER]

Each RUN becomes a page, which is opened from file:// and given the SCANs one after the other (a folder is a DICOM
series). Noted are the size of the page; of each scan the seconds that the page says (reading, segmenting, without
starting its engine), those from dropping to the mask on the screen (for the first scan the start is in them), those
of `Segmenter` on one thread in this process, the share of voxels with the same label, the lowest Dice of a label
between the two masks, and how many voxels are labelled; of each page what the browser complained of and every
request that it made to anything but the page itself. FOLDER gets a picture of each page, at 1280 and 390 pixels,
light and dark. Writes docs/results/browser-page.json and the page beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
from tests.export.page_driver import segmented  # noqa: E402
from tests.export.pages import agreement  # noqa: E402
from tests.report.browser import opened, started_browser  # noqa: E402

from stampseg.core.machine import processor  # noqa: E402
from stampseg.export import export_model  # noqa: E402
from stampseg.networks.model_file import find_model, load_model  # noqa: E402
from stampseg.runtime.segmenter import Segmenter  # noqa: E402

TARGET = ROOT / "docs" / "results" / "browser-page.json"
SCREENS = ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark"))


def mask_in(path: Path) -> np.ndarray:
    return np.array(Image.open(path)) if path.suffix == ".png" else np.asanyarray(nib.load(path).dataobj)


def one_scan(seen: Any, scan: Path, segmenter: Segmenter, folder: Path) -> dict[str, Any]:
    found = segmented(seen.page, [scan], folder)
    start = time.perf_counter()
    expected = segmenter.segment(scan, confidence=False).mask
    seconds = time.perf_counter() - start
    mask = mask_in(found.mask).reshape(expected.shape)
    same, dice = agreement(mask, expected)
    own = float(found.status.split("segmented in ")[1].split(" s")[0])
    return {
        "scan": scan.name, "shape": list(expected.shape), "labelled": int((mask != 0).sum()), "same": same, "dice": dice,
        "page_seconds": own, "shown_seconds": round(found.seconds, 2), "predict_seconds": round(seconds, 2),
    }  # fmt: skip


def photograph(seen: Any, name: str, folder: Path) -> None:
    for width, scheme in SCREENS:
        seen.page.set_viewport_size({"width": width, "height": 800})
        seen.page.emulate_media(color_scheme=scheme)
        seen.page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)


def one_task(browser: Any, name: str, run: Path, scans: list[Path], pictures: Path | None) -> dict[str, Any]:
    model = load_model(find_model(run))
    segmenter = Segmenter(run, threads=1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        page = folder / "segment.html"
        export_model(model, page, format="html")
        seen = opened(browser, page)
        rows = [one_scan(seen, scan, segmenter, folder) for scan in scans]
        if pictures is not None:
            photograph(seen, name, pictures)
        outside = [url for url in seen.requests if not url.startswith(("blob:", "data:", page.as_uri()))]
        task = {
            "task": name, "parameters": sum(p.numel() for p in model.network.parameters()),
            "patch": list(model.plan.patch_size), "megabytes": round(page.stat().st_size / 1e6, 2),
            "complaints": seen.complaints, "requests": outside, "scans": rows,
        }  # fmt: skip
        seen.page.context.close()
    print(json.dumps(task), flush=True)
    return task


def written(tasks: list[dict[str, Any]], browser: str) -> str:
    """The page of results."""
    rows = [(task, scan) for task in tasks for scan in task["scans"]]
    least = min(scan["same"] for _, scan in rows)
    dice = min(scan["dice"] for _, scan in rows)
    quiet = not any(task["complaints"] or task["requests"] for task in tasks)
    lines = [
        "# The page in a browser",
        "",
        f"{len(tasks)} pages of `stampseg export RUN -o segment.html`, opened from file:// in headless Chromium {browser}, "
        f"and {len(rows)} scans: at least {least:.4%} of the voxels have the label of `stampseg predict`, and the lowest "
        f"Dice of a label between the two is {dice:.4f}. "
        + ("The browser complained of nothing, and no page asked for anything. " if quiet else "")
        + "Made by `python benchmarks/page.py` (which says how), and tested by `python -m pytest tests/export/test_page.py`.",
        "",
        f"On {processor()}, one thread each, other work beside it. Seconds of the page are its own, with reading and "
        "without starting its engine; in brackets those from dropping to the mask on the screen, of the first scan with the "
        "start.",
        "",
        "| page | parameters | MB | scan | voxels | labelled | same | lowest Dice | page, s | predict, s |",
        "|---|---:|---:|---|---|---:|---:|---:|---:|---:|",
    ]
    for task, scan in rows:
        shape = " x ".join(map(str, scan["shape"]))
        lines.append(
            f"| {task['task']} | {task['parameters']:,} | {task['megabytes']:.1f} | {scan['scan']} | {shape} "
            f"| {scan['labelled']:,} | {scan['same']:.4%} | {scan['dice']:.4f} "
            f"| {scan['page_seconds']:.2g} ({scan['shown_seconds']:.2g}) | {scan['predict_seconds']:.2g} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", action="append", nargs="+", required=True, metavar="NAME RUN SCAN")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    with started_browser() as browser:
        tasks = [
            one_task(browser, name, Path(run), [Path(scan).absolute() for scan in scans], options.pictures)
            for name, run, *scans in options.task
        ]
        version = browser.version
    TARGET.write_text(
        json.dumps({"browser": version, "processor": processor(), "tasks": tasks}, indent=1) + "\n"
    )
    TARGET.with_suffix(".md").write_text(written(tasks, version), encoding="utf-8")


if __name__ == "__main__":
    main()
