"""A pruned network written back as an nnU-Net results folder, for nnU-Net's own predictor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...channels.dropout import rate_names
from ...core.errors import ModelFileError
from ...core.files import write_text, write_whole
from ..model_file import Description
from .nnunet_architecture import PRUNED
from .nnunet_results import CHECKPOINTS, Results, find_results, mirror_axes, read_results

TRAINER = "nnUNetTrainer"  # builds what the plans name; one of the user's own may build something else


def export_nnunet(source: Path, destination: Path, network: nn.Module, description: Description) -> Path:
    """Write plans.json, dataset.json and fold_0/checkpoint_final.pth.

    nnU-Net predicts with them as with its own (`nnUNetv2_predict_from_modelfolder -m DESTINATION -f 0`)
    where stampseg is installed beside it. All but the network stays as in `source`: nnU-Net prepares
    images by its own plans, whatever the run changed.

    Args:
        source: the results folder that was pruned, a fold or a checkpoint of it.
        destination: a new folder.
        network: the pruned network.
        description: of its model file.

    Raises:
        ModelFileError: the source is no results folder, or the destination is not empty.
    """
    folder = find_results(source)
    if folder is None:
        raise ModelFileError(f"{source}: is no nnU-Net results folder; expected plans.json and dataset.json")
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ModelFileError(f"{destination}: exists and is not empty; choose another folder or delete it")
    results = read_results(source, folder)
    plans = {**results.plans, "configurations": _configurations(results, description)}
    checkpoint = {
        "network_weights": _weights(network),
        "trainer_name": TRAINER,
        "init_args": {
            "plans": plans,
            "configuration": results.name,
            "fold": 0,
            "dataset_json": dict(results.dataset),
        },
        "inference_allowed_mirroring_axes": mirror_axes(results),
    }
    (destination / "fold_0").mkdir(parents=True)
    write_text(destination / "plans.json", json.dumps(plans, indent=4) + "\n")
    write_text(destination / "dataset.json", json.dumps(results.dataset, indent=4) + "\n")
    write_whole(destination / "fold_0" / CHECKPOINTS[0], lambda place: torch.save(checkpoint, place))
    return destination


def _configurations(results: Results, description: Description) -> dict[str, Any]:
    spec = description.network
    architecture = {
        "network_class_name": PRUNED,
        "arch_kwargs": {
            "network": spec.name,
            "arguments": spec.arguments,
            "kept": {name: list(channels) for name, channels in description.kept.items()},
            "example_shape": list(spec.example_shape),
            "strides": spec.arguments["strides"],
        },
        "_kw_requires_import": [],
    }
    own = {**results.configuration, "architecture": architecture}
    return {**results.plans["configurations"], results.name: own}


def _weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """The state as nnU-Net stores it, shared tensors under each of their names; no rates of dropout."""
    rates = rate_names(network)
    state = {n: t for n, t in network.state_dict(keep_vars=True).items() if n not in rates}
    plain = {id(tensor): tensor.detach().cpu().contiguous() for tensor in state.values()}
    return {name: plain[id(tensor)] for name, tensor in state.items()}
