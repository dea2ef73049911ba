"""Seconds of the page of `stampseg export RUN -o segment.html` with one thread and with several, in headless Chromium.

    python benchmarks/page_threads.py RUN SCAN [--copies 2] [--threads 1 2] [--turns 5]

The page is served with the headers that isolate it, and the browser told of so many cores. Each turn is a new window,
the numbers of threads take turns, and the seconds are the page's own: reading and segmenting, without starting its
engine. With `--copies`, the SCAN so often along each axis. Prints a line per turn with the load of the machine, then
the medians; ends with 1 where the masks differ.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
from tests.export.page_driver import segmented  # noqa: E402
from tests.export.page_server import cores, served  # noqa: E402
from tests.report.browser import opened, started_browser  # noqa: E402

from stampseg.export import export_model  # noqa: E402
from stampseg.networks.model_file import find_model, load_model  # noqa: E402


def copied(scan: Path, copies: int, folder: Path) -> Path:
    image = nib.load(scan)
    array = np.tile(np.asanyarray(image.dataobj), (copies,) * 3)
    nib.save(nib.Nifti1Image(array, image.affine), folder / "scan.nii.gz")
    print(" x ".join(map(str, array.shape)), "voxels")
    return folder / "scan.nii.gz"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    seconds: dict[int, list[float]] = {count: [] for count in options.threads}
    masks = []
    with tempfile.TemporaryDirectory() as place, started_browser() as browser, served(Path(place)) as address:
        folder = Path(place)
        export_model(load_model(find_model(options.run)), folder / "segment.html", format="html")
        scan = copied(options.scan, options.copies, folder)
        for count in options.threads * options.turns:
            seen = opened(browser, f"{address}/segment.html", before=cores(count))
            found = segmented(seen.page, [scan], folder)
            seconds[count].append(float(found.status.split("segmented in ")[1].split(" s")[0]))
            masks.append(np.array(nib.load(found.mask).get_fdata(), dtype=np.uint32))
            words = seen.page.locator("#threads").text_content()
            print(f"{words} {seconds[count][-1]} s, load {os.getloadavg()[0]:.1f}", flush=True)
            seen.page.context.close()
    for count, found_seconds in seconds.items():
        print(f"{count}: median {statistics.median(found_seconds):.3g} s")
    if any(not np.array_equal(mask, masks[0]) for mask in masks):
        sys.exit("the masks differ")


if __name__ == "__main__":
    main()
