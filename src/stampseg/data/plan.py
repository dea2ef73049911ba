"""The preprocessing plan: what every case becomes before the network sees it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import field_validator, model_validator

from ..core.json_file import JsonFile
from ..core.options import Options
from .appearance import Appearance
from .calibration import Calibration
from .io.colours import is_label
from .io.limits import HIGHEST_LABEL
from .labels.regions import Region, structures
from .labels.relabelling import Relabelling
from .labels.shapes import LabelShape

MOST_CHANNELS = 4096
MOST_CLASSES = 1024
MOST_LEVELS = 16  # halves more than any image has
MOST_VOXELS = 2**26  # of a window: 512 x 512 x 256
LONGEST_NAME = 1000  # letters of a label's name

PIECES = "pieces:"  # begins the note on labels that are one piece
INTENSITIES = "intensities:"  # begins the note on how values are scaled

Crop = Literal["none", "nonzero"]
Strides = tuple[tuple[int, ...], ...]  # pooling per level and axis, ((2, 2, 2), ...)
Normalization = Literal["zscore", "ct", "mean-std", "mean-std-mask", "mean-std-nonzero", "min-max"]


class Intensity(Options):
    """Fixed window of one channel: clipped to low and high, then (value - mean) / std."""

    low: float
    high: float
    mean: float
    std: float  # 0 where all values were equal


Ranges = tuple[tuple[float, float], ...]  # least and most, of each axis or figure


class TrainingScans(Options):
    """What the scans were like that a network was trained on, along the oriented axes."""

    spacing: Ranges  # mm, or 1 for pictures
    extent: Ranges  # mm, or pixels
    values: Ranges  # of the 1st, 50th and 99th percentile of a scan's values, all channels together
    labels: tuple[LabelShape | None, ...] = ()  # of each class, background first; empty: not known
    cases: int = 0  # how many; 0: not known
    appearance: Appearance | None = None  # None: not known, or of too few people


class Plan(Options):
    """How a case is prepared, and how deep the network is. Saved in the model file.

    What is planned from data is in closest RAS axes, normalised by "zscore" or "ct" and resampled
    linearly. The other values describe how networks trained elsewhere saw their cases:

    - orientation "file" leaves the axes as the file has them, another code turns to those axes.
    - axes: the network's axis i is axis axes[i] of the oriented volume; None leaves their order.
      `spacing`, `patch_size` and `strides` are along the network's axes.
    - normalization, one for all channels or one each: "mean-std" of the (cropped) image,
      "mean-std-mask" of its voxels that are not 0 in all channels, holes filled, "mean-std-nonzero" of
      the channel's own voxels that are not 0 (what is outside stays 0), "min-max" to 0 and 1.
    - convention "nnunet": images are resampled by a cubic spline, class scores linearly, both without
      low-pass and between thick slices by the nearest one; windows are averaged as logits.
    """

    spatial_dims: Literal[2, 3]
    in_channels: int
    label_values: tuple[int, ...]  # value in the files of class 0, 1, 2, ...; class 0 is background
    label_names: tuple[str, ...]  # one per class, "background" first
    orientation: str | None  # "RAS" or other axis codes, or "file"; None for pictures
    spacing: tuple[float, ...]  # mm, or pixels for pictures
    crop: Crop
    patch_size: tuple[int, ...]
    normalization: Normalization | tuple[Normalization, ...]
    ct: tuple[Intensity | None, ...] | None  # one per channel; None where its normalization is not "ct"
    strides: Strides
    notes: tuple[str, ...] = ()  # why, one line each, printed to the user
    axes: tuple[int, ...] | None = None
    scans: TrainingScans | None = None  # None: not known
    ignored_value: int | None = None  # value in the files of voxels that are left out of all
    one_piece: tuple[int, ...] = ()  # classes of which a mask keeps the piece that is surest
    calibration: Calibration | None = None  # None: nobody was left out to measure it on
    convention: Literal["stampseg", "nnunet"] = "stampseg"
    mirror_axes: tuple[int, ...] | None = None  # the network's, in whose mirrored views it learnt; None: all
    channel_names: tuple[str, ...] = ()  # in the order of the channels; empty: they have none
    relabel: Relabelling | None = None  # what values in the label files count as; None: as they are
    regions: tuple[Region, ...] = ()  # what is measured and found in place of the classes

    @field_validator("orientation")
    @classmethod
    def _known_axes(cls, value: str | None) -> str | None:
        if value in (None, "file"):
            return value
        kinds = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
        if sorted(kinds.get(letter, -1) for letter in str(value)) != [0, 1, 2]:
            raise ValueError("expected three axis codes such as RAS, or file")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Plan:
        if self.axes is not None and sorted(self.axes) != list(range(self.spatial_dims)):
            raise ValueError(f"axes {list(self.axes)} are no order of {self.spatial_dims} axes")
        mirrored = self.mirror_axes or ()
        if len(set(mirrored)) < len(mirrored) or not set(mirrored) <= set(range(self.spatial_dims)):
            raise ValueError(f"mirror_axes {list(mirrored)} are not some of {self.spatial_dims} axes")
        self._check_sizes()
        if isinstance(self.normalization, tuple) and len(self.normalization) != self.in_channels:
            raise ValueError(
                f"{len(self.normalization)} normalizations for {self.in_channels} channel(s), one each"
            )
        if self.ct is not None and len(self.ct) != self.in_channels:
            raise ValueError(f"{len(self.ct)} ct windows for {self.in_channels} channel(s), one each")
        windows = self.ct or ()
        for channel, scheme in enumerate(self.normalizations):
            if scheme == "ct" and (channel >= len(windows) or windows[channel] is None):
                raise ValueError(f"channel {channel} is normalised by a window, and ct gives none")
        return self

    def _check_sizes(self) -> None:
        """What memory is asked for, before any is."""
        dims, values, names = self.spatial_dims, self.label_values, self.label_names
        sizes = (self.spacing, self.patch_size, *self.strides)
        if any(len(per_axis) != dims for per_axis in sizes):
            raise ValueError(f"spacing, patch_size and strides need {dims} numbers each")
        if not all(1e-6 <= size <= 1e6 for size in self.spacing):
            raise ValueError(f"spacing {list(self.spacing)} is not within 1e-6 and 1e6")
        if min(self.patch_size) < 1 or math.prod(self.patch_size) > MOST_VOXELS:
            raise ValueError(f"patch_size {list(self.patch_size)} is not within 1 and {MOST_VOXELS:,} voxels")
        if len(self.strides) > MOST_LEVELS or not all(1 <= n <= 64 for step in self.strides for n in step):
            raise ValueError(f"strides are not within 1 and 64 on at most {MOST_LEVELS} levels")
        if not 1 <= self.in_channels <= MOST_CHANNELS:
            raise ValueError(f"in_channels {self.in_channels} is not within 1 and {MOST_CHANNELS}")
        if not 2 <= len(values) <= MOST_CLASSES or len(set(values)) < len(values):
            raise ValueError(f"{len(values)} label_values; expected 2 to {MOST_CLASSES} that differ")
        if not all(map(is_label, values)):
            raise ValueError(f"label_values are not within 0 and {HIGHEST_LABEL}")
        if self.ignored_value in values:
            raise ValueError(f"ignored_value {self.ignored_value} is among the label_values")
        if not all(0 < value < len(values) for value in self.one_piece):
            raise ValueError(f"one_piece {list(self.one_piece)} are not within 1 and {len(values) - 1}")
        for region in self.regions:
            if not region.classes or not all(0 < c < len(values) for c in (*region.classes, region.written)):
                raise ValueError(
                    f"the region {region.name} has classes {list(region.classes)}, written as "
                    f"{region.written}; expected some within 1 and {len(values) - 1}"
                )
        parts = len(self.structures) + 1
        if self.calibration is not None and len(self.calibration.labels) != parts:
            raise ValueError(
                f"a calibration of {len(self.calibration.labels)} labels; expected {parts}, of background "
                "and each label"
            )
        if self.scans is not None and len(self.scans.labels) not in (0, len(values)):
            raise ValueError(f"shapes of {len(self.scans.labels)} classes for {len(values)} label_values")
        if len(names) != len(values) or max(map(len, names)) > LONGEST_NAME:
            raise ValueError(f"{len(names)} label_names for {len(values)} label_values; expected one each")

    @property
    def is_calibrated(self) -> bool:
        """Whether a Dice can be expected of any label."""
        return self.calibration is not None and self.calibration.known

    def prepared_as(self, other: Plan) -> Plan:
        """The plan with the images prepared as in another one; what it knows of labels and scans stays."""
        kept = tuple(note for note in self.notes if note.startswith(PIECES))
        others = tuple(note for note in other.notes if not note.startswith(PIECES))
        prepared = {name: getattr(other, name) for name in _PREPARATION}
        return self.model_copy(update={**prepared, "notes": (*others, *kept)})

    @property
    def unit(self) -> str:
        """Of lengths."""
        return "px" if self.orientation is None else "mm"

    @property
    def size_unit(self) -> str:
        """Of what a piece holds."""
        return "px" if self.orientation is None else ("mm³" if self.spatial_dims == 3 else "mm²")

    @property
    def volume_unit(self) -> str:
        """Of what is found in a case."""
        return "px" if self.orientation is None else ("ml" if self.spatial_dims == 3 else "mm²")

    @property
    def out_channels(self) -> int:
        """Classes, background included."""
        return len(self.label_values)

    def with_all_pieces(self) -> Plan:
        """The same, by which masks keep all pieces of every label.

        What Dice to expect of a label was measured on masks of its surest piece, and is not known of others.
        """
        calibration = self.calibration
        if calibration is not None:
            kept = (
                None if {*of} & {*self.one_piece} else label
                for (_, of), label in zip(self.structures, calibration.labels[1:], strict=True)
            )
            calibration = calibration.model_copy(update={"labels": (calibration.labels[0], *kept)})
        return self.model_copy(update={"one_piece": (), "calibration": calibration})

    @property
    def structures(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What is measured, with the classes that each is made of: the regions, or every class."""
        return structures(self.label_names, self.regions)

    @property
    def unknown_class(self) -> int | None:
        """Class index of voxels that are left out, the one behind the last; None where there are none."""
        return None if self.ignored_value is None else self.out_channels

    @property
    def averages_logits(self) -> bool:
        """Whether windows are averaged as logits; regions are found by probabilities."""
        return self.convention == "nnunet" and not self.regions

    @property
    def normalizations(self) -> tuple[Normalization, ...]:
        """One per channel."""
        one = self.normalization
        return one if isinstance(one, tuple) else (one,) * self.in_channels


_PREPARATION = (
    "in_channels", "orientation", "axes", "spacing", "crop", "patch_size", "normalization", "ct", "strides",
)  # fmt: skip
PLAN = JsonFile("plan.json", Plan)
