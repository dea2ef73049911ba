"""A run of five minutes under a queue limit of one: ended by SIGTERM each time, gone on with, and compared bit for bit.

    OMP_NUM_THREADS=1 python benchmarks/queue_limit.py DATA WORK docs/results/queue-limit.json [--steps 2500] [--limit 60]

DATA is the folder of all sets; the run learns from ten fetal heads, with checkpoints every ten
minutes by its options, so that only those that SIGTERM asks for are there. First it is never stopped. Then each job of it gets
SIGTERM after the limit, as a queue sends it, and the next one takes up what the last one left.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

from few_labels import TASKS, draw, write_csv
from kills import outcome

DRAW = 310  # of no study
ENDED, STOPPED = 0, 143


def job(words: list[str], log: Path, limit: float | None) -> tuple[int, float]:
    """Exit status and seconds of a process that is asked to end after a time, if it takes as long."""
    start = time.perf_counter()
    with log.open("a") as file:
        process = subprocess.Popen([sys.executable, "-m", "stampseg", *words], stdout=file, stderr=file)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
    return process.returncode, round(time.perf_counter() - start, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--limit", type=float, default=60)
    given = parser.parse_args()
    given.work.mkdir(parents=True)
    write_csv(given.work / "pool.csv", draw(TASKS["fetal"], given.data, DRAW))
    order = ["train", str(given.work / "pool.csv"), "--validation", "none", "--unlabelled", "none"]
    order += ["--steps", str(given.steps), "--set", "train.checkpoint_minutes=10"]
    whole, parts = given.work / "whole", given.work / "parts"
    code, seconds = job([*order, "-o", str(whole)], given.work / "whole.log", None)
    jobs: list[dict[str, float]] = []
    while code == ENDED and (not jobs or jobs[-1]["code"] == STOPPED):
        words = ["train", "--resume", str(parts)] if jobs else [*order, "-o", str(parts)]
        ended, took = job(words, given.work / "parts.log", given.limit)
        jobs.append({"code": ended, "seconds": took})
    alike = all(each["code"] in (ENDED, STOPPED) for each in jobs) and outcome(whole) == outcome(parts)
    found = {
        "steps": given.steps, "limit": given.limit, "seconds": seconds, "jobs": jobs, "alike": alike,
        "machine": platform.processor() or platform.machine(),
    }  # fmt: skip
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
