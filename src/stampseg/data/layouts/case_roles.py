"""Folders of cases as entries: which files are channels, which a label, and which an image of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from ...core.errors import DataError
from ...core.text import counted, some
from .case_folders import DERIVATIVES, CaseFolder, beyond_name
from .derived import check_derived, check_strays, names_of_doubles, several_derived
from .doubts import (
    REMEDY,
    copies,
    doubtful_people,
    kind_of,
    mixed,
    mixed_labels,
    numbered_channels,
    other_modalities,
    unread_cases,
)
from .habits import FILMS, SEPARATORS, image_name, plain_name, words_of
from .listing import COMPUTED, Entry, left_over
from .modalities import differ, modalities
from .pairing import name_of
from .repeats import by_plain_roles, named_repeats, repeats_apart
from .several_labels import TOLD_PIECES, agreed, are_pieces, with_label
from .versions import plain_version, versions_as_labelled

BESIDE = f"labels beside the images left out, as there are some below {DERIVATIVES}/"
ORGANS = "segmentations"


@dataclass(frozen=True)
class Roles:
    """What folders of cases hold.

    Attributes:
        entries: of all images that are learnt from.
        channels: their names, where a case has several images.
        organs: names of the masks, where a case has several.
        warnings: one line each.
    """

    entries: list[Entry]
    channels: tuple[str, ...] = ()
    organs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def labelled_entries(folders: Sequence[CaseFolder]) -> Roles | None:
    """What can be learnt from; None where no folder holds a label.

    A label that is called as an image of its folder, and something beyond, is the label of that image: the
    folder is a person's, with a case for each image. Else all images of a folder are channels of one case.

    Raises:
        DataError: several labels fit one image, or folders hold different images; labels of one name lie in
            several folders of derivatives, or all are called as of other subjects or sessions.
    """
    folders, told = agreed(folders)
    labelled = [folder for folder in folders if folder.labels or folder.organs]
    if not labelled:
        check_strays(folders)
        return None
    check_derived(folders)
    doubles = [name for folder in folders for name in names_of_doubles(folder)]
    told += left_over("files left out because another has the same name", doubles)
    told += left_over(COMPUTED, [path.name for folder in folders for path in folder.computed])
    folders, elsewhere = _by_versions(folders)
    told += left_over("images in another space than their labels left out", elsewhere)
    folders = _by_repeats(folders)
    labelled = [folder for folder in folders if folder.labels or folder.organs]
    if any(owner_of(label, folder.images) for folder in labelled for label in folder.labels):
        found = _images_apart(folders, labelled)
    else:
        found = _channels_together(folders, labelled)
    told += mixed_labels(folders, found.entries) + copies(folders) + unread_cases(folders)
    told += other_modalities(found.entries) + several_derived(found.entries)
    told += left_over(BESIDE, [path.name for folder in folders for path in folder.beside])
    told += left_over("labels without an image", [path.name for folder in folders for path in folder.strays])
    return Roles(found.entries, found.channels, found.organs, (*found.warnings, *told))


def _by_versions(folders: Sequence[CaseFolder]) -> tuple[list[CaseFolder], list[str]]:
    """One version of each image, where no label is called as one in any space; names of the others."""
    for folder in folders:
        images = {plain_version(role): path for role, path in folder.images.items()}
        if any(owner_of(plain_version(label), images) for label in folder.labels):
            return [*folders], []
    return versions_as_labelled(folders)


def _by_repeats(folders: Sequence[CaseFolder]) -> list[CaseFolder]:
    """A folder for each repeat, where labels are of several images, as of two contrasts of a run."""
    loose = [not any(owner_of(label, folder.images) for label in folder.labels) for folder in folders]
    names = {name for folder in compress(folders, loose) for name in named_repeats(folder)}
    return [
        part
        for folder, apart in zip(folders, loose, strict=True)
        for part in (repeats_apart(folder, names) if apart else [folder])
    ]


def bare_entries(
    folders: Sequence[CaseFolder], channels: int | None = None, names: Sequence[str] = ()
) -> list[Entry]:
    """The images of folders to be segmented, without their labels.

    Args:
        channels: that are wanted; None: as many as there are.
        names: of these channels, if they have some.

    Raises:
        DataError: nothing says which of several images is which.
    """
    folders = [folder for folder in folders if folder.images]
    _check_alone(folders)
    labels = [(label, folder.images) for folder in folders for label in folder.labels]
    if any(owner_of(*label) for label in labels):
        kinds = {kind_of(owner) for label in labels if (owner := _image_of(*label)) is not None}
        return [entry for role, entry in _alone(folders) if kind_of(role) in kinds - _films(kinds)]
    if all(len(folder.images) == 1 for folder in folders):
        return [_together(folder, list(folder.images)) for folder in folders]
    wanted = [name.casefold() for name in names]
    if wanted and all(set(wanted) <= set(_by_fold(folder.images)) for folder in folders):
        return [_together(folder, [_by_fold(folder.images)[name] for name in wanted]) for folder in folders]
    if wanted and (parts := by_plain_roles(folders)):
        return bare_entries(parts, channels, names)
    same = len({frozenset(_by_fold(folder.images)) for folder in folders}) == 1
    if same and channels in (None, len(folders[0].images)):
        return [_together(folder, sorted(folder.images, key=str.casefold)) for folder in folders]
    if len({kind_of(role) for folder in folders for role in folder.images}) == 1:
        return [entry for _, entry in _alone(folders)]
    if not same:
        raise _unequal(folders)
    raise DataError(
        f"{_place(folders[0])}: holds {some(list(folders[0].images), 9)}, and the network reads "
        f"{counted(channels or 0, 'channel')}; expected files that are called as those it learnt from; name "
        "the files meant, or list them in a CSV with a column image"
    )


def _check_alone(folders: Sequence[CaseFolder]) -> None:
    """Refuse folders with one file each beside a folder of images: it may be a label, as 60/wmh.nii.gz is.

    Raises:
        DataError: all are such.
    """
    for folder in folders:
        if len(folder.images) != 1 or folder.labels or folder.organs or not folder.inner:
            return
    if folders:
        one, inner = next(iter(folders[0].images.values())), folders[0].inner
        raise DataError(
            f"{one}: lies beside {some([path.name for path in inner])} with more images, so that it may be a "
            "label; expected the images of a case in its folder; name the files or folders meant, or list "
            "them in a CSV with a column image"
        )


def _images_apart(folders: Sequence[CaseFolder], labelled: Sequence[CaseFolder]) -> Roles:
    """A case for each image."""
    of_images: dict[Path, list[Path]] = {}
    kinds = set()
    for folder in labelled:
        masks = next(iter(folder.organs.values()), None)
        for label, path in folder.labels.items():
            if masks is not None:
                raise _two_labels(path.parent, path, masks.parent)
            owner = _image_of(label, folder.images)
            if owner is None:
                raise DataError(
                    f"{path}: fits no image of its folder ({some(folder.images, 9)}), as other labels "
                    f"do; expected one label for each image; {REMEDY}"
                )
            image = folder.images[owner]
            labels = of_images.setdefault(image, [])
            labels.append(path)
            if not are_pieces(labels):
                raise _two_labels(path.parent, labels[0], path)
            kinds.add(kind_of(owner))
    films = _films(kinds)
    kinds -= films
    entries, left, played = [], [], []
    for role, entry in _alone(folders):
        if kind_of(role) in films:
            played.append(entry.images[0].name)
        elif kind_of(role) in kinds:
            entries.append(with_label(entry, of_images.get(entry.images[0], ())))
        else:
            left.append(entry.images[0].name)
    told = left_over("images left out, as none that is called so has a label", left)
    told += left_over("films left out, beside labelled images that are none", played)
    if len(kinds) > 1:
        told += (
            f"labels are of images that are called in {len(kinds)} ways ({some(sorted(kinds))}), which are "
            f"learnt as one kind; if they are not, {REMEDY}",
        )
    pieces = [entry.stem for entry in entries if entry.organs]
    told += left_over(TOLD_PIECES, pieces)
    return Roles(entries, warnings=(*told, *doubtful_people(entries, apart=True)))


def _channels_together(folders: Sequence[CaseFolder], labelled: Sequence[CaseFolder]) -> Roles:
    """A case for each folder."""
    for folder in labelled:
        _check_label(folder)
    single = all(len(folder.images) == 1 for folder in labelled)  # whatever it is called
    if not single and len({frozenset(_by_fold(folder.images)) for folder in labelled}) > 1:
        raise _unequal(labelled)
    wanted = sorted(_by_fold(labelled[0].images))
    channels = () if single else tuple(_by_fold(labelled[0].images)[name] for name in wanted)
    entries, left = [], []
    for folder in folders:
        own = _by_fold(folder.images)
        names = list(own) if single else wanted
        if not names or (single and len(names) > 1) or not set(names) <= set(own):
            left.append(folder.name)
            continue
        organs = tuple(sorted(folder.organs.items()))
        labels = [*folder.labels.values(), *(path for _, path in organs)]
        images = tuple(folder.images[own[name]] for name in names)
        first = labels[0] if labels else None
        entries.append(Entry(folder.name, images, first, folder.person, organs, channels))
    told = left_over("folders left out, whose images are not those of the labelled ones", left)
    told += doubtful_people(entries, apart=False) + numbered_channels(channels)
    if single:
        told += mixed("images", [role for folder in labelled for role in folder.images])
        inner = [folder for folder in labelled if folder.name.startswith(f"{folder.person}_")]
        told += mixed("cases", [beyond_name(folder.name, folder.person) for folder in inner])
    return Roles(entries, channels, _organs(labelled), told)


def _check_label(folder: CaseFolder) -> None:
    """Refuse a label without an image, and several labels of one case."""
    masks = [path.parent for path in folder.organs.values()][:1]
    labels = [*folder.labels.values(), *masks]
    if not folder.images:
        label = next(iter((*folder.labels.values(), *folder.organs.values())))
        raise DataError(f"{label}: is a label, and its folder holds no image; add it, or take the label out")
    if len(labels) > 1:
        raise _two_labels(_place(folder), labels[0], labels[1])


def _organs(labelled: Sequence[CaseFolder]) -> tuple[str, ...]:
    """The names of the masks, the same in every folder that has some.

    Raises:
        DataError: they are not, or some folders have one label in their place.
    """
    first = labelled[0]
    for folder in labelled[1:]:
        if set(folder.organs) != set(first.organs):
            apart = sorted(set(folder.organs) ^ set(first.organs))
            raise DataError(
                f"{_place(folder)}: {some(apart, 6)} not drawn both in it and in {_place(first)}; expected a "
                "mask of each organ in every folder, as what is not drawn is learnt as not there; add empty "
                f"masks, or {REMEDY}"
            )
    return tuple(sorted(first.organs))


def _together(folder: CaseFolder, roles: Sequence[str]) -> Entry:
    """One case of these images of a folder, as channels in this order."""
    images = tuple(folder.images[role] for role in roles)
    return Entry(folder.name, images, None, folder.person, channels=tuple(roles) if len(roles) > 1 else ())


def _alone(folders: Iterable[CaseFolder]) -> list[tuple[str, Entry]]:
    """A case for each image, with its role."""
    return [
        (role, Entry(name_of(path), (path,), None, folder.person))
        for folder in folders
        for role, path in folder.images.items()
    ]


def owner_of(label: str, images: Mapping[str, Path]) -> str | None:
    """The role of the image that a label is called as, and something beyond."""
    own, plain, roles = label.casefold(), plain_name(label).casefold(), _by_fold(images)
    starts = [own[:place] for place, letter in enumerate(own) if letter in SEPARATORS]
    fitting = [roles[name] for name in (*starts, plain) if name and name in roles]
    fitting = fitting or [role for role in images if role and image_name(role).casefold() == plain]
    return max(fitting, key=len, default=None) or _owner_by_entities(label, images)


def _image_of(label: str, images: Mapping[str, Path]) -> str | None:
    """As `owner_of`, else the image called as the folder, or the only one, where others have owners."""
    alone = next(iter(images)) if len(images) == 1 else None
    return owner_of(label, images) or ("" if "" in images else alone)


def _owner_by_entities(label: str, images: Mapping[str, Path]) -> str | None:
    """Of BIDS, the one image with the entities of a label: `dir-ax_ct` of `dir-ax_seg-vert_msk`."""
    said = modalities(label)
    entities = {role: role.rpartition("_")[0] for role in images if not differ(said, modalities(role))}
    fitting = [role for role, own in entities.items() if "-" in own and label.startswith(f"{own}_")]
    return fitting[0] if len(fitting) == 1 < len(images) else None


def _films(kinds: Set[str]) -> Set[str]:
    """The kinds that are called as films; none where all are."""
    films = {kind for kind in kinds if not words_of(kind).isdisjoint(FILMS)}
    return films if films < kinds else set()


def _by_fold(images: Mapping[str, Path]) -> dict[str, str]:
    """Roles by themselves in small letters."""
    return {role.casefold(): role for role in images}


def _unequal(folders: Sequence[CaseFolder]) -> DataError:
    """What is said of folders that hold different images."""
    one = min(folders, key=lambda folder: len(folder.images))
    own = set(_by_fold(one.images))
    other = next((each for each in folders if set(_by_fold(each.images)) != own), one)
    return DataError(
        f"{_place(one)}: holds {some(one.images, 9)}, and {_place(other)} "
        f"{some(other.images, 9)}; expected the same images in every folder, a channel each; add or "
        f"remove some, or {REMEDY}"
    )


def _place(folder: CaseFolder) -> Path:
    return next(iter((*folder.images.values(), *folder.labels.values(), *folder.organs.values()))).parent


def _two_labels(place: Path, one: Path, other: Path) -> DataError:
    apart = one.parent != other.parent and DERIVATIVES in (*one.parts, *other.parts)
    way = "name the folder of one kind with `masks`" if apart else "take one out"
    return DataError(
        f"{place}: {one.name} and {other.name} are both called as labels of one image; expected one for "
        f"each; {way}; where each is of another organ put all into a folder {ORGANS}/ of the "
        "case, or list the files in a CSV with columns image,label:liver,label:spleen"
    )
