"""Make the files of `files/` with the code of commit 18026fe; see files/README.md.

    git worktree add --detach ../old 18026fe
    PYTHONPATH=../old/src OMP_NUM_THREADS=1 python tests/compat/make_files.py tests/compat/files

Names of modules are those of that commit. Paths of this machine are replaced by @DATA@ in what is written.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

PLACEHOLDER = "@DATA@"
COMMON = (
    "--steps", "24", "--validation", "25%", "--set", "prune.ready_dice=0",
    "--set", "train.checkpoint_minutes=0",
)  # fmt: skip
TRAIN = (
    *COMMON, "--target", "40%", "--set", "network.width=2", "--set", "network.poolings=2",
    "--set", "prune.rounds=3", "--set", "train.learning_rate=0.05",
)  # fmt: skip
PRUNE = (*COMMON, "--target", "70%", "--set", "prune.rounds=3")
# Ends as a killed process does: after so many steps, with no word and nothing put in order.
KILLED = """
import os, sys
from stampseg import cli
from stampseg.training import Trainer
left, step = [int(sys.argv.pop(1))], Trainer._step
def counted(*args, **kwargs):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    return step(*args, **kwargs)
Trainer._step = counted
cli.main()
"""
UNET = {
    "n_stages": 2, "features_per_stage": [4, 6], "conv_op": "torch.nn.modules.conv.Conv2d",
    "kernel_sizes": [[3, 3]] * 2, "strides": [[1, 1], [2, 2]], "n_conv_per_stage": [1, 1],
    "n_conv_per_stage_decoder": [1], "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
}  # fmt: skip


def old(module: str, name: str) -> Any:
    """Something of the package as it was."""
    return getattr(importlib.import_module(f"stampseg.{module}"), name)


def pictures(folder: Path) -> None:
    """Six pictures of 32 x 32, each with a bright and a dark disc: labels 1 and 2."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for index in range(6):
        mask, grid = np.zeros((32, 32), np.uint8), np.indices((32, 32))
        for label, centre in ((1, (10, 10)), (2, (21, 21))):
            place = [c + rng.uniform(-2, 2) for c in centre]
            mask[sum((g - p) ** 2 for g, p in zip(grid, place, strict=True)) < 36] = label
        values = np.choose(mask, (100, 200, 20)) + rng.normal(0, 8, mask.shape)
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{index}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")


def stampseg(*words: object, start: tuple[str, ...] = ("-m", "stampseg.cli"), code: int = 0) -> None:
    """A command of the old program, in a process of its own."""
    done = subprocess.run(
        [sys.executable, *start, *map(str, words)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if done.returncode != code:
        raise SystemExit(f"{words}: exit code {done.returncode}")


def nnunet_folder(place: Path) -> None:
    """A results folder of a pruned network as `prune` wrote it, and what the network says to `ramp()`."""
    data = {"input_channels": 1, "num_classes": 3, "deep_supervision": True}
    spec = old("networks.registry", "NetworkSpec")(
        name="nnunet.PlainConvUNet", arguments={**UNET, **data}, example_shape=(1, 1, 16, 16)
    )
    torch.manual_seed(0)
    plans = {
        "image_reader_writer": "NaturalImage2DIO", "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2], "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {},
        "configurations": {"2d": {
            "preprocessor_name": "DefaultPreprocessor", "patch_size": [16, 16], "spacing": [1.0, 1.0],
            "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [False],
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": UNET, "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
        }},
    }  # fmt: skip
    dataset = {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "bright": 1, "dark": 2},
        "file_ending": ".png",
    }
    dense = place.parent / "dense"
    (dense / "fold_0").mkdir(parents=True)
    (dense / "plans.json").write_text(json.dumps(plans))
    (dense / "dataset.json").write_text(json.dumps(dataset))
    torch.save(
        {"network_weights": spec.build().state_dict(), "trainer_name": "nnUNetTrainer",
         "init_args": {"configuration": "2d", "fold": 0}, "inference_allowed_mirroring_axes": (0, 1)},
        dense / "fold_0" / "checkpoint_final.pth",
    )  # fmt: skip
    source = old("pretrained.source", "open_source")(dense)
    network, graph = old("networks.skeleton", "skeleton")(source.spec, source.kept)
    old("pretrained.source", "fill")(network, source)
    removed = {group.name: [1] for group in graph.prunable}
    graph = old("channels.surgery", "apply_cut")(network, graph, old("channels.graph", "Cut").of(removed))
    description = old("modelfile", "Description")(
        network=source.spec, kept=dict(graph.kept), plan=source.plan
    )
    old("pretrained.nnunet_export", "export_nnunet")(dense, place, network, description)
    with torch.no_grad():
        found = network.eval()(ramp())[0]
    np.save(place.parent / "nnunet-output.npy", found.numpy())
    shutil.rmtree(dense)


def ramp() -> torch.Tensor:
    """(1, 1, 16, 16) from -1 to 1, the same everywhere."""
    return torch.linspace(-1, 1, 256).reshape(1, 1, 16, 16)


def stop_and_resume(run: Path, steps: int, *command: object) -> None:
    """A run that ends after so many steps, and beside it what the same program makes of it later."""
    stampseg(steps, *command, "-o", run, start=("-c", KILLED), code=9)
    stopped = run.with_name("stopped")
    shutil.copytree(run, stopped)
    stampseg("train", "--resume", run)
    resumed = run.with_name(f"{run.name}-resumed")
    resumed.mkdir()
    for name in ("model.safetensors", "rounds.jsonl", "result.json"):
        shutil.copy(run / name, resumed)
    shutil.rmtree(run)
    stopped.rename(run)


def without_paths(root: Path) -> None:
    """Put the placeholder for the folder of all this, and see that no other path is left."""
    for path in filter(Path.is_file, root.rglob("*")):
        if path.suffix in (".json", ".yaml", ".jsonl", ".txt", ".csv"):
            text = path.read_text(encoding="utf-8").replace(str(root), PLACEHOLDER)
            path.write_text(text, encoding="utf-8")
        if any(word in path.read_bytes() for word in (b"/tmp", b"/home", b"/work")):
            raise SystemExit(f"{path}: names a path of this machine")


def main() -> None:
    """Make everything in a temporary folder, then copy it to the one that is named."""
    target = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        data = root / "pictures"
        pictures(data)
        os.chdir(root)
        stampseg("train", data, "-o", root / "finished", *TRAIN)
        stop_and_resume(root / "training", 3, "train", data, *TRAIN)
        stop_and_resume(root / "pruning", 3, "prune", root / "finished", data, *PRUNE)
        stampseg("predict", root / "finished", data / "images", "-o", root / "predicted")
        stampseg("evaluate", root / "predicted", data / "masks", "-o", root / "metrics.csv")
        stampseg("export", root / "finished", "-o", root / "model.onnx")
        nnunet_folder(root / "nnunet")
        between = [root / "finished" / "rounds" / f"{number:03d}.safetensors" for number in range(1, 8)]
        for path in (*root.rglob("report.html"), *root.rglob(".lock"), *between):
            path.unlink()  # to keep the folder small
        without_paths(root)
        shutil.copytree(root, target, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
