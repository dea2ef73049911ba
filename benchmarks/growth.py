"""How time and memory grow with the number of cases, the size of a volume, and the width of the network.

    python benchmarks/growth.py HIPPOCAMPUS CT.nii.gz [--cases 10 100 1000 10000] [--predicted 10 100]
                                [--only cases volume width] [--out docs/results/growth.json]

HIPPOCAMPUS is a data set for `stampseg train`. Its files are linked as often as needed under new names: `check`
and the part of `train` before the first step read every one of them, then a few training steps follow. `predict`
goes through the smaller numbers only (hard links, as it takes a symbolic link for the file it leads to): it keeps
no more of 10,000 files than of 100. CT.nii.gz is cropped and tiled to volumes of many sizes for `predict`. Every
point is a process of its own with its own peak of resident memory; imports are not in the times. The file is
written after every point, with a page beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from large_volume import make_model, tile_volume

import stampseg
from stampseg.core.machine import processor
from stampseg.data.cases import find_dataset

SHAPES = ((128, 128, 78), (256, 256, 78), (256, 256, 156), (256, 256, 312))
SPACING = (1.453125, 1.453125, 2.0)
WIDTHS = (4, 8, 16, 32)
FLAT = 1.15  # largest over smallest peak, up to which memory counts as flat
LINEAR = 1.1  # exponent up to which time counts as linear


def point(settings: dict[str, Any]) -> dict[str, Any]:
    """Measure one point in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(stampseg.__file__).parents[1])}
    script = Path(__file__).with_name("growth_points.py")
    run = subprocess.run(
        [sys.executable, str(script), json.dumps(settings)], capture_output=True, text=True, env=environment
    )
    if run.returncode:
        raise SystemExit(f"{settings['kind']} failed:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout)


def linked(pairs: Sequence[tuple[Path, Path]], count: int, place: Path) -> Path:
    """A data set of `count` cases that are links to the pairs, over and over."""
    for name, part in (("images", 0), ("labels", 1)):
        (place / name).mkdir(parents=True)
        for number in range(count):
            (place / name / f"case{number:05}.nii.gz").symlink_to(pairs[number % len(pairs)][part].resolve())
    return place


def cases(options: argparse.Namespace, room: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """check, train and predict by the number of cases."""
    found = find_dataset(options.hippocampus).cases
    pairs = [(case.images[0], case.label) for case in found if case.label is not None]
    for count in options.cases:
        data = linked(pairs, count, room / str(count))
        for kind in ("check", "train"):
            yield kind, {"number": count, **point({"kind": kind, "data": str(data)})}
    model = make_model(room / "model.safetensors", (1, 1, 1), 3, 4)
    for count in options.predicted:
        folder = room / f"predict{count}"
        folder.mkdir()
        for number in range(count):
            copy = room / f"copy{number % len(pairs):04}.nii.gz"
            if not copy.exists():
                shutil.copyfile(pairs[number % len(pairs)][0], copy)
            os.link(copy, folder / f"case{number:05}.nii.gz")
        settings = {"kind": "predict", "model": str(model), "inputs": [str(folder)]}
        yield "predict", {"number": count, **point(settings)}


def volume(options: argparse.Namespace, room: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Predict by the size of one volume."""
    model = make_model(room / "ct.safetensors", SPACING, 2, 4)
    for shape in SHAPES:
        file = tile_volume(options.ct, room / f"{'x'.join(map(str, shape))}.nii.gz", shape)
        settings = {"kind": "predict", "model": str(model), "inputs": [str(file)]}
        yield "volume", {"number": math.prod(shape), "shape": shape, **point(settings)}


def width(options: argparse.Namespace, room: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Train and cut by the width of the network."""
    for value in WIDTHS:
        yield "width", {"number": value, **point({"kind": "width", "width": value})}


def exponent(numbers: Sequence[float], values: Sequence[float]) -> float:
    """Slope of the line through the logarithms, by least squares."""
    xs, ys = [math.log(n) for n in numbers], [math.log(v) for v in values]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


TITLES = {
    "check": "`stampseg check` by the number of cases",
    "train": "`stampseg train` until its first step, and a step, by the number of cases",
    "predict": "`stampseg predict` by the number of files",
    "volume": "`stampseg predict` of one volume by its voxels",
    "width": "Training and a cut by the network's width (batch 2 x 40 x 64 x 48)",
}


def page(found: dict[str, Any]) -> str:
    """The figures as a page."""
    machine = found["machine"]
    lines = [
        "# How time and memory grow",
        "",
        f"On {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, torch "
        f"{machine['torch']}. Every row is a process of its own with its own peak of resident memory (of which "
        "PyTorch and the other packages take the first part); imports are not in the times, loading "
        "the network is. Cases are links to real scans. Predicting 10,000 files was not measured: no more is kept of them than of 100. Exponents are those "
        "of a power law through all rows: 1 is linear. Made with",
        "",
        f"    {found['command']}",
    ]
    for kind, title in TITLES.items():
        rows = found["rows"].get(kind, [])
        if rows:
            lines += ["", f"## {title}", "", *table(rows), "", *words(kind, rows)]
    return "\n".join(lines) + "\n"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows of one kind."""
    parts = list(rows[0]["seconds"])
    more = [name for name in ("parameters", "training_peak_megabytes") if name in rows[0]]
    lines = [
        "| number | "
        + " | ".join([*(f"{part}, s" for part in parts), *more]).replace("_", " ")
        + " | peak MB |",
        "|---:|" + "---:|" * (len(parts) + len(more) + 1),
    ]
    for row in rows:
        cells = [f"{row['seconds'][part]:.3f}" for part in parts] + [f"{row[name]:,.0f}" for name in more]
        lines.append(f"| {row['number']:,} | {' | '.join(cells)} | {row['peak_megabytes']:.0f} |")
    return lines


def words(kind: str, rows: list[dict[str, Any]]) -> list[str]:
    """What the rows come to."""
    if len(rows) < 2:
        return []
    numbers = [row["number"] for row in rows]
    lines = []
    for part in rows[0]["seconds"]:
        times = [row["seconds"][part] for row in rows]
        slope, last = exponent(numbers, times), exponent(numbers[-2:], times[-2:])
        told = f"- {part}: time grows with exponent {slope:.2f}, {last:.2f} between the last two rows"
        if kind == "width":
            by_flops = exponent([row["flops"] for row in rows], times)
            lines.append(f"{told}; {by_flops:.2f} against the network's FLOPs.")
        else:
            lines.append(f"{told}: {'at most linear' if last <= LINEAR else 'more than linear'}.")
    peaks = [row["peak_megabytes"] for row in rows]
    ratio = peaks[-1] / peaks[0]
    told = f"- memory: {ratio:.2f} times as much for {numbers[-1] / numbers[0]:,.0f} times the number"
    if kind == "width":
        lines.append(f"{told}.")
    else:
        lines.append(f"{told}: {'flat' if ratio <= FLAT else 'not flat'}.")
        if ratio > FLAT:
            each = (peaks[-1] - peaks[-2]) * 1e6 / (numbers[-1] - numbers[-2])
            lines[-1] += f" Between the last two rows it is {each:,.1f} bytes for each more."
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("hippocampus", type=Path)
    parser.add_argument("ct", type=Path)
    parser.add_argument("--cases", type=int, nargs="+", default=[10, 100, 1000, 10000])
    parser.add_argument("--predicted", type=int, nargs="+", default=[10, 100])
    parser.add_argument(
        "--only", nargs="+", choices=("cases", "volume", "width"), default=["cases", "volume", "width"]
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results/growth.json"))
    options = parser.parse_args()
    counts = (
        f"--cases {' '.join(map(str, options.cases))} --predicted {' '.join(map(str, options.predicted))}"
    )
    found: dict[str, Any] = {
        "command": f"python benchmarks/growth.py HIPPOCAMPUS CT {counts} --only {' '.join(options.only)}",
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
        "rows": {},
    }
    ways: dict[str, Callable[[argparse.Namespace, Path], Iterator[tuple[str, dict[str, Any]]]]] = {
        "cases": cases,
        "volume": volume,
        "width": width,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for name in options.only:
            for kind, row in ways[name](options, Path(place)):
                found["rows"].setdefault(kind, []).append(row)
                print(kind, json.dumps(row), flush=True)
                options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                options.out.with_suffix(".md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
