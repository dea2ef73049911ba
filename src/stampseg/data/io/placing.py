"""Labels that lie in their image's place but are stored otherwise, brought to the image's grid."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from ...core.errors import DataError
from ...core.text import counted, number_text, size_text
from .stacks import OFF_GRID
from .volume import GRID_TOLERANCE, Header, Volume, check_pair, check_size, corner_distance

BEYOND = 0.05  # of the segments may lie beyond the image
COARSE = 0.75  # of the distance of a label's slices, below which its image has slices between them


def on_grid_of(label: Volume, image: Header) -> Volume:
    """The label (*S) on its image's grid.

    Axes that are stored in another order or direction are turned. A segmentation of Slicer's, which covers
    only a part of the image or has voxels of its own, and a DICOM-SEG, which may hold only some slices, are
    brought to the nearest voxels; beyond them is 0. Whether voxels are its own `is_on_lattice` tells; the
    label's notes say what of it lies beyond the image.

    Raises:
        DataError: the label lies elsewhere, or has another grid.
    """
    try:
        check_pair(image, label.header)
        return _told_of_reference(label, image)
    except DataError:
        if image.affine is None or label.header.affine is None:
            raise
        if label.header.covers != "all":
            _check_placed(label.header, image)
            return _on_form(label, image)
        if (same := _by_other_form(label, image)) is not None:
            return same
        turned = _turned(label, image.affine)
        if turned is None:
            raise
    check_pair(image, turned.header)
    return turned


def _by_other_form(label: Volume, image: Header) -> Volume | None:
    """The label voxel by voxel, where one file says twice where it lies and the other agrees with the second.

    So it is of a label from a program that takes the qform of its image, which is turned against its sform.
    """
    pairs = ((image.other_affine, label.header.affine), (image.affine, label.header.other_affine))
    for ours, theirs in pairs:
        if ours is None or theirs is None or image.shape != label.header.shape:
            continue
        if corner_distance(image.shape, ours, theirs) <= GRID_TOLERANCE:
            notes = (*label.header.notes, _two_places(label.header, image))
            return Volume(label.array, replace(label.header, affine=image.affine, notes=notes))
    return None


def _on_form(label: Volume, image: Header) -> Volume:
    """A label that covers a part of its image, on its grid, by the form of it that the label follows.

    Raises:
        DataError: the image has two, to different sides, and the label runs as neither.
    """
    if image.other_affine is None:
        return _resampled(label, image)
    forms = image, replace(image, affine=image.other_affine, other_affine=None)
    alike = [form for form in forms if form.orientation == label.header.orientation]
    if len(alike) != 1 and forms[0].orientation != forms[1].orientation:
        raise DataError(
            f"{label.header.path}: runs to {label.header.orientation}, and its image {image.path} to "
            f"{forms[0].orientation} by its sform, to {forms[1].orientation} by its qform; which of "
            "them is meant cannot be known; correct the header of the image"
        )
    form = alike[0] if len(alike) == 1 else next((f for f in forms if is_on_lattice(label.header, f)), image)
    found = _resampled(label, form)
    if form is image:
        return found
    notes = (*found.header.notes, _two_places(label.header, image))
    return Volume(found.array, replace(found.header, affine=image.affine, notes=notes))


def _two_places(label: Header, image: Header) -> str:
    return (
        f"{label.path}: lies as its image {image.path} does by one of a qform and sform that contradict each "
        "other, and is taken voxel by voxel, as programs draw that take that one; if it was made otherwise "
        "it is wrong now: correct the header of the image"
    )


def spanned(one: Header, other: Header) -> Header:
    """The grid of `one`, as large as both need: each holds a part of an image alone.

    Raises:
        DataError: it would be far too large.
    """
    if one.affine is None or other.affine is None:
        return one
    corners = np.array([(*c, 1.0) for c in itertools.product(*((0, size - 1) for size in other.shape))])
    seen = np.round(corners @ (np.linalg.inv(one.affine) @ other.affine).T[:, :3], 3)
    low = np.minimum(np.floor(seen.min(axis=0)), 0).astype(int)
    high = np.maximum(np.ceil(seen.max(axis=0)) + 1, one.shape).astype(int)
    affine = one.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    found = replace(one, shape=tuple((high - low).tolist()), affine=affine, covers="all")
    check_size(found)
    return found


def is_part_of(part: Header, whole: Header) -> bool:
    """Whether the slices of one grid are slices of another, as whole planes: nothing is resampled or cut.

    Axes may be stored in another order or direction. Where `whole` is itself a DICOM-SEG, which may leave out
    slices at its ends, those of `part` may go on beyond it.
    """
    if part.affine is None or whole.affine is None or not (part.placed and whole.placed):
        return part.shape == whole.shape
    placed = _whole_places(part, whole)
    if placed is None:
        return False
    turn, places = placed
    last = np.array(whole.shape) - 1
    low, high = places.min(axis=0), places.max(axis=0)
    stacked = turn[:, 2] != 0  # the axis of the other grid along which the slices lie
    within = (low >= 0) & (high <= last) | (whole.covers == "slices")
    return bool(np.where(stacked, within, (low == 0) & (high == last)).all())


def is_on_lattice(part: Header, whole: Header) -> bool:
    """Whether every voxel of one grid is a voxel of the other, or of what that would be if it went on.

    So it is of a label that is cut to a box. Axes may be stored in another order or direction.
    """
    if part.affine is None or whole.affine is None or not (part.placed and whole.placed):
        return part.shape == whole.shape
    return _whole_places(part, whole) is not None


def grids_text(one: Header, other: Header, kind: str) -> str:
    """Two files with their grids: "a: 5 x 5 x 5 voxels of ..., but its <kind> b has ..."."""
    found, wanted = _grid_text(one), _grid_text(other)
    turned = ", in other directions" if found == wanted else ""
    return f"{one.path}: {found}, but its {kind} {other.path} has {wanted}{turned}"


def _grid_text(header: Header) -> str:
    said = f"{size_text(header.shape)} {'pixels' if header.is_picture else 'voxels'}"
    if header.affine is None:
        return said
    first = ", ".join(number_text(place, 6) for place in header.affine[:3, 3])
    return f"{said} of {size_text(header.spacing)} mm, the first at ({first})"


def _whole_places(part: Header, whole: Header) -> tuple[np.ndarray, np.ndarray] | None:
    """How axes of one grid run in another, and its corners there; None where they lie between its voxels."""
    assert part.affine is not None and whole.affine is not None
    to_whole = np.linalg.inv(whole.affine) @ part.affine
    if part.shape[2] == 1 and part.covers == "slices":  # the distance to a next slice is a guess
        to_whole[:3, 2] /= np.linalg.norm(to_whole[:3, 2])
    turn = np.rint(to_whole[:3, :3])
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    corners = np.array(list(itertools.product(*((0, size - 1) for size in part.shape))))
    seen = corners @ to_whole[:3, :3].T + to_whole[:3, 3]
    places = corners @ turn.T + np.rint(to_whole[:3, 3])
    return None if np.abs(seen - places).max() > OFF_GRID else (turn, places)


def _turned(label: Volume, affine: np.ndarray) -> Volume | None:
    """The label with its axes as near to the image's as flips and permutations bring them; None as it is."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    assert label.header.affine is not None
    turn = io_orientation(np.linalg.inv(affine) @ label.header.affine)
    if np.isnan(turn).any() or np.array_equal(turn, [[0, 1], [1, 1], [2, 1]]):
        return None
    array = np.ascontiguousarray(apply_orientation(label.array, turn))
    placed = label.header.affine @ inv_ornt_aff(turn, label.header.shape)
    spacing = tuple(float(size) for size in np.linalg.norm(placed[:3, :3], axis=0))
    header = replace(label.header, shape=array.shape, affine=placed, spacing=spacing, other_affine=None)
    return Volume(array, header)


def _resampled(label: Volume, image: Header) -> Volume:
    from scipy.ndimage import affine_transform

    assert label.header.affine is not None and image.affine is not None
    # Rounded, so that voxels of the same place meet exactly.
    to_label = np.round(np.linalg.inv(label.header.affine) @ image.affine, 6)
    _check_slices(label.header, image, to_label)
    notes = _beyond(label, image, to_label)
    array = affine_transform(
        label.array,
        to_label[:3, :3],
        to_label[:3, 3],
        output_shape=image.shape,
        order=0,
        mode="grid-constant",
    )
    notes = (*label.header.notes, *notes)
    header = replace(label.header, shape=image.shape, affine=image.affine, spacing=image.spacing, notes=notes)
    return Volume(array, header)


def _check_placed(label: Header, image: Header) -> None:
    """Positions are those of one space.

    Programs differ in where they put an image that does not say where it lies; those of two frames of
    reference, as of two visits, are measured from different points.
    """
    if not image.placed:
        raise DataError(
            f"{label.path}: {size_text(label.shape)} voxels, a part of its image {image.path}, which says "
            "neither by qform nor by sform where it lies; expected a place for both; save the image anew "
            "with a place and draw on it, or export the label as large as the image"
        )
    if apart := _apart(label, image):
        raise DataError(
            f"{apart}, so that their positions do not belong together; expected segments of this scan; give "
            "the DICOM-SEG that was drawn on it"
        )


def _told_of_reference(label: Volume, image: Header) -> Volume:
    """The label with a word where its voxels are the image's, but it names another frame of reference.

    So it is of two visits at one place of the scanner, but also where a program that takes names away gave
    both a new one.
    """
    if not (apart := _apart(label.header, image)):
        return label
    notes = (*label.header.notes, f"{apart}; it has its voxels and is used: check that it was drawn on it")
    return Volume(label.array, replace(label.header, notes=notes))


def _apart(label: Header, image: Header) -> str:
    """That two files name different frames of reference, in words; "" where they do not."""
    ours, theirs = label.frame_of_reference, image.frame_of_reference
    if not ours or not theirs or ours == theirs:
        return ""
    return (
        f"{label.path}: lies in another frame of reference (FrameOfReferenceUID {ours}) than its image "
        f"{image.path} ({theirs})"
    )


def _beyond(label: Volume, image: Header, to_label: np.ndarray) -> tuple[str, ...]:
    """How many voxels of segments lie beyond the image, where some do."""
    places = np.argwhere(label.array)
    inverse = np.linalg.inv(to_label)
    seen = np.round(places @ inverse[:3, :3].T + inverse[:3, 3])
    outside = ((seen < 0) | (seen >= image.shape)).any(axis=1)
    if outside.sum() > BEYOND * len(places):
        share = "all" if outside.all() else f"{outside.mean():.0%}"
        raise DataError(
            f"{label.header.path}: {share} of its segments' voxels lie beyond its image {image.path}; check "
            "that they belong together"
        )
    if not outside.any():
        return ()
    found = counted(int(outside.sum()), "voxel")
    return (f"{label.header.path}: left out, {found} of its segments beyond its image {image.path}",)


def _check_slices(label: Header, image: Header, to_label: np.ndarray) -> None:
    """Slices that a file leaves out must not be filled from those beside them."""
    step = float(np.abs(to_label[2, :3]).max())
    if label.covers == "slices" and step < COARSE:
        raise DataError(
            f"{label.path}: its slices lie {label.spacing[2]:.4g} mm apart, those of its image {image.path} "
            f"{step * label.spacing[2]:.4g}; expected the same distance, or SpacingBetweenSlices in the "
            "file; export it again, or convert it to .nii.gz"
        )
