"""A comparison for programs: everything as JSON, the paired differences as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from ...core.json_file import JsonFile
from ...core.options import FileRecord
from ...core.text import csv_text
from ...evaluation.statistics import Estimate
from .comparing import ClaimResult, Comparison, Pair, Summary
from .words import claims_head, verdict_text, warnings


class ComparisonRecord(FileRecord):
    """What the JSON beside the page holds."""

    study: str
    said: str = ""  # how many claims held, or which of two is better
    claims: list[dict[str, Any]]
    methods: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    warnings: list[str]
    what_differs: list[str] = Field(default_factory=list)  # of two runs


COMPARISON = JsonFile("compare.json", ComparisonRecord)
_COLUMNS = (
    "task", "labels", "method", "against", "design", "draws", "people", "difference",
    "low", "high", "degrees_of_freedom", "given_runs_low", "given_runs_high",
)  # fmt: skip


def json_of(comparison: Comparison) -> str:
    """Claims with their verdicts, methods, paired differences and warnings."""
    record = ComparisonRecord(
        study=comparison.study.name,
        said=claims_head(comparison),
        claims=[_claim(result) for result in comparison.claims],
        methods=[_method(summary) for summary in comparison.summaries],
        differences=[
            {"task": setting.task, "labels": setting.labels, **_pair(pair)}
            for setting, pair in comparison.pairs
        ],
        warnings=warnings(comparison),
        what_differs=list(comparison.study.differs),
    )
    return COMPARISON.text(record)


def csv_of(comparison: Comparison) -> str:
    """A line for each pair of methods in each setting."""
    return csv_text([_COLUMNS, *_rows(comparison)])


def _rows(comparison: Comparison) -> Iterator[tuple[object, ...]]:
    for setting, pair in comparison.pairs:
        two_way, given = _ends(pair.two_way), _ends(pair.given_runs)
        freedom = round(pair.two_way.freedom, 2) if pair.two_way else None
        yield (
            setting.task, setting.labels, pair.method, pair.against, pair.design.value, len(pair.differences),
            pair.people, round(pair.mean, 6), *two_way, freedom, *given,
        )  # fmt: skip


def _claim(result: ClaimResult) -> dict[str, Any]:
    flips = result.flips
    return {
        **result.claim.model_dump(mode="json"),
        "tested_on": list(result.tasks),
        "verdict": result.verdict.value,
        "why": verdict_text(result),
        "difference": result.mean,
        "runs_and_people": _estimate(result.two_way),
        "people_given_runs": _estimate(result.given_runs),
        "p": result.p,
        "p_holm": result.p_holm,
        "p_contrary": result.p_contrary,
        "p_contrary_holm": result.p_contrary_holm,
        "sign_flip": None if flips is None else vars(flips),
        "per_task": [{"task": pair.place, **_pair(pair)} for pair in result.pairs],
    }


def _method(summary: Summary) -> dict[str, Any]:
    return {
        "task": summary.setting.task,
        "labels": summary.setting.labels,
        "method": summary.method,
        "dice": summary.dice,
        "dice_of_draws": summary.draws,
        "median": summary.median,
        "people": len(summary.people),
        "people_failed": summary.failed,
        "hd95_median": summary.hd95,
        **summary.figures,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "method": pair.method,
        "against": pair.against,
        "design": pair.design.value,
        "difference": pair.mean,
        "runs_and_people": _estimate(pair.two_way),
        "people_given_runs": _estimate(pair.given_runs),
        "draws": pair.differences,
    }


def _estimate(estimate: Estimate | None) -> dict[str, float] | None:
    if estimate is None:
        return None
    low, high = estimate.interval()
    return {"low": low, "high": high, "error": estimate.error, "degrees_of_freedom": estimate.freedom}


def _ends(estimate: Estimate | None) -> tuple[float | None, float | None]:
    if estimate is None:
        return None, None
    low, high = estimate.interval()
    return round(low, 6), round(high, 6)
