"""Drawing and splitting cases by seed, never separating a group (the images of one person)."""

from __future__ import annotations

import hashlib
import os
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.config import Config
from ..core.errors import ConfigError, DataError
from ..core.json_file import JsonFile
from ..core.level import Level
from ..core.options import FileRecord
from ..core.text import some
from .cases import Case, read_case_csv
from .duplicates import find_duplicates
from .io.formats import data_files

AUTO_SHARE = 0.2
AUTO_GROUPS = 5  # fewer people than this all train
AUTO_MOST = 20  # validation runs every round


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
    labels.
    """

    training: tuple[Case, ...]
    validation: tuple[Case, ...]
    note: str
    unused: tuple[Case, ...] = ()
    unlabelled: tuple[Case, ...] = ()
    level: Level = Level.INFO


def split_cases(cases: Sequence[Case], config: Config) -> Split:
    """Draw the training and the validation cases.

    With `labels` N, exactly N cases train, and validation cases come from other people; without,
    the validation share is taken out of all cases. `auto` is a fifth (of N, or of all people when
    there are at least five), at most 20 cases.

    Raises:
        ConfigError: the validation option is not understood, or leaves nobody to train or validate on.
        DataError: the validation CSV cannot be used, or has a row without label.
    """
    choice = config.train.validation.strip()
    if choice.lower().endswith(".csv"):
        return _split_by_csv(cases, Path(choice), config)
    share = _share(choice)
    if config.labels is not None:
        return _draw_both(cases, share, config)
    return _hold_out_share(cases, share, config.seed)


def _hold_out_share(cases: Sequence[Case], share: float | None, seed: int) -> Split:
    """Validation cases taken out of all cases, the others train."""
    people = len({case.group for case in cases})
    if share == 0 or (share is None and people < AUTO_GROUPS):
        why = (
            "validation none was asked for"
            if share == 0
            else f"only {people} people are labelled, of {AUTO_GROUPS} that auto asks for"
        )
        return Split(tuple(cases), (), f"all {len(cases)} cases train, none validates ({why})")
    most = AUTO_MOST / len(cases)
    training, validation = hold_out(cases, share or min(AUTO_SHARE, most), seed)
    if share is None:
        validation = validation[:AUTO_MOST]  # whole groups can come out above it
    if not validation:
        return Split(tuple(cases), (), f"all {len(cases)} cases train, none validates (one person)")
    return Split(tuple(training), tuple(validation), _words(training, validation, "held out"))


def _share(choice: str) -> float | None:
    """0 for none, None for auto."""
    if choice in ("none", "auto"):
        return 0.0 if choice == "none" else None
    try:
        value = float(choice[:-1]) / 100 if choice.endswith("%") else float(choice)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise ConfigError(
            f"`train.validation` {choice!r} is not understood; expected a .csv file of cases, a share such "
            "as 0.2 or 20%, none or auto"
        )
    return value


def _split_by_csv(cases: Sequence[Case], path: Path, config: Config) -> Split:
    """The validation cases of a CSV; cases of other people train."""
    validation = read_case_csv(path, group_regex=config.group_regex)
    unlabelled = next((case for case in validation if case.label is None), None)
    if unlabelled is not None:
        raise DataError(
            f"{path}: the row of {unlabelled.images[0]} names no label; validation needs one in each"
        )
    files = {file for case in validation for file in files_of(case)}
    copies = copies_among(cases, validation)
    people = {case.group for case in validation} | {
        case.group for case in cases if case.id in copies or files_of(case) & files
    }
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
    return Split(tuple(training), tuple(validation), note)


def copies_among(cases: Sequence[Case], validation: Sequence[Case]) -> list[str]:
    """Ids of the cases whose image is that of a validation case, byte for byte, in another file."""
    pairs = find_duplicates([case.images for case in (*validation, *cases)])
    copies = [cases[other - len(validation)] for first, other in pairs if first < len(validation) <= other]
    files = {file for case in validation for file in files_of(case)}
    return [case.id for case in copies if not files_of(case) & files]


def files_of(case: Case) -> set[Path]:
    return {Path(os.path.realpath(path)) for path in (*case.images, case.label) if path is not None}


def _draw_both(cases: Sequence[Case], share: float | None, config: Config) -> Split:
    """N training cases, and validation cases of other people."""
    count = config.labels or 0
    training = draw_cases(cases, count, config.seed)
    people = {case.group for case in training}
    rest = [case for case in cases if case.group not in people]
    if share == 0 or (not rest and share is None):
        why = "validation none was asked for" if share == 0 else "no other person is labelled"
        return Split(tuple(training), (), f"{len(training)} cases train, none validates ({why})")
    if not rest:
        raise ConfigError(
            f"`train.validation` {config.train.validation}: the {count} training cases of `labels` come from "
            f"all {len(people)} labelled people, and none is left to validate; lower `labels` or use none"
        )
    wanted = max(1, round(count * (share or AUTO_SHARE)))
    wanted = min(wanted, len(rest), AUTO_MOST if share is None else len(rest))
    validation = draw_cases(rest, wanted, config.seed)
    return Split(
        tuple(training), tuple(validation), _words(training, validation, "drawn from the other people")
    )


def _words(training: Sequence[Case], validation: Sequence[Case], how: str) -> str:
    def people(cases: Sequence[Case]) -> int:
        return len({case.group for case in cases})

    if all(case.group == case.id for case in (*training, *validation)):
        return (
            f"{len(training)} cases train, {len(validation)} validate ({how}); each case counts as one "
            "person: if some are of the same one, say so with `group_regex` or a CSV's group column"
        )
    return (
        f"{len(training)} cases of {people(training)} people train, {len(validation)} of "
        f"{people(validation)} validate ({how})"
    )


class Entry(FileRecord):
    """A case in splits.json; its paths are good from anywhere. Older runs know less of it."""

    id: str
    group: str | None = None
    images: tuple[Path, ...] = ()
    label: Path | None = None
    digest: str | None = None  # of what is in the files

    @classmethod
    def of(cls, case: Case, *, digest: bool = True) -> Entry:
        """The entry of a case; reads its files for the digest."""
        files = (*case.images, *([case.label] if case.label is not None else []))
        return cls(
            id=case.id,
            group=case.group,
            images=tuple(path.absolute() for path in case.images),
            label=case.label.absolute() if case.label is not None else None,
            digest=_digest(files) if digest else None,
        )

    @property
    def case(self) -> Case:
        """The case of this entry; whether its files are there is not looked at."""
        return Case(self.id, self.group or self.id, self.images, self.label)


class Splits(FileRecord):
    """Who trained, who validated, and whose scans were learnt from without labels."""

    training: tuple[Entry, ...] = ()
    validation: tuple[Entry, ...] = ()
    unlabelled: tuple[Entry, ...] = ()  # without digests: there may be very many

    @classmethod
    def of(cls, split: Split) -> Splits:
        """As it is written; reads the files of all cases."""
        return cls(
            training=tuple(map(Entry.of, split.training)),
            validation=tuple(map(Entry.of, split.validation)),
            unlabelled=tuple(Entry.of(case, digest=False) for case in split.unlabelled),
        )


SPLITS = JsonFile("splits.json", Splits, remedy="name the images or the data set instead")


def read_splits(folder: Path) -> Splits | None:
    """Who trained and validated in the run of a folder; None where it does not say.

    Raises:
        DataError: its splits.json cannot be used.
    """
    return SPLITS.read(folder) if (folder / SPLITS.name).is_file() else None


def _digest(paths: Iterable[Path]) -> str:
    """Digest of the files' contents; a stopped run resumes with the same data only."""
    total = hashlib.blake2b(digest_size=16)
    for path in (file for image in paths for file in data_files(image)):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "blake2b").digest())
    return total.hexdigest()
