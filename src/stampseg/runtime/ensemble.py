"""Several networks as one: the mean of their probabilities on the scan's own grid, in bounded memory.

Each network prepares the scan by its own plan. All slide along the same axis in turns; whichever rows of the
scan all of them have finished are averaged and leave, so no float volume per class is ever whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ConfigError, ModelFileError
from ..core.json_file import JsonFile
from ..core.options import FileRecord
from ..core.run_folder import FOLDS_FILE, FOLDS_FOLDER, MODEL_FILE
from ..core.text import some
from ..data.boxes import as_slices
from ..data.inverse import BLOCK, Rows, highest, margins_of
from ..data.io.volume import Volume
from ..data.labels.pieces import keep_surest
from ..data.labels.postprocess import Postprocessing
from ..data.labels.regions import decided
from ..data.plan import Plan
from ..data.preprocess import Prepared, orient, prepare
from .model import OpenModel, open_model
from .sliding import Scorer, slide, walking_axis

# What must agree, for a mask that means the same: in words, and of the plan.
AGREE = {
    "kind of image": ("spatial_dims", "in_channels"),
    "label values": ("label_values",),
    "label names": ("label_names",),
    "regions": ("regions",),
    "axes": ("orientation", "axes"),
}
# Plans that agree in this prepare a scan alike.
PREPARES = ("orientation", "axes", "spacing", "crop", "normalization", "ct", "convention")

Ensembled = tuple[Prepared, ...]


class _Listed(FileRecord):
    """The part of folds.json that says how many folds there are."""

    folds: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks that segment together.

    Attributes:
        members: the networks.
        models: their files or run folders.
    """

    members: tuple[OpenModel, ...]
    models: tuple[Path, ...] = field(default=())

    @property
    def plan(self) -> Plan:
        """Labels and channels, which all have in common; the rest is the first member's.

        One piece is what is one by all of them; a calibration is of a network alone.
        """
        first = self.members[0].plan
        alike = [v for v in first.one_piece if all(v in member.plan.one_piece for member in self.members)]
        return first.model_copy(update={"one_piece": tuple(alike), "calibration": None})

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Digests of the images that any of them was trained on."""
        return tuple(sorted({digest for member in self.members for digest in member.trained_on}))

    @property
    def steps(self) -> Postprocessing:
        """What is done to the masks: that of the members, where all have the same."""
        first = self.members[0].steps
        return first if all(member.steps == first for member in self.members) else ()

    def prepare(self, volume: Volume) -> Ensembled:
        """The image as each member takes it; members that prepare alike share it."""
        known: dict[str, Prepared] = {}
        for member in self.members:
            key = member.plan.model_dump_json(include=set(PREPARES))
            if key not in known:
                known[key] = prepare(volume, member.plan)
        return tuple(known[m.plan.model_dump_json(include=set(PREPARES))] for m in self.members)

    def segment(
        self, prepared: Ensembled, *, batch_size: int = 1, mirror: bool = False
    ) -> tuple[np.ndarray, int]:
        """Class indices (*S) on the image's own grid, of the highest mean probability, and pieces left out.

        The first of equal ones wins.
        """
        first, plan = prepared[0].geometry, self.plan
        axis = walking_axis(prepared[0].image.shape[1:], plan.patch_size)
        mask = np.zeros(first.source_shape, dtype=np.min_scalar_type(plan.out_channels - 1))
        margins = np.zeros(first.source_shape if plan.one_piece else (), dtype=np.uint8)
        target = np.moveaxis(orient(mask, first.orientation), axis, 0)
        rows = np.moveaxis(orient(margins, first.orientation), axis, 0) if plan.one_piece else None
        options = {"batch_size": batch_size, "mirror": mirror}
        with ExitStack() as stack:
            scorers = [stack.enter_context(member.scoring()) for member in self.members]
            streams = [
                _rows(own, member.plan, scorer, axis, options)
                for own, member, scorer in zip(prepared, self.members, scorers, strict=True)
            ]
            for start, total in _summed(streams, len(target)):
                target[start : start + total.shape[1]] = self._decided(total, mask.dtype)
                if rows is not None:
                    above = total[1:].max(axis=0) - total[0]
                    rows[start : start + total.shape[1]] = margins_of(above / len(self.members))
        return mask, keep_surest(mask, margins, plan.one_piece) if plan.one_piece else 0

    def _decided(self, total: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Classes (*S) by the sum over the members of the scores (K, *S)."""
        regions = self.plan.regions
        if not regions:
            return highest(total, dtype)
        return decided((region.of(total) / len(self.members) for region in regions), regions, dtype)

    def with_all_pieces(self) -> Ensemble:
        """The same, which leaves out no piece of labels that are one piece."""
        return Ensemble(tuple(member.with_all_pieces() for member in self.members), self.models)


@dataclass(frozen=True, eq=False)
class _Block:
    """Scores (K, stop - start, *other axes) of rows of the whole oriented scan."""

    start: int
    stop: int
    scores: np.ndarray


def _rows(
    prepared: Prepared, plan: Plan, scorer: Scorer, axis: int, options: Mapping[str, Any]
) -> Iterator[_Block]:
    """All rows of the scan along an axis, in order; outside of the crop it is background for certain."""
    geometry, classes = prepared.geometry, plan.out_channels
    order = [axis, *(other for other in range(len(geometry.box)) if other != axis)]
    count, *others = (geometry.oriented_shape[other] for other in order)
    box = [geometry.box[other] for other in order]
    rows = Rows(geometry, axis, max(1, BLOCK // classes))

    def whole(number: int) -> np.ndarray:
        scores = np.zeros((classes, number, *others), dtype=np.float32)
        scores[0] = 1
        return scores

    (first, last), inside = box[0], as_slices(tuple(box[1:]))
    if first:
        yield _Block(0, first, whole(first))
    for scores in slide(prepared.image, plan, scorer, axis, **options):
        for part in rows.add(scores):
            found = part.brought_back(relative=not plan.regions)
            if found.shape[2:] != tuple(others):
                around = whole(found.shape[1])
                around[(slice(None), slice(None), *inside)] = found
                found = around
            yield _Block(first + part.start, first + part.stop, found)
    if last < count:
        yield _Block(last, count, whole(count - last))


def _summed(streams: Sequence[Iterator[_Block]], count: int) -> Iterator[tuple[int, np.ndarray]]:
    """The first row and the sum of scores (K, rows, *other axes), as far as all have come."""
    blocks, done = [next(stream) for stream in streams], 0
    while done < count:
        blocks = [
            block if block.stop > done else next(stream)
            for block, stream in zip(blocks, streams, strict=True)
        ]
        stop = min(block.stop for block in blocks)
        parts = [block.scores[:, done - block.start : stop - block.start] for block in blocks]
        total = parts[0].copy()
        for part in parts[1:]:
            total += part
        yield done, total
        done = stop


def open_segmenter(
    model: Path,
    *,
    device: str = "cpu",
    trusted: Collection[str] = (),
    threads: int | None = None,
    ensemble: bool = False,
) -> OpenModel | Ensemble:
    """Open what `stampseg predict` is given: one network, or the networks of a run's folds.

    Args:
        model: as `open_model`, or the folder of the folds of a run.
        device, trusted, threads: as `open_model`.
        ensemble: `model` is a run folder, and the networks of its folds are meant.

    Raises:
        ConfigError: an ensemble of something else than a run folder with folds.
        ModelFileError: a network cannot be opened, is missing, or does not fit the others.
    """
    folds = _folds_of(model, ensemble)
    if folds is None:
        return open_model(model, device=device, trusted=trusted, threads=threads)
    members = [open_model(fold, device=device, trusted=trusted, threads=threads) for fold in folds]
    check_agreement([member.plan for member in members], folds)
    return Ensemble(tuple(members), tuple(folds))


def _folds_of(model: Path, ensemble: bool) -> list[Path] | None:
    """The run folders of the folds; None where one network is meant."""
    place = model / FOLDS_FOLDER if ensemble and (model / FOLDS_FOLDER).is_dir() else model
    listed = place.parent / FOLDS_FILE
    named = place.is_dir() and (place.name == FOLDS_FOLDER or listed.is_file())
    runs = [path for path in place.iterdir() if path.name.isdecimal() and path.is_dir()] if named else []
    if not runs:
        if ensemble:
            raise ConfigError(
                f"{model}: `ensemble` averages the networks of a cross-validation (`train.folds`), and "
                f"there is no {FOLDS_FOLDER}/ in it; name such a run folder, or leave out `ensemble`"
            )
        return None
    wanted = len(JsonFile(FOLDS_FILE, _Listed).read_file(listed).folds) if listed.is_file() else 0
    runs.sort(key=lambda path: int(path.name))
    unfinished = [run.name for run in runs if not (run / MODEL_FILE).is_file()]
    if unfinished or len(runs) < wanted:
        gone = unfinished or [str(number) for number in range(len(runs), wanted)]
        raise ModelFileError(
            f"{place}: fold {some(gone)} of {max(wanted, len(runs))} has no network yet; resume the run with "
            f"`RunFolder.reopen` {place.parent}"
        )
    return runs


def check_agreement(plans: Sequence[Plan], models: Sequence[Path]) -> None:
    """Networks are averaged where they see the same kind of image and mean the same by their classes.

    Raises:
        ModelFileError: they do not.
    """
    for plan, model in zip(plans, models, strict=True):
        if plan.convention != "stampseg":
            raise ModelFileError(
                f"{model}: its scores are averaged as nnU-Net does, and an ensemble takes probabilities; "
                "predict with one network"
            )
        for words, names in AGREE.items():
            own, first = ([getattr(p, name) for name in names] for p in (plan, plans[0]))
            if own != first:
                raise ModelFileError(
                    f"{model}: {words} {_told(own)}, but {models[0]} has {_told(first)}; an ensemble takes "
                    "networks that agree in this; predict with each alone"
                )


def _told(values: Sequence[Any]) -> str:
    return ", ".join(str(list(v) if isinstance(v, tuple) else v) for v in values if v is not None) or "none"
