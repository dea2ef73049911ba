"""A run that starts from a network that is trained already: options for it, and pruning it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.config import Config
from ..core.errors import ConfigError
from ..core.method import methods_that_prune
from ..data.cases import Dataset
from ..networks.model_file import load_model
from ..networks.pretrained.nnunet_export import export_nnunet
from ..networks.pretrained.source import open_source
from ..networks.pretrained.trained_network import Source
from .folder import RunFolder
from .pipeline import run_training
from .records import Result
from .reporters import Reporter

RECOVERY_RATE = 1e-3  # a trained network is not to be shaken as a fresh one is


def adapted(config: Config, source: Source) -> Config:
    """The options for a trained network: no warm-up, a lower rate, the source's own data options.

    What the user said stays.

    Raises:
        ConfigError: a method that does not prune, or a network named beside a source that brings its own.
    """
    if not config.traits.prunes:
        able = " or ".join(methods_that_prune())
        raise ConfigError(f"`method` {config.method} does not prune; use {able}")
    if source.spec is not None and config.network.model_fields_set:
        raise ConfigError(
            f"{source.path}: the {source.kind} brings its own network ({source.spec.name}); leave out "
            f"network.{min(config.network.model_fields_set)}"
        )
    if source.spec is None and not config.network.model_fields_set:
        raise ConfigError(
            f"{source.path}: the {source.kind} does not say which network it is of; give `network.name`, "
            "and its arguments as `network.arguments`"
        )
    return recovering(config, source.data)


def recovering(config: Config, data: Mapping[str, Any] = MappingProxyType({})) -> Config:
    """The options for a network that is trained already, where the user has not said otherwise.

    Args:
        config: the options.
        data: what the source says of the preparation of images.
    """
    changes: dict[str, Any] = {"data": dict(data), "prune": {"warmup_share": 0.0}}
    changes["train"] = {"learning_rate": RECOVERY_RATE}
    for part, values in changes.items():
        given = getattr(config, part).model_fields_set
        config = config.merged({part: {name: value for name, value in values.items() if name not in given}})
    return config


def prune_trained(
    model: Path,
    trusted: Collection[str],
    dataset: Dataset,
    folder: RunFolder,
    config: Config,
    reporter: Reporter,
) -> Result:
    """Prune a trained network with recovery training; a run folder as `run_training` leaves it.

    The pruned network of an nnU-Net results folder is also written as one, into `nnunet/`.

    Args:
        model: our model file or run folder, an nnU-Net results folder, a MONAI bundle, or a checkpoint.
        trusted: `package.module:Class` names whose code the model may use.
        dataset: labelled cases to recover on.
        folder: a new run folder.
        config: options.
        reporter: is told of decisions, steps and rounds.

    Returns:
        What result.json holds.
    """
    source = open_source(model, trusted=trusted)
    for text in (f"{source.kind}: {source.path}", *source.notes):
        reporter.note(text)
    result = run_training(dataset, folder, adapted(config, source), reporter, source, trusted)
    if source.kind == "nnU-Net results" and result.failure is None:
        pruned = load_model(folder.model)
        export_nnunet(source.path, folder.path / "nnunet", pruned.network, pruned.description)
        reporter.note(f"for nnU-Net's own predictor: {folder.path / 'nnunet'}")
    return result
