"""Damage files for minutes and write docs/results/fuzz.md and .json: python docs/generate_fuzz.py --minutes 10.

Every kind of file is opened in a process of its own, so that one which dies is counted too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
TARGET = ROOT / "docs" / "results" / "fuzz"
ROUND = 500  # files between looks at the clock


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--kind", help="only this one, told as JSON; with --clean")
    options.add_argument("--clean", type=Path, help="folder of models and data that are there")
    given = options.parse_args()
    if given.kind:
        print(json.dumps(hunt_one(given.kind, given.clean, given.minutes * 60)))
        return
    from tests.fuzzing.targets import KINDS

    with tempfile.TemporaryDirectory() as folder:
        from tests.bad_inputs.bench import make_clean

        make_clean(Path(folder))
        rows = [_in_process(kind, Path(folder), given.minutes / len(KINDS)) for kind in KINDS]
    total = sum(row["files"] for row in rows)
    found = {"files": total, "minutes": given.minutes, "kinds": rows}
    TARGET.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    TARGET.with_suffix(".md").write_text(page(found), encoding="utf-8")
    print(f"{total:,} files, {sum(len(row['found']) for row in rows)} findings")


def hunt_one(kind: str, clean: Path, seconds: float) -> dict:
    """Files opened of one kind, what came of them, and what should not have come."""
    from tests.bad_inputs.bench import Clean
    from tests.fuzzing.hunt import hunt, peak
    from tests.fuzzing.targets import MOST_VALUES, targets

    os.environ["STAMPSEG_MAX_VALUES"] = str(MOST_VALUES)
    ends, found, start = Counter(), Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        target = next(one for one in targets(Clean(clean), Path(folder)) if one.name == kind)
        before = peak()
        while time.monotonic() - start < seconds:
            try:
                tally = hunt(target, Path(folder), ROUND, seeded=False)
                ends.update(tally.ends)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                found[f"{type(error).__name__}: {str(error)[:200]}"] += 1
    return {
        "kind": kind, "files": sum(ends.values()), "refused": ends["refused"], "valid": ends["valid"],
        "megabytes": round(peak() - before), "seconds": round(time.monotonic() - start), "found": dict(found),
    }  # fmt: skip


def _in_process(kind: str, clean: Path, minutes: float) -> dict:
    command = [sys.executable, __file__, "--kind", kind, "--clean", str(clean), "--minutes", str(minutes)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        tail = (run.stderr.strip().splitlines() or [""])[-1][:200]
        row = {"kind": kind, "files": 0, "refused": 0, "valid": 0, "megabytes": 0, "seconds": 0}
        row["found"] = {f"the process ended with {run.returncode}: {tail}": 1}
    else:
        row = json.loads(run.stdout.strip().splitlines()[-1])
    print(row, flush=True)
    return row


def page(found: dict) -> str:
    """The page."""
    lines = [
        "# Damaged files",
        "",
        f"{found['files']:,} files were damaged at random (bytes flipped, cut, repeated, numbers of headers replaced, "
        f"values of JSON replaced) and opened, in {found['minutes']:g} minutes on one core. Each must end in a valid "
        "result or in an error of one line, within 20 seconds, and the process must not grow by more than 400 MB "
        "(`STAMPSEG_MAX_VALUES=4194304`).",
        "",
        "Made by `python docs/generate_fuzz.py --minutes 10`. `make test` opens a few hundred of them, the same each "
        "time; `STAMPSEG_FUZZ=1000 python -m pytest tests/fuzzing` opens a thousand others of each kind.",
        "",
        "Mended since it was found: a plan with no windows for its channels (`ct: []`) ended in an IndexError.",
        "",
        "| file | opened | refused | valid | memory, MB | findings |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["kinds"]:
        told = "; ".join(f"{text} ({count})" for text, count in row["found"].items()) or "none"
        told = told.replace("|", "\\|").replace("\n", " ")
        figures = f"{row['files']:,} | {row['refused']:,} | {row['valid']:,} | {row['megabytes']}"
        lines.append(f"| {row['kind']} | {figures} | {told} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
