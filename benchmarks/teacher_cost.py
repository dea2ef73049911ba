"""What learning from scans without labels costs: a step with the teacher beside a supervised one, and memory.

    python benchmarks/teacher_cost.py docs/results/teacher-cost.json

Steps of both take turns in one process, loading and augmentation included, on pictures of 128 x 128 and volumes of
40 x 48 x 40; medians of the ratios are given. Memory is the peak of a process that takes 30 steps with 10 and with
1,000 images without labels (links to the same few files), each read as a file of its own. Freed memory is kept for the
next step, as in a run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from PIL import Image

from stampseg.core.data_options import DataOptions
from stampseg.core.machine import processor
from stampseg.core.memory import keeping_freed_memory
from stampseg.core.teacher_options import TeacherOptions
from stampseg.core.train_options import TrainOptions
from stampseg.data.cases import Case
from stampseg.data.loaders import TrainingBatches
from stampseg.data.plan import Plan
from stampseg.networks.unet import UNet
from stampseg.train.loss import make_loss
from stampseg.train.mean_teacher import MeanTeacher
from stampseg.train.trainer import Trainer

SHAPES = {"2d": (128, 128), "3d": (40, 48, 40)}
FULL = TeacherOptions(start=0.0, full=1e-6)


def write_cases(folder: Path, shape: tuple[int, ...], count: int) -> list[Case]:
    rng, cases = np.random.default_rng(0), []
    for number in range(count):
        label = (rng.random(shape) > 0.8).astype(np.uint8)
        image = (label * 100 + rng.normal(0, 20, shape)).astype(np.float32)
        suffix = ".png" if len(shape) == 2 else ".nii.gz"
        files = folder / f"{number}{suffix}", folder / f"{number}_label{suffix}"
        for path, array in zip(files, (image, label), strict=True):
            if len(shape) == 2:
                Image.fromarray(array.clip(0, 255).astype(np.uint8)).save(path)
            else:
                nib.Nifti1Image(array, np.eye(4)).to_filename(path)
        cases.append(Case(str(number), str(number), (files[0],), files[1]))
    return cases


def plan_of(shape: tuple[int, ...]) -> Plan:
    dims = len(shape)
    return Plan(
        spatial_dims=dims, in_channels=1, label_values=(0, 1), label_names=("background", "one"),
        orientation=None, spacing=(1.0,) * dims, crop="none", patch_size=shape, normalization="zscore", ct=None,
        strides=((2,) * dims,) * 3,
    )  # fmt: skip


def trainer_of(cases: list[Case], unlabelled: list[Case], plan: Plan, steps: int) -> Trainer:
    torch.manual_seed(0)
    network, options = UNet(plan.spatial_dims, 1, 2, 8, plan.strides), TrainOptions()
    batches = TrainingBatches(
        cases, plan, options, DataOptions(cache_megabytes=64), 0, unlabelled=unlabelled, teacher=FULL
    )
    teacher = MeanTeacher(network, make_loss(options), FULL, 2) if unlabelled else None
    return Trainer(network, batches, options, steps, torch.device("cpu"), teacher)


@keeping_freed_memory()
def step_ratio(kind: str, repeats: int) -> dict[str, float]:
    shape = SHAPES[kind]
    with tempfile.TemporaryDirectory() as place:
        cases, plan = write_cases(Path(place), shape, 12), plan_of(shape)
        alone, taught = (
            trainer_of(cases[:4], [], plan, 10_000),
            trainer_of(cases[:4], cases[4:], plan, 10_000),
        )
        ratios, seconds = [], []
        for trainer in (alone, taught):
            trainer.train(5)
        for _ in range(repeats):
            took = []
            for trainer in (alone, taught):
                start = time.perf_counter()
                trainer.train(5)
                took.append((time.perf_counter() - start) / 5)
            ratios.append(took[1] / took[0])
            seconds.append(took[0])
        return {"ratio": statistics.median(ratios), "supervised_seconds": statistics.median(seconds)}


@keeping_freed_memory()
def peak(count: int) -> int:
    """Bytes of a process that trains beside `count` images without labels."""
    shape = SHAPES["3d"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        cases, links = write_cases(folder, shape, 12), []
        for number in range(count):
            link = folder / f"link{number}.nii.gz"
            link.symlink_to(cases[4 + number % 8].images[0])
            links.append(Case(f"link{number}", f"link{number}", (link,), None))
        trainer_of(cases[:4], links, plan_of(shape), 100).train(30)
    # not getrusage: its peak is inherited from the process that started this one
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak is not None:
        print(peak(given.peak))
        return
    found: dict = {"machine": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    found |= {kind: step_ratio(kind, given.repeats) for kind in SHAPES}
    for count in (10, 1000):
        said = subprocess.run(
            [sys.executable, __file__, str(given.results), "--peak", str(count)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        found[f"peak_bytes_{count}"] = int(said.stdout)
    given.results.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
