"""Boxes of one window that come from another, image and label alike.

Yun et al., "CutMix", ICCV 2019 (arXiv 1905.04899); for segmentation French et al., BMVC 2020
(arXiv 1906.01916).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

SIDES = (0.3, 0.7)  # of a mixed box, as a share of the window's
BOXES = 4  # what the seed is used for; see `data/loaders.py` for others


def generator(seed: int, step: int) -> np.random.Generator:
    """The chance of a step (from 0): it depends on the seed and the step alone."""
    return np.random.default_rng(np.random.SeedSequence((seed, BOXES, step + 1)))


def box(shape: Sequence[int], rng: np.random.Generator) -> tuple[slice, ...]:
    """A random box of a window of `shape`, each side 30 to 70% of the window's."""
    sides = [max(1, round(n * rng.uniform(*SIDES))) for n in shape]
    starts = [int(rng.integers(n - side + 1)) for n, side in zip(shape, sides, strict=True)]
    return tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))


def mix_labelled(
    image: Tensor, label: Tensor, share: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Windows (B, C, *P) and labels (B, 1, *P) of which a share have a box from another of the batch."""
    count = len(image)
    images, labels = image.clone(), label.clone()
    for i in range(count if count > 1 else 0):
        if rng.random() < share:
            j = (i + 1 + int(rng.integers(count - 1))) % count
            place = (slice(None), *box(image.shape[2:], rng))
            images[i][place], labels[i][place] = image[j][place], label[j][place]
    return images, labels
