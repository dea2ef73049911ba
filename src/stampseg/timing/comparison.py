"""How fast a model is on this machine, in every runtime, beside the dense network it came from."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import ConfigError, StampsegError
from ..core.machine import this_machine
from ..export.building import export_model
from ..export.forms import check_precision
from ..networks.factory import count
from ..networks.model_file import Description, Model, find_model, load_model, save_model
from .worker import RUNTIMES, Job, Worker

PRECISIONS = ("f32", "bf16", "int8")
TURNS = 3  # in each of which every network is measured once
WHOLE_TURNS = 2  # of whole images
PAYS = 1.1  # times faster, below which pruning has not paid


@dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    Attributes:
        runtimes, precisions: of `RUNTIMES` and `PRECISIONS`.
        threads: to compute with.
        batch: windows at once, for the throughput.
        seconds: for each figure of each network.
        image: a file whose whole prediction is timed as well.
    """

    runtimes: Sequence[str] = RUNTIMES
    precisions: Sequence[str] = ("f32",)
    threads: int = 1
    batch: int = 4
    seconds: float = 1.0
    image: Path | None = None


def bench_model(
    model: Path, options: BenchOptions, trusted: Collection[str] = (), echo: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure the model and its dense original in turns.

    Args:
        model: run folder or model file.
        options: what to measure.
        trusted: `package.module:Class` names whose code the model may use.
        echo: is told of what is left out and why.

    Returns:
        JSON-ready: machine, sizes, one row per runtime and precision, and a summary in words.

    Raises:
        ConfigError: a runtime or precision that does not exist.
        ModelFileError: the model cannot be loaded.
    """
    _check("`runtimes`", options.runtimes, RUNTIMES)
    _check("`precisions`", options.precisions, PRECISIONS)
    path = find_model(model)
    pruned = load_model(path, trusted=trusted)
    small, large = _costs(pruned), count(pruned.description.network)
    with tempfile.TemporaryDirectory() as folder:
        files = {"pruned": path}
        if small != large:
            files["dense"] = _dense(pruned, Path(folder), trusted)
        rows, left_out = [], []
        for runtime in options.runtimes:
            for precision in options.precisions:
                try:
                    rows.append(_row(files, runtime, precision, pruned, options, trusted, Path(folder)))
                except StampsegError as error:
                    left_out.append(f"{runtime} {precision}: left out: {error}")
                    echo(left_out[-1])
    report = {
        "machine": this_machine(options.threads, torch.__version__).model_dump(),
        "window": [pruned.plan.in_channels, *pruned.plan.patch_size],
        "batch": options.batch,
        "parameters": {"pruned": small[0], "dense": large[0]},
        "flops": {"pruned": small[1], "dense": large[1]},
        "rows": rows,
        "left_out": left_out,
    }
    return report | {"words": in_words(report)}


def _row(
    files: dict[str, Path],
    runtime: str,
    precision: str,
    pruned: Model,
    options: BenchOptions,
    trusted: Collection[str],
    folder: Path,
) -> dict[str, Any]:
    """One runtime and precision: every network in a process of its own, in turns."""
    window = (pruned.plan.in_channels, *pruned.plan.patch_size)
    with ExitStack() as stack:
        workers = {}
        for name, file in files.items():
            ready = _file_for(file, name, runtime, precision, trusted, folder)
            job = Job(ready, runtime, precision, window, options.batch, options.threads, tuple(trusted))
            workers[name] = (stack.enter_context(Worker(job)), ready)
        taken: dict[str, list[Any]] = {name: [] for name in workers}
        several: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(TURNS):
            for name, (worker, _) in workers.items():
                taken[name].append(worker.window(options.seconds / TURNS))
                several[name].append(worker.batch(options.seconds / TURNS).median)
        figures = {}
        for name, (worker, ready) in workers.items():
            figures[name] = {
                "ms": statistics.median(t.median for t in taken[name]),
                "low_ms": min(t.low for t in taken[name]),
                "high_ms": max(t.high for t in taken[name]),
                "windows_per_second": 1e3 * options.batch / statistics.median(several[name]),
                "file_bytes": ready.stat().st_size,
                "peak_megabytes": worker.peak_megabytes(),  # of the windows alone
            }
        # nothing that predicts whole images is compiled, or computes in bf16 by PyTorch
        if options.image is not None and (runtime, precision) != ("eager", "bf16") and runtime != "compiled":
            whole: dict[str, list[float]] = {name: [] for name in workers}
            for _ in range(WHOLE_TURNS):
                for name, (worker, _) in workers.items():
                    whole[name].append(worker.whole(options.image))
            for name, seconds in whole.items():
                figures[name]["image_seconds"] = statistics.median(seconds)
    return {"runtime": runtime, "precision": precision, "networks": figures}


def _file_for(
    file: Path, name: str, runtime: str, precision: str, trusted: Collection[str], folder: Path
) -> Path:
    """What the runtime opens: the model file, or an export of it."""
    if runtime in ("eager", "compiled"):
        if precision == "int8":
            raise ConfigError("PyTorch is not measured in int8; use onnxruntime or openvino for it")
        return file
    form = "onnx" if runtime == "onnxruntime" else "openvino"
    check_precision(form, precision)  # type: ignore[arg-type]
    place = folder / f"{name}-{precision}.{form}"
    model = load_model(file, trusted=trusted)
    shape = (1, model.plan.in_channels, *model.plan.patch_size)
    noise = [np.random.default_rng(i).standard_normal(shape, dtype=np.float32) for i in range(4)]
    export_model(model, place, format=form, precision=precision, calibration=noise)  # type: ignore[arg-type]
    return place


def _dense(pruned: Model, folder: Path, trusted: Collection[str]) -> Path:
    """The network before any cut, with random weights: what counts here is its time."""
    spec = pruned.description.network
    network = spec.build((*trusted, spec.name)).eval()
    steps = pruned.description.postprocess  # so that whole images are the same work
    description = Description(network=spec, kept={}, plan=pruned.plan, postprocess=steps)
    path = folder / "dense.safetensors"
    save_model(path, network, description)
    return path


def _costs(model: Model) -> tuple[int, int]:
    from ..channels.cost import Tally

    tally = Tally(model.network, model.graph)
    return tally.parameters, tally.flops


def _check(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    odd = [name for name in given if name not in known]
    if odd or not given:
        raise ConfigError(f"{option} {','.join(given)!r}: expected some of {', '.join(known)}, with commas")


def in_words(report: dict[str, Any]) -> list[str]:
    """What the figures come to, one line for each runtime: where pruning paid, and where it did not."""
    flops = report["flops"]
    saved = flops["dense"] / flops["pruned"]
    lines = []
    for row in report["rows"]:
        networks, name = row["networks"], f"{row['runtime']} {row['precision']}"
        if "dense" not in networks:
            lines.append(f"{name}: the network was not pruned; there is nothing to compare")
            continue
        faster = networks["dense"]["ms"] / networks["pruned"]["ms"]
        words = f"{name}: {faster:.2f} times as fast as dense with {saved:.2f} times fewer FLOPs"
        per_flop = f"{faster / saved:.2f} of what the FLOPs promise"
        if faster < PAYS:
            lines.append(f"{words}: pruning did not pay here ({per_flop})")
        else:
            lines.append(f"{words}: {per_flop}")
    return lines
