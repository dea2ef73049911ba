"""Kinds of modules that the trace and the cuts know by name."""

from __future__ import annotations

from torch import nn

# Convolution-like modules and norms whose attributes repeat a size that a cut changes.
COUNTED: dict[str, tuple[type[nn.Module], ...]] = {
    "in_channels": (nn.modules.conv._ConvNd,),
    "out_channels": (nn.modules.conv._ConvNd,),
    "in_features": (nn.Linear,),
    "out_features": (nn.Linear,),
    "num_features": (nn.modules.batchnorm._NormBase,),
    "num_channels": (nn.GroupNorm,),
    "num_parameters": (nn.PReLU,),
}

LAYERS = tuple({kind for kinds in COUNTED.values() for kind in kinds})

_ACTIVATIONS = """ReLU LeakyReLU PReLU RReLU ELU SELU CELU GELU SiLU Mish Hardswish ReLU6 Softplus
Sigmoid Tanh"""
ACTIVATIONS: tuple[type[nn.Module], ...] = tuple(getattr(nn, name) for name in _ACTIVATIONS.split())
