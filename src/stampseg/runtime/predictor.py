"""Files in, masks out: a `Segmenter` of which masks alone are asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.io.readers import mask_target, paths_of, write_label
from .segmenter import Segmenter


class Predictor:
    """Segments images with an exported file, or whatever `Segmenter` opens."""

    def __init__(
        self,
        path: Path | str,
        *,
        threads: int | None = None,
        batch_size: int = 1,
        mirror: bool = False,
        postprocess: bool = True,
    ) -> None:
        """Args:
            path: `.onnx` or `.openvino`, as `stampseg export` writes them.
            threads: to compute with; None leaves it to the engine.
            batch_size: windows computed at once.
            mirror: average over all mirrored views, at 2 to the number of axes times the work.
            postprocess: do to each mask what the file says: fill holes, drop pieces.

        Raises:
            ModelFileError: the file is missing, damaged, or of another format.
            MissingPackageError: the engine is not installed.
        """
        self._segmenter = Segmenter(path, threads=threads, batch_size=batch_size, mirror=mirror)
        self._postprocess = postprocess

    def predict(self, images: Path | str | Sequence[Path | str]) -> np.ndarray:
        """Labels (*S) on the file's own grid, with the values that the training masks had.

        Args:
            images: the file of one case, or its files, one per channel in the order of training.

        Raises:
            DataError: a file that cannot be read or does not fit the model.
        """
        return self._segmenter.segment(images, confidence=False, postprocess=self._postprocess).mask

    def predict_file(self, images: Path | str | Sequence[Path | str], out: Path | str) -> Path:
        """Write the labels as a file of the image's type; returns its path, the suffix set to that type.

        Raises:
            DataError: as `predict`, or the file cannot be written, or is one of the image's own.
        """
        paths = paths_of(images)
        target = mask_target(Path(out), paths)  # before the work is done
        return write_label(target, self.predict(paths), paths)
