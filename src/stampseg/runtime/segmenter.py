"""Arrays in, masks and their trustworthiness out: a model as five lines of one's own program."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..data.inverse import Shares
from ..data.io.probabilities import FULL_SCALE
from ..data.io.readers import paths_of, read_image, with_channels
from ..data.io.volume import Header, Volume, as_image, volume_header
from ..data.labels.label_table import to_values
from ..data.labels.postprocess import postprocessed
from ..data.likeness import remarks
from ..data.plan import Plan
from ..data.preprocess import prepare
from .confidence import Confident, segment_confidently
from .model import open_model
from .sliding import segment_pieces
from .trust import Trust, absurdities, trust_of

ARRAY = Path("the array")  # what messages call an image that is no file


@dataclass(frozen=True, eq=False)
class Segmented:
    """A mask, where it lies, and how far it can be trusted.

    Attributes:
        mask: (*S) on the image's own grid, with the values that the training labels had.
        affine: 4 x 4, voxel to RAS+ mm; None for pictures.
        spacing: of the voxels, mm; 1 for pictures.
        expected: of each label, Dice and the ends of its 90% interval, 0 and 1 where fewer than nine people
            were left out, of whom there is none; None where the model has no calibration, or nothing was
            found of a label that some training cases lack. Empty without confidence.
        certainty: of each label, 0 to 1; None where nothing of it was seen. Empty without confidence.
        uncertainty: (*S) float32 from 0 to 1, how far the likeliest label's mean probability is from 1; None
            without confidence.
        flags: what is unusual about the image or the mask, a few words each.
        probabilities: (K, *S) float32, background first, calibrated where the model has a calibration; None
            where they were not asked for.
    """

    mask: np.ndarray
    affine: np.ndarray | None
    spacing: tuple[float, ...]
    expected: Mapping[str, tuple[float, float, float] | None]
    certainty: Mapping[str, float | None]
    uncertainty: np.ndarray | None
    flags: tuple[str, ...]
    probabilities: np.ndarray | None = None


class Segmenter:
    """Segments files and arrays with a run folder, a model file or an exported file.

        found = stampseg.Segmenter("run").segment("scan.nii.gz")
        found.mask, found.affine, found.expected, found.uncertainty, found.flags

    Attributes:
        plan: how images are prepared.
        labels: value in masks of each label's name.
    """

    def __init__(
        self,
        model: Path | str,
        *,
        device: str = "cpu",
        threads: int | None = None,
        batch_size: int = 1,
        mirror: bool = False,
        trusted: Collection[str] = (),
    ) -> None:
        """Args:
            model: run folder, `.safetensors`, `.onnx`, `.openvino` or `.pt2`.
            device: where to compute; exported files compute on the CPU.
            threads: to compute with; None leaves it to the library.
            batch_size: windows computed at once.
            mirror: average over all mirrored views, at 2 to the number of axes times the work.
            trusted: `package.module:Class` names whose code the model may use.

        Raises:
            ConfigError: another device than the CPU for an exported file.
            ModelFileError: the model cannot be opened.
            MissingPackageError: what computes is not installed.
        """
        self._opened = open_model(Path(model), device=device, trusted=trusted, threads=threads)
        self._batch_size, self._mirror = batch_size, mirror
        self.plan: Plan = self._opened.plan
        self.labels = dict(zip(self.plan.label_names[1:], self.plan.label_values[1:], strict=True))

    @property
    def structures(self) -> dict[str, tuple[int, ...]]:
        """Values in masks of each name that `expected` has: of the labels, or of regions made of several."""
        values = self.plan.label_values
        return {name: tuple(values[each] for each in classes) for name, classes in self.plan.structures}

    def segment(
        self,
        image: Path | str | Sequence[Path | str] | np.ndarray,
        *,
        affine: np.ndarray | None = None,
        spacing: Sequence[float] | None = None,
        confidence: bool = True,
        probabilities: bool = False,
        all_pieces: bool = False,
        postprocess: bool = True,
    ) -> Segmented:
        """Segment one case.

        Args:
            image: its file, or its files, one per channel in the order of training; or an array (*S) or
                (C, *S), volumes in the order X, Y, Z of nibabel, pictures by row and column.
            affine: of an array that is a volume: 4 x 4, voxel to RAS+ mm.
            spacing: of such an array in place of `affine`, mm; its axes then run to the right, the front and
                the head.
            confidence: also say how far the mask can be trusted, at three times the work.
            probabilities: also give the probabilities of all labels.
            all_pieces: keep all pieces of labels that are one piece by the plan.
            postprocess: do to the mask what the model says: fill holes, drop pieces.

        Raises:
            DataError: a file that cannot be read, or an image that does not fit the model.
        """
        volume = (
            self._volume(image, affine, spacing)
            if isinstance(image, np.ndarray)
            else read_image(paths_of(image), self.plan.in_channels)
        )
        plan = self.plan.with_all_pieces() if all_pieces else self.plan
        prepared, unlike = prepare(volume, plan), remarks(volume, plan)
        batch, mirror = self._batch_size, self._mirror
        steps, spacing = self._opened.steps if postprocess else (), volume.header.spacing
        shares = self._opened.shares(prepared) if probabilities else None
        options: dict[str, Any] = {"batch_size": batch, "mirror": mirror, "listener": shares}
        with self._opened.scoring() as scorer:
            if not confidence:
                mask, _ = segment_pieces(prepared, plan, scorer, **options)
                mask = postprocessed(mask, steps, spacing)
                flags = (*unlike, *absurdities(mask, plan, volume.header))
                return _segmented(mask, None, Trust((), flags), volume.header, plan, shares)
            found = segment_confidently(prepared, plan, scorer, **options)
        found = replace(found, mask=postprocessed(found.mask, steps, spacing))
        trust = trust_of(found, plan, volume.header, unlike)
        return _segmented(found.mask, found, trust, volume.header, plan, shares)

    def _volume(
        self, array: np.ndarray, affine: np.ndarray | None, spacing: Sequence[float] | None
    ) -> Volume:
        """An array with the header that a file would have had."""
        dims = self.plan.spatial_dims
        if array.ndim == dims:
            array = array[None]
        if array.ndim != dims + 1:
            raise DataError(
                f"an array of shape {array.shape}; expected {dims} axes, and one of channels before them if "
                f"there are several"
            )
        shape, kind = array.shape[1:], str(array.dtype)
        if dims == 2:
            if affine is not None or spacing is not None:
                raise DataError(
                    "an array for a model of pictures has neither affine nor spacing: its voxels are pixels; "
                    "leave them out"
                )
            header = Header(shape, (1.0, 1.0), None, len(array), kind, ARRAY, True)
        else:
            header = volume_header(ARRAY, shape, _affine(affine, spacing), len(array), kind)
        image = as_image(np.ascontiguousarray(array), ARRAY)
        if len(image) != self.plan.in_channels:  # as of a file
            if array.shape[-1] <= 4 < len(image):
                raise DataError(
                    f"an array of shape {array.shape}: has {len(array)} channels, as channels come first; "
                    f"expected {self.plan.in_channels}; if its last axis is that of channels, give "
                    "np.moveaxis(array, -1, 0)"
                )
            image = with_channels(image, self.plan.in_channels, header)
            header = replace(header, channels=len(image))
        return Volume(image, header)


def _affine(affine: np.ndarray | None, spacing: Sequence[float] | None) -> np.ndarray:
    if (affine is None) == (spacing is None):
        raise DataError(
            "an array of a volume needs an affine (4 x 4, voxel to RAS+ mm) or a spacing (mm), one of them: "
            "without the size of its voxels it cannot be brought to the grid that the model knows"
        )
    if affine is not None:
        if np.shape(affine) != (4, 4):
            raise DataError(f"an affine of shape {np.shape(affine)}; expected 4 x 4, voxel to RAS+ mm")
        return np.asarray(affine, dtype=np.float64)
    sizes = tuple(map(float, () if spacing is None else spacing))
    if len(sizes) != 3 or min(sizes) <= 0:
        found = ", ".join(f"{size:g}" for size in sizes)
        raise DataError(f"a spacing of [{found}]; expected three sizes above 0, in mm")
    return np.diag([*sizes, 1.0])


def _segmented(
    classes: np.ndarray,
    found: Confident | None,
    trust: Trust,
    header: Header,
    plan: Plan,
    shares: Shares | None,
) -> Segmented:
    return Segmented(
        mask=to_values(classes, plan.label_values),
        affine=header.affine,
        spacing=header.spacing,
        expected={label.name: label.expected for label in trust.labels},
        certainty={label.name: label.certainty for label in trust.labels},
        uncertainty=None if found is None else found.uncertainty.astype(np.float32) / 255,
        flags=trust.flags,
        probabilities=None if shares is None else shares.shares / np.float32(FULL_SCALE),
    )
