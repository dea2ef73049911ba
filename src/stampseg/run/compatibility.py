"""Options of a run that do nothing together, or contradict one another."""

from __future__ import annotations

from pathlib import Path

from ..core.config import Config
from ..core.errors import ConfigError
from ..data.splits.folds import wants_folds


def check_together(config: Config, model: Path | None = None, *, begun: bool = False) -> None:
    """Refuse options that would do nothing, contradict one another, or cannot be shared out.

    Args:
        config: as given.
        model: a trained network with which the run starts.
        begun: the run is taken up again; what it was begun with before this was refused, it may go on with.

    Raises:
        ConfigError: such options, and what to leave out.
    """
    _check_processes(config)
    _check_method(config, begun)
    train = config.train
    if train.budget is not None and not train.search:
        raise ConfigError(
            f"`train.budget` {train.budget}: it is the time for a search, and there is none; give "
            "`train.search`, or leave out `train.budget`"
        )
    if model is not None:
        _check_trained(config, model)
        return
    if train.distil and train.search:
        raise ConfigError("`train.search` with `train.distil`: one at a time; leave out one of the two")
    if train.distil and not wants_folds(config):
        raise ConfigError(
            "`train.distil`: the networks of folds teach, and there are none; give `train.folds`"
        )
    if train.search or wants_folds(config):
        _check_folds(config)


def _check_processes(config: Config) -> None:
    train, devices = config.train, config.devices
    sizes = {"train.batch_size": train.batch_size, "teacher.batch_size": config.teacher.batch_size}
    for name, size in sizes.items():
        if size is not None and size < devices:
            raise ConfigError(
                f"`devices` {devices} with `{name}` {size}: each process needs a window of every batch; give "
                f"`devices` {size} or fewer, or a larger batch"
            )
    if devices > 1 and train.compile:
        raise ConfigError(
            f"`devices` {devices} with `train.compile`: compiled layers cannot look at the rows of other "
            "processes; leave out one of the two"
        )


def _check_method(config: Config, begun: bool) -> None:
    rate, method = config.train.channel_dropout, config.method
    if rate and config.traits.prunes and not begun:
        raise ConfigError(
            f"`train.channel_dropout` {rate:g} with `method` {method}: it is for methods that do not prune; "
            "leave it out (`prune.dropout_base` is that of stamp+)"
        )
    if config.network.widths_of is not None and config.traits.has_target:
        raise ConfigError(
            f"`network.widths_of` with `method` {method}, which has widths of its own; give `method` dense, "
            "or leave out `network.widths_of`"
        )


def _check_trained(config: Config, model: Path) -> None:
    """What a run that starts with a trained network cannot do."""
    for name in ("search", "distil"):
        if getattr(config.train, name):
            raise ConfigError(
                f"`train.{name}`: it trains networks anew, and a trained one is the start; leave it out"
            )
    if wants_folds(config):
        raise ConfigError(
            f"{model}: the network may have learnt from everybody who would be held out; leave out "
            "`train.folds` and `train.fold_column`, or train anew with them"
        )


def _check_folds(config: Config) -> None:
    """Validation cases that a CSV names could be among those held out; teachers must teach something, and not
    those of whom they learnt."""
    if config.train.distil and not config.teacher.weight:
        raise ConfigError(
            "`train.distil` with `teacher.weight` 0: nothing would be learnt from the networks; give a "
            "weight above 0, or leave out `train.distil`"
        )
    if config.train.test.strip() != "none":
        raise ConfigError(
            f"`train.test` {config.train.test}: with folds everybody is held out once and measured; leave it "
            "out, or take these people out of the data"
        )
    choice = config.train.validation.strip()
    if choice.lower().endswith(".csv"):
        raise ConfigError(
            f"`train.validation` {choice}: with folds everybody is held out once and measured; leave it "
            "out, or give a share of those who train, such as 20%"
        )
    if config.train.distil and choice not in ("auto", "none"):
        raise ConfigError(
            f"`train.validation` {choice} with `train.distil`: those who validate have trained networks that "
            "teach, so that their Dice would say too much; leave out `train.validation`: those held out of "
            "the folds say how good the networks are"
        )
