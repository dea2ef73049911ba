"""Charts of a comparison: Dice against what a network costs, with the front; Dice against labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.text import counted
from ..vega import COLOURS, compiled
from .comparing import Comparison, Summary

COSTS = {"parameters": "parameters", "flops": "FLOPs of a window", "train_seconds": "seconds of training"}
# Dark on light and light on dark; told apart by their shape as well.
_COLOURS = tuple(COLOURS[place] for place in (5, 6, 2, 4, 1, 0))
_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right")


def charts_of(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Vega specifications by name: `cost-TASK-NAME` and `labels-TASK`, TASK being its place."""
    drawn: dict[str, dict[str, Any] | None] = {}
    for place, task in enumerate(comparison.study.tasks):
        settings = [setting for setting in comparison.study.settings if setting.task == task]
        for cost, title in COSTS.items():
            chart = _tradeoff(comparison, comparison.of(settings[-1]), cost, title)
            drawn[f"cost-{place}-{cost}"] = chart
        drawn[f"labels-{place}"] = _learning(comparison, task)
    return {name: compiled(chart) for name, chart in drawn.items() if chart is not None}


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the (cost, Dice) than which no other is better in one and as good in the other, by cost."""
    best, kept = float("-inf"), list[int]()
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1])):
        if points[place][1] > best or (kept and points[place] == points[kept[-1]]):
            best = points[place][1]
            kept.append(place)
    return kept


def shared_draws(summaries: Sequence[Summary]) -> list[str]:
    """Draws that all methods have: means over other ones are of other people."""
    return sorted(set.intersection(*(set(summary.draws) for summary in summaries))) if summaries else []


def _comparable(summaries: Sequence[Summary]) -> list[Summary]:
    """Methods that share a draw with the first and with one another, in their order."""
    kept: list[Summary] = []
    for summary in summaries:
        if shared_draws([*kept, summary]):
            kept.append(summary)
    return kept


def front_text(summaries: Sequence[Summary]) -> str:
    """Which methods are on which front: `By parameters: a; b. By FLOPs: a.`."""
    whole, summaries = summaries, _comparable(summaries)
    said, draws = [], shared_draws(summaries)
    for cost, title in COSTS.items():
        points = _points(summaries, cost, draws)
        if len(points) > 1:
            on = front([(each, dice) for _, each, dice in points])
            said.append(f"By {title}: {'; '.join(points[place][0] for place in on)}.")
    if not said:
        return ""
    some_alone = any(len(summary.draws) > len(draws) for summary in summaries)
    of = f" Of the {counted(len(draws), 'draw')} that all have." if some_alone else ""
    if left := [summary.method for summary in whole if summary not in summaries]:
        of += f" Without {', '.join(left)}, of other draws."
    return f"On the front, where no other costs less and is as good.{of} {' '.join(said)}"


def _points(summaries: Sequence[Summary], cost: str, draws: Sequence[str]) -> list[tuple[str, float, float]]:
    """Method, cost and Dice, both means over the same draws, of those whose cost is known."""
    found = ((summary, summary.cost(cost, draws)) for summary in summaries)
    return [(summary.method, each, summary.over(draws)) for summary, each in found if each]


def _tradeoff(
    comparison: Comparison, summaries: Sequence[Summary], cost: str, title: str
) -> dict[str, Any] | None:
    summaries = _comparable(summaries)
    known = _points(summaries, cost, shared_draws(summaries))
    if len(known) < 2:
        return None
    places = front([(each, dice) for _, each, dice in known])
    points = [
        {
            "method": method,
            "cost": each,
            "Dice": dice,
            "front": places.index(place) if place in places else None,
        }
        for place, (method, each, dice) in enumerate(known)
    ]
    axes = {
        "x": {
            "field": "cost", "type": "quantitative", "title": title,
            "scale": {"type": "log", "nice": False, "padding": 24},
            "axis": {"format": "~s", "tickCount": 3, "labelOverlap": "greedy", "labelSeparation": 8},
        },
        "y": {"field": "Dice", "type": "quantitative", "scale": {"zero": False, "padding": 16}},
    }  # fmt: skip
    tip = [{"field": "method"}, {"field": "cost", "title": title, "format": ",.4~g"}]
    line = {
        "type": "line",
        "interpolate": "step-after",
        "color": {"expr": "ink"},
        "opacity": 0.45,
        "aria": False,
    }
    return {
        "description": f"Dice against {title}, one point per method; the line is the front",
        "height": 240,
        "data": {"values": points},
        "layer": [
            {
                "transform": [{"filter": "datum.front !== null"}],
                "mark": {**line, "strokeWidth": 1.5},
                "encoding": {**axes, "order": {"field": "front"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
                "encoding": {
                    **axes,
                    **_by_method(comparison, [method for method, _, _ in known]),
                    "tooltip": [*tip, {"field": "Dice", "format": ".3f"}],
                },
            },
        ],
    }


def _by_method(comparison: Comparison, named: Sequence[str]) -> dict[str, Any]:
    """A method has one colour and one shape in all charts."""
    methods = [method for method in comparison.study.methods if method in named]
    places = [comparison.study.methods.index(method) for method in methods]
    colours = [_COLOURS[place % len(_COLOURS)] for place in places]
    shapes = [_SHAPES[place % len(_SHAPES)] for place in places]
    legend = {"orient": "top", "columns": 1, "labelLimit": 0, "symbolOpacity": 1}
    return {
        "color": {
            "field": "method", "type": "nominal", "title": None,
            "scale": {"domain": methods, "range": colours}, "legend": legend,
        },
        "shape": {
            "field": "method", "type": "nominal", "title": None,
            "scale": {"domain": methods, "range": shapes},
        },
    }  # fmt: skip


def _learning(comparison: Comparison, task: str) -> dict[str, Any] | None:
    """A faint point for each draw, a line through the means over those that a method has throughout."""
    known = [s for s in comparison.summaries if s.setting.task == task and s.setting.labels is not None]
    numbers = sorted({s.setting.labels for s in known if s.setting.labels is not None})
    if len(numbers) < 2:
        return None
    methods = dict.fromkeys(summary.method for summary in known)
    throughout = {method: shared_draws([s for s in known if s.method == method]) for method in methods}
    means = [
        {"method": s.method, "labels": s.setting.labels, "Dice": s.over(throughout[s.method])}
        for s in known
        if throughout[s.method]
    ]
    draws = [
        {"method": s.method, "labels": s.setting.labels, "Dice": dice, "draw": draw}
        for s in known
        for draw, dice in s.draws.items()
    ]
    axes = {
        "x": {
            "field": "labels", "type": "quantitative", "title": "labelled people",
            "scale": {"type": "log" if numbers[0] > 0 else "linear", "nice": False, "padding": 16},
            "axis": {"values": numbers, "format": "d"},
        },
        "y": {"field": "Dice", "type": "quantitative", "scale": {"zero": False, "padding": 12}},
    }  # fmt: skip
    style = _by_method(comparison, list(methods))
    tip = [{"field": "method"}, {"field": "labels"}, {"field": "Dice", "format": ".3f"}]
    return {
        "description": f"Dice against the number of labelled people, {task}",
        "height": 280,
        "layer": [
            {
                "data": {"values": draws},
                "mark": {"type": "point", "filled": True, "size": 26, "opacity": 0.45},
                "encoding": {**axes, **style, "tooltip": [{"field": "draw"}, *tip]},
            },
            {
                "data": {"values": means},
                "mark": {"type": "line", "strokeWidth": 2, "aria": False},
                "encoding": {**axes, "color": style["color"]},
            },
            {
                "data": {"values": means},
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {**axes, **style, "tooltip": tip},
            },
        ],
    }
