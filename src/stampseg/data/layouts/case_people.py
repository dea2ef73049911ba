"""Whose folders of cases are where they lie in folders: of a person with visits, or of a grade or site."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from .habits import is_nobody, words_of

PERSONS = frozenset(("patient", "pat", "subject", "subj", "person"))
Parts = tuple[str, ...]  # names of the folders from the data down to the files
DATE = re.compile(r"(?:19|20)\d\d(?:[-_.]?\d\d){0,2}")


def names_and_people(places: Sequence[Parts]) -> list[tuple[str, str]]:
    """What each place is called, and the person, "" where the folders name nobody.

    Folders that are called as parts of the data (`train`) or findings (`benign`), and as dates where all of
    one depth are, are nobody's. Of the others a folder is a person's where those in it are called as those in
    others, or as it and something beyond, or where there are more such folders than any holds; of a grade or
    site otherwise.
    """
    kept = _kept(places)
    levels = {parts: kept[parts][-1] for parts in places}
    for group in _alike(places, lambda parts: len(kept[parts])):
        named = {parts: tuple(parts[i] for i in kept[parts]) for parts in group}
        depth = _depth_of_people(set(named.values()))
        levels |= {parts: kept[parts][depth - 1] for parts in group}
    people = ["" if is_nobody(parts[levels[parts]]) else parts[levels[parts]] for parts in places]
    short = [
        parts[-1] if parts[-1].startswith(person) else "_".join(parts[levels[parts] :])
        for parts, person in zip(places, people, strict=True)
    ]
    count = Counter(short)
    names = [name if count[name] == 1 else "_".join(parts) for name, parts in zip(short, places, strict=True)]
    return list(zip(names, people, strict=True))


def _kept(places: Sequence[Parts]) -> dict[Parts, list[int]]:
    """Indices of the folders that may be somebody's; the last where none may."""
    kept = {}
    for group in _alike(places, len):
        dated = [all(map(DATE.fullmatch, names)) for names in zip(*group, strict=True)]
        for parts in group:
            own = [i for i, name in enumerate(parts) if not dated[i] and not is_nobody(name)]
            kept[parts] = own or [len(parts) - 1]
    return kept


def _depth_of_people(paths: set[Parts]) -> int:
    """How many folders it is down to a person's, in paths of one length."""
    length = people = len(next(iter(paths)))
    while length > 1:
        if _are_of_people(paths):
            people = length - 1
        elif len({path[:-1] for path in paths}) < len(paths):
            break
        paths = {path[:-1] for path in paths}
        length -= 1
    return people


def _are_of_people(paths: Iterable[Parts]) -> bool:
    """Whether the folders next above the last are persons."""
    paths = list(paths)
    named = [all(not words_of(path[i]).isdisjoint(PERSONS) for path in paths) for i in (-2, -1)]
    if named[0] != named[1]:  # both in patient1/patient1_1, of which the second are visits
        return named[0]
    repeated = max(Counter(path[-1] for path in paths).values()) > 1
    called = all(path[-1].startswith(path[-2]) for path in paths)
    held = Counter(path[:-1] for path in paths)
    return repeated or called or len(held) > max(held.values()) > 1


def _alike(places: Iterable[Parts], key: Callable[[Parts], int]) -> list[list[Parts]]:
    groups: dict[int, list[Parts]] = defaultdict(list)
    for parts in places:
        groups[key(parts)].append(parts)
    return list(groups.values())
