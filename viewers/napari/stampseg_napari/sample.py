"""The data of `stampseg demo`, as a sample."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from stampseg.data.demo import LABEL_NAMES, make_demo_data


def brain_slice() -> list[tuple[Any, dict[str, Any], str]]:
    """A slice of the T1 template, and its tissues as labels; they come with the package nilearn."""
    with TemporaryDirectory() as folder:
        data = make_demo_data(Path(folder), training_slices=1, test_slices=1, unlabelled=False)
        image, mask = (
            np.asarray(Image.open(min(place.iterdir()))) for place in (data.test_images, data.test_masks)
        )
    names = {"index": list(LABEL_NAMES), "label": list(LABEL_NAMES.values())}
    return [
        (image, {"name": "brain slice"}, "image"),
        (mask, {"name": "tissues, by the template", "features": names, "visible": False}, "labels"),
    ]
