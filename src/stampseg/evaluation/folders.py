"""Predictions against labels, file by file: pairing, what the values mean, metrics of every case."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core.data_options import DataOptions
from ..core.errors import DataError
from ..core.text import size_text, some
from ..data.io.colours import describe, is_colour
from ..data.io.formats import stem_of
from ..data.io.placing import grids_text, is_on_lattice, is_part_of, on_grid_of, spanned
from ..data.io.readers import read_label, read_names
from ..data.io.volume import Header, Volume
from ..data.labels.background import around
from ..data.labels.label_table import (
    WHITE,
    LabelTable,
    count_values,
    leave_out,
    number_values,
    stray_values,
    to_classes,
)
from ..data.labels.organs import (
    LabelFiles,
    each_of,
    first_of,
    names_of,
    organ_folders,
    read_label_files,
)
from ..data.labels.regions import NO_REGIONS, DeclaredRegions, regions_of_classes
from ..data.labels.relabelling import Relabelling, choose_labels, ignored_value
from ..data.layouts.declared import DeclaredLabels, declared_labels
from ..data.layouts.description import read_description
from ..data.splits.people import people_of_names
from .evaluation import Evaluation
from .metrics import Metrics, evaluate_case
from .pairs import files_by_stem, folder_of_labels, label_files, labels_in_case_folders, pair_files
from .pictures import Pictures
from .sides import odd_sides

WHITE_OF_16_BITS = 65535


def evaluate_folder(
    predictions: Path,
    labels: Path,
    tolerance_mm: float = 1.0,
    label_names: Mapping[int, str] | None = None,
    ignored: int | None = None,
    *,
    regions: DeclaredRegions = NO_REGIONS,
    options: DataOptions | None = None,
    group_regex: str | None = None,
    groups: Path | None = None,
    pictures: Pictures | None = None,
) -> Evaluation:
    """Compare every predicted file with the label of its name; one case in memory at a time.

    Names may differ by one suffix common to all files: `000_HC.png` belongs to `000_HC_Annotation.png`.
    The predictions say what is evaluated: labels without a prediction are `missing` from it. Both
    sides hold the same values, or the predictions hold class indices where the labels hold others (0, 1
    for masks of 0, 255). Classes are the values of the labels, and the declared ones among the predicted;
    any other predicted value is foreground of the union alone.

    Args:
        predictions: Folder of label maps, or one file.
        labels: Folder of label maps, or of images and label maps in folders of their own, or one file.
        tolerance_mm: Of the surface Dice; pixels for pictures.
        label_names: Name of each value in the labels; by default those of a dataset.json beside the
            folder of labels, else numbers.
        ignored: Value in the labels of voxels that are left out of all metrics; by default what that
            dataset.json calls ignore, if anything.
        regions: Structures of several values; by default those of that dataset.json.
        options: `names`, `merge` and `only` of both labels and predictions.
        group_regex: Its first group in a case's name is the person; figures are then also over people.
        groups: A CSV or a run folder that says who is who, instead.
        pictures: Draws every case.

    Raises:
        DataError: a path is missing, nothing pairs, a file cannot be read, or shapes differ.
        ConfigError: `ignored` is another value than the dataset.json's, or `group_regex` finds no person.
    """
    names_of_cases = files_by_stem(Path(predictions), "predictions")[0]
    of_cases = labels_in_case_folders(Path(labels), names_of_cases)
    if not of_cases:
        labels = folder_of_labels(Path(labels), names_of_cases)
    organs = organ_folders(Path(labels), names_of_cases) if Path(labels).is_dir() and not of_cases else {}
    pairs, missing, warnings = pair_files(Path(predictions), Path(labels), organs, of_cases)
    whole = (
        dict(label_files(organs).values()) if organs else {first_of(each): each for each in of_cases.values()}
    )
    cases = [stem_of(predicted) for predicted, _ in pairs]
    people = people_of_names(cases, group_regex, groups)
    if pictures is not None:
        drawn = [file for _, reference in pairs for file in each_of(whole.get(reference, reference))]
        pictures.check(cases, [*(predicted for predicted, _ in pairs), *drawn])
    declared = _declared(Path(labels))
    named = names_of(organs) if organs else declared.names
    if label_names is None and not organs:
        regions = regions or declared.regions
    try:
        found = evaluate_pairs(
            [(predicted, whole.get(reference, reference)) for predicted, reference in pairs],
            named if label_names is None else label_names,
            ignored_value(ignored, declared.ignored),
            tolerance_mm=tolerance_mm, regions=regions, options=options, pictures=pictures,
        )  # fmt: skip
    except DataError as error:
        if not missing or not any(str(error).startswith(f"{reference}: ") for _, reference in pairs):
            raise
        raise DataError(
            f"{error}; if it is the scan, and {missing[0]} beside it a label, give a folder of labels alone, "
            "called as the predictions"
        ) from None
    sides = odd_sides(Path(predictions), Path(labels))
    return replace(
        found,
        warnings=(*sides, *warnings, *found.warnings),
        people=people,
        missing=tuple(missing),
        predictions=Path(predictions),
        reference=Path(labels),
    )


def evaluate_pairs(
    pairs: Sequence[tuple[Path, LabelFiles]],
    names: Mapping[int, str],
    ignored: int | None = None,
    *,
    tolerance_mm: float = 1.0,
    regions: DeclaredRegions = NO_REGIONS,
    options: DataOptions | None = None,
    pictures: Pictures | None = None,
    same_values: bool = False,
) -> Evaluation:
    """As `evaluate_folder`, of predicted files with the label of each; a case is called as its prediction.

    Args:
        pairs: prediction and label, or a mask of each organ.
        names: of the values in the labels; {}: numbers.
        ignored, tolerance_mm, regions, options, pictures: as there.
        same_values: the predictions are known to hold the values of the labels, and no class indices.

    Raises:
        DataError: a file cannot be read, or shapes differ.
    """
    chosen = choose_labels(options or DataOptions(), dict(names), ignored, regions)
    relabel = chosen.relabel
    table, prediction_values, warnings = _understand_values(
        [predicted for predicted, _ in pairs], [truth for _, truth in pairs],
        chosen.names, ignored, relabel, same_values,
    )  # fmt: skip
    structures = regions_of_classes(chosen.regions, table.values)
    rows: list[Metrics] = []
    units = set[str]()
    for predicted, reference in pairs:
        prediction, truth, said = _on_one_grid(read_label(predicted), read_label_files(reference))
        spacing, doubt = _spacing_of(prediction.header, truth.header)
        warnings += [*said, *doubt]
        units.add("px" if truth.header.is_picture else "mm")
        found = to_classes(prediction.array, prediction_values, predicted, None, relabel)
        drawn = to_classes(truth.array, table.values, first_of(reference), ignored, relabel)
        metrics = evaluate_case(
            found,
            drawn,
            spacing,
            dict(enumerate(table.names)),
            tolerance_mm,
            case=stem_of(predicted),
            others=range(len(table.values), len(prediction_values)),
            unknown=None if ignored is None else len(table.values),
            regions=structures,
        )
        rows += [row.in_files(table.values) for row in metrics]
        if pictures is not None:
            warnings += pictures.draw(stem_of(predicted), truth.header, found, drawn, table.names)
    unit = "px" if units == {"px"} else "mm"
    if len(units) > 1:
        warnings.append(
            "pictures and volumes together: distances of pictures are in pixels, though all columns say mm, "
            "and a mean over both says nothing; evaluate them apart"
        )
    return Evaluation(tuple(rows), tolerance_mm, unit, (*table.notes, *chosen.notes), tuple(warnings))


def _on_one_grid(prediction: Volume, truth: Volume) -> tuple[Volume, Volume, list[str]]:
    """Both on the grid of the one that covers its image, and what is odd about that.

    Raises:
        DataError: they have no grid in common.
    """
    ours, theirs = prediction.header, truth.header
    _check_parts(ours, theirs)
    if ours.covers != "all":
        whole = theirs if theirs.covers == "all" else spanned(theirs, ours)
        prediction, truth = on_grid_of(prediction, whole), on_grid_of(truth, whole)
        return prediction, truth, [*prediction.header.notes, *truth.header.notes]
    try:
        truth = on_grid_of(truth, ours)
        return prediction, truth, list(truth.header.notes)
    except DataError as error:
        if theirs.covers != "all":
            raise
        if prediction.array.shape != truth.array.shape:
            raise DataError(
                f"{ours.path}: shape {ours.shape}, but its label {theirs.path} has {theirs.shape}; expected "
                "one grid; predict on the image that this label was drawn on"
            ) from None
        if ours.orientation != theirs.orientation and not (_says_nothing(ours) or _says_nothing(theirs)):
            raise DataError(
                f"{error}: {ours.path} runs to {ours.orientation}, {theirs.path} to {theirs.orientation}; "
                "which of them is right cannot be known; save the prediction with the affine of its image, "
                "or correct the label's"
            ) from None
        return prediction, truth, [f"{error}; compared voxel by voxel all the same"]


def _spacing_of(ours: Header, theirs: Header) -> tuple[tuple[float, ...], list[str]]:
    """The size of voxels, of the label or of the prediction, whichever knows its place, and a doubt of it."""
    same = np.allclose(ours.spacing, theirs.spacing, rtol=1e-3) if ours.shape == theirs.shape else True
    if same or theirs.is_picture:
        return theirs.spacing, []
    knows = [header.placed and not _says_nothing(header) for header in (ours, theirs)]
    taken = ours if knows == [True, False] else theirs
    return taken.spacing, [
        f"{theirs.path}: voxels of {size_text(theirs.spacing, 4)} mm, those of {ours.path} are "
        f"{size_text(ours.spacing, 4)}; distances and volumes are by {taken.path}"
    ]


def _says_nothing(header: Header) -> bool:
    """An affine of ones is what a script writes that knows of no place."""
    return header.affine is not None and np.array_equal(header.affine, np.eye(4))


def _check_parts(ours: Header, theirs: Header) -> None:
    """What a part of an image leaves out is empty only where it has the other's grid."""
    covers = {ours.covers, theirs.covers}
    if covers == {"all"}:
        return
    fewer, more = sorted((ours, theirs), key=lambda one: (one.covers == "all", one.shape[2]))
    if "box" in covers:
        fits, kind = is_on_lattice(fewer, more), "a Slicer segmentation may be cut to a box alone"
    else:
        fits, kind = is_part_of(fewer, more), "a DICOM-SEG may leave out slices alone"
    if not fits:
        raise DataError(
            f"{grids_text(ours, theirs, 'label')}; expected one grid, of which {kind}; predict on the image "
            "that this label was drawn on"
        )


def _declared(labels: Path) -> DeclaredLabels:
    """What a dataset.json beside the folder of labels says of them; nothing when that cannot be used."""
    try:
        return declared_labels(read_description(labels.parent) if labels.is_dir() else {})
    except DataError:  # the names are a convenience
        return declared_labels({})


def _understand_values(
    predictions: Sequence[Path],
    labels: Sequence[LabelFiles],
    names: Mapping[int, str],
    ignored: int | None,
    relabel: Relabelling | None,
    same_values: bool,
) -> tuple[LabelTable, tuple[int, ...], list[str]]:
    """The classes, the value in the predictions of each of them and then of none, and what was odd."""
    predicted = count_values(predictions, relabel=relabel)
    labelled = count_values(labels, ignored, relabel)
    left_out = leave_out(labelled, ignored)
    if not labelled.voxels:
        raise DataError(
            f"{first_of(labels[0])}: every voxel has the ignore label {ignored}; expected others to compare"
        )
    if relabel is None:
        names = {**{value: name for value, (name, _) in labelled.names.items()}, **names}
    voxels = _class_voxels(labelled.voxels, predicted.voxels, names)
    filling = around(labelled.voxels, labels) if relabel is None and ignored is None else None
    table = number_values(voxels, names, filling if 0 not in voxels else None)
    table = replace(table, notes=(*table.notes, *left_out))
    strays = stray_values(labelled, names)
    warnings = [strays] if strays else []
    if len(labelled.voxels) == 1:
        held = f"every label holds {_listed(labelled.voxels)} alone"
        if labelled.found - set(labelled.voxels):
            held = f"no label holds a value that was asked for, but {_listed(sorted(labelled.found))}"
        warnings.append(held)
    by_name = _values_by_name(predictions, set(predicted.voxels), table) if relabel is None else None
    if by_name is not None:
        if by_name != table.values:
            warnings.append("values of the predictions are paired with those of the labels by their names")
        return table, by_name, warnings
    warnings += _called_otherwise(predicted.names, names)
    found, foreign = set(predicted.voxels), sorted(set(predicted.voxels) - set(table.values))
    last = len(table.values) - 1
    apart = last > 1 and not (found - {0}) & set(table.values)  # else a value is compared as it is
    if foreign and not same_values and apart and found <= set(range(last + 1)):
        used = f"predictions hold class indices 0 to {last}, labels {_listed(table.values)}"
        return table, tuple(range(last + 1)), [*warnings, used]
    if not same_values and len(table.values) == 2 and len(foreign) == 1 and found <= {0, *foreign}:
        (own,), there = foreign, table.values[1]
        if table.values[0] == 0 and _says_there(own) and _says_there(there):
            used = f"predictions hold {describe(own)}, which no label does; taken as the {describe(there)} of"
            return table, (0, own), [*warnings, f"{used} the labels"]
    unseen = sorted(found - set(labelled.voxels))
    if unseen:
        counted = f"; {_listed(foreign)} counts as foreground in the union only" if foreign else ""
        warnings.append(f"predictions hold {_listed(unseen)}, which no label does{counted}")
    return table, (*table.values, *foreign), warnings


def _values_by_name(
    predictions: Sequence[Path], found: set[int], table: LabelTable
) -> tuple[int, ...] | None:
    """Value in the predictions of each class, where their files name all that they hold as the labels do."""
    names: dict[int, str] = {0: table.names[0]}
    for path in predictions:
        for value, name in read_names(path).items():
            if names.setdefault(value, name) != name:
                return None
    values = {name: value for value, name in names.items()}
    if (
        len(names) == 1
        or len(values) < len(names)
        or not {*values} <= {*table.names}
        or not found <= {*names}
    ):
        return None
    unused = itertools.count(max(names) + 1)
    return tuple(values[name] if name in values else next(unused) for name in table.names)


def _says_there(value: int) -> bool:
    """Whether a mask's only value says no more than that its structure is there: 1, white, or a colour."""
    return value in WHITE or value == WHITE_OF_16_BITS or is_colour(value)


def _called_otherwise(predicted: Mapping[int, tuple[str, Path]], names: Mapping[int, str]) -> Iterator[str]:
    """A warning for each value that the predictions' files call otherwise than the labels."""
    for value, (name, path) in predicted.items():
        if names.get(value, name).casefold() != name.casefold():
            yield (
                f"{path.name} calls {value} {name}, the labels call it {names[value]}: they are compared by "
                "their numbers; check that they mean the same"
            )


def _class_voxels(
    labelled: Mapping[int, int], predicted: Mapping[int, int], names: Mapping[int, str]
) -> dict[int, int]:
    """Voxels in the labels by value, of background and classes.

    Classes are what the labels hold and the predicted values that have a declared name. Where that is
    one value alone, the declared names tell the classes, else the predictions if they hold one other
    value, else 1.
    """
    classes = dict(labelled) | {value: 0 for value in predicted if value in names and value not in labelled}
    if len(classes) > 1:
        return classes
    foreground = {value for value in names if value > 0}
    other = set(predicted) - set(classes)
    if 0 not in classes:
        extra = other if len(other) == 1 else {0}
    else:
        extra = foreground or (other if len(other) == 1 else {1})
    return classes | dict.fromkeys(extra, 0)


def _listed(values: Iterable[int]) -> str:
    return some([describe(value) for value in values])
