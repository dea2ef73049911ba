"""Which cases an export is tried on, and which windows int8 takes its ranges from."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..core.errors import ConfigError
from ..core.run_folder import run_folder_of
from ..data.boxes import cut_window
from ..data.cases import Case, Dataset
from ..data.io.readers import read_image
from ..data.labels.organs import read_label_files
from ..data.plan import Plan
from ..data.preprocess import prepare
from ..data.splits.record import SPLITS, SplitCase, Splits, digest_of, read_splits
from ..runtime.sliding import window_starts

CALIBRATION_CASES = 8
WINDOWS = 3  # of each
Owned = TypeVar("Owned", Case, SplitCase)


@dataclass(frozen=True)
class Trial:
    """Cases.

    Attributes:
        checked: they are predicted twice.
        training: int8 takes its ranges from them.
        origin: of the checked ones, in words.
    """

    checked: tuple[Case, ...]
    training: tuple[Case, ...]
    origin: str


def trial_of_run(model: Path, most: int) -> Trial:
    """The validation cases of the run that the model file lies in, then its training cases.

    Args:
        model: the model file.
        most: cases to check at most.

    Raises:
        ConfigError: the run does not say where its images are, or they are not there any more.
    """
    folder = run_folder_of(model)
    splits = read_splits(folder)
    ask = "name images with `inputs`, or the data set with `data`"
    if splits is None:
        raise ConfigError(f"{model}: lies in no run folder, so there is no case to check it on; {ask}")
    place = folder / SPLITS.name
    if not any(entry.images for entry in (*splits.training, *splits.validation)):
        raise ConfigError(f"{place}: does not say where the images are; {ask}")
    used = max(most, CALIBRATION_CASES)
    training, validation = _there(splits.training, used), _there(splits.validation, used)
    if not training and not validation:
        raise ConfigError(f"{place}: the images it names are not there any more; {ask}")
    return _trial(training, validation, most, "the run's")


def trial_of_data(dataset: Dataset, model: Path, most: int) -> Trial:
    """The same cases found in a data set; all of its cases where the run does not say which it used."""
    splits = read_splits(run_folder_of(model)) or Splits()
    training, validation = (
        [case for case in dataset.cases if case.id in {entry.id for entry in entries}]
        for entries in (splits.training, splits.validation)
    )
    if not training and not validation:
        cases = _one_of_each(dataset.cases)
        return Trial(tuple(cases[:most]), tuple(cases[:CALIBRATION_CASES]), "the data set's cases")
    return _trial(_one_of_each(training), _one_of_each(validation), most, "the data set's")


def trial_of_inputs(cases: Sequence[Case], model: Path, most: int) -> Trial:
    """Images that were named; int8 takes its ranges from the training cases of the run if they are there."""
    splits = read_splits(run_folder_of(model)) or Splits()
    training = _there(splits.training, CALIBRATION_CASES)
    return Trial(tuple(cases[:most]), tuple(training or cases)[:CALIBRATION_CASES], "named images")


def _there(entries: Sequence[SplitCase], most: int) -> list[Case]:
    """The first cases whose images are still there, with their labels if these are as in the run."""
    there = [entry for entry in entries if entry.images and all(map(Path.exists, entry.images))]
    there = _one_of_each(there)
    return [entry.case if _is_as_it_was(entry) else entry.case.bare for entry in there[:most]]


def _one_of_each(cases: Sequence[Owned]) -> list[Owned]:
    """One case of each person first, then a second one of each, and so on."""
    seen: Counter[str | None] = Counter()
    turns = []
    for case in cases:
        turns.append(seen[case.group])
        seen[case.group] += 1
    return [case for _, case in sorted(zip(turns, cases, strict=True), key=lambda pair: pair[0])]


def _is_as_it_was(entry: SplitCase) -> bool:
    if entry.label is None or not all(path.exists() for path in entry.case.files):
        return False
    return entry.digest is None or digest_of(entry.case.files) == entry.digest


def _trial(training: list[Case], validation: list[Case], most: int, whose: str) -> Trial:
    """Validation cases are checked first: int8 was not fitted to them, nor was the network."""
    checked = (*validation, *training)[:most]
    parts = ["validation"] * bool(validation) + ["training"] * (len(checked) > len(validation))
    return Trial(
        checked, tuple(training or validation)[:CALIBRATION_CASES], f"{whose} {' and '.join(parts)} cases"
    )


def calibration_windows(cases: Sequence[Case], plan: Plan) -> list[np.ndarray]:
    """Windows (1, C, *patch) float32 of prepared cases: the fullest of labels of each, and others.

    Raises:
        DataError: a file cannot be read or does not fit the plan.
    """
    generator = np.random.default_rng(0)
    windows = []
    for case in cases:
        label = read_label_files(case.label_files) if case.label_files is not None else None
        prepared = prepare(read_image(case.images, plan.in_channels), plan, label)
        places = list(itertools.product(*window_starts(prepared.image.shape[1:], plan)))
        generator.shuffle(places)
        if prepared.label is not None:
            foreground = (prepared.label > 0) & (prepared.label != plan.unknown_class)
            places.sort(key=lambda p: -int(cut_window(foreground, p, plan.patch_size).sum()))
            places = places[:1] + sorted(places[1:])[:: max(1, len(places) // WINDOWS)]
        windows += [cut_window(prepared.image, place, plan.patch_size)[None] for place in places[:WINDOWS]]
    return windows
