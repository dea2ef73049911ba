"""Cases whose images and labels lie in folders of their kind: `images/p1/` and `labels/p1/`, or `p1/images/`
and `p1/masks/`; or whose label lies beside the folder of the images, `p1/lesions.nii.gz` and `p1/t1/`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...core.errors import DataError
from ...core.text import composed, some
from ..io.formats import folders_in, list_images, series_format
from .case_folders import CaseFolder, beyond_name, is_picture, without_previews
from .case_people import Parts, names_and_people
from .case_roles import Roles, labelled_entries, owner_of
from .doubts import REMEDY, kind_of
from .habits import is_image_folder, is_label_name, is_mask_folder, is_no_truth, is_nobody
from .listing import left_over
from .pairing import name_of, without_computed
from .several_labels import NUMBER, TOLD_PIECES, with_label

DEPTH = 4  # folders from the data down to the files


@dataclass
class _Case:
    """Files by the folder that tells their kind.

    Attributes:
        images, masks: in folders called as of these.
        others: in folders called as of neither.
        own: in the folder of the case itself.
    """

    images: dict[str, list[Path]] = field(default_factory=dict)
    masks: dict[str, list[Path]] = field(default_factory=dict)
    others: dict[str, list[Path]] = field(default_factory=dict)
    own: list[Path] = field(default_factory=list)


def roles_by_kind(root: Path, images: str | None = None, masks: str | None = None) -> Roles | None:
    """What can be learnt from; None where files do not lie so, or none is a label.

    Args:
        root: folder of the data.
        images, masks: names of the folders of a case, where there are several.

    Raises:
        DataError: several folders may be meant, labels are slices, or as `labelled_entries`.
    """
    folders = folders_by_kind(root, images, masks)
    pieces = _pieces([case for case in folders if case.labels])
    roles = labelled_entries(folders)
    if roles is None or not pieces:
        return roles
    entries = [with_label(entry, pieces.get(entry.label, ())) for entry in roles.entries]
    told = left_over(TOLD_PIECES, [entry.stem for entry in entries if entry.organs])
    return replace(roles, entries=entries, warnings=(*roles.warnings, *told))


def folders_by_kind(root: Path, images: str | None = None, masks: str | None = None) -> list[CaseFolder]:
    """The cases, in the order of their names; none where the files lie in the data's own folders, or in those
    of its parts or of several data sets, of which one is to be given.

    Raises:
        DataError: several folders may be meant, or labels are slices.
    """
    if any(is_image_folder(path.name) and list_images(path) for path in folders_in(root)):
        return []  # before all folders are gone through
    found = _cases(root)
    if found.pop((), _Case()).images or any(is_nobody(parts[-1]) for parts in found):
        return []
    strays = [
        path for case in found.values() if not (case.images or case.others) for path in _files(case.masks)
    ]
    found = {parts: case for parts, case in found.items() if case.images or case.others}
    labels = {parts: _labels(case, images, masks) for parts, case in found.items()}
    scans = {parts: _images(root, parts, case, images, bool(labels[parts])) for parts, case in found.items()}
    places = [parts for parts in found if scans[parts]]
    many = (parts for parts in places if len(scans[parts]) > 1 and len(labels[parts]) > 1)
    if not all(re.search(r"\d", "".join(parts)) for parts in many):
        return []  # data sets beside each other: nobody is called by a word alone
    named = zip(places, names_and_people(places), strict=True)
    folders = [_folder(CaseFolder(*name), scans[parts], labels[parts]) for parts, name in named]
    for folder in folders[:1]:
        folder.strays = strays
    return folders


def _cases(root: Path) -> dict[Parts, _Case]:
    found: dict[Parts, _Case] = defaultdict(_Case)
    for place, files in _places(root, DEPTH):
        parts = tuple(map(composed, place.relative_to(root).parts))
        kinds = [i for i, name in enumerate(parts) if is_image_folder(name) or is_mask_folder(name)]
        if not parts:  # a series in the data's own folder
            found[()].images[""] = files
            continue
        at = kinds[-1] if kinds else len(parts) - 1
        case, name = found[parts[:at] + parts[at + 1 :]], parts[at]
        if not kinds:
            case.others[name] = files
            found[parts].own = files
        else:
            (case.masks if is_mask_folder(name) else case.images).setdefault(name, []).extend(files)
    return dict(found)


def _places(folder: Path, depth: int) -> Iterator[tuple[Path, list[Path]]]:
    """Folders that hold images, or are one in a folder that is not called as of images, with these."""
    for inner in folders_in(folder):
        if is_no_truth(inner.name):
            continue
        if series_format(inner) and not any(is_mask_folder(path.name) for path in inner.rglob("*/")):
            yield (folder if is_image_folder(folder.name) else inner), [inner]
            continue
        if files := without_previews([path for path in list_images(inner) if path.is_file()]):
            yield inner, files
        if depth > 1:
            yield from _places(inner, depth - 1)


def _files(folders: Mapping[str, list[Path]]) -> list[Path]:
    return [path for files in folders.values() for path in files]


def _labels(case: _Case, images: str | None, masks: str | None) -> list[Path]:
    """The files of the folder of masks, or beside the folder of images that is named."""
    folders = {name: files for name, files in case.masks.items() if masks in (None, name)}
    if len(folders) > 1:
        first = next(iter(folders.values()))[0]
        raise DataError(
            f"{first.parent.parent}: {some(folders, 9)} are all called as of masks; expected one; name "
            "it with `masks`"
        )
    beside = case.own if images is not None and images in case.others else []
    return without_computed(next(iter(folders.values()), beside))[0]


def _images(
    root: Path, parts: Parts, case: _Case, images: str | None, labelled: bool
) -> list[tuple[str, Path]]:
    """Roles and files, of the folder of images: one that is called so, or named, or the only one beside
    labels. Folders with a file each that is called as its folder are channels.
    """
    folders = {**case.images, **case.others} if images is not None else case.images
    if images is None and not folders and labelled:
        folders = {
            name: files for name, files in case.others.items() if not (case.own and _are_labels(files))
        }
    folders = {name: files for name, files in folders.items() if images in (None, name)}
    if len(folders) > 1 and all([name] == [*map(name_of, files)] for name, files in folders.items()):
        return [(NUMBER.sub("", name), files[0]) for name, files in folders.items()]
    if len(folders) > 1:
        raise DataError(
            f"{root.joinpath(*parts)}: {some(sorted(folders), 9)} all hold images of the case; expected one; "
            "name it with `images`"
        )
    files = next(iter(folders.values()), [])
    scans = [path for path in without_computed(files)[0] if not is_label_name(name_of(path))] or files
    return [(beyond_name(name_of(path), parts[-1]), path) for path in scans]


def _are_labels(files: Iterable[Path]) -> bool:
    """Whether all are called as labels: `auto/ct_seg`, beside `ct` and `manual/ct_seg`, is no image."""
    return all(is_label_name(name_of(path)) for path in files)


def _folder(case: CaseFolder, scans: list[tuple[str, Path]], labels: list[Path]) -> CaseFolder:
    """A case of these files; of several with one role the first, the others are its doubles."""
    marks = [(beyond_name(name_of(path), case.name), path) for path in labels]
    for files, named in ((case.images, scans), (case.labels, marks)):
        for role, path in named:
            if files.setdefault(role, path) is not path:
                case.doubles.append(path)
    images = case.images
    if len(labels) > 1 and all(map(is_picture, labels)) and not any(map(is_picture, images.values())):
        raise DataError(
            f"{labels[0].parent}: {len(labels)} pictures as the label of {min(images.values())}, which is a "
            "volume; expected one file for each label; join the slices, in the order of the scan's, to a "
            f"volume on its grid, or {REMEDY}"
        )
    return case


def _pieces(folders: list[CaseFolder]) -> dict[Path | None, list[Path]]:
    """Pieces of a label by their first, which is left as the label: masks called alike but for a number, or
    by names that no other case has. Others are organs.

    Raises:
        DataError: of several images that are called alike, none is the one that a label is called as.
    """
    several = [case for case in folders if len(case.labels) > 1 and not _owned(case)]
    held = Counter(role for case in folders for role in case.labels)
    named = len(folders) == 1 or max(held.values(), default=0) > 1
    found: dict[Path | None, list[Path]] = {}
    for case in several:
        if len(_alike(case.images)) < len(case.images):  # frames or visits, of which each may have one
            raise DataError(
                f"{min(case.labels.values())}: fits no image by its name ({some(case.images, 6)}), as "
                f"the other labels of the case; expected each called as its image; rename them, or {REMEDY}"
            )
        if named and len(_alike(case.labels)) > 1:
            case.labels, case.organs = {}, case.labels
            continue
        files = sorted(case.labels.values())
        case.labels = {role: path for role, path in case.labels.items() if path == files[0]}
        found[files[0]] = files
    return found


def _alike(roles: Iterable[str]) -> set[str]:
    """What files are called but for their numbers."""
    return set(map(kind_of, roles))


def _owned(case: CaseFolder) -> bool:
    return any(owner_of(label, case.images) for label in case.labels)
