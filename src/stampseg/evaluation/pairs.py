"""Which predicted file belongs to which label, by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from ..core.errors import DataError
from ..core.text import composed, counted, some
from ..data.cases import cases_of
from ..data.io.formats import folders_in, list_labels, readable, series_format, stem_of, suffix_of
from ..data.io.probabilities import PROBABILITIES
from ..data.io.readers import UNCERTAINTY
from ..data.io.segmentations import is_label
from ..data.labels.organs import LabelFiles, first_of
from ..data.layouts.case_folders import find_case_folders
from ..data.layouts.case_numbers import check_same_start, with_other_zeros
from ..data.layouts.case_roles import labelled_entries
from ..data.layouts.habits import LABEL_SET, SEPARATORS, is_image_folder, is_mask_folder
from ..data.layouts.kind_folders import roles_by_kind
from ..data.layouts.pairing import by_stem, called_as_labels, name_of, pair, with_usual_names


def labels_in_case_folders(labels: Path, cases: Collection[str]) -> dict[str, LabelFiles]:
    """Labels by case, of a file or of pieces, where a folder holds a folder for each, and some are these."""
    if not labels.is_dir() or list_labels(labels):
        return {}
    try:
        found = labelled_entries(find_case_folders(labels)) or roles_by_kind(labels)
        if found is None or found.organs:
            return {}
        cases_found = cases_of(found.entries, labels, None)
        of_cases = {case.id: files for case in cases_found if (files := case.label_files)}
    except DataError:  # folders of another meaning
        return {}
    return of_cases if set(of_cases) & set(cases) else {}


def folder_of_labels(labels: Path, cases: Collection[str]) -> Path:
    """The folder of masks beside one of images in `labels`, the only one or that which fits the cases."""
    inner = [] if not labels.is_dir() or list_labels(labels) else folders_in(labels)
    if not any(is_image_folder(path.name) for path in inner):
        return labels
    masks = [path for path in inner if is_mask_folder(path.name)]
    named = dict.fromkeys(cases, labels)
    fitting = [path for path in masks if _pair_stems(named, files_by_stem(path, "labels")[0])]
    return fitting[0] if len(fitting) == 1 else masks[0] if len(masks) == 1 else labels


def label_files(organs: Mapping[str, dict[str, Path]]) -> dict[str, tuple[Path, LabelFiles]]:
    """By stem, the first mask of each case that has one of every organ, and all of them."""
    first, *others = (organs[name] for name in sorted(organs))
    stems = [stem for stem in first if all(stem in other for other in others)]
    return {stem: (first[stem], tuple(found[stem] for found in (first, *others))) for stem in stems}


def pair_files(
    predictions: Path,
    labels: Path,
    organs: Mapping[str, dict[str, Path]],
    of_cases: Mapping[str, LabelFiles],
) -> tuple[list[tuple[Path, Path]], list[str], list[str]]:
    """Prediction and label of each case, labels without a prediction, and warnings."""
    predicted, warnings = files_by_stem(predictions, "predictions")
    if organs:
        references = {stem: first for stem, (first, _) in label_files(organs).items()}
        lacking = sorted({stem for found in organs.values() for stem in found} - set(references))
        more = [f"left out, without a mask of each organ: {some(lacking)}"] if lacking else []
    else:
        one = {case: first_of(files) for case, files in of_cases.items()}
        references, more = (one, []) if one else files_by_stem(labels, "labels")
    warnings += more
    if predictions.is_file() and labels.is_file():
        numbers = [{*map(int, re.findall(r"\d\d+", stem_of(path)))} for path in (predictions, labels)]
        if all(numbers) and numbers[0].isdisjoint(numbers[1]):
            warnings.append(
                f"{predictions.name} and {labels.name} have other numbers in their names, and are compared "
                "all the same: are they of one scan?"
            )
        return [(predictions, labels)], [], warnings
    pairs = _pair_stems(predicted, references)
    if not pairs and (predictions.is_file() or labels.is_file()) and _are_labels(predictions, labels):
        return [(predictions, labels)], [], warnings
    if not pairs:
        raise DataError(
            f"{predictions}: no prediction fits a label in {labels}; predictions are {_names_of(predicted)}, "
            f"labels {_names_of(references)}; expected equal names up to a suffix"
        )
    warnings += check_same_start(predicted, references, labels)
    without_label = [file.name for stem, file in predicted.items() if stem not in pairs]
    used = {reference for _, reference in pairs.values()}
    without_prediction = [file.name for file in references.values() if file not in used]
    if without_label:
        warnings.append(
            f"{counted(len(without_label), 'prediction')} without a label left out: {some(without_label)}"
        )
    return [pairs[stem] for stem in sorted(pairs)], without_prediction, warnings


def _are_labels(*places: Path) -> bool:
    """Whether each is a label map, be it in a folder of files of its segments."""
    return all(place.is_file() or is_label(place) for place in places)


def _pair_stems(predicted: Mapping[str, Path], references: dict[str, Path]) -> dict[str, tuple[Path, Path]]:
    """Prediction and label by the prediction's stem, by the first way of reading the names that fits any."""
    pairs = pair(predicted, references).labels
    if not pairs:  # the predictions may be the ones with a suffix
        backwards = pair(references, dict(predicted)).labels
        pairs = {name_of(file): references[stem] for stem, file in backwards.items()}
    if not pairs:  # or both, as the masks of two observers
        shared = {_cut_ending(stem, references): file for stem, file in references.items()}
        cut = {stem: shared.get(_cut_ending(stem, predicted)) for stem in predicted}
        pairs = {stem: file for stem, file in cut.items() if file is not None}
    if not pairs:  # or masks are called as the images are, which a training finds the labels of
        named = with_usual_names(pair(predicted, references), predicted, references, same_folder=False)
        pairs = with_other_zeros(named, references).labels
    return {stem: (predicted[stem], reference) for stem, reference in pairs.items()}


def _cut_ending(stem: str, stems: Collection[str]) -> str:
    """`stem` without the ending, from a separator on, that all `stems` share; one file alone shares none."""
    if len(stems) < 2:
        return stem
    common = os.path.commonprefix([other[::-1] for other in stems])[::-1]  # noqa: RUF071 - letters are meant
    starts = [place for place, letter in enumerate(common) if letter in SEPARATORS]
    return stem[: len(stem) - len(common) + starts[0]] if starts else stem


def files_by_stem(place: Path, kind: str) -> tuple[dict[str, Path], list[str]]:
    """Label maps by stem, and a warning for names that occur twice; not the images that labels lie beside."""
    if not place.exists():
        raise DataError(f"{place}: no such file or folder; expected the {kind}")
    files = [place] if place.is_file() else [path for path in list_labels(place) if not series_format(path)]
    if not files or not (files[0].is_dir() or suffix_of(files[0])):
        inner = [path for path in folders_in(place) if list_labels(path)] if place.is_dir() else []
        hint = f"; give the folder in it, {inner[0]}" if len(inner) == 1 else ""
        raise DataError(f"{place}: no {kind} found; expected {readable()}{hint}")
    if kind == "labels" and len(files) == 2 and (known := _of_one_case(place, files)):
        (label,) = set(known.values())
        return known, [f"{place}: {label.name} is taken for the label of the scan beside it"]
    beside = called_as_labels(files) if kind == "labels" else []  # of images in the same folder
    first, doubles = by_stem(beside or files)
    for kind in (UNCERTAINTY, PROBABILITIES):  # beside the masks that they are of
        for name in [name for name in first if name.endswith(kind) and name.removesuffix(kind) in first]:
            del first[name]
    warnings = [f"{place}: {some(doubles)} left out, another file has the same stem"] if doubles else []
    return first, warnings


def _of_one_case(place: Path, files: list[Path]) -> dict[str, Path]:
    """The label of a folder that holds an image and a file called label, mask or seg; {} of others.

    Its prediction may be called as the image, or as the folder.
    """
    labels = [path for path in files if name_of(path).casefold() in LABEL_SET]
    images = [path for path in files if path not in labels]
    return (
        {name_of(images[0]): labels[0], composed(place.resolve().name): labels[0]}
        if labels and images
        else {}
    )


def _names_of(files: Mapping[str, Path]) -> str:
    return some([file.name for file in files.values()], 3)
