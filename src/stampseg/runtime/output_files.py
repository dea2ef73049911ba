"""Where masks and what belongs to them are written, and whether they may be."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..core.errors import DataError
from ..core.run_folder import model_file_of
from ..core.text import counted, some
from ..data.cases import Case
from ..data.io.formats import stem_of, suffix_of
from ..data.io.probabilities import PROBABILITIES, SUFFIX
from ..data.io.readers import twin_of
from ..data.io.sources import place_in, replaced
from .trust import uncertainty_of
from .trust_files import RECORD, TABLE


def overlay_of(case: Case, overlays: Path) -> Path:
    """The picture of a case."""
    return overlays / f"{case.id}.png"


def probabilities_of(mask: Path, case: Case) -> Path:
    """The probabilities beside a mask: `photo.png` -> `photo_probabilities.nii.gz`."""
    return mask.with_name(f"{stem_of(Path(case.mask_name))}{PROBABILITIES}{SUFFIX}")


def check_folder(folder: Path) -> None:
    """Masks are written to a folder, or to a free name; the folder is made with the first mask.

    Raises:
        DataError: the name is a file's, or one that a file would have; or nothing can be written there.
    """
    if suffix_of(folder) and not os.path.lexists(folder):
        raise DataError(
            f"{folder}: is called as a file; expected a folder, in which each mask has its image's name; say "
            f"{folder.with_name(stem_of(folder))}"
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; expected one to write to; choose another name")
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise DataError(
            f"{folder}: {there} is no folder that this user can write to; expected one; choose another, "
            "or change its rights"
        )


def targets_of(
    case: Case, mask: Path, overlays: Path | None, confidence: bool = False, probabilities: bool = False
) -> list[Path]:
    """All files that are written of a case, its mask first."""
    twin = twin_of(mask)
    return [
        mask,
        *([] if twin is None else [twin]),
        *([] if overlays is None else [overlay_of(case, overlays)]),
        *([uncertainty_of(mask, case)] if confidence else []),
        *([probabilities_of(mask, case)] if probabilities else []),
    ]


def left_to_do(
    cases: Sequence[Case],
    masks: Mapping[tuple[Path, ...], Path],
    overlays: Path | None,
    probabilities: bool = False,
    told: Collection[str] | None = None,
) -> list[Case]:
    """The cases of which nothing is there; those of which everything is are done.

    Args:
        cases, masks, overlays, probabilities: as of `targets_of`.
        told: names of the masks that the tables of trust tell of, where these are asked for.

    Raises:
        DataError: of a case some files are there and some are not.
    """
    left, untold = list[Case](), list[Path]()
    for case in cases:
        targets = targets_of(case, masks[case.images], overlays, told is not None, probabilities)
        there = [target for target in targets if os.path.lexists(target)]
        if not there:
            left.append(case)
        elif len(there) < len(targets):
            lacking = next(target for target in targets if target not in there)
            raise DataError(
                f"{there[0]}: is there and {lacking} is not, so that its image is neither done nor "
                "untouched; delete what is there of it, leave out what it lacks, or choose another folder "
                "with `output`"
            )
        elif told is not None and targets[0].name not in told:
            untold.append(targets[0])
    if untold:
        these, names = "this mask" if len(untold) == 1 else "these masks", [mask.name for mask in untold]
        raise DataError(
            f"{untold[0].parent}: {RECORD} does not tell of {some(names, 20)} as it is there, and how far "
            f"{these} can be trusted is not known; delete {these} and what belongs there, leave out "
            "`confidence`, or choose another folder with `output`"
        )
    return left


def older_than(models: Sequence[Path], masks: Sequence[Path]) -> list[str]:
    """A warning of masks that were there before one of the models was: another one made them."""
    files = [model_file_of(model) for model in models]
    made = max(file.stat().st_mtime for file in files)
    found = [mask.name for mask in masks if os.path.lexists(mask) and mask.lstat().st_mtime < made]
    if not found:
        return []
    return [
        f"{counted(len(found), 'mask')} passed over and older than the model, so that another one may have "
        f"made {'it' if len(found) == 1 else 'them'}: {some(found)}; if so, replace all with `overwrite`"
    ]


def older_than_images(masks: Mapping[tuple[Path, ...], Path]) -> list[str]:
    """A warning of masks that were there before their images were: these may have been others."""
    found = [
        mask.name
        for images, mask in masks.items()
        if os.path.lexists(mask) and mask.lstat().st_mtime < max(image.stat().st_mtime for image in images)
    ]
    if not found:
        return []
    return [
        f"{counted(len(found), 'mask')} passed over and older than the image, so that "
        f"{'it' if len(found) == 1 else 'they'} may be of another one: {some(found)}; if so, replace all "
        "with `overwrite`"
    ]


def left_from_before(
    masks: Mapping[Path, Case], output: Path, confidence: bool, probabilities: bool
) -> list[str]:
    """A warning of files that were made with earlier masks of these names, and lie beside the new ones.

    Args:
        masks: that were written.
        output: their folder, with the tables of trust.
        confidence, probabilities: whether these files were made anew.
    """
    tables = [] if confidence else [output / TABLE, output / RECORD]
    found = [table for table in tables if _tells_of(table, {mask.name for mask in masks})]
    beside = [] if confidence else [uncertainty_of(mask, case) for mask, case in masks.items()]
    beside += [] if probabilities else [probabilities_of(mask, case) for mask, case in masks.items()]
    found += [path for path in beside if os.path.lexists(path)]  # False of a name that is too long
    if not found:
        return []
    return [
        f"{output}: of earlier masks, and not of those that were written now: "
        f"{some([path.name for path in found])}; delete {'it' if len(found) == 1 else 'them'}, or have all "
        "made anew with `confidence` or `probabilities`, and `overwrite`"
    ]


def _tells_of(table: Path, masks: Collection[str]) -> bool:
    """Whether a table of trust names one of these masks."""
    try:
        text = table.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return any(f",{mask}," in text or f'"{mask}"' in text for mask in masks)


def refuse_overwriting(
    cases: Sequence[Case],
    masks: Mapping[tuple[Path, ...], Path],
    overlays: Path | None,
    overwrite: bool,
    confidence: bool = False,
    probabilities: bool = False,
    labels: Sequence[Path] = (),
) -> None:
    """A mask written over an image or a drawn label would lose it; nothing is written in that case."""
    targets: list[Path] = []
    for case in cases:
        targets += targets_of(case, masks[case.images], overlays, confidence, probabilities)
    lost = replaced(targets, [image for case in cases for image in case.images])
    if lost is not None:
        raise DataError(
            f"{lost}: would replace an image that is to be segmented; choose another folder "
            "with `output` or `overlays`"
        )
    drawn = replaced(targets, labels)
    if drawn is not None:
        raise DataError(
            f"{drawn}: would replace a label by which the network was trained or measured; choose another "
            "folder with `output` or `overlays`"
        )
    place, taken = place_in({target.parent for target in targets}), set[str]()
    for target in targets:
        if place(target) in taken:
            raise DataError(f"{target}: two files would be written to this name; choose another folder")
        if os.path.lexists(target) and not overwrite:
            raise DataError(
                f"{target}: exists already; choose another folder with `output`, or say `overwrite`"
            )
        taken.add(place(target))
