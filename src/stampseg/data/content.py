"""What an image shows, whatever the format of its file: voxels along RAS axes, told by a digest."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from .io.volume import Volume
from .preprocess import find_orientation, orient

VOXELS = 50_000  # about as many are looked at, evenly spaced in larger images: it is done of every scan


def content_of(volume: Volume) -> str:
    """Digest of shape and values; equal for the same scan in another file format or stored along other axes.

    Grey in three channels counts as grey in one. "" of an image of one value, which may be anybody's.
    """
    image = orient(volume.array, find_orientation(volume.header))
    shape = image.shape[1:]
    step = max(1, math.ceil((math.prod(shape) / VOXELS) ** (1 / len(shape))))
    sample = image[(slice(None), *(slice(None, None, step) for _ in shape))]
    if sample.min() == sample.max():
        return ""
    grey = all(np.array_equal(sample[0], channel) for channel in sample[1:])
    values = np.ascontiguousarray(sample[:1] if grey else sample, dtype=np.float32) + np.float32(0)  # -0 is 0
    total = hashlib.blake2b(str(shape).encode(), digest_size=16)
    total.update(values.view(np.uint8).data)
    return total.hexdigest()
