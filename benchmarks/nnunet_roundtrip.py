"""A network of nnU-Net opened here, cut, and given back: the same masks on both sides.

    python benchmarks/nnunet_roundtrip.py RESULTS IMAGES --nnunet-python PATH [--labels FOLDER] [--pruned RUN]

RESULTS is a results folder of nnunetv2 and IMAGES holds cases it was not trained on, named as nnU-Net
names them (`case_0000.nii.gz`). PATH is a Python with nnunetv2 and what stampseg imports (pydantic,
pyyaml, safetensors). Questions, each answered by nnU-Net's own predictor (no mirroring, one fold)
against `predict_case` here, mask by mask on the files' own grid:

    same        the results folder as it is
    resampled   its plans with another spacing, so that cases are resampled on both sides
    transposed  its plans with another order of axes
    cut         channels removed at random, written by `export_nnunet`, loaded by nnU-Net
    pruned      with --pruned RUN: what `stampseg prune RESULTS ... -o RUN` left in RUN/nnunet

Writes docs/results/nnunet-roundtrip.json and the page beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

import stampseg
from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.data.cases import Case
from stampseg.networks.model_file import Description
from stampseg.networks.pretrained.nnunet_export import export_nnunet
from stampseg.networks.pretrained.nnunet_results import find_results, read_results
from stampseg.networks.pretrained.source import fill, open_source
from stampseg.networks.skeleton import skeleton
from stampseg.run.records import read_result
from stampseg.runtime.torch_scorer import predict_case

SPACING = (1.25, 0.8, 1.4)  # times the planned one, along nnU-Net's axes
TRANSPOSE = [2, 0, 1]
SHARES = (0.1, 0.5)  # of the channels of every group, removed at random

# Run by the other interpreter: folder, fold, checkpoint, images, masks.
PREDICTOR = """
import sys, torch, nnunetv2, importlib.metadata
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
folder, fold, checkpoint, images, masks = sys.argv[1:]
torch.set_num_threads(1)
predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
predictor.initialize_from_trained_model_folder(folder, (fold,), checkpoint)
predictor.predict_from_files_sequential(images, masks, save_probabilities=False)
print("parameters", sum(p.numel() for p in predictor.network.parameters()))
print("network", type(predictor.network).__name__)
print("version", importlib.metadata.version("nnunetv2"))
"""


def nnunet_masks(python: Path, file: Path, images: Path, masks: Path) -> dict[str, str]:
    """Let nnU-Net predict a folder; gives what it printed of itself."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(stampseg.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    fold = file.parent.name.removeprefix("fold_")
    arguments = [file.parent.parent, fold, file.name, images, masks]
    run = subprocess.run(
        [str(python), "-c", PREDICTOR, *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    if run.returncode:
        raise SystemExit(f"nnU-Net failed:\n{run.stdout}\n{run.stderr}")
    words = [line.split() for line in run.stdout.splitlines()]
    return {pair[0]: pair[1] for pair in words if len(pair) == 2}


def own_masks(folder: Path, images: Path) -> tuple[dict[str, np.ndarray], int]:
    """Class indices by case, predicted here from the same folder, and the network's parameters."""
    source = open_source(folder)
    assert source.plan is not None and source.spec is not None
    network, _ = skeleton(source.spec, source.kept)
    fill(network, source)
    found = {}
    for path in sorted(images.glob("*_0000.nii.gz")):
        name = path.name.removesuffix("_0000.nii.gz")
        files = tuple(sorted(images.glob(f"{name}_[0-9][0-9][0-9][0-9].nii.gz")))
        found[name] = predict_case(network.eval(), Case(name, name, files, None), source.plan, "cpu")
    return found, sum(p.numel() for p in network.parameters())


def read_mask(path: Path) -> np.ndarray:
    """Voxels of a mask as stored."""
    return np.asanyarray(nib.load(path).dataobj).astype(np.uint8)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Of two binary masks; 1 where both are empty."""
    total = one.sum() + other.sum()
    return 1.0 if total == 0 else float(2 * (one & other).sum() / total)


def mean_dice(one: np.ndarray, other: np.ndarray, classes: int) -> float:
    """Mean over the classes but the background."""
    return float(np.mean([dice(one == k, other == k) for k in range(1, classes)]))


def compare(folder: Path, images: Path, labels: Path | None, python: Path, classes: int) -> dict[str, Any]:
    """Both predictions of one results folder, case by case."""
    results = find_results(folder)
    assert results is not None
    file = read_results(folder, results).file
    ours, parameters = own_masks(folder, images)
    with tempfile.TemporaryDirectory() as place:
        theirs = nnunet_masks(python, file, images, Path(place))
        masks = {name: read_mask(Path(place) / f"{name}.nii.gz") for name in ours}
    cases = {}
    for name, own in ours.items():
        cases[name] = {
            "dice": round(mean_dice(own, masks[name], classes), 5),
            "voxels": int(own.size),
            "voxels_that_differ": int((own != masks[name]).sum()),
            "labelled_voxels": int((masks[name] > 0).sum()),
        }
        if labels is not None:
            truth = read_mask(labels / f"{name}.nii.gz")
            cases[name]["dice_to_label_ours"] = round(mean_dice(own, truth, classes), 4)
            cases[name]["dice_to_label_nnunet"] = round(mean_dice(masks[name], truth, classes), 4)
    return {
        "lowest_dice": min(case["dice"] for case in cases.values()),
        "parameters": parameters,
        "parameters_nnunet": int(theirs["parameters"]),
        "nnunet_network": theirs["network"],
        "nnunetv2": theirs["version"],
        "cases": cases,
    }


def changed(folder: Path, place: Path, change: Callable[[dict[str, Any], str], None]) -> Path:
    """A copy of a results folder with other plans."""
    results = read_results(folder, folder)
    copy = place / folder.name
    (copy / results.file.parent.name).mkdir(parents=True)
    shutil.copyfile(results.file, copy / results.file.relative_to(folder))
    shutil.copyfile(folder / "dataset.json", copy / "dataset.json")
    plans = json.loads((folder / "plans.json").read_text())
    change(plans, results.name)
    (copy / "plans.json").write_text(json.dumps(plans))
    return copy


def resampled(plans: dict[str, Any], name: str) -> None:
    """Another spacing."""
    own = plans["configurations"][name]
    own["spacing"] = [size * factor for size, factor in zip(own["spacing"], SPACING, strict=True)]


def transposed(plans: dict[str, Any], name: str) -> None:
    """Another order of axes."""
    plans["transpose_forward"] = TRANSPOSE
    plans["transpose_backward"] = [TRANSPOSE.index(axis) for axis in range(3)]


def cut_at_random(folder: Path, place: Path, share: float) -> Path:
    """Remove a share of the channels of every group and write the rest for nnU-Net."""
    source = open_source(folder)
    assert source.plan is not None and source.spec is not None
    network, graph = skeleton(source.spec, source.kept)
    fill(network, source)
    randomness = np.random.default_rng(0)
    removed = {
        group.name: randomness.choice(group.size, min(round(share * group.size), group.size - 1), False)
        for group in graph.prunable
    }
    graph = apply_cut(network, graph, Cut.of(removed))
    description = Description(network=source.spec, kept=dict(graph.kept), plan=source.plan)
    return export_nnunet(folder, place / "nnunet", network, description)


def main() -> None:
    """Ask the questions and write what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--nnunet-python", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--pruned", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/results/nnunet-roundtrip.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder, python = options.results.absolute(), options.nnunet_python.absolute()
    source = open_source(folder)
    assert source.plan is not None and source.spec is not None
    classes = source.plan.out_channels
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        room = Path(place)
        ways: dict[str, Callable[[], Path]] = {
            "same": lambda: folder,
            "resampled": lambda: changed(folder, room / "resampled", resampled),
            "transposed": lambda: changed(folder, room / "transposed", transposed),
        }
        for share in SHARES:
            ways[f"cut {share:.0%}"] = lambda share=share: cut_at_random(folder, room / f"cut{share}", share)
        if options.pruned is not None:
            steps = read_result(options.pruned).steps
            ways[f"pruned, {steps} steps"] = lambda: options.pruned / "nnunet"
        for name, make in ways.items():
            labels = options.labels if name == "same" or name.startswith("pruned") else None
            found[name] = compare(make(), options.images, labels, python, classes)
            print(name, found[name]["lowest_dice"], found[name]["parameters"])
    content = {
        "stampseg": stampseg.__version__,
        "torch": torch.__version__,
        "nnunetv2": found["same"]["nnunetv2"],
        "network": source.spec.name,
        "notes": list(source.notes),
        "found": found,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(page(content), encoding="utf-8")


def page(content: dict[str, Any]) -> str:
    """The results for people."""
    lines = [
        "# A network of nnU-Net, here and back",
        "",
        f"nnunetv2 {content['nnunetv2']} trained a small {content['network']} "
        f"({content['found']['same']['parameters']:,} parameters) on 16 hippocampus scans for a few minutes. "
        "Below, nnU-Net's own predictor (no mirroring) and `predict_case` of stampseg segment the same unseen "
        "cases; Dice is between the two masks, mean over the labels. Made with",
        "",
        "    python benchmarks/nnunet_roundtrip.py RESULTS IMAGES --nnunet-python PATH --labels LABELS --pruned RUN",
        "",
        "| what | parameters here | at nnU-Net | lowest Dice | voxels that differ | of labelled voxels |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, one in content["found"].items():
        differ, labelled = (
            sum(c[key] for c in one["cases"].values()) for key in ("voxels_that_differ", "labelled_voxels")
        )
        lines.append(
            f"| {name} | {one['parameters']:,} | {one['parameters_nnunet']:,} | {one['lowest_dice']:.4f} | "
            f"{differ} | {labelled:,} |"
        )
    lines += [
        "",
        "- same: the results folder as nnU-Net left it. resampled: the same network, its plans with voxels of "
        f"{' x '.join(f'{s:g}' for s in SPACING)} times the size. transposed: its plans with transpose_forward "
        f"{TRANSPOSE}. The last two say nothing of quality, only that both sides do the same.",
        "- cut: that share of every layer's channels removed at random, without recovery, written by "
        "`export_nnunet` and loaded by nnU-Net from the folder as any of its own.",
        "- pruned: what `stampseg prune --target 50%` made of the same folder and its 16 training scans.",
    ]
    for name, one in content["found"].items():
        scored = {n: c for n, c in one["cases"].items() if "dice_to_label_ours" in c}
        if scored:
            lines += [
                "",
                f"| {name} | Dice to the label, stampseg | nnU-Net | between the two |",
                "|---|---:|---:|---:|",
            ]
            lines += [
                f"| {case} | {c['dice_to_label_ours']:.4f} | {c['dice_to_label_nnunet']:.4f} | {c['dice']:.4f} |"
                for case, c in scored.items()
            ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
