"""What `stampseg.save` writes is the network that it was given, or nothing is written."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

import stampseg
from stampseg.core.errors import ModelFileError, WiringError
from stampseg.networks.answer import answer_of, answers_so
from stampseg.networks.model_file import Description, load_model, read_description, save_model
from stampseg.networks.registry import NetworkSpec

NAME = "tests.networks.test_network_file:"


class Small(nn.Module):
    """What may be changed after it was built: an eps, an activation, a padding, a flag."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.act: nn.Module = nn.ReLU()
        self.one, self.head, self.use = nn.Conv2d(6, 4, 3, padding=1), nn.Conv2d(4, 2, 1), True

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.stem(x)))
        return self.head(functional.relu(self.one(x)) if self.use else self.one(x))


class Double(Small):
    def __init__(self) -> None:
        super().__init__()
        self.double()


class NoBatchOfOne(Small):
    def forward(self, x: Tensor) -> Tensor:
        first, *_ = x.split(len(x) // 2)
        return super().forward(x) + 0 * first.mean() / len(first)


class WithNote(Small):
    def get_extra_state(self) -> dict[str, int]:
        return {"epoch": 3}

    def set_extra_state(self, state: Any) -> None:
        pass


class Attribute(Small):
    def __init__(self) -> None:
        super().__init__()
        self.order = torch.randperm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.one(self.act(self.norm(self.stem(x))))[:, self.order])


def trained(kind: type[nn.Module], batch: int = 1) -> tuple[nn.Module, stampseg.Graph]:
    torch.manual_seed(0)
    network = kind().eval()
    nn.init.uniform_(network.norm.running_var, 0.001, 0.01)
    x = torch.zeros(batch, 1, 8, 8, dtype=network.head.weight.dtype)
    graph = stampseg.trace(network, x)
    graph.cut({"stem": [0, 2]})
    return network, graph


@pytest.mark.parametrize(
    "change",
    [
        lambda network: setattr(network.norm, "eps", 1e-3),
        lambda network: setattr(network, "act", nn.Tanh()),
        lambda network: setattr(network, "use", False),
        lambda network: setattr(network.one, "padding_mode", "circular"),
    ],
)
def test_what_was_changed_after_the_constructor_is_refused(
    change: Callable[[nn.Module], None], tmp_path: Path
) -> None:
    network, graph = trained(Small)
    change(network)
    with pytest.raises(WiringError, match=r"gives other outputs than this network: something was changed"):
        graph.save(tmp_path / "m.safetensors", NAME + "Small", {})
    assert not list(tmp_path.iterdir())


class Joined(nn.Module):
    """The channels of two layers side by side are added to a third's."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Conv2d(1, 4, 1), nn.Conv2d(1, 4, 1), nn.Conv2d(1, 8, 1)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.relu(torch.cat((self.one(x), self.two(x)), 1) + self.three(x)))


def test_a_graph_of_a_network_that_had_been_cut_is_told_from_a_wrong_name(tmp_path: Path) -> None:
    network, x = Joined().eval(), torch.randn(2, 1, 8, 8)
    first = stampseg.trace(network, x)
    first.cut({"one": [0, 1, 6]})  # more of the first layer than of the second
    second, path = stampseg.trace(network, x), tmp_path / "small.safetensors"
    with pytest.raises(WiringError, match=r"had been cut before this graph was traced: .*the first graph"):
        stampseg.save(path, network, second, NAME + "Joined", {}, tuple(x.shape))
    stampseg.save(path, network, first, NAME + "Joined", {}, tuple(x.shape))


def test_constants_by_chance_that_no_file_holds_are_refused(tmp_path: Path) -> None:
    _, graph = trained(Attribute)
    with pytest.raises(WiringError, match="gives other outputs than this network"):
        graph.save(tmp_path / "m.safetensors", NAME + "Attribute", {})


@pytest.mark.parametrize(("kind", "batch"), [(Small, 1), (Double, 1), (NoBatchOfOne, 2), (WithNote, 1)])
def test_saved_is_loaded(kind: type[nn.Module], batch: int, tmp_path: Path) -> None:
    network, graph = trained(kind, batch)
    name = NAME + kind.__name__
    graph.save(tmp_path / "m.safetensors", name, {})
    again = stampseg.load(tmp_path / "m.safetensors", trusted=[name])
    x = torch.randn(2, 1, 8, 8, dtype=network.head.weight.dtype)
    torch.testing.assert_close(again(x), network(x))


def test_a_class_that_was_edited_since_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights fitted, and the masks were others without a word."""
    _, graph = trained(Small)
    path, name = tmp_path / "m.safetensors", NAME + "Small"
    graph.save(path, name, {})
    forward = Small.forward
    monkeypatch.setattr(Small, "forward", lambda self, x: forward(self, x) * (1 + 1e-4))
    stampseg.load(path, trusted=[name])
    for edited in (
        lambda self, x: forward(self, x).flip(1),
        lambda self, x: forward(self, functional.relu(x)),
    ):
        monkeypatch.setattr(Small, "forward", edited)
        with pytest.raises(ModelFileError, match=r"Small computes something else than when the file"):
            stampseg.load(path, trusted=[name])


def test_code_that_fails_since_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, graph = trained(Small)
    path, name, forward = tmp_path / "m.safetensors", NAME + "Small", Small.forward
    graph.save(path, name, {})

    def failing(said: str) -> Callable[[Small, Tensor], Tensor]:
        def run(self: Small, x: Tensor) -> Tensor:
            if x.device.type == "meta":
                return forward(self, x)
            raise RuntimeError(said)

        return run

    monkeypatch.setattr(Small, "forward", failing("einops has moved"))
    with pytest.raises(ModelFileError, match=r"fails where it did not .*: einops has moved\).*its code"):
        stampseg.load(path, trusted=[name])
    monkeypatch.setattr(Small, "forward", failing("DefaultCPUAllocator: can't allocate memory"))
    stampseg.load(path, trusted=[name])


class Large(Small):
    """More outputs than single precision counts."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean((2, 3), keepdim=True).expand(-1, -1, 3000, 3000)


def test_an_answer_is_of_a_small_input_and_of_any_number_of_outputs(tmp_path: Path) -> None:
    network, _ = trained(Small)
    answer = answer_of(network, (1, 1, 64, 40))
    assert answer is not None and answer.shape == (1, 1, 16, 10) and len(answer.values) == 16
    assert answers_so(network, answer)
    large = Large().eval()
    found = answer_of(large, (1, 1, 8, 8))
    assert found is not None and len(found.values) == 16


def test_an_input_is_no_smaller_than_the_network_takes() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.InstanceNorm2d(2), nn.ReflectionPad2d(7), nn.AvgPool2d(15, 1)
    )
    answer = answer_of(network, (1, 1, 16, 16))
    assert answer is not None and answer.shape == (1, 1, 8, 8)


def test_what_a_description_alone_changes_asks_the_network_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, graph = trained(Small)
    path, name = tmp_path / "m.safetensors", NAME + "Small"
    graph.save(path, name, {})
    model = load_model(path, trusted=[name])
    monkeypatch.setattr(Small, "forward", None)
    save_model(path, model.network, model.description)
    assert read_description(path).answer == model.description.answer is not None


@pytest.mark.parametrize("chance", [torch.rand, random.random, np.random.rand])
def test_chance_of_any_kind_is_noticed(chance: Callable[..., Any]) -> None:
    class Noisy(Small):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + float(chance(1) if chance is torch.rand else chance())

    assert answer_of(Noisy().eval(), (1, 1, 8, 8)) is None


@pytest.mark.parametrize("chance", [True, False])
def test_what_cannot_be_compared_is_loaded(
    chance: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs that hold chance are of no use, nor are those of weights in half precision."""
    _, graph = trained(Small)
    path, name = tmp_path / "m.safetensors", NAME + "Small"
    forward = Small.forward
    if chance:
        monkeypatch.setattr(Small, "forward", lambda self, x: functional.dropout(forward(self, x), 0.1))
        graph.network.eval()
        description = Description(
            network=NetworkSpec(name=name, arguments={}, example_shape=(1, 1, 8, 8)),
            kept=dict(graph.channels.kept), plan=None,
        )  # fmt: skip
        save_model(path, graph.network, description)
        assert read_description(path).answer is None
    else:
        graph.save(path, name, {})
        with safe_open(path, framework="pt") as file:
            tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
        save_file(
            {key: t.half() if t.is_floating_point() else t for key, t in tensors.items()}, path, metadata
        )
        monkeypatch.setattr(Small, "forward", lambda self, x: forward(self, x).flip(1))
    stampseg.load(path, trusted=[name])
