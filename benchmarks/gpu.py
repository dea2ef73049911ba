"""What a GPU's means bring, for whoever has one: half precision, layout, compiling, pinned memory, several GPUs.

    python benchmarks/gpu.py gpu.json                     one GPU, then as many as there are
    python benchmarks/gpu.py gpu.json --devices 1 4       one, then four
    python benchmarks/gpu.py tiny.json --device cpu --tiny --devices 1 2 --settings bf16 fp16 contiguous

Random volumes and pictures, the default network whole and pruned to 15% of its parameters. All settings take turns
step by step in one process, in an order drawn anew each time; the medians of their ratios to `f32`, turn by turn, are
given (below 1: faster). Of several devices, a step by all of them and a step by the first alone, of the same whole
batch, take turns too. Seconds depend on the machine; no figure of this file is in the documentation before it was run.

    f32         as `stampseg train` does by default: float32, channels last
    bf16        train.precision=bf16
    fp16        autocast to float16, with scaled gradients: no option of ours yet
    contiguous  float32, channels first
    compile     train.compile=true; the first step after a cut, in which it compiles, is given apart
    pinned      float32, the batch from pinned memory while the host goes on; `f32` beside it copies as well
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stampseg.channels.choice import Limit, choose
from stampseg.channels.cost import Tally
from stampseg.channels.importance import importance
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.machine import processor
from stampseg.core.train_options import TrainOptions
from stampseg.data.share import WHOLE, Share
from stampseg.networks.device import devices_of, lay_out, resolve_device, seed_everything
from stampseg.networks.narrow_layers import narrow_layers
from stampseg.networks.unet import UNet
from stampseg.run.processes import working_together
from stampseg.train.loss import make_loss
from stampseg.train.team import ALONE, Team
from stampseg.train.trainer import Trainer, make_optimizer

SHAPES = {"3d": (8, 1, 96, 96, 96), "2d": (16, 1, 512, 512)}
TINY = {"3d": (2, 1, 8, 8, 8), "2d": (2, 1, 16, 16)}
POOLINGS = {"3d": 4, "2d": 5}
SETTINGS = ("bf16", "fp16", "contiguous", "compile", "pinned")
SHARES = (1.0, 0.15)  # of the parameters
WARM_UP = 3  # turns
STEPS = 10**6  # of the schedule, which does not matter here


class OneBatch:
    """The same batch, on the host, in every step; of a share its rows."""

    def __init__(self, shape: tuple[int, ...], share: Share = WHOLE, pinned: bool = False) -> None:
        chance = torch.Generator().manual_seed(0)
        whole = {
            "image": torch.randn(shape, generator=chance),
            "label": torch.randint(0, 3, (shape[0], 1, *shape[2:]), generator=chance),
        }
        rows = {name: value[share.rows(shape[0])] for name, value in whole.items()}
        self.content = {name: value.pin_memory() for name, value in rows.items()} if pinned else rows

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch."""
        return self.content

    def scoring_batches(self, count: int | None = None) -> list[dict[str, Tensor]]:
        """The same once."""
        return [self.content]


def networks(shape: tuple[int, ...], poolings: int) -> list[tuple[float, nn.Module]]:
    """The default network, whole and pruned, on the processor."""
    dims = len(shape) - 2
    seed_everything(0)
    network = UNet(dims, 1, 3, 8, [(2,) * dims] * poolings)
    found = []
    for share in SHARES:
        small = copy.deepcopy(network)
        example = torch.zeros((1, *shape[1:]))
        graph = trace(small, example)
        if share < 1:
            scores = importance(small, graph, [], make_loss(TrainOptions()), criterion="weight-l1")
            limit = Limit("parameters", Tally(small, graph).parameters * share)
            apply_cut(small, graph, choose(small, graph, scores, limit=limit))
        found.append((share, small))
    return found


def step_of(
    setting: str, network: nn.Module, shape: tuple[int, ...], device: torch.device
) -> Callable[[], object]:
    """A whole step, from the batch on the host to the changed weights."""
    twin = copy.deepcopy(network)
    if setting in ("f32", "bf16", "compile"):
        options = TrainOptions(
            batch_size=shape[0],
            precision="bf16" if setting == "bf16" else "f32",
            compile=setting == "compile",
        )
        trainer = Trainer(lay_out(twin, len(shape) - 2, device), OneBatch(shape), options, STEPS, device)
        return lambda: trainer.train(1)
    twin = twin.to(device) if setting == "contiguous" else lay_out(twin, len(shape) - 2, device)
    loss, optimizer = make_loss(TrainOptions()).to(device), make_optimizer(twin.train(), TrainOptions())
    scaler = torch.amp.GradScaler(device.type, enabled=setting == "fp16")
    content = OneBatch(shape, pinned=setting == "pinned").content
    layout = torch.contiguous_format if setting == "contiguous" else _layout(shape)

    def step() -> None:
        image = content["image"].to(device, non_blocking=setting == "pinned", memory_format=layout)
        label = content["label"].to(device, non_blocking=setting == "pinned")
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.float16, enabled=setting == "fp16"), narrow_layers():
            output = twin(image)
        scaler.scale(loss(output.float(), label)).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def _layout(shape: tuple[int, ...]) -> torch.memory_format:
    return torch.channels_last if len(shape) == 4 else torch.channels_last_3d


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of a call, and of all that it leaves the device to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def in_turns(rivals: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, Any]:
    """Median seconds, and ratios to the first of them turn by turn."""
    first, draw = next(iter(rivals)), random.Random(0)
    turns = [
        {name: seconds(rivals[name], device) for name in draw.sample(list(rivals), len(rivals))}
        for _ in range(WARM_UP + repeats)
    ][WARM_UP:]
    return {
        name: {
            "seconds": statistics.median(turn[name] for turn in turns),
            f"ratio_to_{first}": statistics.median(turn[name] / turn[first] for turn in turns),
        }
        for name in rivals
    }


def one_device(
    shapes: dict[str, tuple[int, ...]], poolings: dict[str, int], settings: Sequence[str], repeats: int,
    device: torch.device,
) -> list[dict[str, Any]]:  # fmt: skip
    """All settings beside each other; what a setting cannot do here is said in its place."""
    rows = []
    for kind, shape in shapes.items():
        for share, network in networks(shape, poolings[kind]):
            rivals, failed, begun = dict[str, Callable[[], object]](), dict[str, str](), dict[str, float]()
            for setting in ("f32", *settings):
                try:
                    step = step_of(setting, network, shape, device)
                    begun[setting] = seconds(step, device)
                    rivals[setting] = step
                except Exception as error:  # of another machine's torch: whatever it is, it is the finding
                    failed[setting] = str(error).splitlines()[0]
            row = {
                "kind": kind,
                "shape": shape,
                "share": share,
                "parameters": sum(p.numel() for p in network.parameters()),
                "first_step_seconds": begun,
                "failed": failed,
                **in_turns(rivals, repeats, device),
            }
            print(row, flush=True)
            rows.append(row)
    return rows


def several(
    shapes: dict[str, tuple[int, ...]], poolings: dict[str, int], repeats: int, places: list[torch.device]
) -> list[dict[str, Any]]:
    """A step by all devices and one by the first alone, of the same whole batch, in turns."""
    arguments = (shapes, poolings, repeats)
    with working_together(places, print, other_device, *arguments) as team:
        return _several(team, places[0], *arguments)


def other_device(
    team: Team,
    device: torch.device,
    shapes: dict[str, tuple[int, ...]],
    poolings: dict[str, int],
    repeats: int,
) -> None:
    """What the processes beside the first one do."""
    _several(team, device, shapes, poolings, repeats)


def _several(
    team: Team,
    device: torch.device,
    shapes: dict[str, tuple[int, ...]],
    poolings: dict[str, int],
    repeats: int,
) -> list[dict[str, Any]]:
    rows = []
    for kind, shape in shapes.items():
        for share, network in networks(shape, poolings[kind]):
            together, alone = (_trainer(network, shape, device, who) for who in (team, ALONE))
            # the others wait in `answer` while the first one takes its step alone
            rivals: dict[str, Callable[[], object]] = {
                "alone": lambda alone=alone: team.answer(lambda: alone.train(1)),
                "together": lambda together=together: together.train(1),
            }
            row = {
                "devices": team.size,
                "kind": kind,
                "shape": shape,
                "share": share,
                "parameters": sum(p.numel() for p in network.parameters()),
                **in_turns(rivals, repeats, device),
            }
            if team.first:
                print(row, flush=True)
            rows.append(row)
    return rows


def _trainer(network: nn.Module, shape: tuple[int, ...], device: torch.device, team: Team) -> Trainer:
    twin = lay_out(copy.deepcopy(network), len(shape) - 2, device)
    options = TrainOptions(batch_size=shape[0])
    return Trainer(twin, OneBatch(shape, team.share), options, STEPS, device, team=team)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--devices", type=int, nargs="+", help="default: 1 and as many as there are")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="of no use but to see that this script runs")
    options = parser.parse_args(arguments)
    device = resolve_device(options.device)
    numbers = options.devices or sorted({1, torch.cuda.device_count()} - {0})
    shapes = TINY if options.tiny else SHAPES
    poolings = dict.fromkeys(POOLINGS, 1) if options.tiny else POOLINGS
    results: dict[str, Any] = {
        "settings": {"tiny": options.tiny, "repeats": options.repeats, "device": str(device)},
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "gpus": [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())],
        },
    }
    if 1 in numbers:
        results["one_device"] = one_device(shapes, poolings, options.settings, options.repeats, device)
    results["several"] = [
        row
        for number in numbers
        if number > 1
        for row in several(shapes, poolings, options.repeats, devices_of(device, number))
    ]
    options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
