"""Who trains, who validates: the cases of one run, split by person."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .config import Config
from .data.cases import Case, read_case_csv
from .data.copies import find_copies
from .data.formats import some
from .data.splits import draw_cases, hold_out
from .errors import ConfigError, DataError

AUTO_SHARE = 0.2
AUTO_GROUPS = 5  # fewer people than this all train
AUTO_MOST = 20  # validation runs every round


@dataclass(frozen=True)
class Allotment:
    """Cases of a run; no person is in both. `note` says in words what was decided.

    `unused` were to validate, but none of them holds a label.
    """

    training: tuple[Case, ...]
    validation: tuple[Case, ...]
    note: str
    unused: tuple[Case, ...] = ()


def allot(cases: Sequence[Case], config: Config) -> Allotment:
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
        return _given(cases, Path(choice), config)
    share = _share(choice)
    if config.labels is not None:
        return _beside(cases, share, config)
    people = len({case.group for case in cases})
    if share == 0 or (share is None and people < AUTO_GROUPS):
        why = (
            "validation none was asked for"
            if share == 0
            else f"only {people} people are labelled, of {AUTO_GROUPS} that auto asks for"
        )
        return Allotment(tuple(cases), (), f"all {len(cases)} cases train, none validates ({why})")
    most = AUTO_MOST / len(cases)
    training, validation = hold_out(cases, share or min(AUTO_SHARE, most), config.seed)
    if share is None:
        validation = validation[:AUTO_MOST]  # whole groups can come out above it
    if not validation:
        return Allotment(tuple(cases), (), f"all {len(cases)} cases train, none validates (one person)")
    return Allotment(tuple(training), tuple(validation), _words(training, validation, "held out"))


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
            f"--validation {choice!r} is not understood; expected a .csv file of cases, a share such as "
            "0.2 or 20%, none or auto"
        )
    return value


def _given(cases: Sequence[Case], path: Path, config: Config) -> Allotment:
    validation = read_case_csv(path, group_regex=config.group_regex)
    nameless = next((case for case in validation if case.label is None), None)
    if nameless is not None:
        raise DataError(
            f"{path}: the row of {nameless.images[0]} names no label; validation needs one in each"
        )
    files = {file for case in validation for file in _files(case)}
    copies = _copies(cases, validation)
    people = {case.group for case in validation} | {
        case.group for case in cases if case.id in copies or _files(case) & files
    }
    pool = [case for case in cases if case.group not in people]
    if not pool:
        raise ConfigError(
            f"--validation {path}: its people are all the labelled ones; leave some to train on"
        )
    training = draw_cases(pool, config.labels, config.seed) if config.labels else pool
    note = _words(training, validation, f"named in {path.name}")
    if copies:
        note += (
            f"; {some(copies)} in the training data has the image of a validation case, "
            "so its person does not train"
        )
    return Allotment(tuple(training), tuple(validation), note)


def _copies(cases: Sequence[Case], validation: Sequence[Case]) -> list[str]:
    """Ids of the cases whose image is that of a validation case, byte for byte, in another file."""
    pairs = find_copies([case.images for case in (*validation, *cases)])
    found = [cases[other - len(validation)] for first, other in pairs if first < len(validation) <= other]
    files = {file for case in validation for file in _files(case)}
    return [case.id for case in found if not _files(case) & files]


def _files(case: Case) -> set[Path]:
    return {Path(os.path.realpath(path)) for path in (*case.images, case.label) if path is not None}


def _beside(cases: Sequence[Case], share: float | None, config: Config) -> Allotment:
    """N training cases, and validation cases from other people beside them."""
    count = config.labels or 0
    training = draw_cases(cases, count, config.seed)
    people = {case.group for case in training}
    rest = [case for case in cases if case.group not in people]
    if share == 0 or (not rest and share is None):
        why = "validation none was asked for" if share == 0 else "no other person is labelled"
        return Allotment(tuple(training), (), f"{len(training)} cases train, none validates ({why})")
    if not rest:
        raise ConfigError(
            f"--validation {config.train.validation}: the {count} training cases of --labels come from all "
            f"{len(people)} labelled people, and none is left to validate; lower --labels or use none"
        )
    wanted = max(1, round(count * (share or AUTO_SHARE)))
    wanted = min(wanted, len(rest), AUTO_MOST if share is None else len(rest))
    validation = draw_cases(rest, wanted, config.seed)
    return Allotment(
        tuple(training), tuple(validation), _words(training, validation, "drawn from the other people")
    )


def _words(training: Sequence[Case], validation: Sequence[Case], how: str) -> str:
    def people(cases: Sequence[Case]) -> int:
        return len({case.group for case in cases})

    if all(case.group == case.id for case in (*training, *validation)):
        return (
            f"{len(training)} cases train, {len(validation)} validate ({how}); each case counts as one "
            "person: if some are of the same one, say so with --group-regex or a CSV's group column"
        )
    return (
        f"{len(training)} cases of {people(training)} people train, {len(validation)} of "
        f"{people(validation)} validate ({how})"
    )
