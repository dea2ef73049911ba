"""What the training cases look like, measured once, one case in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects

from ..core.errors import DataError
from ..core.json_file import JsonFile
from ..core.options import Options
from ..core.run_folder import FINGERPRINT_FILE
from ..core.text import some
from ..core.threads import MOST_THREADS, in_threads
from .appearance import Appearance, Look, appearance, look_at
from .boxes import as_slices, nonzero_box
from .cases import Case
from .content import content_of
from .exchanged_labels import refuse_copy
from .grid import ceilings, factors
from .io.placing import on_grid_of
from .io.readers import read_header, read_image
from .io.volume import Header, Volume
from .labels.label_table import LabelTable, to_classes
from .labels.organs import read_label_files
from .labels.shapes import LabelShape, joined_shapes, measure_shapes, with_thickness
from .likeness import percentiles, ranges
from .plan import Intensity, TrainingScans
from .preprocess import Orientation, find_orientation, orient, oriented_spacing

FOREGROUND_SAMPLES = 1_000_000  # labelled voxels kept over all cases, for the CT window
RADIUS_VOXELS = 2_000_000  # a larger object is thinned before its distance transform
MOST_CEILINGS = 32  # pictures whose ceilings are measured, evenly spread
AT_ONCE = 2**26  # values that several threads may have in memory, of images
HOUNSFIELD_AIR = -500.0  # only CT has values below it
Ceilings = tuple[tuple[float | None, ...], ...]  # by factor and class, see `grid`


class Fingerprint(Options):
    """Facts about the training cases; axes are oriented (RAS for volumes, row and column for pictures).

    Attributes:
        spatial_dims: 2 or 3.
        in_channels: channels every case can be brought to.
        channel_names: as declared by the dataset, or empty.
        shapes: spatial shape of each case in voxels.
        cropped_shapes: shape of each case's box of non-zero voxels.
        spacings: voxel size of each case in mm (1 for pictures).
        orientations: axis codes in each file, such as "LPS"; "" for pictures.
        intensity_ranges: lowest and highest value of each case.
        foreground: 0.5 and 99.5 percentile, mean and deviation of the labelled voxels per
            channel; empty when no voxel is labelled.
        class_voxels: voxels of each class over all cases, background first.
        class_cases: cases that hold each class, background first; fingerprints of before have none.
        label_shapes: of each class, background first; empty where some voxels are left out of all, and in
            fingerprints of before.
        object_radius: radius of the thickest part of each class but the background, in mm
            (pixels), median over the cases that have it; None when no case has it.
        grid_ceilings: of pictures: for a grid coarser by each of the factors that `grid.factors` names, the
            highest Dice of each class but the background that it allows, median over the cases that have it;
            empty for volumes.
        percentiles: 1st, 50th and 99th of each case's values, all channels together.
        appearance: what they look like, whatever their scale of values.
        contents: what tells each case's voxels, in whatever file; fingerprints of before have none.
        labelled_outside: labelled voxels of each case outside of its box of non-zero voxels.
        warnings: one line each.
    """

    spatial_dims: Literal[2, 3]
    in_channels: int
    channel_names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    cropped_shapes: tuple[tuple[int, ...], ...]
    spacings: tuple[tuple[float, ...], ...]
    orientations: tuple[str, ...]
    intensity_ranges: tuple[tuple[float, float], ...]
    foreground: tuple[Intensity, ...]
    class_voxels: tuple[int, ...]
    class_cases: tuple[int, ...] = ()
    label_shapes: tuple[LabelShape | None, ...] = ()
    object_radius: tuple[float | None, ...]
    grid_ceilings: tuple[tuple[float | None, ...], ...] = ()
    percentiles: tuple[tuple[float, float, float], ...] = ()
    appearance: Appearance | None = None
    contents: tuple[str, ...] = ()
    labelled_outside: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def scans(self) -> TrainingScans:
        """What is kept of the cases in the plan, to know others by."""
        extents = [
            tuple(n * size for n, size in zip(shape, spacing, strict=True))
            for shape, spacing in zip(self.shapes, self.spacings, strict=True)
        ]
        return TrainingScans(
            spacing=ranges(self.spacings), extent=ranges(extents), values=ranges(self.percentiles),
            labels=self.label_shapes, cases=len(self.shapes), appearance=self.appearance,
        )  # fmt: skip

    @property
    def looks_like_ct(self) -> bool:
        """True when most cases reach below -500, as air does in Hounsfield units."""
        return float(np.median([low for low, _ in self.intensity_ranges])) < HOUNSFIELD_AIR


FINGERPRINT = JsonFile(FINGERPRINT_FILE, Fingerprint)


@dataclass
class _Facts:
    """What is kept of one case once its voxels are gone."""

    header: Header
    notes: tuple[str, ...]
    shape: tuple[int, ...]
    cropped: tuple[int, ...]
    spacing: tuple[float, ...]
    colourless: bool
    lowest: float
    highest: float
    percentiles: tuple[float, float, float]
    look: Look
    content: str
    outside: int
    sample: np.ndarray
    counts: np.ndarray
    shapes: tuple[LabelShape | None, ...]
    radius: tuple[float | None, ...]


def fingerprint(
    cases: Sequence[Case],
    table: LabelTable,
    channel_names: Sequence[str],
    looks: dict[Case, Look] | None = None,
) -> Fingerprint:
    """Measure labelled cases.

    Args:
        cases: the training cases, each with a label.
        table: which value in the files is which class.
        channel_names: declared names such as ("CT",), or empty.
        looks: is given what each case looks like; the appearance is then left to whoever knows of more scans.

    Raises:
        DataError: no case, a case without a label, pictures mixed with volumes, channels that
            differ, or a label that does not fit its image.
    """
    if not cases:
        raise DataError("no labelled case to plan from; give at least one image with its label")
    samples = max(1, FOREGROUND_SAMPLES // len(cases))
    facts: list[_Facts] = []
    pictures = read_header(cases[0].images).is_picture
    coarser = factors([read_header(case.images).shape for case in cases]) if pictures else ()
    threads = threads_for(cases)
    with closing(in_threads(lambda case: _measure(case, table, samples), cases, threads)) as measures:
        for fact in measures:
            facts.append(fact)
            _check_same_kind(facts[0].header, fact.header)
    due = _due(facts) if coarser else []
    rows = in_threads(lambda number: _ceilings(cases[number], table, coarser), due, threads)
    measured = dict(zip(due, rows, strict=True))
    in_channels, warnings = _common_channels(facts)
    seen = [replace(fact.look, cells=_same_channels(fact.look.cells, in_channels)) for fact in facts]
    if looks is not None:
        looks.update(zip(cases, seen, strict=True))
    # One name for the three colours of a picture is enough.
    enough = in_channels if len(channel_names) != 1 or not pictures else 1
    if channel_names and len(channel_names) != enough:
        warnings = (
            *warnings,
            f"{len(channel_names)} channels are named ({some(channel_names)}), the images have "
            f"{in_channels}; expected a name for each file or channel; add what is missing, or correct the "
            "names",
        )
    radii = zip(*(fact.radius for fact in facts), strict=True)
    return Fingerprint(
        spatial_dims=len(facts[0].shape),
        in_channels=in_channels,
        channel_names=tuple(channel_names),
        shapes=tuple(fact.shape for fact in facts),
        cropped_shapes=tuple(fact.cropped for fact in facts),
        spacings=tuple(fact.spacing for fact in facts),
        orientations=tuple(fact.header.orientation for fact in facts),
        intensity_ranges=tuple((fact.lowest, fact.highest) for fact in facts),
        foreground=_windows([_same_channels(fact.sample, in_channels) for fact in facts]),
        class_voxels=tuple(np.sum([fact.counts for fact in facts], axis=0).tolist()),
        class_cases=tuple(np.sum([fact.counts > 0 for fact in facts], axis=0).tolist()),
        label_shapes=joined_shapes([fact.shapes for fact in facts], [case.group for case in cases]),
        object_radius=tuple(_median([r for r in found if r is not None]) for found in radii),
        grid_ceilings=_grid_ceilings(list(measured.values())),
        percentiles=tuple(fact.percentiles for fact in facts),
        appearance=appearance(seen, [case.group for case in cases]) if looks is None else None,
        contents=tuple(fact.content for fact in facts),
        labelled_outside=tuple(fact.outside for fact in facts),
        warnings=(*warnings, *dict.fromkeys(note for fact in facts for note in fact.notes)),
    )


def threads_for(cases: Sequence[Case]) -> int:
    """How many cases may be in memory at once: where one is large, no more than that one."""
    largest = 1
    for case in cases:
        if not all(path.is_file() for path in case.images):
            return 1  # a series, of which the headers alone take long
        with suppress(DataError):  # what cannot be read takes no memory
            header = read_header(case.images)
            largest = max(largest, math.prod(header.shape) * header.channels)
    return min(MOST_THREADS, max(1, AT_ONCE // largest))


def _due(facts: Sequence[_Facts]) -> list[int]:
    """Numbers of the pictures whose ceilings are measured: some, and of each class the first that has it."""
    spread = {round(place) for place in np.linspace(0, len(facts) - 1, min(len(facts), MOST_CEILINGS))}
    seen, due = np.zeros(len(facts[0].counts), dtype=bool), []
    for number, fact in enumerate(facts):
        held = fact.counts > 0
        if number in spread or (held & ~seen)[1:].any():
            due.append(number)
        seen |= held
    return due


def _ceilings(case: Case, table: LabelTable, coarser: Sequence[int]) -> Ceilings:
    """Of a picture's label, read anew."""
    header = read_header(case.images)
    classes = _classes_of(_label_of(case, header), table, find_orientation(header))
    return ceilings(classes, len(table.values), coarser) if classes.ndim == 2 else ()


def _grid_ceilings(found: Sequence[Ceilings]) -> Ceilings:
    """Medians over the cases that were measured."""
    factors = zip(*filter(None, found), strict=True)
    return tuple(
        tuple(_median([v for v in values if v is not None]) for values in zip(*classes, strict=True))
        for classes in factors
    )


def object_radius(
    classes: np.ndarray, value: int, spacing: Sequence[float], unknown: int | None = None
) -> float | None:
    """Largest distance from inside class `value` to its outside, in the unit of `spacing`; None if absent.

    The border of the image counts as inside: an object cut off by it is as thick as it looks. So do voxels
    of the class `unknown`.
    """
    mask = classes == value
    found = find_objects(mask.astype(np.uint8))
    if not found:
        return None
    if unknown is None:  # what is known to be outside may else be anywhere
        mask = mask[tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in found[0])]
    inside = mask if unknown is None else mask | (classes == unknown)
    step = max(1, int(np.ceil((inside.size / RADIUS_VOXELS) ** (1 / inside.ndim))))
    thinned = (slice(None, None, step),) * inside.ndim
    inside, mask = inside[thinned], mask[thinned]
    if inside.all():
        return 0.5 * min(n * size * step for n, size in zip(inside.shape, spacing, strict=True))
    distances = distance_transform_edt(inside, sampling=[size * step for size in spacing])
    return float(distances[mask].max(initial=0.0))


def _label_of(case: Case, header: Header) -> Volume:
    if case.label_files is None:
        raise DataError(f"{case.images[0]}: no label for this image; expected labelled cases; add its label")
    return on_grid_of(read_label_files(case.label_files), header)


def _classes_of(label: Volume, table: LabelTable, orientation: Orientation) -> np.ndarray:
    """(*S) class of each voxel, along the oriented axes."""
    turned = orient(label.array, orientation)
    return to_classes(turned, table.values, label.header.path, table.ignored, table.relabel)


def _measure(case: Case, table: LabelTable, samples: int) -> _Facts:
    volume = read_image(case.images)
    label, orientation = _label_of(case, volume.header), find_orientation(volume.header)
    refuse_copy(case, volume.array, label.array)
    image, classes = orient(volume.array, orientation), _classes_of(label, table, orientation)
    count, unknown = len(table.values), None if table.ignored is None else len(table.values)
    spacing = oriented_spacing(volume.header.spacing, orientation)
    colourless = _is_colourless(volume)
    box, known = nonzero_box(image), np.where(classes < count, classes, 0)
    counts = np.bincount(classes.ravel(), minlength=count)[:count]
    radii = tuple(object_radius(classes, value, spacing, unknown) for value in range(1, count))
    shapes = measure_shapes(classes, count, spacing) if unknown is None else ()
    return _Facts(
        header=volume.header,
        notes=(*volume.header.notes, *label.header.notes),
        shape=tuple(image.shape[1:]),
        cropped=tuple(stop - start for start, stop in box),
        spacing=spacing,
        colourless=colourless,
        lowest=float(image.min()),
        highest=float(image.max()),
        percentiles=percentiles(image),
        look=look_at(image[:1] if colourless else image, spacing),
        content=content_of(volume),
        outside=int(np.count_nonzero(known) - np.count_nonzero(known[as_slices(box)])),
        sample=_foreground_sample(image, known, samples),
        counts=counts,
        shapes=with_thickness(shapes, radii, classes.ndim) if shapes else (),
        radius=radii,
    )


def _foreground_sample(image: np.ndarray, classes: np.ndarray, samples: int) -> np.ndarray:
    """(C, n) values at evenly chosen labelled voxels, n at most `samples`."""
    where = np.flatnonzero(classes)
    where = where[:: max(1, -(-where.size // samples))]
    return np.stack([channel.ravel()[where] for channel in image])


def _windows(samples: Sequence[np.ndarray]) -> tuple[Intensity, ...]:
    values = np.concatenate(samples, axis=1)
    if values.shape[1] == 0:
        return ()
    windows = []
    for channel in values:
        low, high = np.percentile(channel, (0.5, 99.5))
        clipped = np.clip(channel, low, high)
        mean, std = clipped.mean(dtype=np.float64), clipped.std(dtype=np.float64)
        windows.append(Intensity(low=float(low), high=float(high), mean=float(mean), std=float(std)))
    return tuple(windows)


def _check_same_kind(first: Header, other: Header) -> None:
    if len(first.shape) == len(other.shape):
        return
    picture, volume = (first, other) if len(first.shape) == 2 else (other, first)
    raise DataError(
        f"{picture.path} is a picture and {volume.path} a volume; expected one kind in a dataset; "
        "train pictures and volumes apart"
    )


def _common_channels(facts: Sequence[_Facts]) -> tuple[int, tuple[str, ...]]:
    """Channels every case can have: colour files without colour count as grey."""
    counts = {fact.header.channels for fact in facts}
    pictures = all(fact.header.is_picture for fact in facts)
    if pictures and counts <= {1, 3} and 3 in counts:
        colour = sum(fact.header.channels == 3 for fact in facts)
        if all(fact.colourless for fact in facts):
            return 1, (
                f"{colour} of {len(facts)} pictures are stored in colour but hold only grey; read as grey",
            )
        if counts == {1, 3}:
            return 3, (f"channels: 3, as {colour} of {len(facts)} pictures are in colour; grey is repeated",)
    if len(counts) == 1:
        return counts.pop(), ()
    odd = next(fact.header for fact in facts if fact.header.channels != facts[0].header.channels)
    raise DataError(
        f"{odd.path}: {odd.channels} channels, but {facts[0].header.path} has {facts[0].header.channels}; "
        "expected the same channels in every case; add the missing files or leave the case out"
    )


def _same_channels(sample: np.ndarray, channels: int) -> np.ndarray:
    """(C, ...) -> (channels, ...): grey repeated, or one channel of colours that are grey."""
    return sample if len(sample) == channels else np.repeat(sample[:1], channels, axis=0)


def _is_colourless(volume: Volume) -> bool:
    array = volume.array
    return len(array) == 1 or all(np.array_equal(array[0], channel) for channel in array[1:])


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
