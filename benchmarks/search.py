"""What is `--search` worth, and is its estimate honest? Against the default, on people who were in neither.

    python benchmarks/search.py DATA WORK docs/results/search.jsonl [--tasks cardiac] [--draws 310] [--page docs/results/search.md]

Of each draw some people are labelled, others are seen without labels, others test, as in few_labels.py. Two runs learn from the
same cases with the same seed: `stampseg train`, and `stampseg train --search`, which tries its short list by folds of the
labelled people and then trains with what it chose. Where that is the default, its network is the same as the first, and the
gain is nothing. RESULTS gets a row of each draw as it ends; what it holds is not run again, and a run that was stopped is taken up.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from few_labels import TASKS, draw, write_csv
from folds import PLAIN, measured, on_draws, train, words

from stampseg.evaluation.statistics import people_given_runs, table_of
from stampseg.run.search.records import Search, read_search

DRAWS = (310, 311)  # no trial and no study uses them


def main() -> None:
    on_draws(__doc__, ["cardiac", "fetal"], DRAWS, one, page)


def one(task: str, number: int, data: Path, work: Path, steps: int | None) -> dict:
    """Both runs of a draw, what the search said, and what people who test say."""
    chosen, folder = draw(TASKS[task], data, number), work / f"{task}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "pool.csv", chosen)
    common = ["--validation", "none", "--seed", number]
    # Steps that the user gives are not varied: those of the default are given where this script is only tried.
    common += [] if steps is None else ["--steps", steps]
    train(folder, "one", *common)
    train(folder, "search", "--search", *common)
    found = read_search(folder / "search")
    if found is None:
        raise SystemExit(f"{folder / 'search'}: has no search.json")
    seconds = {
        name: json.loads((folder / name / "result.json").read_text())["seconds"] for name in ("one", "search")
    }
    return {
        "task": task, "draw": number, "labelled": len(chosen.labelled),
        "unlabelled": len(chosen.unlabelled), "test": len(chosen.test),
        "seconds": {"one": round(seconds["one"], 1), "last": round(seconds["search"], 1),
                    "search": round(found.seconds, 1)},
        **said_by(found),
        "tested": {"one": measured(folder, chosen, "one", PLAIN), "search": measured(folder, chosen, "search", PLAIN)},
    }  # fmt: skip


def said_by(found: Search) -> dict:
    """What was chosen, why, what is expected of it, and the figures of the folds of each setting."""
    return {
        "chosen": found.chosen, "why": found.why, "estimate": found.estimate,
        "tried": {one.name: {"folds": one.folds, "mean": one.mean} for one in found.entrants},
    }  # fmt: skip


def page(rows: list[dict]) -> str:
    """The table, and the paired gain of each set."""
    said = [
        "# What a search is worth", "",
        "Draws of people that neither a trial nor the study used; others test. Made by",
        "`python benchmarks/search.py DATA WORK docs/results/search.jsonl`, and with `--page` this page.", "",
        "| set | labels | draw | chosen | its own folds | estimate | other people, chosen | other people, default | seconds: default, search |",
        "|---|---:|---:|---|---:|---:|---:|---:|---|",
    ]  # fmt: skip
    for row in sorted(rows, key=lambda row: (row["task"], row["draw"])):
        own, took = row["tried"][row["chosen"]]["mean"], row["seconds"]
        said.append(
            f"| {row['task']} | {row['labelled']} | {row['draw']} | {row['chosen']} | {own:.3f} | "
            f"{row['estimate']:.3f} | {row['tested']['search']['dice']:.3f} | {row['tested']['one']['dice']:.3f} | "
            f"{took['one']:.0f}, {took['search'] + took['last']:.0f} |"
        )
    apart = [row["estimate"] - row["tested"]["search"]["dice"] for row in rows]
    own = [row["tried"][row["chosen"]]["mean"] - row["tested"]["search"]["dice"] for row in rows]
    said += [
        "",
        f"Estimate less other people: mean {np.mean(apart):+.3f}, of the absolute differences {np.mean(np.abs(apart)):.3f}. "
        f"The chosen one's own folds less other people: {np.mean(own):+.3f}.",
        "",
        "Gain of the search over the default, paired over the people who test, given these runs:",
        "",
    ]
    for task in dict.fromkeys(row["task"] for row in rows):
        table = table_of({row["draw"]: gain(row) for row in rows if row["task"] == task})
        found = people_given_runs(table)
        said.append(f"- {task}: {'none, as the default was kept' if found is None else words(found)}")
    return "\n".join([*said, ""])


def gain(row: dict) -> dict[str, float]:
    """Of each person who tests."""
    alone = row["tested"]["one"]["people"]
    return {who: dice - alone[who] for who, dice in row["tested"]["search"]["people"].items()}


if __name__ == "__main__":
    main()
