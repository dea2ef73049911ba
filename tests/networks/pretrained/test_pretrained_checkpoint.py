"""Checkpoints give their tensors, and nothing in them ever runs."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stampseg.core.errors import ModelFileError
from stampseg.networks.pretrained.checkpoint import find_weights, read_checkpoint, without_prefixes

TENSORS = {"conv.weight": torch.arange(4.0), "conv.bias": torch.ones(2)}


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.place, "it ran")


@pytest.mark.parametrize(
    "wrap", [lambda b: b, lambda b: {"state_dict": TENSORS, "extra": b}, lambda b: [1, b]]
)
def test_a_payload_never_runs(tmp_path: Path, wrap: Any) -> None:
    trap = tmp_path / "trap"
    for write in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        write(wrap(Bomb(trap)), tmp_path / "bad.pth")
        with pytest.raises(ModelFileError, match=r"bad\.pth: (would run|holds more than tensors)"):
            read_checkpoint(tmp_path / "bad.pth")
        assert not trap.exists()
    pickle.loads(pickle.dumps(Bomb(trap)))  # noqa: S301
    assert trap.exists(), "the trap itself works"


def test_a_whole_module_is_refused_and_named(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(1, 2, 3), tmp_path / "whole.pt")
    with pytest.raises(
        ModelFileError, match=r"would run torch\.nn\.modules\.conv\.Conv2d.*save the state_dict"
    ):
        read_checkpoint(tmp_path / "whole.pt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04 broken"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    for name in ("a.pth", "a.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match=name):
            read_checkpoint(tmp_path / name)
    with pytest.raises(ModelFileError, match="no such file"):
        read_checkpoint(tmp_path / "none.pth")


def test_numbers_of_numpy_are_plain_values(tmp_path: Path) -> None:
    values = {
        "loss": [np.float32(1.5), np.float64(2)],
        "best": np.float16(3),
        "n": np.int64(4),
        "ok": np.bool_(1),
    }
    torch.save(
        {"network_weights": TENSORS, "logging": values, "device": torch.device("cpu")}, tmp_path / "n.pth"
    )
    content = read_checkpoint(tmp_path / "n.pth")
    assert content["logging"] == values
    assert find_weights(content, tmp_path)[0].keys() == TENSORS.keys()


@pytest.mark.parametrize(
    "keys", [(), ("state_dict",), ("model",), ("network_weights",), ("model", "state_dict")]
)
def test_wrappers_are_opened(tmp_path: Path, keys: tuple[str, ...]) -> None:
    content: Any = OrderedDict(TENSORS)
    for key in reversed(keys):
        content = {"epoch": 3, key: content, "optimizer": {"lr": 1.0}}
    torch.save(content, tmp_path / "w.pt")
    weights, notes = find_weights(read_checkpoint(tmp_path / "w.pt"), tmp_path / "w.pt")
    assert all(torch.equal(weights[name], TENSORS[name]) for name in TENSORS)
    assert len(notes) == len(keys)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "w.safetensors")
    assert read_checkpoint(tmp_path / "w.safetensors").keys() == TENSORS.keys()


def test_what_is_no_state_dict(tmp_path: Path) -> None:
    for content, found in (({"epoch": 3}, "a mapping with epoch"), ([1, 2], "list"), ({}, "nothing in it")):
        with pytest.raises(ModelFileError, match=found):
            find_weights(content, tmp_path / "w.pt")


def test_prefixes_of_all_names_are_candidates_for_dropping() -> None:
    wrapped = {f"module._orig_mod.{name}": value for name, value in TENSORS.items()}
    assert [sorted(names)[0] for names in without_prefixes(wrapped)] == [
        "module._orig_mod.conv.bias", "_orig_mod.conv.bias", "conv.bias",
    ]  # fmt: skip
    mixed = {**TENSORS, "model.other": torch.ones(1)}
    assert [set(names) for names in without_prefixes(mixed)] == [set(mixed)]
