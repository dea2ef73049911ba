"""What a step costs, what a round costs, and how both fall as the network shrinks.

    python benchmarks/step_time.py docs/results/step-time.json [--repeats 12]

Random volumes of the hippocampus' patch (4 x 1 x 40 x 64 x 48) and pictures (4 x 1 x 256 x 256), the
default network. Ours and the bare loop take turns step by step in one process; medians of their ratio
pair by pair are given. Seconds depend on the machine and what else it does; the ratios do so less.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from stampseg.channels.choice import Limit, choose
from stampseg.channels.cost import Tally
from stampseg.channels.importance import importance
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.config import TrainOptions
from stampseg.denormals import flushing_denormals
from stampseg.networks.unet import UNet
from stampseg.training import Trainer, lay_out, make_loss, make_optimizer, seed_everything

SHAPES = {"3d": (4, 1, 40, 64, 48), "2d": (4, 1, 256, 256)}
POOLINGS = {"3d": 3, "2d": 4}
SHARES = (1.0, 0.5, 0.25, 0.15, 0.05)


class OneBatch:
    """The same batch for every step."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.content = {"image": torch.randn(shape), "label": torch.randint(0, 3, (shape[0], 1, *shape[2:]))}

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The batch."""
        return self.content

    def scoring_batches(self, count: int | None = None) -> list[dict[str, torch.Tensor]]:
        """Three of them, as ten cases in batches of four."""
        return [self.content] * 3


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare_loop(network: nn.Module, batch: dict[str, torch.Tensor]) -> Callable[[], None]:
    """A step as one would write it by hand, with the same loss, optimiser and memory layout."""
    options = TrainOptions()
    loss, optimizer = make_loss(options), make_optimizer(network, options)
    image, label = batch["image"].contiguous(memory_format=_layout(batch["image"])), batch["label"]

    def step() -> None:
        with flushing_denormals():
            optimizer.zero_grad()
            loss(network(image), label).backward()
            optimizer.step()

    return step


def _layout(x: torch.Tensor) -> torch.memory_format:
    return torch.channels_last if x.ndim == 4 else torch.channels_last_3d


def measure(kind: str, repeats: int) -> dict:
    """All figures for volumes or pictures."""
    seed_everything(0)
    shape = SHAPES[kind]
    dims = len(shape) - 2
    network = lay_out(UNet(dims, 1, 3, 8, [(2,) * dims] * POOLINGS[kind]), dims, torch.device("cpu"))
    graph, batches = trace(network, torch.zeros((1, *shape[1:]))), OneBatch(shape)
    dense = Tally(network, graph)
    rows, limits = [], [(share, Limit("parameters", int(dense.parameters * share))) for share in SHARES]
    for share, limit in limits:
        trainer = Trainer(network, batches, TrainOptions(), 10**6, torch.device("cpu"))
        bare = bare_loop(copy.deepcopy(network), batches.content)
        pairs = [(seconds(lambda: trainer.train(1)), seconds(bare)) for _ in range(repeats + 2)][2:]  # noqa: B023
        start = time.perf_counter()
        scores = importance(network, graph, trainer.scoring_batches(None), trainer.loss)
        scored = time.perf_counter()
        following = next((nxt for s, nxt in limits if s < share), limit)
        cut = choose(network, graph, scores, limit=following)
        chosen = time.perf_counter()
        tally = Tally(network, graph)
        graph = apply_cut(network, graph, cut, trainer.optimizer)
        done = time.perf_counter()
        rows.append(
            {
                "share": share,
                "parameters": tally.parameters,
                "gflops": round(tally.flops / 1e9, 3),
                "step_seconds": statistics.median(ours for ours, _ in pairs),
                "bare_step_seconds": statistics.median(theirs for _, theirs in pairs),
                "ratio_to_bare": statistics.median(ours / theirs for ours, theirs in pairs),
                "score_seconds": scored - start,
                "choose_seconds": chosen - scored,
                "cut_and_carry_seconds": done - chosen,
                "channels_cut": cut.count,
            }
        )
        print(kind, rows[-1], flush=True)
    return {"shape": shape, "rows": rows}


def main() -> None:
    """Measure both and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--repeats", type=int, default=12)
    options = parser.parse_args()
    results = {
        "command": f"python benchmarks/step_time.py {options.output} --repeats {options.repeats}",
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
        **{kind: measure(kind, options.repeats) for kind in SHAPES},
    }
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(page(results), encoding="utf-8")


def page(results: dict) -> str:
    """The figures as a page."""
    machine = results["machine"]
    lines = [
        "# What a step and a round cost",
        "",
        f"On {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}, "
        "shared with other work: read the ratios, not the seconds. Ours and a bare PyTorch loop of the same network, "
        "loss, optimiser and batch take turns step by step; medians are given. The batch is ready in memory for both: "
        "loading and augmentation, which run ahead in a thread, are not in these figures. Made with",
        "",
        f"    {results['command']}",
        "",
    ]
    for kind, title in (("3d", "Volumes"), ("2d", "Pictures")):
        rows = results[kind]["rows"]
        lines += [
            f"## {title}, batch {' x '.join(map(str, results[kind]['shape']))}",
            "",
            "| parameters | GFLOPs | seconds a step | against dense | ours / bare loop | score | choose | cut + carry |",
            "|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {row['parameters']:,} | {row['gflops']:.2f} | {row['step_seconds']:.3f} "
            f"| {row['step_seconds'] / rows[0]['step_seconds']:.2f} | {row['ratio_to_bare']:.3f} "
            f"| {row['score_seconds']:.2f} s | {row['choose_seconds']:.3f} s | {row['cut_and_carry_seconds']:.3f} s |"
            for row in rows
        ]
        lines.append("")
    lines.append(
        "Score is of three batches, as ten cases in batches of four. The share of a whole run that scoring and "
        "cutting take stands in [first-runs.md](first-runs.md)."
    )
    return "\n".join(lines) + "\n"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
