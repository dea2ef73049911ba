"""Whether names of cases look as if several were of one person, and how to say so."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile

from ...core.errors import ConfigError
from ...core.text import some
from ..cases import Case, Dataset, match_group
from ..io.frames import patient_of
from ..oddity import Oddity

KIND = "people"

# A person's name, and what follows it where the person has several cases.
SLICES = "numbered slices"
SIGNS = {
    "left and right": (
        r".+?",
        r"(?:[-_. ]?(?:left|right|lh|rh|[lr])|[-_. ](?:o[ds]|(?:left|right)[-_. ].*))$",
    ),
    "several sessions": (r"sub-[A-Z0-9]+", r"_ses-[A-Z0-9]+.*$"),
    "several time points or slices": (
        r".+?",
        r"(?:[-_. ]?(?:visit|scan|time|tp|frame|slice|ses|img|IM)[-_. ]?\d+.*|[-_. ][vt]\d+)$",
    ),
    "several images": (r".*?(?:patient|pat|subject|subj|person)[-_. ]?\d+", r"[-_. ].*$"),
    "several phases or views": (
        r".+?",
        r"[-_. ](?:pre|post|baseline|follow-?up|ed|es|cc|mlo|[24]ch|axial|sagittal|coronal)$",
    ),
    "augmented copies": (
        r".+?",
        r"(?:\.rf\.[0-9a-f]+|[-_. ]+(?:aug|[hv]?flip|rot|mirror)[a-z]*[-_. ]?\d*)$",
    ),
    "several tiles of an image": (r".+?", r"[-_. ]+\[?x=?\d+[-_, ].*$"),
    "a number of a person and one of a case": (r"(?:\d+|[A-Z]+\d+)", r"[-_. ]\d+(?:[-_.].*)?$"),
    "a number of a person and a letter of a case": (r".*\d", r"[a-d]$"),
    SLICES: (r".*\d.*", r"[-_. ]\d+$"),
}
SIMPLE = (  # patterns for `group_regex`
    *(r"^([^_]+)", r"^([^-]+)", r"^([^.]+)", r"^(.+)_", r"^(.+)-", r"^(.+)[lrLR]$", r"^(.+)_(left|right)$"),
    *(r"^([A-Za-z]+[0-9]+)", r"^([0-9]+)", r"^(.+[0-9])[A-Za-z]+[0-9]+$"),
)
LEAST = 0.5  # share of the cases that must be in a group of several
DATE = re.compile(r"(?:19|20)\d\d[-_. ]?\d\d[-_. ]?\d\d$")  # is no number of a slice
NUMBERED = re.compile(r"\d+$")
FEW = 4  # long names before a number that are fewer are years or hospitals


def suggest_groups(ids: Sequence[str]) -> tuple[str, str, dict[str, list[str]]] | None:
    """The first sign that many of the names show: in words, as a regex, and the groups that it makes.

    The regex finds a person in every name: the whole name where the sign is not there.
    """
    for words, (person, rest) in SIGNS.items():
        pattern = f"(?i)^({person}(?={rest})|.+)"
        groups: dict[str, list[str]] = defaultdict(list)
        for name in ids:
            groups[match_group(pattern, name)].append(name)
        several = {person: names for person, names in groups.items() if len(names) > 1}
        if words == SLICES and any(DATE.search(name) for name in ids):
            continue
        many = sum(map(len, several.values())) >= LEAST * len(ids)
        if words == SLICES and several and _count_up(groups):
            many = True
        if many and len(groups) >= (FEW if words == SLICES else 2):
            return words, pattern, several
    return None


def _count_up(groups: Mapping[str, Sequence[str]]) -> bool:
    """Whether the names of each person end with numbers without a gap, from the same one on: 000, 001."""
    ends = [[NUMBERED.search(name) for name in names] for names in groups.values()]
    numbers = [sorted(int(end[0]) for end in own if end) for own in ends]
    first = min(numbers[0], default=0)
    return all(
        own == list(range(first, first + len(names)))
        for own, names in zip(numbers, groups.values(), strict=True)
    )


def simplest(ids: Sequence[str], pattern: str) -> str:
    """The first pattern that people can read and that parts all names as the given one does; else that."""

    def parted(by: str) -> list[str] | None:
        with suppress(ConfigError):  # it finds nobody in a name, and would be refused
            return [match_group(by, name) for name in ids]
        return None

    wanted = parted(pattern)
    candidates = (*SIMPLE, *_by_what_follows(ids, wanted or []))
    return next((simple for simple in candidates if parted(simple) == wanted), pattern)


def _by_what_follows(ids: Sequence[str], people: Sequence[str]) -> list[str]:
    """The pattern of all that stands before the one text that follows every person: `^(.+?)-IM-`."""
    rests = (name[len(person) :] for name, person in zip(ids, people, strict=False))
    texts = {"".join(takewhile(lambda c: not c.isdigit(), rest)) for rest in rests}
    if len(texts) != 1 or not (text := texts.pop()):
        return []
    return ["^(.+?)" + re.escape(text).replace(r"\-", "-")]


def doubtful_people(dataset: Dataset, given: bool) -> list[Oddity]:
    """What looks as if cases that count as several people were of one.

    Args:
        dataset: where a column of a CSV says who is who, names are not looked at.
        given: whether persons were named by the user in another way; then they are not either.
    """
    by_name = [] if given or dataset.people_told else likely_people(dataset)
    return [*by_name, *shared_patients(dataset)]


def likely_people(dataset: Dataset) -> list[Oddity]:
    """An oddity where cases, or the folders taken for persons', are called alike, and nobody has said who is
    who; also of scans without labels, which may be of people who validate.
    """
    known = [*dataset.cases, *dataset.unlabelled]
    labelled = {case.group for case in dataset.cases}
    names = list(dict.fromkeys(case.group for case in known))
    risk = "training and validation may share people"
    suggestion = suggest_groups([name for name in names if name in labelled])
    if suggestion is None and (suggestion := suggest_groups(names)) is not None:
        words, pattern, several = suggestion
        both = {one: own for one, own in several.items() if not labelled.isdisjoint(own)}
        suggestion = (words, pattern, both) if both else None
        risk = "scans without labels that are learnt from may be of people who validate"
    if suggestion is None:
        return []
    _, pattern, several = suggestion
    way = "a CSV with a group column says who is who"
    if all(case.id == case.group for case in known):
        way = (
            f"say `group_regex` '{simplest([case.id for case in known], pattern)}', whose brackets are the "
            f"person; if not, {way}"
        )
    listed = {name for names in several.values() for name in names}
    files = tuple(case.images[0] for case in known if case.group in listed)
    return [Oddity(KIND, f"{_look_like(suggestion)}: {risk}", f"if they are, {way}", files)]


def shared_patients(dataset: Dataset) -> list[Oddity]:
    """An oddity where DICOM files of cases that count as several people have one PatientID, but not all."""
    people: dict[str, dict[str, Case]] = defaultdict(dict)
    for case in (*dataset.cases, *dataset.unlabelled):
        if patient := patient_of(case.images[0]):
            people[patient].setdefault(case.group, case)
    several = [list(cases.values()) for cases in people.values() if len(cases) > 1]
    if len(people) < 2 or not several:
        return []
    named = some([f"{first.id} and {other.id}" for first, other, *_ in several], 3)
    return [
        Oddity(
            KIND,
            f"{named} have one PatientID each ({len(several)} such), and count as two people: training and "
            "validation may share people",
            "a CSV with a group column says who is who",
            tuple(case.images[0] for cases in several for case in cases),
        )
    ]


def people_among(ids: Sequence[str]) -> str:
    """The same of masks that are evaluated, in a sentence; "" where nothing shows."""
    suggestion = suggest_groups(ids)
    if suggestion is None:
        return ""
    pattern = simplest(ids, suggestion[1])
    return f"{_look_like(suggestion)}; if they are, say `group_regex` '{pattern}' for figures over people"


def _look_like(suggestion: tuple[str, str, dict[str, list[str]]]) -> str:
    words, _, several = suggestion
    person, names = next(iter(several.items()))
    return (
        f"names look like {words} of one person ({', '.join(names[:4])} as {person!r}; {len(several)} such), "
        "and each case counts as a person of its own"
    )
