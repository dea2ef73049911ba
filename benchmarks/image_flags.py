"""Flags that rest on images alone, computed anew in the rows of benchmarks/confidence.py.

    STAMPSEG_DATA=DATA python benchmarks/image_flags.py docs/results/few-labels/study.yaml docs/results/confidence.jsonl
    STAMPSEG_DATA=DATA python benchmarks/image_flags.py docs/results/few-labels/study.yaml docs/results/confidence-fresh.jsonl

In what an image looks unlike the training scans (`data/appearance.py`) depends on who trained and on no network: after a
change there, no network has to be trained again for the page. All else in a row is kept. `--check` writes nothing
and says in how many rows the flags are others; by the code that made the rows it must be none.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import default_runs
import few_labels
from confidence import CHANGES, STRANGERS

from stampseg.data.appearance import Appearance, appearance, look_at, strange
from stampseg.data.cases import Case
from stampseg.data.inputs import find_inputs
from stampseg.data.io.readers import read_image
from stampseg.data.io.volume import Volume
from stampseg.data.likeness import look_of
from stampseg.data.preprocess import find_orientation, orient, oriented_spacing
from stampseg.data.splits.draw import draw_cases
from stampseg.run.appearance import MOST_LOOKS
from stampseg.run.study.config import load_study
from stampseg.run.study.draw import draw, find_task

FIRST_OF_FOLDS = (
    300  # draws of benchmarks/folds.py; below them those of default_runs.py, and below 100 of the study
)
BY_LOOK = ("looks ", "bright and dark lie elsewhere", "smoother or rougher", "values begin at")


def people_of(
    task: str, labelled: int, number: int, study: Path
) -> tuple[Sequence[Case], Sequence[Case], list[Case]]:
    """Who is labelled, seen without labels, and tests, in a draw."""
    if number < default_runs.FIRST:
        options = load_study(study).tasks[task]
        drawn = draw(find_task(task, options), options, labelled, number)
        return drawn.labelled, drawn.unlabelled, list(drawn.test)
    tasks = few_labels.TASKS if number >= FIRST_OF_FOLDS else default_runs.tasks()
    chosen = few_labels.draw(tasks[task], Path(os.environ["STAMPSEG_DATA"]), number)
    parts = ([Case(i.stem, p, (i,), label) for i, label, p in part] for part in
             (chosen.labelled, chosen.unlabelled, chosen.test))  # fmt: skip
    first, second, third = parts
    return first, second, third


def usual_of(labelled: Sequence[Case], without: Sequence[Case], channels: int) -> Appearance:
    """What the training scans look like, as a run finds it."""
    seen = [*labelled, *(draw_cases(tuple(without), min(MOST_LOOKS, len(without)), 0) if without else ())]
    found = appearance([look_of(case, channels) for case in seen], [case.group for case in seen])
    assert found is not None
    return found


def flags_of(volume: Volume, usual: Appearance, *, floors: bool) -> list[str]:
    """As `predict` says them."""
    turn = find_orientation(volume.header)
    image = orient(volume.array, turn)
    count = usual.count(len(image), image.ndim - 1)
    return strange(look_at(image, oriented_spacing(volume.header.spacing, turn), count), usual, floors=floors)


def renewed(row: dict[str, Any], volume: Volume, usual: Appearance) -> dict[str, Any]:
    """The row with its flags by look replaced; none is taken where size or spacing are told."""
    if any(" (trained on " in flag and _of_the_image(flag) for flag in row["flags"]):
        return row
    others = [flag for flag in row["flags"] if not flag.startswith(BY_LOOK)]
    return {**row, "flags": [*flags_of(volume, usual, floors=True), *others]}


def _of_the_image(flag: str) -> bool:
    """Whether it tells of voxels or extent, as `data/likeness.py` words it."""
    return flag.startswith(("voxels of ", "pixels of ")) or " in extent (" in flag


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    data, changed, written = Path(os.environ["STAMPSEG_DATA"]), 0, []
    rows = [json.loads(line) for line in given.rows.read_text().splitlines()]
    for (task, labelled, number), group in groupby(rows, lambda r: (r["task"], r["labelled"], r["draw"])):
        known, without, tests = people_of(task, labelled, number, given.study)
        cases = {case.id: case for case in tests}
        channels = len(read_image(known[0].images).array)
        usual = usual_of(known, without, channels)
        if task in STRANGERS:
            kind, place, count = STRANGERS[task]
            others = {(kind, case.id): case for case in find_inputs([data / place], channels)[:count]}
        for row in group:
            if row.get("refused"):
                written.append(row)
                continue
            case = cases.get(row["case"]) if row["kind"] in (*CHANGES, "test") else None
            volume = read_image((case or others[row["kind"], row["case"]]).images, channels)
            new = renewed(row, CHANGES.get(row["kind"], lambda same: same)(volume), usual)
            changed += new["flags"] != row["flags"]
            written.append(new)
        print(task, labelled, number, f"{changed} rows changed so far", flush=True)
    if not given.check:
        given.rows.write_text("".join(json.dumps(row) + "\n" for row in written))


if __name__ == "__main__":
    main()
