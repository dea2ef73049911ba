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

from .habits import IMAGE_FOLDERS, MASK_FOLDERS, SEPARATORS, is_label_name
from .io import pictures
from .io.formats import format_named, is_hidden, list_images, list_labels, series_format
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
    """

    name: str
    person: str
    images: dict[str, Path] = field(default_factory=dict)
    labels: dict[str, Path] = field(default_factory=dict)
    organs: dict[str, Path] = field(default_factory=dict)
    doubles: list[Path] = field(default_factory=list)


def find_case_folders(root: Path, masks: Path | None = None) -> list[CaseFolder]:
    """The folders of cases below `root`, in the order of their names; none where it holds no such.

    Args:
        root: folder of the data.
        masks: of BIDS, the folder of the labels; derivatives/ in `root` where it is None.
    """
    subjects = [path for path in _folders(root) if path.name.startswith("sub-")]
    if subjects:
        return _of_bids(root, subjects, masks)
    if masks is not None:
        return []
    places = list(_places(root, DEPTH))
    repeated = {name for name, count in Counter(place.name for place in places).items() if count > 1}
    found = []
    for place in places:
        parts = place.relative_to(root).parts
        name = "_".join(parts) if place.name in repeated else place.name
        found.append(_sorted_out(place, name, parts[0] if place.name in repeated else name))
    return found


def case_folder(folder: Path) -> CaseFolder:
    """One folder, taken for a case."""
    return _sorted_out(folder, folder.name, folder.name)


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not is_hidden(path)]


def _places(folder: Path, depth: int) -> Iterator[Path]:
    """Folders that hold image files, the uppermost of each branch; of series alone they are studies."""
    for inner in _folders(folder):
        if inner.name.lower() in (*IMAGE_FOLDERS, *MASK_FOLDERS, *UNREAD) or series_format(inner):
            continue
        if any(path.is_file() for path in list_images(inner)):
            yield inner
        elif depth > 1:
            yield from _places(inner, depth - 1)


def _sorted_out(place: Path, name: str, person: str) -> CaseFolder:
    files = [path for path in list_labels(place) if path.name.lower() not in MASK_FOLDERS]
    drawn = [path for path in files if format_named(path) not in pictures.FORMATS]
    files = drawn or files  # a preview beside volumes is none of them
    found = CaseFolder(name, person)
    roles = _roles([name_of(path) for path in files], place.name)
    for role, path in zip(roles, files, strict=True):
        _add(found, role, path)
    for inner in _folders(place):
        if inner.name.lower() in MASK_FOLDERS:
            found.organs |= {name_of(path): path for path in list_images(inner)}
    return found


def _add(case: CaseFolder, role: str, path: Path) -> None:
    files = case.labels if is_label_name(role) else case.images
    if files.setdefault(role, path) != path:
        case.doubles.append(path)


def _roles(stems: Sequence[str], folder: str) -> list[str]:
    """What names say beyond the folder's; where they do not hold it, beyond what they share."""
    beyond = [_beyond(stem, folder) for stem in stems]
    if beyond != list(stems):
        return beyond
    common = os.path.commonprefix(list(stems)) if len(stems) > 1 else ""  # noqa: RUF071 - letters are meant
    cut = max((place + 1 for place, letter in enumerate(common) if letter in SEPARATORS), default=0)
    return [stem[cut:] for stem in stems]


def _beyond(stem: str, name: str) -> str:
    """A name without the folder's in front of it, or behind it."""
    marks = f"[{re.escape(SEPARATORS)}]"
    name = re.escape(name)
    return re.sub(f"^{name}(?:{marks}+|$)|{marks}+{name}$", "", stem, count=1, flags=re.IGNORECASE)


def _of_bids(root: Path, subjects: Iterable[Path], masks: Path | None) -> list[CaseFolder]:
    found: dict[str, CaseFolder] = {}
    for subject in subjects:
        for path, name, role in _named(subject):
            if not is_label_name(role):
                _add(found.setdefault(name, CaseFolder(name, subject.name)), role, path)
    place = root / (masks if masks is not None else DERIVATIVES)
    for path, name, role in _named(place) if place.is_dir() else ():
        if name in found and is_label_name(role):
            _add(found[name], role, path)
    return [found[name] for name in sorted(found)]


def _named(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Files below a folder, with subject and session, and what their names say beyond."""
    for place, _, _ in sorted(os.walk(folder)):
        for path in list_images(Path(place)):
            match = BIDS.fullmatch(name_of(path))
            if match is not None and path.is_file():
                yield path, match[1], match[2]
