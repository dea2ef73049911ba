"""What is said of cases that may be meant otherwise: whose they are, kinds of labels, folders beside."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...core.text import some
from ..io.formats import folders_in, list_images
from .case_folders import CaseFolder, beyond_name
from .case_numbers import LEADING
from .case_people import PERSONS
from .habits import (
    ANY_NUMBER,
    image_name,
    is_label_name,
    is_mask_folder,
    is_no_truth,
    is_nobody,
    plain_name,
    words_of,
)
from .listing import Entry, left_over
from .modalities import differ, modalities, of_others
from .pairing import Pairs, name_of

NUMBERED = frozenset(("b", "bval", "inv", "te", "ti", "echo", "phase"))  # with a number, contrasts
REMEDY = "list the files in a CSV, with columns image,label or, of several channels, image:t1,image:t2,label"


def nearly_alike(people: Iterable[str]) -> tuple[str, ...]:
    """A word about persons whose names differ by capitals or by how a number is written: 1, 01, 1.0."""
    called: dict[str, list[str]] = defaultdict(list)
    for person in people:
        called[LEADING.sub("", person.casefold().removesuffix(".0"))].append(person)
    alike = [" and ".join(names) for names in called.values() if len(names) > 1]
    return left_over("persons of their own that are called nearly alike", alike)


def kind_of(role: str) -> str:
    """What files are called alike, but for their numbers."""
    return ANY_NUMBER.sub("#", role.casefold())


def doubtful_people(entries: Sequence[Entry], apart: bool) -> tuple[str, ...]:
    """A word about folders taken for persons' that may as well be parts of the data, as of PROMISE12, or
    hospitals: they have no number, or are fewer than there are cases in one and not called as persons.

    Args:
        apart: whether an image is a case; else a folder is.
    """
    held = Counter(entry.group for entry in entries if entry.group)
    if max(held.values(), default=0) <= 1:
        return _doubtful_folders(entries, apart)
    several = [group for group, number in held.items() if number > 1]
    named = apart and any(group.casefold() in entry.stem.casefold() for group in several for entry in entries)
    repeated = not apart or len({entry.stem for entry in entries}) < len(entries)
    numbered = all(re.search(r"\d", group) for group in several)
    called = all(words_of(group) & {*PERSONS, "sub", "case", "p"} for group in several)  # p1, of many slices
    few = len(held) < max(held.values()) and not called
    if numbered and (named or (repeated and not few)):
        return ()
    listed = some([f"{group}: {number}" for group, number in held.items()])
    return (
        f"cases of a folder are taken as one person's ({listed}); if not, say who is who: `group_regex` '.+' "
        "makes a person of each case",
    )


def _doubtful_folders(entries: Sequence[Entry], apart: bool) -> tuple[str, ...]:
    """A word about cases that count as a person each: in folders that may be persons', as p1/scan7, or called
    alike in folders that are nobody's.
    """
    above = Counter(entry.images[0].parents[1].name for entry in entries)
    maybe = [name for name in above if re.search(r"\d", name) and not is_nobody(name)]
    if not apart and len(above) == len(maybe) > 1 and max(above.values()) > 1:
        return left_over(
            "folders whose cases are taken as of a person each; if not, list who is who in a CSV", maybe
        )
    stems = Counter(entry.stem for entry in entries if apart and not entry.group)
    alike = [stem for stem, number in stems.items() if number > 1]
    return left_over("called alike in several folders, and counted as a person each time", alike)


def mixed(what: str, roles: Sequence[str]) -> tuple[str, ...]:
    """A word about files that most cases call alike, and some otherwise: they may be of another kind."""
    kinds = Counter(map(kind_of, roles))
    if len(kinds) < 2 or max(kinds.values()) < max(2, len(roles) / 2):
        return ()
    listed = some([f"{kind}: {number}" for kind, number in kinds.most_common()])
    return (
        f"{what} are called in {len(kinds)} ways ({listed}), which are learnt as one kind; if they are not, "
        f"{REMEDY}",
    )


def numbered_channels(channels: Sequence[str]) -> tuple[str, ...]:
    """A word about channels that are called alike but for a number, as `ct_1` and `ct_2`."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in channels:
        if words_of(name) and words_of(name).isdisjoint(NUMBERED):
            alike[kind_of(name)].append(name)
    return tuple(
        f"channels are called alike but for a number ({some(names)}); if they are visits, or were taken "
        f"again, {REMEDY}"
        for names in alike.values()
        if len(names) > 1
    )


def mixed_modalities(stems: Iterable[str]) -> tuple[str, ...]:
    """A word about images of one channel that are called as of several modalities."""
    count = Counter(" ".join(sorted(modalities(stem))) for stem in stems)
    named = [said for said in count if said]
    if not any(differ({*one.split()}, {*other.split()}) for one in named for other in named):
        return ()
    listed = some([f"{said}: {count[said]}" for said in sorted(named)])
    return (
        f"images are called as of several modalities ({listed}), which are learnt as one kind; if they are "
        f"not, leave one kind in, or {REMEDY}",
    )


def mixed_labels(folders: Sequence[CaseFolder], entries: Sequence[Entry]) -> tuple[str, ...]:
    """The same of labels, by what their names say beyond those of their images."""
    roles = {
        path: role for folder in folders for role, path in (*folder.images.items(), *folder.labels.items())
    }
    labels = [
        beyond_name(roles[entry.label], roles[entry.images[0]])
        for entry in entries
        if entry.label in roles and len(entry.organs) < 2
    ]
    return mixed("labels", labels)


def other_modalities(entries: Iterable[Entry]) -> tuple[str, ...]:
    """A word about labels in the folder of one image that are called as of another: `ct` and `mr_seg`."""
    single = [(entry.images[0], entry.label) for entry in entries if entry.label and len(entry.images) == 1]
    others = [f"{label.name} of {image.name}" for image, label in of_others(single)]
    return left_over("labels that are called as of another modality than their image", others)


def folders_of_modalities(images: Iterable[Path], masks: Path) -> tuple[str, ...]:
    """The same of the folders of images and of masks: `CT` and `MR_labels`."""
    others = of_others((folder, masks) for folder in images)
    return tuple(
        f"{folder.name} and {masks.name} are called as of two modalities, and are paired by the names of "
        "their files; if these are not of the same images, name others with `images` and `masks`"
        for folder, masks in others
    )


def copies(folders: Sequence[CaseFolder]) -> tuple[str, ...]:
    """A word about folders in one beside the cases, as old/p1 beside p1, which are learnt from as well."""
    own = {folder.name for folder in folders if folder.name == folder.person}
    below = [each.name for each in folders if each.person in own and each.name.endswith(f"_{each.person}")]
    return left_over("folders called as others that lie above them, learnt from as well", below)


def unread_cases(folders: Sequence[CaseFolder]) -> tuple[str, ...]:
    """A word about folders in those of cases that hold images and labels themselves, as of a second visit."""
    unread = [
        f"{folder.name}/{inner.name}"
        for folder in folders
        for inner in folder.inner
        if not is_no_truth(inner.name)
        and len({is_label_name(beyond_name(name_of(path), folder.name)) for path in list_images(inner)}) == 2
    ]
    return left_over("folders in those of cases that are not read, with images and labels", unread)


def crossed(entries: Sequence[Entry]) -> tuple[str, ...]:
    """A word about listed labels that are called as another image, and not as their own: two columns were
    sorted differently, say.
    """
    names = {entry.images[0]: {entry.stem.casefold(), image_name(entry.stem).casefold()} for entry in entries}
    called = {(path.parent, name) for path, own in names.items() for name in own}
    labels = {entry.images[0]: entry.label for entry in entries if entry.label is not None}
    held = Counter(labels.values())
    marks = {path: plain_name(name_of(label)).casefold() for path, label in labels.items()}
    others = [
        f"{labels[path].name} of {path.name}"
        for path, mark in marks.items()
        if mark not in names[path] and (path.parent, mark) in called and held[labels[path]] == 1
    ]
    return left_over("labels that are called as another case's image, and not as their own", others)


def other_ends(pairs: Pairs) -> tuple[str, ...]:
    """A word about labels with an ending that is no usual one, as `.ai`, beside others without it."""
    others = [path.name for path in pairs.labels.values() if not name_of(path).endswith(pairs.suffix)]
    if not others or plain_name(f"x{pairs.suffix}") == "x":
        return ()
    return left_over(f"labels that do not end in {pairs.suffix}, as the others do", others)


def other_zeros(pairs: Pairs) -> tuple[str, ...]:
    """A word about labels whose numbers are written otherwise than those of their images: 1 and 001."""
    found = [
        f"{path.name} of {image}"
        for image, path in pairs.labels.items()
        if _differ_in_zeros(ANY_NUMBER.findall(image), ANY_NUMBER.findall(name_of(path)))
    ]
    return left_over("paired though their numbers are not written with the same zeros in front", found)


def _differ_in_zeros(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    return ours != theirs and list(map(int, ours)) == list(map(int, theirs))


def other_folders(data: Path, masks: Path, labels: Mapping[str, Path]) -> tuple[str, ...]:
    """A word about each other folder that is called as of masks and holds files called as the labels are."""
    return tuple(
        f"{folder.name} holds masks that are called as the labels of {masks.name} are, and is not read; name "
        "it with `masks` if it is meant"
        for folder in folders_in(data)
        if folder != masks
        and is_mask_folder(folder.name)
        and not labels.keys().isdisjoint(map(name_of, list_images(folder)))
    )


def inner_folders(folders: Sequence[Path], images: Sequence[Path]) -> tuple[str, ...]:
    """A word about folders in those of images that hold more, of which nothing is read."""
    inner = [path for folder in folders for path in folders_in(folder) if path not in images]
    unread = [
        path.name
        for path in inner
        if not is_no_truth(path.name) and any(map(Path.is_file, list_images(path)))
    ]
    return left_over("folders in that of the images that are not read", unread)
