"""Are five scans that `suggest` chooses worth more than five chosen by chance? From five labels to ten, paired.

    OMP_NUM_THREADS=1 python benchmarks/suggest.py DATA WORK docs/results/suggest.jsonl

On two sets (cardiac slices, fetal heads) and three draws: one scan each of five people is labelled, 4 or 40 people test, all
other scans are seen without labels. A network learns from the five; then five more are labelled, chosen by `suggest` or by chance
among the scans of people of whom none is labelled, and a network learns from the ten, anew and with `--from`. Chance as well takes
one scan of a person. All runs of a draw have the same seed and steps. A row is written for each network, with the Dice of every
person who tests; rows that are there are not made again, and a run that was stopped is taken up. At the end the paired
differences are printed. One thread; five trainings a draw, thirty in all.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stampseg.data.cases import Case, find_dataset
from stampseg.data.inputs import find_inputs
from stampseg.evaluation.folders import evaluate_folder
from stampseg.evaluation.metrics import UNION
from stampseg.run.folder import RunFolder
from stampseg.run.spec import SPEC

FIRST, MORE = 5, 5  # labels
DRAWS = (21, 22, 23)  # draw 20 was of the rule of before: doubt times distance to what is labelled or chosen
TRIAL = ("--set", "train.missed_label=warn", "--set", "prune.ready_dice=0")
TINY = ("--set", "network.width=4")
WAYS, CHOICES = ("anew", "from"), ("suggested", "by chance")


@dataclass(frozen=True)
class Task:
    """A set: where its data are, who tests, how long a run is."""

    data: str
    images: str | None
    masks: str | None
    test: int  # people
    steps: int
    people: str | None = None  # how a person is found in a name; None: each image is another's
    trial: bool = False  # of this script: networks may find nothing


TASKS = {
    "cardiac": Task("cardiac_mri", None, None, 4, 800, "(.+)-IM-"),
    "fetal": Task("fetal_head_ultrasound", "images", "masks", 40, 600),
}


@dataclass(frozen=True)
class Drawn:
    """Who is labelled, whose scans are to be chosen from, what else is seen without labels, and who tests."""

    labelled: list[Case]
    others: list[Case]
    beside: list[Case]  # of people who are labelled
    test: list[Case]


def draw(cases: list[Case], task: Task, number: int) -> Drawn:
    """People in an order of this draw: the first are labelled, with one scan each; the last test."""
    chance = random.Random(7919 * number + 17)
    people = sorted({case.group for case in cases})
    chance.shuffle(people)
    first, testing = people[:FIRST], set(people[-task.test :])
    labelled = [one_of(cases, person, chance) for person in first]
    return Drawn(
        labelled,
        [case for case in cases if case.group not in testing and case.group not in first],
        [case for case in cases if case.group in first and case not in labelled],
        [case for case in cases if case.group in testing],
    )


def one_of(cases: list[Case], person: str, chance: random.Random) -> Case:
    return chance.choice([case for case in cases if case.group == person])


def stampseg(*words: object) -> float:
    """Run the command on one thread; its seconds."""
    start = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "stampseg", *map(str, words)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def write_table(path: Path, labelled: list[Case], unlabelled: list[Case]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "group"])
        for case in labelled:
            table.writerow([case.images[0].absolute(), case.label and case.label.absolute(), case.group])
        for case in unlabelled:
            table.writerow([case.images[0].absolute(), "", case.group])
    return path


def train(run: Path, *words: object) -> None:
    """Unless it has ended; the same command takes up what was stopped."""
    if not ((run / SPEC.name).is_file() and RunFolder(run).ended):
        stampseg("train", *words, "-o", run, "--quiet")


def chosen(
    task: Task, drawn: Drawn, run: Path, place: Path, choice: str, number: int
) -> tuple[list[Case], float]:
    """The five scans, each of another person, and the seconds of choosing them."""
    if choice == "by chance":
        chance = random.Random(104729 * number + 5)
        people = chance.sample(sorted({case.group for case in drawn.others}), MORE)
        return [one_of(drawn.others, person, chance) for person in people], 0.0
    seconds = place / "seconds.json"
    if not seconds.exists():
        images = [case.images[0] for case in drawn.others]
        place.mkdir(parents=True, exist_ok=True)
        todo = place / f"todo-{len(list(place.iterdir()))}"  # an earlier one may have been stopped
        regex = ("--group-regex", task.people) if task.people else ()
        took = stampseg("suggest", run, *images, "-o", todo, "-n", MORE, "--threads", 1, *regex)
        seconds.write_text(json.dumps([str(todo), took]))
    todo, took = json.loads(seconds.read_text())
    with (Path(todo) / "suggested.csv").open() as file:
        images = [Path(row["image"]) for row in csv.DictReader(file)]
    known = {case.images[0].absolute(): case for case in drawn.others}
    return [known[image.absolute()] for image in images], took


def tested(run: Path, drawn: Drawn, place: Path) -> dict[str, float]:
    """The mean Dice of each person who tests."""
    stampseg(
        "predict", run, *[case.images[0] for case in drawn.test], "-o", place, "--overwrite", "--threads", 1
    )
    truth = place.with_name(f"{place.name}-truth")
    truth.mkdir(exist_ok=True)
    given = {case.images[0]: case for case in drawn.test}
    people = {}
    for named in find_inputs(list(given), 1):
        case = given[named.images[0]]
        people[named.id] = case.group
        assert case.label is not None
        link = truth / f"{named.id}{case.label.name[case.label.name.index('.') :]}"
        if not link.exists():
            link.symlink_to(case.label.absolute())
    dice: dict[str, list[float]] = defaultdict(list)
    for row in evaluate_folder(place, truth).rows:
        if row.label != UNION and row.dice == row.dice:
            dice[people[row.case]].append(row.dice)
    return {person: round(float(np.mean(values)), 5) for person, values in dice.items()}


def draw_rows(name: str, task: Task, number: int, data: Path, work: Path, done: set[tuple]) -> Any:
    """The rows of a draw that are not there yet."""
    found = find_dataset(
        data / task.data,
        images=task.images and Path(task.images),
        masks=task.masks and Path(task.masks),
        group_regex=task.people,
    )
    drawn, place = draw(list(found.cases), task, number), work / name / str(number)
    trial = TRIAL if task.trial else ()
    common = (
        "--seed",
        number,
        "--steps",
        task.steps,
        "--validation",
        "none",
        *trial,
        *(TINY if trial else ()),
    )
    first = place / "first"
    unlabelled = [*drawn.others, *drawn.beside]
    train(first, write_table(place / "first.csv", drawn.labelled, unlabelled), *common)
    pairs: list[tuple[str, str]] = [("first", "anew"), *((choice, way) for choice in CHOICES for way in WAYS)]
    for choice, way in pairs:
        if (name, number, choice, way) in done:
            continue
        run, five, seconds = place / f"{choice}-{way}", list[Case](), 0.0
        if choice == "first":
            run = first
        else:
            five, seconds = chosen(task, drawn, first, place / "suggest", choice, number)
            if way == "anew":
                rest = [case for case in unlabelled if case not in five]
                train(run, write_table(place / f"{choice}.csv", [*drawn.labelled, *five], rest), *common)
            else:
                more = write_table(place / f"{choice}-more.csv", five, [])
                train(run, more, "--from", first, "--seed", number, "--steps", task.steps, *trial)
        dice = tested(run, drawn, place / f"masks-{run.name}")
        result = json.loads((run / "result.json").read_text())
        yield {
            "set": name, "draw": number, "choice": choice, "way": way, "chosen": [case.id for case in five],
            "choosing_seconds": round(seconds, 1), "train_seconds": round(result["seconds"], 1), "dice": dice,
        }  # fmt: skip


def page(rows: list[dict[str, Any]]) -> str:
    """The table of all networks, and the paired differences."""
    said = [
        "# Suggested scans against scans chosen by chance", "",
        "From five labels to ten: one network learns from five, then five more are labelled, chosen by `suggest` or by chance",
        "(one scan of a person either way), and a network learns from the ten, anew or with `--from`. Mean Dice over people who",
        "test; one seed a draw, the same for all of its networks. Made by",
        "`python benchmarks/suggest.py DATA WORK docs/results/suggest.jsonl`, and with `--page` this page. Draw 20 was of the rule of",
        "before (the largest doubt times distance to what is labelled or chosen), which lost to chance and was given up for that of",
        "now (scans that stand for what is doubted). Its differences are not among the means.", "",
        "| set | draw | five labels | suggested, anew | by chance, anew | suggested, `--from` | by chance, `--from` | minutes: anew, `--from`, choosing |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]  # fmt: skip
    found = {(row["set"], row["draw"], row["choice"], row["way"]): row for row in rows}
    for name, number in dict.fromkeys((row["set"], row["draw"]) for row in rows):
        own = {key[2:]: row for key, row in found.items() if key[:2] == (name, number)}
        dice = [_dice(own.get(("first", "anew"))), *(_dice(own.get((c, w))) for w in WAYS for c in CHOICES)]
        took = {way: [own[c, way]["train_seconds"] / 60 for c in CHOICES if (c, way) in own] for way in WAYS}
        minutes = [f"{np.mean(each):.1f}" if each else "–" for each in took.values()]
        chose = own.get(("suggested", "anew"), {}).get("choosing_seconds", 0) / 60
        said.append(f"| {name} | {number} | {' | '.join(dice)} | {', '.join([*minutes, f'{chose:.1f}'])} |")
    return "\n".join(
        [*said, "", "Differences, mean over draws:", "", *(f"- {line}" for line in summary(rows)), ""]
    )


def _dice(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{np.mean(list(row['dice'].values())):.3f}"


def summary(rows: list[dict[str, Any]]) -> list[str]:
    """Paired differences: of each draw, mean over people, suggested less by chance; and anew less from."""
    mean = {
        (row["set"], row["draw"], row["choice"], row["way"]): float(np.mean(list(row["dice"].values())))
        for row in rows
    }
    lines = []
    for name in TASKS:
        for way in WAYS:
            apart = [
                mean[name, number, "suggested", way] - mean[name, number, "by chance", way]
                for number in DRAWS
                if all((name, number, choice, way) in mean for choice in CHOICES)
            ]
            lines.append(f"{name}, {way}: suggested less by chance {_words(apart)}")
        apart = [
            mean[name, number, choice, "from"] - mean[name, number, choice, "anew"]
            for number in DRAWS
            for choice in CHOICES
            if all((name, number, choice, way) in mean for way in WAYS)
        ]
        lines.append(f"{name}: --from less anew {_words(apart)}")
    return lines


def _words(apart: list[float]) -> str:
    if not apart:
        return "not measured"
    return f"{np.mean(apart):+.4f} (draws: {', '.join(f'{each:+.4f}' for each in apart)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--draws", nargs="+", type=int, default=list(DRAWS))
    parser.add_argument("--steps", type=int, help="of a run, to try this script on a few people")
    parser.add_argument("--page", type=Path, help="write the table there, and run nothing")
    options = parser.parse_args()
    text = options.rows.read_text() if options.rows.exists() else ""
    rows = [json.loads(line) for line in text.splitlines()]
    if options.page is not None:
        options.page.write_text(page(rows))
        return
    done = {tuple(row[key] for key in ("set", "draw", "choice", "way")) for row in rows}
    for number in options.draws:
        for name in options.tasks:
            task = TASKS[name]
            if options.steps:
                task = replace(task, steps=options.steps, test=min(task.test, 6), trial=True)
            for row in draw_rows(name, task, number, options.data, options.work, done):
                rows.append(row)
                with options.rows.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print({key: row[key] for key in ("set", "draw", "choice", "way")}, flush=True)
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
