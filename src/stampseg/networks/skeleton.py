"""A network without its weights, built dense on the meta device and cut to its stored widths."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import nn

from ..channels.graph import ChannelGraph
from ..channels.surgery import apply_cut
from ..channels.trace import trace
from ..core.errors import ConfigError, WiringError
from ..core.text import shape_text
from .custom import is_import_path
from .meta import on_meta
from .registry import NetworkSpec

LARGEST_EXAMPLE = 2**31  # elements; no image that a network sees whole comes near


def skeleton(
    spec: NetworkSpec,
    kept: Mapping[str, tuple[int, ...]] | None = None,
    trusted: Collection[str] = (),
    check: Callable[[nn.Module], None] | None = None,
    *,
    rehearse: bool = False,
) -> tuple[nn.Module, ChannelGraph]:
    """The network with parameters that take no memory, cut to `kept`, and its channels.

    A network of the registry is never built in memory, whatever its description asks for. One's own
    (`package.module:Class`) that cannot be followed on the meta device is built on the CPU, dense,
    before it is cut: its code is trusted.

    Args:
        spec: the dense network.
        kept: surviving channels of each group; None: all.
        trusted: import paths whose code may run.
        rehearse: whether the channels are to be cut further, or shown: see `trace`.
        check: sees the dense network on the meta device, before it is followed, and may raise.

    Raises:
        StampsegError: it cannot be built, or has not the channels that are to be kept.
    """
    check_example(spec.example_shape)
    with on_meta():
        network = spec.build(trusted)
    if check is not None:
        check(network)
    try:
        example = torch.empty(spec.example_shape, dtype=_precision(network), device="meta")
        graph = trace(network, example, rehearse=rehearse)
    except WiringError:
        if not is_import_path(spec.name):
            raise
        network = spec.build(trusted)
        graph = trace(network, torch.zeros(spec.example_shape, dtype=_precision(network)), rehearse=rehearse)
    return network, graph if kept is None else apply_cut(network, graph, graph.cut_to(kept))


def _precision(network: nn.Module) -> torch.dtype:
    """Of its parameters: some constructors make them double or half."""
    return next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)


def check_example(shape: Sequence[int]) -> None:
    """Refuse an example that no image has.

    Raises:
        ConfigError: an axis without elements, or more than `LARGEST_EXAMPLE` in all.
    """
    if not shape or min(shape) < 1 or math.prod(shape) > LARGEST_EXAMPLE:
        raise ConfigError(
            f"example_shape {shape_text(shape)}: expected axes above 0 with at most "
            f"{LARGEST_EXAMPLE:,} elements in all; give the shape of one image, such as 1x1x64x64"
        )
