"""The laws of cutting: cut = masked twin, two cuts = their union, the optimiser survives."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from stampseg.channels.graph import ChannelGraph, Cut
from stampseg.channels.surgery import apply_cut, restore, snapshot
from stampseg.channels.trace import trace
from stampseg.errors import WiringError
from stampseg.networks.unet import UNet

SIDE = {2: 16, 3: 8}
VARIANTS = [
    (d, norm, order)
    for d in (2, 3)
    for norm in ("batch", "instance")
    for order in ("norm-activation", "activation-norm")
]


def make_network(spatial_dims: int, norm: str = "batch", order: str = "norm-activation") -> UNet:
    torch.manual_seed(0)
    network = UNet(spatial_dims, 1, 3, 4, [(2,) * spatial_dims] * 2, norm, "relu", order).double()
    with torch.no_grad():  # statistics and affine values of a network that has learnt
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            if tensor.ndim == 1 and tensor.is_floating_point() and not name.endswith("rate"):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return network


def example(spatial_dims: int, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(
        batch, 1, *[SIDE[spatial_dims]] * spatial_dims, generator=generator, dtype=torch.float64
    )


def random_cut(graph: ChannelGraph, rng: np.random.Generator, groups: int = 3) -> Cut:
    able = [g for g in graph.prunable if g.size > 1]
    chosen = rng.choice(len(able), size=min(groups, len(able)), replace=False) if able else []
    return Cut.of(
        {
            able[i].name: rng.choice(
                able[i].size, size=int(rng.integers(1, max(2, able[i].size // 3 + 1))), replace=False
            )
            for i in chosen
        }
    )


def mask(network: nn.Module, graph: ChannelGraph, cut: Cut, *, producers_only: bool = False) -> None:
    """Silence the channels of `cut` without removing them."""
    keep = graph.keep_mask(cut)
    state = dict((*network.named_parameters(), *network.named_buffers()))
    with torch.no_grad():
        for binding in graph.bindings:
            gone = (binding.channels >= 0) & ~keep[np.maximum(binding.channels, 0)]
            if producers_only and binding.role == "in":
                continue
            where = [slice(None)] * state[binding.tensor].ndim
            where[binding.dim] = torch.from_numpy(gone.nonzero()[0])
            state[binding.tensor][tuple(where)] = 0


@pytest.mark.parametrize(("spatial_dims", "norm", "order"), VARIANTS)
def test_thirty_cuts_equal_the_masked_twin_each(spatial_dims: int, norm: str, order: str) -> None:
    network, x = make_network(spatial_dims, norm, order), example(spatial_dims)
    graph, rng = trace(network, x), np.random.default_rng(2)
    for _ in range(30):
        cut = random_cut(graph, rng)
        twin = copy.deepcopy(network)
        mask(twin, graph, cut, producers_only=True)
        graph = apply_cut(network, graph, cut)
        for mode in (False, True):
            torch.testing.assert_close(network.train(mode)(x), twin.train(mode)(x), atol=1e-10, rtol=0)
    assert sum(g.size for g in graph.prunable) < 60, "thirty cuts must have removed most channels"


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_retrace_finds_the_graph_that_the_cuts_left(spatial_dims: int) -> None:
    network, x = make_network(spatial_dims), example(spatial_dims)
    graph, rng = trace(network, x), np.random.default_rng(3)
    for _ in range(5):
        graph = apply_cut(network, graph, random_cut(graph, rng))
    again = trace(network, x)
    assert again.widths() == graph.widths()
    for ours, theirs in zip(graph.bindings, again.bindings, strict=True):
        assert (ours.tensor, ours.dim) == (theirs.tensor, theirs.dim)
        np.testing.assert_array_equal(ours.channels, theirs.channels)


def test_the_empty_cut_changes_nothing() -> None:
    network, x = make_network(2), example(2)
    graph, before = trace(network, x), {k: v.clone() for k, v in network.state_dict().items()}
    assert apply_cut(network, graph, Cut.of({"bottleneck.0.conv": ()})) is graph
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_two_cuts_equal_their_union() -> None:
    x = example(3)
    twice, once = make_network(3), make_network(3)
    graph = trace(twice, x)
    whole = graph
    graph = apply_cut(twice, graph, Cut.of({"bottleneck.0.conv": [1, 5], "encoder.0.1.conv": [0]}))
    graph = apply_cut(
        twice, graph, Cut.of({"bottleneck.0.conv": [1], "up.0": [2]})
    )  # index 1 is now channel 2
    union = Cut.of({"bottleneck.0.conv": [1, 2, 5], "encoder.0.1.conv": [0], "up.0": [2]})
    assert whole.cut_to(graph.kept) == union
    apply_cut(once, whole, union)
    assert all(torch.equal(v, once.state_dict()[k]) for k, v in twice.state_dict().items())


def test_statistics_and_shift_of_batch_norm_survive() -> None:
    """Defect 1 of the published release: everything but gamma was reset."""
    network, x = make_network(3), example(3)
    norm, before = network.encoder[0][0].norm, copy.deepcopy(network.encoder[0][0].norm.state_dict())
    apply_cut(network, trace(network, x), Cut.of({"encoder.0.0.conv": [1]}))
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert torch.equal(norm.state_dict()[name], before[name][[0, 2, 3]])
    assert torch.equal(norm.num_batches_tracked, before["num_batches_tracked"])
    assert norm.num_features == 3


def test_sixteen_cuts_of_one_skip_keep_the_right_columns() -> None:
    """Defect 2: the skip's column was taken as in_channels / 2 + k, right only for the first cut."""
    torch.manual_seed(0)
    network = UNet(2, 1, 2, 24, [(2, 2)])
    with torch.no_grad():  # column c of the decoder's first convolution holds the number c
        network.decoder[0][0].conv.weight.copy_(torch.arange(48.0).reshape(1, 48, 1, 1).expand(24, 48, 3, 3))
    graph, rng, left = trace(network, torch.randn(1, 1, 8, 8)), np.random.default_rng(0), list(range(24))
    for _ in range(16):
        index = int(rng.integers(len(left)))
        left.pop(index)
        graph = apply_cut(network, graph, Cut.of({"encoder.0.1.conv": [index]}))
    columns = network.decoder[0][0].conv.weight[0, :, 0, 0].tolist()
    assert columns == [*range(24), *(24 + channel for channel in left)]


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.01, amsgrad=True),
}


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor) -> None:
    optimizer.zero_grad()
    network(x).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(("spatial_dims", "norm"), [(2, "batch"), (3, "instance"), (3, "batch")])
def test_a_step_after_a_cut_equals_the_twins_step_on_what_is_kept(
    kind: str, spatial_dims: int, norm: str
) -> None:
    network, x = make_network(spatial_dims, norm), example(spatial_dims)
    optimizer = OPTIMIZERS[kind](
        [
            {"params": list(network.encoder.parameters()), "lr": 0.02},
            {"params": [p for n, p in network.named_parameters() if not n.startswith("encoder")]},
        ]
    )
    graph, rng = trace(network, x), np.random.default_rng(4)
    for _ in range(3):
        _step(network, optimizer, x)
        twin, twin_optimizer = copy.deepcopy((network, optimizer))
        cut = random_cut(graph, rng, groups=5)
        before, graph = graph, apply_cut(network, graph, cut, optimizer)
        mask(twin, before, cut)
        _step(network, optimizer, x)
        _step(twin, twin_optimizer, x)
        keep_network = copy.deepcopy(twin)
        apply_cut(keep_network, before, cut)
        for (name, ours), (_, theirs) in zip(
            network.named_parameters(), keep_network.named_parameters(), strict=True
        ):
            torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-7, msg=lambda m, n=name: f"{n}: {m}")
        ids = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert ids == {id(p) for p in network.parameters()}, (
            "the optimiser knows every parameter, and no other"
        )
        assert {id(p) for p in optimizer.state} == ids


def test_memory_format_survives_a_cut() -> None:
    network = make_network(3).to(memory_format=torch.channels_last_3d)
    graph = trace(network, example(3))
    apply_cut(network, graph, Cut.of({"bottleneck.0.conv": [0], "encoder.1.1.conv": [3]}))
    assert network.bottleneck[1].conv.weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_snapshot_brings_back_network_optimiser_and_graph() -> None:
    network, x = make_network(3), example(3)
    optimizer = OPTIMIZERS["adamw"](network.parameters())
    graph = trace(network, x)
    _step(network, optimizer, x)
    then, y = snapshot(network, graph, optimizer), network.eval()(x)
    network.train()
    cut_graph = apply_cut(network, graph, Cut.of({"bottleneck.0.conv": [0, 1], "up.1": [2]}), optimizer)
    _step(network, optimizer, x)
    assert cut_graph.widths() != graph.widths()
    assert restore(network, optimizer, then) is graph
    assert torch.equal(network.eval()(x), y)
    assert network.bottleneck[0].conv.out_channels == 16
    twin, twin_optimizer = copy.deepcopy((network, optimizer))
    _step(network.train(), optimizer, x)
    _step(twin.train(), twin_optimizer, x)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ({"nowhere": [0]}, "no channel group is named 'nowhere'; the network has"),
        ({"head": [0]}, "group 'head' is frozen .the network's output."),
        ({"up.0": [4]}, "group 'up.0' has channels 0 to 3; the cut names"),
        ({"up.0": [-1]}, "group 'up.0' has channels 0 to 3; the cut names"),
        ({"up.0": [1, 1]}, "names a channel twice"),
        ({"up.0": [0, 1, 2, 3]}, "would lose all of its 4 channels; keep at least one"),
    ],
)
def test_a_wrong_cut_is_refused_and_leaves_the_network_untouched(removed: dict, message: str) -> None:
    network, x = make_network(2), example(2)
    graph, before = trace(network, x), copy.deepcopy(network.state_dict())
    with pytest.raises(WiringError, match=message):
        apply_cut(network, graph, Cut.of({"encoder.0.0.conv": [0], **removed}))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert trace(network, x).widths() == graph.widths()
