"""Dense, STAMP+ and a flat U-Net at equal steps on three real tasks, tested on other people.

    python benchmarks/first_runs.py DATA WORK docs/results/first-runs [--tasks hippocampus ...]

DATA holds the folders hippocampus_mri, cardiac_mri and fetal_head_ultrasound; WORK gets the run
folders and masks. For each task and method one JSON is written: the commands, the run's
result.json and the test metrics. What is already there is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SPLIT_SEED = 2026


@dataclass(frozen=True)
class Task:
    """Training pool, optional validation list and test cases, as (image, label, group) rows."""

    name: str
    pool: list[tuple[Path, Path, str]]
    validation: list[tuple[Path, Path, str]]
    test: list[tuple[Path, Path, str]]
    options: tuple[str, ...]


def hippocampus(data: Path, steps: int) -> Task:
    """10 cases of 10 people train; 40 cases of other people test."""
    folder = data / "hippocampus_mri"
    with (folder / "cases.csv").open() as file:
        rows = [(folder / r["image"], folder / r["label"], r["group"]) for r in csv.DictReader(file)]
    test, pool = split_by_person(rows, 40)
    return Task("hippocampus", pool, [], test, ("--labels", "10", "--steps", str(steps)))


def cardiac(data: Path, steps: int) -> Task:
    """20 slices of 4 people train, 6 slices of 2 others validate; 9 other people test."""
    folder = data / "cardiac_mri"
    rows = [
        (i, folder / "masks" / i.name, i.name.split("-IM-")[0])
        for i in sorted((folder / "images").glob("*.png"))
    ]
    people = sorted({group for _, _, group in rows})
    random.Random(SPLIT_SEED).shuffle(people)
    slices = {person: [row for row in rows if row[2] == person] for person in people}
    pool = [row for person in people[:4] for row in spread(slices[person], 5)]
    validation = [row for person in people[4:6] for row in spread(slices[person], 3)]
    test = [row for person in people[6:] for row in slices[person]]
    return Task("cardiac", pool, validation, test, ("--steps", str(steps)))


def fetal(data: Path, steps: int) -> Task:
    """20 images train; 40 images of other women test."""
    folder = data / "fetal_head_ultrasound"
    rows = [(i, folder / "masks" / i.name, i.stem) for i in sorted((folder / "images").glob("*.png"))]
    test, pool = split_by_person(rows, 40)
    return Task("fetal", pool, [], test, ("--labels", "20", "--steps", str(steps)))


def split_by_person(rows: list[tuple[Path, Path, str]], count: int) -> tuple[list, list]:
    """`count` test rows of whole people where possible, and the rows of everyone else."""
    people = sorted({group for _, _, group in rows})
    random.Random(SPLIT_SEED).shuffle(people)
    test: list[tuple[Path, Path, str]] = []
    taken = set()
    for person in people:
        theirs = [row for row in rows if row[2] == person]
        if len(test) + len(theirs) <= count:
            test += theirs
            taken.add(person)
    return test, [row for row in rows if row[2] not in taken]


def spread(rows: list, count: int) -> list:
    """`count` evenly spaced rows."""
    return [rows[round(i * (len(rows) - 1) / (count - 1))] for i in range(count)]


def write_cases(path: Path, rows: list[tuple[Path, Path, str]]) -> Path:
    """A CSV that stampseg reads."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "group"])
        table.writerows((image.resolve(), label.resolve(), group) for image, label, group in rows)
    return path


def stampseg(*arguments: object) -> float:
    """Run the command; returns its seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "stampseg.cli", *map(str, arguments)], check=True)
    return time.perf_counter() - start


def run(task: Task, method: str, target: str, work: Path, results: Path, extra: list[str]) -> dict:
    """Train, segment the test cases, evaluate, and write one JSON."""
    output = results / f"{task.name}-{method.replace('+', 'plus')}.json"
    if output.exists():
        return json.loads(output.read_text())
    place = work / task.name
    place.mkdir(parents=True, exist_ok=True)
    train = ["train", write_cases(place / "pool.csv", task.pool), "-o", place / method, "--method", method]
    train += [*task.options, "--seed", "0", *extra]
    if task.validation:
        train += ["--validation", write_cases(place / "validation.csv", task.validation)]
    if method != "dense":
        train += ["--target", target]
    shutil.rmtree(place / method, ignore_errors=True)
    stampseg(*train)
    masks, metrics = place / f"{method}-masks", place / f"{method}.json"
    shutil.rmtree(masks, ignore_errors=True)
    seconds = stampseg(
        "predict", place / method, *(image for image, _, _ in task.test), "-o", masks,
        "--overlays", place / f"{method}-overlays",
    )  # fmt: skip
    stampseg("evaluate", masks, task.test[0][1].parent, "-o", metrics)
    evaluation = json.loads(metrics.read_text())
    named = [str(a).replace(f"{work}/", "") for a in train]
    record = {
        "command": "stampseg " + shlex.join(named),
        "test_cases": evaluation["cases"],
        "test_people": len({group for _, _, group in task.test}),
        "test": evaluation["summary"],
        "rows": evaluation["rows"],
        "predict_seconds_with_start_and_overlays": round(seconds, 1),
        "result": json.loads((place / method / "result.json").read_text()),
    }
    results.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(record, indent=1) + "\n")
    return record


def main() -> None:
    """Run all tasks and methods that have no result yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--tasks", nargs="+", default=["hippocampus", "cardiac", "fetal"])
    parser.add_argument("--methods", nargs="+", default=["dense", "stamp+", "flat"])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--target", default="15%")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    extra = [part for setting in options.settings for part in ("--set", setting)]
    for name in options.tasks:
        task = {"hippocampus": hippocampus, "cardiac": cardiac, "fetal": fetal}[name](
            options.data, options.steps
        )
        target = options.target
        for method in options.methods:
            record = run(task, method, target, options.work, options.results, extra)
            if method == "stamp+":  # the flat control gets the size that STAMP+ ended at
                target = str(record["result"]["parameters_after"])
            means = {label: round(m["dice"]["mean"], 4) for label, m in record["test"].items()}
            print(name, method, record["result"]["parameters_after"], means, flush=True)


if __name__ == "__main__":
    main()
