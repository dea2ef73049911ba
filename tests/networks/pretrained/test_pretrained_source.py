"""A trained network is found out by looking, and its weights fit or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stampseg.core.errors import ModelFileError
from stampseg.networks.model_file import load_model, save_model
from stampseg.networks.pretrained.source import fill, open_source
from stampseg.networks.skeleton import skeleton
from tests.networks.small_model import make_model


def same_state(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.parametrize("as_folder", [False, True])
def test_our_own_model_goes_on_where_it_was(tmp_path: Path, as_folder: bool) -> None:
    network, graph, description = make_model()
    save_model(tmp_path / "model.safetensors", network, description)
    source = open_source(tmp_path if as_folder else tmp_path / "model.safetensors")
    assert (source.kind, source.plan, source.spec) == (
        "stampseg model",
        description.plan,
        description.network,
    )
    assert source.kept == graph.kept
    again, _ = skeleton(source.spec, source.kept)
    fill(again, source)
    assert same_state(network, again)
    assert same_state(again, load_model(tmp_path / "model.safetensors").network)


def test_a_model_of_foreign_code_needs_trust(tmp_path: Path) -> None:
    network, _, description = make_model()
    own = description.network.model_copy(update={"name": "mine.networks:Net"})
    save_model(tmp_path / "m.safetensors", network, description.model_copy(update={"network": own}))
    with pytest.raises(ModelFileError, match=r"`trusted` mine\.networks:Net"):
        open_source(tmp_path / "m.safetensors")
    assert open_source(tmp_path / "m.safetensors", trusted=("mine.networks:Net",)).spec == own


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module.network.", "net."])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_bare_state_dict_with_any_prefix(tmp_path: Path, prefix: str, suffix: str) -> None:
    network, _, _ = make_model(cuts=0)
    state = {prefix + name: value for name, value in network.state_dict().items()}
    path = tmp_path / f"w{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    source = open_source(path)
    assert (source.kind, source.spec, source.plan) == ("state dict", None, None)
    assert any("weights alone" in note for note in source.notes)
    fresh = make_model(cuts=0)[2].network.build()
    for parameter in fresh.parameters():
        nn.init.normal_(parameter)
    fill(fresh, source)
    assert same_state(network, fresh)


class Inner(nn.Module):
    """All of its names begin with what wrappers also put in front."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Conv2d(1, 2, 3)


def test_a_prefix_that_is_the_networks_own_stays(tmp_path: Path) -> None:
    network, other = Inner(), Inner()
    torch.save(network.state_dict(), tmp_path / "w.pt")
    fill(other, open_source(tmp_path / "w.pt"))
    assert same_state(network, other)


class Shared(nn.Module):
    """One layer under two names, as nnU-Net's decoder holds its encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3)
        self.again = self.first


@pytest.mark.parametrize("names", [("first", "again"), ("first",), ("again",)])
def test_a_shared_tensor_is_needed_once(tmp_path: Path, names: tuple[str, ...]) -> None:
    network, other = Shared(), Shared()
    state = {n: t for n, t in network.state_dict().items() if n.split(".")[0] in names}
    torch.save(state, tmp_path / "w.pt")
    fill(other, open_source(tmp_path / "w.pt"))
    assert same_state(network, other)
    assert other.first is other.again


def test_a_misfit_names_what_is_wrong_and_changes_nothing(tmp_path: Path) -> None:
    network, _, _ = make_model(cuts=0)
    state = network.state_dict()
    first = next(iter(state))
    state["stray.weight"] = torch.zeros(1)
    state["head.weight"] = torch.zeros(7, 4, 1, 1)
    del state[first]
    torch.save(state, tmp_path / "w.pt")
    target = make_model(cuts=0)[2].network.build()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(ModelFileError) as caught:
        fill(target, open_source(tmp_path / "w.pt"))
    text = str(caught.value)
    for part in (
        f"1 missing: {first}",
        "1 unexpected: stray.weight",
        "head.weight 7x4x1x1 instead of 2x4x1x1",
    ):
        assert part in text
    assert "`network.name` and `network.arguments`" in text
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())


@pytest.mark.parametrize("on_meta", [False, True])
def test_weights_of_another_type_are_named(tmp_path: Path, on_meta: bool) -> None:
    network, _, description = make_model(cuts=0)
    state = network.state_dict()
    state["head.weight"] = state["head.weight"].to(torch.int8)
    torch.save(state, tmp_path / "w.pt")
    target = skeleton(description.network)[0] if on_meta else description.network.build()
    with pytest.raises(ModelFileError, match=r"1 of another type: head\.weight torch\.int8 instead of"):
        fill(target, open_source(tmp_path / "w.pt"))


def test_an_example_that_no_image_has(tmp_path: Path) -> None:
    network, _, description = make_model()
    spec = description.network.model_copy(update={"example_shape": (1, 1, 2**20, 2**20)})
    save_model(tmp_path / "m.safetensors", network, description.model_copy(update={"network": spec}))
    with pytest.raises(ModelFileError, match=r"m\.safetensors: example_shape 1x1x1048576x1048576: expected"):
        open_source(tmp_path / "m.safetensors")


def test_what_is_not_understood(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file or folder"):
        open_source(tmp_path / "nothing")
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(ModelFileError, match=r"holds readme\.txt; expected a run folder"):
        open_source(tmp_path)
    with pytest.raises(ModelFileError, match=r"readme\.txt: "):
        open_source(tmp_path / "readme.txt")


@pytest.mark.parametrize("keep", ["net.", "module.net.", "segmenter._orig_mod."])
def test_what_a_trainer_keeps_beside_the_network_is_left_out(tmp_path: Path, keep: str) -> None:
    """As Lightning writes it: the network and the weights of the loss under one roof."""
    network, _, _ = make_model(cuts=0)
    state = {keep + name: value for name, value in network.state_dict().items()}
    outer = "module." if keep.startswith("module.") else ""
    state[f"{outer}criterion.weight"] = torch.ones(2)
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    fresh = make_model(cuts=0)[2].network.build()
    fill(fresh, open_source(tmp_path / "last.ckpt"))
    assert same_state(network, fresh)


def test_two_such_networks_side_by_side_are_not_guessed_between(tmp_path: Path) -> None:
    network, _, _ = make_model(cuts=0)
    state = {
        f"{who}.{name}": value.clone()
        for who in ("student", "teacher")
        for name, value in network.state_dict().items()
    }
    torch.save(state, tmp_path / "both.pt")
    with pytest.raises(ModelFileError, match="holds the weights of 2 such networks side by side; save the"):
        fill(network, open_source(tmp_path / "both.pt"))


def test_an_average_of_the_weights_is_read_where_there_is_nothing_else(tmp_path: Path) -> None:
    network, _, _ = make_model(cuts=0)
    torch.save({"ema": network.state_dict()}, tmp_path / "ema.pt")
    assert "weights taken from its entry 'ema'" in open_source(tmp_path / "ema.pt").notes
