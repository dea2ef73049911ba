"""What the channel engine costs on a network of nnU-Net's own size: seconds and memory.

python benchmarks/big_network.py            writes docs/results/big-network.json and .md
python benchmarks/big_network.py cut|load   one measurement, as JSON, in this process
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "docs" / "results"
FEATURES = [32, 64, 128, 256, 320, 320]
SIDE = 128
RUNS = 5
MEGABYTE = 2**20


def spec(features: list[int] = FEATURES, side: int = SIDE):
    """nnU-Net's default PlainConvUNet for volumes: six stages, two convolutions each."""
    from stampseg.networks.registry import NetworkSpec

    stages = len(features)
    arguments = {
        "input_channels": 1, "num_classes": 3, "n_stages": stages, "features_per_stage": features,
        "conv_op": "torch.nn.modules.conv.Conv3d", "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1), "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1), "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"affine": True},
        "nonlin": "torch.nn.modules.activation.LeakyReLU", "nonlin_kwargs": {"inplace": True},
        "deep_supervision": True,
    }  # fmt: skip
    return NetworkSpec(name="nnunet.PlainConvUNet", arguments=arguments, example_shape=(1, 1, *[side] * 3))


def memory(field: str) -> int:
    """Bytes of this process: VmRSS now, or VmHWM, the most since `reset`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}; this benchmark needs Linux")


def reset() -> int:
    """Start a new peak; the bytes held now."""
    import gc

    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def size(network) -> int:
    """Bytes of all parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))


def mixed_cut(graph):
    """A tenth of every second group that may be cut."""
    from stampseg.channels.graph import Cut

    return Cut.of({g.name: range(0, g.size, 10) for g in graph.prunable[::2]})


def measure_cut() -> dict:
    """Trace and one cut of mixed groups, the first in a process and again."""
    import torch

    from stampseg.channels.surgery import apply_cut
    from stampseg.channels.trace import trace

    torch.set_num_threads(1)
    description = spec()
    seconds, peaks, first = [], [], 0.0
    for run in range(RUNS + 1):
        network = description.build()
        dense, parameters = size(network), sum(p.numel() for p in network.parameters())
        example = torch.zeros(description.example_shape)
        before = reset()
        start = time.perf_counter()
        graph = trace(network, example)
        traced = time.perf_counter()
        cut = mixed_cut(graph)
        apply_cut(network, graph, cut)
        end = time.perf_counter()
        if run == 0:
            first = end - start
            first_peak = memory("VmHWM") - before
        else:
            seconds.append((end - start, traced - start))
            peaks.append(memory("VmHWM") - before)
    best = sorted(seconds)[len(seconds) // 2]
    return {
        "parameters": parameters, "network_bytes": dense, "groups_cut": len(cut.removed),
        "channels_cut": cut.count, "seconds_first": first, "seconds": best[0], "seconds_trace": best[1],
        "peak_extra_bytes_first": first_peak, "peak_extra_bytes": max(peaks),
    }  # fmt: skip


def write_tenth(path: Path) -> None:
    """The network, cut at random to a tenth of its parameters, as a model file."""
    import numpy as np
    import torch

    from stampseg.channels.choice import Limit, choose
    from stampseg.channels.surgery import apply_cut
    from stampseg.channels.trace import trace
    from stampseg.networks.model_file import Description, save_model

    description = spec()
    network = description.build()
    graph = trace(network, torch.zeros(description.example_shape))
    rng = np.random.default_rng(0)
    scores = {group.name: rng.random(group.size) for group in graph.prunable}
    parameters = sum(p.numel() for p in network.parameters())
    cut = choose(network, graph, scores, limit=Limit("parameters", parameters // 10))
    graph = apply_cut(network, graph, cut)
    save_model(path, network, Description(network=description, kept=dict(graph.kept), plan=None))


def measure_load(path: Path) -> dict:
    """Load the file; most memory above what the process held, and the largest tensor that was real."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from stampseg.channels.trace import trace
    from stampseg.networks.model_file import load_model

    small = spec([4, 8], 8)  # what torch imports on first use is not the network's
    trace(small.build(), torch.zeros(small.example_shape))

    class Largest(TorchDispatchMode):
        bytes = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else (out,):
                if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta":
                    self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
            return out

    before, start = reset(), time.perf_counter()
    model = load_model(path)
    seconds, peak = time.perf_counter() - start, memory("VmHWM") - before
    with Largest() as largest:
        load_model(path)
    with torch.device("meta"):
        dense = size(spec().build().to("meta"))
    weights = [p.numel() * p.element_size() for p in model.network.parameters()]
    return {
        "dense_bytes": dense, "network_bytes": size(model.network), "seconds": seconds,
        "peak_extra_bytes": peak, "largest_real_tensor_bytes": largest.bytes,
        "largest_weight_bytes": max(weights),
    }  # fmt: skip


def child(*arguments: str) -> dict:
    """One measurement in a process of its own."""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root / "src")}
    run = subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def page(found: dict) -> str:
    """The document."""
    cut, load = found["cut"], found["load"]

    def megabytes(count: float) -> str:
        return f"{count / MEGABYTE:.1f} MB"

    extra = cut["peak_extra_bytes"] / cut["network_bytes"]
    return f"""# A network of nnU-Net's own size

`python benchmarks/big_network.py` on {found["machine"]}.

nnU-Net's default PlainConvUNet for volumes (features {", ".join(map(str, FEATURES))}; deep supervision):
{cut["parameters"]:,} parameters, {megabytes(cut["network_bytes"])}, traced for an input of {SIDE}^3.

| trace, and one cut of {cut["channels_cut"]} channels in {cut["groups_cut"]} groups | | limit |
|---|---|---|
| seconds, median of {RUNS} | {cut["seconds"]:.2f} (trace {cut["seconds_trace"]:.2f}) | 2 |
| seconds, the first in a process: torch imports its shape rules | {cut["seconds_first"]:.2f} | |
| most memory above the network's own, worst of {RUNS} | {megabytes(cut["peak_extra_bytes"])}, {extra:.2f} of the network | below 2 |
| the same, the first in a process | {megabytes(cut["peak_extra_bytes_first"])} | |

| the network cut to a tenth, loaded from its file | |
|---|---|
| dense size | {megabytes(load["dense_bytes"])} |
| its own size | {megabytes(load["network_bytes"])} |
| most memory above what the process held | {megabytes(load["peak_extra_bytes"])} |
| largest tensor that was ever real | {megabytes(load["largest_real_tensor_bytes"])} (its largest weight: {megabytes(load["largest_weight_bytes"])}) |
| seconds | {load["seconds"]:.2f} |

No dense copy is allocated: the network is built on the meta device, cut there, and filled from the file.
"""


def main() -> None:
    """Measure in processes of their own, and write both files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tenth.safetensors"
        write_tenth(path)
        found = {
            "command": "python benchmarks/big_network.py",
            "machine": f"{os.cpu_count()} cores, {platform.machine().replace('_', '-')}, one thread, shared with other work",
            "cut": child("cut"),
            "load": child("load", str(path)),
        }
    (RESULTS / "big-network.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "big-network.md").write_text(page(found), encoding="utf-8")
    print(page(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["cut"]:
        print(json.dumps(measure_cut()))
    elif sys.argv[1:2] == ["load"]:
        print(json.dumps(measure_load(Path(sys.argv[2]))))
    else:
        main()
