"""A folder for each case or person: what its files are, told by what their names say beyond the folder's.

`BraTS_001/BraTS_001_flair.nii.gz, ..._t1.nii.gz, ..._seg.nii.gz` (BraTS) and `case_00001/imaging.nii.gz,
segmentation.nii.gz` (KiTS) are cases; `patient001/patient001_frame01.nii.gz, ..._frame01_gt.nii.gz` (ACDC) is
a person, with a case for each frame; `sub-01` of BIDS is a person too; its labels lie below derivatives/.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import DataError
from ...core.text import composed
from ..io import pictures
from ..io.formats import check_one_series, folders_in, format_named, list_images, list_labels, series_format
from .case_people import names_and_people
from .habits import (
    IMAGE_FOLDERS,
    LABEL_SET,
    MASK_FOLDERS,
    SEPARATORS,
    is_image_folder,
    is_kind_folder,
    is_label_name,
    is_mask_folder,
    is_no_truth,
    words_of,
)
from .pairing import name_of

DEPTH = 3  # folders between the data and the files of a case: grades or sites, persons, visits
BIDS = re.compile(r"(sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?)_(.+)")
DERIVATIVES = "derivatives"  # of BIDS, where labels lie
UNREAD = (DERIVATIVES, "sourcedata", "code")


@dataclass
class CaseFolder:
    """The files of a case, or of a person with several.

    Attributes:
        name: of the folder, or of the subject and session.
        person: who it is of.
        images, labels: by role, what their names say beyond the folder's; "" where that is nothing.
        organs: masks in a folder of their own, by name.
        doubles: files left out, as another has the same name but for its ending.
        computed: files left out, as they are called as predictions or overlays.
        strays: labels among those of all cases that are of none; with the first case.
        beside: labels beside the images, where those of derivatives are taken.
        inner: folders in it with images of which nothing is read.
    """

    name: str
    person: str
    images: dict[str, Path] = field(default_factory=dict)
    labels: dict[str, Path] = field(default_factory=dict)
    organs: dict[str, Path] = field(default_factory=dict)
    doubles: list[Path] = field(default_factory=list)
    computed: list[Path] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    inner: list[Path] = field(default_factory=list)


def find_case_folders(root: Path, masks: Path | None = None) -> list[CaseFolder]:
    """The folders of cases below `root`, in the order of their names; none where it holds no such, or where a
    folder in it is called as of images or of masks.

    Raises:
        DataError: two folders of a case hold a mask of one organ.

    Args:
        root: folder of the data.
        masks: of BIDS, the folder of the labels; derivatives/ where it is None.
    """
    inner = folders_in(root)
    subjects = [path for path in inner if _is_subject(path)]
    if not subjects and _are_of_kinds(inner):
        return []
    places = [] if subjects else _without_results(list(_places(root, DEPTH)))
    if all(any(map(_is_subject, (place, *place.parents))) for place in places):
        found = _of_bids(root, subjects or list(_subjects(root, DEPTH)), masks)
        if found or masks is not None:
            return found
        places = places or _without_results(list(_places(root, DEPTH)))
    if masks is not None:
        return []
    parts = [tuple(map(composed, place.relative_to(root).parts)) for place in places]
    return [_sorted_out(place, *named) for place, named in zip(places, names_and_people(parts), strict=True)]


def case_folder(folder: Path) -> CaseFolder:
    """One folder, taken for a case."""
    return _sorted_out(folder, composed(folder.name), composed(folder.name))


def is_picture(path: Path) -> bool:
    """Whether a file is no volume: a preview, where it lies beside some."""
    return format_named(path) in pictures.FORMATS


def _are_of_kinds(folders: Sequence[Path]) -> bool:
    """Whether one is called as of images or of masks; by a word among others, one of each with files."""
    if any(path.name.lower() in (*IMAGE_FOLDERS, *MASK_FOLDERS) for path in folders):
        return True
    called = [
        [path for path in folders if of_kind(path.name)] for of_kind in (is_image_folder, is_mask_folder)
    ]
    return all(any(map(list_images, each)) for each in called)


def _places(folder: Path, depth: int) -> Iterator[Path]:
    """Folders that hold image files, the uppermost of each branch; of series alone they are studies."""
    for inner in folders_in(folder):
        unread = inner.name.lower() in (*IMAGE_FOLDERS, *MASK_FOLDERS, *UNREAD) or is_no_truth(inner.name)
        if unread or series_format(inner):
            continue
        files = [path for path in list_images(inner) if path.is_file()]
        if files and is_kind_folder(inner.name):
            called = {is_label_name(role) for role in _roles([*map(name_of, files)], inner.name)}
            if len(called) == 1:
                continue
        if files:
            yield inner
        elif depth > 1:
            yield from _places(inner, depth - 1)


def _without_results(places: list[Path]) -> list[Path]:
    """Places without those of files that are all called as other places, as masks of these cases are."""
    names = {composed(place.name) for place in places}
    return [
        place
        for place in places
        if not {name_of(path) for path in list_images(place)} <= names - {composed(place.name)}
    ]


def _sorted_out(place: Path, name: str, person: str) -> CaseFolder:
    files = [path for path in list_labels(place) if path.name.lower() not in MASK_FOLDERS]
    files = _without_sources(without_previews(files))
    found = CaseFolder(name, person)
    roles = _roles([name_of(path) for path in files], composed(place.name))
    if roles == [""] and name_of(files[0]).lower() in LABEL_SET:  # seg/seg.nii.gz
        roles = [name_of(files[0])]
    for role, path in zip(roles, files, strict=True):
        _add(found, role, path)
    for inner in folders_in(place):
        if inner.name.lower() in MASK_FOLDERS:
            _add_organs(found, inner)
        elif inner not in files and any(path.is_file() for path in list_images(inner)):
            found.inner.append(inner)
    if not found.images:
        check_one_series(place, files)
    return found


def _add_organs(case: CaseFolder, folder: Path) -> None:
    for path in without_previews(list_images(folder)):
        name = name_of(path)
        if is_no_truth(name):
            case.computed.append(path)
        elif case.organs.setdefault(name, path) != path:
            raise DataError(
                f"{path}: {case.organs[name].parent.name} holds a mask of {name} as well; expected one of "
                "each organ; leave one of the two folders out"
            )


def _without_sources(files: list[Path]) -> list[Path]:
    """Files without the series that a volume beside them was made of, in a folder that is called DICOM."""
    volumes = any(path.is_file() and not is_label_name(name_of(path)) for path in files)
    sources = [path for path in files if path.is_dir() and words_of(path.name) & {"dicom", "dicoms", "dcm"}]
    return [path for path in files if not volumes or path not in sources]


def _add(case: CaseFolder, role: str, path: Path) -> None:
    files = case.labels if is_label_name(role) else case.images
    if is_no_truth(role):
        case.computed.append(path)
    elif role.casefold() in map(str.casefold, files):
        case.doubles.append(path)
    else:
        files[role] = path


def _roles(stems: Sequence[str], folder: str) -> list[str]:
    """What names say beyond the folder's; where none begins with it, nor do all images end, beyond what they
    share: `P1_T1_FLAIR` and `P1_T1_T1` of a visit T1.
    """
    beyond = [beyond_name(stem, folder) for stem in stems]
    begun = any(stem.casefold().startswith(folder.casefold()) for stem in stems)
    unlike = [is_label_name(own) or stem != own for stem, own in zip(stems, beyond, strict=True)]
    common = os.path.commonprefix(list(stems)) if len(stems) > 1 else ""  # noqa: RUF071 - letters are meant
    cut = max((place + 1 for place, letter in enumerate(common) if letter in SEPARATORS), default=0)
    if beyond != list(stems) and (begun or all(unlike) or not cut):
        return beyond
    return [stem[cut:] for stem in stems]


def beyond_name(stem: str, name: str) -> str:
    """A name without the folder's in front of it, or behind it."""
    marks = f"[{re.escape(SEPARATORS)}]"
    name = re.escape(name)
    return re.sub(f"^{name}(?:{marks}+|$)|{marks}+{name}$", "", stem, count=1, flags=re.IGNORECASE)


def _is_subject(folder: Path) -> bool:
    return folder.name.startswith("sub-")


def _subjects(folder: Path, depth: int) -> Iterator[Path]:
    """Folders of subjects, the uppermost of each branch, as in rawdata/ or in a folder of each site."""
    for inner in folders_in(folder):
        if _is_subject(inner):
            yield inner
        elif depth > 1 and inner.name.lower() not in UNREAD:
            yield from _subjects(inner, depth - 1)


def _of_bids(root: Path, subjects: Sequence[Path], masks: Path | None) -> list[CaseFolder]:
    """Cases of all data sets, with their place in front where two are called alike."""
    found: list[tuple[Path, CaseFolder]] = []
    for parent in sorted({subject.parent for subject in subjects}):
        own = [subject for subject in subjects if subject.parent == parent]
        found += [
            (parent, case) for case in _of_data_set(own, _labels_for(root, parent, masks), masks is not None)
        ]
    count = Counter(case.name for _, case in found)
    for parent, case in found:
        if count[case.name] > 1:
            case.name = "_".join((*map(composed, parent.relative_to(root).parts), case.name))
    return sorted((case for _, case in found), key=lambda case: case.name)


def _labels_for(root: Path, parent: Path, masks: Path | None) -> Path | None:
    """The folder of the labels of subjects: derivatives/ beside them or one above, if there is one."""
    if masks is not None:
        return root / masks
    above = [parent, *([] if parent == root else [parent.parent])]
    return next((path / DERIVATIVES for path in above if (path / DERIVATIVES).is_dir()), None)


def _of_data_set(subjects: Iterable[Path], labels: Path | None, named: bool) -> list[CaseFolder]:
    """Cases of subjects with the labels of a folder, or those beside the images where it holds none.

    Args:
        named: whether the folder of the labels is one that was asked for.
    """
    found: dict[str, CaseFolder] = {}
    beside = []
    for subject in subjects:
        for path, name, role in _named(subject):
            if is_label_name(role):
                beside.append((path, name, role))
            else:
                _add(found.setdefault(name, CaseFolder(name, subject.name)), role, path)
    derived = [] if labels is None else [each for each in _named(labels) if is_label_name(each[2])]
    told = any(name in found and not is_no_truth(role) for _, name, role in derived)
    for path, name, role in derived if told or named or not beside else beside:
        if name in found:
            _add(found[name], role, path)
    for path, name, role in (*derived, *beside) if found else ():
        if name not in found and not is_no_truth(role):
            next(iter(found.values())).strays.append(path)
    for path, name, role in beside if told and not named else ():
        if name in found and not is_no_truth(role):
            found[name].beside.append(path)
    return list(found.values())


def _named(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Files below a folder, with subject and session, and what their names say beyond; nothing predicted."""
    for place, _, _ in sorted(os.walk(folder)):
        if any(map(is_no_truth, Path(place).relative_to(folder).parts)):
            continue
        for path in without_previews(list_images(Path(place))):
            match = BIDS.fullmatch(name_of(path))
            if match is not None and path.is_file():
                yield path, match[1], match[2]


def without_previews(files: list[Path]) -> list[Path]:
    """Files without the pictures among them, where there are volumes."""
    return [path for path in files if not is_picture(path)] or files
