"""A small network that has been trained a little and cut often."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from stampseg.channels.graph import ChannelGraph
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.data.plan import Plan
from stampseg.networks.model_file import Description
from stampseg.networks.registry import NetworkSpec
from stampseg.networks.unet import doubling_widths
from tests.channels.cuts import random_cut


def make_model(
    dims: int = 2, norm: str = "batch", cuts: int = 12, classes: int = 2
) -> tuple[nn.Module, ChannelGraph, Description]:
    """A network that has been trained a little and cut often, and its description."""
    strides = ((2,) * dims,) * 2
    plan = Plan(
        spatial_dims=dims, in_channels=1, label_values=(0, 5, 7)[:classes],
        label_names=("background", "kidney", "tumour")[:classes],
        orientation=None, spacing=(1.0,) * dims, crop="none", patch_size=(8,) * dims, normalization="zscore",
        ct=None, strides=strides,
    )  # fmt: skip
    torch.manual_seed(0)
    arguments = {
        "spatial_dims": dims, "in_channels": 1, "out_channels": classes, "norm": norm, "strides": strides,
    }  # fmt: skip
    spec = NetworkSpec(
        name="unet",
        arguments={**arguments, "widths": doubling_widths(4, 2)},
        example_shape=(1, 1, *[8] * dims),
    )
    network = spec.build()
    x, rng = torch.randn(2, 1, *[8] * dims), np.random.default_rng(0)
    graph = trace(network, x)
    for _ in range(cuts):
        network.train()(x)  # moves the batch statistics
        graph = apply_cut(network, graph, random_cut(graph, rng))
    description = Description(
        network=spec, kept=dict(graph.kept), plan=plan, provenance={"seed": 3, "dice": None}
    )
    return network.eval(), graph, description
