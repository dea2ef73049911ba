"""Drawing and splitting cases by seed, never separating a group (the images of one person)."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.config import Config
from ...core.errors import ConfigError, DataError
from ...core.json_file import JsonFile
from ...core.level import Level
from ...core.options import FileRecord
from ...core.text import counted, some
from ..cases import Case, read_case_csv
from ..io.formats import data_files
from .balance import Holds, balanced, covering
from .identity import copies_among, people_of, unknown_people, with_known_people

AUTO_SHARE = 0.2
AUTO_GROUPS = 5  # fewer people than this all train
AUTO_MOST = 20  # people; validation runs every round
AUTO_CASES = 40  # of these people
FEW_PEOPLE = 4  # of fewer a Dice says little
_KNOWN = "the network that is trained on has learnt from the others already"
_NAME_OTHERS = "name other cases with `train.validation`"


def draw_cases(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """Draw `count` cases, one of each group while groups last, then a second of each, and so on.

    The draw depends on ids, groups and seed, not on the order of `cases`. A smaller draw with the same
    seed is the beginning of a larger one.

    Raises:
        ConfigError: `count` is below 1 or more than there are.
    """
    if not 1 <= count <= len(cases):
        raise ConfigError(
            f"`labels` {count}: {len(cases)} labelled cases are there; expected 1 to {len(cases)}"
        )
    rounds: list[list[Case]] = []
    for members in _shuffled_groups(cases, seed):
        for turn, case in enumerate(members):
            if turn == len(rounds):
                rounds.append([])
            rounds[turn].append(case)
    return [case for turn in rounds for case in turn][:count]


def hold_out(cases: Sequence[Case], share: float, seed: int) -> tuple[list[Case], list[Case]]:
    """Split into (training, held out), whole groups, as near to `share` of the cases as groups allow.

    At least one group is held out and at least one is left; with a single group, or a share of 0,
    nothing is held out.

    Raises:
        ConfigError: a share below 0 or not below 1.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"`train.validation` {share:g}: expected a share from 0 to below 1, such as 0.2")
    groups = _shuffled_groups(cases, seed)
    if share == 0 or len(groups) < 2:
        return sorted(cases, key=_by_id), []
    wanted, held_out = share * len(cases), list[list[Case]]()
    for members in groups:
        count = sum(map(len, held_out))
        if len(held_out) < len(groups) - 1 and abs(count + len(members) - wanted) < abs(count - wanted):
            held_out.append(members)
    held_out = held_out or [min(groups, key=len)]
    names = {members[0].group for members in held_out}
    ordered = sorted(cases, key=_by_id)
    return [c for c in ordered if c.group not in names], [c for c in ordered if c.group in names]


def _by_id(case: Case) -> str:
    return case.id


def _shuffled_groups(cases: Sequence[Case], seed: int) -> list[list[Case]]:
    """Groups in random order, their cases in random order."""
    members: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=_by_id):
        members[case.group].append(case)
    generator = random.Random(seed)
    groups = [members[group] for group in sorted(members)]
    for group in groups:
        generator.shuffle(group)
    generator.shuffle(groups)
    return groups


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
    training = [case for case in sorted(cases, key=_by_id) if case.group not in held]
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
    return sorted(draw_cases(cases, min(len(cases), AUTO_CASES), seed), key=_by_id)


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
    groups = _shuffled_groups(cases, seed)
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
    few = "; a Dice of so few people says little" if _people(validation) < FEW_PEOPLE else ""
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


class SplitCase(FileRecord):
    """A case in splits.json; its paths are good from anywhere. Older runs know less of it."""

    id: str
    group: str | None = None
    images: tuple[Path, ...] = ()
    label: Path | None = None
    organs: tuple[tuple[str, Path], ...] = ()  # where each has a mask of its own
    digest: str | None = None  # of what is in the files
    image_digest: str | None = None  # of what is in the image files

    @classmethod
    def of(cls, case: Case, *, digest: bool = True) -> SplitCase:
        """A case; reads its files for the digest."""
        return cls(
            id=case.id,
            group=case.group,
            images=tuple(path.absolute() for path in case.images),
            label=case.label.absolute() if case.label is not None else None,
            organs=tuple((name, path.absolute()) for name, path in case.organs),
            digest=digest_of(case.files) if digest else None,
            image_digest=digest_of(case.images) if digest else None,
        )

    @property
    def case(self) -> Case:
        """As a case; whether its files are there is not looked at."""
        return Case(self.id, self.group or self.id, self.images, self.label, self.organs)


class Splits(FileRecord):
    """Who trained, who validated, and whose scans were learnt from without labels."""

    training: tuple[SplitCase, ...] = ()
    validation: tuple[SplitCase, ...] = ()
    unlabelled: tuple[SplitCase, ...] = ()  # without digests: there may be very many
    known: tuple[SplitCase, ...] = ()  # who trained the network that was pruned, in other runs
    test: tuple[SplitCase, ...] = ()  # kept aside from all of these, predicted when the run had ended
    held_out: tuple[SplitCase, ...] = ()  # of the same fold: predicted when the run had ended

    @property
    def learnt_from(self) -> tuple[SplitCase, ...]:
        """Cases whose labels the network has seen."""
        return (*self.training, *self.known)

    @classmethod
    def of(cls, split: Split) -> Splits:
        """As it is written; reads the files of all cases."""
        return cls(
            training=tuple(map(SplitCase.of, split.training)),
            validation=tuple(map(SplitCase.of, split.validation)),
            unlabelled=tuple(SplitCase.of(case, digest=False) for case in split.unlabelled),
            known=split.known,
            test=tuple(map(SplitCase.of, split.test)),
            held_out=tuple(map(SplitCase.of, split.held_out)),
        )


SPLITS = JsonFile("splits.json", Splits)


def read_splits(folder: Path) -> Splits | None:
    """Who trained and validated in the run of a folder; None where it does not say.

    Raises:
        DataError: its splits.json cannot be used.
    """
    return SPLITS.read(folder) if (folder / SPLITS.name).is_file() else None


def digest_of(paths: Iterable[Path]) -> str:
    """Digest of the files' contents; a stopped run resumes with the same data only.

    Raises:
        DataError: what a header points at is no file, such as a device that never ends.
    """
    total = hashlib.blake2b(digest_size=16)
    for path in (file for image in paths for file in data_files(image)):
        if not path.is_file():
            raise DataError(f"{path}: cannot be read to its end; copy the voxels into a file")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "blake2b").digest())
    return total.hexdigest()
