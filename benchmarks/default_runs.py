"""Does a default run ever lose a label? Twenty runs on three sets, each with ten labels of people drawn anew.

    python benchmarks/default_runs.py DATA WORK RESULTS.jsonl [--page PAGE.md] [--only hippocampus]

Every run is `stampseg train POOL.csv --labels 10 --validation none` with nothing else than its seed and its number of
steps, 300 to 700: the default method, size and guards. Ten of its people are labelled, others are seen without labels,
others test. A label is lost where the network finds it in nobody who tests; a run that says so itself ends with exit
status 4 and no model. RESULTS gets a line as a run ends, and what it holds is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import replace
from pathlib import Path

from few_labels import TASKS, Task, run

STEPS = (300, 400, 500, 600, 700)
RUNS = {"hippocampus": 7, "cardiac": 7, "nerve": 6}
PEOPLE = {"cardiac": (5, 2)}  # people who are labelled, images of each, where one image each is not there
FIRST = 200  # draws and seeds from here on: no trial and no study uses them
FOUND = 0.05  # Dice over the people who test, below which a label counts as lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--page", type=Path, help="write the table there, and run nothing")
    parser.add_argument("--only", nargs="+", default=list(RUNS), choices=RUNS)
    given = parser.parse_args()
    rows = lines(given.results)
    if given.page is not None:
        given.page.write_text(page(rows))
        return
    TASKS.update(tasks())
    done = {(row["task"], row["draw"]) for row in rows}
    for number in range(max(RUNS.values())):
        for task in given.only:
            draw = FIRST + number
            if number >= RUNS[task] or (task, draw) in done:
                continue
            row = one(task, draw, STEPS[number % len(STEPS)], given.data, given.work)
            with given.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(task, draw, row["steps"], row.get("dice_per_label") or row["failure"], flush=True)


def tasks() -> dict[str, Task]:
    """The sets, with ten labels each."""
    of = {name: TASKS[name] for name in RUNS}
    return of | {name: replace(of[name], people=people, each=each) for name, (people, each) in PEOPLE.items()}


def one(task: str, draw: int, steps: int, data: Path, work: Path) -> dict:
    """One run: its line."""
    try:
        line = run("default", ["--steps", str(steps)], task, draw, data, work, {}, common=())
    except subprocess.CalledProcessError as error:
        result = work / f"{task}-default-{draw}" / "run" / "result.json"
        if error.returncode != 4 or not result.exists():
            raise
        return {
            "task": task,
            "draw": draw,
            "steps": steps,
            "failure": json.loads(result.read_text())["failure"],
        }
    return {**line, "steps": steps, "failure": None}


def page(rows: list[dict]) -> str:
    """The table, and how many labels were lost."""
    lost = [row for row in rows if row["failure"] is None and min(row["dice_per_label"].values()) < FOUND]
    failed = [row for row in rows if row["failure"] is not None]
    said = [
        "# Default runs with ten labels",
        "",
        f"{len(rows)} of {sum(RUNS.values())} runs: {len(lost)} lost a label without a word, {len(failed)} ended with exit status 4 and no model, "
        f"{sum(row.get('spared', 0) for row in rows)} cuts had channels spared and "
        f"{sum(row.get('undone', 0) for row in rows)} were undone. Seconds are of the clock, beside other work. Made by",
        "",
        "    python benchmarks/default_runs.py DATA WORK docs/results/default-runs.jsonl",
        "    python benchmarks/default_runs.py DATA WORK docs/results/default-runs.jsonl --page docs/results/default-runs.md",
        "",
        "| set | draw and seed | steps | Dice of each label, people who test | parameters left | spared | undone | seconds |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    for row in sorted(rows, key=lambda row: (row["task"], row["draw"])):
        head = f"| {row['task']} | {row['draw']} | {row['steps']} |"
        if row["failure"] is not None:
            said.append(f"{head} no model: {row['failure']} | | | | |")
            continue
        dice = ", ".join(f"{name} {value:.3f}" for name, value in row["dice_per_label"].items())
        left = f"{row['parameters'] / row['parameters_dense']:.1%}"
        said.append(
            f"{head} {dice} | {left} | {row['spared']} | {row['undone']} | {row['train_seconds']:.0f} |"
        )
    return "\n".join(said) + "\n"


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
