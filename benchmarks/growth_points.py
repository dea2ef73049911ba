"""One point of growth.py in a process of its own, so that its peak memory is nobody else's.

    python benchmarks/growth_points.py '{"kind": "check", "data": "FOLDER"}'

Prints JSON: seconds of each part, and the most memory the process has had.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 8


class Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.start = time.perf_counter()

    def done(self, part: str) -> None:
        """That part ends now."""
        now = time.perf_counter()
        self.seconds[part], self.start = now - self.start, now


def check(settings: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """What `stampseg check` does."""
    from stampseg.core.config import Config
    from stampseg.data.cases import find_dataset
    from stampseg.doctor.check import check

    clock.start = time.perf_counter()
    dataset = find_dataset(Path(settings["data"]))
    clock.done("find")
    findings = check(dataset, Config(), timing=False)
    clock.done("check")
    return {"cases": len(dataset.cases), "errors": len(findings.errors)}


def train(settings: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """What `stampseg train` does before its first step, and a few steps of a narrow network."""
    import torch

    from stampseg.core.config import Config
    from stampseg.core.network_options import NetworkOptions
    from stampseg.data.cases import find_dataset
    from stampseg.data.loaders import CaseCache, TrainingBatches
    from stampseg.networks.device import lay_out
    from stampseg.networks.factory import spec_of
    from stampseg.run.survey import survey
    from stampseg.train.trainer import Trainer

    config = Config()
    clock.start = time.perf_counter()
    dataset = find_dataset(Path(settings["data"]))
    clock.done("find")
    seen = survey(dataset, config)
    clock.done("survey")
    network = spec_of(seen.plan, NetworkOptions(width=4)).build()
    cache = CaseCache(seen.plan, config.data.cache_megabytes)
    training = seen.split.training
    with TrainingBatches(training, seen.plan, config.train, config.data, 0, cache=cache) as batches:
        laid = lay_out(network, seen.plan.spatial_dims, torch.device("cpu"))
        trainer = Trainer(laid, batches, config.train, STEPS + 1, torch.device("cpu"))
        trainer.train(1)
        clock.done("first step")
        trainer.train(STEPS)
        clock.done("steps")
    clock.seconds["step"] = clock.seconds.pop("steps") / STEPS
    return {"training": len(training), "validation": len(seen.split.validation)}


def predict(settings: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """What `stampseg predict` does with files, the network's loading included."""
    import stampseg.networks.model_file
    import stampseg.runtime.torch_scorer  # noqa: F401 - imported here, before the clock starts
    from stampseg.runtime.segmentation import segment

    with tempfile.TemporaryDirectory() as place:
        clock.start = time.perf_counter()
        inputs = [Path(path) for path in settings["inputs"]]
        found = segment(Path(settings["model"]), inputs, Path(place), echo=lambda text: None)
        clock.done("predict")
    return {"images": len(found.masks)}


def width(settings: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """A step of training, and a round's scoring, choice and cut to half the parameters."""
    import torch
    from step_time import OneBatch, shrunk

    from stampseg.channels.choice import Limit
    from stampseg.channels.cost import Tally
    from stampseg.channels.trace import trace
    from stampseg.core.train_options import TrainOptions
    from stampseg.networks.device import lay_out, seed_everything
    from stampseg.networks.narrow_layers import narrow_layers
    from stampseg.networks.unet import UNet
    from stampseg.train.trainer import Trainer

    seed_everything(0)
    shape = (2, 1, 40, 64, 48)
    network = lay_out(UNet(3, 1, 3, settings["width"], [(2, 2, 2)] * 3), 3, torch.device("cpu"))
    trainer = Trainer(network, OneBatch(shape), TrainOptions(), 10**6, torch.device("cpu"))
    trainer.train(1)
    clock.start = time.perf_counter()
    trainer.train(3)
    clock.done("steps")
    clock.seconds["step"] = clock.seconds.pop("steps") / 3
    peak = peak_megabytes()
    clock.start = time.perf_counter()
    graph = trace(network, torch.zeros((1, *shape[1:])))
    clock.done("trace")
    tally = Tally(network, graph)
    with narrow_layers():
        _, times = shrunk(network, graph, trainer, Limit("parameters", tally.parameters // 2))
    clock.seconds |= {
        name.removesuffix("_seconds"): t for name, t in times.items() if name.endswith("_seconds")
    }
    return {
        "parameters": tally.parameters,
        "flops": tally.flops,
        "training_peak_megabytes": peak,
        "channels_cut": times["channels_cut"],
    }


def peak_megabytes() -> float:
    """Most memory of this process; what getrusage says holds its parent's as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


KINDS: dict[str, Callable[[dict[str, Any], Clock], dict[str, Any]]] = {
    "check": check,
    "train": train,
    "predict": predict,
    "width": width,
}


def main() -> None:
    """Measure one point."""
    settings = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr
    clock = Clock()
    found = KINDS[settings["kind"]](settings, clock)
    found |= {"seconds": clock.seconds, "peak_megabytes": peak_megabytes()}
    print(json.dumps(found), file=answers)


if __name__ == "__main__":
    main()
