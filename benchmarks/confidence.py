"""Expected against true Dice of the cells of a study, and whether scans unlike the training scans are flagged.

    OMP_NUM_THREADS=1 STAMPSEG_DATA=DATA python benchmarks/confidence.py STUDY docs/results/confidence.jsonl

STUDY is the folder of a `stampseg study`; of every cell of METHOD that is done, the scans that test are segmented as
`predict --confidence` does, and a row is written for each: Dice, certainty and the baselines of every label, and what
was flagged. The cells of cardiac and hippocampus also see scans of other kinds: test scans that were turned, zoomed,
offset, or given other voxels, fetal pictures and a liver CT. What was turned, zoomed or offset has a Dice as well: its
label is turned and zoomed with it. Rows that are there are not made again; the page is made
by docs/generate_confidence.py.

STUDY may also be the WORK folder of benchmarks/folds.py, whose networks are the "one network" of each draw, or that of
benchmarks/default_runs.py:

    OMP_NUM_THREADS=1 python benchmarks/confidence.py --source folds --data DATA WORK docs/results/confidence-fresh.jsonl
    OMP_NUM_THREADS=1 python benchmarks/confidence.py --source default-runs --data DATA WORK docs/results/confidence-fresh.jsonl

Baselines: `entropy` is the label's entropy by the probabilities (its own against the rest), summed over all voxels and
divided by the voxels of its mask; `volume` is the voxels of its mask.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import default_runs
import few_labels
import numpy as np
from scipy.ndimage import zoom
from scipy.special import entr

from stampseg.core.errors import DataError
from stampseg.data.appearance import appearance
from stampseg.data.cases import Case
from stampseg.data.inputs import find_inputs
from stampseg.data.io.placing import on_grid_of
from stampseg.data.io.readers import read_image
from stampseg.data.io.volume import Header, Volume
from stampseg.data.labels.label_table import to_classes
from stampseg.data.labels.organs import read_label_files
from stampseg.data.labels.postprocess import postprocessed
from stampseg.data.likeness import look_of, remarks
from stampseg.data.plan import Plan
from stampseg.data.splits.draw import draw_cases
from stampseg.data.splits.record import read_splits
from stampseg.evaluation.metrics import dice_score
from stampseg.run.appearance import MOST_LOOKS
from stampseg.run.study.config import load_study
from stampseg.run.study.draw import draw, find_task
from stampseg.run.study.plan import CELL, RUN, STUDY_FILE, Cell, Study
from stampseg.runtime.confidence import Confident
from stampseg.runtime.model import OpenModel, open_model
from stampseg.runtime.sliding import slide, walking_axis
from stampseg.runtime.trust import trust_of

METHOD = "ours"
STRANGERS = {
    "cardiac": ("fetal heads", "fetal_head_ultrasound/images", 20),
    "hippocampus": ("liver CT", "liver_ct/ct_half_inplane.nii.gz", 1),
}
Change = Callable[[Volume], Volume]


@dataclass(frozen=True)
class Work:
    """A cell with its model."""

    cell: Cell
    opened: OpenModel

    def row(self, kind: str, case: str, person: str, values: dict[str, Any]) -> dict[str, Any]:
        cell = self.cell
        named = {"kind": kind, "task": cell.task, "labelled": cell.labels, "draw": cell.draw}
        return {**named, "case": case, "person": person, **values}


def of_study(folder: Path) -> Iterator[tuple[Cell, Path, list[Case]]]:
    """Every cell of METHOD that is done, its run and the scans that test."""
    study = Study(load_study(folder / STUDY_FILE), folder)
    for cell in study.cells:
        if cell.method == METHOD and study.done(cell):
            task = study.config.tasks[cell.task]
            tests = draw(find_task(cell.task, task), task, cell.labels, cell.draw).test
            if CELL.read(study.place(cell)).result.failure is None:  # else there is no calibrated model
                yield cell, study.place(cell) / RUN, list(tests)


def of_folds(work: Path, data: Path) -> Iterator[tuple[Cell, Path, list[Case]]]:
    """The same of benchmarks/folds.py."""
    return _of_draws(work.glob("*-*/one/model.safetensors"), few_labels.TASKS, data)


def of_default_runs(work: Path, data: Path) -> Iterator[tuple[Cell, Path, list[Case]]]:
    """The same of benchmarks/default_runs.py."""
    return _of_draws(work.glob("*-default-*/run/model.safetensors"), default_runs.tasks(), data)


def _of_draws(
    models: Iterable[Path], tasks: Mapping[str, few_labels.Task], data: Path
) -> Iterator[tuple[Cell, Path, list[Case]]]:
    """Models in folders called by task and draw, NAME-DRAW or NAME-what-DRAW."""
    for place in sorted(path.parent for path in models):
        name, *_, number = place.parent.name.split("-")
        task = tasks[name]
        rows = few_labels.draw(task, data, int(number)).test
        cell = Cell(name, METHOD, task.people, int(number))
        yield cell, place, [Case(image.stem, person, (image,), label) for image, label, person in rows]


SOURCES: dict[str, Callable[[Path, Path], Iterator[tuple[Cell, Path, list[Case]]]]] = {
    "study": lambda folder, data: of_study(folder),
    "folds": of_folds,
    "default-runs": of_default_runs,
}


def open_cell(cell: Cell, place: Path, threads: int) -> Work:
    """The model of a cell; a plan of before scans were described gets the description of its own training scans."""
    opened = open_model(place, threads=threads)
    plan = opened.plan
    assert plan.scans is not None
    if plan.scans.appearance is None:
        splits = read_splits(place)
        assert splits is not None
        without = [entry.case for entry in splits.unlabelled]
        seen = [entry.case for entry in splits.training]
        seen += draw_cases(without, min(MOST_LOOKS, len(without)), 0) if without else []
        of = appearance([look_of(case, plan.in_channels) for case in seen], [case.group for case in seen])
        plan = plan.model_copy(update={"scans": plan.scans.model_copy(update={"appearance": of})})
    return Work(cell, replace(opened, plan=plan))


def found_in(volume: Volume, opened: OpenModel) -> tuple[Confident, list[float], list[str]]:
    """The mask as `predict --confidence` writes it, each label's entropy, and the flags."""
    plan = opened.plan
    prepared, unlike = opened.prepare(volume), remarks(volume, plan)
    found = opened.segment_confidently(prepared)
    found = replace(found, mask=postprocessed(found.mask, opened.steps, volume.header.spacing))
    axis, entropy, inside = walking_axis(prepared.image.shape[1:], plan.patch_size), 0.0, 0
    with opened.scoring() as scorer:
        for rows in slide(prepared.image, plan, scorer, axis):
            each = rows.astype(np.float64).clip(0, 1)
            entropy = entropy + (entr(each) + entr(1 - each)).reshape(len(rows), -1).sum(axis=1)
            inside = inside + np.bincount(rows.argmax(axis=0).ravel(), minlength=len(rows))
    return (
        found,
        list(entropy / np.maximum(inside, 1)),
        list(trust_of(found, plan, volume.header, unlike).flags),
    )


def test_row(work: Work, case: Case) -> dict[str, Any]:
    """A scan of a person who tests."""
    plan = work.opened.plan
    start = time.perf_counter()
    volume = read_image(case.images, plan.in_channels)
    found, entropy, flags = found_in(volume, work.opened)
    truth = truth_of(case, volume.header, plan)
    labels = {}
    dice = dice_of(found.mask, truth, plan)
    for value, name in enumerate(plan.label_names[1:], 1):
        known = plan.calibration.labels[value] if plan.calibration is not None else None
        certainty = found.certainty[value]
        labels[name] = {
            "dice": dice[value - 1],
            "certainty": None if certainty is None else round(certainty, 5),
            "expected": None if known is None else known.expected(certainty or 0.0),
            "entropy": round(float(entropy[value]), 5),
            "volume": int((found.mask == value).sum()),
        }
    seconds = round(time.perf_counter() - start, 2)
    return work.row("test", case.id, case.group, {"labels": labels, "flags": flags, "seconds": seconds})


def truth_of(case: Case, header: Header, plan: Plan) -> np.ndarray:
    """The classes (*S) of its label on the grid of its image."""
    assert case.label_files is not None
    label = on_grid_of(read_label_files(case.label_files), header)
    return to_classes(label.array, plan.label_values, label.header.path, plan.ignored_value, plan.relabel)


def dice_of(mask: np.ndarray, truth: np.ndarray, plan: Plan) -> list[float | None]:
    """Of each label; None where the scan has none of it."""
    pairs = ((mask == value, truth == value) for value in range(1, len(plan.label_names)))
    return [round(dice_score(found, there), 5) if there.any() else None for found, there in pairs]


def turned(volume: Volume) -> Volume:
    """By a quarter in the plane of the first two axes; the header says nothing of it."""
    return _with(volume, _turned(volume.array))


def _turned(array: np.ndarray) -> np.ndarray:
    return np.rot90(array, axes=(1, 2))


def zoomed(volume: Volume) -> Volume:
    """Half as large again: what is in the middle fills the same field of view."""
    return _with(volume, _zoomed(volume.array))


def _zoomed(array: np.ndarray, order: int = 1) -> np.ndarray:
    shape = array.shape[1:]
    large = np.stack([zoom(channel, 1.5, order=order) for channel in array])
    starts = [(now - before) // 2 for now, before in zip(large.shape[1:], shape, strict=True)]
    part = tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))
    return large[(slice(None), *part)]


def offset(volume: Volume) -> Volume:
    """Every value higher by half of the range of its values."""
    low, high = np.percentile(volume.array, (1, 99))
    return _with(volume, volume.array + np.float32(0.5 * (high - low)))


def respaced(volume: Volume) -> Volume:
    """The same voxels said to be of twice the size; a picture of half the pixels."""
    header = volume.header
    if header.affine is None:
        return _with(volume, np.stack([zoom(channel, 0.5, order=1) for channel in volume.array]))
    affine = header.affine @ np.diag([2, 2, 2, 1.0])
    return Volume(volume.array, replace(header, affine=affine, spacing=tuple(2 * s for s in header.spacing)))


CHANGES: dict[str, Change] = {"turned": turned, "zoomed": zoomed, "offset": offset, "respaced": respaced}
TRUTHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # what the label (1, *S) becomes
    "turned": _turned,
    "zoomed": lambda label: _zoomed(label, order=0),
    "offset": lambda label: label,
}


def _with(volume: Volume, array: np.ndarray) -> Volume:
    array = np.ascontiguousarray(array, dtype=np.float32)
    header = volume.header
    shape = array.shape[1:]
    spacing = (
        header.spacing if shape == header.shape else tuple(header.spacing[i] for i in _order(header, shape))
    )
    return Volume(array, replace(header, shape=shape, spacing=spacing))


def _order(header: Header, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a volume that was turned; pictures have equal spacings."""
    return (1, 0, 2)[: len(shape)]


def strangers(work: Work, data: Path, tests: list[Case]) -> Iterator[tuple[str, Case, Callable[[], Volume]]]:
    """Kind, case and image of the scans that are unlike those of training."""
    channels = work.opened.plan.in_channels
    for name, change in CHANGES.items():
        for case in tests:
            yield name, case, lambda of=case, to=change: to(read_image(of.images, channels))
    kind, place, count = STRANGERS[work.cell.task]
    for case in find_inputs([data / place], channels)[:count]:
        yield kind, case, lambda of=case: read_image(of.images, channels)


def strange_row(work: Work, kind: str, case: Case, image: Callable[[], Volume]) -> dict[str, Any]:
    """A scan unlike those of training, with the Dice of its mask where its label is known."""
    plan = work.opened.plan
    try:
        found, _, flags = found_in(image(), work.opened)
        values: dict[str, Any] = {"certainty": found.certainty[1:], "flags": flags}
        if kind in TRUTHS:
            truth = truth_of(case, read_image(case.images, plan.in_channels).header, plan)
            values["dice"] = dice_of(found.mask, TRUTHS[kind](truth[np.newaxis])[0], plan)
    except DataError as error:  # refused: nobody takes its mask for good
        values = {"flags": [str(error)], "refused": True}
    return work.row(kind, case.id, case.group, values)


def spread(cases: list[Case], most: int) -> list[Case]:
    """At most so many, each person's in turn."""
    turns: list[tuple[int, Case]] = []
    seen: dict[str, int] = {}
    for case in cases:
        turns.append((seen.setdefault(case.group, 0), case))
        seen[case.group] += 1
    return [case for _, case in sorted(turns, key=lambda pair: pair[0])][:most]


def done_in(path: Path) -> set[tuple]:
    """What has a row; a line that was not written to its end is taken away."""
    if not path.exists():
        return set()
    lines = path.read_text().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        path.write_text("".join(whole))
    return {_key(json.loads(line)) for line in whole}


def _key(row: dict[str, Any]) -> tuple:
    return tuple(row[name] for name in ("kind", "task", "labelled", "draw", "case"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--data", type=Path, help="folder of the strangers; default: that of the task's data")
    parser.add_argument("--source", choices=SOURCES, default="study", help="whose folder STUDY is")
    parser.add_argument("--strangers", type=int, default=20, help="test scans of a cell that are changed")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    done = done_in(options.rows)
    networks = SOURCES[options.source](options.study, options.data)
    for cell, place, tests in networks:
        work = open_cell(cell, place, options.threads)
        with options.rows.open("a") as file:

            def write(row: dict[str, Any]) -> None:
                file.write(json.dumps(row) + "\n")
                file.flush()

            for case in tests:
                if ("test", cell.task, cell.labels, cell.draw, case.id) not in done:
                    write(test_row(work, case))
            if cell.task in STRANGERS:
                data = options.data or Path(tests[0].images[0]).parents[2]
                for kind, case, image in strangers(work, data, spread(tests, options.strangers)):
                    if (kind, cell.task, cell.labels, cell.draw, case.id) not in done:
                        write(strange_row(work, kind, case, image))
        print(cell.name, flush=True)


if __name__ == "__main__":
    main()
