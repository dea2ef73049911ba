"""Whom a network has learnt from, as far as the run folder that it lies in says, found among new scans."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..core.config import load_config
from ..core.errors import ConfigError, DataError, one_line
from ..core.run_folder import CONFIG_FILE, run_folder_of
from ..core.text import some
from ..data.cases import Case, match_group
from ..data.splits.record import SPLITS, SplitCase, Splits, read_splits


def regex_of(model: Path) -> str | None:
    """What names the people in the run that the model lies in; None where it lies in none.

    Raises:
        ConfigError: the options of the run cannot be read.
    """
    folder = run_folder_of(model)
    there = all((folder / name).is_file() for name in (CONFIG_FILE, SPLITS.name))
    return load_config(folder / CONFIG_FILE).group_regex if there else None


def learnt_from(models: Sequence[Path]) -> list[SplitCase]:
    """The cases that models were trained on, as far as their run folders say."""
    return [entry for splits in _splits_of(models) for entry in splits.learnt_from]


def validated_with(models: Sequence[Path]) -> list[SplitCase]:
    """The cases by whose Dice models were chosen, as far as their run folders say."""
    return [entry for splits in _splits_of(models) for entry in splits.validation]


def labels_of(models: Sequence[Path]) -> list[Path]:
    """Files of the labels that their runs learnt from or measured by, as far as their run folders say."""
    return [
        file
        for splits in _splits_of(models)
        for entry in (*splits.learnt_from, *splits.validation, *splits.test, *splits.held_out)
        for file in entry.case.files[len(entry.images) :]
    ]


def _splits_of(models: Sequence[Path]) -> Iterator[Splits]:
    for model in models:
        with suppress(DataError):  # a splits.json that is damaged keeps nobody from predicting
            splits = read_splits(run_folder_of(model))
            if splits is not None:
                yield splits


def other_scans_of_the_trained(
    cases: Sequence[Case], known: Collection[str], models: Sequence[Path], entries: Sequence[SplitCase]
) -> list[str]:
    """A sentence where people trained the network, whose other scans are segmented now.

    They are known by the `group_regex` of the run; without one, nothing is said.

    Args:
        cases: that are segmented.
        known: ids of those that trained the network themselves.
        models: their run folders are asked for the regex.
        entries: whom they have learnt from.
    """
    trained = {entry.group or entry.id for entry in entries}
    found: dict[str, str] = {}  # id of a case -> person
    for model in models:
        with suppress(ConfigError, DataError):  # it is a word about the masks, which are made without it
            pattern = regex_of(model)
            for case in cases:
                if case.id not in known and (person := _person(pattern, case.id)) in trained:
                    found[case.id] = person
    if not found:
        return []
    people = sorted(set(found.values()))
    one = len(people) == 1
    return [
        f"other scans of {some([one_line(name) for name in people])} trained the model, and {len(found)} of "
        f"these {len(cases)} images {'is' if len(found) == 1 else 'are'} of "
        f"{'that person' if one else 'these people'}, by name: masks of new people will be less good"
    ]


def _person(pattern: str | None, name: str) -> str:
    """By the regex; "" where it finds nobody."""
    if pattern is None:
        return ""
    try:
        return match_group(pattern, name)
    except ConfigError:
        return ""
