"""Scans that are learnt from without labels: found, and kept apart from whoever validates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.config import Config
from ...core.errors import DataError
from ...core.text import some
from ..cases import Case, Dataset, in_named_order, read_case_csv, with_groups
from ..inputs import find_inputs
from ..io.readers import read_header, read_image
from .identity import copies_among, files_of, people_of, with_known_people
from .split import Split

if TYPE_CHECKING:
    from ..fingerprint import Fingerprint


def with_unlabelled(split: Split, dataset: Dataset, config: Config, seen: Fingerprint) -> Split:
    """The split with the images that are learnt from without labels, and a word about them in its note.

    Nobody who validates, is held out or kept aside is among them, nor anybody with a copy of their images,
    nor a copy of an image that trains. Headers are read, so that an image of another kind is known before.

    Args:
        split: who trains and validates.
        dataset: whose images without a mask are taken, unless the options name others.
        config: options.
        seen: what the training cases are like.

    Raises:
        DataError: the folder or CSV that is named cannot be used, or holds images of another kind.
    """
    choice = config.unlabelled.strip()
    if choice == "none" or not config.teacher.weight:
        return split
    named = choice != "auto"
    pool: Sequence[Case] = dataset.unlabelled
    if named:
        pool = _named_unlabelled(Path(choice), split, dataset, config, seen)
        if config.group_regex is None:
            whose = _of_data_set(dataset)
            known = (*whose, *dataset.held_out, *split.validation, *split.test)
            pool = with_known_people(pool, known)
    free = _of_others(pool, split, dataset)
    misfits = {case.id: reason for case in free if (reason := _misfit(case, seen))}
    if named and misfits:
        raise DataError(f"{choice}: {next(iter(misfits.values()))}; leave such images out")
    chosen = tuple(case for case in free if case.id not in misfits)
    if named and not chosen:
        raise DataError(
            f"{choice}: all {len(pool)} images train, validate, or are of people who validate; expected "
            "others to learn from without labels"
        )
    if not chosen:
        reason = next(iter(misfits.values()), "")
        why = f"; of {len(misfits)} without a label none is learnt from ({reason})" if misfits else ""
        return replace(split, note=f"{split.note}{why}")
    note = f"{split.note}; {_unlabelled_words(chosen)} as well"
    if left := len(pool) - len(free):
        note += f" ({left} left out: of people who {_apart(split)}, or copies)"
    if misfits:
        note += f"; left out, of another kind: {some(misfits)}"
    return replace(split, unlabelled=chosen, note=note)


def _of_data_set(dataset: Dataset) -> list[Case]:
    """All cases that say whose an image is, whether they have a part or not."""
    return [*dataset.cases, *dataset.others, *dataset.unlabelled]


def _apart(split: Split) -> str:
    """What the people do of whom no scan teaches."""
    sides = (("validate", split.validation), ("are held out", split.held_out), ("are kept aside", split.test))
    return " or ".join(words for words, cases in sides if cases) or "validate"


def _of_others(pool: Sequence[Case], split: Split, dataset: Dataset) -> list[Case]:
    """Cases of the pool of nobody who validates or is kept aside, nor files or copies of what trains."""
    held_out = (*split.validation, *split.unused, *split.held_out, *split.test)
    people = people_of(held_out, _of_data_set(dataset))
    if pool is not dataset.unlabelled:
        people |= people_of(held_out, pool)
    known = {file for case in (*split.training, *held_out) for file in files_of(case)}
    free = [case for case in pool if case.group not in people and not files_of(case) & known]
    copies = set(copies_among(free, split.training))
    return [case for case in free if case.id not in copies]


def _misfit(case: Case, seen: Fingerprint) -> str:
    """Why an image is of another kind than those that train; "" where it is not."""
    try:
        header = read_header(case.images)
        if (header.channels, seen.in_channels) == (3, 1):  # colour, of which only some are grey
            read_image(case.images, seen.in_channels)
            return ""
    except DataError as error:
        return str(error)
    fits = header.channels == seen.in_channels or (header.channels, seen.in_channels) == (1, 3)
    if len(header.shape) == seen.spatial_dims and fits:
        return ""
    return (
        f"{case.images[0]}: {len(header.shape)}D of {header.channels} channel(s), the images that train are "
        f"{seen.spatial_dims}D of {seen.in_channels}"
    )


def _unlabelled_words(cases: Sequence[Case]) -> str:
    people = {case.group for case in cases}
    if len(cases) == 1:
        return "1 image without a label is learnt from"
    of = "" if len(people) == len(cases) else f" of {len(people)} people"
    return f"{len(cases)} images without labels{of} are learnt from"


def _named_unlabelled(
    place: Path, split: Split, dataset: Dataset, config: Config, seen: Fingerprint
) -> list[Case]:
    """Images of a folder, or of a CSV with a column image; labels that a CSV names are not read."""
    first = split.training[0]
    names = first.channels or dataset.channel_names
    if place.suffix.lower() != ".csv":
        cases = with_groups(find_inputs([place], seen.in_channels, names), config.group_regex)
        return [_in_order(case, names, place, first) if case.channels else case for case in cases]
    cases = read_case_csv(place, group_regex=config.group_regex, bare=True)
    return [_in_order(case, names, place, first) for case in cases]


def _in_order(case: Case, names: Sequence[str], place: Path, first: Case) -> Case:
    """The case with its channels in the order of `names`, those of what trains, where it names them.

    Raises:
        DataError: it has others, or one side has no names for several.
    """
    if len(case.images) == 1 and not (case.channels and names):
        return case
    if not case.channels and not first.channels:  # both by number
        return case
    return in_named_order(case, names, place, first.images[0])
