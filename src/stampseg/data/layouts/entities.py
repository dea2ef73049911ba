"""Entities of BIDS, `run-1` and the like, in what names say beyond the subject and the session."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache

Names = tuple[str, ...]  # of entities, as ("run", "echo")


@cache
def _pattern(names: Names) -> re.Pattern[str]:
    return re.compile(rf"(?:(?<=_)|^)({'|'.join(names)})-([A-Za-z0-9+]+)(?:_|$)")


def entities(role: str, names: Names) -> dict[str, str]:
    """What a name says of these entities: {"run": "1"} of `run-1_T1w`."""
    return dict(_pattern(names).findall(role))


def without_entities(role: str, names: Names) -> str:
    """A name without these entities: `T1w` of `run-1_T1w`."""
    return _pattern(names).sub("", role).rstrip("_")


def alike(roles: Iterable[str], names: Names) -> list[list[str]]:
    """Names that differ by such entities alone, those that do so together."""
    found: dict[str, list[str]] = defaultdict(list)
    for role in roles:
        found[without_entities(role, names).casefold()].append(role)
    return [together for together in found.values() if len(together) > 1]


def apart(roles: Sequence[str], names: Names) -> str:
    """The entities by which names that are alike differ, in words: "acq- and run-"."""
    said = [entities(role, names) for role in roles]
    differ = [name for name in sorted(names) if len({each.get(name) for each in said}) > 1]
    return " and ".join(f"{name}-" for name in differ)
