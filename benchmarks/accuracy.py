"""Run before and after touching training: three small tasks, fixed people and seeds, about ten minutes.

    python benchmarks/accuracy.py DATA WORK NOW.jsonl [--against docs/results/accuracy.jsonl]

Each task is a draw of `few_labels.py` with fewer steps, for the usual U-Net and for ours. Figures are held against
those that are committed: the seeds are the same, so what differs is the change, the machine, or the order in which sums
are rounded. A mean that falls by more than `LOSS` is a reason to look; one run alone is not.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from few_labels import TASKS, run

LOSS = 0.01  # of the mean Dice over the three tasks
DRAW = 99  # one that no trial and no study uses
STEPS = {"cardiac": 300, "fetal5": 300, "hippocampus": 400}
GRID = {"hippocampus": ["--grid", "2x2x2"]}
VARIANTS = {
    "dense as usual": ["--method", "dense", "--unlabelled", "none"],
    "ours": ["--method", "stamp+", "--target", "15%"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--against", type=Path, default=Path("docs/results/accuracy.jsonl"))
    given = parser.parse_args()
    done = {(r["task"], r["variant"]): r for r in lines(given.results)}
    for task, steps in STEPS.items():
        for variant, options in VARIANTS.items():
            if (task, variant) in done:
                continue
            settings = [*options, *GRID.get(task, []), "--steps", str(steps)]
            line = run(variant, settings, task, DRAW, given.data, given.work, {}, common=())
            done[task, variant] = line
            with given.results.open("a") as file:
                file.write(json.dumps(line) + "\n")
    sys.exit(compare(done, {(r["task"], r["variant"]): r for r in lines(given.against)}))


def compare(now: dict, before: dict) -> int:
    """Print both; 1 where ours has lost more than `LOSS` on average."""
    print(f"{'task':14} {'network':16} {'before':>7} {'now':>7} {'seconds':>8}")
    for (task, variant), line in now.items():
        old = before.get((task, variant))
        was = f"{old['dice']:7.3f}" if old else "      -"
        print(f"{task:14} {variant:16} {was} {line['dice']:7.3f} {line['train_seconds']:8.0f}")
    changes = [now[k]["dice"] - before[k]["dice"] for k in now if k in before and k[1] == "ours"]
    if not changes:
        print("nothing to hold it against")
        return 0
    mean = sum(changes) / len(changes)
    print(f"ours, mean change over {len(changes)} tasks: {mean:+.4f}")
    return int(mean < -LOSS)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    assert STEPS.keys() <= TASKS.keys()
    main()
