"""Cases unlike the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ..core.text import counted, number_text, range_text, size_text
from ..data.fingerprint import HOUNSFIELD_AIR
from .facts import CaseFacts
from .finding import Finding, finding

FEWEST = 4  # cases, below which nothing is usual
TILTED = 1.0  # degrees
FAR = 12.0  # times the usual distance from the middle of all cases


def find_outliers(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Warnings on single cases, and notes on the set."""
    findings = [
        finding(
            "constant",
            f"{f.image}: every {'voxel' if f.orientation else 'pixel'} has the value "
            f"{number_text(f.middle, 6)}",
            "leave the case out, or export it again",
            [f.image],
        )
        for f in facts
        if f.constant
    ]
    if len(facts) >= FEWEST:
        findings += _by_ratio(facts, "spacing", lambda f: f.spacing, 2.0, "voxels", "is the header right?")
        findings += _by_ratio(facts, "size", lambda f: f.extent, 3.0, "in extent",
                           "is it the same part of the body, and is the header right?")  # fmt: skip
        findings += _intensities([f for f in facts if not f.constant])
    told = {file for one in findings if one.code in ("intensity", "constant") for file in one.files}
    findings += _two_scales([f for f in facts if str(f.image) not in told])
    orientations = Counter(f.orientation for f in facts if f.orientation)
    if len(orientations) > 1:
        kinds = ", ".join(f"{count} {codes}" for codes, count in orientations.most_common())
        findings.append(
            finding(
                "orientation",
                f"files are stored in several orientations ({kinds})",
                "nothing to do: all are brought to RAS, and masks back to their own",
            )
        )
    tilted = [f for f in facts if f.tilt > TILTED]
    if tilted:
        findings.append(
            finding(
                "oblique",
                f"{counted(len(tilted), 'oblique file')}, up to {max(f.tilt for f in tilted):.0f} degrees "
                f"(first {tilted[0].image})",
                "nothing to do: their axes are kept as they are",
                [f.image for f in tilted],
            )
        )
    return findings


def _by_ratio(
    facts: Sequence[CaseFacts],
    code: str,
    measure: Callable[[CaseFacts], tuple[float, ...]],
    limit: float,
    what: str,
    question: str,
) -> list[Finding]:
    """Cases with an axis that is `limit` times more, or less, than the median of all cases."""
    values = [by_body_axis(f, measure(f)) for f in facts]
    if len({len(v) for v in values}) != 1:
        return []  # pictures among volumes are an error of their own
    usual = np.median(np.array(values), axis=0)
    findings = []
    for f, value in zip(facts, values, strict=True):
        ratio = np.array(value) / usual
        if max(ratio.max(), 1 / ratio.min()) > limit:
            mine, others = (size_text(sizes, 3) for sizes in (value, usual))
            unit = "mm" if f.orientation else "px"
            findings.append(
                finding(code, f"{f.image}: {mine} {unit} {what}, in most cases {others}", question, [f.image])
            )
    return findings if len(findings) <= len(facts) / 4 else []  # then there is no usual case


def by_body_axis(facts: CaseFacts, values: Sequence[float]) -> list[float]:
    """Values of the file's axes in the order of the body's: left, front, top; pictures as they are."""
    if not facts.orientation:
        return list(values)
    places = ["RL".find, "AP".find, "SI".find]
    return [
        next(v for v, code in zip(values, facts.orientation, strict=True) if find(code) >= 0)
        for find in places
    ]


def spreads_away(values: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """How far (n,) low, middle and high values (n, 3) lie from the middle of the usual, in their spread."""
    middle, width = np.median(usual, axis=0), np.median(usual[:, 2] - usual[:, 0])
    spread = np.maximum(np.median(np.abs(usual - middle), axis=0), 0.05 * width + 1e-12)
    return (np.abs(values - middle) / spread).max(axis=1)


def _intensities(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Cases whose range or middle lies far from all others', measured in the others' own spread."""
    if len(facts) < FEWEST:
        return []
    values = np.array([(f.low, f.middle, f.high) for f in facts])
    far = spreads_away(values, values)
    usual = np.median(values, axis=0)
    if usual[0] > HOUNSFIELD_AIR:
        return _of_another_scale([f for f, distance in zip(facts, far, strict=True) if distance > FAR], usual)
    findings = [
        finding(
            "intensity",
            f"{f.image}: values of {range_text(f.low, f.high)} (middle {number_text(f.middle)}), in most "
            f"cases {range_text(usual[0], usual[2])} ({number_text(usual[1])})",
            "is it CT in Hounsfield units, of the same part of the body?",
            [f.image],
        )
        for f, distance in zip(facts, far, strict=True)
        if distance > FAR
    ]
    return findings if len(findings) <= len(facts) / 4 else []


def _two_scales(facts: Sequence[CaseFacts]) -> list[Finding]:
    """A warning where some scans reach down to air in Hounsfield units, and others have nothing below 0."""
    shifted = [f for f in facts if f.low >= 0]
    air = [f for f in facts if f.low < HOUNSFIELD_AIR]
    if not (shifted and air):
        return []
    return [
        finding(
            "intensity",
            f"{counted(len(shifted), 'image')} of no value below 0, beside {len(air)} that reach below "
            f"{HOUNSFIELD_AIR:g} as CT in Hounsfield units does (first {shifted[0].image}: "
            f"{range_text(shifted[0].low, shifted[0].high)}; {air[0].image}: "
            f"{range_text(air[0].low, air[0].high)})",
            "bring all to one scale; CT that was stored with an offset has 1024 too much in every voxel",
            [f.image for f in shifted],
        )
    ]


def _of_another_scale(facts: Sequence[CaseFacts], usual: np.ndarray) -> list[Finding]:
    """One note on all images of other values, where each is normalised by its own."""
    if not facts:
        return []
    low, high = min(f.low for f in facts), max(f.high for f in facts)
    return [
        finding(
            "scale",
            f"{counted(len(facts), 'image')} of another scale of values, {range_text(low, high)}, in most "
            f"cases {range_text(usual[0], usual[2])} (first {facts[0].image})",
            "nothing to do if they are of the same modality: each is normalised by itself",
            [f.image for f in facts],
        )
    ]
