"""Runs killed at random moments, and inside each kind of write, gone on with, and compared bit for bit.

    python benchmarks/kills.py DATA WORK docs/results/kills.json [--kills 50] [--steps 24] [--in-training]

DATA is hippocampus_mri. One short run of STAMP+ is never stopped. Then the same run is started in a process of
its own and killed (SIGKILL) after a random share of the time that the whole one took or, with --in-training, a
random moment after a random one of its rounds has ended; every third is killed twice
before it ends. After that once inside each kind of write: while its hidden file is half written, and between that
file and its move into place. `stampseg train --resume` goes on each time. Compared are the bytes of every model
file and all JSON and YAML, but for times. WORK keeps what differs; one line is written as each run ends.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from first_runs import hippocampus, write_cases

OPTIONS = ("--labels", "4", "--target", "30%", "--set", "prune.rounds=4", "--set", "prune.ready_dice=0",
           "--set", "network.width=4", "--set", "data.patch_size=[16,32,32]")  # fmt: skip
WRITES = ("run.json", "plan.json", "splits.json", "rounds.jsonl", "config.yaml", "000.safetensors",
          "round-0001.safetensors", "step.safetensors", "round-0003.safetensors", "model.safetensors",
          "result.json")  # fmt: skip
# The program with a write that ends the process: half of the file is written, or all but the move.
AIMED = """
import os, signal, sys
from pathlib import Path
from stampseg.core import files
from stampseg.run.folder import RunFolder
name, moment = sys.argv[1], sys.argv[2]
sys.argv = ["stampseg", *sys.argv[3:]]
def die(): os.kill(os.getpid(), signal.SIGKILL)
move = os.replace
def replace(source, target):
    if Path(target).name == name:
        if moment == "half":
            os.truncate(source, os.path.getsize(source) // 2)
        die()
    move(source, target)
files.os.replace = replace
append = RunFolder.append_round
def half_a_line(self, turn):
    if name == "rounds.jsonl" and turn.number == 2:
        with (self.path / "rounds.jsonl").open("a") as file:
            file.write('{"number": 2, "ev' if moment == "half" else "{}\\n"); file.flush()
        die()
    append(self, turn)
RunFolder.append_round = half_a_line
from stampseg.cli.commands import main
main()
"""


def outcome(run: Path) -> dict[str, Any]:
    """Bytes of the models, and the JSON without times."""
    rounds = [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]
    result = json.loads((run / "result.json").read_text())
    for values in (*rounds, result):
        del values["seconds"]
    files = {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*.safetensors")}
    files |= {name: (run / name).read_bytes() for name in ("config.yaml", "plan.json", "splits.json")}
    return {"files": files, "rounds": rounds, "result": result}


def main() -> None:
    """Kill, go on, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--in-training", action="store_true", help="no aimed kills, and none before training")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    pool = write_cases(options.work / "pool.csv", hippocampus(options.data, options.steps).pool)
    order = ["train", str(pool), "--steps", str(options.steps), *OPTIONS]
    start = time.perf_counter()
    run(order, options.work / "whole")
    seconds = time.perf_counter() - start
    expected, draw = outcome(options.work / "whole"), random.Random(0)
    rows: list[dict[str, Any]] = []
    for number in range(options.kills):
        folder = options.work / f"random-{number}"
        moments = [draw.uniform(0.1, 1.0) * seconds for _ in range(2 if number % 3 == 2 else 1)]
        if options.in_training:
            rounds = sorted(draw.sample(range(1, len(expected["rounds"])), len(moments)))
            killed = [kill_in_training(order, folder, after, draw.uniform(0, 1.5)) for after in rounds]
        else:
            killed = [kill_after(order, folder, moment, number % 2 == 0) for moment in moments]
        rows.append({"kind": "random", "killed": killed, **ended(order, folder, expected)})
        write(options, rows, seconds)
    for name in () if options.in_training else WRITES:
        for moment in ("half", "whole"):
            folder = options.work / f"aimed-{name}-{moment}"
            extra = ["--set", "train.checkpoint_minutes=0"]
            killed = aimed([*order, *extra], folder, name, moment)
            rows.append(
                {"kind": f"{name}, {moment}", "killed": [killed], **ended([*order, *extra], folder, expected)}
            )
            write(options, rows, seconds)


def run(order: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The command to its end."""
    command = [sys.executable, "-m", "stampseg.cli", *order, "-o", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def kill_after(order: list[str], folder: Path, seconds: float, resume: bool) -> bool:
    """Start or go on, and kill; False where it had ended before."""
    words = ["train", "--resume", str(folder)] if resume and (folder / "run.json").exists() else None
    command = [sys.executable, "-m", "stampseg.cli", *(words or [*order, "-o", str(folder)])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def kill_in_training(order: list[str], folder: Path, rounds: int, delay: float) -> bool:
    """Start or go on, and kill a moment after so many rounds have ended."""
    command = [sys.executable, "-m", "stampseg.cli", *order, "-o", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = folder / "rounds.jsonl"
    while process.poll() is None and (not lines.exists() or lines.read_text().count("\n") < rounds):
        time.sleep(0.02)
    time.sleep(delay)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def aimed(order: list[str], folder: Path, name: str, moment: str) -> bool:
    """Let the process die inside a write."""
    command = [sys.executable, "-c", AIMED, name, moment, *order, "-o", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL


def ended(order: list[str], folder: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """Go on to the end, and compare."""
    rounds = len(list((folder / "checkpoint").glob("*.safetensors"))) > 0
    if (folder / "run.json").exists() and not finished(folder):
        done = subprocess.run(
            [sys.executable, "-m", "stampseg.cli", "train", "--resume", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    elif not finished(folder):
        done = run(order, folder)
    else:
        done = subprocess.CompletedProcess([], 0, "", "")
    row: dict[str, Any] = {"had_checkpoint": rounds, "exit": done.returncode, "same": False}
    if done.returncode:
        return row | {"said": done.stderr[-300:]}
    found = outcome(folder)
    if "checkpoint_minutes" in " ".join(order):  # named in config.yaml, and nowhere else
        found["files"]["config.yaml"] = expected["files"]["config.yaml"]
    row["same"] = found == expected
    if row["same"]:
        shutil.rmtree(folder)
    return row


def finished(folder: Path) -> bool:
    return (folder / "result.json").exists() and not (folder / "checkpoint").exists()


def write(options: argparse.Namespace, rows: list[dict[str, Any]], seconds: float) -> None:
    """The file, as far as it is known."""
    counts = {
        kind: {
            "runs": len(of), "killed": sum(any(r["killed"]) for r in of), "kills": sum(sum(r["killed"]) for r in of),
            "went_on_from_a_checkpoint": sum(r["had_checkpoint"] for r in of), "same": sum(r["same"] for r in of),
        }
        for kind in ("random", "aimed")
        if (of := [r for r in rows if (r["kind"] == "random") == (kind == "random")])
    }  # fmt: skip
    command = f"python benchmarks/kills.py DATA WORK {options.output} --kills {options.kills} --steps {options.steps}{' --in-training' * options.in_training}"
    values = {
        "command": command,
        "cores": os.cpu_count(),
        "seconds_of_a_run": round(seconds, 1),
        "counts": counts,
    }
    options.output.write_text(json.dumps(values | {"rows": rows}, indent=1) + "\n")
    print(json.dumps(rows[-1]), flush=True)


if __name__ == "__main__":
    main()
