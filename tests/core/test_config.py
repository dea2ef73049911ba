"""Options: from YAML and back, presets, targets, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stampseg.core.config import Config, dump_config, load_config, parse_config
from stampseg.core.errors import ConfigError
from stampseg.core.network_options import NetworkOptions
from stampseg.core.prune_options import PruneOptions
from stampseg.core.target import Target


def test_a_config_survives_yaml(tmp_path: Path) -> None:
    changes = {
        "labels": 7,
        "prune": {"target": "flops:25%", "per_round": 0.1, "criterion": "l1"},
        "data": {"spacing": [1, 1, 3]},
        "train": {"validation": 0.2},
    }
    config = parse_config(changes, "test")
    (tmp_path / "c.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "c.yaml") == config
    assert config.train.validation == "0.2" and config.data.spacing == (1.0, 1.0, 3.0)


def test_merging_keeps_what_it_does_not_name() -> None:
    config = Config(labels=3).merged({"train": {"steps": 5}}).merged({"train": {"batch_size": 2}})
    assert (config.labels, config.train.steps, config.train.batch_size) == (3, 5, 2)
    assert config.train.learning_rate == Config().train.learning_rate


def test_the_paper_preset_and_its_overrides() -> None:
    paper = parse_config({"network": {"preset": "paper"}}, "test").network.settled
    assert (paper.width, paper.poolings, paper.norm, paper.activation) == (4, 4, "batch", "relu")
    wide = parse_config({"network": {"preset": "paper", "width": 16}}, "test").network.settled
    assert (wide.width, wide.poolings) == (16, 4)


def test_another_preset_takes_the_place_of_the_files() -> None:
    filed = parse_config({"network": {"preset": "paper", "norm": "instance"}}, "options.yaml")
    assert filed.network.model_fields_set == {"preset", "norm"}, "a preset is a default, not something set"
    changed = filed.merged({"network": {"preset": "default"}}).network
    assert changed.settled == changed == NetworkOptions(norm="instance")


@pytest.mark.parametrize("preset", ["default", "one-shot"])
def test_another_preset_of_the_run_takes_away_what_the_files_brought(preset: str) -> None:
    filed = parse_config({"preset": "published", "prune": {"rounds": 7}}, "options.yaml")
    assert (filed.prune.criterion, filed.prune.guard, filed.unlabelled) == ("taylor", False, "none")
    changed = filed.merged({"preset": preset})
    own = {"rounds": 7} if preset == "default" else {}  # which one-shot says itself
    assert changed == parse_config({"preset": preset, "prune": own}, "test")


def test_a_grid_takes_back_the_spacing_of_the_file() -> None:
    filed = parse_config({"data": {"spacing": [1.0, 1.0, 3.0]}}, "options.yaml")
    assert filed.merged({"data": {"grid": "native"}}).data.spacing is None
    assert filed.merged({"train": {"steps": 5}}).data.spacing == (1.0, 1.0, 3.0)
    both = filed.merged({"data": {"grid": "native", "spacing": [2.0, 2.0, 2.0]}})
    assert both.data.spacing == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    "spelt_out", [{}, {"width": 4, "poolings": 4, "norm": "batch", "activation": "relu"}]
)
def test_a_preset_means_the_same_after_the_run_folder(spelt_out: dict[str, Any], tmp_path: Path) -> None:
    """Spelt out is how folders of before hold it."""
    config = parse_config({"network": {"preset": "paper", **spelt_out}}, "test")
    (tmp_path / "config.yaml").write_text(dump_config(config))
    paper = load_config(tmp_path / "config.yaml").network.settled
    assert paper == NetworkOptions(preset="paper").settled


@pytest.mark.parametrize(
    ("text", "kind", "limit"),
    [
        ("15%", "parameters", 150), ("50", "parameters", 50), ("0.5k", "parameters", 500),
        ("parameters:20%", "parameters", 200), ("flops:25%", "flops", 250), ("flops:2G", "flops", 2 * 10**9),
        ("memory:25%", "memory", 250), ("memory:1.5MB", "memory", 1_500_000), ("latency:25%", "latency", 250),
        ("latency:50ms", "latency", 50), ("latency:0.2s", "latency", 200),
    ],
)  # fmt: skip
def test_targets(text: str, kind: str, limit: int) -> None:
    target = Target.parse(text)
    assert (target.kind, target.limit(1000)) == (kind, limit)


def test_a_named_target_takes_the_place_of_the_files() -> None:
    filed = parse_config({"prune": {"target": {"kind": "parameters", "share": 0.15}}}, "run/config.yaml")
    for text in ("50k", "flops:25%", "dice:0.85"):
        target = Target.parse(text)
        for given in (target, text, target.model_dump(exclude_none=True)):
            assert filed.merged({"prune": {"target": given}}).prune.target == target


@pytest.mark.parametrize(
    ("text", "either"),
    [("0.6", "60% or 60k"), ("1.5", "60% or 60k"), ("flops:0.25", "flops:25% or flops:60k")],
)
def test_a_share_without_its_sign_is_not_taken_for_a_count(text: str, either: str) -> None:
    with pytest.raises(ConfigError, match=f"neither a count nor a share; write {either}, for example"):
        Target.parse(text)


def test_merging_goes_by_what_a_value_is_not_by_its_name() -> None:
    """Arguments called target are merged like all others; a target is replaced like any single value."""
    config = parse_config({"network": {"arguments": {"target": {"a": 1}}}}, "test")
    merged = config.merged({"network": {"arguments": {"target": {"b": 2}}}})
    assert merged.network.arguments == {"target": {"a": 1, "b": 2}}
    assert PruneOptions(target="flops:25%") == PruneOptions(target=Target(kind="flops", share=0.25))


EXPECTED = r"is not understood; expected a share such as 15%, a count such as 50k, .* or dice:0\.85"


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("50000", Target(amount=50_000)),
        ("15%", Target(share=0.15)),
        ("'50'", Target(amount=50)),
        ("{kind: flops, share: 0.25}", Target(kind="flops", share=0.25)),
        ("{share: 1}", Target(share=1)),
    ],
)
def test_targets_as_a_file_may_hold_them(written: str, target: Target, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"prune: {{target: {written}}}")
    assert load_config(tmp_path / "c.yaml").prune.target == target


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("0.15", r"0\.15 is neither a count nor a share; write 15% or 60k, for example"),
        ("50000.0", r"50000\.0 is neither a count nor a share; write 60% or 60k, for example"),
        ("1.0", r"1\.0 is neither a count nor a share; write 100% or 60k, for example"),
        ("0", "0 is out of range: .* above 0, a Dice floor between 0 and 1"),
        ("-5", f"-5 {EXPECTED}"),
        ("1.0e-7", f"1e-07 {EXPECTED}"),
        (".inf", f"inf {EXPECTED}"),
        ("true", f"True {EXPECTED}"),
        ("[1]", rf"\[1\] {EXPECTED}"),
        ("null", f"None {EXPECTED}"),
        ("2024-05-01", rf"datetime\.date\(2024, 5, 1\) {EXPECTED}"),
        ("many", f"'many' {EXPECTED}"),
    ],
)
def test_what_is_no_target_is_told_once_in_our_words(written: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"prune: {{target: {written}}}")
    with pytest.raises(ConfigError, match=rf"^\S+c\.yaml: prune\.target {message}$"):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{share: 3}", r"prune\.target\.share 3: expected 1 or less$"),
        ("{shar: 0.1}", r"prune\.target\.shar: no such option"),
        ("{}", r"prune\.target {}: a target needs exactly one of share, amount \(costs\) or floor"),
    ],
)
def test_parts_that_make_no_target(written: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"prune: {{target: {written}}}")
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("text", "kind", "limit"),
    [("25%", "flops", 250), ("2G", "flops", 2e9), ("100MB", "memory", 1e8), ("12.5ms", "latency", 12.5)],
)
def test_targets_of_a_named_kind(text: str, kind: Any, limit: float) -> None:
    target = Target.parse(text, kind, f"--target-{kind}")
    assert (target.kind, target.limit(1000)) == (kind, limit)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "50",
            "latency",
            "--target-latency '50' is not understood; expected .* or a time such as 50ms",
        ),
        ("50MB", "latency", "a time such as 50ms"),
        ("2G", "memory", "--target-memory '2G' is not understood; .* an amount such as 200MB"),
        (
            "5ms",
            "flops",
            "--target-flops '5ms' is not understood; expected .* or a count such as 2G",
        ),
        ("latency:5ms", "flops", "--target-flops 'latency:5ms' is not understood"),
        ("0%", "flops", "--target-flops '0%' is out of range"),
        ("0ms", "latency", "--target-latency '0ms' is out of range"),
    ],
)
def test_texts_that_are_no_target_of_that_kind(text: str, kind: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Target.parse(text, kind, f"--target-{kind}")


@pytest.mark.parametrize(
    ("target", "normalizer", "scaling", "cost"),
    [
        ("15%", None, "parameters", "parameters"),
        ("flops:25%", None, "flops", "flops"),
        ("latency:50ms", None, "latency", "latency"),
        ("memory:25%", None, "memory", "memory"),
        ("dice:0.8", None, "parameters", "parameters"),
        ("flops:25%", "l2", "l2", None),
        ("15%", "parameters", "parameters", "parameters"),
    ],
)  # fmt: skip
def test_scores_are_divided_by_what_the_target_counts(
    target: str, normalizer: Any, scaling: str, cost: str | None
) -> None:
    options = PruneOptions(target=Target.parse(target), normalizer=normalizer)
    assert (options.scaling, options.cost) == (scaling, cost)


def test_a_dice_floor_names_no_size() -> None:
    assert Target.parse("dice:0.85") == Target.parse("dice:85%") == Target(kind="dice", floor=0.85)
    with pytest.raises(ConfigError, match="a Dice floor has no size to reach"):
        Target.parse("dice:0.85").limit(1000)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labls": 3}, r"here: `labls`: no such option; did you mean `labels`\?"),
        (
            {"network": {"widht": 4}},
            r"`network.widht`: no such option; did you mean `network.width`\?",
        ),
        ({"steps": 40}, r"`steps`: no such option; did you mean `train.steps`\?"),
        ({"prune": {"per_round": 0}}, "per_round must be a count of at least 1 or a share"),
        ({"prune": {"per_round": 1.5}}, "per_round as a share must lie below 1"),
        ({"prune": {"warmup_share": 0.7, "final_share": 0.4}}, "must leave room for the rounds"),
        ({"prune": {"target": {"share": 0.1, "amount": 3}}}, "exactly one of share, amount"),
        (
            {"train": {"steps": 0}, "seed": -1},
            "`seed` -1: expected 0 or more; `train.steps` 0: expected 1 or more",
        ),
        ({"seed": 2**40}, "`seed` 1099511627776: expected less than 4294967296"),
        ({"train": {"learning_rate": float("inf")}}, "`train.learning_rate` inf: expected a finite number"),
        ({"train": {"steps": "many"}}, "`train.steps` 'many': expected a whole number$"),
        ({"train": {"steps": 1.5}}, "`train.steps` 1.5: expected a whole number$"),
        ({"train": {"augment": "maybe"}}, "`train.augment` 'maybe': expected true or false$"),
        ({"train": {"momentum": 1}}, "`train.momentum` 1: expected less than 1$"),
        ({"train": {"learning_rate": 0}}, "`train.learning_rate` 0: expected more than 0$"),
        ({"prune": {"per_round": "x"}}, "`prune.per_round` 'x': expected a whole number or a number$"),
        ({"data": {"spacing": 2}}, r"`data.spacing` 2: expected a list, such as \[4, 8\]$"),
        ({"data": {"spacing": [1, "a"]}}, "`data.spacing` 'a': expected a number$"),
        ({"network": {"arguments": 3}}, "`network.arguments` 3: expected names with values$"),
        ({"network": {"name": None}}, "`network.name` None: expected a text$"),
        ({"train": 3}, "`train` 3: expected names with values, such as train: {steps: ...}$"),
        ({"train": {"steps:20": None}}, "a blank is missing after the colon: train: {steps: 20}$"),
        ({"train": {"optimizer": "adam"}}, "`train.optimizer` 'adam': expected adamw or sgd$"),
        ([1, 2], "here: expected names with values, found list"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(values: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(values, "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 20", r"c.yaml: steps: no such option; did you mean train: {steps: 20}\?"),
        ("train.steps: 20", "c.yaml: train.steps: no such option; write train: {steps: 20}"),
        ("train: {steps:20}", "c.yaml: train.steps:20: no such option; a blank is missing after the colon: "),
        ("train:\n  steps = 20", "c.yaml: train 'steps = 20': expected names with values, such as train: {s"),
        ("train: {steps: many}", "c.yaml: train.steps 'many': expected a whole number"),
    ],
)
def test_in_a_file_names_and_hints_are_as_one_writes_them_there(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "c.yaml")


def test_files_that_are_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read \(No such file or directory\)"):
        load_config(tmp_path / "nowhere.yaml")
    (tmp_path / "long.yaml").write_text(f"seed: 0x{'f' * 5000}")  # a number that Python cannot print
    with pytest.raises(ConfigError, match=r"long\.yaml: .*\(a whole number of 5,002 digits; at most 1,000\)"):
        load_config(tmp_path / "long.yaml")
    (tmp_path / "odd.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match=r"odd\.yaml: not a YAML file"):
        load_config(tmp_path / "odd.yaml")
