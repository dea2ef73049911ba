"""Dense, STAMP+ and a flat U-Net at equal steps on three real tasks, tested on other people.

    python benchmarks/first_runs.py DATA WORK docs/results/first-runs [--tasks hippocampus ...]

DATA holds the folders hippocampus_mri, cardiac_mri and fetal_head_ultrasound; WORK gets the run
folders and masks. For each task and method one JSON is written: the command, the run's
result.json and the test metrics of the chosen and of the last round. A run that is already in WORK
with the same command is not trained again.
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

from stampseg.run.records import RESULT, read_result, read_rounds

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


def train(task: Task, method: str, target: str, place: Path, extra: list[str]) -> str:
    """Train unless this very run is there already; returns the command."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["train", write_cases(place / "pool.csv", task.pool), "-o", place / method, "--method", method]
    command += [*task.options, "--seed", "0", *extra]
    if task.validation:
        command += ["--validation", write_cases(place / "validation.csv", task.validation)]
    if method != "dense":
        command += ["--target", target]
    words = "stampseg " + shlex.join(str(word).replace(f"{place.parent}/", "") for word in command)
    note = place / f"{method}-command.txt"
    if not (place / method / RESULT.name).exists() or not note.exists() or note.read_text() != words:
        shutil.rmtree(place / method, ignore_errors=True)
        stampseg(*command)
        note.write_text(words)
    return words


def test(task: Task, model: Path, place: Path, name: str) -> tuple[dict, float]:
    """Segment and evaluate the test cases; every row gets its person."""
    masks, metrics = place / f"{name}-masks", place / f"{name}.json"
    shutil.rmtree(masks, ignore_errors=True)
    images = [image for image, _, _ in task.test]
    seconds = stampseg("predict", model, *images, "-o", masks)
    stampseg("evaluate", masks, task.test[0][1].parent, "-o", metrics, "--overwrite")
    evaluation = json.loads(metrics.read_text())
    people = {image.name.split(".")[0]: group for image, _, group in task.test}
    for row in evaluation["rows"]:
        row["group"] = people[row["case"]]
    return evaluation, seconds


def phase_seconds(run: Path) -> dict[str, float]:
    """Seconds of the whole run spent on scoring, cutting, training and validating."""
    total: dict[str, float] = {}
    for turn in read_rounds(run):
        for phase, seconds in turn.seconds.items():
            total[phase] = round(total.get(phase, 0.0) + seconds, 3)
    return total


def run(task: Task, method: str, target: str, work: Path, results: Path, extra: list[str]) -> dict:
    """Train, test the chosen round and the last one, and write one JSON."""
    place = work / task.name
    words = train(task, method, target, place, extra)
    chosen, seconds = test(task, place / method, place, method)
    last_model = max((place / method / "rounds").glob("*.safetensors"))
    last, _ = test(task, last_model, place, f"{method}-last")
    record = {
        "command": words,
        "test_cases": chosen["cases"],
        "test_people": len({group for _, _, group in task.test}),
        "test": chosen["summary"],
        "test_last_round": last["summary"],
        "rows": chosen["rows"],
        "rows_last_round": last["rows"],
        "phase_seconds": phase_seconds(place / method),
        "predict_seconds_with_start": round(seconds, 1),
        "result": read_result(place / method).model_dump(mode="json"),
    }
    results.mkdir(parents=True, exist_ok=True)
    output = results / f"{task.name}-{method.replace('+', 'plus')}.json"
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
