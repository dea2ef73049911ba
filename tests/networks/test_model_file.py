"""One file: what was saved is loaded bit for bit, and nothing but a whole, fitting file is accepted."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.errors import ModelFileError
from stampseg.networks import model_file as modelfile
from stampseg.networks import skeleton
from stampseg.networks.meta import on_meta
from stampseg.networks.model_file import Description, load_model, read_description, save_model
from stampseg.networks.registry import NetworkSpec
from tests.channels.cuts import random_cut
from tests.networks.small_model import make_model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    network, _, description = make_model()
    save_model(tmp_path / "m.safetensors", network, description)
    return tmp_path / "m.safetensors"


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("dims", [2, 3])
def test_loaded_is_saved_bit_for_bit(tmp_path: Path, dims: int, norm: str) -> None:
    network, graph, description = make_model(dims, norm)
    path = tmp_path / "m.safetensors"
    save_model(path, network, description)
    model = load_model(path)
    assert model.description == read_description(path)
    assert model.description.model_dump_json() == description.model_dump_json()
    state = network.state_dict()
    assert list(model.network.state_dict()) == list(state)
    assert all(torch.equal(v, state[k]) for k, v in model.network.state_dict().items())
    x = torch.randn(2, 1, *[8] * dims)
    assert torch.equal(model.network(x), network(x))
    assert not any(module.training for module in model.network.modules())
    assert model.graph.widths() == graph.widths() == trace(model.network, x).widths()
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_loaded_network_can_be_trained_and_cut_on(saved: Path) -> None:
    model = load_model(saved)
    x = torch.randn(2, 1, 8, 8)
    model.network.train()(x).mean().backward()
    assert all(p.grad is not None and p.device.type == "cpu" for p in model.network.parameters())
    assert not any(buffer.is_meta for buffer in model.network.buffers())
    apply_cut(model.network, model.graph, random_cut(model.graph, np.random.default_rng(1)))
    assert model.network(x).shape == (2, 2, 8, 8)


def test_loading_makes_no_dense_copy(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[nn.Module] = []
    build: Callable[..., nn.Module] = NetworkSpec.build

    def watched(spec: NetworkSpec, trusted: Collection[str] = ()) -> nn.Module:
        seen.append(build(spec, trusted))
        assert all(parameter.is_meta for parameter in seen[0].parameters())
        return seen[0]

    monkeypatch.setattr(NetworkSpec, "build", watched)
    model = load_model(saved)
    assert seen == [model.network]
    stored = sum(tensor.numel() for tensor in load_file(saved).values())
    assert sum(t.untyped_storage().nbytes() for t in model.network.state_dict().values()) <= 8 * stored
    assert not any(tensor.is_meta for tensor in model.network.state_dict().values())


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The same weights under a changed description."""
    values = json.loads(read_description(path).model_dump_json())
    result = change(values)
    text = result if isinstance(result, str) else json.dumps(values)
    save_file(load_file(path), path, {"stampseg": text})


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "not JSON": (lambda d: "{", r"its description is damaged \(Expecting .*\); copy the file again"),
    "a list": (lambda d: "[]", r"its description is damaged \(all of it: .*\); copy the file again"),
    "no network": (lambda d: d.pop("network") and None, r"damaged \(network: Field required\)"),
    "wrong plan": (lambda d: d["plan"].update(spatial_dims=5), r"damaged \(plan.spatial_dims: Input should"),
    "newer": (lambda d: d.update(format=2), "written in format 2; this version reads format 1; update"),
    "other network": (lambda d: d["network"].update(name="x"), "cannot be rebuilt: network 'x' is not known"),
    "other arguments": (
        lambda d: d["network"]["arguments"].update(a=1),
        "cannot be rebuilt: network 'unet' does",
    ),
    "no channels": (
        lambda d: d["kept"].update({"up.0": []}),
        "cannot be rebuilt: group 'up.0' would lose all",
    ),
    "other group": (lambda d: d["kept"].update(x=[0]), "cannot be rebuilt: no channel group is named 'x'"),
    "many channels": (lambda d: d["kept"].update({"up.0": [99]}), r"'up.0' no longer has channels \[99\]"),
    "negative": (lambda d: d["network"].update(example_shape=[1, -1, 8]), "network cannot be rebuilt: "),
    "small": (
        lambda d: d["network"].update(example_shape=[1, 1, 8]),
        "rebuilt: UNet does not run in eval mode",
    ),
    "no example": (
        lambda d: d["network"].update(example_shape=[]),
        "example_shape scalar: expected axes",
    ),
    "huge example": (
        lambda d: d["network"].update(example_shape=[1, 1, 2**16, 2**16]),
        "rebuilt: example_shape 1x1x65536x65536: expected axes above 0 with at most 2,147,483,648 elements",
    ),
    "huge channel": (lambda d: d["kept"].update({"up.0": [10**30]}), "cannot be rebuilt: "),
    "widths": (lambda d: d.update(kept={}), r"weight .* has shape \(\d.*\); the network needs \(\d.*\)"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_description_that_does_not_fit(saved: Path, name: str) -> None:
    change, message = CHANGES[name]
    rewrite(saved, change)
    with pytest.raises(ModelFileError, match=f"^{re.escape(str(saved))}: .*{message}"):
        load_model(saved)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000 + "]" * 200_000,
        '{"network":{"name":"unet","arguments":' + '{"a":' * 3000 + "1" + "}" * 3000 + "}}",
        '{"format":' + "1" * 5000 + "}",
    ],
    ids=["deep", "deep arguments", "endless digits"],
)
def test_a_description_made_to_harm(saved: Path, text: str) -> None:
    save_file(load_file(saved), saved, {"stampseg": text})
    for read in (read_description, load_model):
        with pytest.raises(ModelFileError, match=r"its description is damaged \(.*\); copy the file again"):
            read(saved)


class Largest(TorchDispatchMode):
    """The bytes of the largest tensor in memory that is seen."""

    seen = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta":
                self.seen = max(self.seen, tensor.untyped_storage().nbytes())
        return out


WIDE = {
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 2,
    "features": [1024, 1024, 2048, 2048, 2048, 1024],
}


@pytest.mark.parametrize("names", [False, True])
def test_a_small_file_cannot_ask_for_a_large_network(
    tmp_path: Path, names: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by its arguments alone, nor with the right names on an example that it cannot follow."""
    spec = NetworkSpec(name="monai.BasicUNet", arguments=WIDE, example_shape=(1, 1, 2, 2))
    with on_meta():
        state = spec.build().state_dict() if names else {"a": torch.zeros(1)}
    description = Description(network=spec, kept={}, plan=None)
    path = tmp_path / "m.safetensors"
    few = {name: torch.zeros([min(n, 1) for n in tensor.shape]) for name, tensor in state.items()}
    save_file(few, path, {"stampseg": description.model_dump_json()})
    reason = (
        "cannot be rebuilt: BasicUNet does not run" if names else "holds no weight conv_0.conv_0.conv.weight"
    )
    followed: list[object] = []
    monkeypatch.setattr(skeleton, "trace", lambda *a, **k: followed.append(a) or trace(*a, **k))
    with Largest() as largest, pytest.raises(ModelFileError, match=reason):
        load_model(path, trusted=("monai.BasicUNet",))
    assert largest.seen < 100_000
    assert len(followed) == names  # what the header shows is seen before


def test_weights_of_another_kind(saved: Path) -> None:
    text, weights = read_description(saved).model_dump_json(), load_file(saved)
    counters = [name for name in weights if name.endswith("num_batches_tracked")]
    for name, kind, message in (
        (
            "head.weight",
            torch.int8,
            "head.weight holds I8; the network needs one of F16, BF16, F32, F64; save",
        ),
        ("head.bias", torch.bool, "head.bias holds BOOL; the network needs one of F16"),
        (counters[0], torch.float32, f"{counters[0]} holds F32; the network needs one of I64"),
    ):
        save_file({**weights, name: weights[name].to(kind)}, saved, {"stampseg": text})
        with pytest.raises(ModelFileError, match=f"^{re.escape(str(saved))}: weight {message}"):
            load_model(saved)
    save_file(
        {n: w.half() if w.is_floating_point() else w for n, w in weights.items()}, saved, {"stampseg": text}
    )
    assert next(load_model(saved).network.parameters()).dtype == torch.float16


def test_weights_that_are_not_the_networks(saved: Path) -> None:
    text, weights = read_description(saved).model_dump_json(), load_file(saved)
    save_file({**weights, "stray": torch.zeros(9), "odd": torch.zeros(1)}, saved, {"stampseg": text})
    with pytest.raises(ModelFileError, match="holds odd, which is no weight of its network; expected what"):
        load_model(saved)
    save_file({**weights, "head.bias": torch.zeros(2, 1)}, saved, {"stampseg": text})
    with pytest.raises(ModelFileError, match=r"head.bias has shape \(2, 1\); the dense network has \(2,\)"):
        load_model(saved)


def test_a_weight_that_is_not_there(saved: Path) -> None:
    text = read_description(saved).model_dump_json()
    weights = load_file(saved)
    del weights["head.bias"]
    save_file(weights, saved, {"stampseg": text})
    with pytest.raises(ModelFileError, match=r"holds no weight head\.bias, which the network needs; copy"):
        load_model(saved)


def test_files_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(ModelFileError, match=r"no such model file; name a .safetensors file or a run folder"):
        load_model(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelFileError, match=r"not a readable .safetensors file \("):
        load_model(path)
    with pytest.raises(ModelFileError, match=r"not a readable .safetensors file \("):
        load_model(tmp_path)
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(ModelFileError, match="holds no stampseg description; expected a file written by"):
        load_model(path)


def test_half_a_file(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match=r"not a readable .safetensors file"):
        load_model(saved)


def test_nothing_is_pickled(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("pickle was used")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    load_model(saved)
    assert not hasattr(modelfile, "pickle")


class Odd(nn.Module):
    """A shared weight, a constant in no state dict, and one outside all buffers."""

    def __init__(self, in_channels: int, out_channels: int, plain: bool = False) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(in_channels, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.three, self.head = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, out_channels, 1)
        self.three.weight = self.two.weight
        self.register_buffer("ramp", torch.linspace(1, 2, 8), persistent=False)
        self.plain = torch.linspace(2, 1, 8) if plain else 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.one(x)) * self.ramp * self.plain
        return self.head(torch.relu(self.three(torch.relu(self.two(x)))))


@pytest.mark.parametrize("plain", [False, True])
def test_shared_weights_and_constants_of_a_users_network(tmp_path: Path, plain: bool) -> None:
    _, _, ours = make_model()
    name = f"{__name__}:Odd"
    arguments = {"in_channels": 1, "out_channels": 2, "plain": plain}
    spec = NetworkSpec(name=name, arguments=arguments, example_shape=(1, 1, 8, 8))
    network, x = spec.build(trusted=[name]), torch.randn(2, 1, 8, 8)
    network.ramp.mul_(3)  # a constant that the constructor does not give
    graph = trace(network, x)
    graph = apply_cut(network, graph, Cut.of({"one": [0, 2]}))
    assert network.three.weight is network.two.weight and network.two.weight.shape[:2] == (4, 4)
    save_model(
        tmp_path / "m.safetensors",
        network,
        ours.model_copy(update={"network": spec, "kept": dict(graph.kept)}),
    )
    with pytest.raises(
        ModelFileError, match=rf"m.safetensors: its network cannot be rebuilt: .*{name}.*`trusted`"
    ):
        load_model(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors", trusted=[name]).network
    assert torch.equal(again(x), network(x))
    assert again.three.weight is again.two.weight
    assert again.three.weight.requires_grad
