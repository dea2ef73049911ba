"""Scans laid down or seen otherwise than the training scans: how many are told, by their image alone?

    STAMPSEG_DATA=DATA python benchmarks/strange_scans.py docs/results/strange-scans.jsonl [--page docs/results/strange-scans.md]

Of draws of the people of five sets (as in few_labels.py, from draw 420 on, which nothing was chosen on) those who are
labelled and those who are seen without labels give the appearance that a model keeps; scans of those who test are
shown as they are, turned, mirrored, nearer and farther. No network is asked. `before` is what was told by the likeness
to the mean of the training scans alone, without the template that is learnt (`data/pose.py`). RESULTS gets a row a draw;
--page writes the table of it and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import few_labels
import numpy as np
from confidence import spread, turned, zoomed
from image_flags import flags_of, usual_of
from scipy.ndimage import zoom

from stampseg.data.appearance import Appearance
from stampseg.data.cases import Case
from stampseg.data.io.readers import read_header, read_image
from stampseg.data.io.volume import Volume

FIRST, DRAWS, MOST = 420, 5, 30  # scans that test, of each draw


def with_array(volume: Volume, array: np.ndarray) -> Volume:
    return Volume(np.ascontiguousarray(array, dtype=np.float32), volume.header)


def mirrored(volume: Volume) -> Volume:
    """Left for right: pictures along their second axis, volumes along their first."""
    return with_array(volume, np.flip(volume.array, axis=2 if volume.array.ndim == 3 else 1))


def farther(volume: Volume) -> Volume:
    """Two thirds of the size in the same field, 0 around it."""
    small = np.stack([zoom(channel, 2 / 3, order=1) for channel in volume.array])
    sides = [
        ((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(volume.array.shape, small.shape, strict=True)
    ]
    return with_array(volume, np.pad(small, sides))


CHANGES: dict[str, Callable[[Volume], Volume]] = {
    "as they are": lambda volume: volume,
    "turned": turned,
    "mirrored": mirrored,
    "nearer": zoomed,
    "farther": farther,
}


def one(task: str, number: int, data: Path) -> dict:
    """A draw: how many of each kind are told, now and before."""
    drawn = few_labels.draw(few_labels.TASKS[task], data, number)
    labelled, without, tests = (
        [Case(image.stem, person, (image,), label) for image, label, person in part]
        for part in (drawn.labelled, drawn.unlabelled, drawn.test)
    )
    channels = max(read_header(case.images).channels for case in (*labelled, *without, *tests))
    usual = usual_of(labelled, without, channels)
    before = usual.model_copy(update={"pose": None})
    shown = spread(tests, MOST)
    volumes = [read_image(case.images, channels) for case in shown]
    return {
        "task": task, "draw": number, "people": usual.people, "scans": len(shown),
        "told": {name: {"now": told(volumes, change, usual), "before": told(volumes, change, before)}
                 for name, change in CHANGES.items()},
    }  # fmt: skip


def told(volumes: list[Volume], change: Callable[[Volume], Volume], usual: Appearance) -> int:
    return sum(bool(flags_of(change(volume), usual, floors=True)) for volume in volumes)


def page(rows: list[dict]) -> str:
    """The table: shares told, the draws of a set together."""
    said = [
        "# Rotated, mirrored and rescaled scans",
        "",
        "How many scans are recognised as unlike the training scans by their image alone, now and before the usual orientation was learnt (`data/pose.py`). Of each draw",
        "those who are labelled and those without labels are what the model knows of; up to thirty scans of other people are shown as they are (false alarms), turned by",
        "a quarter, mirrored left for right, nearer (half as large again in the same field) and farther (two thirds of the size), while the header says nothing of it.",
        "Rules were chosen on other draws of the same people. The vessels of retinas and the nerves of the neck are of both sides in the training scans: a mirror image",
        "cannot be recognised there, nor need it be. One of the 15 people of cardiac is rotated: where that person is shown, the scans are recognised. Made by",
        "",
        "    STAMPSEG_DATA=DATA python benchmarks/strange_scans.py docs/results/strange-scans.jsonl",
        "    python benchmarks/strange_scans.py docs/results/strange-scans.jsonl --page docs/results/strange-scans.md",
        "",
        f"| set | draws | people known | scans shown | {' | '.join(CHANGES)} |",
        f"|---|---:|---:|---:|{'---:|' * len(CHANGES)}",
    ]
    for task in dict.fromkeys(row["task"] for row in rows):
        of = [row for row in rows if row["task"] == task]
        scans = sum(row["scans"] for row in of)
        people = sorted({row["people"] for row in of})
        shares = [
            " (before ".join(
                f"{sum(r['told'][name][when] for r in of) / scans:.0%}" for when in ("now", "before")
            )
            for name in CHANGES
        ]
        known = " to ".join(map(str, dict.fromkeys((people[0], people[-1]))))
        said.append(f"| {task} | {len(of)} | {known} | {scans} | {') | '.join(shares)}) |")
    return "\n".join(said) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--draws", nargs="+", type=int, default=range(FIRST, FIRST + DRAWS))
    given = parser.parse_args()
    lines = given.results.read_text().splitlines() if given.results.exists() else []
    if given.page is not None:
        given.page.write_text(page([json.loads(line) for line in lines]))
        return
    done = {(row["task"], row["draw"]) for row in map(json.loads, lines)}
    for task in ("cardiac", "fetal", "nerve", "retina", "hippocampus"):
        for number in given.draws:
            if (task, number) in done:
                continue
            row = one(task, number, Path(os.environ["STAMPSEG_DATA"]))
            with given.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(task, number, row["told"], flush=True)


if __name__ == "__main__":
    main()
