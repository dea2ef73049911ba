"""Who is labelled, who is seen without labels and who tests: people drawn by a number."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import ConfigError, DataError
from ...core.files import write_text
from ...core.text import counted, csv_text
from ...data.cases import Case, Dataset, find_dataset
from ...data.io.formats import stem_of
from ...data.io.readers import output_name
from ...data.labels.organs import each_of
from ...data.labels.regions import NO_REGIONS, DeclaredRegions
from ...data.layouts.case_table import ORGAN
from .config import TaskOptions, place_of


@dataclass(frozen=True)
class Draw:
    """The cases of one cell; no person is in two parts."""

    labelled: tuple[Case, ...]
    unlabelled: tuple[Case, ...]
    test: tuple[Case, ...]


def find_task(name: str, task: TaskOptions, file: Path | None = None) -> Dataset:
    """The cases of a task; images that are copies of one another are of one person.

    Args:
        name, task: as the study calls and describes it.
        file: of the study, for messages on what it says.

    Raises:
        DataError: nothing found, too few people, cases of several files, or masks of one name.
        ConfigError: a variable that is not set, or `people` does not fit the ids.
    """
    try:
        place = place_of(name, task)
        found = find_dataset(place, images=task.images, masks=task.masks, group_regex=task.people)
    except ConfigError as error:
        raise ConfigError(_of_task(str(error), name, file)) from None
    several = next((case for case in (*found.cases, *found.unlabelled) if len(case.images) > 1), None)
    if several is not None:
        raise DataError(
            f"{several.images[0]}: one of {len(several.images)} files of case {several.id}; a study takes "
            "cases of one file each; join the channels to one 4D file"
        )
    pieces = next((case for case in found.cases if case.organs and not case.organ_names), None)
    if pieces is not None:
        raise DataError(
            f"{pieces.label}: one of {len(pieces.organs)} masks of {pieces.id}; a study takes one file for "
            "each label, or a mask for each organ; join them to one file"
        )
    people, needed = len({case.group for case in found.cases}), max(task.labelled_people) + task.test
    if people < needed:
        raise DataError(
            f"{place}: {counted(people, 'labelled person', 'labelled people')}; tasks.{name} asks "
            f"for {max(task.labelled_people)} who are labelled and {task.test} who test, {needed} in all; "
            "ask for fewer, or name more data"
        )
    _check_names(name, task, found.cases)
    return found


def _of_task(text: str, name: str, file: Path | None) -> str:
    """A message on a data set in the names that its options have in a study."""
    for there, here in (("group_regex", "people"), ("images", "images"), ("masks", "masks")):
        text = text.replace(f"`{there}`", f"tasks.{name}.{here}")
    return text if file is None else f"{file}: {text}"


def _check_names(name: str, task: TaskOptions, cases: Sequence[Case]) -> None:
    """That no two images which may test together have masks of one name."""
    written: dict[tuple[str, str], Path] = {}
    for case in cases:
        image = case.images[0]
        stem = stem_of(Path(output_name(case.images)))
        together = case.group if task.test == 1 else ""  # any two people may test in one draw
        other = written.setdefault((together, stem), image)
        if other != image:
            raise DataError(
                f"{image}: tasks.{name} may test it together with {other}, and the masks of both would be "
                f"called {stem}; expected images of different names; rename the files, as by the person"
            )


def draw(dataset: Dataset, task: TaskOptions, labelled_people: int, number: int) -> Draw:
    """People in an order of this draw: first those who are labelled, last those who test.

    The order depends on the number alone: fewer labelled people are the first of more, and the same test.
    """
    theirs: dict[str, list[Case]] = defaultdict(list)
    for case in dataset.cases:
        theirs[case.group].append(case)
    people = sorted(theirs)
    random.Random(7919 * number + 17).shuffle(people)
    first, testing = people[:labelled_people], people[-task.test :]
    labelled = [case for person in first for case in spread(theirs[person], task.each)]
    chosen = {case.id for case in labelled}
    rest = [case for person in people[: -task.test] for case in theirs[person] if case.id not in chosen]
    rest += [case for case in dataset.unlabelled if case.group not in testing]
    test = [case for person in testing for case in theirs[person]]
    return Draw(tuple(labelled), tuple(rest), tuple(test))


def spread(cases: Sequence[Case], count: int | None) -> list[Case]:
    """`count` cases at even distances; all where there are no more, or None is asked for."""
    if count is None or count >= len(cases):
        return list(cases)
    return [cases[round((place + 0.5) * len(cases) / count - 0.5)] for place in range(count)]


def pool_text(drawn: Draw) -> str:
    """The CSV that a run learns from; rows without a label are the scans without one."""
    organs = drawn.labelled[0].organ_names
    labels = [f"{ORGAN}{organ}" for organ in organs] or ["label"]
    rows = [[case.images[0].absolute(), *_labels(case), case.group] for case in drawn.labelled]
    rows += [[case.images[0].absolute(), *[""] * len(labels), case.group] for case in drawn.unlabelled]
    return csv_text([["image", *labels, "group"], *rows])


def write_pool(path: Path, drawn: Draw, regions: DeclaredRegions = NO_REGIONS) -> None:
    """What a run learns from, and the regions that its data set declares beside it."""
    write_text(path, pool_text(drawn))
    if regions:
        labels_of = {name: sorted(values) for name, values in regions.values.items()}
        order = {"regions_class_order": regions.order} if regions.order is not None else {}
        write_text(path.with_name("dataset.json"), json.dumps({"labels": labels_of, **order}))


def _labels(case: Case) -> list[Path]:
    """The label, or the mask of each organ."""
    files = case.label_files
    assert files is not None
    return [file.absolute() for file in each_of(files)]
