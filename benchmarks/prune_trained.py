"""Prune networks that are already trained, and test them before and after on other people.

    python benchmarks/prune_trained.py DATA WORK docs/results/prune-trained NAME=MODEL [NAME=MODEL ...]

DATA holds hippocampus_mri. A MODEL is a run folder, a model file or an nnU-Net results folder. Each is
pruned with the first 10 cases of the pool of benchmarks/first_runs.py, which is also what our own dense
run of that benchmark was trained on; the 40 test cases are of other people, and cases whose people are
named in --exclude (a text file of case ids, one per line) are left out of the test. The control is trained
on for the same steps with nothing cut (--target 100%). All are predicted by the same code, `stampseg
predict`. One JSON is written per NAME, and a page of all.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

from first_runs import Task, hippocampus, stampseg, test, write_cases

from stampseg.run.records import RESULT, read_result


def without(task: Task, ids: set[str]) -> Task:
    """The task without test cases of people who own one of the cases."""
    people = {group for image, _, group in (*task.pool, *task.test) if image.name.split(".")[0] in ids}
    return replace(task, test=[row for row in task.test if row[2] not in people])


def prune(task: Task, name: str, model: Path, part: str, options: argparse.Namespace, *more: object) -> str:
    """`stampseg prune` into `part`, unless this very run is there already; returns the command."""
    place = options.work / name
    place.mkdir(parents=True, exist_ok=True)
    pool = write_cases(place / "pool.csv", task.pool)
    command = ["prune", model, pool, "-o", place / part, "--labels", "10", "--seed", "0", *more]
    words = "stampseg " + shlex.join(
        str(w).replace(f"{place}/", "").replace(str(model), name) for w in command
    )
    note = place / f"{part}-command.txt"
    if not (place / part / RESULT.name).exists() or not note.exists() or note.read_text() != words:
        shutil.rmtree(place / part, ignore_errors=True)
        stampseg(*command)
        note.write_text(words)
    return words


AS_IT_IS = (
    "--target", "100%", "--steps", "1", "--set", "train.learning_rate=1e-12", "--set", "train.weight_decay=0",
)  # fmt: skip


def run(task: Task, name: str, model: Path, options: argparse.Namespace) -> dict:
    """Prune one model, train it on without pruning, and test all three."""
    place = options.work / name
    words = prune(task, name, model, "pruned", options, "--target", options.target, "--steps", options.steps)
    prune(task, name, model, "control", options, "--target", "100%", "--steps", options.steps)
    prune(task, name, model, "given", options, *AS_IT_IS)  # the source as our own model file
    record: dict = {"command": words}
    for part in ("given", "pruned", "control"):
        evaluation, _ = test(task, place / part, place, part)
        record[part] = {
            "test": evaluation["summary"],
            "rows": evaluation["rows"],
            "result": read_result(place / part).model_dump(mode="json"),
        }
        record["test_cases"] = evaluation["cases"]
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    return record


def mean_dice(summary: dict) -> str:
    """Means of all labels."""
    return ", ".join(f"{label} {values['dice']['mean']:.3f}" for label, values in summary.items())


def page(results: Path) -> str:
    """The page of all results that are there."""
    lines = [
        "# Pruning networks that are already trained",
        "",
        "Hippocampus MRI, ten labelled cases to recover on, tested on people whom the network never saw; mean",
        "Dice over the test cases. `given` is the network as it was, `control` the same network trained on for",
        "the same steps with nothing cut, so that what pruning does is told from what training does. One seed",
        "each. Made by `benchmarks/prune_trained.py`; the JSON of every run lies in `prune-trained/`.",
        "",
        "| network | | parameters | GFLOPs | steps | Dice on test cases |",
        "|---|---|---|---|---|---|",
    ]
    records = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    for name, record in records.items():
        for part in ("given", "pruned", "control"):
            found = record[part]["result"]
            steps = 0 if part == "given" else found["steps"]
            lines.append(
                f"| {name}, {record['test_cases']} cases | {part} | {found['parameters_after']:,} "
                f"({found['parameters_after'] / found['parameters_before']:.1%}) | "
                f"{found['flops_after'] / 1e9:.2f} | {steps} | {mean_dice(record[part]['test'])} |"
            )
    return "\n".join([*lines, "", "```", *(r["command"] for r in records.values()), "```", ""])


def main() -> None:
    """Run all models that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--target", default="15%")
    parser.add_argument("--exclude", type=Path)
    options = parser.parse_args()
    task = hippocampus(options.data, options.steps)
    if options.exclude:
        task = without(task, set(options.exclude.read_text().split()))
    for text in options.models:
        name, _, model = text.partition("=")
        record = run(task, name, Path(model), options)
        print(name, *(mean_dice(record[part]["test"]) for part in ("given", "pruned", "control")), flush=True)
    options.results.with_suffix(".md").write_text(page(options.results))


if __name__ == "__main__":
    main()
