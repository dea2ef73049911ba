"""stampseg for your own training code: trace, score, cut, save, and STAMP around your training function.

graph = stampseg.trace(network, example)
scores = graph.score(batches, loss)
graph.cut(graph.lowest(scores, target="50%"), optimizer)
graph.save("small.safetensors", "monai.BasicUNet", arguments)

for turn in stampseg.stamp(network, example, optimizer, train, batches=batches, loss=loss): ...
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer

from ..channels.choice import Limit, choose, reachable_limit
from ..channels.cost import Tally
from ..channels.dropout import attach_dropout, detach_dropout
from ..channels.graph import ChannelGraph, Cut, Group, Scores
from ..channels.importance import Batch, Loss, importance
from ..channels.proof import prove
from ..channels.surgery import Copy, apply_cut, plain_copy
from ..channels.trace import trace as trace_channels
from ..core.config import parse_config
from ..core.errors import ConfigError
from ..core.prune_options import CriterionName, Normalizer, PruneOptions
from ..core.target import Target
from ..core.teacher_options import TeacherOptions as TeacherOptions
from ..core.text import some
from ..data.plan import Plan
from ..evaluation.metrics import FOUND_DICE
from ..networks.network_file import load as load
from ..networks.network_file import save as save
from ..timing.latency import network_latency
from ..timing.layer_table import LayerTable
from .arguments import Batches, check_arguments, checked_dice, image_and_label
from .learner import Learner
from .mean_teacher import MeanTeacher
from .round import Fit, Round, Validation
from .schedule import reachable_target
from .stamp import stamp as rounds_of
from .watched_batches import Watched

_OF_COMMANDS = {"choose", "tolerance", "scoring", "score_round"}  # options of pruning

SHOWN = 4  # parameters named in a message


class Graph:
    """The channels of a living network. Cutting changes the network and this object together.

    Attributes:
        network: as it is now.
        channels: its channel graph as it is now; its `kept` says what is left of the dense network.
    """

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        self.network, self.example = network, example
        self.channels: ChannelGraph = _traced(network, example, stacklevel=4)

    def __repr__(self) -> str:
        able, unused = self.channels.prunable, some(self.channels.unreached, SHOWN)
        return (
            f"Graph of {type(self.network).__name__}: {self.parameters:,} parameters, {len(able)} of "
            f"{len(self.groups)} groups with {sum(g.size for g in able):,} channels can be cut"
            + (f"; not used by the example: {unused}" if unused else "")
        )

    @property
    def groups(self) -> tuple[Group, ...]:
        """Channels that live and die together; `frozen` says why some may not be cut."""
        return self.channels.groups

    @property
    def parameters(self) -> int:
        """Parameters of the network as it is now."""
        return Tally(self.network, self.channels).parameters

    @property
    def flops(self) -> int:
        """FLOPs of one forward pass of one example of the traced size, two per multiply-add."""
        return Tally(self.network, self.channels).flops

    def score(
        self,
        batches: Batches,
        loss: Loss,
        *,
        criterion: CriterionName = "taylor-abs",
        normalizer: Normalizer = "l2",
    ) -> Scores:
        """Importance of every prunable channel; low is dispensable. See `stampseg.channels.criteria`.

        Args:
            batches: dictionaries with `image` (B, C, *S) and `label`, or (image, label) pairs.
            loss: of the network's output and the label.
            criterion: a name of `CRITERIA` there.
            normalizer: l2, mean, none, parameters, flops or memory.

        Returns:
            Group name -> (n,) float64.
        """
        return importance(
            self.network, self.channels, _batches(batches, self.network), loss,
            criterion=criterion, normalizer=normalizer,
        )  # fmt: skip

    def lowest(
        self, scores: Scores, *, count: int | None = None, target: str | None = None, minimum_width: int = 1
    ) -> Cut:
        """The least important channels of the whole network.

        Args:
            scores: from `score`, of the network as it is now.
            count: how many, at the most.
            target: a size at which to stop, as a share of the network as it is now or a count:
                "50%", "120k", "flops:25%".
            minimum_width: channels that every group keeps.

        Raises:
            ConfigError: neither count nor target, or a target that names no size.
        """
        if count is None and target is None:
            raise ConfigError(
                "lowest: neither count nor target; say how many channels, or what size to reach"
            )
        limit = Limit("parameters", 0)
        if target is not None:
            scored = [group for group in self.channels.prunable if group.name in scores]
            found = reachable_limit(
                self.network, self.channels, Target.parse(target), scored, minimum_width=minimum_width
            )
            if found is None:
                raise ConfigError(f"lowest: target {target!r}: expected parameters, flops or memory")
            limit = found
        return choose(
            self.network, self.channels, scores, limit=limit, most=count, minimum_width=minimum_width
        )

    def prove(self) -> dict[str, float]:
        """Cut every prunable group, each by itself, and compare with a twin that is only silenced.

        One of its channels, half of them, and all that its layers can lose. The network is left as it is.

        Returns:
            Group name -> largest deviation of any output, relative to the largest one; an exact cut is
            at most 1e-10 off. See `stampseg.channels.proof`.
        """
        return prove(self.network, self.channels, self.example)

    def cut(
        self,
        removed: Cut | Mapping[str, Iterable[int]],
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        copies: Copy | Sequence[Copy] = (),
    ) -> Cut:
        """Remove channels from the network, its optimiser and its averages, in place.

        Args:
            removed: group name -> indices within the group as it is now.
            optimizer: SGD, Adam, AdamW or any whose state is shaped like its parameters.
            copies: `AveragedModel`s, other modules of the same layers, or dictionaries of tensors by
                parameter name.

        Returns:
            What was removed.

        Raises:
            WiringError: the request cannot be met; everything is as it was.
        """
        wanted = removed if isinstance(removed, Cut) else Cut.of(removed)
        self.channels = apply_cut(self.network, self.channels, wanted, optimizer, copies=_listed(copies))
        return wanted

    def save(
        self,
        path: str | Path,
        name: str,
        arguments: Mapping[str, Any],
        *,
        plan: Plan | Mapping[str, Any] | str | Path | None = None,
    ) -> None:
        """Write the network as one .safetensors file; see `save`."""
        save(path, self.network, self.channels, name, arguments, tuple(self.example.shape), plan=plan)


def trace(network: nn.Module, example: Tensor) -> Graph:
    """Find out which channels of `network` live and die together.

    Args:
        network: any module.
        example: (B, C, *S) input it accepts.

    Raises:
        WiringError: the network does not run on the example, or nothing in it can be traced.
    """
    return Graph(network, example)


def stamp(
    network: nn.Module,
    example: Tensor,
    optimizer: Optimizer,
    train: Callable[[int], float | None],
    *,
    batches: Batches,
    loss: Loss,
    validate: Callable[[], float] | None = None,
    steps: int = 1000,
    target: str = "15%",
    dropout: bool = True,
    copies: Copy | Sequence[Copy] = (),
    teacher: MeanTeacher | None = None,
    **options: Any,
) -> Iterator[Round]:
    """STAMP around your own training function: yields after every round of training and cutting.

    The network becomes smaller in place. A network without targeted dropout gets one behind its
    activations while this runs.

    Args:
        network: trained and cut in place.
        example: (B, C, *S) input it accepts.
        optimizer: of all its parameters; carried through every cut, as are schedulers, gradient
            scalers and `copies`.
        train: takes exactly that many optimiser steps; its mean loss, if it gives one, goes into the
            round.
        batches: the training set for ranking, gone through once per round: a list or DataLoader of
            dictionaries with `image` (B, C, *S) and `label`, or of (image, label) pairs.
        loss: of the network's output and the label.
        validate: Dice on validation data, between 0 and 1; a cut that does not heal is rolled back.
        steps: optimiser steps of the whole run.
        target: 15%, 50k, flops:25%, flops:2G, memory:200MB, latency:50ms (of one example on this machine), or
            dice:0.85 with `validate`.
        dropout: True for STAMP+, False for STAMP.
        copies: averages of the weights, as for `Graph.cut`.
        teacher: an average that teaches; `train` takes its loss from it and tells it of each step. It is cut
            with the network; its `average` is what to validate and to keep.
        options: any of `PruneOptions`, such as criterion="l1" or rounds=10, but those of the commands:
            `choose` and `tolerance`, `scoring` and `score_round`.

    Raises:
        ConfigError: an option that does not exist or does not fit.
        WiringError: the network cannot be traced.
    """
    prune = parse_config({"prune": {"target": target, **options}}, "stampseg.stamp").prune
    if idle := sorted(_OF_COMMANDS & options.keys()):
        raise ConfigError(
            f"stampseg.stamp: `prune.{idle[0]}` is of the commands, which choose a round and gather scores "
            "from their own training; here the given batches rank, and you choose; leave it out"
        )
    if iter(batches) is batches:
        raise ConfigError(
            "stampseg.stamp: batches can be gone through only once, and every round needs them; give a list "
            "or a DataLoader"
        )
    if prune.target.floor is not None and validate is None:
        raise ConfigError("stampseg.stamp: a Dice floor as target needs `validate`; give it, or a size")
    if isinstance(batches, Sequence) and not batches:
        raise ConfigError("stampseg.stamp: batches is empty; give at least one batch to rank channels on")
    graph, randomness = _traced(network, example, stacklevel=3), np.random.default_rng(0)
    copies = [*_listed(copies), *(teacher.copies if teacher is not None else ())]
    check_arguments(network, graph, optimizer, steps, copies)
    if isinstance(batches, Sequence):
        image_and_label(batches[0])
    watched = Watched(
        network if teacher is None else teacher.average, lambda: _batches(batches, network), loss,
        None if teacher is None else network,
    )  # fmt: skip
    times = LayerTable(prune.runtime) if "latency" in (prune.scaling, prune.target.kind) else None

    def latency() -> float:
        one = example[:1].detach()
        return network_latency(network, one.ndim - 2, one, prune.runtime).median

    reachable_target(network, graph, prune)
    return _rounds(
        Learner(
            network=network,
            optimizer=optimizer,
            train=lambda count: _number(train(count)),
            score=lambda channels: importance(
                network, channels, islice(_batches(batches, network), prune.score_batches), loss,
                criterion=prune.criterion, normalizer=prune.scaling,
                generator=randomness, times=times,
            ),
            validate=lambda: None if validate is None else Validation(checked_dice(validate()), {}),
            fit=watched.fit,
            foresee=watched.foresee if prune.guard else None,
            copies=copies,
            before_first_cut=teacher.before_first_cut if teacher is not None else None,
            times=times,
            latency=latency if times is not None else None,
        ),
        graph, prune, steps, example if dropout else None,
    )  # fmt: skip


def _rounds(
    learner: Learner, graph: ChannelGraph, prune: PruneOptions, steps: int, example: Tensor | None
) -> Iterator[Round]:
    """The rounds; with an example, targeted dropout is in the network, and in its averages, meanwhile."""
    averages = [plain for copy in learner.copies if isinstance(plain := plain_copy(copy), nn.Module)]
    try:
        if example is not None:
            for average in averages:  # so that both have the same buffers
                attach_dropout(average, graph, example)
            graph = attach_dropout(learner.network, graph, example)
        cut, fit = False, Fit(0.0, {})
        for turn in rounds_of(learner, graph, prune, steps, dropout=example is not None):
            cut, fit = cut or turn.event == "cut", turn.fit or fit
            yield turn
        if not cut and fit.lowest < FOUND_DICE:
            _tell_uncut(fit)
    finally:
        for network in (learner.network, *averages):
            detach_dropout(network)


def _tell_uncut(fit: Fit) -> None:
    lost = min(fit.per_label, key=lambda name: fit.per_label[name])
    warnings.warn(
        f"stampseg.stamp: nothing was cut, for next to nothing of {lost} is found (Dice {fit.lowest:.3f} on "
        "training batches), and channels cannot be told apart then; train for more steps, or give "
        "ready_dice=0",
        stacklevel=3,
    )


def _traced(network: nn.Module, example: Tensor, stacklevel: int) -> ChannelGraph:
    """The network's channels; parameters that a cut would pass by are told."""
    graph = trace_channels(network, example)
    if graph.unreached:
        warnings.warn(
            f"the example does not use {some(graph.unreached, SHOWN)} of {type(network).__name__}: no cut "
            "changes them, and where other inputs use them (as images of another size may) the cut network "
            "fails; give an example that uses them",
            stacklevel=stacklevel,
        )
    return graph


def _listed(copies: Copy | Sequence[Copy]) -> list[Copy]:
    return [copies] if isinstance(copies, nn.Module | MutableMapping) else list(copies)


def _number(loss: float | None) -> float:
    return float("nan") if loss is None else float(loss)


def _batches(batches: Batches, network: nn.Module) -> Iterator[Batch]:
    """Image and label of every batch, on the network's device."""
    device = next(network.parameters()).device
    for batch in batches:
        image, label = image_and_label(batch)
        yield {"image": image.to(device), "label": label.to(device)}
