"""The charts of a run: Dice against parameters, loss, Dice and fit by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from ..run.records import FitRecord, RoundRecord
from .record import Record
from .vega import COLOURS, compiled

OVERALL = "overall"
_OTHER = ("#8a8f98", "circle")  # colour and shape of events without a style of their own
_STYLES = {
    "warm-up": _OTHER,
    "train": _OTHER,
    "cut": (COLOURS[5], "triangle-down"),
    "recover": (COLOURS[4], "triangle-up"),
    "rolled back": (COLOURS[1], "cross"),
    "finish": (COLOURS[2], "diamond"),
}
EVENTS = tuple(_STYLES)
_INK, _ACCENT = {"expr": "ink"}, {"expr": "accent"}


def charts_of(record: Record) -> dict[str, dict[str, Any]]:
    """Vega specifications by name: tradeoff, loss, dice, fit; those without a point are left out."""
    drawn = {
        "tradeoff": _tradeoff(record.rounds, record.chosen),
        "loss": _loss(record.rounds),
        "fit": _fit(record.rounds),
        "dice": _dice(record.rounds),
    }
    return {name: compiled(chart) for name, chart in drawn.items() if chart is not None}


_TRADEOFF_AXES = {
    "x": {
        "field": "parameters", "type": "quantitative", "title": "parameters",
        "scale": {"type": "log", "nice": False, "padding": 24},
        "axis": {"format": "~s", "tickCount": 6, "labelOverlap": True},
    },
    "y": {
        "field": "Dice", "type": "quantitative", "title": "validation Dice",
        "scale": {"zero": False, "padding": 16},
    },
}  # fmt: skip


def _tradeoff(rounds: Sequence[RoundRecord], chosen: int | None) -> dict[str, Any] | None:
    points = [
        {
            "round": turn.number,
            "event": turn.event,
            "parameters": turn.parameters,
            "Dice": turn.validation.dice,
            "steps": turn.steps,
            "chosen": turn.number == chosen,
        }
        for turn in rounds
        if turn.parameters and turn.validation is not None and turn.validation.dice is not None
    ]
    if not points:
        return None
    line = {"type": "line", "color": _INK, "opacity": 0.22, "strokeWidth": 1.2, "aria": False}
    dots = {"type": "point", "filled": True, "size": 90, "cursor": "pointer", "opacity": 0.95}
    return {
        "description": "Validation Dice against parameters, one point per round",
        "height": 320,
        "data": {"values": points},
        "layer": [
            {"mark": line, "encoding": {**_TRADEOFF_AXES, "order": {"field": "round"}}},
            *_rings(),
            # above the rings, which would keep the pointer from them
            {"mark": dots, "encoding": {**_TRADEOFF_AXES, **_by_event({str(p["event"]) for p in points})}},
        ],
    }


def _rings() -> list[dict[str, Any]]:
    """Around the chosen round, with the word, and around the one that is shown."""
    ring = {"type": "point", "shape": "circle", "filled": False, "aria": False, "tooltip": None}
    return [
        {
            "transform": [{"filter": "datum.chosen"}],
            "mark": {**ring, "color": _INK, "strokeWidth": 2, "size": 300},
            "encoding": _TRADEOFF_AXES,
        },
        {
            "transform": [{"filter": "datum.chosen"}],
            "mark": {"type": "text", "color": _INK, "dy": -18, "fontWeight": "bold", "aria": False},
            "encoding": {**_TRADEOFF_AXES, "text": {"value": "chosen"}},
        },
        {
            "mark": {**ring, "color": _ACCENT, "strokeWidth": 3, "size": 560},
            "encoding": {
                **_TRADEOFF_AXES,
                "opacity": {"condition": {"test": "datum.round === current", "value": 1}, "value": 0},
            },
        },
    ]


def _by_event(named: set[str]) -> dict[str, Any]:
    """Colour, shape and words of a point, by what happened in its round."""
    events = [event for event in EVENTS if event in named] + sorted(named - set(EVENTS))
    colours, shapes = zip(*(_STYLES.get(event, _OTHER) for event in events), strict=True)
    return {
        "color": {
            "field": "event", "type": "nominal", "title": None,
            "scale": {"domain": events, "range": list(colours)}, "legend": {"orient": "top", "columns": 3},
        },
        "shape": {
            "field": "event", "type": "nominal", "title": None,
            "scale": {"domain": events, "range": list(shapes)},
        },
        "tooltip": [{"field": name} for name in ("round", "event", "parameters", "steps")]
        + [{"field": "Dice", "format": ".3f"}],
    }  # fmt: skip


def _loss(rounds: Sequence[RoundRecord]) -> dict[str, Any] | None:
    points = [
        {"round": turn.number, "event": turn.event, "step": turn.steps, "loss": turn.loss}
        for turn in rounds
        if turn.steps is not None and turn.loss is not None
    ]
    encoding = _by_step("loss", "mean training loss")
    tooltip = [{"field": name} for name in ("round", "event", "step")] + [{"field": "loss", "format": ".4f"}]
    return _curve("Training loss by optimiser step", points, encoding, tooltip) if points else None


def _dice(rounds: Sequence[RoundRecord]) -> dict[str, Any] | None:
    points = [
        {"round": turn.number, "event": turn.event, "step": turn.steps, "label": label, "Dice": value}
        for turn in rounds
        if turn.steps is not None and turn.validation is not None
        for label, value in {**turn.validation.per_label, OVERALL: turn.validation.dice}.items()
        if value is not None
    ]
    return _dice_curve("Validation Dice by optimiser step, overall and per label", "validation Dice", points)


def _fit(rounds: Sequence[RoundRecord]) -> dict[str, Any] | None:
    """What becomes the model, on training windows; beside a teacher the student and their agreement too."""
    points = [
        {"round": turn.number, "event": turn.event, "step": turn.steps, "label": label, "Dice": value}
        for turn in rounds
        if turn.steps is not None and turn.fit is not None
        for label, value in _fit_lines(turn.fit).items()
        if value is not None
    ]
    return _dice_curve("Dice on training windows by optimiser step", "Dice on training windows", points)


def _fit_lines(fit: FitRecord) -> dict[str, float | None]:
    if not fit.student:
        return {OVERALL: fit.dice, **fit.per_label}
    return {"teacher": fit.dice, "student": fit.student_dice, "both agree, no labels": fit.agreement}


def _dice_curve(description: str, title: str, points: list[dict[str, Any]]) -> dict[str, Any] | None:
    """A line for each label; the one for all of them is dashed."""
    if not points:
        return None
    named = list(dict.fromkeys(str(p["label"]) for p in points))
    labels = sorted(named, key=lambda label: label != OVERALL)  # that line first, where there is one
    colours, dashes = list(islice(cycle(COLOURS), len(labels))), [[1, 0]] * len(labels)
    if labels[0] == OVERALL:
        colours, dashes = ["#8a8f98", *colours[:-1]], [[5, 3], *dashes[:-1]]
    encoding = _by_step("Dice", title)
    encoding["color"] = {
        "field": "label", "type": "nominal", "title": None,
        "scale": {"domain": labels, "range": colours},
        "legend": {"orient": "top", "columns": 3},
    }  # fmt: skip
    encoding["strokeDash"] = {
        "field": "label", "type": "nominal", "legend": None,
        "scale": {"domain": labels, "range": dashes},
    }  # fmt: skip
    tooltip = [{"field": name} for name in ("round", "event", "step", "label")]
    tooltip += [{"field": "Dice", "format": ".3f"}]
    return _curve(description, points, encoding, tooltip)


def _by_step(field: str, title: str) -> dict[str, Any]:
    return {
        "x": {"field": "step", "type": "quantitative", "title": "optimiser step", "axis": {"tickCount": 6}},
        "y": {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False}},
    }


def _curve(
    description: str, points: list[dict[str, Any]], encoding: dict[str, Any], tooltip: list[dict[str, Any]]
) -> dict[str, Any]:
    """A line through the rounds, its points to hover and click, and a rule at the round that is shown."""
    fixed = {} if "color" in encoding else {"color": COLOURS[0]}
    dots = {name: value for name, value in encoding.items() if name != "strokeDash"}
    return {
        "description": description,
        "height": 240,
        "data": {"values": points},
        "layer": [
            {
                "transform": [{"filter": "datum.round === current"}],
                "mark": {"type": "rule", "color": _ACCENT, "strokeWidth": 1.5, "opacity": 0.7, "aria": False},
                "encoding": {"x": encoding["x"]},
            },
            {"mark": {"type": "line", "strokeWidth": 2, "aria": False, **fixed}, "encoding": encoding},
            {
                "mark": {"type": "point", "filled": True, "size": 36, "cursor": "pointer", **fixed},
                "encoding": {**dots, "tooltip": tooltip},
            },
        ],
    }
