"""People kept aside from a run: nothing learns from them or is chosen by them until it has ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.config import Config
from ...core.errors import ConfigError
from ...core.level import Level
from ...core.text import counted
from ..cases import Case, read_case_csv
from .draw import hold_out
from .identity import people_of, unknown_people, with_known_people
from .split import read_labelled, read_share

_NAME_OTHERS = "name others with a CSV in `train.test`, or use none"


@dataclass(frozen=True)
class Aside:
    """The labelled cases kept aside, the others, and what was decided ("" where nobody is kept aside)."""

    cases: tuple[Case, ...]
    others: tuple[Case, ...]
    note: str = ""
    level: Level = Level.INFO


def set_aside(
    cases: Sequence[Case], config: Config, known: Collection[str] = (), before: Collection[str] = ()
) -> Aside:
    """Take the people out of the labelled cases who are to be predicted once, when the run has ended.

    A share is drawn by the seed, whole people, none who validates by a CSV; a CSV names them itself, and who
    has a copy of one of its images is kept aside as well. No label is read.

    Args:
        cases: the labelled ones.
        config: the options.
        known: people whom the network that is trained on has learnt from already.
        before: people who were kept aside from that network: they stay so, and no others are drawn. Beside a
            CSV, those that it does not name are left out.

    Raises:
        ConfigError: the option is not understood, or leaves nobody to train or to keep aside, or fewer cases
            than `labels` asks for.
        DataError: the CSV cannot be used, or has a row without label.
    """
    choice = config.train.test.strip()
    if choice == "none" and not before:
        return Aside((), tuple(cases))
    validating = _validating(config, cases)
    if both := sorted(set(before) & {case.group for case in validating}):
        raise ConfigError(
            f"`train.validation` {config.train.validation}: {both[0]} was kept aside (`train.test`) from the "
            "network that is trained on; expected other people to validate"
        )
    if choice.lower().endswith(".csv"):
        return _named(cases, Path(choice), config, validating, known, before)
    share = 0.0 if choice == "none" else read_share(choice, "train.test", "or none")
    if before:
        stay = [case for case in cases if case.group in before]
        return _without(cases, stay, before, "as from the network that is trained on", config.labels)
    bound = (people_of(validating, cases) if validating else set()) | set(known)
    able = [case for case in cases if case.group not in bound]
    people = {case.group for case in cases}
    if not able or len(people) < 2:
        why = "there is one labelled person" if len(people) < 2 else "all validate, or have trained before"
        raise ConfigError(f"`train.test` {choice}: nobody can be kept aside, as {why}; {_NAME_OTHERS}")
    _, drawn = hold_out(able, min(share * len(cases) / len(able), 0.99), config.seed)
    drawn = drawn or able  # one person, and others train
    held = {case.group for case in drawn}  # copies of an image are of one person, as they were found
    return _without(cases, drawn, held, "drawn with the seed", config.labels)


def _named(
    cases: Sequence[Case],
    path: Path,
    config: Config,
    validating: Sequence[Case],
    known: Collection[str],
    before: Collection[str],
) -> Aside:
    named = read_labelled(path, config.group_regex, cases, "what is predicted is compared with it")
    both = sorted(people_of(named, validating) & {case.group for case in validating})
    if both:
        raise ConfigError(
            f"`train.test` {path}: {both[0]} validates as well (`train.validation`); expected other people; "
            "take the person out of one of the two"
        )
    people = people_of(named, cases) | set(before)
    aside = _without(cases, named, people, f"named in {path.name}", config.labels)
    doubts = "" if config.group_regex else unknown_people(named, cases)
    if {case.group for case in named} & set(known):
        doubts += "; the network that is trained on has learnt from some: their Dice is too good"
    return Aside(aside.cases, aside.others, aside.note + doubts, Level.WARNING) if doubts else aside


def _validating(config: Config, cases: Sequence[Case]) -> list[Case]:
    """Cases that a CSV names to validate."""
    choice = config.train.validation.strip()
    if not choice.lower().endswith(".csv"):
        return []
    named = read_case_csv(Path(choice), group_regex=config.group_regex)
    return named if config.group_regex else with_known_people(named, cases)


def _without(
    cases: Sequence[Case], aside: Sequence[Case], people: Collection[str], how: str, labels: int | None
) -> Aside:
    """Those cases aside; the others are of other people than these."""
    others = tuple(case for case in cases if case.group not in people)
    if not others:
        raise ConfigError("`train.test`: its people are all the labelled ones; leave some to train on")
    if (labels or 0) > len(others):
        raise ConfigError(
            f"`labels` {labels}: {counted(len(others), 'labelled case is', 'labelled cases are')} left to "
            f"draw from, as `train.test` keeps {len(aside)} aside; expected 1 to {len(others)}"
        )
    named = {case.group for case in aside}
    of = "" if len(named) == len(aside) else f" of {counted(len(named), 'person', 'people')}"
    verb = "is" if len(aside) == 1 else "are"
    note = (
        f"{counted(len(aside), 'case')}{of} {verb} kept aside ({how}), to be predicted once, when "
        "the run has ended"
    )
    left = len(cases) - len(others) - len({case.id for case in cases} & {case.id for case in aside})
    if left > 0:
        note += f"; {counted(left, 'other case')} of these people, or with a copy of their images, left out"
    return Aside(tuple(aside), others, note)
