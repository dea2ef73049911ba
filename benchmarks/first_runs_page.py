"""Write docs/results/first-runs.md from the JSON files that first_runs.py left.

python benchmarks/first_runs_page.py docs/results/first-runs
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean, stdev

TITLES = {
    "hippocampus": "Hippocampus MRI, 10 labelled cases",
    "cardiac": "Cardiac MRI, 20 labelled slices of 4 people",
    "fetal": "Fetal head ultrasound, 20 labelled images",
}
METHODS = {"dense": "dense U-Net", "stampplus": "STAMP+", "flat": "flat U-Net"}
READING = """## What the tables say

- Hippocampus: dense, STAMP+ and flat lie within half a point of Dice, inside the error. Size is nearly free on
  this set. STAMP+ does not beat the flat network of its size in Dice; it needs 2.8 times fewer FLOPs than that
  network, as the tables show, because the flat one is wide at full resolution. It did not take fewer seconds:
  odd channel counts are slow on this processor, for the flat network (width 11) most of all.
- Cardiac and fetal, in these short runs (500 and 200 steps): STAMP+ lost to the dense and to the flat
  network, by one to two standard errors. A network that learns slowly is pruned while it still learns, and its recovery is short. Nothing here
  shows that pruning while training wins with few labels; that needs longer runs, more seeds and the controls.
- Not all runs are of one state of the code. The hippocampus dense run is the oldest: the augmentation was still
  being changed, and it has not been repeated. The hippocampus STAMP+ run is older than the rule that the first cut
  waits, and than the wider roll-back threshold; neither would have acted in it (Dice on the training set was 0.75
  before its first cut, and no cut was rolled back).
"""
INTRO = """# First runs

Three real tasks with few labels. Each method takes the same optimiser steps on the same training cases
in the same order of batches, with one seed; the test cases are of other people and were looked at by no
run. A flat U-Net (all levels equally wide, trained from scratch) of about the size that STAMP+ ended
at is the control: where it is as good, pruning has earned nothing but the choice of a size.

**One seed, one draw of the training cases: differences of about a point of Dice are within what another
draw would change.** The paired differences below are over test people, not over seeds. The validation
cases are labels too, beyond the training cases; they choose the round (the best of ten stages for dense
and flat, of five for STAMP+), so the last round, which nobody chose, is given beside it. Seconds are of
a machine with two cores that other work shared, and tell little; step counts are equal. Each run's JSON,
with the command, the whole `result.json` and every test case, lies in [first-runs/](first-runs). Made with

    python benchmarks/first_runs.py DATA WORK docs/results/first-runs --tasks hippocampus
    python benchmarks/first_runs.py DATA WORK docs/results/first-runs --tasks cardiac --steps 500
    python benchmarks/first_runs.py DATA WORK docs/results/first-runs --tasks fetal --steps 200
    python benchmarks/first_runs_page.py docs/results/first-runs
"""


def load(folder: Path) -> dict[str, dict[str, dict]]:
    """Task -> method -> record."""
    found: dict[str, dict[str, dict]] = {}
    for task in TITLES:
        for method in METHODS:
            path = folder / f"{task}-{method}.json"
            if path.exists():
                found.setdefault(task, {})[method] = json.loads(path.read_text())
    return found


def person_means(rows: list[dict]) -> dict[str, float]:
    """Person -> mean Dice over the person's cases and the labels they hold (the union left out)."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row["value"] is not None and row["dice"] is not None:
            values.setdefault(row["group"], []).append(row["dice"])
    return {person: mean(dice) for person, dice in values.items()}


def mean_dice(summary: dict) -> float:
    """Mean over the labels of their mean Dice over cases."""
    means = [values["dice"]["mean"] for label, values in summary.items() if label != "union"]
    return mean(value for value in means if value is not None)


def table(records: dict[str, dict]) -> list[str]:
    """One line per method."""
    labels = list(next(iter(records.values()))["test"])
    heads = ["network", "parameters", "GFLOPs", *(f"Dice {label}" for label in labels)]
    heads += ["mean Dice", "of the last round", "HD95", "steps", "seconds"]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for method, record in records.items():
        result, test = record["result"], record["test"]
        share = result["parameters_after"] / result["parameters_dense"]
        cells = [
            METHODS[method],
            f"{result['parameters_after']:,} ({share:.1%})",
            f"{result['flops_after'] / 1e9:.2f}",
            *(f"{test[label]['dice']['mean']:.3f}" for label in labels),
            f"{mean_dice(test):.4f}",
            f"{mean_dice(record['test_last_round']):.4f}",
            f"{test[labels[-1]]['hd95']['mean']:.2f}",
            f"{result['steps']:,}",
            f"{result['seconds']:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def differences(records: dict[str, dict]) -> list[str]:
    """STAMP+ minus the others, paired by test case."""
    if "stampplus" not in records:
        return []
    ours, lines = person_means(records["stampplus"]["rows_last_round"]), []
    for method, record in records.items():
        if method == "stampplus":
            continue
        theirs = person_means(record["rows_last_round"])
        gaps = [ours[person] - theirs[person] for person in ours]
        error = stdev(gaps) / len(gaps) ** 0.5
        lines.append(
            f"- STAMP+ minus {METHODS[method]}, last rounds: {mean(gaps):+.4f} mean Dice over "
            f"{len(gaps)} people (standard error over people {error:.4f}), "
            f"better in {sum(g > 0 for g in gaps)}."
        )
    phases = records["stampplus"]["phase_seconds"]
    overhead = phases["score"] + phases["cut"]
    lines.append(
        f"- Of the STAMP+ run's seconds, scoring took {phases['score'] / sum(phases.values()):.1%}, cutting and "
        f"carrying {phases['cut'] / sum(phases.values()):.2%}; both are {overhead / phases['train']:.1%} of training."
    )
    return lines


def main() -> None:
    """Write the page."""
    folder = Path(sys.argv[1])
    lines = [INTRO]
    for task, records in load(folder).items():
        first = next(iter(records.values()))
        lines += [
            f"## {TITLES[task]}",
            "",
            f"{first['result']['training_cases']} cases train, {first['result']['validation_cases']} validate; "
            f"{first['test_cases']} test cases of {first['test_people']} other people. "
            "HD95 of the last label column, in mm for volumes and pixels for pictures.",
            "",
            *table(records),
            "",
            *differences(records),
            "",
            *(f"    {record['command']}" for record in records.values()),
            "",
        ]
        widths = records.get("stampplus", {}).get("result", {}).get("widths")
        if widths:
            left = ", ".join(f"{name} {width}" for name, width in widths.items())
            lines += [f"Widths that STAMP+ left: {left}.", ""]
    lines.append(READING)
    (folder.parent / "first-runs.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
