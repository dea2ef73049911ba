"""What a step costs, what a round costs, and how both fall as the network shrinks.

    python benchmarks/step_time.py docs/results/step-time.json [--repeats 12]

Random volumes of the hippocampus' patch (4 x 1 x 40 x 64 x 48) and pictures (4 x 1 x 256 x 256), the
default network, pruned by parameters and by FLOPs. Ours, a bare PyTorch loop and MONAI's SupervisedTrainer
(pip install --no-deps pytorch-ignite==0.4.11) take turns step by step in one process; medians of
their ratios turn by turn are given. Seconds depend on the machine and what else it does; the ratios do so less.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from monai.engines import SupervisedTrainer
from torch import nn

from stampseg.channels.choice import Limit, choose, least_widths
from stampseg.channels.cost import Tally
from stampseg.channels.graph import ChannelGraph
from stampseg.channels.importance import importance
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.machine import processor
from stampseg.core.prune_options import PruneOptions
from stampseg.core.target import Target
from stampseg.core.train_options import TrainOptions
from stampseg.networks.denormals import flushing_denormals
from stampseg.networks.device import lay_out, seed_everything
from stampseg.networks.unet import UNet
from stampseg.train.loss import make_loss
from stampseg.train.trainer import Trainer, make_optimizer

SHAPES = {"3d": (4, 1, 40, 64, 48), "2d": (4, 1, 256, 256)}
POOLINGS = {"3d": 3, "2d": 4}
SHARES = {"parameters": (1.0, 0.5, 0.25, 0.15, 0.05), "flops": (0.5, 0.25, 0.1)}


OVERHEAD = ("score_seconds", "choose_seconds", "cut_and_carry_seconds")


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


def monai_trainer(network: nn.Module, batch: dict[str, torch.Tensor]) -> Callable[[], object]:
    """A step by MONAI's engine, with the same loss, optimiser and memory layout; denormals flushed as well."""
    options = TrainOptions()
    image = batch["image"].contiguous(memory_format=_layout(batch["image"]))
    trainer = SupervisedTrainer(
        device=torch.device("cpu"), max_epochs=1, epoch_length=1, decollate=False,
        train_data_loader=[{"image": image, "label": batch["label"]}], network=network,
        optimizer=make_optimizer(network, options), loss_function=make_loss(options),
    )  # fmt: skip
    trainer.logger.setLevel(logging.WARNING)

    def step() -> None:
        trainer.state.max_epochs, trainer.state.epoch = trainer.state.epoch + 1, trainer.state.epoch
        with flushing_denormals():
            trainer.run()

    return step


def _layout(x: torch.Tensor) -> torch.memory_format:
    return torch.channels_last if x.ndim == 4 else torch.channels_last_3d


def measure(kind: str, repeats: int, width: int = 8, costs: Sequence[str] = tuple(SHARES)) -> dict:
    """All figures for volumes or pictures."""
    shape = SHAPES[kind]
    dims = len(shape) - 2
    batches, rows = OneBatch(shape), []
    for cost in costs:
        shares = (
            SHARES[cost] if cost == costs[0] == "parameters" else (1.0, *SHARES[cost])[cost != costs[0] :]
        )
        seed_everything(0)
        network = lay_out(UNet(dims, 1, 3, width, [(2,) * dims] * POOLINGS[kind]), dims, torch.device("cpu"))
        graph = trace(network, torch.zeros((1, *shape[1:])))
        dense = Tally(network, graph)
        for share in shares:
            trainer = Trainer(network, batches, TrainOptions(), 10**6, torch.device("cpu"))
            if share < 1:
                limit = Limit(cost, int(getattr(dense, cost) * share))
                graph, times = shrunk(network, graph, trainer, limit)
            else:
                times = {}
            tally = Tally(network, graph)
            rows.append(
                {
                    "by": cost,
                    "share": share,
                    "parameters": tally.parameters,
                    "gflops": round(tally.flops / 1e9, 3),
                    **side_by_side(trainer, network, batches.content, repeats),
                    **times,
                }
            )
            print(kind, rows[-1], flush=True)
    return {"shape": shape, "rows": rows}


def shrunk(
    network: nn.Module, graph: ChannelGraph, trainer: Trainer, limit: Limit
) -> tuple[ChannelGraph, dict[str, float]]:
    """Score, choose and cut as a run does for such a target; how long each took."""
    prune = PruneOptions(target=Target(kind=limit.kind, amount=limit.amount))
    start = time.perf_counter()
    scores = importance(
        network, graph, trainer.scoring_batches(None), trainer.objective.criterion,
        criterion=prune.criterion, normalizer=prune.scaling,
    )  # fmt: skip
    scored = time.perf_counter()
    share = limit.amount / getattr(Tally(network, graph), limit.kind)
    least = least_widths(graph.prunable, prune.evenness, limit.kind, share)
    cut = choose(network, graph, scores, limit=limit, cost=prune.cost, least=least)
    chosen = time.perf_counter()
    graph = apply_cut(network, graph, cut, trainer.optimizer)
    done = time.perf_counter()
    return graph, {
        "score_seconds": scored - start,
        "choose_seconds": chosen - scored,
        "cut_and_carry_seconds": done - chosen,
        "channels_cut": cut.count,
    }


def side_by_side(
    trainer: Trainer, network: nn.Module, batch: dict[str, torch.Tensor], repeats: int
) -> dict[str, float]:
    """Seconds of a step of each, and the ratios turn by turn; who follows whom changes, for it counts."""
    rivals = {
        "ours": lambda: trainer.train(1),
        "bare": bare_loop(copy.deepcopy(network), batch),
        "monai": monai_trainer(copy.deepcopy(network), batch),
    }
    draw, turns = random.Random(0), []
    for _ in range(repeats + 2):
        names = draw.sample(list(rivals), len(rivals))
        turns.append({name: seconds(rivals[name]) for name in names})
    turns = turns[2:]
    return {
        "step_seconds": statistics.median(turn["ours"] for turn in turns),
        "bare_step_seconds": statistics.median(turn["bare"] for turn in turns),
        "monai_step_seconds": statistics.median(turn["monai"] for turn in turns),
        "ratio_to_bare": statistics.median(turn["ours"] / turn["bare"] for turn in turns),
        "ratio_to_monai": statistics.median(turn["ours"] / turn["monai"] for turn in turns),
    }


def main() -> None:
    """Measure both and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--kinds", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--costs", nargs="+", choices=list(SHARES), default=list(SHARES))
    options = parser.parse_args()
    chosen = "" if options.width == 8 else f" --width {options.width}"
    if options.kinds != list(SHAPES):
        chosen += f" --kinds {' '.join(options.kinds)}"
    if options.costs != list(SHARES):
        chosen += f" --costs {' '.join(options.costs)}"
    results = {
        "command": f"python benchmarks/step_time.py {options.output} --repeats {options.repeats}{chosen}",
        "width": options.width,
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
        **{kind: measure(kind, options.repeats, options.width, options.costs) for kind in options.kinds},
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
        "shared with other work: read the ratios, not the seconds. Ours, a bare PyTorch loop and MONAI's "
        "SupervisedTrainer with the same network, loss, optimiser and batch take turns step by step, in an order drawn anew each time; medians are given. The batch is ready in memory for all: "
        "loading and augmentation, which run ahead in a thread, are not in these figures. Made with",
        "",
        f"    {results['command']}",
        "",
    ]
    for kind, title in (("3d", "Volumes"), ("2d", "Pictures")):
        if kind not in results:
            continue
        rows = results[kind]["rows"]
        lines += [
            f"## {title}, width {results['width']}, batch {' x '.join(map(str, results[kind]['shape']))}",
            "",
            "| pruned by | parameters | GFLOPs | FLOPs against dense | seconds a step | against dense | ours / bare loop "
            "| ours / MONAI | score | choose | cut + carry |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in rows:
            overhead = [f"{row[name]:.3f} s" if name in row else "" for name in OVERHEAD]
            lines.append(
                f"| {row['by'] if row['share'] < 1 else 'not'} | {row['parameters']:,} | {row['gflops']:.2f} "
                f"| {row['gflops'] / rows[0]['gflops']:.2f} | {row['step_seconds']:.3f} "
                f"| {row['step_seconds'] / rows[0]['step_seconds']:.2f} | {row['ratio_to_bare']:.3f} "
                f"| {row['ratio_to_monai']:.3f} | {' | '.join(overhead)} |"
            )
        lines.append("")
    lines.append(
        "Score is of a pass over three batches, as ten cases in batches of four; a run gathers it from training steps by default. The share of a whole run that scoring and "
        "cutting take stands in [whole-runs.md](whole-runs.md)."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
