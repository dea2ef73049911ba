"""How much each channel matters, measured by a criterion of `criteria.py`.

Activations are observed behind the activation that follows a convolution: in eval mode over the
training set, or gathered while the network trains.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import ConfigError, TrainingError, WiringError
from ..core.target import COSTS
from .cost import LayerTimes, Tally, unit_costs
from .criteria import CRITERIA, SIMPLEST, Criterion
from .graph import ChannelGraph, Probe, Scores
from .modes import evaluating
from .surgery import state_of

Loss = Callable[[Any, Tensor], Tensor]
Batch = Mapping[str, Tensor]
Look = Callable[[int, Tensor], Tensor | None]  # number of a probe, its map -> what replaces the map

_SCALES: dict[str, Callable[[np.ndarray], Any]] = {
    "l2": np.linalg.norm,
    "mean": np.mean,
    "none": lambda values: 1.0,
}
NORMALIZERS = (*_SCALES, *COSTS)
UNREACHED = -1.0  # in raw scores, which are not negative: of a channel whose map was seen without a gradient


def importance(
    network: nn.Module,
    graph: ChannelGraph,
    batches: Iterable[Batch],
    loss: Loss,
    *,
    criterion: str = "taylor",
    normalizer: str = "l2",
    generator: np.random.Generator | None = None,
    times: LayerTimes | None = None,
    gathered: np.ndarray | None = None,
) -> Scores:
    """Score every prunable channel; low is dispensable.

    A group that no gradient of the loss reaches has no score, so that it is not cut; a warning names it.

    Args:
        network: left in the mode it was in, its gradients untouched.
        graph: its channels, as they are now.
        batches: dictionaries with `image` (B, C, *S) and `label`; an incomplete batch counts too.
        loss: of the network's output and the label; used by the criteria of gradients.
        criterion: a name of `CRITERIA`.
        normalizer: l2 as published, mean, none, or per parameter, FLOP, byte of memory or millisecond that
            goes with the channel.
        generator: the randomness of criteria of chance.
        times: how long layers take, for the normalizer latency.
        gathered: raw scores from training steps (see `Gathering`), in place of a pass over `batches`.

    Returns:
        Group name -> (n,) float64.

    Raises:
        WiringError: no batch was given, or the criterion does not apply to the network, or nothing is
            reached by a gradient.
        TrainingError: a score is not a finite number.
    """
    _check_name("criterion", criterion, CRITERIA)
    _check_name("normalizer", normalizer, NORMALIZERS)
    row = CRITERIA[criterion]
    if gathered is not None:
        raw = gathered
    elif row.from_maps:
        raw = _from_maps(network, graph, batches, loss, row)
    elif row.source == "chance":
        raw = _by_chance(graph, row, generator or np.random.default_rng())
    else:
        raw = _from_weights(network, graph, row)
    if not np.isfinite(raw).all():
        raise TrainingError(
            f"the {criterion} importance of {int((~np.isfinite(raw)).sum())} channels is not a number: the "
            "network has diverged; try a lower train.learning_rate"
        )
    scores = normalise(raw, network, graph, normalizer, times) if row.normalised else graph.per_group(raw)
    return _reached(scores, graph, raw)


def _reached(scores: Scores, graph: ChannelGraph, raw: np.ndarray) -> Scores:
    """Without the groups of which nothing is known; zero would make them the first to go."""
    lost = [name for name, values in graph.per_group(raw).items() if (values == UNREACHED).any()]
    if not lost:
        return scores
    found = f"no gradient of the loss reaches {', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}"
    if len(lost) == len(graph.prunable):
        raise WiringError(
            f"{found}: no channel can be ranked; give a loss of the network's output, switch gradient "
            f"checkpointing off while scoring, or use a criterion without gradients, such as {SIMPLEST}"
        )
    warnings.warn(
        f"{found}: not ranked, and not cut; a criterion without gradients, such as {SIMPLEST}, ranks all",
        stacklevel=3,
    )
    return {name: values for name, values in scores.items() if name not in lost}


def _check_name(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise ConfigError(f"{kind} {name!r} is not known; known are {', '.join(known)}")


def normalise(
    raw: np.ndarray,
    network: nn.Module,
    graph: ChannelGraph,
    normalizer: str,
    times: LayerTimes | None = None,
) -> Scores:
    """Make the scores of different layers comparable; a layer of zeros stays zero."""
    cost = next((cost for cost in COSTS if cost == normalizer), None)
    if cost is not None:
        tally = Tally(network, graph, times)
        return graph.per_group(raw / unit_costs(tally, range(graph.channel_count), cost))
    scale = _SCALES[normalizer]
    return {name: values / (float(scale(values)) or 1.0) for name, values in graph.per_group(raw).items()}


def _from_maps(
    network: nn.Module, graph: ChannelGraph, batches: Iterable[Batch], loss: Loss, criterion: Criterion
) -> np.ndarray:
    """One raw score per channel."""
    totals: dict[int, np.ndarray] = {}
    examples: dict[int, list[np.ndarray]] = {}
    count = 0
    with evaluating(network):
        for batch in batches:
            count += len(batch["image"])
            for index, values in _per_example(network, graph.probes, batch, loss, criterion):
                if criterion.deviation:
                    examples.setdefault(index, []).append(values)
                else:
                    totals[index] = totals.get(index, 0.0) + values.mean(axis=0)
    if count == 0:
        raise WiringError(f"the criterion {criterion.name!r} needs at least one batch; none was given")
    if criterion.deviation:
        if count < 2:
            raise WiringError(
                f"the criterion {criterion.name!r} needs at least two examples; one was given; use {SIMPLEST}"
            )
        totals = {index: np.concatenate(values).std(axis=0) for index, values in examples.items()}
    return _sum_probes(graph, totals)


def _per_example(
    network: nn.Module, probes: tuple[Probe, ...], batch: Batch, loss: Loss, criterion: Criterion
) -> Iterator[tuple[int, np.ndarray]]:
    """Index and (B, C) values of each probe that was passed, and reached by a gradient if one is needed."""
    maps: dict[int, Tensor] = {}

    def look(index: int, output: Tensor) -> Tensor:
        if torch.is_grad_enabled() and not output.requires_grad:
            output = output.detach().requires_grad_()  # behind layers that are not trained
        maps[index] = output
        return output.clone()  # an in-place operation that follows would change the map

    gradients: dict[int, Tensor] = {}
    with torch.set_grad_enabled(criterion.needs_gradients), observed(network, probes, look):
        output = network(batch["image"])
        if criterion.needs_gradients:
            gradients = _gradients(loss(output, batch["label"]), maps)
    for index in sorted(gradients if criterion.needs_gradients else maps):
        with torch.no_grad():
            values = criterion.values(maps[index], gradients.get(index))
            yield index, values.cpu().double().numpy()  # MPS has no float64


def _gradients(loss: Tensor, maps: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Of the maps that the loss depends on; others lie behind `detach` or `no_grad`, or beside the loss."""
    able = {index: a for index, a in maps.items() if a.requires_grad}
    if not able or not loss.requires_grad:
        return {}
    try:
        found = torch.autograd.grad(loss, list(able.values()), allow_unused=True)
        return {index: g for index, g in zip(able, found, strict=True) if g is not None}
    except RuntimeError as error:
        raise WiringError(
            f"the gradients of the activations cannot be taken ({str(error).splitlines()[0]}); switch "
            "gradient checkpointing off while scoring, or use a criterion without gradients, such as "
            f"{SIMPLEST}"
        ) from None


@contextmanager
def observed(network: nn.Module, probes: tuple[Probe, ...], look: Look) -> Iterator[None]:
    """Show `look` the map of every probe that a forward pass goes by."""
    wanted: dict[str, dict[int, int]] = {}  # module -> number of the call -> number of the probe
    for index, probe in enumerate(probes):
        wanted.setdefault(probe.module, {})[probe.call] = index
    calls: dict[str, int] = {}  # of each module in this pass

    def hook(name: str, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        call = calls.get(name, 0)
        calls[name] = call + 1
        index = wanted[name].get(call)
        return None if index is None else look(index, output)

    modules = dict(network.named_modules())
    hooks = [modules[name].register_forward_hook(partial(hook, name)) for name in wanted]
    hooks.append(network.register_forward_pre_hook(lambda module, args: calls.clear()))
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def _sum_probes(graph: ChannelGraph, totals: Mapping[int, np.ndarray]) -> np.ndarray:
    """One score per channel from those of each probe; channels observed in several places add up."""
    scores, seen = _scatter(graph, [(graph.probes[i].channels, np.abs(t)) for i, t in totals.items()])
    # a layer that runs only in training mode competes at the mean of those that were observed
    scores[~seen] = scores[seen].mean() if seen.any() else 1.0
    _, passed = _scatter(graph, [(p.channels, np.zeros(len(p.channels))) for p in graph.probes])
    scores[passed & ~seen] = UNREACHED
    return scores


def _by_chance(graph: ChannelGraph, criterion: Criterion, generator: np.random.Generator) -> np.ndarray:
    numbers = torch.from_numpy(generator.random((1, graph.channel_count)))
    if not criterion.by_layer:
        return criterion.values(numbers)[0].numpy()
    scores = torch.zeros(graph.channel_count, dtype=numbers.dtype)
    for group in graph.prunable:
        own = slice(group.start, group.stop)
        scores[own] = criterion.values(numbers[:, own])[0]
    return scores.numpy()


def _from_weights(network: nn.Module, graph: ChannelGraph, criterion: Criterion) -> np.ndarray:
    role = "out" if criterion.source == "filters" else "norm-weight"
    state = state_of(network)  # a filter may be a buffer, which is not trained

    def values(tensor: str, dim: int) -> np.ndarray:
        weight = state[tensor].detach().cpu().double().movedim(dim, 0)
        return criterion.values(weight[None])[0].numpy()

    places = ((b.channels, values(b.tensor, b.dim)) for b in graph.bindings if b.role == role)
    scores, seen = _scatter(graph, places)
    if not seen.any():
        raise WiringError(
            f"the criterion {criterion.name!r} finds no weights: the network's norms have no scale"
        )
    # an up-convolution has no norm: it competes at the mean of those that have
    scores[~seen] = scores[seen].mean()
    return scores


def _scatter(
    graph: ChannelGraph, places: Iterable[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Sums per channel of values given with the channels they are of, and which channels had any."""
    sums, seen = np.zeros(graph.channel_count), np.zeros(graph.channel_count, dtype=bool)
    for channels, values in places:
        bound = channels >= 0
        np.add.at(sums, channels[bound], values[bound])
        seen[channels[bound]] = True
    return sums, seen


class Gathering:
    """Collects raw scores from training steps: no extra pass over the training set.

    They come from the passes that training makes anyway: with its augmentation, its batch statistics and
    its dropout. A channel that dropout has zeroed for an example has no gradient there, and the others are
    scaled up, so that the mean stays.

    Args:
        network: trained and cut meanwhile; a cut keeps its modules.
        graph: its channels, for where to look.
        criterion: one that may be gathered while training.
        steps: to collect from: the last ones of every stretch of training.
        total: the sum of an array over the processes that share each batch; None: there is one.
    """

    def __init__(
        self,
        network: nn.Module,
        graph: ChannelGraph,
        criterion: str,
        steps: int,
        total: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        able = [row.name for row in CRITERIA.values() if row.while_training]
        if criterion not in able:
            raise ValueError(f"{criterion} cannot be gathered; expected one of {', '.join(able)}")
        self.network, self.probes, self.steps = network, graph.probes, steps
        self.criterion, self.total = CRITERIA[criterion], total
        self._clear()

    def _clear(self) -> None:
        self._sums: dict[int, np.ndarray] = {}
        self._seen: list[tuple[int, np.ndarray]] = []  # in this step: sums over rows, and how many, by probe
        self.batches = 0
        self._spoiled = False
        self._left = 0

    def raw(self, graph: ChannelGraph) -> np.ndarray | None:
        """One raw score per channel of the graph as it is now; None where the network was cut since."""
        if not self.batches or self._spoiled:
            return None
        if any(len(total) != len(graph.probes[i].channels) for i, total in self._sums.items()):
            return None
        return _sum_probes(graph, self._sums)

    def state(self) -> tuple[dict[int, np.ndarray], dict[str, int]]:
        """What was collected so far: sums by probe, and counts."""
        counts = {"batches": self.batches, "spoiled": int(self._spoiled), "left": self._left}
        return dict(self._sums), counts

    def set_state(self, sums: Mapping[int, np.ndarray], counts: Mapping[str, int]) -> None:
        """Go on collecting from where `state` was taken."""
        self._sums = dict(sums)
        self.batches, self._left = counts["batches"], counts["left"]
        self._spoiled = bool(counts["spoiled"])

    @contextmanager
    def step(self, left: int = 1) -> Iterator[None]:
        """Around the forward and backward pass of an optimiser step.

        Args:
            left: steps left in this stretch of training, this one included; what was collected before the
                last ones is forgotten.
        """
        if left > self.steps or left >= self._left:  # another stretch has begun
            self._clear()
        self._left, self._seen = left, []
        if left > self.steps:
            yield
            return
        with observed(self.network, self.probes, self._look):
            yield
            self.batches += 1
            self._keep()

    def _keep(self) -> None:
        """Add the means over the rows of this step's batch to what was collected, wherever they were passed.

        Signs are kept until then: those of the rows may cancel.
        """
        seen, self._seen = sorted(self._seen, key=lambda each: each[0]), []
        everything = np.concatenate([*(values for _, values in seen), [float(self._spoiled)]])
        if self.total is not None:
            everything = self.total(everything)
        *parts, spoiled = np.split(everything, np.cumsum([len(values) for _, values in seen]))
        self._spoiled = bool(spoiled[0])
        for (index, _), values in zip(seen, parts, strict=True):
            self._sums[index] = self._sums.get(index, 0.0) + values[:-1] / values[-1]

    def _look(self, index: int, a: Tensor) -> None:
        if not self.criterion.needs_gradients:
            self._add(index, a.detach(), None)
        elif a.requires_grad:
            a.register_hook(partial(self._from_gradient, index, a.detach(), a._version))

    def _from_gradient(self, index: int, a: Tensor, version: int, gradient: Tensor) -> None:
        if a._version != version:  # an operation in place has changed the map since
            self._spoiled = True
            return
        self._add(index, a, gradient)

    def _add(self, index: int, a: Tensor, gradient: Tensor | None) -> None:
        with torch.no_grad():
            values = self.criterion.values(a, gradient).cpu().double().sum(dim=0).numpy()
        self._seen.append((index, np.append(values, len(a))))
