"""A MONAI bundle with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import yaml

NETWORK = {
    "_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": "@classes",
    "channels": [4, 8, 16], "strides": [2, 2], "num_res_units": 2, "norm": "batch",
}  # fmt: skip


STEPS = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "image", "pixdim": "@pixdim", "mode": "bilinear"},
    {"_target_": "ScaleIntensityRanged", "a_min": -57, "a_max": 164, "b_min": 0, "b_max": 1, "clip": True},
    {"_target_": "EnsureTyped", "keys": "image"},
]  # fmt: skip


CONFIG: dict[str, Any] = {
    "imports": ["$import os"],
    "device": "$torch.device('cuda')",
    "classes": 2,
    "pixdim": [1.5, 1.5, 2.0],
    "network_def": NETWORK,
    "network": "$@network_def.to(@device)",
    "preprocessing": {"_target_": "Compose", "transforms": STEPS},
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 16], "overlap": 0.5},
    "postprocessing": {"_target_": "Compose", "transforms": [{"_target_": "Activationsd", "softmax": True}]},
}


CHANNELS = {"0": "background", "1": "spleen"}


METADATA = {"network_data_format": {"outputs": {"pred": {"channel_def": CHANNELS}}}}


def bundle(place: Path, name: str = "inference.json", **changes: Any) -> Path:
    """A bundle with random weights; `changes` replace parts of its configuration."""
    config = {**json.loads(json.dumps(CONFIG)), **changes}
    (place / "configs").mkdir(parents=True)
    (place / "models").mkdir()
    text = json.dumps(config) if name.endswith("json") else yaml.safe_dump(config)
    (place / "configs" / name).write_text(text)
    (place / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    arguments = {k: v for k, v in {**NETWORK, "out_channels": 2}.items() if k != "_target_"}
    torch.save(UNet(**arguments).state_dict(), place / "models" / "model.pt")
    return place
