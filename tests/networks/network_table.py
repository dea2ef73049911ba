"""docs/reference/networks.md: what is measured of every network of the zoo, and how it is written down."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stampseg.channels.choice import smallest
from stampseg.channels.cost import Tally
from stampseg.channels.graph import ChannelGraph, Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from tests.networks.zoo import SUBJECTS, Subject, heads

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "networks.md"
HEADER = (
    "network", "dims", "groups (prunable/all)", "channels", "parameters prunable", "frozen parts",
    "largest deviation", "Torch-Pruning 1.6.1",
)  # fmt: skip
MARKER, END = "<!-- measured -->", "<!-- end -->"  # the table lies between them
COMPARED = 12  # groups that are also cut by Torch-Pruning


@dataclass(frozen=True)
class Facts:
    """What the channel graph of a network says."""

    groups: str
    channels: int
    share: str
    frozen: str


def facts(network: nn.Module, graph: ChannelGraph) -> Facts:
    """Of the whole network as it is built."""
    left = smallest(network, graph, 1, {group.name for group in graph.prunable}).parameters
    share = 1 - left / Tally(network, graph).parameters
    reasons: dict[str, int] = {}
    for group in graph.groups:
        if group.frozen is not None and group.frozen != "the network's output":
            reason = group.frozen.split(" in ")[0] if "understood" in group.frozen else group.frozen
            reasons[reason] = reasons.get(reason, 0) + 1
    return Facts(
        groups=f"{len(graph.prunable)}/{len(graph.groups)}",
        channels=sum(group.size for group in graph.prunable),
        share=f"{share:.1%}",
        frozen="; ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items())) or "output only",
    )


def torch_pruning(subject: Subject) -> str:
    """Cut one channel of up to twelve groups with Torch-Pruning, and compare with our cut of the same."""
    network, example = subject.build(), subject.example()
    graph = trace(network, example[:1])
    rng = np.random.default_rng(5)
    able = [group for group in graph.prunable if group.size > 1]
    chosen = [able[i] for i in rng.permutation(len(able))[:COMPARED]]
    failures = []
    for group in chosen:
        index = int(rng.integers(group.size))
        weight = graph.binding(f"{group.name}.weight", 0), graph.binding(f"{group.name}.weight", 1)
        along = weight[1] if group.transposed else weight[0]
        assert along is not None
        positions = np.flatnonzero(along == group.start + index).tolist()
        ours = copy.deepcopy(network)
        apply_cut(ours, graph, Cut.of({group.name: [index]}))
        with torch.no_grad():
            wanted = heads(ours(example))
        try:
            found = _with_torch_pruning(copy.deepcopy(network), graph, group.name, positions, example)
        except Exception as error:
            failures.append(f"{type(error).__name__}: {_short(str(error))}")
            continue
        worst = max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))
        if not worst <= 1e-8:
            failures.append(f"output is off by {worst:.0e}")
    if not failures:
        return f"passes, {len(chosen)} of {len(chosen)}"
    return f"{len(chosen) - len(failures)} of {len(chosen)}; {failures[0]}"


def _with_torch_pruning(
    network: nn.Module, graph: ChannelGraph, layer: str, positions: list[int], example: Tensor
) -> list[Tensor]:
    """As its documentation has it: bare parameters that no cut reaches are ignored, all outputs are given."""
    import torch_pruning as tp

    bound = {binding.tensor for binding in graph.bindings}
    of_modules = {
        id(p)
        for module in network.modules()
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear))
        or type(module).__name__.endswith(("Norm", "Norm2d", "Norm3d", "PReLU"))
        for p in module.parameters(recurse=False)
    }
    bare: list[Any] = [
        p for name, p in network.named_parameters() if id(p) not in of_modules and name not in bound
    ]
    for module in network.eval().modules():  # it follows autograd's graph, which views written in place break
        if hasattr(module, "inplace"):
            module.inplace = False
    dependencies = tp.DependencyGraph().build_dependency(
        network, example_inputs=example[:1], output_transform=heads, ignored_params=bare, verbose=False
    )
    module = network.get_submodule(layer)
    prune = dependencies.get_pruner_of_module(module).prune_out_channels
    dependencies.get_pruning_group(module, prune, idxs=positions).prune()
    with torch.no_grad():
        return heads(network(example))


def _short(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "no message"
    return (line if len(line) <= 70 else f"{line[:67]}...").replace("|", "/")


def page(measured: dict[str, tuple[Facts, float]], others: dict[str, str]) -> str:
    """The whole document."""
    rows = []
    for subject in SUBJECTS:
        fact, off = measured[subject.label]
        cells = (named(subject), f"{subject.dims}D", fact.groups, str(fact.channels), fact.share, fact.frozen)
        rows.append((*cells, f"{off:.0e}", others[subject.label]))
    table = "\n".join("| " + " | ".join(row) + " |" for row in (HEADER, ("---",) * len(HEADER), *rows))
    before, marker, after = PAGE.read_text("utf-8").partition(MARKER)
    return f"{before}{marker}\n\n{table}\n\n{END}{after.partition(END)[2]}"


def named(subject: Subject) -> str:
    """Name and variant, as in the first column."""
    return f"{subject.name}{f', {subject.variant}' if subject.variant else ''}"


def committed_rows() -> dict[tuple[str, str], list[str]]:
    """(network, dims) -> the other cells of the table in the documentation."""
    rows = {}
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == len(HEADER) and cells[1] in ("2D", "3D"):
            rows[cells[0], cells[1]] = cells[2:]
    return rows
