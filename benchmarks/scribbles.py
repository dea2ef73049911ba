"""Partly labelled masks against whole ones: hippocampus MRI, ten labelled cases, the same people test.

    python benchmarks/scribbles.py DATA WORK RESULTS.jsonl --draws 0 1 2 --steps 700 [--page PAGE.md]

Of every labelled case 5% of the voxels keep their label (`--share`), drawn at random, and the others get the ignore
label 9. Every run is one `stampseg train ... --ignore-label 9 --test test.csv` on a CSV; the test people have whole masks,
are the same for both variants of a draw and are in no other part. RESULTS gets one line per run as it ends: command, draw,
share of the voxels, Dice of each label over the test people. What RESULTS already holds is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

IGNORED = 9
LABELLED, TESTED = 10, 30  # cases, people
Row = tuple[Path, Path, str]  # image, label, person


def rows_of(data: Path) -> list[Row]:
    """The pool, one case of each person."""
    folder = data / "hippocampus_mri"
    with (folder / "cases.csv").open() as file:
        listed = [(folder / r["image"], folder / r["label"], r["group"]) for r in csv.DictReader(file)]
    return list({person: (image, label, person) for image, label, person in reversed(listed)}.values())


def draw(data: Path, number: int, tested: int) -> tuple[list[Row], list[Row]]:
    """Who is labelled and who tests in this draw."""
    rows = sorted(rows_of(data), key=lambda row: row[2])
    random.Random(7919 * number + 17).shuffle(rows)
    return rows[:LABELLED], rows[-tested:]


def scribble(source: Path, target: Path, share: float, seed: int) -> Path:
    """Write the label with all but a share of its voxels ignored."""
    image = nib.load(source)
    label = np.asarray(image.dataobj).astype(np.uint8)
    known = np.random.default_rng(seed).random(label.shape) < share
    target.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.where(known, label, IGNORED).astype(np.uint8), image.affine).to_filename(target)
    return target


def write_table(path: Path, rows: list[Row]) -> Path:
    """A CSV of cases."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "group"])
        table.writerows([str(part) for part in row] for row in rows)
    return path


def train(data: Path, work: Path, number: int, share: float, options: argparse.Namespace) -> dict[str, Any]:
    """One run, and its row of RESULTS."""
    labelled, test = draw(data, number, options.tested)
    if share < 1:
        labelled = [
            (image, scribble(label, work / "labels" / label.name, share, 1000 * number + place), person)
            for place, (image, label, person) in enumerate(labelled)
        ]
    tables = [write_table(work / name, rows) for name, rows in (("cases.csv", labelled), ("test.csv", test))]
    command = [
        sys.executable, "-m", "stampseg", "train", str(tables[0]), "-o", str(work / "run"), "--test", str(tables[1]),
        "--steps", str(options.steps), "--seed", str(number), "--validation", "none", "--unlabelled", "none", "--quiet",
        *(("--ignore-label", str(IGNORED)) if share < 1 else ()), *options.options,
    ]  # fmt: skip
    start = time.monotonic()
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": str(options.threads)})
    test_found = json.loads((work / "run" / "result.json").read_text())["test"]
    return {
        "draw": number,
        "share": share,
        "steps": options.steps,
        "dice": {name: found["mean"] for name, found in test_found["labels"].items()},
        "people": test_found["people"],
        "seconds": round(time.monotonic() - start),
        "command": " ".join(command[2:]).replace(str(work), "WORK"),
    }


def done(results: Path) -> set[tuple[int, float, int]]:
    """Draw, share and steps of what is in RESULTS."""
    lines = results.read_text().splitlines() if results.exists() else []
    return {(row["draw"], row["share"], row["steps"]) for row in map(json.loads, lines)}


def summary(results: Path) -> str:
    """Mean Dice by share, and how far part labels are behind."""
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    by_share: dict[float, list[float]] = {}
    for row in rows:
        own = [dice for name, dice in row["dice"].items() if name != "union" and dice is not None]
        by_share.setdefault(row["share"], []).append(sum(own) / len(own))
    means = {share: sum(values) / len(values) for share, values in by_share.items()}
    lines = [f"{share:.0%} of the voxels: mean Dice {mean:.3f}" for share, mean in sorted(means.items())]
    if 1.0 in means:
        lines += [
            f"{s:.0%} behind all: {100 * (means[1.0] - m):.1f} points" for s, m in means.items() if s < 1
        ]
    return "\n".join(lines)


def page(results: Path) -> str:
    """A table of all runs."""
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    lines = [
        "# Partly labelled masks",
        "",
        "Hippocampus MRI, ten labelled cases of ten people; of each, all voxels or a share of them, drawn at random, keep their "
        "label, and the others are ignored (`--ignore-label 9`). Scans without labels are not learnt from. The people who test "
        "have whole masks and are the same for both. Asked: within 5 points. Made by",
        "",
        "    python benchmarks/scribbles.py DATA WORK docs/results/scribbles.jsonl --draws 0 --steps 400 --page docs/results/scribbles.md",
        "",
        "| draw | voxels labelled | steps | Dice of each label | mean | people who test | seconds |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for row in sorted(rows, key=lambda row: (row["draw"], -row["share"])):
        own = [dice for name, dice in row["dice"].items() if name != "union" and dice is not None]
        each = ", ".join(f"{dice:.3f}" for dice in own)
        lines.append(
            f"| {row['draw']} | {row['share']:.0%} | {row['steps']} | {each} | {sum(own) / len(own):.3f} | "
            f"{row['people']} | {row['seconds']:,} |"
        )
    told = "; ".join(summary(results).splitlines())
    return "\n".join([*lines, "", f"{told}.", "", f"    {rows[0]['command']}", ""])


def main() -> None:
    """Run what RESULTS lacks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--draws", type=int, nargs="+", default=[0])
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--tested", type=int, default=TESTED, help="people")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", type=Path, help="write the table there as well")
    parser.add_argument(
        "--options", nargs=argparse.REMAINDER, default=[], help="for stampseg train; goes last"
    )
    options = parser.parse_args()
    for number in options.draws:
        for share in (1.0, options.share):
            if (number, share, options.steps) in done(options.results):
                continue
            work = options.work / f"draw{number}-{share:g}"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            row = train(options.data, work, number, share, options)
            with options.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
    print(summary(options.results))
    if options.page is not None:
        options.page.write_text(page(options.results))


if __name__ == "__main__":
    main()
