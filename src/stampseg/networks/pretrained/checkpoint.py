"""Checkpoints of PyTorch, read without running anything that is in them.

The one place with torch.load, always restricted to tensors and plain values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...core.errors import ModelFileError

_BEGINNINGS = (b"PK", b"\x80")  # of a zip archive, and of a pickle
_WRAPPERS = (
    *("network_weights", "state_dict", "model_state_dict", "model", "network", "net"),
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema"),  # where there is nothing else
)
_PREFIXES = ("module.", "_orig_mod.", "network.", "model.", "net.")


def read_checkpoint(path: Path) -> Any:
    """What a checkpoint holds: tensors, numbers, texts, lists and mappings of those.

    Raises:
        ModelFileError: the file is missing or damaged, or would run code to be read.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file; name a checkpoint or a folder that holds one")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelFileError(f"{path}: not a readable .safetensors file ({error})") from None
    _check_beginning(path)
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can raise anything
        raise ModelFileError(f"{path}: {_reason(str(error))}") from None


def _check_beginning(path: Path) -> None:
    """Refuse what no version of PyTorch writes, in words that speak of the file rather than of its bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if not head.startswith(_BEGINNINGS):
        found = "an empty file" if not head else "a text" if _is_text(head) else "something else"
        raise ModelFileError(
            f"{path}: is {found}, not a checkpoint of PyTorch; name a .pt, .pth, .ckpt or .safetensors file"
        )


def _is_text(head: bytes) -> bool:
    return head.isascii() and all(byte >= 32 or byte in b"\t\n\r" for byte in head)


def _numpy_scalars() -> list[Any]:
    """The number types that training loops leave in checkpoints; none of them runs anything."""
    scalar = np.float32(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")  # of numpy 1 and 2
    kinds = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
    return [*((scalar, name) for name in names), np.dtype, *(type(np.dtype(kind)) for kind in kinds)]


def _reason(text: str) -> str:
    """Why a file was not read, in one clause."""
    if "Unsupported global: GLOBAL " in text:
        wanted = text.split("Unsupported global: GLOBAL ")[1].split()[0]
        return (
            f"would run {wanted} to be read, so it was not; expected tensors and plain values: save the "
            "state_dict alone, or as .safetensors"
        )
    if "Unsupported operand" in text or "Unsupported class" in text or "weights_only" in text.lower():
        return (
            "holds more than tensors and plain values, so it was not read; save the state_dict alone, or as "
            ".safetensors"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"not a readable checkpoint ({lines[0] if lines else 'empty'}); copy it again"


def find_weights(content: Any, path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors by name, and what was opened to find them: wrappers such as {"state_dict": ...}.

    Raises:
        ModelFileError: nothing in it is a state dict.
    """
    notes = []
    while isinstance(content, Mapping) and not _is_state(content):
        key = next((name for name in _WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if key is None:
            break
        content = content[key]
        notes.append(f"weights taken from its entry {key!r}")
    if not isinstance(content, Mapping) or not _is_state(content):
        found = type(content).__name__
        if isinstance(content, Mapping):
            found = f"a mapping with {', '.join(map(str, list(content)[:5])) or 'nothing in it'}"
        raise ModelFileError(
            f"{path}: holds {found}; expected the weights of a network by name (its state_dict)"
        )
    weights = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return weights, tuple(notes)


def readings(weights: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """What the names may mean: each part alone, too, where a trainer keeps more than the network (a loss)."""
    *_, bare = unwrapped = list(without_prefixes(weights))
    yield from unwrapped
    parts = list(dict.fromkeys(name.split(".")[0] for name in bare))
    for part in parts:
        inner = {n.removeprefix(f"{part}."): value for n, value in bare.items() if n.startswith(f"{part}.")}
        if inner:
            yield from without_prefixes(inner)


def without_prefixes(weights: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The weights as they are, then with each prefix dropped that a wrapper put before all names."""
    names = dict(weights)
    yield names
    while prefix := next((p for p in _PREFIXES if names and all(n.startswith(p) for n in names)), None):
        names = {name.removeprefix(prefix): value for name, value in names.items()}
        yield names


def _is_state(content: Mapping[Any, Any]) -> bool:
    """Names to tensors, and among them at most a version number or the like."""
    tensors = sum(isinstance(value, Tensor) for value in content.values())
    others = [value for value in content.values() if not isinstance(value, Tensor)]
    return tensors > 0 and all(not isinstance(value, Mapping | list) for value in others)
