"""Frames of one series, plane and size: the scans that they are, and where their voxels lie."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from ...core.text import some
from .frames import TRAITS, Frame
from .pixels import pixels_of
from .volume import LPS_TO_RAS

AT_ONE_PLACE = 0.02  # pixels across the plane between slices that lie at one place
OFF_GRID = 0.2  # voxels by which a slice may lie beside the even grid
UNEVEN, EVEN = 0.05, 0.02  # voxels beside it, of several acquisitions as one scan, and of each alone
OVERLAP = 0.75  # of the thickness: slices that lie nearer overlap
TILT = 0.5  # degrees from which a tilt is told
REGIONS = ("StackID", "AcquisitionNumber", "SeriesDescription")  # traits that may part places
SAME = 1e-3  # of directions, and of pixel sizes as a share
STACK = 3  # slices of which the distances can be compared


@dataclass(frozen=True, eq=False)
class Scan:
    """The slices of one image.

    Attributes:
        name: tells it from the other scans of its folder.
        frames: in the order of the third axis.
        affine: 4 x 4, voxel to RAS+ mm; None of a picture.
        notes: what was left out, and what is unusual.
    """

    name: str
    frames: tuple[Frame, ...]
    affine: np.ndarray | None
    notes: tuple[str, ...] = ()


def scans_in(place: Path, stack: Sequence[Frame]) -> list[Scan]:
    """The scans that the frames of one plane are.

    Raises:
        DataError: frames at one place that the headers do not tell apart, or frames that are not even.
    """
    stack, notes = _without_copies(place, in_order(stack))
    if not (_doubled(stack) or _unevenness(stack)):
        acquisitions = _interleaved(stack)
        if acquisitions:
            between = (
                f"{place}: slices of several acquisitions lie between each other; each is a scan of its own"
            )
            notes = (*notes, between)
        return [_scan(name, part, notes) for name, part in acquisitions or [("", stack)]]
    parts = _part(stack)
    if parts is None:
        raise DataError(f"{place}: {_doubled(stack) or _unevenness(stack)}")
    return [_scan(name, part, notes) for name, part in parts]


def on_one_grid(frame: Frame, other: Frame) -> bool:
    """Whether two frames have one plane, size and pixel size."""
    assert frame.pixel is not None and other.pixel is not None
    same = frame.size == other.size and np.allclose(frame.pixel, other.pixel, rtol=SAME, atol=0)
    return same and are_parallel(frame, other)


def are_parallel(frame: Frame, other: Frame) -> bool:
    """Whether two frames have one plane, their rows and columns running alike."""
    assert frame.orientation is not None and other.orientation is not None
    return bool(np.abs(frame.orientation - other.orientation).max() < SAME)


def in_order(stack: Iterable[Frame]) -> list[Frame]:
    """Frames by their place across the plane."""
    return sorted(stack, key=lambda frame: (height(frame), str(frame.file), frame.number))


def height(frame: Frame) -> float:
    """Position across the plane, in mm."""
    assert frame.position is not None
    return float(frame.position @ frame.normal)


def by_place(stack: Iterable[Frame]) -> list[list[Frame]]:
    """Frames in order, those of one height together."""
    places: list[list[Frame]] = []
    for frame in stack:
        assert frame.pixel is not None
        if places and abs(height(frame) - height(places[-1][0])) < AT_ONE_PLACE * frame.pixel.min():
            places[-1].append(frame)
        else:
            places.append([frame])
    return places


def _without_copies(place: Path, stack: list[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
    """Every frame once, where all that lie at one place are the same to the last pixel."""
    places = by_place(stack)
    doubled = [frames for frames in places if len(frames) > 1]
    if not doubled or not all(_are_copies(frames) for frames in doubled):
        return stack, ()
    copies = [frame for frames in doubled for frame in frames[1:]]
    return [frames[0] for frames in places], (f"{place}: left out, copies of slices: {names_of(copies)}",)


def _are_copies(frames: Sequence[Frame]) -> bool:
    first, *others = frames
    if any((frame.slope, frame.intercept) != (first.slope, first.intercept) for frame in others):
        return False
    stored = pixels_of(first.file)[first.number]
    return all(np.array_equal(stored, pixels_of(frame.file)[frame.number]) for frame in others)


def _doubled(stack: Sequence[Frame]) -> str:
    """What is wrong with frames of which several lie at one place; "" where none do."""
    doubled = [frames for frames in by_place(stack) if len(frames) > 1]
    if not doubled:
        return ""
    return (
        f"{len(doubled)} positions have more than one slice, the first at {_at(doubled[0][0])}: "
        f"{names_of(doubled[0])}; expected each position once; put each phase, echo or repeat in a folder of "
        "its own"
    )


def _unevenness(stack: Sequence[Frame]) -> str:
    """What is wrong with frames that are not evenly spaced; "" where they are."""
    if len(stack) < STACK:
        return ""
    steps = np.diff([height(frame) for frame in stack])
    usual = _step(stack)
    wide = int(np.argmax(steps))
    if steps[wide] > 1.5 * usual:
        return (
            f"slices are missing between {_at(stack[wide])} ({stack[wide].file.name}) and "
            f"{_at(stack[wide + 1])} ({stack[wide + 1].file.name}): {steps[wide]:.4g} mm apart, mostly "
            f"{usual:.4g}; add the missing slices"
        )
    off = _off_grid(stack)
    if off.max() <= OFF_GRID:
        return ""
    worst = stack[int(np.argmax(off))]
    return (
        f"slices are not evenly spaced ({steps.min():.4g} to {steps.max():.4g} mm, mostly {usual:.4g}): "
        f"{worst.file.name} at {_at(worst)} lies {off.max():.2g} voxels beside the even grid; expected one "
        "distance; resample the series, or convert it with a program that does"
    )


def _off_grid(stack: Sequence[Frame]) -> np.ndarray:
    """Distance in voxels of every frame (n,) from where the affine puts it."""
    affine = LPS_TO_RAS @ _affine(stack)
    even = affine[:3, 3] + np.arange(len(stack))[:, None] * affine[:3, 2]
    apart = np.stack([frame.position for frame in stack if frame.position is not None]) - even
    return np.abs(np.linalg.solve(affine[:3, :3], apart.T)).max(axis=0)


def _interleaved(stack: Sequence[Frame]) -> list[tuple[str, list[Frame]]]:
    """Acquisitions (name, frames) that seem one scan, as the slices of one lie between those of another.

    They are several where each is even and all together are not, or where their slices overlap each other
    and not their own. A scan that is taken in packages, every second slice first, is one.
    """
    for trait in ("StackID", "AcquisitionNumber"):
        groups = _groups(stack, trait)
        parts = list(groups.values())
        if len(parts) < 2 or min(map(len, parts)) < STACK or not _meet(parts):
            continue
        uneven = _off_grid(stack).max() > UNEVEN and max(_off_grid(part).max() for part in parts) < EVEN
        alone = min(_step(part) for part in parts)
        thick = max(frame.thickness or 0.0 for frame in stack)
        if uneven or _step(stack) < OVERLAP * thick <= alone:
            return [
                (f"_{_word(trait)}{plain(value)}", part)
                for value, part in sorted(groups.items(), key=_as_number)
            ]
    return []


def _meet(parts: Sequence[Sequence[Frame]]) -> bool:
    """Whether the ranges of two stacks that follow each other overlap."""
    ranges = sorted((height(part[0]), height(part[-1])) for part in parts)
    return any(later[0] < earlier[1] for earlier, later in itertools.pairwise(ranges))


def _step(stack: Sequence[Frame]) -> float:
    """The usual distance of slices in mm."""
    return float(np.median(np.diff([height(frame) for frame in stack])))


def _groups(stack: Sequence[Frame], trait: str) -> dict[str, list[Frame]]:
    """Frames by their value of a trait, each in order."""
    groups: dict[str, list[Frame]] = defaultdict(list)
    for frame in stack:
        groups[frame.traits.get(trait, "")].append(frame)
    return groups


def _part(stack: Sequence[Frame]) -> list[tuple[str, list[Frame]]] | None:
    """The scans (name, frames) that one trait of the headers, or several, part the frames into."""
    places = len(by_place(stack))
    for trait in _traits_of(stack):
        groups = _groups(stack, trait)
        if len(groups) < 2:
            continue
        full = all(len(by_place(group)) == places for group in groups.values())
        apart = trait in REGIONS and all(len(group) >= STACK for group in groups.values())
        apart = apart and not _doubled(stack)
        if not (full or apart):
            continue
        parts = []
        for value, group in sorted(groups.items(), key=_as_number):
            inner = [("", group)] if not (_doubled(group) or _unevenness(group)) else _part(group)
            if inner is None:
                break
            parts += [(f"_{_word(trait)}{plain(value)}{name}", frames) for name, frames in inner]
        else:
            return parts
    return None


def _as_number(item: tuple[str, list[Frame]]) -> tuple[float, str]:
    """Numbers by size, then texts by letter."""
    try:
        return float(item[0]), ""
    except ValueError:
        return np.inf, item[0]


def _traits_of(stack: Sequence[Frame]) -> list[str]:
    """Traits that may part frames, the plainest first; last the file and the numbers of many-framed files."""
    dimensions = sorted({name for frame in stack for name in frame.traits if name.startswith("dimension")})
    return [*TRAITS, *dimensions]


def _word(trait: str) -> str:
    words = {"Echo": "echo", "Temporal": "time", "Acquisition": "acquisition", "Diffusion": "b"}
    return next((word for start, word in words.items() if start in trait), trait.lower())


def plain(value: str) -> str:
    """A text as a part of a file name; a whole number without its point."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", re.sub(r"^(\d+)\.0+$", r"\1", value)).strip("-")[:40]


def _scan(name: str, stack: Sequence[Frame], notes: tuple[str, ...]) -> Scan:
    affine = _affine(stack)
    return Scan(name, tuple(stack), affine, (*notes, *_told_of_tilt(stack, affine)))


def _affine(stack: Sequence[Frame]) -> np.ndarray:
    """4 x 4, voxel to RAS+ mm, of frames in order; the step from slice to slice as it is."""
    first, last = stack[0], stack[-1]
    assert first.orientation is not None and first.pixel is not None
    assert first.position is not None and last.position is not None
    step = first.normal * (first.thickness or 1.0)
    if len(stack) > 1:
        step = (last.position - first.position) / (len(stack) - 1)
    affine = np.eye(4)
    affine[:3, :2] = (first.orientation * first.pixel[:, None]).T
    affine[:3, 2], affine[:3, 3] = step, first.position
    return LPS_TO_RAS @ affine


def _told_of_tilt(stack: Sequence[Frame], affine: np.ndarray) -> list[str]:
    step = affine[:3, 2] / np.linalg.norm(affine[:3, 2])
    normal = LPS_TO_RAS[:3, :3] @ stack[0].normal
    angle = float(np.degrees(np.arccos(np.clip(abs(step @ normal), 0, 1))))
    if angle < TILT:
        return []
    return [
        f"{stack[0].file.parent}: the slices are tilted by {angle:.3g} degrees against their stack (a tilted "
        "gantry); the affine (sform) says so, but programs that know only right angles will show it askew"
    ]


def _at(frame: Frame) -> str:
    """A position in words, LPS in mm."""
    assert frame.position is not None
    return f"({', '.join(f'{value:.4g}' for value in frame.position)}) mm"


def names_of(frames: Sequence[Frame]) -> str:
    """The first few files of the frames."""
    names = list(dict.fromkeys(frame.file.name for frame in frames))
    return some(names, 4)
