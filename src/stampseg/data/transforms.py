"""Training samples: a window of a prepared case, augmented by MONAI's dictionary transforms.

A sample is a pure function of the case and a seed: nothing is remembered from draw to draw.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from monai.data import get_track_meta, set_track_meta
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)

from .boxes import cut_window
from .plan import Plan
from .preprocess import Prepared

AFFINE_SHARE = 0.7  # of the samples that are turned, scaled and shifted
ROTATION = math.radians(15)
UNEVEN = 3.0  # of voxels across an axis, beyond which nothing is turned about it; of a window and its slices
SCALE = 0.15
SHIFT = 0.05  # of the window
MARGIN = 0.2  # of the window, read around it so that turning brings in image and not blanks
GAMMA, GAMMA_SHARE = (0.7, 1.5), 0.3
BRIGHTNESS, BRIGHTNESS_SHARE = 0.25, 0.3  # factors from 0.75 to 1.25
NOISE, NOISE_SHARE = 0.1, 0.2  # deviations of the normalised image
LOCATIONS = 10_000  # labelled voxels remembered per class and case
_TRACKING = threading.Lock()

Locations = Mapping[int, np.ndarray]
Sample = dict[str, torch.Tensor]


class TrainingTransform:
    """Prepared case and seed -> {"image": (C, *P) float32, "label": (1, *P) int64}.

    An image smaller than the patch is padded by zeros (the mean) on both sides, as prediction
    does; the label there is none of the classes, and is left out of the loss. A larger image gives a
    random window, centred with probability `foreground_share` on a random voxel of a random class, so that
    rare classes are seen as often as common ones.
    Nothing is mirrored: left and right are different anatomy.
    """

    def __init__(self, plan: Plan, *, augment: bool = True, foreground_share: float = 0.5) -> None:
        self.patch_size = plan.patch_size
        self.augment = augment
        self.foreground_share = foreground_share
        self._affine = _affine(plan)
        # No class: what lies beyond the image teaches nothing. As background it is most of what windows of
        # small scans show, and small structures are found later (docs/results/few-labels-trials.md).
        self._beyond = len(plan.label_values)
        self._intensity = _intensity()

    def __call__(self, prepared: Prepared, locations: Locations, seed: int | Sequence[int]) -> Sample:
        """Draw the sample of this seed.

        Args:
            prepared: image (C, *S) and label (1, *S).
            locations: labelled voxels from `find_locations`.
            seed: entropy for `numpy.random.SeedSequence`.
        """
        if prepared.label is None:
            raise ValueError("a training sample needs a prepared label; prepare the case with its label")
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        sample, turned = self._window(prepared, locations, rng)
        if self.augment:
            chain = [self._affine, self._intensity] if turned else [self._intensity]
            sample["label"] -= self._beyond  # blanks are zeros
            sample = _apply(chain, sample, rng)
            sample["label"] += self._beyond
        return {"image": sample["image"].contiguous(), "label": sample["label"].long()}

    def views(self, prepared: Prepared, strong: Compose, seed: int | Sequence[int]) -> Sample:
        """Two views of one window of an image alone: {"weak": (C, *P), "strong": (C, *P)} float32.

        Args:
            prepared: image (C, *S); a label is not looked at.
            strong: changes of intensity that make the second view of the first.
            seed: entropy for `numpy.random.SeedSequence`.
        """
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        sample, turned = self._window(replace(prepared, label=None), {}, rng)
        weak = _apply([self._affine], sample, rng)["image"] if turned else sample["image"]
        seen = _apply([strong], {"image": weak.clone()}, rng)["image"]
        return {"weak": weak.contiguous(), "strong": seen.contiguous()}

    def _window(
        self, prepared: Prepared, locations: Locations, rng: np.random.Generator
    ) -> tuple[Sample, bool]:
        """A window, with a margin around it where it will be turned, and whether it will."""
        shape = tuple(prepared.image.shape[1:])
        start = _window_start(shape, self.patch_size, locations, self.foreground_share, rng)
        turned = self.augment and rng.random() < AFFINE_SHARE
        margin = [
            math.ceil(MARGIN * size) if turned and n > size else 0
            for n, size in zip(shape, self.patch_size, strict=True)
        ]
        sample = _cut(
            prepared,
            [s - m for s, m in zip(start, margin, strict=True)],
            [n + 2 * m for n, m in zip(self.patch_size, margin, strict=True)],
            self._beyond,
        )
        return sample, turned


def strong_view(full: bool) -> Compose:
    """What the student sees beyond its teacher: contrast and noise; or gamma, brightness and blur as well."""
    if not full:
        return Compose(
            [
                RandScaleIntensityd(keys="image", prob=1.0, factors=0.25),
                RandGaussianNoised(keys="image", prob=1.0, std=0.1),
            ]
        )
    return Compose(
        [
            RandAdjustContrastd(keys="image", prob=0.5, gamma=(0.5, 2.0), retain_stats=True),
            RandScaleIntensityd(keys="image", prob=0.5, factors=0.5),
            RandShiftIntensityd(keys="image", prob=0.5, offsets=0.3),
            RandGaussianSmoothd(keys="image", prob=0.35, **_SIGMAS),
            RandGaussianNoised(keys="image", prob=0.5, std=0.1),
        ]
    )


_SIGMAS = {f"sigma_{axis}": (0.3, 1.5) for axis in "xyz"}


def find_locations(label: np.ndarray | None, unknown: int | None = None) -> dict[int, np.ndarray]:
    """Up to 10,000 evenly chosen voxels (n, dims) of each class but background and `unknown` in (1, *S)."""
    if label is None:
        return {}
    classes = label[0]
    found = {}
    for value in np.flatnonzero(np.bincount(classes.ravel())):
        if value in (0, unknown):
            continue
        where = np.flatnonzero(classes == value)
        where = where[:: max(1, -(-where.size // LOCATIONS))]
        found[int(value)] = np.stack(np.unravel_index(where, classes.shape), axis=1).astype(np.int32)
    return found


def _affine(plan: Plan) -> Compose:
    """Rotation, scale and shift of image (linear) and label (nearest), blanks filled with zeros."""
    dims = plan.spatial_dims
    transform = RandAffined(
        keys=("image", "label"),
        prob=1.0,
        spatial_size=plan.patch_size,
        rotate_range=_rotations(plan),
        scale_range=[SCALE] * dims,
        translate_range=[SHIFT * n if n > 1 else 0.0 for n in plan.patch_size],
        mode=("bilinear", "nearest"),
        padding_mode="zeros",
        cache_grid=True,
        allow_missing_keys=True,
    )
    transform.rand_affine.resampler.dtype = torch.float32  # float64 by default, twice the time
    return Compose([transform])


def _rotations(plan: Plan) -> list[float]:
    """Largest angle, in 3D about each axis; less where voxels, which are turned and not mm, are uneven.

    None out of the plane of a window of few slices, as by the "dummy 2D" of nnU-Net: it would leave them.
    """
    if plan.spatial_dims == 2:
        return [ROTATION]
    least, middle, _ = sorted(plan.patch_size)
    across = plan.patch_size.index(least) if middle > UNEVEN * least else None
    angles = []
    for axis in range(3):
        one, other = (value for a, value in enumerate(plan.spacing) if a != axis)
        ratio = max(one, other) / min(one, other)
        leaves = across is not None and axis != across
        angles.append(0.0 if leaves or ratio > UNEVEN else ROTATION / ratio)
    return angles


def _intensity() -> Compose:
    return Compose(
        [
            RandAdjustContrastd(keys="image", prob=GAMMA_SHARE, gamma=GAMMA, retain_stats=True),
            RandScaleIntensityd(keys="image", prob=BRIGHTNESS_SHARE, factors=BRIGHTNESS),
            RandGaussianNoised(keys="image", prob=NOISE_SHARE, std=NOISE),
        ]
    )


def augmentation_in_words(plan: Plan) -> str:
    """What is done to the windows that train, with its strengths, for a methods section."""
    angles = _rotations(plan)
    turned = sorted({round(math.degrees(angle)) for angle in angles}, reverse=True)
    degrees = " or ".join(map(str, turned))
    return (
        f"{AFFINE_SHARE:.0%} of the windows were turned (by up to {degrees} degrees"
        + (", depending on the axis" if len(turned) > 1 else "")
        + f"), scaled (by up to {SCALE:.0%}) and shifted (by up to {SHIFT:.0%} of the window), each "
        f"uniformly; the gamma of {GAMMA_SHARE:.0%} was changed ({GAMMA[0]:g} to {GAMMA[1]:g}), the values "
        f"of {BRIGHTNESS_SHARE:.0%} were scaled ({1 - BRIGHTNESS:g} to {1 + BRIGHTNESS:g}), and Gaussian "
        "noise was added "
        f"to {NOISE_SHARE:.0%} (deviation up to {NOISE:g} of the normalised image's). Nothing was mirrored"
    )


def _apply(chain: Sequence[Compose], sample: Sample, rng: np.random.Generator) -> Sample:
    with _plain_tensors():
        for transforms in chain:
            transforms.set_random_state(seed=int(rng.integers(2**32)))
            sample = transforms(sample)
    return sample


@contextmanager
def _plain_tensors() -> Iterator[None]:
    """MONAI without its metadata tensors, which cost more than the transforms; its switch is global."""
    with _TRACKING:
        before = get_track_meta()
        set_track_meta(False)
        try:
            yield
        finally:
            set_track_meta(before)


def _window_start(
    shape: Sequence[int], size: Sequence[int], locations: Locations, share: float, rng: np.random.Generator
) -> list[int]:
    """First voxel of the window per axis; negative where the image is padded in the middle."""
    classes = sorted(locations)
    centre = None
    if classes and any(n > p for n, p in zip(shape, size, strict=True)) and rng.random() < share:
        points = locations[classes[rng.integers(len(classes))]]
        centre = points[rng.integers(len(points))]
    start = []
    for axis, (n, p) in enumerate(zip(shape, size, strict=True)):
        if n <= p:
            start.append(-((p - n) // 2))
        elif centre is None:
            start.append(int(rng.integers(n - p + 1)))
        else:
            start.append(int(np.clip(centre[axis] - p // 2, 0, n - p)))
    return start


def _cut(prepared: Prepared, start: Sequence[int], size: Sequence[int], beyond: int) -> Sample:
    """The window (C, *size) from `start`, zeros and the class `beyond` outside of the image; a copy."""
    windows = {"image": cut_window(prepared.image, start, size)}
    if prepared.label is not None:
        windows["label"] = cut_window(prepared.label, start, size, beyond)
    return {name: torch.from_numpy(window.astype(np.float32, order="C")) for name, window in windows.items()}
