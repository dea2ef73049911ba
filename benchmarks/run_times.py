"""How long the default run of each set of a study takes on all cores of this machine, one run after the other.

    STAMPSEG_DATA=DATA python benchmarks/run_times.py WORK docs/results/run-times.json [--threads 2]

The runs are those of the method `ours` in studies/few-labels.yaml, draw 14, at the most labels of each set; but for the
number of threads they are the study's own cells, which share a machine, one thread each. Give the machine nothing
else to do. WORK keeps the runs, and what is there is not done again; the page is written beside the output.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from stampseg.core.machine import processor
from stampseg.core.run_folder import MODEL_FILE
from stampseg.networks.model_file import read_description
from stampseg.run.study.plan import CELL, RUN, open_study

STUDY = Path(__file__).parents[1] / "studies" / "few-labels.yaml"
DRAW, METHOD = 14, "ours"
BARS = {2: 15, 3: 40}  # minutes, by axes


def main() -> None:
    """Run what is missing, write the file and its page after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    study = open_study(STUDY, options.work)
    cells = [cell for cell in study.cells if (cell.method, cell.draw) == (METHOD, DRAW)]
    most = {cell.task: cell for cell in sorted(cells, key=lambda cell: cell.labels)}
    rows = []
    for cell in most.values():
        if not study.done(cell):
            threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
            command = [sys.executable, "-m", "stampseg", "study", str(STUDY), "-o", str(options.work)]
            subprocess.run([*command, "--cell", cell.name], env={**os.environ, **threads}, check=True)
        found = CELL.read(study.place(cell))
        dims = read_description(study.place(cell) / RUN / MODEL_FILE).plan.spatial_dims
        rows.append(
            {
                "set": cell.task, "labelled people": cell.labels, "axes": dims, "unlabelled": found.unlabelled,
                "steps": found.options["train"]["steps"], "minutes": round(found.result.train_seconds / 60, 1),
                "most": BARS[dims], "dice": round(found.result.dice, 3),
            }
        )  # fmt: skip
        write(options, rows)


def write(options: argparse.Namespace, rows: list[dict]) -> None:
    """The figures, and beside them the page."""
    about = {"processor": processor(), "threads": options.threads, "rows": rows}
    options.output.write_text(json.dumps(about, indent=1) + "\n")
    names = ("set", "labelled people", "unlabelled", "steps", "minutes", "most", "dice")
    lines = [
        "# How long a default run takes",
        "",
        f"On {about['processor']}, {options.threads} threads, the runs one after the other, loading and all else "
        "included, as `result.json` has it. Draw 14 of the study, method `ours`, at the most labels of each set; "
        "*most* is the bar in minutes. Two threads add up in another order than one, so that these are "
        "other runs than the study's, and their Dice differ. Made with",
        "",
        "    STAMPSEG_DATA=DATA python benchmarks/run_times.py WORK docs/results/run-times.json",
        "",
        f"| {' | '.join(names)} |",
        f"|---|{'---:|' * (len(names) - 1)}",
        *(f"| {' | '.join(str(row[name]) for name in names)} |" for row in rows),
    ]
    options.output.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
