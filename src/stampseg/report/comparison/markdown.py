"""A comparison as Markdown: the page of a study's results."""

from __future__ import annotations

import re

from .charts import front_text
from .comparing import Comparison
from .tables import Table, method_table, pair_table
from .words import (
    NONE,
    claims_head,
    designs_text,
    flips_text,
    p_text,
    reading,
    verdict_text,
    warnings,
    where_text,
)


def markdown_of(comparison: Comparison) -> str:
    """All but the charts; names from files are text and nothing else."""
    lines = [
        f"# {_plain(comparison.study.name)}",
        "",
        _plain(claims_head(comparison)),
        "",
        *_claims(comparison),
    ]
    if comparison.study.differs:
        lines += ["## What differs", "", *(f"- {_plain(text)}" for text in comparison.study.differs), ""]
    lines += ["## Warnings", "", *(f"- {_plain(text)}" for text in warnings(comparison)), ""]
    lines += ["## Methods", ""]
    for setting in comparison.study.settings:
        lines += _table(method_table(comparison, setting), "###")
        if on_front := front_text(comparison.of(setting)):
            lines += [_plain(on_front), ""]
    lines += [*_table(pair_table(comparison), "##"), "## How to read this", ""]
    lines += [f"- {text}" for text in (*reading(comparison.study), *_designs(comparison))]
    return "\n".join([*lines, ""])


def _designs(comparison: Comparison) -> list[str]:
    return [_plain(f"{text}.") for text in designs_text(pair for _, pair in comparison.pairs)]


def _claims(comparison: Comparison) -> list[str]:
    if not comparison.claims:
        return []
    lines = ["| claim | verdict | P (Holm) | why |", "|---|---|---:|---|"]
    for number, result in enumerate(comparison.claims, 1):
        claim = f"{number}. {result.claim}, {where_text(result)}"
        why = f"{verdict_text(result)} {flips_text(result)}".strip()
        p = NONE if result.two_way is None else p_text(result.p_holm)
        lines.append(f"| {_plain(claim)} | **{result.said}** | {p} | {_plain(why)} |")
    return [*lines, ""]


def _table(table: Table, level: str) -> list[str]:
    kinds = ["---:" if place in table.numbers else "---" for place in range(len(table.columns))]
    return [
        f"{level} {_plain(table.title)}",
        "",
        *([_plain(table.note), ""] if table.note else []),
        f"| {' | '.join(map(_plain, table.columns))} |",
        f"|{'|'.join(kinds)}|",
        *(f"| {' | '.join(map(_plain, row))} |" for row in table.rows),
        "",
    ]


def _plain(text: str) -> str:
    """Text that no reader of Markdown takes for markup, in one line."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
