"""What `predict --confidence` costs: time and peak memory beside plain `predict`.

    python benchmarks/confidence_cost.py docs/results/confidence-cost.json NAME=RUN:IMAGES ... [--repeats 5]

RUN is a run folder or model file, IMAGES a folder or file. Both ways take turns, each time in a process of its own with one
thread; the order of the two changes from turn to turn. Seconds are the processor's, so that others on the machine count
little, and of the segmentation alone, from the open model to the last mask written; memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from stampseg.core.machine import processor

WAYS = {"plain": False, "confident": True}
# A model is opened before the clock starts, and once more within `segment`, which is taken off.
ONCE = """
import json, resource, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from stampseg.runtime.ensemble import open_segmenter
from stampseg.runtime.segment_options import SegmentOptions
from stampseg.runtime.segmentation import segment
model, images, output, confidence = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == "True"
open_segmenter(model)
start = time.process_time()
open_segmenter(model)
opening = time.process_time() - start
start = time.process_time()
found = segment(model, [images], output, SegmentOptions(threads=1, confidence=confidence), echo=lambda text: None)
seconds = time.process_time() - start - opening
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "megabytes": peak / 1024, "masks": len(found.masks)}))
"""


def once(model: str, images: str, confidence: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as place:
        words = [sys.executable, "-c", ONCE, model, images, f"{place}/masks", str(confidence)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        said = subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout
    return json.loads(said.splitlines()[-1])


def row(name: str, model: str, images: str, repeats: int) -> dict[str, object]:
    """Medians of both ways, and the median of the ratio of each turn."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for turn in range(repeats):
        for way in sorted(WAYS, reverse=bool(turn % 2)):
            found[way].append(once(model, images, WAYS[way]))

    def median(way: str, figure: str) -> float:
        return round(statistics.median(each[figure] for each in found[way]), 3)

    pairs = list(zip(found["confident"], found["plain"], strict=True))
    ratios = [one["seconds"] / other["seconds"] for one, other in pairs]
    return {
        "name": f"{name}, {found['plain'][0]['masks']} scans",
        "plain_seconds": median("plain", "seconds"), "seconds": median("confident", "seconds"),
        "time_ratio": round(statistics.median(ratios), 3), "time_ratios": [round(each, 3) for each in ratios],
        "plain_megabytes": median("plain", "megabytes"), "megabytes": median("confident", "megabytes"),
        "memory_ratio": round(statistics.median(one["megabytes"] / other["megabytes"] for one, other in pairs), 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("sets", nargs="+", help="NAME=RUN:IMAGES")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for words in options.sets:
        name, _, rest = words.partition("=")
        model, _, images = rest.partition(":")
        rows.append(row(name, model, images, options.repeats))
        print(rows[-1], flush=True)
    names = " ".join(f"{shlex.quote(words.partition('=')[0])}=RUN:IMAGES" for words in options.sets)
    found = {
        "command": f"python benchmarks/confidence_cost.py docs/results/confidence-cost.json {names}",
        "processor": processor(), "threads": 1, "repeats": options.repeats, "rows": rows,
    }  # fmt: skip
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
