"""What it brings a training step to keep the memory that the step before has freed, and what memory it takes.

    python benchmarks/freed_memory.py docs/results/freed-memory.json

The default network of width 8 in a step with the teacher and in a supervised one, on noise in memory, with one thread.
Blocks of steps that keep freed memory and blocks that do not take turns in one process, in an order drawn anew each
time; medians of the ratios are given, and of the seconds that the system worked for the process. The peak of memory
is that of a process of its own for each.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from stampseg.core.machine import processor
from stampseg.core.memory import keeping_freed_memory
from stampseg.core.teacher_options import TeacherOptions
from stampseg.core.train_options import TrainOptions
from stampseg.networks.device import lay_out
from stampseg.networks.unet import UNet
from stampseg.train.loss import make_loss
from stampseg.train.mean_teacher import MeanTeacher
from stampseg.train.trainer import Trainer

WINDOWS = {
    "128 x 128": (128, 128), "256 x 256": (256, 256), "512 x 512": (512, 512),
    "40 x 64 x 48": (40, 64, 48), "80 x 80 x 80": (80, 80, 80),
}  # fmt: skip
BATCH, STEPS = 4, 3
FULL = TeacherOptions(start=0.0, full=1e-6)


class Noise:
    """The same batch for every step."""

    def __init__(self, shape: tuple[int, ...], taught: bool) -> None:
        image = torch.randn((BATCH, 1, *shape))
        self.content = {"image": image, "label": (image > 0).long()}
        if taught:
            self.content |= {name: torch.randn((BATCH, 1, *shape)) for name in ("weak", "strong")}

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The batch."""
        return self.content

    def scoring_batches(self, count: int | None = None) -> list[dict[str, torch.Tensor]]:
        """The batch once."""
        return [self.content]


def trainer_of(shape: tuple[int, ...], taught: bool) -> Trainer:
    """A run that has begun."""
    torch.manual_seed(0)
    dims, options = len(shape), TrainOptions()
    network = lay_out(UNet(dims, 1, 2, 8, ((2,) * dims,) * 3), dims, torch.device("cpu"))
    teacher = MeanTeacher(network, make_loss(options), FULL, 2) if taught else None
    trainer = Trainer(network, Noise(shape, taught), options, 10_000, torch.device("cpu"), teacher)
    trainer.train(1)
    return trainer


def measured(trainer: Trainer, kept: bool) -> tuple[float, float]:
    """Seconds of a step, on the clock and of the system's work for it."""
    with keeping_freed_memory() if kept else nullcontext():
        trainer.train(1)
        clock, system = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_stime
        trainer.train(STEPS)
        spent = time.perf_counter() - clock, resource.getrusage(resource.RUSAGE_SELF).ru_stime - system
    return spent[0] / STEPS, spent[1] / STEPS


def compared(shape: tuple[int, ...], taught: bool, repeats: int) -> dict[str, float]:
    """Medians over the turns."""
    trainer, order, turns = trainer_of(shape, taught), random.Random(0), []
    for _ in range(repeats):
        both = order.sample((True, False), 2)
        turns.append({kept: measured(trainer, kept) for kept in both})
    return {
        "seconds": statistics.median(turn[True][0] for turn in turns),
        "ratio": statistics.median(turn[True][0] / turn[False][0] for turn in turns),
        "system_kept": statistics.median(turn[True][1] for turn in turns),
        "system_given_back": statistics.median(turn[False][1] for turn in turns),
    }


def peak(shape: tuple[int, ...], taught: bool, kept: bool) -> int:
    """Bytes of this process after a few steps, at most."""
    with keeping_freed_memory() if kept else nullcontext():
        trainer_of(shape, taught).train(5)
    # not getrusage: its peak is inherited from the process that started this one
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def peak_of(place: Path, name: str, taught: bool, kept: bool) -> int:
    """The same of a process of its own."""
    asked = json.dumps([name, taught, kept])
    said = subprocess.run(
        [sys.executable, __file__, str(place), "--peak", asked], check=True, capture_output=True
    )
    return int(said.stdout)


def page(found: dict, repeats: int) -> str:
    """The table and what it is made with."""
    lines = [
        "# Keeping freed memory for the next step", "",
        f"On {found['machine']}, one thread, torch {found['torch']}, shared with other work: read the ratios. "
        "The default network of width 8, four windows with labels and, with the teacher, four without. Blocks of steps "
        "that keep freed memory, as training on Linux does by default, and blocks that give it back take turns in one "
        "process. What is computed is the same. Where memory is short, MALLOC_TRIM_THRESHOLD_=67108864 in the "
        "environment leaves it to glibc. Made with", "",
        f"    python benchmarks/freed_memory.py docs/results/freed-memory.json --repeats {repeats}", "",
        "| windows | step | seconds | time, kept / given back | of the system, kept | given back | peak, kept | given back |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in found["rows"]:
        lines.append(
            f"| {row['windows']} | {'with the teacher' if row['taught'] else 'supervised'} | {row['seconds']:.3f} "
            f"| {row['ratio']:.2f} | {row['system_kept']:.3f} s | {row['system_given_back']:.3f} s "
            f"| {row['peak_kept'] / 1e6:,.0f} MB | {row['peak_given_back'] / 1e6:,.0f} MB |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--peak", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peak is not None:
        name, taught, kept = given.peak
        print(peak(WINDOWS[name], taught, kept))
        return
    rows = []
    for name, shape in WINDOWS.items():
        for taught in (False, True):
            row = {"windows": name, "taught": taught, **compared(shape, taught, given.repeats)}
            for word in ("kept", "given_back"):
                row[f"peak_{word}"] = peak_of(given.results, name, taught, word == "kept")
            rows.append(row)
            print(json.dumps(row), flush=True)
    found = {"machine": processor(), "torch": torch.__version__, "repeats": given.repeats, "rows": rows}
    given.results.write_text(json.dumps(found, indent=1) + "\n")
    given.results.with_suffix(".md").write_text(page(found, given.repeats))


if __name__ == "__main__":
    main()
