"""Whether names of cases look as if several were of one person, and how to say so."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from .finding import Finding, finding

# What follows a person's name where a person has several cases.
SIGNS = {
    "left and right": r"(?i)(.+?)[-_. ]?(?:left|right|lh|rh|[lr])$",
    "several sessions": r"(?i)(sub-[A-Za-z0-9]+)_ses-[A-Za-z0-9]+.*$",
    "several time points or slices": (
        r"(?i)(.+?)[-_. ]?(?:visit|scan|time|tp|frame|slice|ses|img|IM)[-_. ]?\d+.*$"
    ),
    "a number of a person and one of a case": r"(\d+|[A-Za-z]+\d+)[-_. ]\d+(?:[-_.].*)?$",
}
SIMPLE = (  # patterns for `group_regex`
    *(r"^([^_]+)", r"^([^-]+)", r"^([^.]+)", r"^(.+)_", r"^(.+)-", r"^(.+)[lrLR]$", r"^(.+)_(left|right)$"),
    *(r"^([A-Za-z]+[0-9]+)", r"^([0-9]+)", r"^(.+[0-9])[A-Za-z]+[0-9]+$"),
)
LEAST = 0.5  # share of the cases that must be in a group of several


def suggest_groups(ids: Sequence[str]) -> tuple[str, str, dict[str, list[str]]] | None:
    """The first sign that many of the names show: in words, as a regex, and the groups that it makes."""
    for words, pattern in SIGNS.items():
        groups: dict[str, list[str]] = defaultdict(list)
        for name in ids:
            match = re.match(pattern, name)
            groups[match.group(1) if match else name].append(name)
        several = {person: names for person, names in groups.items() if len(names) > 1}
        if len(groups) > 1 and sum(map(len, several.values())) >= LEAST * len(ids):
            return words, pattern, several
    return None


def simplest(ids: Sequence[str], pattern: str) -> str:
    """The first pattern that people can read and that parts all names as the given one does; else that."""

    def parted(by: str) -> list[str | None]:
        matches = [re.match(by, name) for name in ids]
        return [match.group(1) if match else None for match in matches]

    people = parted(pattern)
    wanted = [name if person is None else person for name, person in zip(ids, people, strict=True)]
    return next((simple for simple in SIMPLE if parted(simple) == wanted), pattern)


def find_people(ids: Sequence[str], groups: Sequence[str], given: bool) -> list[Finding]:
    """A warning where names look alike, and nobody has said who is who.

    Args:
        ids: of the labelled cases.
        groups: the person of each.
        given: whether persons were named by the user.
    """
    alone = [name for name, person in zip(ids, groups, strict=True) if name == person]
    if given or not alone:
        return []
    suggestion = suggest_groups(alone)
    if suggestion is None:
        return []
    words, pattern, several = suggestion
    person, names = next(iter(several.items()))
    pattern = simplest(ids, pattern)
    return [
        finding(
            "people",
            f"names look like {words} of one person ({', '.join(names[:4])} as {person!r}; {len(several)} "
            "such), and each case counts as a person of its own: training and validation may share people",
            f"if they are, say `group_regex` '{pattern}', whose brackets are the person; if not, a CSV with "
            "a group column says who is who",
            [name for names in several.values() for name in names],
        )
    ]
