"""Learning from few labels: variants on draws of people, each tested on other people.

    python benchmarks/few_labels.py DATA WORK RESULTS.jsonl --tasks cardiac fetal --draws 0 1 --variants dense ours

For every draw of a task some people are labelled, others are seen without labels, others test; nobody is in two
parts, and nobody validates. Every run is one `stampseg train` on a CSV (rows without a label are the unlabelled
scans), `predict` on the test images and `evaluate`. RESULTS gets one line per run as it ends: command, draw,
parameters, FLOPs, seconds, Dice per person, cuts that were spared or undone. What RESULTS already holds is not run
again. An option `{flops}` of a variant is the FLOPs of the variant `ours` of the same draw, which must be done before.
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Row = tuple[Path, Path, str]  # image, label, person


@dataclass(frozen=True)
class Draw:
    """Who is what in one run; no person is in two parts."""

    labelled: list[Row]
    unlabelled: list[Row]
    test: list[Row]


@dataclass(frozen=True)
class Task:
    """A data set and what is drawn from it."""

    rows: Callable[[Path], list[Row]]
    people: int  # labelled
    each: int  # labelled images of each
    test: int  # people who test
    options: tuple[str, ...]


def cardiac(data: Path) -> list[Row]:
    folder = data / "cardiac_mri"
    images = sorted((folder / "images").glob("*.png"))
    return [(i, folder / "masks" / i.name, i.name.split("-IM-")[0]) for i in images]


def fetal(data: Path) -> list[Row]:
    folder = data / "fetal_head_ultrasound"
    return [(i, folder / "masks" / i.name, i.stem) for i in sorted((folder / "images").glob("*.png"))]


def nerve(data: Path) -> list[Row]:
    folder = data / "nerve_ultrasound"
    images = sorted((folder / "images").glob("*.png"))
    return [(i, folder / "masks" / i.name, i.stem) for i in images if i.stem != "0077"]  # the same as 0043


def retina(data: Path) -> list[Row]:
    folder = data / "retina_vessels"
    masks = {path.stem: path for path in (folder / "first_observer").glob("*.png")}
    rows = []
    for image in sorted((folder / "images").glob("*")):
        mask = next(path for stem, path in masks.items() if stem.startswith(image.stem))
        rows.append((image, mask, image.stem.rstrip("LR")))
    return rows


def hippocampus(data: Path) -> list[Row]:
    folder = data / "hippocampus_mri"
    with (folder / "cases.csv").open() as file:
        return [(folder / r["image"], folder / r["label"], r["group"]) for r in csv.DictReader(file)]


TASKS = {
    "cardiac": Task(cardiac, 4, 5, 6, ("--steps", "800")),
    "fetal": Task(fetal, 10, 1, 40, ("--steps", "600")),
    "fetal5": Task(fetal, 5, 1, 40, ("--steps", "600")),
    "nerve": Task(nerve, 10, 1, 40, ("--steps", "600")),
    "retina": Task(retina, 5, 1, 4, ("--steps", "600")),
    "hippocampus": Task(hippocampus, 10, 1, 30, ("--steps", "700")),
    "hippocampus5": Task(hippocampus, 5, 1, 30, ("--steps", "700")),
}


def draw(task: Task, data: Path, number: int) -> Draw:
    """People in an order of this draw: first those who are labelled, last those who test."""
    rows = task.rows(data)
    people = sorted({person for _, _, person in rows})
    random.Random(7919 * number + 17).shuffle(people)
    theirs = {person: [row for row in rows if row[2] == person] for person in people}
    labelled = [row for person in people[: task.people] for row in spread(theirs[person], task.each)]
    test = [row for person in people[-task.test :] for row in theirs[person]]
    rest = [row for person in people[: -task.test] for row in theirs[person]]
    return Draw(labelled, [row for row in rest if row not in labelled], test)


def spread(rows: list[Row], count: int) -> list[Row]:
    """`count` rows at even distances."""
    return [rows[round((i + 0.5) * len(rows) / count - 0.5)] for i in range(count)]


def run(
    variant: str, options: list[str], task: str, number: int, data: Path, work: Path, done: dict,
    common: tuple[str, ...] | None = None,
) -> dict:  # fmt: skip
    """Train, predict, evaluate; the line of the results.

    Args:
        done: lines of other runs, by task, draw and variant.
        common: options of the task; None: those of `TASKS`.
    """
    ours = done.get((task, number, "ours"))
    if ours is not None:
        options = [option.replace("{flops}", str(ours["flops"])) for option in options]
    elif any("{flops}" in option for option in options):
        raise SystemExit(f"{variant}: needs the FLOPs of ours for {task}, draw {number}; run that first")
    chosen, folder = draw(TASKS[task], data, number), work / f"{task}-{variant}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_csv(folder / "pool.csv", chosen)
    words = [
        "train",
        folder / "pool.csv",
        "-o",
        folder / "run",
        "--validation",
        "none",
        "--seed",
        str(number),
    ]
    start = time.time()
    options = [*(TASKS[task].options if common is None else common), *options]
    stampseg([*words, *options], folder / "train.log")
    seconds = time.time() - start
    result = json.loads((folder / "run" / "result.json").read_text())
    return {
        "task": task, "draw": number, "variant": variant, "options": options,
        "labelled": len(chosen.labelled), "unlabelled": len(chosen.unlabelled), "test": len(chosen.test),
        "parameters": result["parameters_after"], "flops": result["flops_after"],
        "parameters_dense": result["parameters_dense"], "train_seconds": round(result["seconds"], 1),
        "seconds": round(seconds, 1), **tested(folder, chosen),
        **guarded(folder / "run" / "rounds.jsonl"),
    }  # fmt: skip


def tested(folder: Path, chosen: Draw, network: str = "run", name: str = "masks", *words: str) -> dict:
    """Predict those who test with a network in the folder, and compare: as `dice_of`.

    Args:
        name: of the folder of masks.
        words: further ones of `stampseg predict`.
    """
    inputs, truth = folder / "inputs", folder / "truth"
    if not truth.exists():
        inputs.mkdir(exist_ok=True)
        truth.mkdir()
        for image, label, _ in chosen.test:  # pairs by name, whatever the data set calls its masks
            (inputs / image.name).symlink_to(image)
            (truth / (image.name.split(".")[0] + "".join(label.suffixes))).symlink_to(label)
    stampseg(
        ["predict", folder / network, inputs, "-o", folder / name, "--overwrite", *words],
        folder / f"{name}-predict.log",
    )
    metrics = folder / f"{name}.json"
    metrics.unlink(missing_ok=True)
    stampseg(["evaluate", folder / name, truth, "-o", metrics], folder / f"{name}-evaluate.log")
    return dice_of(metrics, chosen)


def guarded(rounds: Path) -> dict:
    """Cuts of which channels were spared, and cuts that were undone."""
    lines = [json.loads(line) for line in rounds.read_text().splitlines()]
    return {
        "spared": sum(bool(line.get("spared")) for line in lines),
        "undone": sum(line["event"] == "rolled back" for line in lines),
    }


def write_csv(path: Path, chosen: Draw) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "group"])
        table.writerows(chosen.labelled)
        table.writerows((image, "", person) for image, _, person in chosen.unlabelled)


def dice_of(metrics: Path, chosen: Draw) -> dict:
    """Mean Dice over people of the mean of their images and labels, of each label, and of each person."""
    person = {image.name.split(".")[0]: group for image, _, group in chosen.test}
    people: dict[str, list[float]] = {}
    labels: dict[str, dict[str, list[float]]] = {}
    for row in json.loads(metrics.read_text())["rows"]:
        if row["dice"] is None or row["label"] == "union":
            continue
        who = person[row["case"]]
        people.setdefault(who, []).append(row["dice"])
        labels.setdefault(row["label"], {}).setdefault(who, []).append(row["dice"])
    means = {who: mean(values) for who, values in people.items()}
    return {
        "dice": round(mean(list(means.values())), 4),
        "dice_per_label": {k: round(mean([mean(v) for v in of.values()]), 4) for k, of in labels.items()},
        "people": {who: round(value, 4) for who, value in means.items()},
    }


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def stampseg(words: list, log: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        subprocess.run(
            [sys.executable, "-m", "stampseg", *map(str, words)],
            stdout=file,
            stderr=file,
            env=environment,
            check=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--tasks", nargs="+", default=["cardiac"], choices=TASKS)
    parser.add_argument("--draws", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--variants", nargs="+", required=True, help="names in benchmarks/few_labels_variants.json"
    )
    given = parser.parse_args()
    variants = json.loads(Path(__file__).with_name("few_labels_variants.json").read_text())
    for number in given.draws:
        for task in given.tasks:
            for variant in given.variants:
                known = given.results.read_text().splitlines() if given.results.exists() else []
                done = {(r["task"], r["draw"], r["variant"]): r for r in map(json.loads, known)}
                if (task, number, variant) in done:
                    continue
                try:
                    line = run(variant, variants[variant], task, number, given.data, given.work, done)
                except subprocess.CalledProcessError as error:
                    print(f"{task} {variant} {number}: {error}; see its logs", file=sys.stderr)
                    continue
                with given.results.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(
                    task,
                    number,
                    variant,
                    line["parameters"],
                    line["dice"],
                    line["dice_per_label"],
                    flush=True,
                )


if __name__ == "__main__":
    main()
