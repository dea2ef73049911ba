"""What are folds worth? The Dice out of fold against that on other people; all networks, and one they taught, against one.

    python benchmarks/folds.py DATA WORK docs/results/folds.jsonl [--tasks cardiac] [--draws 300] [--page docs/results/folds.md]

Of each draw some people are labelled, others are seen without labels, others test, as in few_labels.py. Two runs learn from
the same cases, with the same seed and steps: one network (`stampseg train`), and folds that teach one (`--folds 5 --distil`;
of the four people of the cardiac set each is held out once). People who test are then predicted by the one network, by the
folds together, and by the network they taught, all without post-processing; and by the folds with that which they chose.
RESULTS gets a row of each draw as it ends; what it holds is not run again, and a run that was stopped is taken up.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from few_labels import TASKS, Draw, draw, stampseg, tested, write_csv

from stampseg.evaluation.statistics import Estimate, averaged, people_given_runs, table_of

DRAWS = (300, 301)  # no trial and no study uses them
FOLDS = {"cardiac": 4}
PLAIN = "--no-postprocess"
NETWORKS = {
    "one network": ("one", PLAIN),
    "folds together": ("folds/folds", PLAIN),
    "network they taught": ("folds", PLAIN),
    "folds together, post-processed": ("folds/folds",),
}


def main() -> None:
    on_draws(__doc__, ["cardiac", "fetal", "retina"], DRAWS, one, page)


def on_draws(
    text: str,
    tasks: Sequence[str],
    draws: Sequence[int],
    one: Callable[[str, int, Path, Path, int | None], dict],
    page: Callable[[list[dict]], str],
) -> None:
    """The command line: a row of each task and draw that has none yet, or the page of the rows.

    Args:
        text: what the script says of itself.
        tasks, draws: where none are named.
        one: makes a row, from task, draw, data, folder to work in, and steps.
        page: of all rows.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(tasks), choices=TASKS)
    parser.add_argument("--draws", nargs="+", type=int, default=list(draws))
    parser.add_argument("--steps", type=int, help="of each network, to try this script")
    parser.add_argument("--page", type=Path, help="write the tables there, and run nothing")
    given = parser.parse_args()
    rows = lines(given.results)
    if given.page is not None:
        given.page.write_text(page(rows))
        return
    done = {(row["task"], row["draw"]) for row in rows}
    for number in given.draws:
        for task in given.tasks:
            if (task, number) not in done:
                row = one(task, number, given.data, given.work, given.steps)
                with given.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(task, number, {name: found["dice"] for name, found in row["tested"].items()})


def lines(path: Path) -> list[dict]:
    """Of a file of JSON lines; none where it is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def one(task: str, number: int, data: Path, work: Path, steps: int | None) -> dict:
    """Both runs of a draw, and what people who test say of their networks."""
    chosen, folder = draw(TASKS[task], data, number), work / f"{task}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "pool.csv", chosen)
    common = ["--seed", number, *(TASKS[task].options if steps is None else ("--steps", steps))]
    folds = FOLDS.get(task, 5)
    train(folder, "one", "--validation", "none", *common)
    train(folder, "folds", "--folds", folds, "--distil", *common)
    seconds = {
        name: json.loads((folder / name / "result.json").read_text())["seconds"] for name in ("one", "folds")
    }
    each = [
        json.loads(path.read_text())["seconds"] for path in sorted(folder.glob("folds/folds/*/result.json"))
    ]
    return {
        "task": task, "draw": number, "folds": folds, "labelled": len(chosen.labelled),
        "unlabelled": len(chosen.unlabelled), "test": len(chosen.test),
        "seconds": {"one": round(seconds["one"], 1), "taught": round(seconds["folds"], 1),
                    "folds": [round(each_one, 1) for each_one in each]},
        "out_of_fold": out_of_fold(folder / "folds" / "folds.json"),
        "tested": {name: measured(folder, chosen, *words) for name, words in NETWORKS.items()},
    }  # fmt: skip


def train(folder: Path, name: str, *words: object) -> None:
    """Unless it has ended; a run that was stopped goes on."""
    run = folder / name
    if not (run / "result.json").exists():
        begun = (run / "run.json").exists()
        stampseg(
            ["train", "--resume", run] if begun else ["train", folder / "pool.csv", "-o", run, *words],
            folder / f"{name}.log",
        )


def measured(folder: Path, chosen: Draw, network: str, *words: str) -> dict:
    """Dice of those who test."""
    name = "-".join(["masks", network.replace("/", "-"), *(word.strip("-") for word in words)])
    return tested(folder, chosen, network, name, *words)


def out_of_fold(path: Path) -> dict:
    """Dice of those who were held out: their mean, its limits, and of each person."""
    found = json.loads(path.read_text())
    people: dict[str, list[float]] = {}
    for case in found["cases"]:
        known = [value for value in case["dice"].values() if value is not None]
        people.setdefault(case["group"], []).append(float(np.mean(known)))
    of = found["labels"][-1]
    return {
        **{key: round(of[key], 4) for key in ("mean", "low", "high")},
        "kind": of["kind"],
        "people": {who: round(float(np.mean(values)), 4) for who, values in people.items()},
    }


def page(rows: list[dict]) -> str:
    """Both tables."""
    said = [
        "# What folds are worth", "",
        "Draws of people that neither a trial nor the study used; others test. Made by",
        "`python benchmarks/folds.py DATA WORK docs/results/folds.jsonl`, and with `--page` this page. One run of each network in",
        "each draw: a point between two of them may be the seed's.", "",
        "## Is the Dice out of fold that of other people?", "",
        "| set | labels | draw | folds | out of fold | its limits | other people, one network | apart |",
        "|---|---:|---:|---:|---:|---|---:|---:|",
    ]  # fmt: skip
    for row in sorted(rows, key=lambda row: (row["task"], row["draw"])):
        of, other = row["out_of_fold"], row["tested"]["one network"]["dice"]
        said.append(
            f"| {row['task']} | {row['labelled']} | {row['draw']} | {row['folds']} | {of['mean']:.3f} | "
            f"{of['low']:.3f} to {of['high']:.3f} ({of['kind']}) | {other:.3f} | {of['mean'] - other:+.3f} |"
        )
    apart = [row["out_of_fold"]["mean"] - row["tested"]["one network"]["dice"] for row in rows]
    said += [
        "",
        f"Mean difference {np.mean(apart):+.3f}, mean of the absolute differences {np.mean(np.abs(apart)):.3f}.",
        "", "## Folds together, and a network they taught, against one network", "",
        "| set | draw | " + " | ".join(NETWORKS) + " | seconds: one, folds, taught |",
        "|---|---:|" + "---:|" * len(NETWORKS) + "---|",
    ]  # fmt: skip
    for row in sorted(rows, key=lambda row: (row["task"], row["draw"])):
        took = row["seconds"]
        said.append(
            f"| {row['task']} | {row['draw']} | "
            + " | ".join(f"{row['tested'][name]['dice']:.3f}" for name in NETWORKS)
            + f" | {took['one']:.0f}, {sum(took['folds']):.0f}, {took['taught']:.0f} |"
        )
    said += ["", "Paired over people; the interval is over the people who test, given these runs.", ""]
    for name in list(NETWORKS)[1:]:
        said.append(f"- {name}: {paired(rows, name)}")
    return "\n".join([*said, ""])


def paired(rows: list[dict], name: str) -> str:
    """Difference to one network over the people who test, of each set and averaged over sets."""
    parts, found = [], []
    for task in dict.fromkeys(row["task"] for row in rows):
        table = table_of({row["draw"]: apart(row, name) for row in rows if row["task"] == task})
        estimate = people_given_runs(table)
        found.append(estimate)
        parts.append(f"{task} {words(estimate)}")
    return f"{words(averaged(found))}; " + ", ".join(parts)


def apart(row: dict, name: str) -> dict[str, float]:
    """Of each person who tests."""
    alone = row["tested"]["one network"]["people"]
    return {who: dice - alone[who] for who, dice in row["tested"][name]["people"].items()}


def words(estimate: Estimate) -> str:
    low, high = estimate.interval()
    return f"{estimate.mean:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
