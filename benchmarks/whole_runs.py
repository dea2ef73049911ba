"""Whole runs of equal steps: dense, pruned to a share of the FLOPs, pruned to a share of the parameters.

    python benchmarks/whole_runs.py DATA WORK docs/results/whole-runs.json [--steps 1000] [--turns 1]

DATA holds hippocampus_mri: ten cases of ten people train, two validate, forty of other people test
(as in first_runs.py). The runs are `stampseg train` as a user calls it, one after the other, in turns, so that
what else the machine does hits all of them; seconds are the run's own, from result.json. A round's overhead
is what scoring, choosing, cutting, carrying and measuring took, against its training. WORK keeps the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
from pathlib import Path

import torch
from first_runs import hippocampus, stampseg, test, write_cases

from stampseg.core.machine import processor
from stampseg.run.records import RESULT, read_result, read_rounds

RUNS = {
    "dense": ("--method", "dense"),
    "FLOPs 25%": ("--target-flops", "25%"),
    "parameters 15%": ("--target", "15%"),
}


def main() -> None:
    """Train in turns, test once, write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=1)
    options = parser.parse_args()
    task = hippocampus(options.data, options.steps)
    options.work.mkdir(parents=True, exist_ok=True)
    pool = write_cases(options.work / "pool.csv", task.pool)
    rows: dict[str, dict] = {name: {"seconds": []} for name in RUNS}
    for turn in range(options.turns):
        for name, choice in RUNS.items():
            folder = options.work / f"{name.replace(' ', '-').replace('%', '')}-{turn}"
            command = ["train", pool, "-o", folder, *choice, *task.options, "--seed", "0"]
            if not (folder / RESULT.name).exists():
                shutil.rmtree(folder, ignore_errors=True)
                stampseg(*command)
            rows[name] |= row(folder, command)
            rows[name]["seconds"].append(read_result(folder).seconds)
            if turn == 0:
                rows[name]["test"] = tested(task, folder, options.work)
            write(options, rows)


def row(folder: Path, command: list) -> dict:
    """What a run says of itself."""
    result = read_result(folder)
    cuts = [turn.seconds for turn in read_rounds(folder) if turn.event == "cut"]
    spent = [sum(v for k, v in s.items() if k in ("score", "choose", "cut", "measure")) for s in cuts]
    return {
        "command": "stampseg " + shlex.join(str(word) for word in command).replace(f"{folder.parent}/", ""),
        "parameters": result.parameters_after,
        "gflops": result.flops_after / 1e9,
        "gflops_dense": result.flops_before / 1e9,
        "validation_dice": result.validation_dice,
        "target_reached": result.target_reached,
        "widths": result.widths,
        "rounds_cut": len(cuts),
        "overhead": sum(spent) / max(1e-9, sum(s["train"] for s in cuts)),
        "overhead_worst": max((a / s["train"] for a, s in zip(spent, cuts, strict=True)), default=0.0),
    }


def tested(task, folder: Path, work: Path) -> dict[str, float]:
    """Mean Dice over the test cases, of all labels."""
    evaluation, _ = test(task, folder, work, folder.name)
    dice = [r["dice"] for r in evaluation["rows"] if r["label"] != "union" and r["dice"] is not None]
    return {"dice": statistics.mean(dice), "cases": len(task.test)}


def write(options: argparse.Namespace, rows: dict[str, dict]) -> None:
    """The JSON and the page, as far as they are known."""
    done = {name: r for name, r in rows.items() if r["seconds"]}
    machine = {
        "processor": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }  # fmt: skip
    command = f"python benchmarks/whole_runs.py DATA WORK {options.output} --steps {options.steps} --turns {options.turns}"
    options.output.write_text(
        json.dumps({"command": command, "machine": machine, "runs": done}, indent=1) + "\n"
    )
    options.output.with_suffix(".md").write_text(page(command, machine, done), encoding="utf-8")


def page(command: str, machine: dict, rows: dict[str, dict]) -> str:
    """The figures as a page."""
    dense = rows["dense"]
    base = statistics.median(dense["seconds"])
    lines = [
        "# Whole runs against the dense run of equal steps",
        "",
        f"Hippocampus MRI, ten labelled cases, one seed; {dense['test']['cases']} test cases of other people. On "
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}; "
        f"runs in turns, medians of {len(dense['seconds'])} run(s) each. Made with",
        "",
        f"    {command}",
        "",
        "| run | parameters | GFLOPs | seconds | against dense | test Dice | against dense | overhead of a round |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, r in rows.items():
        seconds = statistics.median(r["seconds"])
        overhead = f"{r['overhead']:.2%}" if r["rounds_cut"] else ""
        lines.append(
            f"| {name} | {r['parameters']:,} | {r['gflops']:.2f} | {seconds:.0f} | {seconds / base:.2f} "
            f"| {r['test']['dice']:.4f} | {r['test']['dice'] - dense['test']['dice']:+.4f} | {overhead} |"
        )
    lines += [
        "",
        "Overhead is scoring, choosing, cutting, carrying and measuring, against the training of the rounds.",
    ]
    lines += [""] + [f"    {r['command']}" for r in rows.values()]
    for name, r in rows.items():
        if r["rounds_cut"]:
            kept = ", ".join(f"{group} {width}" for group, width in r["widths"].items())
            lines += ["", f"Widths that {name} left: {kept}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
