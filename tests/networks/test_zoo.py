"""Every network that stampseg can be given: thirty cuts in a row, each equal to its masked twin."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stampseg.channels.graph import ChannelGraph, Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.networks.meta import on_meta
from stampseg.networks.model_file import Description, load_model, save_model
from tests.channels.cuts import mask
from tests.networks import network_table
from tests.networks.zoo import SUBJECTS, Subject, heads, parameters

CUTS = 30
MEASURED: dict[str, tuple[network_table.Facts, float]] = {}  # for the table, of this session


def mixed_cut(graph: ChannelGraph, rng: np.random.Generator) -> Cut:
    """One to three groups, one or two channels of each; small, so that thirty of them find channels."""
    able = [group for group in graph.prunable if group.size > 1]
    chosen = rng.choice(len(able), size=min(int(rng.integers(1, 4)), len(able)), replace=False)
    groups = [able[i] for i in chosen]
    return Cut.of({g.name: rng.choice(g.size, size=2 if g.size > 12 else 1, replace=False) for g in groups})


def run(network: nn.Module, x: Tensor) -> list[Tensor]:
    """All heads, in eval mode."""
    with torch.no_grad():
        return heads(network.eval()(x))


def deviation(found: list[Tensor], expected: list[Tensor]) -> float:
    """Largest difference of any head; anything that is not a finite number counts as infinite."""
    assert [f.shape for f in found] == [e.shape for e in expected]
    if not all(head.isfinite().all() for head in (*found, *expected)):
        return float("inf")
    return max(float((f - e).abs().max()) for f, e in zip(found, expected, strict=True))


def training_step(network: nn.Module, x: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Forward, backward, step; the optimiser knows every parameter and no other."""
    known = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(known) == sorted(id(p) for p in network.parameters())
    optimizer.zero_grad()
    loss = sum(head.square().mean() for head in heads(network.train()(x)))
    loss.backward()
    optimizer.step()
    assert all(p.isfinite().all() for p in network.parameters())


def assert_file_gives_it(
    path: Path, subject: Subject, network: nn.Module, graph: ChannelGraph, x: Tensor
) -> None:
    """Saved and loaded, every tensor is the same bit for bit, the channels too, and so the output.

    The output only to rounding, in double precision: what is loaded lies elsewhere in memory, and
    libraries take other instructions where addresses are not aligned.
    """
    save_model(path, network, Description(network=subject.spec, kept=dict(graph.kept), plan=None))
    model = load_model(path, trusted=(subject.name,))
    assert model.graph.widths() == graph.widths()
    stored, given = model.network.state_dict(), network.state_dict()
    assert stored.keys() == given.keys()
    for name, tensor in given.items():
        assert stored[name].dtype == tensor.dtype and torch.equal(stored[name], tensor), name
    expected = run(network.double(), x.double())
    network.to(x.dtype)  # as it was: from single to double and back loses nothing
    largest = max(1.0, *(float(head.abs().max()) for head in expected))
    assert deviation(run(model.network.double(), x.double()), expected) <= 1e-12 * largest


@pytest.mark.parametrize("subject", parameters())
def test_thirty_cuts_equal_the_masked_twin_each(subject: Subject, tmp_path: Path) -> None:
    """Double precision; between the cuts the network trains, and every tenth one is saved and loaded."""
    network, x = subject.build(), subject.example()
    graph, rng, worst = trace(network, x[:1]), np.random.default_rng(2), 0.0
    noticed = 0
    facts = network_table.facts(network, graph)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-5, momentum=0.9)
    for number in range(1, CUTS + 1):
        cut, before = mixed_cut(graph, rng), run(network, x)
        assert cut.count, "thirty cuts must find channels"
        twin = copy.deepcopy(network)
        mask(twin, graph, cut, producers_only=True)
        graph = apply_cut(network, graph, cut, optimizer)
        after = run(network, x)
        off = deviation(after, run(twin, x))
        assert off <= 1e-10, f"cut {number} ({dict(cut.removed)}) is off by {off:.1e}"
        noticed += deviation(after, before) > 1e-9  # a unit that is off for this input changes nothing
        worst = max(worst, off)
        training_step(network, x, optimizer)
        if number % 10 == 0:
            assert_file_gives_it(tmp_path / "model.safetensors", subject, network, graph, x)
    assert noticed >= CUTS // 2, f"only {noticed} of {CUTS} cuts change the output: the test shows little"
    MEASURED[subject.label] = facts, worst


@pytest.mark.slow
@pytest.mark.parametrize("subject", parameters())
def test_thirty_cuts_in_single_precision(subject: Subject) -> None:
    network, x = subject.build(torch.float32), subject.example(torch.float32)
    graph, rng = trace(network, x[:1]), np.random.default_rng(2)
    for number in range(1, CUTS + 1):
        cut = mixed_cut(graph, rng)
        twin = copy.deepcopy(network)
        mask(twin, graph, cut, producers_only=True)
        graph = apply_cut(network, graph, cut)
        expected = run(twin, x)
        largest = max(float(head.abs().max()) for head in expected)
        off, limit = deviation(run(network, x), expected), 1e-5 * largest
        if off > limit:  # smp.Unet with scse attention multiplies rounding: both are that far from the truth
            limit = 2 * deviation([head.float() for head in run(twin.double(), x.double())], expected)
        assert off <= limit, f"cut {number} is off by {off:.1e} of {largest:.1e}"


@pytest.mark.slow
@pytest.mark.parametrize("subject", parameters(slow=False))
def test_the_file_of_every_cut_gives_the_network_bit_for_bit(subject: Subject, tmp_path: Path) -> None:
    network, x = subject.build(torch.float32), subject.example(torch.float32)
    graph, rng = trace(network, x[:1]), np.random.default_rng(3)
    for _ in range(CUTS):
        graph = apply_cut(network, graph, mixed_cut(graph, rng))
        assert_file_gives_it(tmp_path / "model.safetensors", subject, network, graph, x)


@pytest.mark.parametrize("subject", parameters(slow=False))
def test_the_meta_device_shows_the_same_channels(subject: Subject) -> None:
    """Groups, bindings, positions: what a file is loaded by is what the network was trained with."""
    network, x = subject.build(torch.float32), subject.example(torch.float32, batch=1)
    before = {name: (id(t), t.device) for name, t in (*network.named_parameters(), *network.named_buffers())}
    real = trace(network, x, rehearse=False)
    after = {name: (id(t), t.device) for name, t in (*network.named_parameters(), *network.named_buffers())}
    assert after == before, "a trace leaves the network as it was"
    with on_meta():
        empty = subject.spec.build(trusted=(subject.name,))
    assert not any(p.device.type != "meta" for p in empty.parameters() if p.numel() > 2**20)
    seen = trace(empty, torch.empty(subject.spec.example_shape, device="meta"), rehearse=False)
    assert seen.groups == real.groups
    assert seen.calls == real.calls
    assert seen.unknown == real.unknown
    for ours, theirs in zip(seen.bindings, real.bindings, strict=True):
        assert (ours.tensor, ours.dim, ours.role) == (theirs.tensor, theirs.dim, theirs.role)
        np.testing.assert_array_equal(ours.channels, theirs.channels)


def _twin_of_another_channel(network: nn.Module, twin: nn.Module, graph: ChannelGraph) -> ChannelGraph:
    group = next(g for g in graph.prunable if g.size > 3)
    mask(twin, graph, Cut.of({group.name: [0]}), producers_only=True)
    return apply_cut(network, graph, Cut.of({group.name: [1]}))


def _consumer_loses_another_column(network: nn.Module, twin: nn.Module, graph: ChannelGraph) -> ChannelGraph:
    group = next(g for g in graph.prunable if g.size > 3)
    cut = Cut.of({group.name: [1]})
    mask(twin, graph, cut, producers_only=True)
    graph = apply_cut(network, graph, cut)
    place = next(
        b
        for b in graph.bindings
        if b.role == "in" and np.isin(np.arange(group.start, group.stop - 1), b.channels).all()
    )
    weight = dict(network.named_parameters())[place.tensor]
    with torch.no_grad():
        weight.copy_(weight.roll(1, place.dim))
    return graph


def _norm_keeps_the_wrong_entry(network: nn.Module, twin: nn.Module, graph: ChannelGraph) -> ChannelGraph:
    group = next(g for g in graph.prunable if g.size > 3)
    cut = Cut.of({group.name: [1]})
    mask(twin, graph, cut, producers_only=True)
    graph = apply_cut(network, graph, cut)
    place = next(b for b in graph.bindings if b.role == "norm-weight" and group.start in b.channels)
    weight = dict(network.named_parameters())[place.tensor]
    with torch.no_grad():
        weight.copy_(weight.roll(1))
    return graph


SABOTAGE = (_twin_of_another_channel, _consumer_loses_another_column, _norm_keeps_the_wrong_entry)


@pytest.mark.parametrize("sabotage", SABOTAGE)
@pytest.mark.parametrize(
    "label", ["unet 2D", "monai.DynUNet (residual) 3D", "nnunet.PlainConvUNet 2D", "monai.SegResNet 2D"]
)
def test_the_twin_notices_a_wrong_cut(label: str, sabotage) -> None:  # type: ignore[no-untyped-def]
    subject = next(s for s in SUBJECTS if s.label == label)
    network, x = subject.build(), subject.example()
    twin = copy.deepcopy(network)
    sabotage(network, twin, trace(network, x[:1]))
    assert deviation(run(network, x), run(twin, x)) > 1e-6


def test_the_deviation_of_an_output_that_is_no_number_is_infinite() -> None:
    good, nan = torch.zeros(2), torch.tensor([0.0, float("nan")])
    assert deviation([good, nan], [good, good]) == deviation([good, nan], [good, nan]) == float("inf")


@pytest.mark.parametrize("subject", parameters(slow=False))
def test_the_documented_table_is_what_is_measured(subject: Subject, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-network-table"):
        pytest.skip("the table is being written")
    subject.skip_without_package()
    with on_meta():
        network = subject.spec.build(trusted=(subject.name,))
    found = network_table.facts(
        network, trace(network, torch.empty(subject.spec.example_shape, device="meta"))
    )
    groups, channels, share, frozen, off, _ = network_table.committed_rows()[
        network_table.named(subject), f"{subject.dims}D"
    ]
    assert (groups, channels, share, frozen) == (found.groups, str(found.channels), found.share, found.frozen)
    assert float(off) <= 1e-10


def test_write_the_table(request: pytest.FixtureRequest) -> None:
    """Last, after all cuts: `pytest tests/networks --write-network-table -m "slow or not slow"`."""
    if not request.config.getoption("--write-network-table"):
        pytest.skip("asked for with --write-network-table")
    missing = [subject.label for subject in SUBJECTS if subject.label not in MEASURED]
    assert not missing, f"not measured in this session: {missing}"
    others = {subject.label: network_table.torch_pruning(subject) for subject in SUBJECTS}
    network_table.PAGE.write_text(network_table.page(MEASURED, others), encoding="utf-8")
