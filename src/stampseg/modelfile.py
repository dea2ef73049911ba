"""One .safetensors file that holds a network of any widths and all that is needed to use it.

Tensors are the weights; the metadata is JSON: the network's name and arguments, the channels
that were kept of each group, the preprocessing plan, and where it came from. Loading builds
the network on the meta device (no memory), cuts it to the stored widths, and fills it from
the file. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from .atomic import write_whole
from .channels.graph import ChannelGraph
from .channels.surgery import apply_cut
from .channels.trace import trace
from .config import Options
from .data.plan import Plan
from .errors import ModelFileError, StampsegError
from .networks.registry import NetworkSpec

FORMAT = 1


class Description(Options):
    """Everything in the file but the weights."""

    format: int = FORMAT
    network: NetworkSpec
    kept: dict[str, tuple[int, ...]]  # group -> surviving channels, in the dense network's numbering
    plan: Plan
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A loaded network, its channels and its description."""

    network: nn.Module
    graph: ChannelGraph
    description: Description


def save_model(path: Path, network: nn.Module, description: Description) -> None:
    """Write the file; it appears whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    metadata = {"stampseg": description.model_dump_json()}
    write_whole(path, lambda place: save_file(tensors, place, metadata))


def read_description(path: Path) -> Description:
    """The description alone, without the weights.

    Raises:
        ModelFileError: the file is missing, not safetensors, or not written by stampseg.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise ModelFileError(
            f"{path}: no such model file; name a .safetensors file or a run folder"
        ) from None
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: not a readable .safetensors file ({error})") from None
    if "stampseg" not in metadata:
        raise ModelFileError(
            f"{path}: holds no stampseg description; expected a file written by `stampseg train`"
        )
    try:
        values = json.loads(metadata["stampseg"])
        if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
            raise ModelFileError(
                f"{path}: written in format {values['format']}; this version reads format {FORMAT}; "
                "update stampseg"
            )
        return Description.model_validate(values)
    except json.JSONDecodeError as error:
        raise ModelFileError(f"{path}: its description is damaged ({error}); copy the file again") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "all of it"
        raise ModelFileError(
            f"{path}: its description is damaged ({where}: {first['msg']}); copy the file again"
        ) from None


def load_model(path: Path, device: torch.device | str = "cpu") -> Model:
    """Rebuild the network and fill it from the file, in eval mode.

    Raises:
        ModelFileError: the file is missing, damaged, or its weights do not fit its description.
    """
    description = read_description(path)
    try:
        network, graph = _skeleton(description)
    except (StampsegError, RuntimeError) as error:
        raise ModelFileError(f"{path}: its network cannot be rebuilt: {error}") from None
    tensors = {}
    with safe_open(path, framework="pt", device=str(device)) as file:
        names = set(file.keys())
        for name, expected in network.state_dict().items():
            shape = tuple(expected.shape)
            found = tuple(file.get_slice(name).get_shape()) if name in names else None
            if found != shape:
                raise ModelFileError(f"{path}: weight {name} has shape {found}; the network needs {shape}")
            tensors[name] = file.get_tensor(name)
    network.load_state_dict(tensors, assign=True)
    for module in network.modules():  # what no file stores: targeted dropout rates
        for key in module._non_persistent_buffers_set:
            buffer = module._buffers[key]
            if buffer is not None:
                module._buffers[key] = torch.zeros_like(buffer, device=device)
    return Model(network.eval(), graph, description)


def _skeleton(description: Description) -> tuple[nn.Module, ChannelGraph]:
    """The network on the meta device, cut to the stored widths."""
    with torch.device("meta"):
        network = description.network.build()
        graph = trace(network, torch.empty(description.network.example_shape))
    return network, apply_cut(network, graph, graph.cut_to(description.kept))
