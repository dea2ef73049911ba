"""docs/results/few-labels-before.md from the rows that `few_labels.py` wrote.

python benchmarks/few_labels_page.py docs/results/few-labels-before.jsonl docs/results/few-labels-before.md
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np

OURS, USUAL, SAME, FLAT = "ours", "dense as usual", "dense, same recipe", "flat, equal parameters"
ORDER = (USUAL, SAME, FLAT, "flat, equal FLOPs", "stamp+ as published", OURS)
MARGIN = 0.01  # Dice that ours may lose against the dense network of the same recipe
FAILED = 0.5  # Dice below which a person counts as failed
RESAMPLES = 4000
HEAD = """# Few labels: ours against the usual U-Net, and against its controls

Written down before the first run of this table:

- **P1** ours against the dense network with the same recipe: not worse by more than {margin:.2f} Dice (lower end of the interval).
- **P2** ours against a flat U-Net of equal parameters with the same recipe: better.
- **P3** ours against the U-Net as it is usually trained (labelled scans alone, the files' own grid): better.

The unit is the draw: who is labelled, who is seen without labels and who tests are drawn anew, with a new seed; nobody is in two
parts, nobody validates, the last network counts. All networks of a draw share people, steps and the order of
batches. Draws below 10 were used to choose the defaults ([trials](few-labels-trials.md)); these begin at 10. P is of the
exact sign-flip test over all draws of all sets (one-sided, Holm over the three claims); intervals of 95% are by
bootstrap over draws within the sets, then over people. With four draws a set a single set proves little: read the
last table.

    python benchmarks/few_labels.py DATA WORK docs/results/few-labels-before.jsonl --tasks ... --draws 10 11 12 13 --variants ...
    python benchmarks/few_labels_page.py docs/results/few-labels-before.jsonl docs/results/few-labels-before.md

**Not whole yet**: the table holds what has been run. The rows of ours on cardiac and fetal were made before the guard took the
better of average and network (no cut was undone in them, so that it decided nothing), those of nerve after it.
All were made before masks left out stray pieces (`data.pieces`), which was chosen after these draws had been seen: the study that
counts has draws 14 to 17, `studies/few-labels.yaml`, and is done with `stampseg study`.

"dense, same recipe" and the flat networks have uniform channel dropout of 5%, the mean of what targeted dropout gives.
"""


MARK = "<!-- made by benchmarks/few_labels_page.py -->"


def main() -> None:
    if sys.argv[1] == "--trials":
        rows, page = (
            [json.loads(line) for line in Path(sys.argv[2]).read_text().splitlines()],
            Path(sys.argv[3]),
        )
        page.write_text(f"{page.read_text().split(MARK)[0]}{MARK}\n{trials(rows)}")
        return
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    rows = [row for row in rows if row["variant"] in ORDER]
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    parts = [HEAD.format(margin=MARGIN), *(table(task, rows) for task in tasks), claims(rows, tasks)]
    Path(sys.argv[2]).write_text("\n".join(parts))


def table(task: str, rows: list[dict]) -> str:
    mine = [row for row in rows if row["task"] == task]
    first = mine[0]
    lines = [
        f"## {task}",
        "",
        f"{first['labelled']} labelled, {first['unlabelled']} without labels, {first['test']} test images of "
        f"{len(first['people'])} people a draw; `{' '.join(first['options'][:2])}`.",
        "",
        "| network | draws | Dice | of each draw | median person | people below .5 | parameters | MFLOPs | seconds |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for variant in ORDER:
        runs = sorted((r for r in mine if r["variant"] == variant), key=lambda r: r["draw"])
        if not runs:
            continue
        people = [dice for run in runs for dice in run["people"].values()]
        each = " ".join(f"{run['dice']:.3f}" for run in runs)
        lines.append(
            f"| {variant} | {len(runs)} | {np.mean([r['dice'] for r in runs]):.3f} | {each} | "
            f"{np.median(people):.3f} | {sum(d < FAILED for d in people)} of {len(people)} | "
            f"{np.mean([r['parameters'] for r in runs]):,.0f} | {np.mean([r['flops'] for r in runs]) / 1e6:,.0f} | "
            f"{np.mean([r['train_seconds'] for r in runs]):.0f} |"
        )
    guarded = [r for r in mine if r["variant"] == OURS]
    if guarded:
        lines += ["", f"Ours: {sum(r.get('spared', 0) for r in guarded)} cuts had channels spared, "
                  f"{sum(r.get('undone', 0) for r in guarded)} were undone."]  # fmt: skip
    return "\n".join([*lines, ""])


def trials(rows: list[dict]) -> str:
    """A table for each set: every variant tried, with its options, draw by draw."""
    lines: list[str] = []
    for task in dict.fromkeys(row["task"] for row in rows):
        mine = [row for row in rows if row["task"] == task]
        draws = sorted({row["draw"] for row in mine})
        lines += ["", f"## {task}, trials", "",
                  f"| variant | options | parameters | {' | '.join(f'draw {d}' for d in draws)} | mean |",
                  f"|---|---|---:|{'---:|' * len(draws)}---:|"]  # fmt: skip
        for variant in dict.fromkeys(row["variant"] for row in mine):
            runs = {row["draw"]: row for row in mine if row["variant"] == variant}
            first = next(iter(runs.values()))
            each = [f"{runs[d]['dice']:.3f}" if d in runs else "" for d in draws]
            mean = np.mean([run["dice"] for run in runs.values()])
            lines.append(
                f"| {variant} | `{' '.join(first['options'])}` | {first['parameters']:,} | "
                f"{' | '.join(each)} | {mean:.3f} |"
            )
    return "\n".join([*lines, ""])


def claims(rows: list[dict], tasks: list[str]) -> str:
    """Paired differences, set by set and over all."""
    lines = ["## The claims", "", "| ours minus | set | draws | mean | interval |", "|---|---|---:|---:|---|"]
    tests: list[tuple[str, list[float], float]] = []
    for name, other, shift in (("P1", SAME, MARGIN), ("P2", FLAT, 0.0), ("P3", USUAL, 0.0)):
        per_set = {task: pairs(rows, task, other) for task in tasks}
        per_set = {task: found for task, found in per_set.items() if found}
        for task, found in per_set.items():
            means = [np.mean(list(pair.values())) for pair in found]
            low, high = interval({task: found})
            lines.append(
                f"| {other} | {task} | {len(found)} | {np.mean(means):+.3f} | {low:+.3f} to {high:+.3f} |"
            )
        if per_set:
            low, high = interval(per_set)
            mean = np.mean(
                [np.mean([np.mean(list(p.values())) for p in found]) for found in per_set.values()]
            )
            count = sum(map(len, per_set.values()))
            lines.append(
                f"| {other} | **all sets** | {count} | **{mean:+.3f}** | {low:+.3f} to {high:+.3f} |"
            )
            means = [float(np.mean(list(p.values()))) for found in per_set.values() for p in found]
            tests.append((name, [m + shift for m in means], float(mean)))
    lines += ["", "| claim | mean difference | P (Holm) |", "|---|---:|---:|"]
    values = [sign_flip(means) for _, means, _ in tests]
    for (name, _, mean), p in zip(tests, holm(values), strict=True):
        lines.append(f"| {name} | {mean:+.3f} | {p:.4f} |")
    return "\n".join([*lines, ""])


def pairs(rows: list[dict], task: str, other: str) -> list[dict[str, float]]:
    """Of each draw that both have: ours minus the other, person by person."""
    of = {(r["draw"], r["variant"]): r["people"] for r in rows if r["task"] == task}
    draws = sorted({draw for draw, _ in of})
    return [
        {who: of[draw, OURS][who] - of[draw, other][who] for who in of[draw, OURS]}
        for draw in draws
        if (draw, OURS) in of and (draw, other) in of
    ]


def interval(per_set: dict[str, list[dict[str, float]]]) -> tuple[float, float]:
    """Of the mean over sets, by bootstrap over draws within sets, then people."""
    rng, means = np.random.default_rng(0), []
    values = [[np.array(list(pair.values())) for pair in found] for found in per_set.values()]
    for _ in range(RESAMPLES):
        sets = []
        for found in values:
            draws = [found[i] for i in rng.integers(len(found), size=len(found))]
            sets.append(np.mean([rng.choice(people, len(people)).mean() for people in draws]))
        means.append(np.mean(sets))
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def sign_flip(values: list[float]) -> float:
    """P that signs drawn by chance give at least this mean: all of them where there are few, else a sample."""
    array = np.array(values)
    if len(array) <= 16:
        signs = np.array(list(itertools.product((1, -1), repeat=len(array))))
    else:
        signs = np.random.default_rng(0).choice((1, -1), (100_000, len(array)))
    return float(((signs * array).mean(1) >= array.mean() - 1e-12).mean())


def holm(values: list[float]) -> list[float]:
    """Adjusted for several claims."""
    order, found, largest = np.argsort(values), [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, values[place] * (len(values) - rank)))
        found[place] = largest
    return found


if __name__ == "__main__":
    main()
