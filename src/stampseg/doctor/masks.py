"""What masks hold, and cases that are the same image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ..core.text import counted, some
from ..data.labels.label_table import LabelTable
from ..data.labels.organs import first_of
from ..data.splits.split import Split
from ..run.rare_labels import SELDOM, SELDOM_FIX, seldom_text
from .facts import CaseFacts
from .finding import Finding, finding

RARE = 2  # cases
MANY = 1 / 3  # of the masks: they are a kind of scan here, and no slip
SWAPPED_MOST = 0.4  # share of a mask that the structure of all others has at most, where one may be swapped
SWAPPED_ROOM = 1.5  # beyond the others' range


def find_one_valued(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Masks of one value, where others hold more: the background, or what fills the image."""
    labelled = [f for f in facts if f.labels]
    usual = Counter(value for f in labelled for value in f.labels)
    if len(usual) < 2:
        return []
    background = 0 if 0 in usual else max(usual, key=lambda value: (usual[value], -abs(value)))
    alone = [f for f in labelled if len(f.labels) == 1]
    empty = [str(f.case.label) for f in alone if background in f.labels]
    full = [str(f.case.label) for f in alone if background not in f.labels]
    fix = "right where the structure is absent; else label the case, or leave it out"
    filled = "right where the structure fills the image; else label the case, or leave it out"
    return [
        *_of_masks(empty, len(labelled), "empty-mask", "background only", fix),
        *_of_masks(full, len(labelled), "labels", "one value everywhere, which is not background", filled),
    ]


def _of_masks(files: Sequence[str], count: int, code: str, what: str, fix: str) -> list[Finding]:
    """One finding for each file, or for all together where they are many of `count` masks."""
    if len(files) > MANY * count:
        words = f"{len(files)} of {count} masks hold {what} ({some(files, 3)})"
        return [finding(code, words, fix, files)]
    return [finding(code, f"{name}: holds {what}", fix, [name]) for name in files]


def find_swapped(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Masks of two values of which the one has in most others about the share that the other has here."""
    two = [f for f in facts if len(f.labels) == 2]
    values = {frozenset(f.labels) for f in two}
    if len(values) != 1 or len(two) <= RARE + 1:
        return []
    low, high = sorted(values.pop())
    shares = [(f, f.labels[high] / (f.labels[low] + f.labels[high])) for f in two]
    others = sorted(share for _, share in shares if share < SWAPPED_MOST)
    odd = [(f, share) for f, share in shares if share > 1 - SWAPPED_MOST]
    if len(others) < len(two) * (1 - MANY):
        return []
    return [
        finding(
            "labels",
            f"{f.case.label}: {share:.0%} of it is {high}, and {others[0]:.0%} to {others[-1]:.0%} of the "
            "others",
            "are its values swapped? exchange them, or leave the case out",
            [str(f.case.label)],
        )
        for f, share in odd
        if others[0] / SWAPPED_ROOM <= 1 - share <= others[-1] * SWAPPED_ROOM
    ]


def find_shown_labels(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Images of which each value stands for one of the label: masks that were saved as images."""
    return [
        finding(
            "label-shown",
            f"{f.image}: one value for each label, and nothing else, as if it were the mask that "
            f"{first_of(f.case.label_files or ())} holds in other numbers",
            "is it the scan? put the scan in its place, or leave the case out: what is learnt from it is of "
            "no use on scans",
            [f.image, first_of(f.case.label_files or ())],
        )
        for f in facts
        if f.shows_label
    ]


def find_same_masks(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Masks that are the same to the last voxel, of images that are not, and of different people."""
    same: dict[tuple[str, tuple[int, ...]], list[CaseFacts]] = defaultdict(list)
    for f in facts:
        if f.drawn:
            same[f.drawn, f.shape].append(f)
    return [
        finding(
            "labels",
            f"{group[0].case.label}: the same mask as that of {some([f.case.id for f in group[1:]])}, of "
            "other images",
            "is it that of another case? draw it anew; if they are of one person, give them one group",
            [str(f.case.label) for f in group],
        )
        for group in same.values()
        if len({f.voxels for f in group}) > 1 and len({f.case.group for f in group}) > 1
    ]


def find_rare(facts: Sequence[CaseFacts], table: LabelTable, split: Split) -> list[Finding]:
    """Classes in few cases, or in no validation case."""
    by_id: Mapping[str, CaseFacts] = {f.case.id: f for f in facts}
    findings = []
    for value, name in list(zip(table.values, table.names, strict=True))[1:]:
        holders = [f for f in facts if value in f.labels]
        if 0 < len(holders) <= RARE < len(facts):
            where = ", ".join(f.case.id for f in holders)
            findings.append(
                finding(
                    "rare-class",
                    f"class {value} ({name}) occurs in {len(holders)} of {len(facts)} cases ({where})",
                    "a stray value? clean it; a rare structure? label more of it, else it is hardly learnt",
                    [str(f.case.label) for f in holders],
                )
            )
        elif 0 < len(holders) < SELDOM * len(facts):
            findings.append(
                finding(
                    "seldom-class",
                    seldom_text(name, len(holders), len(facts)),
                    SELDOM_FIX,
                    [str(f.case.label) for f in facts if f not in holders],
                )
            )
        validation = (*split.validation, *split.unused)
        validating = [by_id[case.id] for case in validation if case.id in by_id]
        if validating and holders and not any(value in f.labels for f in validating):
            findings.append(
                finding(
                    "unvalidated-class",
                    f"class {value} ({name}) occurs in no validation case",
                    "its Dice will not be known while training: name cases that have it with "
                    "`train.validation` CSV, or another `seed`",
                )
            )
    return findings


def find_twins(facts: Sequence[CaseFacts], split: Split | None) -> list[Finding]:
    """Images of the same voxels under other names; those that train and validate make validation lie."""
    same: dict[tuple[str, tuple[int, ...]], list[CaseFacts]] = defaultdict(list)
    for f in facts:
        same[f.voxels, f.shape].append(f)
    parts = {}
    if split is not None:
        parts = {case.id: "training" for case in split.training}
        parts |= {case.id: "validation" for case in split.validation}
        parts |= {case.id: "test" for case in split.test}
    findings = []
    for group in same.values():
        people = {f.case.group for f in group}
        if len(group) < 2 or any(f.constant for f in group):
            continue
        leaks = len({parts[f.case.id] for f in group if f.case.id in parts}) > 1
        names = ", ".join(f.case.id for f in group[:5])
        if leaks and len(people) > 1:
            findings.append(
                finding(
                    "leak",
                    f"{group[0].image}: the same voxels as {counted(len(group) - 1, 'other case')} "
                    f"({names}), and some train while others validate or are kept aside",
                    "delete the copies, or give them one person in a CSV's group column",
                    [f.image for f in group],
                )
            )
        else:
            findings.append(
                finding(
                    "twin",
                    f"{group[0].image}: the same voxels as {counted(len(group) - 1, 'other case')} ({names})",
                    "delete the copies: they count twice",
                    [f.image for f in group],
                )
            )
    return findings
