"""Who trains and who validates: cases split by seed, never separating a group (the images of one person)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.config import Config
from ...core.errors import ConfigError, DataError
from ...core.level import Level
from ...core.text import counted, some
from ..cases import Case, read_case_csv
from .balance import Holds, balanced, covering
from .draw import by_id, draw_cases, hold_out, shuffled_groups
from .identity import copies_among, people_of, unknown_people, with_known_people
from .record import SplitCase, Splits

AUTO_SHARE = 0.2
AUTO_GROUPS = 5  # fewer people than this all train
AUTO_MOST = 20  # people; validation runs every round
AUTO_CASES = 40  # of these people
FEW_TO_VALIDATE = 4  # of fewer a Dice says little
_KNOWN = "the network that is trained on has learnt from the others already"
_NAME_OTHERS = "name other cases with `train.validation`"


@dataclass(frozen=True)
class Split:
    """Cases of a run; no person is in both. `note` says what was decided, `level` how much it matters.

    `unused` were to validate, but none of them holds a label. `unlabelled` are images to learn from without
    labels. `known` are cases of other runs that the network had learnt from before this one. `held_out` are
    of people of whom nothing is learnt, for they are predicted afterwards; `test` are kept aside from all.
    """

    training: tuple[Case, ...]
    validation: tuple[Case, ...]
    note: str
    unused: tuple[Case, ...] = ()
    unlabelled: tuple[Case, ...] = ()
    level: Level = Level.INFO
    known: tuple[SplitCase, ...] = ()
    test: tuple[Case, ...] = ()
    held_out: tuple[Case, ...] = ()

    def record(self) -> Splits:
        """As it is written; reads the files of all cases, but for those without labels."""
        return Splits(
            training=tuple(map(SplitCase.of, self.training)),
            validation=tuple(map(SplitCase.of, self.validation)),
            unlabelled=tuple(SplitCase.of(case, digest=False) for case in self.unlabelled),
            known=self.known,
            test=tuple(map(SplitCase.of, self.test)),
            held_out=tuple(map(SplitCase.of, self.held_out)),
        )


def split_cases(
    cases: Sequence[Case], config: Config, holds: Holds | None = None, known: Collection[str] = ()
) -> Split:
    """Draw the training and the validation cases.

    With `labels` N, exactly N cases train, and validation cases come from other people; without,
    the validation share is taken out of all cases. `auto` is a fifth of the people, at most 20, where
    there are at least five; of their cases at most 40, as many of each as can be.

    Args:
        cases: the labelled ones.
        config: the options.
        holds: reads which values a case's label holds; the draw then sees to it that what is learnt is also
            measured (see `balanced` and `covering`).
        known: people whom the network that is trained on has learnt from already: they do not validate.

    Raises:
        ConfigError: the validation option is not understood, or leaves nobody to train or validate on.
        DataError: the validation CSV cannot be used, or has a row without label.
    """
    choice = config.train.validation.strip()
    if choice.lower().endswith(".csv"):
        return _split_by_csv(cases, Path(choice), config, known)
    share = None if choice == "auto" else 0.0
    if choice not in ("none", "auto"):
        share = read_share(choice, "train.validation", "none or auto")
    if config.labels is not None:
        return _draw_both(cases, share, config, holds, known)
    return _hold_out_share(cases, share, config.seed, holds, known)


def _hold_out_share(
    cases: Sequence[Case], share: float | None, seed: int, holds: Holds | None, known: Collection[str]
) -> Split:
    """Validation cases taken out of all cases, the others train."""
    people = _people(cases)
    able = [case for case in cases if case.group not in known]
    if share == 0 or (share is None and people < AUTO_GROUPS):
        auto = f"auto asks for {AUTO_GROUPS} labelled people; found {people}"
        why = "validation none was asked for" if share == 0 else auto
        return Split(tuple(cases), (), _all_train(cases, why))
    if not able:
        return Split(tuple(cases), (), f"{_all_train(cases, _KNOWN)}; {_NAME_OTHERS}", level=Level.WARNING)
    wanted = (share or min(AUTO_SHARE, AUTO_MOST / people)) * len(cases) / len(able)
    _, validation = hold_out(able, min(wanted, 0.99), seed)
    if not validation and len(able) < len(cases):
        validation = able  # one person, and others train
    if not validation:
        return Split(tuple(cases), (), _all_train(cases, "one person"))
    held = {case.group for case in validation}
    training = [case for case in sorted(cases, key=by_id) if case.group not in held]
    if holds is not None:
        training, validation = balanced(training, validation, holds, seed, known)
    if share is None:
        validation = _some_of_each(validation, seed)
    words = _words(training, validation, "held out")
    if unused := len(cases) - len(training) - len(validation):
        words += f"; {counted(unused, 'more case')} of those who validate not used, to save time"
    return Split(tuple(training), tuple(validation), words)


def _some_of_each(cases: Sequence[Case], seed: int) -> list[Case]:
    """At most `AUTO_CASES` of the cases, as many of each person as can be."""
    return sorted(draw_cases(cases, min(len(cases), AUTO_CASES), seed), key=by_id)


def read_share(text: str, option: str, words: str) -> float:
    """A share between 0 and 1.

    Args:
        text: 0.2 or 20%.
        option: whose value it is.
        words: which the option takes besides, for the message.

    Raises:
        ConfigError: something else.
    """
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise ConfigError(
            f"`{option}` {text!r} is not understood; expected a .csv file of cases, a share such as 0.2 or "
            f"20%, {words}"
        )
    return value


def _split_by_csv(cases: Sequence[Case], path: Path, config: Config, known: Collection[str]) -> Split:
    """The validation cases of a CSV; cases of other people train."""
    validation = read_labelled(path, config.group_regex, cases, "validation needs one in each")
    copies, people = copies_among(cases, validation), people_of(validation, cases)
    pool = [case for case in cases if case.group not in people]
    if not pool:
        raise ConfigError(
            f"`train.validation` {path}: its people are all the labelled ones; leave some to train on"
        )
    training = draw_cases(pool, config.labels, config.seed) if config.labels else pool
    note = _words(training, validation, f"named in {path.name}")
    if copies:
        note += (
            f"; {some(copies)} in the training data has the image of a validation case, "
            "so its person does not train"
        )
    doubts = "" if config.group_regex else unknown_people(validation, cases)
    if people & set(known):
        doubts += f"; {_KNOWN}: their Dice is too good"
    level = Level.WARNING if doubts else Level.INFO
    return Split(tuple(training), tuple(validation), note + doubts, level=level)


def read_labelled(path: Path, group_regex: str | None, cases: Sequence[Case], why: str) -> list[Case]:
    """Cases of a CSV, each with a label, and of the person whom `cases` knows by its image.

    Raises:
        DataError: the CSV cannot be used, or has a row without label; `why` says what the label is for.
    """
    named = read_case_csv(path, group_regex=group_regex)
    bare = next((case for case in named if case.label is None), None)
    if bare is not None:
        raise DataError(f"{path}: the row of {bare.images[0]} names no label; {why}")
    return named if group_regex else with_known_people(named, cases)


def _draw_both(
    cases: Sequence[Case],
    share: float | None,
    config: Config,
    holds: Holds | None,
    known: Collection[str],
) -> Split:
    """N training cases, and validation cases of other people."""
    count = config.labels or 0
    training = draw_cases(cases, count, config.seed)
    people = {case.group for case in training}
    others = [case for case in cases if case.group not in people]
    rest = [case for case in others if case.group not in known]
    none = f"{counted(len(training), 'case trains', 'cases train')}, none validates"
    if share == 0:
        return Split(tuple(training), (), f"{none} (validation none was asked for)")
    if not rest and share is None:
        if others or len(people) < AUTO_GROUPS:
            why = _KNOWN if others else "no other person is labelled"
            return Split(tuple(training), (), f"{none} ({why})")
        note = (
            f"{none}: `labels` {count} takes all {len(people)} labelled people, of whom a fifth validate "
            f"where it is left out; lower it, or {_NAME_OTHERS}"
        )
        return Split(tuple(training), (), note, level=Level.WARNING)
    if not rest:
        raise ConfigError(
            f"`train.validation` {config.train.validation}: the {count} training cases of `labels` come from "
            f"all {len(people)} labelled people, and none is left to validate; lower `labels` or use none"
        )
    if share is None:
        wanted = max(1, min(round(AUTO_SHARE * _people(cases)), AUTO_MOST))
        validation = _some_of_each(_drawn_people(rest, wanted, training, config.seed, holds), config.seed)
    else:
        wanted = min(max(1, round(count * share)), len(rest))
        validation = draw_cases(rest, wanted, config.seed)
    words = _words(training, validation, "drawn from the other people")
    unused = len(cases) - len(training) - len(validation)
    if unused:
        words += f"; {counted(unused, 'labelled case')} not used: `labels` is {count}"
    return Split(tuple(training), tuple(validation), words)


def _drawn_people(
    cases: Sequence[Case], count: int, training: Sequence[Case], seed: int, holds: Holds | None
) -> list[Case]:
    """All cases of `count` people, chosen so that they hold the labels of the training cases."""
    groups = shuffled_groups(cases, seed)
    drawn, others = groups[:count], groups[count:]
    if holds is not None:
        drawn = covering({v for case in training for v in holds(case)}, drawn, others, holds)
    return [case for person in drawn for case in person]


def _people(cases: Sequence[Case]) -> int:
    return len({case.group for case in cases})


def _all_train(cases: Sequence[Case], why: str) -> str:
    who = "the only case trains" if len(cases) == 1 else f"all {len(cases)} cases train"
    return f"{who}, none validates ({why})"


def _words(training: Sequence[Case], validation: Sequence[Case], how: str) -> str:
    few = "; a Dice of so few people says little" if _people(validation) < FEW_TO_VALIDATE else ""
    trains = counted(len(training), "case trains", "cases train")
    if all(case.group == case.id for case in (*training, *validation)):
        return (
            f"{trains}, {len(validation)} validate ({how}){few}; each case counts as one "
            "person: if some are of the same one, say so with `group_regex` or a CSV's group column"
        )
    return (
        f"{len(training)} cases of {_people(training)} people train, {len(validation)} of "
        f"{_people(validation)} validate ({how}){few}"
    )
