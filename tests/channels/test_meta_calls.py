"""Shortcuts of calls without values: the shapes, types and refusals that torch itself gives."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from stampseg.channels.meta_calls import call_on_meta

CALLS = [
    (torch.conv2d, ((2, 6, 9, 11), (4, 6, 3, 3), (4,)), {}),
    (torch.conv2d, ((2, 6, 9, 11), (4, 6, 3, 2)), {"stride": 2, "padding": (1, 0)}),
    (torch.conv2d, ((2, 6, 9, 11), (4, 3, 3, 3)), {"groups": 2, "dilation": 2}),
    (torch.conv1d, ((2, 6, 9), (4, 6, 1)), {"stride": [2]}),
    (torch.conv3d, ((1, 3, 5, 6, 7), (8, 3, 3, 3, 1), (8,)), {"padding": (1, 1, 0), "stride": (1, 2, 3)}),
    (torch.conv_transpose2d, ((2, 6, 4, 5), (6, 3, 2, 2), (3,)), {"stride": 2}),
    (torch.conv_transpose3d, ((2, 6, 4, 5, 3), (6, 3, 2, 2, 1)), {"stride": (2, 2, 1)}),
    (F.max_pool2d, ((2, 6, 9, 11),), {"kernel_size": 2}),
    (F.max_pool3d, ((2, 6, 8, 9, 5),), {"kernel_size": (2, 2, 1), "stride": (2, 2, 1)}),
    (F.max_pool2d, ((2, 6, 9, 11),), {"kernel_size": 3, "stride": 2}),
]
LEFT_TO_TORCH = [
    (torch.conv2d, ((2, 6, 9, 11), (4, 6, 3, 3)), {"padding": "same"}),
    (torch.conv2d, ((6, 9, 11), (4, 6, 3, 3)), {}),
    (torch.conv_transpose2d, ((2, 6, 4, 5), (6, 3, 3, 3)), {"stride": 2, "padding": 1, "output_padding": 1}),
    (F.max_pool2d, ((2, 6, 9, 11),), {"kernel_size": 2, "ceil_mode": True}),
    (F.max_pool2d, ((2, 6, 9, 11),), {"kernel_size": 3, "padding": 1}),
]
WRONG = [
    (torch.conv2d, ((2, 5, 9, 11), (4, 6, 3, 3)), {}),
    (torch.conv2d, ((2, 6, 9, 11), (4, 6, 3, 3), (5,)), {}),
    (torch.conv2d, ((2, 6, 2, 2), (4, 6, 3, 3)), {}),
    (torch.conv_transpose2d, ((2, 5, 4, 5), (6, 3, 2, 2)), {}),
]


def empty(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    return [torch.empty(shape, device="meta") for shape in shapes]


@pytest.mark.parametrize(("func", "shapes", "kwargs"), CALLS)
def test_shapes_are_torchs(func: object, shapes: tuple, kwargs: dict) -> None:
    found = call_on_meta(func, empty(*shapes), kwargs)
    expected = func(*[torch.zeros(shape) for shape in shapes], **kwargs)
    assert found is not None and found.is_meta
    assert (found.shape, found.dtype, found.stride()) == (expected.shape, expected.dtype, expected.stride())


@pytest.mark.parametrize(("func", "shapes", "kwargs"), [*LEFT_TO_TORCH, *WRONG])
def test_what_is_rare_or_wrong_is_left_to_torch(func: object, shapes: tuple, kwargs: dict) -> None:
    assert call_on_meta(func, empty(*shapes), kwargs) is None


@pytest.mark.parametrize("dim", [0, 1, -1, 3])
def test_cat(dim: int) -> None:
    shapes = [(2, 3, 4, 5)] * 2
    shapes.append(tuple(n + (axis == dim % 4) for axis, n in enumerate(shapes[0])))
    found = call_on_meta(torch.cat, [empty(*shapes)], {"dim": dim})
    assert found is not None and found.shape == torch.cat([torch.zeros(shape) for shape in shapes], dim).shape
    assert call_on_meta(torch.cat, [empty((2, 3), (3, 4))], {"dim": dim}) is None
    assert call_on_meta(torch.cat, [[*empty((2, 3)), torch.empty((2, 3), dtype=torch.int64)]], {}) is None
    assert call_on_meta(torch.cat, [empty((2, 3, 4, 5), (2, 3, 4, 5))], {"axis": dim}) is None


def test_real_tensors_are_left_to_torch() -> None:
    assert call_on_meta(torch.conv2d, [torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3)], {}) is None
    assert call_on_meta(F.max_pool2d, [torch.zeros(1, 1, 4, 4), 2], {}) is None
    assert call_on_meta(torch.relu, empty((1, 2)), {}) is None


def test_tracing_a_unet_imports_none_of_torchs_compilers() -> None:
    """They take longer to import than a small image takes to be segmented."""
    code = """
import sys, torch
from stampseg.channels.trace import trace
from stampseg.networks.unet import UNet
for dims in (2, 3):
    trace(UNet(dims, 1, 2, 4, ((2,) * dims,) * 2), torch.zeros(1, 1, *(8,) * dims), rehearse=False)
print(sorted({"sympy", "torch._dynamo", "monai", "mlflow"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
