"""Scans without labels that are unlike the labelled ones: what a teacher says of them may be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..core.errors import DataError
from ..core.text import size_text
from ..data.cases import Case
from ..data.fingerprint import HOUNSFIELD_AIR
from .facts import CaseFacts, Measure, read_facts
from .finding import Finding, finding
from .outliers import FAR, FEWEST, by_body_axis, spreads_away

READ = 40  # scans that are read, at even distances: what they are like all in all is enough

_OTHERWISE = (
    "are they of the same scanner, modality and part of the body? If not, leave them out (`unlabelled` names "
    "a folder or none)"
)


def find_strangers(labelled: Sequence[CaseFacts], unlabelled: Sequence[Case]) -> list[Finding]:
    """Warnings on scans to learn from without labels, one for each way of being unlike.

    Args:
        labelled: of the cases with labels.
        unlabelled: of which `READ` are read.
    """
    places = np.linspace(0, len(unlabelled) - 1, min(READ, len(unlabelled))).round().astype(int)
    facts: list[CaseFacts] = []
    findings: list[Finding] = []
    for case in (unlabelled[place] for place in places):
        try:
            facts.append(read_facts(case))
        except DataError as error:
            fix = "it is without a label, and training stops at it; leave it out, or say `unlabelled` none"
            findings.append(finding("unusable", str(error), fix, case.images))
    same = [f for f in labelled if len(f.shape) == len(facts[0].shape)] if facts else []
    if len(same) < FEWEST:
        return findings
    findings += _unlike(same, facts, _spacing, _ratio, 2.0, "voxels of another size", "mm voxels")
    findings += _unlike(same, facts, _extent, _ratio, 3.0, "another field of view", "mm (or pixels)")
    if min(f.low for f in same) <= HOUNSFIELD_AIR:  # CT, whose values mean something
        return findings + _unlike(
            same, facts, _values, spreads_away, FAR, "other intensities", "(1%, middle, 99%)"
        )
    return findings + _unlike(
        same, facts, _middle, spreads_away, FAR, "another contrast", "(middle of 0 to 1)"
    )


def _spacing(facts: CaseFacts) -> Sequence[float]:
    return by_body_axis(facts, facts.spacing)


def _extent(facts: CaseFacts) -> Sequence[float]:
    return by_body_axis(facts, facts.extent)


def _values(facts: CaseFacts) -> Sequence[float]:
    return facts.low, facts.middle, facts.high


def _middle(facts: CaseFacts) -> Sequence[float]:
    return 0.0, facts.middle_share, 1.0


def _ratio(values: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """How many times more, or less, than the middle of the labelled ones."""
    shares = values / np.median(usual, axis=0)
    return np.maximum(shares, 1 / shares).max(axis=1)


def _unlike(
    labelled: Sequence[CaseFacts],
    unlabelled: Sequence[CaseFacts],
    measure: Measure,
    far: Callable[[np.ndarray, np.ndarray], np.ndarray],
    limit: float,
    what: str,
    unit: str,
) -> list[Finding]:
    """One finding on all that are further than `limit` from the labelled ones."""
    usual = np.array([measure(f) for f in labelled], dtype=float)
    values = np.array([measure(f) for f in unlabelled], dtype=float)
    if values.shape[1:] != usual.shape[1:]:
        return []
    strange = [f for f, distance in zip(unlabelled, far(values, usual), strict=True) if distance > limit]
    if not strange:
        return []
    mine, others = (size_text(list(row), 3) for row in (measure(strange[0]), np.median(usual, axis=0)))
    return [
        finding(
            "stranger",
            f"{len(strange)} of {len(unlabelled)} scans without labels that were read have {what} than the "
            f"labelled ones (first {strange[0].image}: {mine} {unit}, most labelled ones {others})",
            _OTHERWISE,
            [f.image for f in strange],
        )
    ]
