"""The tables of a comparison, cell by cell as text: the page and the Markdown show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.text import counted
from ...evaluation.statistics import design_of, table_of
from .comparing import FAILED, Comparison, Pair, Summary
from .study import Setting, in_order
from .words import NONE, interval_text, signed


@dataclass(frozen=True)
class Table:
    """Rows of texts under columns; the first column names the row, `numbers` are set to the right."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int]


def method_table(comparison: Comparison, setting: Setting) -> Table:
    """Every method of a setting, with its paired difference to the reference; columns without a value go."""
    draws = in_order({draw for summary in comparison.of(setting) for draw in summary.draws})
    each = f"each draw ({', '.join(draws)})"
    rows = [
        _cells(summary, comparison.pair(setting, summary.method), comparison.reference)
        | ({each: _each_draw(summary, draws)} if len(draws) > 1 else {})
        for summary in comparison.of(setting)
    ]
    columns = [name for name in rows[0] if any(row[name] != NONE for row in rows)]
    numbers = frozenset(place for place, name in enumerate(columns) if name not in ("method", each))
    cells = tuple(tuple(row[name] for name in columns) for row in rows)
    return Table(str(setting), _note(comparison, setting), tuple(columns), cells, numbers)


def method_lines(comparison: Comparison, setting: Setting) -> list[str]:
    """Of every method of a setting its Dice, size, and paired difference to the reference, a line each."""
    lines = []
    for summary in comparison.of(setting):
        pair = comparison.pair(setting, summary.method)
        size = count_text(summary.figures.get("parameters"))
        line = f"{summary.method}: Dice {summary.dice:.3f}" + (f", {size} parameters" if size != NONE else "")
        if pair is not None:
            over = interval_text(pair.given_runs)
            spread = f" ({over} over people, given these runs)" if over != NONE else ""
            line += f"; {comparison.reference} minus it {signed(pair.mean)}{spread}"
        lines.append(line)
    return lines


def pair_table(comparison: Comparison) -> Table:
    """Every paired difference of every setting."""
    columns = (
        "setting",
        "difference",
        "design",
        "draws",
        "people",
        "Dice",
        "runs and people",
        "people, given runs",
    )
    rows = tuple(
        (
            pair.place, f"{pair.method} minus {pair.against}", pair.design.value, str(len(pair.differences)),
            str(pair.people), signed(pair.mean), interval_text(pair.two_way), interval_text(pair.given_runs),
        )
        for _, pair in comparison.pairs
    )  # fmt: skip
    return Table("All paired differences", "", columns, rows, frozenset(range(3, 8)))


def _note(comparison: Comparison, setting: Setting) -> str:
    """People and draws of all cells; methods may have fewer."""
    if not any(where == setting for where, _ in comparison.pairs):
        return "No two methods share a person in a draw here."
    tested: dict[str, dict[str, float]] = {}
    for cell in comparison.study.cells:
        if cell.setting == setting:
            tested.setdefault(cell.draw, {}).update(cell.dice)
    table = table_of(tested)
    people, draws = counted(table.shape[1], "person", "people"), len(table)
    said = f"{people} in one draw."
    if draws > 1:
        said = (
            f"{people} in {draws} draws, {design_of(table)}. In medians and counts a person is one in each "
            "draw."
        )
    if len({frozenset(summary.draws) for summary in comparison.of(setting)}) > 1:
        said += " Dice is over the draws that a method has, a difference over those that both have."
    return said


def _each_draw(summary: Summary, draws: Sequence[str]) -> str:
    """`0.806 0.851 –`."""
    return " ".join(f"{summary.draws[draw]:.3f}" if draw in summary.draws else NONE for draw in draws)


def _cells(summary: Summary, pair: Pair | None, reference: str) -> dict[str, str]:
    figures = summary.figures
    return {
        "method": summary.method,
        "draws": str(len(summary.draws)),
        "Dice": f"{summary.dice:.3f}",
        f"{reference} minus it": signed(pair.mean) if pair else NONE,
        "over runs and people": interval_text(pair.two_way) if pair else NONE,
        "over people, given these runs": interval_text(pair.given_runs) if pair else NONE,
        "median": f"{summary.median:.3f}",
        f"below {FAILED:g}": f"{summary.failed} of {len(summary.people)}",
        "HD95, median": NONE if summary.hd95 is None else f"{summary.hd95:.1f}",
        "parameters": count_text(figures.get("parameters")),
        "FLOPs": flops_text(figures.get("flops")),
        "training": seconds_text(figures.get("train_seconds")),
        "prediction": seconds_text(figures.get("predict_seconds")),
    }


def count_text(value: float | None) -> str:
    """`72,871`."""
    return NONE if value is None else f"{value:,.0f}"


def flops_text(value: float | None) -> str:
    """`210 M`, `1.51 G`."""
    if value is None:
        return NONE
    return f"{value / 1e9:,.3g} G" if value >= 1e9 else f"{value / 1e6:,.3g} M"


def seconds_text(value: float | None) -> str:
    """`0.42 s`, `191 s`."""
    if value is None:
        return NONE
    return f"{value:,.0f} s" if value >= 100 else f"{value:.3g} s"
