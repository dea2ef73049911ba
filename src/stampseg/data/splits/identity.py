"""Whether cases are the same: the same files, or copies of the same image."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ...core.text import some
from ..cases import Case
from ..duplicates import find_duplicates
from ..layouts.doubts import nearly_alike


def people_of(named: Sequence[Case], cases: Sequence[Case]) -> set[str]:
    """People of the named cases, and of those among `cases` that have a file or an image's copy of theirs."""
    files = {file for case in named for file in files_of(case)}
    copies = copies_among(cases, named)
    return {case.group for case in named} | {
        case.group for case in cases if case.id in copies or files_of(case) & files
    }


def with_known_people(named: Sequence[Case], cases: Sequence[Case], called_so: bool = False) -> list[Case]:
    """The named cases, each with a person of `cases` where what names it says of none.

    That is the person of the same image or of a copy of it, or the one whose name its own begins with:
    `p1` of `p1_t7`. `called_so` asks that this person's known cases are called so too, as `p1_t3`: where who
    is left out is no loss, but who is taken for another is.
    """
    told = [case for case in cases if case.group != case.id]
    people = {case.group for case in told}
    if called_so:
        people -= {case.group for case in told if not begins_with(case.id, case.group)}
    owners = {file: case.group for case in cases for file in files_of(case.bare)}
    pairs = find_duplicates([case.images for case in (*named, *cases)])
    copied = {a: cases[b - len(named)].group for a, b in pairs if a < len(named) <= b}
    copied |= {b: copied[a] for a, b in pairs if a in copied and b < len(named)}

    def person(number: int, case: Case) -> str:
        if case.group != case.id:
            return case.group
        known = next((owners[file] for file in files_of(case.bare) if file in owners), None)
        return known or copied.get(number) or _person_in(case.id, people) or case.group

    people_of = [person(number, case) for number, case in enumerate(named)]
    # a copy of another of the named is of that one's person, under the name that it had before
    moved = {case.id: of for case, of in zip(named, people_of, strict=True) if case.group == case.id}
    return [replace(case, group=moved.get(of, of)) for case, of in zip(named, people_of, strict=True)]


def unknown_people(named: Sequence[Case], cases: Sequence[Case]) -> str:
    """A warning where `cases` say who is who, and nothing says it of some of the named; or where both say
    nearly the same, as 01 and 1; else "".
    """
    known = dict.fromkeys(case.group for case in cases)
    alike = nearly_alike({**known, **dict.fromkeys(case.group for case in named)})
    if alike != nearly_alike(known):
        return f"; {alike[0]}: write each in one way if it is one"
    if all(case.group == case.id for case in cases):
        return ""
    people = {case.group for case in cases}
    alone = [case.id for case in named if case.group == case.id and case.group not in people]
    if not alone:
        return ""
    return (
        f"; {some(alone)} counted as a person each, as nothing says whose they are: say it in a column "
        "group, or other scans of these people may be learnt from"
    )


def _person_in(name: str, people: Collection[str]) -> str | None:
    """The person whose name a case's begins with, and a mark or nothing follows; the longest of several."""
    return max((each for each in people if begins_with(name, each)), key=len, default=None)


def begins_with(name: str, person: str) -> bool:
    """Whether a name begins with another, and a mark or nothing follows."""
    return name.startswith(person) and not name[len(person) : len(person) + 1].isalnum()


def copies_among(cases: Sequence[Case], named: Sequence[Case]) -> list[str]:
    """Ids of the cases whose image is that of a named one, byte for byte, in another file."""
    pairs = find_duplicates([case.images for case in (*named, *cases)])
    copies = [cases[other - len(named)] for first, other in pairs if first < len(named) <= other]
    files = {file for case in named for file in files_of(case)}
    return [case.id for case in copies if not files_of(case) & files]


def files_of(case: Case) -> set[Path]:
    """Image and label files, links followed."""
    return {Path(os.path.realpath(path)) for path in case.files}
