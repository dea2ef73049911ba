"""How long `check` takes on real data sets, beside the time that reading their files takes.

    python benchmarks/check_times.py DATA docs/results/check-times.json [--page docs/results/check-times.md]

Every set of DATA is checked as a user would, each time in a process of its own: with `--no-timing`, and as `check` does by
default, which also times a few training steps. Reading is every image and every label of the set read once, one after the
other, in a process of its own, without what it takes to start. Seconds are by the clock; medians of `--repeats` turns, in
which the three take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from stampseg.core.machine import processor

BAR = 5.0  # seconds beyond reading
SETS = {
    "hippocampus_mri": ["hippocampus_mri"],
    "cardiac_mri": ["cardiac_mri", "--group-regex", "^(.+)-IM-"],
    "fetal_head_ultrasound": ["fetal_head_ultrasound"],
    "nerve_ultrasound": ["nerve_ultrasound"],
    "retina_vessels": ["--images", "retina_vessels/images", "--masks", "retina_vessels/first_observer"],
    "brain_tumour_mri": ["brain_tumour_mri"],
}
READ = """
import sys, time
from pathlib import Path
import numpy as np
from stampseg.data.cases import find_dataset
from stampseg.data.io.readers import read_image
from stampseg.data.labels.organs import read_label_files
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
data, images, masks = (words.get(name) for name in ("data", "--images", "--masks"))
found = find_dataset(Path(data or "."), images=images and Path(images).absolute(), masks=masks and Path(masks).absolute())
start = time.monotonic()
for case in found.cases:
    np.asarray(read_image(case.images).array)
    if case.label_files is not None:
        np.asarray(read_label_files(case.label_files).array)
print(time.monotonic() - start)
"""


def seconds_of(words: list[str], data: Path) -> tuple[float, str]:
    """By the clock, and what was written on standard output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    said = subprocess.run(words, cwd=data, check=True, capture_output=True, text=True, env=environment).stdout
    return time.monotonic() - start, said


def row(name: str, words: list[str], data: Path, repeats: int) -> dict[str, Any]:
    """Medians of a set."""
    check = [sys.executable, "-m", "stampseg", "check", *words]
    places = words if words[0].startswith("--") else ["data", words[0]]
    found: dict[str, list[float]] = {"no_timing": [], "default": [], "reading": []}
    for _ in range(repeats):
        found["no_timing"].append(seconds_of([*check, "--no-timing"], data)[0])
        found["default"].append(seconds_of(check, data)[0])
        found["reading"].append(float(seconds_of([sys.executable, "-c", READ, *places], data)[1]))
    middle = {way: round(statistics.median(seconds), 2) for way, seconds in found.items()}
    plan = json.loads(seconds_of([*check, "--no-timing", "--json"], data)[1])
    beyond = {
        f"{way}_beyond_reading": round(middle[way] - middle["reading"], 2) for way in ("no_timing", "default")
    }
    return {"set": name, "cases": plan["cases"], **middle, **beyond, "turns": found}


def write_page(found: dict[str, Any], page: Path, source: Path) -> None:
    """The table beside the figures."""
    lines = [
        "# How long `check` takes",
        "",
        f"On {found['processor']}, one thread, the median of {found['repeats']} turns; seconds by the clock, the "
        "start of Python and of torch included. Reading is every image and label read once. `check` reads "
        "each once; training cases beyond 512 MiB of voxels are read again to plan. By default it also takes some "
        f"training steps to tell how long a run takes. Made with",
        "",
        f"    {found['command']}",
        "",
        "| set | scans | reading | `--no-timing` | beyond reading | default | beyond reading |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['set']} | {row['cases']} | {row['reading']:.2f} | {row['no_timing']:.2f} | "
        f"{row['no_timing_beyond_reading']:.2f} | {row['default']:.2f} | {row['default_beyond_reading']:.2f} |"
        for row in found["rows"]
    ]
    over = [row["set"] for row in found["rows"] if row["no_timing_beyond_reading"] >= BAR]
    lines += ["", f"Asked: under {BAR:g} s beyond reading with `--no-timing`. " + (
        f"Missed on {', '.join(over)}." if over else "Met on every set."
    )]  # fmt: skip
    page.write_text("\n".join(lines) + f"\n\nFigures: [{source.name}]({source.name}).\n")


def main() -> None:
    """Check every set that is there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for name, words in SETS.items():
        rows.append(row(name, words, options.data, options.repeats))
        print({key: value for key, value in rows[-1].items() if key != "turns"}, flush=True)
    found = {
        "command": "python benchmarks/check_times.py DATA docs/results/check-times.json",
        "processor": processor(), "threads": 1, "repeats": options.repeats, "rows": rows,
    }  # fmt: skip
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    if options.page is not None:
        write_page(found, options.page, options.out)


if __name__ == "__main__":
    main()
