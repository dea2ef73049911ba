"""How much each channel matters, by the criteria of the paper and the controls it lacks.

Activations are observed behind the activation that follows a convolution, in eval mode, over
the training set. Let a be a channel's map for one example, g the gradient of the batch's loss
with respect to it, and sums run over space (Dinsdale et al. 2022, section 3.2):

    l1         |a|_1,    mean over the batch, summed over batches
    l2         |a|_2,    the same
    l1-std     standard deviation of |a|_1 over all examples
    taylor     | sum over batches of mean over the batch of sum a g |     signs may cancel
    taylor-abs   sum over batches of mean over the batch of |sum a g|     Molchanov et al. 2017
    weight-l1  |w|_1 of the convolution's filter (Li et al. 2017)
    norm-scale |gamma| of the norm that follows (Liu et al. 2017)
    random     uniform noise, never normalised
    noise      uniform noise under the same normaliser: what the normaliser does by itself

The paper averages over space where `taylor` sums here: the same after any per-layer scaling,
and comparable between layers without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ..config import Criterion, Normalizer
from ..errors import ConfigError, TrainingError, WiringError
from ..target import COSTS
from .cost import LayerTimes, Tally, unit_costs
from .graph import ChannelGraph, Probe, Scores
from .modes import evaluating

Loss = Callable[[Any, Tensor], Tensor]
Batch = Mapping[str, Tensor]

GRADIENT = ("taylor", "taylor-abs")
_ACTIVATION = ("l1", "l2", "l1-std", *GRADIENT)


def importance(
    network: nn.Module,
    graph: ChannelGraph,
    batches: Iterable[Batch],
    loss: Loss,
    *,
    criterion: Criterion = "taylor",
    normalizer: Normalizer = "l2",
    generator: np.random.Generator | None = None,
    times: LayerTimes | None = None,
    gathered: np.ndarray | None = None,
) -> Scores:
    """Score every prunable channel; low is dispensable.

    Args:
        network: left in the mode it was in, its gradients untouched.
        graph: its channels, as they are now.
        batches: dictionaries with `image` (B, C, *S) and `label`; an incomplete batch counts too.
        loss: of the network's output and the label; used by the Taylor criteria.
        criterion: see the module.
        normalizer: l2 as published, mean, none, or per parameter, FLOP, byte of memory or millisecond that
            goes with the channel.
        generator: the randomness of `random` and `noise`.
        times: how long layers take, for the normalizer latency.
        gathered: raw scores from training steps (see `gathering.py`), which spare the pass over `batches`.

    Returns:
        Group name -> (n,) float64.

    Raises:
        WiringError: no batch was given, or the criterion does not apply to the network.
        TrainingError: a score is not a finite number.
    """
    _check_names(criterion, normalizer)
    if gathered is not None:
        raw = gathered
    elif criterion in _ACTIVATION:
        raw = _from_activations(network, graph, batches, loss, criterion)
    elif criterion in ("random", "noise"):
        raw = (generator or np.random.default_rng()).random(graph.channel_count)
    else:
        raw = _from_weights(network, graph, criterion)
    if not np.isfinite(raw).all():
        raise TrainingError(
            f"the {criterion} importance of {int((~np.isfinite(raw)).sum())} channels is not a number: the "
            "network has diverged; try a lower train.learning_rate"
        )
    if criterion == "random":
        return graph.per_group(raw)
    return normalise(raw, network, graph, normalizer, times)


def _check_names(criterion: str, normalizer: str) -> None:
    for kind, value, known in (
        ("criterion", criterion, get_args(Criterion)),
        ("normalizer", normalizer, get_args(Normalizer)),
    ):
        if value not in known:
            raise ConfigError(f"{kind} {value!r} is not known; known are {', '.join(known)}")


def normalise(
    raw: np.ndarray,
    network: nn.Module,
    graph: ChannelGraph,
    normalizer: Normalizer,
    times: LayerTimes | None = None,
) -> Scores:
    """Make the scores of different layers comparable; a layer of zeros stays zero."""
    if normalizer in COSTS:
        tally = Tally(network, graph, times)
        return graph.per_group(raw / unit_costs(tally, range(graph.channel_count), normalizer))
    scores = graph.per_group(raw)
    if normalizer == "none":
        return scores
    scale = np.linalg.norm if normalizer == "l2" else np.mean
    return {name: values / (float(scale(values)) or 1.0) for name, values in scores.items()}


def _from_activations(
    network: nn.Module, graph: ChannelGraph, batches: Iterable[Batch], loss: Loss, criterion: Criterion
) -> np.ndarray:
    """One raw score per channel."""
    totals = [np.zeros(len(probe.channels)) for probe in graph.probes]
    examples: list[list[np.ndarray]] = [[] for _ in graph.probes]
    count = 0
    with evaluating(network), _observing(network, graph.probes) as observed:
        for batch in batches:
            count += len(batch["image"])
            for index, values in _per_example(network, batch, loss, criterion, observed):
                if criterion == "l1-std":
                    examples[index].append(values)
                else:
                    totals[index] += values.mean(axis=0)
    if count == 0:
        raise WiringError(f"the criterion {criterion!r} needs at least one batch; none was given")
    if criterion == "l1-std":
        if count < 2:
            raise WiringError("the criterion 'l1-std' needs at least two examples; one was given; use l1")
        totals = [np.concatenate(values).std(axis=0) for values in examples]
    return sum_probes(graph, totals)


def sum_probes(graph: ChannelGraph, totals: list[np.ndarray]) -> np.ndarray:
    """One score per channel from those of each probe; channels observed in several places add up."""
    scores, seen = np.zeros(graph.channel_count), np.zeros(graph.channel_count, dtype=bool)
    for probe, total in zip(graph.probes, totals, strict=True):
        bound = probe.channels >= 0
        np.add.at(scores, probe.channels[bound], np.abs(total[bound]))
        seen[probe.channels[bound]] = True
    # a layer that runs only in training mode competes at the mean of those that were observed
    scores[~seen] = scores[seen].mean() if seen.any() else 1.0
    return scores


def _per_example(
    network: nn.Module, batch: Batch, loss: Loss, criterion: Criterion, observed: dict[int, Tensor]
) -> Iterator[tuple[int, np.ndarray]]:
    """Index of each probe that was passed, and its (B, C) values."""
    observed.clear()
    with torch.set_grad_enabled(criterion in GRADIENT):
        output = network(batch["image"])
        order = sorted(observed)
        maps = [observed[index] for index in order]
        gradients: list[Tensor | None]
        if criterion in GRADIENT:
            gradients = _gradients(loss(output, batch["label"]), maps)
        else:
            gradients = [None] * len(maps)
    for index, a, g in zip(order, maps, gradients, strict=True):
        with torch.no_grad():
            yield index, reduce_map(a, g, criterion).double().cpu().numpy()


def _gradients(loss: Tensor, maps: list[Tensor]) -> list[Tensor | None]:
    try:
        return list(torch.autograd.grad(loss, maps, allow_unused=True))
    except RuntimeError as error:
        raise WiringError(
            f"the gradients of the activations cannot be taken ({str(error).splitlines()[0]}); switch "
            "gradient checkpointing off while scoring, or use a criterion without gradients, such as l1"
        ) from None


def reduce_map(a: Tensor, g: Tensor | None, criterion: Criterion) -> Tensor:
    """Values (B, C) of maps (B, C, *S) and, for the Taylor criteria, their gradients."""
    space = tuple(range(2, a.ndim))
    if criterion in GRADIENT:
        product = torch.zeros_like(a) if g is None else a * g
        summed = product.sum(space) if space else product
        return summed.abs() if criterion == "taylor-abs" else summed
    flat = a.flatten(2) if space else a.unsqueeze(-1)
    return torch.linalg.vector_norm(flat, 2 if criterion == "l2" else 1, dim=-1)


@contextmanager
def _observing(network: nn.Module, probes: tuple[Probe, ...]) -> Iterator[dict[int, Tensor]]:
    """Collect probe index -> activation during every forward pass."""
    observed: dict[int, Tensor] = {}
    calls: dict[str, int] = {}
    wanted: dict[str, dict[int, int]] = {}
    for index, probe in enumerate(probes):
        wanted.setdefault(probe.module, {})[probe.call] = index

    def watch(name: str, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        call = calls.get(name, 0)
        calls[name] = call + 1
        index = wanted[name].get(call)
        if index is None:
            return None
        if torch.is_grad_enabled() and not output.requires_grad:
            output = output.detach().requires_grad_()  # behind layers that are not trained
        observed[index] = output
        return output.clone()  # an in-place operation that follows would change the map

    modules = dict(network.named_modules())
    hooks = [modules[name].register_forward_hook(partial(watch, name)) for name in wanted]
    hooks.append(network.register_forward_pre_hook(lambda module, args: calls.clear()))
    try:
        yield observed
    finally:
        for hook in hooks:
            hook.remove()


def _from_weights(network: nn.Module, graph: ChannelGraph, criterion: Criterion) -> np.ndarray:
    role = "out" if criterion == "weight-l1" else "norm-weight"
    parameters = dict(network.named_parameters())
    scores, seen = np.zeros(graph.channel_count), np.zeros(graph.channel_count, dtype=bool)
    for binding in graph.bindings:
        if binding.role != role:
            continue
        weight = parameters[binding.tensor].detach().abs().double()
        others = [d for d in range(weight.ndim) if d != binding.dim]
        values = (weight.sum(others) if others else weight).cpu().numpy()
        bound = binding.channels >= 0
        np.add.at(scores, binding.channels[bound], values[bound])
        seen[binding.channels[bound]] = True
    if not seen.any():
        raise WiringError(f"the criterion {criterion!r} finds no weights: the network's norms have no scale")
    # an up-convolution has no norm: it competes at the mean of those that have
    scores[~seen] = scores[seen].mean()
    return scores
