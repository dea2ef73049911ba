"""Memory of `stampseg predict` on a CT of 512 x 512 x 600 voxels, made by tiling a smaller one.

    python benchmarks/large_volume.py CT.nii.gz docs/results/large-volume.json

CT.nii.gz is repeated, every other time mirrored, until it has the shape, its voxels made smaller where it
has fewer in a slice. The network is a U-Net with random weights, which costs what a trained one costs.
Each row is a process of its own; its peak resident memory holds reading and writing too. A page is written
beside the results.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from stampseg.core.machine import processor

SHAPE, WIDTH = (512, 512, 600), 4
ENGINES = {"model": "PyTorch", "openvino": "OpenVINO"}


@dataclass(frozen=True)
class Row:
    """The grid that the network works on, the kind of file, and how many volumes are streamed."""

    spacing: tuple[float, float, float]
    format: str
    files: int = 1


ROWS = (
    Row((0.7265625, 0.7265625, 2.0), "openvino"),  # every voxel
    Row((1.453125, 1.453125, 2.0), "model"),
    Row((3.0, 3.0, 4.0), "openvino", files=3),
)

COMMAND = "from stampseg.cli.commands import main; main()"


def tile_volume(source: Path, target: Path, shape: Sequence[int]) -> Path:
    """Write `source` repeated to a shape: enlarged within slices where it is smaller, mirrored along them."""
    image = nib.load(source)
    array, affine = np.asanyarray(image.dataobj), image.affine.copy()
    for axis in range(2):
        times = max(1, round(shape[axis] / array.shape[axis]))
        array = np.repeat(array, times, axis)
        affine[:3, axis] /= times
    for axis, size in enumerate(shape):
        pieces = [
            array if turn % 2 == 0 else np.flip(array, axis) for turn in range(-(-size // array.shape[axis]))
        ]
        array = np.concatenate(pieces, axis).take(range(size), axis)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array), affine), target)
    return target


def make_model(path: Path, spacing: Sequence[float], classes: int, width: int) -> Path:
    """Write a model file of a U-Net with random weights, planned for CT at that spacing."""
    import torch

    from stampseg.core.network_options import NetworkOptions
    from stampseg.data.plan import Intensity, Plan
    from stampseg.data.planner import plan_strides
    from stampseg.networks.factory import spec_of
    from stampseg.networks.model_file import Description, save_model
    from stampseg.networks.skeleton import skeleton

    patch = (64, 64, 64)
    plan = Plan(
        spatial_dims=3,
        in_channels=1,
        label_values=tuple(range(classes)),
        label_names=("background", *(f"class {k}" for k in range(1, classes))),
        orientation="RAS",
        spacing=tuple(spacing),
        crop="none",
        patch_size=patch,
        normalization="ct",
        ct=(Intensity(low=-100, high=250, mean=80, std=60),),
        strides=plan_strides(patch, (1, 1, 1), 3),
    )
    torch.manual_seed(0)
    spec = spec_of(plan, NetworkOptions(width=width))
    network = spec.build()
    _, graph = skeleton(spec)
    save_model(path, network, Description(network=spec, kept=dict(graph.kept), plan=plan))
    return path


def export(model: Path, path: Path) -> Path:
    """The same as an exported file, of the kind that the name ends in."""
    from stampseg.export import export_model
    from stampseg.networks.model_file import load_model

    formats = {".onnx": "onnx", ".openvino": "openvino"}
    export_model(load_model(model), path, format=formats[path.suffix])
    return path


def measure(model: Path, volumes: Sequence[Path], output: Path) -> tuple[float, int]:
    """Seconds, and peak resident bytes, of one `stampseg predict`."""
    arguments = [str(a) for a in ("predict", model, *volumes, "-o", output, "--overwrite")]
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stdout=said, stderr=said)
        _, status, used = os.wait4(run.pid, 0)  # of this process alone, not the largest of all so far
        seconds = time.perf_counter() - start
        if os.waitstatus_to_exitcode(status):
            said.seek(0)
            raise SystemExit(f"stampseg {' '.join(arguments)}\n{said.read()}")
    return seconds, used.ru_maxrss * 1024


def measure_row(row: Row, volume: Path, folder: Path) -> dict[str, Any]:
    """Seconds and peak memory of one row."""
    volumes = [volume]
    for number in range(1, row.files):
        volumes.append(folder / f"volume{number}.nii.gz")
        volumes[-1].hardlink_to(volume)  # a symbolic link would count as the same file
    model = make_model(folder / "model.safetensors", row.spacing, classes=2, width=WIDTH)
    if row.format != "model":
        model = export(model, folder / f"model.{row.format}")
    seconds, peak = measure(model, volumes, folder / "masks")
    return {**asdict(row), "seconds": round(seconds, 1), "peak_gb": round(peak / 1e9, 2)}


def page(found: dict[str, Any]) -> str:
    """Markdown."""
    shape = " x ".join(map(str, SHAPE))
    lines = [
        "# Memory of a large volume",
        "",
        f"`stampseg predict` on a CT of {shape} voxels, a U-Net of width {WIDTH} and two classes, on {found['machine']}, beside other",
        "work: read the memory, not the seconds. Reading and writing are included. Made with",
        "",
        "    python benchmarks/large_volume.py CT.nii.gz docs/results/large-volume.json",
        "",
        "| grid of the network, mm | computed by | files in a stream | peak memory, GB | seconds |",
        "|---|---|---:|---:|---:|",
    ]
    for row in found["rows"]:
        grid = " x ".join(f"{mm:.3g}" for mm in row["spacing"])
        lines.append(
            f"| {grid} | {ENGINES[row['format']]} | {row['files']} | {row['peak_gb']} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the volume, and measure each row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ct", type=Path)
    parser.add_argument("results", type=Path)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        volume = tile_volume(given.ct, Path(place) / "volume0.nii.gz", SHAPE)
        for row in ROWS:
            with tempfile.TemporaryDirectory(dir=place) as own:  # hard links stay on one file system
                rows.append(measure_row(row, volume, Path(own)))
            print(json.dumps(rows[-1]), flush=True)
    found = {"machine": processor(), "shape": SHAPE, "width": WIDTH, "rows": rows}
    given.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    given.results.with_suffix(".md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
