"""What the machine could do at best for a training step: arithmetic and memory of each network, against its time.

    python benchmarks/roofline.py docs/results/roofline.json DENSE.safetensors PRUNED.safetensors [...]

The peak is that of a large float32 matrix product, the bandwidth that of copying a large tensor, both measured here.
A step's arithmetic is three times the forward pass's. Its least memory traffic counts each convolution's input and
output once in the forward pass and twice in the backward pass (for the gradient of its input and of its weights),
as if norms and activations cost nothing. The step takes at least the larger of the two times, layer by layer. FLOPs
fall with the product of a layer's two widths, traffic with their sum.

Processors multiply vectors of 16 float32 (AVX-512), and oneDNN's channels-last kernels lay them along the channels: a
layer of 3 channels takes the arithmetic of one of 16. The second bound counts that: output channels are rounded up to
16 in the forward pass and for the weights' gradient, input channels for the input's gradient.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path

import torch
from step_time import OneBatch
from torch import nn

from stampseg.channels.graph import ChannelGraph
from stampseg.channels.trace import trace
from stampseg.core.machine import processor
from stampseg.core.train_options import TrainOptions
from stampseg.networks.device import lay_out
from stampseg.networks.model_file import load_model
from stampseg.timing.stopwatch import measure
from stampseg.train.trainer import Trainer

BATCH = 4
LANES = 16  # float32 in a vector register


def peaks() -> tuple[float, float]:
    """FLOPs a second of a matrix product, bytes a second of a copy (read and written)."""
    a = torch.randn(2048, 2048)
    flops = 2 * 2048**3 / (measure(lambda: a @ a, seconds=2).least / 1e3)
    x, y = torch.randn(2**26), torch.empty(2**26)
    moved = 2 * 4 * 2**26 / (measure(lambda: y.copy_(x), seconds=2).least / 1e3)
    return flops, moved


def bounds(network: nn.Module, graph: ChannelGraph, peak: float, bandwidth: float) -> dict[str, float]:
    """Least milliseconds of a step: by arithmetic, by memory, and by the larger of both in each layer."""
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    arithmetic, memory, both, lanes = 0.0, 0.0, 0.0, 0.0
    for call in graph.calls:
        shape = shapes[call.weight]
        taken, made = (shape[0], shape[1]) if call.transposed else (shape[1], shape[0])
        flops = 3 * 2 * math.prod(shape) * call.places * BATCH / peak
        moved = 3 * 4 * (taken * math.prod(call.size) + made * call.voxels) * BATCH / bandwidth
        arithmetic, memory, both = arithmetic + flops, memory + moved, both + max(flops, moved)
        kernel = math.prod(shape) // (taken * made)
        filled = 2 * _full(made) * taken + made * _full(taken)
        padded = 2 * filled * kernel * call.places * BATCH / peak
        lanes += max(padded, moved)
    return {
        "arithmetic_ms": 1e3 * arithmetic, "memory_ms": 1e3 * memory, "bound_ms": 1e3 * both,
        "lanes_bound_ms": 1e3 * lanes,
    }  # fmt: skip


def _full(channels: int) -> int:
    """Rounded up to whole vectors."""
    return -(-channels // LANES) * LANES


def main() -> None:
    """Measure and write the file and the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    options = parser.parse_args()
    peak, bandwidth = peaks()
    rows, trainers = [], []
    for path in options.models:
        model = load_model(path)
        example = torch.zeros((1, model.plan.in_channels, *model.plan.patch_size))
        network = lay_out(model.network, model.plan.spatial_dims, torch.device("cpu"))
        graph = trace(network, example, rehearse=False)
        batch = OneBatch((BATCH, *example.shape[1:]))
        trainers.append(Trainer(network, batch, TrainOptions(), 10**6, torch.device("cpu")))
        rows.append({"model": path.parent.name, **bounds(network, graph, peak, bandwidth), "steps": []})
    for _ in range(9):
        for row, trainer in zip(rows, trainers, strict=True):
            row["steps"].append(measure(lambda t=trainer: t.train(1), seconds=0, least=1, warm_up=0).least)
    for row in rows:
        row["step_ms"] = sorted(row.pop("steps")[2:])[3]
        print(row, flush=True)
    machine = (
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    command = "python benchmarks/roofline.py " + " ".join(
        [str(options.output), *(p.parent.name for p in options.models)]
    )
    found = {
        "command": command,
        "machine": machine,
        "gflops_peak": peak / 1e9,
        "gigabytes_a_second": bandwidth / 1e9,
    }
    options.output.write_text(json.dumps(found | {"rows": rows}, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(page(found, rows), encoding="utf-8")


def page(found: dict, rows: list[dict]) -> str:
    """The figures as a page."""
    first = rows[0]
    lines = [
        "# What the machine allows a training step",
        "",
        f"On {found['machine']}: {found['gflops_peak']:.0f} GFLOPs a second in a matrix product, "
        f"{found['gigabytes_a_second']:.1f} GB a second in a copy. Bounds of a step of batch {BATCH}, as the script says; "
        "the last columns are against the first network. Made with",
        "",
        f"    {found['command']}",
        "",
        f"| network | arithmetic | memory | bound | bound, {LANES} lanes | measured | arithmetic, ratio | memory, ratio "
        f"| bound, ratio | bound, {LANES} lanes, ratio | measured, ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        keys = ("arithmetic_ms", "memory_ms", "bound_ms", "lanes_bound_ms", "step_ms")
        times, base = [row[key] for key in keys], [first[key] for key in keys]
        ratios = [f"{a / b:.2f}" for a, b in zip(times, base, strict=True)]
        lines.append(
            f"| {row['model']} | {' | '.join(f'{t:.0f} ms' for t in times)} | {' | '.join(ratios)} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
