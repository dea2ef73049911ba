"""Options that belong together: each preset gives values to those that are not given."""

from __future__ import annotations

from typing import Any, Literal, get_args

from .options import Options

Preset = Literal["default", "published", "one-shot"]

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # Dinsdale et al. 2022 and its release; amounts are fitted to a run's steps, and the recipe of training
    # (augmentation, loss, optimiser) stays, so that methods can be compared.
    "published": {
        "unlabelled": "none",
        "data": {"grid": "native", "pieces": "all"},
        "train": {"missed_label": "warn"},
        "prune": {
            "criterion": "taylor",
            "normalizer": "l2",
            "rankable": "published",
            "scoring": "pass",
            "rounds": 20,
            "warmup_share": 0.05,
            "ready_dice": 0.0,
            "guard": False,
            "dropout_in_finish": True,
        },
    },
    # The control of Li et al. 2017: train, cut once to the target, go on training.
    "one-shot": {"prune": {"rounds": 1, "warmup_share": 0.6, "final_share": 0.35}},
}
if PRESETS.keys() != set(get_args(Preset)):
    raise AssertionError("Preset and PRESETS name different presets")


def with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """Nested options with those of the preset that they name, where they do not say otherwise."""
    chosen = PRESETS.get(str(values.get("preset", "default")), {})
    merged = dict(values)
    for name, value in chosen.items():
        given = merged.get(name)
        if isinstance(given, Options):
            given = {field: getattr(given, field) for field in given.model_fields_set}
        if isinstance(value, dict) and isinstance(given, dict | None):
            merged[name] = {**value, **(given or {})}
        elif given is None:
            merged[name] = value
    return merged
