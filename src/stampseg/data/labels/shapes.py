"""What labels look like: how large, in how many pieces, cut off by the border or not.

Masks that are unlike every training label are told of.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from ...core.options import Options
from ...core.text import counted, number_text, range_text
from .pieces import count_pieces

LEAST_CASES, LEAST_PEOPLE = 4, 3  # that show a label as one piece: five labelled ones, one of which validates
# Of the thickest part, by that of a ball of the same size: vessels have .1, walls of a heart or a bladder up
# to .2, ten centimetres of spinal cord .4, organs more. A mask of what is thinner breaks along it, and the
# pieces are parts of it.
LEAST_THICKNESS = 0.25
MOST_COUNTED = 2**25  # voxels of a label's box, in which pieces are counted of every mask


@dataclass(frozen=True)
class Bounds:
    """How far a label may be from those of training before it is told of.

    Attributes:
        size: factor beyond their range.
        pieces: factor beyond the most.
        border: whether it is told of that a label reaches the border, and none of training does.
        present: share of the training cases that have a label, from which it is told of that it is not there.
        counted: pieces are counted in boxes of so many voxels; None: in all.
    """

    size: float
    pieces: int
    border: bool
    present: float
    counted: int | None


USUAL = Bounds(size=2.0, pieces=1, border=True, present=0.9, counted=None)
# What is absurd is told of every mask, asked for or not, so it must be rare among right ones: of labels that
# people drew, held against ten others of their set, 0 to 2% are beyond these sizes, 0 to 1% of more pieces.
ABSURD = Bounds(size=4.0, pieces=3, border=False, present=1.0, counted=MOST_COUNTED)


class LabelShape(Options):
    """Of one class, over the training cases that hold it.

    Attributes:
        cases, people: how many.
        size: least and most of it, in mm^2 or mm^3; pixels for pictures.
        pieces: most that a case has.
        at_border: whether it touches the border of an image.
        thickness: radius of the thickest part by that of a ball (disc) of the same size, the middle one
            of the cases; 1 of a ball; None: not known.
    """

    cases: int
    people: int = 1
    size: tuple[float, float]
    pieces: int
    at_border: bool
    thickness: float | None = None


def measure_shapes(
    classes: np.ndarray, count: int, spacing: Sequence[float], counted: int | None = None
) -> tuple[LabelShape | None, ...]:
    """Of each class of one case (*S), background first, which has none; None where it is not there.

    In boxes of more than `counted` voxels no pieces are counted: there is one.
    """
    boxes = _boxes(classes, count)
    return tuple(
        None if box is None else _shape(classes, value, box, spacing, counted)
        for value, box in enumerate(boxes)
    )


def with_thickness(
    shapes: Sequence[LabelShape | None], radii: Sequence[float | None], dims: int
) -> tuple[LabelShape | None, ...]:
    """The shapes of one case, each with its thickness.

    Args:
        shapes: of each class, background first.
        radii: of the thickest part of each class but the background, in mm; pixels for pictures.
        dims: 2 or 3.
    """
    ball = math.pi if dims == 2 else 4 / 3 * math.pi
    return tuple(
        shape
        if shape is None or radius is None
        else shape.model_copy(update={"thickness": radius / (shape.size[0] / ball) ** (1 / dims)})
        for shape, radius in zip(shapes, (None, *radii), strict=True)
    )


def joined_shapes(
    cases: Sequence[tuple[LabelShape | None, ...]], people: Sequence[str]
) -> tuple[LabelShape | None, ...]:
    """Of each class over all cases, each of a person."""
    return tuple(
        _joined([(shape, person) for shape, person in zip(of, people, strict=True) if shape is not None])
        for of in zip(*cases, strict=True)
    )


def one_piece_classes(shapes: Sequence[LabelShape | None]) -> tuple[int, ...]:
    """Classes that are one piece in every case, the background first, which is none; none that is thin."""
    return tuple(
        value
        for value, shape in enumerate(shapes)
        if shape is not None
        and shape.pieces == 1
        and shape.cases >= LEAST_CASES
        and shape.people >= LEAST_PEOPLE
        and not _is_thin(shape)
    )


def _is_thin(shape: LabelShape) -> bool:
    """Whether a mask of it breaks into pieces that are right."""
    return shape.thickness is not None and shape.thickness < LEAST_THICKNESS


def unusual(
    classes: np.ndarray,
    known: Sequence[LabelShape | None],
    names: Sequence[str],
    spacing: Sequence[float],
    *,
    picture: bool,
    cases: float,
    bounds: Bounds = USUAL,
    single: Collection[int] = (),
) -> list[str]:
    """In what the labels of a mask (*S) are unlike those of training, in a few words each.

    Args:
        classes: the mask.
        known: of each class over the training cases, background first.
        names: of the classes.
        spacing: of the mask's grid.
        picture: sizes are told in pixels.
        cases: how many trained, with the label or without. Where it is not known, 0 tells of every label that
            is not there, and infinity of none.
        bounds: how far is unlike.
        single: classes of which masks keep one piece: any more are told of.
    """
    found = []
    shapes = measure_shapes(classes, len(known), spacing, bounds.counted)
    for value, (shape, usual, name) in enumerate(zip(shapes, known, names, strict=True)):
        if usual is None:
            continue
        if shape is None:
            found += [f"{name}: nothing found"] if usual.cases >= bounds.present * cases else []
            continue
        held = replace(bounds, pieces=1) if value in single else bounds
        found += [f"{name}: {text}" for text in _unlike(shape, usual, len(spacing), picture, held)]
    return found


def _unlike(shape: LabelShape, usual: LabelShape, dims: int, picture: bool, bounds: Bounds) -> list[str]:
    size, (least, most) = shape.size[0], usual.size
    found = []
    if not least / bounds.size <= size <= most * bounds.size:
        scale, unit = (1.0, "pixels") if picture else ((1000.0, "ml") if dims == 3 else (100.0, "cm2"))
        usual_sizes = range_text(least / scale, most / scale, 3)
        found.append(f"{number_text(size / scale, 3)} {unit} (trained on {usual_sizes})")
    if shape.pieces > usual.pieces * bounds.pieces and not _is_thin(usual):
        found.append(f"{counted(shape.pieces, 'piece')} (trained on {usual.pieces} at most)")
    if bounds.border and shape.at_border and not usual.at_border:
        found.append("reaches the border of the image, as no training label does")
    return found


def _boxes(classes: np.ndarray, count: int) -> list[tuple[slice, ...] | None]:
    from scipy.ndimage import find_objects

    found = find_objects(classes)
    return [None, *found[: count - 1], *[None] * (count - 1 - len(found))]


def _shape(
    classes: np.ndarray,
    value: int,
    box: tuple[slice, ...],
    spacing: Sequence[float],
    counted: int | None,
) -> LabelShape:
    inside = classes[box] == value
    size = float(np.count_nonzero(inside)) * math.prod(spacing)
    border = any(
        part.start == 0 or part.stop == length for part, length in zip(box, classes.shape, strict=True)
    )
    pieces = count_pieces(inside) if counted is None or inside.size <= counted else 1
    return LabelShape(cases=1, size=(size, size), pieces=pieces, at_border=border)


def _joined(found: Sequence[tuple[LabelShape, str]]) -> LabelShape | None:
    if not found:
        return None
    shapes = [shape for shape, _ in found]
    return LabelShape(
        cases=len(shapes),
        people=len({person for _, person in found}),
        size=(min(shape.size[0] for shape in shapes), max(shape.size[1] for shape in shapes)),
        pieces=max(shape.pieces for shape in shapes),
        at_border=any(shape.at_border for shape in shapes),
        thickness=median(known)
        if (known := [s.thickness for s in shapes if s.thickness is not None])
        else None,
    )
