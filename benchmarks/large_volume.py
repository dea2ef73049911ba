"""Memory and time of `stampseg predict` on a CT of 512 x 512 x 600 voxels, made by tiling a smaller one.

    python benchmarks/large_volume.py CT.nii.gz [--shape 512 512 600] [--spacing 0.73 0.73 2] [--classes 2]
                                      [--width 8] [--format model] [--files 1] [--mirror] [--batch 1]

CT.nii.gz is repeated, every other time mirrored, until it has the shape, its voxels made smaller where it
has fewer in a slice. The network is a U-Net with random weights, which costs what a trained one costs.
The command runs in a process of its own; printed are its seconds and its peak resident memory, reading
and writing included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

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

    from stampseg.core.config import NetworkOptions
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


def measure(
    model: Path, volumes: Sequence[Path], output: Path, options: Sequence[str] = ()
) -> tuple[float, int]:
    """Seconds, and peak resident bytes, of one `stampseg predict`."""
    arguments = [str(a) for a in ("predict", model, *volumes, "-o", output, "--overwrite", *options)]
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    seconds = time.perf_counter() - start
    if run.returncode:
        raise SystemExit(f"stampseg {' '.join(arguments)}\n{run.stdout}{run.stderr}")
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def main() -> None:
    """Make the volume and the model, and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ct", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 600))
    parser.add_argument("--spacing", type=float, nargs=3, default=(0.7265625, 0.7265625, 2.0))
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--format", choices=("model", "onnx", "openvino"), default="model")
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--mirror", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        volumes = [tile_volume(given.ct, folder / "volume0.nii.gz", given.shape)]
        for number in range(1, given.files):
            volumes.append(folder / f"volume{number}.nii.gz")
            volumes[-1].hardlink_to(volumes[0])  # a symbolic link would count as the same file
        model = make_model(folder / "model.safetensors", given.spacing, given.classes, given.width)
        if given.format != "model":
            model = export(model, folder / f"model.{given.format}")
        options = ["--batch", str(given.batch), *(["--mirror"] if given.mirror else [])]
        seconds, peak = measure(model, volumes, folder / "masks", options)
    said = {name: value for name, value in vars(given).items() if name != "ct"}
    print(json.dumps({**said, "seconds": round(seconds, 1), "peak_gb": round(peak / 1e9, 2)}))


if __name__ == "__main__":
    main()
