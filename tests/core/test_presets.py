"""What was published stays one preset away, and gives way to what is said."""

from __future__ import annotations

import pytest

from stampseg.core.config import Config, dump_config, parse_config
from stampseg.core.errors import ConfigError
from stampseg.core.yaml import read_yaml


def test_the_published_algorithm() -> None:
    config = parse_config({"preset": "published"}, "test")
    prune = config.prune
    assert (config.method, config.unlabelled, config.data.grid) == ("stamp+", "none", "native")
    assert (prune.criterion, prune.scaling, prune.scope, prune.scoring) == (
        "taylor",
        "l2",
        "published",
        "pass",
    )
    assert not prune.guard and prune.dropout_in_finish and prune.ready_dice == 0.0 and prune.rounds == 20
    assert (prune.dropout_base, prune.dropout_initial, prune.dropout) == (0.1, 0.005, "layer")


def test_what_is_given_wins_over_the_preset() -> None:
    config = parse_config({"preset": "published", "unlabelled": "auto", "prune": {"rounds": 5}}, "test")
    assert (config.unlabelled, config.prune.rounds, config.prune.criterion) == ("auto", 5, "taylor")
    assert config.merged({"prune": {"criterion": "l1"}}).prune.criterion == "l1"


def test_a_preset_survives_the_file_of_a_run_and_others_are_untouched() -> None:
    config = parse_config({"preset": "published", "train": {"steps": 7}}, "test")
    assert parse_config(read_yaml(dump_config(config)), "test") == config
    assert Config() == parse_config({"preset": "default"}, "test") == parse_config({}, "test")


def test_what_is_given_as_null_survives_the_file_of_a_run() -> None:
    config = parse_config({"preset": "published", "prune": {"warmup_share": None, "rankable": None}}, "test")
    assert parse_config(read_yaml(dump_config(config)), "test") == config
    assert config.prune.warmup_share is None
    assert "null" not in dump_config(parse_config({"preset": "published"}, "test"))


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match="`preset` 'paper': expected default, published or one-shot"):
        parse_config({"preset": "paper"}, "test")


def test_a_preset_on_the_command_line_goes_before_what_a_file_says() -> None:
    """The config.yaml of a run names every option."""
    of_a_run = parse_config(read_yaml(dump_config(Config(seed=3))), "config.yaml", in_file=True)
    config = of_a_run.merged({"preset": "published", "prune": {"rounds": 5}})
    assert (config.prune.criterion, config.prune.rounds, config.seed) == ("taylor", 5, 3)
    assert (config.data.grid, config.unlabelled) == ("native", "none")
