"""Does a pruned network still find every class? Short runs on ten cases, several seeds, and what may be cut.

    python benchmarks/class_kept.py DATA WORK docs/results/class-kept.json [--seeds 0 1 2 3] [--rows default ...]

DATA holds hippocampus_mri: ten cases of ten people train, none validates, and forty cases of other people test
(as in first_runs.py). WORK keeps a folder per run and what was found; a run that is there is not trained again, so
that several processes may each take some of the seeds. The file and the page are of all that lies in WORK.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
from pathlib import Path

from first_runs import hippocampus, stampseg, test, write_cases

from stampseg.core.machine import processor

STEPS = 700
TRAIN = ("--validation", "none", "--set", "data.spacing=[2,2,2]")
ROWS = {
    "default": ("--target", "15%"),
    "every layer": ("--target", "15%", "--set", "prune.rankable=all"),
    "FLOPs 25%": ("--target-flops", "25%"),
}
KEPT = ("case", "group", "label", "dice")
LOST = 0.1  # mean Dice below which a class is not found
INTRO = """# Is every class still found?

Hippocampus MRI on a grid of 2 mm, ten labelled cases of ten people, no validation cases, {steps} steps, method
stamp+; mean Dice over {cases} cases of {people} other people, anterior / posterior. A channel on which a class
depends can rank low, and where nothing validates nobody sees it go. By default neither the up-convolutions nor the
last layer before the classes are cut (`prune.rankable=published`); `every layer` is `prune.rankable=all`.
Pruning for FLOPs cuts every layer too, but none below three quarters of an even cut (`prune.even`). A mean Dice
below {lost} is counted as a lost class. Each seed draws its own ten cases.
"""


def run(data: Path, work: Path, name: str, seed: int) -> None:
    """Train, test and write one record, unless it is there."""
    place = work / f"{name.replace(' ', '-').replace('%', '')}-{seed}"
    if (place / "record.json").exists():
        return
    task = hippocampus(data, STEPS)
    place.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place / "run", ignore_errors=True)
    command = ["train", write_cases(place / "pool.csv", task.pool), "-o", place / "run", *task.options]
    command += ["--seed", str(seed), *ROWS[name], *TRAIN]
    stampseg(*command)
    evaluation, _ = test(task, place / "run", place, "test")
    result = json.loads((place / "run" / "result.json").read_text())
    labels = {label: m["dice"]["mean"] for label, m in evaluation["summary"].items() if label != "union"}
    record = {
        "row": name,
        "seed": seed,
        "command": "stampseg " + shlex.join(str(word).replace(f"{place}/", "") for word in command),
        "machine": {**result["machine"], "processor": processor(), "cores": os.cpu_count()},
        "seconds": result["seconds"],
        "parameters_before": result["parameters_before"],
        "parameters": result["parameters_after"],
        "flops_before": result["flops_before"],
        "flops": result["flops_after"],
        "target_reached": result["target_reached"],
        "widths": result["widths"],
        "test_cases": evaluation["cases"],
        "test_people": len({group for _, _, group in task.test}),
        "dice": labels,
        "rows": [{k: r[k] for k in KEPT} for r in evaluation["rows"] if r["label"] != "union"],
    }
    (place / "record.json").write_text(json.dumps(record, indent=1) + "\n")
    print(name, seed, record["parameters"], {k: round(v, 3) for k, v in labels.items()}, flush=True)


def write(work: Path, output: Path) -> None:
    """The file and the page, of all that was found so far."""
    records = [json.loads(path.read_text()) for path in sorted(work.glob("*/record.json"))]
    records.sort(key=lambda record: (list(ROWS).index(record["row"]), record["seed"]))
    command = f"python benchmarks/class_kept.py DATA WORK docs/results/{output.name}"
    output.write_text(json.dumps({"command": command, "runs": records}, indent=1) + "\n")
    output.with_suffix(".md").write_text(page(command, records), encoding="utf-8")


def page(command: str, records: list[dict]) -> str:
    """The records as a page."""
    first = records[0]
    seeds = sorted({record["seed"] for record in records})
    lines = [
        INTRO.format(steps=STEPS, cases=first["test_cases"], people=first["test_people"], lost=LOST),
        "| run | parameters | share of the FLOPs | "
        + " | ".join(f"seed {seed}" for seed in seeds)
        + " | lost |",
        "|---|---:|---:|" + "---:|" * (len(seeds) + 1),
    ]
    for name in ROWS:
        mine = {record["seed"]: record for record in records if record["row"] == name}
        if not mine:
            continue
        cells = [" / ".join(f"{v:.3f}" for v in mine[s]["dice"].values()) if s in mine else "" for s in seeds]
        lost = sum(value < LOST for record in mine.values() for value in record["dice"].values())
        classes = sum(len(record["dice"]) for record in mine.values())
        sizes = sorted(record["parameters"] for record in mine.values())
        shares = sorted(record["flops"] / record["flops_before"] for record in mine.values())
        lines.append(
            f"| {name} | {_between(f'{sizes[0]:,}', f'{sizes[-1]:,}')} | "
            f"{_between(f'{shares[0]:.0%}', f'{shares[-1]:.0%}')} | {' | '.join(cells)} | {lost} of {classes} |"
        )
    machine = first["machine"]
    lines += [
        "",
        f"The dense network has {first['parameters_before']:,} parameters. On {machine['processor']}, "
        f"{machine['cores']} cores, {machine['threads']} thread(s) a run, torch {machine['torch']}, stampseg "
        f"{machine['stampseg']}; other work shared the machine, so that seconds tell nothing. Made with",
        "",
        f"    {command}",
        "",
        "which runs, for each seed,",
        "",
        *(f"    {r['command']}" for r in records if r["seed"] == seeds[0]),
    ]
    return "\n".join(lines) + "\n"


def _between(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def main() -> None:
    """Train what is asked for, then write what is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    options = parser.parse_args()
    for name in options.rows:
        for seed in options.seeds:
            run(options.data, options.work, name, seed)
            write(options.work, options.output)


if __name__ == "__main__":
    main()
