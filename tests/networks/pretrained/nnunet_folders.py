"""A results folder as nnU-Net leaves it, with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stampseg.networks.registry import NetworkSpec

ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 3, "features_per_stage": [4, 6, 8], "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * 3, "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "n_conv_per_stage": [2, 2, 2], "n_conv_per_stage_decoder": [2, 2], "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}  # fmt: skip


Change = Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], object]


def results(place: Path, change: Change = lambda plans, dataset, checkpoint: None) -> Path:
    """A small results folder as nnU-Net leaves it, with random weights."""
    full = {
        "preprocessor_name": "DefaultPreprocessor", "patch_size": [8, 16, 16], "spacing": [2.0, 1.0, 1.5],
        "normalization_schemes": ["ZScoreNormalization", "CTNormalization"],
        "use_mask_for_norm": [True, False], "resampling_fn_data": "resample_data_or_seg_to_shape",
        "architecture": ARCHITECTURE,
    }  # fmt: skip
    small = {"inherits_from": "3d_fullres", "spacing": [3.0, 2.0, 2.0]}
    facts = {"percentile_00_5": -20.0, "percentile_99_5": 300.0, "mean": 90.0, "std": 40.0}
    plans: dict[str, Any] = {
        "image_reader_writer": "SimpleITKIO", "transpose_forward": [1, 0, 2], "transpose_backward": [1, 0, 2],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": facts, "1": facts},
        "configurations": {"3d_fullres": full, "3d_small": small},
    }  # fmt: skip
    dataset = {"channel_names": {"0": "T1", "1": "CT"}, "labels": {"tumour": 2, "background": 0, "organ": 1}}
    checkpoint: dict[str, Any] = {
        "network_weights": {}, "trainer_name": "nnUNetTrainer", "_best_ema": np.float32(0.5),
        "logging": {"dice": [np.float64(0.1)]}, "optimizer_state": {"state": {}},
        "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "inference_allowed_mirroring_axes": (0, 1),
    }  # fmt: skip
    plans = json.loads(json.dumps(plans))
    change(plans, dataset, checkpoint)
    if not checkpoint["network_weights"]:
        torch.manual_seed(0)
        data = {"input_channels": len(dataset["channel_names"]), "num_classes": 3, "deep_supervision": True}
        arguments = {**ARCHITECTURE["arch_kwargs"], **data}
        network = NetworkSpec(
            name="nnunet.PlainConvUNet", arguments=arguments, example_shape=(1, 2, 8, 16, 16)
        )
        checkpoint["network_weights"] = network.build().state_dict()
    folder = place / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder
