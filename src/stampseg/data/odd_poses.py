"""Scans that are rotated or mirrored against those of all other people, by mistake or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.text import counted
from .appearance import Look
from .cases import Case
from .oddity import Oddity
from .pose import laid_otherwise

REMEDY = (
    "look at them: what was stored so by mistake is better put right, with its mask; what truly lies so is "
    "learnt the worse the fewer there are of its kind"
)


def odd_poses(looks: Mapping[Case, Look]) -> Oddity | None:
    """People whose scans look turned or mirrored against those of others; None where none do.

    Args:
        looks: what each scan looks like, with labels or without.
    """
    found = laid_otherwise([look.cells for look in looks.values()], [case.group for case in looks])
    odd = {word: [case for case in looks if found.get(case.group) == word] for word in ("turned", "mirrored")}
    files = tuple(case.images[0] for case in looks if case.group in found)
    if not files:
        return None
    said = " and ".join(_said(word, cases) for word, cases in odd.items() if cases)
    return Oddity("pose", f"{said} against those of other people (first {files[0]})", REMEDY, files)


def _said(word: str, cases: Sequence[Case]) -> str:
    """`3 images of 1 person look turned`."""
    people = len({case.group for case in cases})
    whose = f" of {counted(people, 'person', 'people')}" if people < len(cases) else ""
    return f"{counted(len(cases), 'image')}{whose} {'looks' if len(cases) == 1 else 'look'} {word}"
