"""Fingerprints of data sets that are not there."""

from __future__ import annotations

from stampseg.data.fingerprint import Fingerprint
from stampseg.data.labels.label_table import LabelTable
from stampseg.data.plan import Intensity

TABLE = LabelTable((0, 1), ("background", "organ"), ())


WINDOW = Intensity(low=-10, high=200, mean=100, std=40)


def facts(shapes, spacings=None, **changes):
    dims = len(shapes[0])
    spacings = spacings or [(1.0,) * dims] * len(shapes)
    values = {
        "spatial_dims": dims,
        "in_channels": 1,
        "channel_names": (),
        "shapes": tuple(shapes),
        "cropped_shapes": tuple(shapes),
        "spacings": tuple(spacings),
        "orientations": ("RAS",) * len(shapes),
        "intensity_ranges": ((0.0, 100.0),) * len(shapes),
        "foreground": (WINDOW,),
        "class_voxels": (900, 100),
        "object_radius": (4.0,),
    }
    return Fingerprint(**{**values, **changes})
