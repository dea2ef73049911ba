"""Which label belongs to which image, from the stems of their files."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import DataError
from ...core.text import composed, counted, some
from ..io.formats import stem_of
from .habits import (
    ANY_NUMBER,
    IMAGE_WORDS,
    KIND_WORDS,
    LABEL_SET,
    NO_TRUTH,
    SEPARATORS,
    image_name,
    is_no_truth,
    plain_name,
    words_of,
)
from .modalities import without_modalities

# Words of images that say nothing of whose they are: `patient_1` pairs with `tumour_seg_1`.
NEUTRAL = frozenset(
    (
        *("patient", "pat", "subject", "subj", "sub", "person", "case", "exam", "study"),
        *("frame", "slice", "input", "raw", "orig", "original"),
    )
)
CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class Pairs:
    """Labels by image stem, the suffix that label stems carry, and what was left over."""

    labels: dict[str, Path]
    suffix: str
    images_left: tuple[str, ...]
    labels_left: tuple[str, ...]


def name_of(path: Path) -> str:
    """The stem that names a case: an ü is the same letter in one character, or in two as macOS writes it."""
    return composed(stem_of(path))


def by_stem(paths: Iterable[Path]) -> tuple[dict[str, Path], list[str]]:
    """Files by stem, the first of each, and the names of those whose stem was taken already."""
    first: dict[str, Path] = {}
    doubles = []
    for path in paths:
        stem = name_of(path)
        if stem in first:
            doubles.append(path.name)
        else:
            first[stem] = path
    return first, doubles


def pair(images: Iterable[str], labels: dict[str, Path], *, same_folder: bool = False) -> Pairs:
    """Pair image stems with label stems: equal ones, or label = image + one suffix common to all.

    The suffix that pairs most images is taken, an equal stem (no suffix) first. In one folder for
    both, labels are the files with a suffix, which a number alone is not, and the rest are images.

    Raises:
        DataError: two suffixes fit about equally well.
    """
    images = sorted(images)
    by_suffix = _suffixes(images, labels)
    if same_folder:
        by_suffix = {end: stems for end, stems in by_suffix.items() if re.search("[^\\W\\d_]", end)}
    suffix = _choose(by_suffix)
    stems = by_suffix.get(suffix, [])
    matched = {stem: labels[stem + suffix] for stem in stems}
    taken = {stem + suffix for stem in stems}
    images_left = [stem for stem in images if stem not in matched and not (same_folder and stem in taken)]
    labels_left = [] if same_folder else [stem for stem in sorted(labels) if stem not in taken]
    return Pairs(matched, suffix, tuple(images_left), tuple(labels_left))


def _suffixes(images: list[str], labels: dict[str, Path]) -> dict[str, list[str]]:
    """Every suffix (the empty one too) that turns an image's stem into a label's, with those image stems."""
    stems = set(images)
    by_suffix: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        cuts = [place for place, letter in enumerate(label) if letter in SEPARATORS and place > 0]
        for place in (*cuts, len(label)):
            if label[:place] in stems:
                by_suffix[label[place:]].append(label[:place])
    return dict(by_suffix)


def _choose(stems: dict[str, list[str]]) -> str:
    if not stems:
        return ""
    best, *others = sorted(stems, key=lambda suffix: (-len(stems[suffix]), suffix))
    if "" in stems and len(stems[""]) == len(stems[best]):
        return ""
    rivals = [suffix for suffix in others if suffix and 2 * len(stems[suffix]) > len(stems[best])]
    rivals = [suffix for suffix in rivals if not _beside(stems, best, suffix)]
    if best and rivals:
        kinds = (best, *rivals)
        images = sorted({stem for kind in kinds for stem in stems[kind]})
        # The image with most of them: beside x_seg and x_seg-auto, x_seg looks like an image as well.
        image = max(images, key=lambda stem: sum(stem in stems[kind] for kind in kinds))
        own = [kind for kind in kinds if image in stems[kind]]
        shown = (own if len(own) > 1 else kinds)[:3]
        endings = " or ".join(f"{kind!r} ({counted(len(stems[kind]), 'file')})" for kind in shown)
        raise DataError(
            f"{image}: more than one kind of label fits it, ending in {endings}; expected one per "
            "image; put each kind in a folder of its own and name it with `masks`, or list the pairs in a CSV"
        )
    return best


def _beside(stems: dict[str, list[str]], best: str, other: str) -> bool:
    """Whether two endings are usual ones of labels, and no image has both."""
    usual = plain_name(f"x{best}") == plain_name(f"x{other}") == "x"
    return usual and not set(stems[best]) & set(stems[other])


def with_usual_names(
    pairs: Pairs, images: Iterable[str], labels: dict[str, Path], same_folder: bool
) -> Pairs:
    """Pairs with those that names tell alone.

    These are labels with another of the usual words behind their image's name than most have, and, where
    nothing pairs, names that are equal without such words in front of them or behind.

    Args:
        pairs: by equal names or a common ending.
        images: stems of all images.
        labels: all of them by stem.
        same_folder: whether both lie in one folder, so that images are among the labels.

    Raises:
        DataError: two labels fit one image, or two images one label.
    """
    named = {stem: plain_name(stem) for stem in labels}
    marked = {stem for stem, name in named.items() if stem != name} if same_folder else set(labels)
    free = {stem for stem in marked if labels[stem] not in pairs.labels.values()}
    scans = [stem for stem in images if not (same_folder and stem in marked)]
    if pairs.labels:
        found = _fitting({stem: stem for stem in scans}, {stem: named[stem] for stem in free})
        first = dict(pairs.labels)
    else:
        bare = {stem: image_name(stem).casefold() for stem in scans}
        found = _fitting(bare, {stem: named[stem].casefold() for stem in marked})
        first = {}
    for image, stems in found.items():
        files = {labels[stem] for stem in stems} | ({first[image]} if image in first else set())
        if len(files) > 1:
            listed = some(sorted(path.name for path in files))
            raise DataError(
                f"{min(files).parent}: {listed} are all named as labels of {image}; expected one for each "
                "image; put each kind in a folder of its own and name it with `masks`, or list the pairs in "
                "a CSV with columns image,label"
            )
    more = {image: labels[stems[0]] for image, stems in found.items() if image not in first}
    taken = {*first.values(), *more.values()}
    used = {stem for stem, path in labels.items() if path in taken}
    return Pairs(
        {**first, **more},
        pairs.suffix,
        tuple(stem for stem in pairs.images_left if stem not in more and not (same_folder and stem in used)),
        tuple(stem for stem in pairs.labels_left if stem not in used),
    )


def _fitting(images: dict[str, str], labels: dict[str, str]) -> dict[str, list[str]]:
    """Stems of the labels that have the name of an image, by the image's stem.

    Args:
        images, labels: what each stem is called without words.

    Raises:
        DataError: two images have one name, and a label has it too.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    for stem, name in labels.items():
        by_name[name].append(stem)
    holders: dict[str, str] = {}
    for stem, name in images.items():
        other = holders.setdefault(name, stem)
        if other != stem and name in by_name:
            raise DataError(
                f"{by_name[name][0]}: fits two images by its name, {other} and {stem}; expected one; leave "
                "out what is not to be learnt from, name channels _0000, _0001, or list the pairs in a CSV "
                "with columns image,label"
            )
    return {stem: sorted(by_name[name]) for name, stem in holders.items() if name in by_name}


def by_what_differs(images: Sequence[str], labels: dict[str, Path]) -> Pairs:
    """Pairs by what is left of names without the beginning and ending that all of one kind share, as
    `21_training` and `21_manual1`; nothing unless all of one kind pair, and what all labels share says that
    they are labels, and no other person's.
    """
    (scans, own), (marks, shared) = differing(list(images)), differing(list(labels))
    whole = len(scans) == len(images) > 1 and len(marks) == len(labels) > 1
    told = not words_of(shared).isdisjoint(LABEL_SET | KIND_WORDS) and not _contradict(own, shared)
    if not whole or not told or not (scans.keys() <= marks.keys() or marks.keys() <= scans.keys()):
        return Pairs({}, "", tuple(images), tuple(labels))
    return Pairs(
        {stem: labels[marks[own]] for own, stem in scans.items() if own in marks},
        "",
        tuple(stem for own, stem in scans.items() if own not in marks),
        tuple(stem for own, stem in marks.items() if own not in scans),
    )


def _contradict(images: str, labels: str) -> bool:
    """Whether what all images share and what all labels share name two persons, or train and test: each has
    a number, or a word that says no kind, that the other has not. Modalities are compared on their own.
    """
    numbers, others = (set(map(int, ANY_NUMBER.findall(text))) for text in (images, labels))
    ours, theirs = (words_of(without_modalities(text)) for text in (images, labels))
    apart = ours - theirs - {*IMAGE_WORDS, *NEUTRAL}, theirs - ours - LABEL_SET - KIND_WORDS
    return bool(numbers - others and others - numbers) or all(apart)


def differing(stems: Sequence[str]) -> tuple[dict[str, str], str]:
    """Each stem by what it does not share with all (a number, a word stay whole), and what all share."""
    front = os.path.commonprefix(stems).rstrip("0123456789")  # noqa: RUF071 - letters are meant
    behind = os.path.commonprefix([stem[::-1] for stem in stems])[::-1]  # noqa: RUF071
    ending = re.search(f"[{re.escape(SEPARATORS)}].*", behind)
    tail = ending[0] if ending else ""
    return {stem[len(front) : len(stem) - len(tail)]: stem for stem in stems}, f"{front} {tail}"


def called_as_labels(files: Iterable[Path]) -> list[Path]:
    """Files that are called as others, and a word for labels: `ct_1_seg` beside `ct_1`, `mask_1` beside
    `img_1`.
    """
    stems = {path: name_of(path) for path in files}
    marked = {path: plain for path, stem in stems.items() if (plain := plain_name(stem)) != stem}
    scans = [stem for path, stem in stems.items() if path not in marked]
    bases = [match[1] for stem in scans if (match := CHANNEL.fullmatch(stem))]
    names = {name.casefold() for name in (*scans, *bases, *map(image_name, scans))}
    return [path for path, name in marked.items() if name.casefold() in names]


def labels_beside(files: Iterable[Path]) -> list[Path]:
    """The same, and what may be labels or predictions by more of their names: `ct_1_gmseg_manual`,
    `ct_1_brainmask`, `ct_1_uncertainty`; and `label` beside whatever else.
    """
    stems = {path: name_of(path) for path in files}
    called = set(called_as_labels(stems))
    scans = {stem for stem in stems.values() if plain_name(stem) == stem}
    bare = {path for path, stem in stems.items() if stem.casefold() in LABEL_SET}
    called |= bare if len(bare) < len(stems) else set()
    return [path for path, stem in stems.items() if path in called or _goes_on_as_label(stem, scans)]


def _goes_on_as_label(stem: str, scans: Set[str]) -> bool:
    """Whether a name is that of a scan with words behind it of which one says that it is a label."""
    ends = (place for place, letter in enumerate(stem) if letter in SEPARATORS and stem[:place] in scans)
    behind = stem[next(ends, len(stem)) :].lower()
    parts = re.split(f"[{re.escape(SEPARATORS)}]", behind)
    return any(part in LABEL_SET | NO_TRUTH or part.endswith(("seg", "mask")) for part in parts)


def without_computed(files: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Files without those that are called as predictions or overlays, whose names are told; all where all
    are.
    """
    kept = [path for path in files if not is_no_truth(name_of(path))]
    return (kept, [path.name for path in files if path not in {*kept}]) if kept else (list(files), [])


def by_plain_name(labels: dict[str, Path]) -> dict[str, Path]:
    """Labels by their names without words such as `_seg`; nothing where two have one name."""
    found = {plain_name(stem): path for stem, path in labels.items()}
    return found if len(found) == len(labels) else {}


@dataclass(frozen=True)
class Numbered:
    """Files `x_0000`, `x_0001`, ... as {x: {0: first, 1: second, ...}}.

    Attributes:
        groups: these.
        others: files of other names.
        doubles: names of files whose stem was taken already.
    """

    groups: dict[str, dict[int, Path]]
    others: tuple[Path, ...]
    doubles: tuple[str, ...]


def group_channels(paths: Iterable[Path]) -> Numbered:
    """Files by the number behind their names."""
    first, doubles = by_stem(paths)
    groups: dict[str, dict[int, Path]] = defaultdict(dict)
    others = []
    for stem, path in first.items():
        if match := CHANNEL.fullmatch(stem):
            groups[match[1]][int(match[2])] = path
        else:
            others.append(path)
    return Numbered(dict(groups), tuple(others), tuple(doubles))


def in_order(channels: dict[int, Path]) -> tuple[Path, ...]:
    """Channel files by their number.

    Raises:
        DataError: a number is missing.
    """
    if sorted(channels) != list(range(len(channels))):
        numbers = some([f"_{number:04d}" for number in sorted(channels)])
        raise DataError(
            f"{channels[min(channels)]}: the channels of this case are {numbers}; expected _0000, _0001, ... "
            "without a gap; add the missing channel or rename the files"
        )
    return tuple(channels[number] for number in sorted(channels))
