"""The laws of cutting: cut = masked twin, two cuts = their union, the optimiser survives."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stampseg.channels.graph import Cut
from stampseg.channels.snapshot import restore, snapshot
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.errors import WiringError
from stampseg.networks.unet import UNet
from tests.channels.cuts import mask, random_cut

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


def _ema(network: nn.Module) -> AveragedModel:
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)


def test_everything_that_trains_goes_on_after_cuts_as_the_twins_does() -> None:
    """EMA, scheduler, autocast and gradient scaler, over several cuts, against twins that are masked."""
    network, x = make_network(2).float(), example(2).float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    scaler, ema = torch.amp.GradScaler("cpu", init_scale=2.0**10), _ema(network)
    graph, rng = trace(network, x), np.random.default_rng(6)

    def step(network: nn.Module, optimizer: Any, scheduler: Any, scaler: Any, ema: AveragedModel) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = network(x).float().square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        ema.update_parameters(network)

    for _ in range(3):
        ours = (network, optimizer, scheduler, scaler, ema)
        step(*ours)
        twins = copy.deepcopy(ours)
        cut = random_cut(graph, rng, groups=4)
        before, graph = graph, apply_cut(network, graph, cut, optimizer, copies=[ema])
        for twin in (twins[0], twins[4].module):
            mask(twin, before, cut)
        step(*ours)
        step(*twins)
        assert scheduler.get_last_lr() == twins[2].get_last_lr()
        assert optimizer.param_groups[0]["lr"] == twins[1].param_groups[0]["lr"]
        assert scaler.get_scale() == twins[3].get_scale()
        assert all(state["step"] > 1 for state in optimizer.state.values())
        for network_now, twin in ((network, twins[0]), (ema.module, twins[4].module)):
            apply_cut(twin, before, cut)
            for (name, a), b in zip(network_now.named_parameters(), twin.parameters(), strict=True):
                torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2, msg=lambda m, n=name: f"{n}: {m}")
    assert ema.n_averaged == 6
    with torch.no_grad():
        assert ema(x).shape == network(x).shape


def test_an_average_kept_in_a_dictionary_is_cut_too() -> None:
    network, x = make_network(2), example(2)
    average = {name: p.detach().clone() for name, p in network.named_parameters()}
    apply_cut(network, trace(network, x), Cut.of({"encoder.0.0.conv": [1], "up.0": [0, 2]}), copies=[average])
    assert all(torch.equal(p, average[name]) for name, p in network.named_parameters())


def test_a_snapshot_brings_back_the_averages() -> None:
    network, x = make_network(2), example(2)
    optimizer, ema = OPTIMIZERS["sgd"](network.parameters()), _ema(network)
    ema.update_parameters(network)
    graph, y = trace(network, x), ema.eval()(x)
    then = snapshot(network, graph, optimizer, [ema])
    apply_cut(network, graph, random_cut(graph, np.random.default_rng(0)), optimizer, copies=[ema])
    _step(network, optimizer, x)
    ema.update_parameters(network)
    restore(network, optimizer, then, [ema])
    assert torch.equal(ema.eval()(x), y)
    ema.update_parameters(network)


def test_a_state_that_cannot_be_cut_is_refused() -> None:
    network, x = make_network(2), example(2)
    optimizer = torch.optim.Adafactor(network.parameters())
    _step(network, optimizer, x)
    graph, before = trace(network, x), copy.deepcopy(network.state_dict())
    with pytest.raises(WiringError, match=r"Adafactor keeps 'row_var' for .* use SGD, Adam or AdamW"):
        apply_cut(network, graph, Cut.of({"up.0": [0]}), optimizer)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_a_graph_or_a_copy_that_does_not_fit_is_refused() -> None:
    network, x, cut = make_network(2), example(2), Cut.of({"up.0": [0]})
    graph = trace(network, x)
    other = copy.deepcopy(network)
    apply_cut(other, graph, cut)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(WiringError, match=r"has shape .*, the graph expects 4 entries along dimension 1"):
        apply_cut(other, graph, Cut.of({"up.0": [1]}))
    with pytest.raises(WiringError, match=r"up.0.weight has .* use the graph that the last cut of this"):
        apply_cut(network, graph, cut, copies=[other])
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


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
