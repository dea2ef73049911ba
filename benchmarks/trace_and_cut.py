"""Tracing and one cut, beside Torch-Pruning's building of its graph and one pruning step.

    python benchmarks/trace_and_cut.py docs/results/trace-and-cut.json [--repeats 7]

Both take turns, each on a fresh copy, on networks that Torch-Pruning supports. Ours: `trace` (with its
rehearsal, and without it, as when a file is loaded), then one cut of half of the channels with an AdamW
optimiser carried along. Theirs: `MagnitudePruner` built with its dependency graph, then one `step` at a
pruning ratio of a half; it carries no optimiser.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch_pruning
from monai.networks.nets import DynUNet
from torch import nn

from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.machine import processor
from stampseg.networks.unet import UNet

SUBJECTS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "stampseg UNet 3D, width 8": (lambda: UNet(3, 1, 3, 8, [(2, 2, 2)] * 3), (1, 1, 32, 32, 32), "head"),
    "stampseg UNet 2D, width 32": (lambda: UNet(2, 1, 3, 32, [(2, 2)] * 4), (1, 1, 128, 128), "head"),
    "MONAI DynUNet 3D": (
        lambda: DynUNet(3, 1, 3, [3] * 4, [1, 2, 2, 2], [2, 2, 2], filters=[32, 64, 128, 256]),
        (1, 1, 32, 32, 32),
        "output_block",
    ),
}


def ours(network: nn.Module, example: torch.Tensor, rehearse: bool) -> None:
    """Trace, and cut every second channel, with the optimiser."""
    optimizer = torch.optim.AdamW(network.parameters())
    graph = trace(network, example, rehearse=rehearse)
    cut = Cut.of({g.name: np.arange(0, g.size - 1, 2) for g in graph.prunable})
    apply_cut(network, graph, cut, optimizer)


def theirs(network: nn.Module, example: torch.Tensor, head: str) -> None:
    """Build the pruner with its graph, and take one step."""
    pruner = torch_pruning.pruner.MagnitudePruner(
        network, example, importance=torch_pruning.importance.MagnitudeImportance(),
        pruning_ratio=0.5, ignored_layers=[network.get_submodule(head)],
    )  # fmt: skip
    pruner.step()


def seconds(work: Callable[[], None]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(build: Callable[[], nn.Module], shape: tuple[int, ...], head: str, repeats: int) -> dict:
    """Medians, and medians of the ratio turn by turn; the first turn warms up."""
    network, example = build().eval(), torch.zeros(shape)
    for module in network.modules():  # Torch-Pruning follows autograd's graph, which in-place views break
        if hasattr(module, "inplace"):
            module.inplace = False
    turns = []
    for _ in range(repeats + 1):
        copies = [copy.deepcopy(network) for _ in range(3)]
        turns.append(
            (
                seconds(lambda: ours(copies[0], example, True)),  # noqa: B023
                seconds(lambda: ours(copies[1], example, False)),  # noqa: B023
                seconds(lambda: theirs(copies[2], example, head)),  # noqa: B023
            )
        )
    turns = turns[1:]
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "rehearsed_seconds": statistics.median(t[0] for t in turns),
        "plain_seconds": statistics.median(t[1] for t in turns),
        "torch_pruning_seconds": statistics.median(t[2] for t in turns),
        "rehearsed_ratio": statistics.median(t[0] / t[2] for t in turns),
        "plain_ratio": statistics.median(t[1] / t[2] for t in turns),
    }


def main() -> None:
    """Measure all and write the file and the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    rows = {}
    for name, (build, shape, head) in SUBJECTS.items():
        rows[name] = measure(build, shape, head, options.repeats)
        print(name, rows[name], flush=True)
    command = f"python benchmarks/trace_and_cut.py {options.output} --repeats {options.repeats}"
    machine = (
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    found = {"command": command, "machine": machine, "torch_pruning": torch_pruning.__version__, "rows": rows}
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    lines = [
        "# Tracing and cutting beside Torch-Pruning",
        "",
        f"On {machine}, Torch-Pruning {torch_pruning.__version__}; in turns, medians of {options.repeats}. Ours carries "
        "an AdamW optimiser, theirs none; the rehearsal, in which ours cuts a copy to find sizes written in code, has no "
        "counterpart there. A ratio below 1 means that ours is faster. Made with",
        "",
        f"    {command}",
        "",
        "| network | parameters | ours, rehearsed | ours, not rehearsed | Torch-Pruning | rehearsed / theirs | not rehearsed / theirs |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {r['parameters']:,} | {r['rehearsed_seconds']:.3f} s | {r['plain_seconds']:.3f} s "
        f"| {r['torch_pruning_seconds']:.3f} s | {r['rehearsed_ratio']:.2f} | {r['plain_ratio']:.2f} |"
        for name, r in rows.items()
    ]
    options.output.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
