"""Batches for training, ranking and validation, from prepared cases kept within a memory budget.

`TrainingBatches.batch(step)` is a pure function of the seed and the step, so a run that resumes
at step k sees exactly the batches it would have seen.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ..core.data_options import DataOptions
from ..core.errors import DataError
from ..core.teacher_options import TeacherOptions
from ..core.train_options import TrainOptions
from .cases import Case
from .io.readers import read_image
from .labels.organs import read_label_files
from .plan import Plan
from .preprocess import Prepared, prepare
from .share import WHOLE, Share
from .transforms import Locations, Sample, TrainingTransform, find_locations, strong_view

LONGEST_STAY = 8  # steps
# What a seed is used for, so that no two uses share random numbers.
ORDER, DRAW, SCORING, UNLABELLED = 0, 1, 2, 3


@dataclass(frozen=True)
class _Entry:
    prepared: Prepared
    locations: Locations

    @property
    def bytes(self) -> int:
        label = self.prepared.label
        held = self.prepared.image.nbytes + (0 if label is None else label.nbytes)
        return held + sum(points.nbytes for points in self.locations.values())


class CaseCache:
    """Prepared cases, the least recently used dropped first once they exceed a number of megabytes.

    Safe to share between threads. A case larger than the whole budget is read each time.
    """

    def __init__(self, plan: Plan, megabytes: int) -> None:
        self.plan = plan
        self.budget = megabytes * 2**20
        self.bytes = 0
        # By the whole case: another data set, as of a validation CSV, may use the same ids.
        self._entries: OrderedDict[Case, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, case: Case) -> Prepared:
        """The case, prepared with its label if it has one.

        Raises:
            DataError: a file that cannot be read or does not fit the plan.
        """
        return self._entry(case).prepared

    def sample_source(self, case: Case) -> tuple[Prepared, Locations]:
        """The case, and labelled voxels (n, dims) of each of its classes; one read where it is not kept."""
        entry = self._entry(case)
        return entry.prepared, entry.locations

    def __len__(self) -> int:
        return len(self._entries)

    def _entry(self, case: Case) -> _Entry:
        with self._lock:
            if case in self._entries:
                self._entries.move_to_end(case)
                return self._entries[case]
        entry = self._load(case)
        with self._lock:
            if case not in self._entries and entry.bytes <= self.budget:
                self._entries[case] = entry
                self.bytes += entry.bytes
                while self.bytes > self.budget:
                    self.bytes -= self._entries.popitem(last=False)[1].bytes
        return entry

    def _load(self, case: Case) -> _Entry:
        label = read_label_files(case.label_files) if case.label_files is not None else None
        prepared = prepare(read_image(case.images, self.plan.in_channels), self.plan, label)
        return _Entry(prepared, find_locations(prepared.label, self.plan.unknown_class))


class TrainingBatches:
    """Batches of augmented windows, the next one made in a background thread.

    Cases come in a new random order each epoch, each once per epoch. A batch is always full: it
    runs into the next epoch, also where there are fewer cases than the batch size.
    Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        plan: Plan,
        options: TrainOptions,
        data: DataOptions,
        seed: int,
        *,
        cache: CaseCache | None = None,
        unlabelled: Sequence[Case] = (),
        teacher: TeacherOptions | None = None,
        share: Share = WHOLE,
    ) -> None:
        """Args:
            cases: labelled training cases with unique ids.
            plan: how they are prepared, and the patch.
            options: batch size, augmentation, share of windows on labelled voxels.
            data: memory for prepared cases, unless `cache` is given.
            seed: of order, windows and augmentation.
            cache: shared with the validation cases.
            unlabelled: cases whose labels are never read; windows of them go into every batch.
            teacher: how many of them, and how their strong view is made.
            share: of each batch that is made here: its rows are those that one process would make there.

        Raises:
            DataError: no case, or a case without a label.
        """
        nameless = [case.id for case in cases if case.label is None]
        if not cases or nameless:
            found = f"case {nameless[0]} without a label" if nameless else "no case"
            raise DataError(
                f"training cases: found {found}, expected images, each with its label; add labels"
            )
        self.cases = tuple(cases)
        self.plan = plan
        self.seed = seed
        self.batch_size, self.share = options.batch_size, share
        self.cache = cache or CaseCache(plan, data.cache_megabytes)
        self._training = TrainingTransform(
            plan, augment=options.augment, foreground_share=options.foreground_share
        )
        self._scoring = TrainingTransform(plan, augment=False, foreground_share=1.0)
        teacher = teacher or TeacherOptions()
        self.unlabelled = tuple(case.bare for case in unlabelled)
        self._strong = strong_view(teacher.strong_view == "full")
        self._unlabelled_size = (teacher.batch_size or options.batch_size) if unlabelled else 0
        self._silent = math.floor(
            teacher.start * options.steps
        )  # steps before what is learnt from them counts
        self._stay: int | None = None  # steps that a scan without labels stays
        self._windows: tuple[list[tuple[int, int]], list[tuple[int, int]]] | None = (
            None  # see `watch_batches`
        )
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="batches", initializer=_compute_alone)
        self._ahead: dict[int, Future[Sample]] = {}

    def batch(self, step: int) -> Sample:
        """{"image": (B, C, *P) float32, "label": (B, 1, *P) int64} of optimiser step `step`, from 0.

        With unlabelled cases also "weak" and "strong" (U, C, *P) float32: the same windows, turned and
        scaled alike; the second with other intensities. With a share, its rows alone.

        Raises:
            DataError: a file that cannot be read or does not fit the plan.
        """
        ready = self._ahead.pop(step, None) or self._worker.submit(self._make, step)
        for future in self._ahead.values():  # of another place in the run, after a resume or rollback
            future.cancel()
        batch = ready.result()
        self._ahead = {step + 1: self._worker.submit(self._make, step + 1)}
        return batch

    def scoring_batches(self, count: int | None = None) -> Iterator[Sample]:
        """Every training case once, without augmentation, the same each time; the last batch may be smaller.

        A case larger than the patch gives one window on a labelled voxel.

        Args:
            count: at most this many batches; None: the whole training set.
        """
        order = self._order(0)  # shuffled, so that a few batches are not a few people
        starts = range(0, len(order), self.batch_size)
        for first in starts if count is None else starts[:count]:
            chosen = order[first : first + self.batch_size]
            yield _stack(
                [self._sample(self._scoring, index, (self.seed, SCORING, index)) for index in chosen]
            )

    def watch_batches(self, count: int | None = None) -> Iterator[Sample]:
        """The same few windows of training cases each time, without augmentation, to see what is found.

        Each label that a case holds is in one of them at least; else they are spread over the cases.

        Args:
            count: windows; more where there are more labels. None: one of every case at the least.
        """
        windows = self._watched(count)
        for first in range(0, len(windows), self.batch_size):
            yield _stack([self._watch(*window) for window in windows[first : first + self.batch_size]])

    def watch_unlabelled(self, count: int) -> Iterator[torch.Tensor]:
        """The same few windows (B, C, *P) of cases without labels each time, without augmentation."""
        chosen = _permutation(len(self.unlabelled), (self.seed, UNLABELLED, SCORING))[:count]
        for first in range(0, len(chosen), self.batch_size):
            windows = [
                self._scoring.views(
                    self.cache.get(self.unlabelled[index]),
                    self._strong,
                    (self.seed, UNLABELLED, SCORING, index),
                )["weak"]
                for index in chosen[first : first + self.batch_size]
            ]
            yield torch.stack(windows)

    def _watched(self, count: int | None) -> list[tuple[int, int]]:
        """(case index, label at the window's middle) of each window; the rarest label chooses first."""
        if self._windows is None:
            free = self._order(0)
            held = {index: set(self.cache.sample_source(self.cases[index])[1]) for index in free}
            cases_of = {k: [i for i in free if k in held[i]] for k in sorted(set().union(*held.values()))}
            first = []
            for label, theirs in sorted(cases_of.items(), key=lambda item: len(item[1])):
                index = next((i for i in theirs if i in free), theirs[0])
                first.append((index, label))
                free = [i for i in free if i != index]
            rest = [(index, min(held[index], default=0)) for index in free]
            self._windows = first, rest
        first, rest = self._windows
        return first + (rest if count is None else rest[: max(0, count - len(first))])

    def _watch(self, index: int, label: int) -> Sample:
        prepared, locations = self.cache.sample_source(self.cases[index])
        wanted = {label: locations[label]} if label in locations else locations
        return self._scoring(prepared, wanted, (self.seed, SCORING, index))

    def close(self) -> None:
        """Stop the background thread."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._ahead = {}

    def __enter__(self) -> TrainingBatches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def drawn(self, step: int) -> tuple[Case, ...]:
        """The cases of that step's batch, in order."""
        return tuple(self.cases[index] for index, _ in self._draws(step))

    def _draws(self, step: int) -> list[tuple[int, int]]:
        """(case index, draw number) of each place in the batch."""
        return self._places(step, self.batch_size, len(self.cases), (self.seed, ORDER))

    def _places(self, step: int, size: int, count: int, seed: tuple[int, ...]) -> list[tuple[int, int]]:
        """(index, draw number) of `size` draws out of `count`, each once per epoch in a new order."""
        draws = range(step * size, (step + 1) * size)
        orders = {epoch: _permutation(count, (*seed, epoch)) for epoch in {draw // count for draw in draws}}
        return [(orders[draw // count][draw % count], draw) for draw in draws]

    def _order(self, epoch: int) -> list[int]:
        return _permutation(len(self.cases), (self.seed, ORDER, epoch))

    def _make(self, step: int) -> Sample:
        batch = _stack(
            [
                self._sample(self._training, index, (self.seed, DRAW, draw))
                for index, draw in self._draws(step)[self.share.rows(self.batch_size)]
            ]
        )
        if not self._unlabelled_size or step <= self._silent:
            return batch
        views = [
            self._training.views(
                self.cache.get(self.unlabelled[index]), self._strong, (self.seed, UNLABELLED, DRAW, draw)
            )
            for index, draw in self._unlabelled_draws(step)[self.share.rows(self._unlabelled_size)]
        ]
        return batch | _stack(views)

    def _unlabelled_draws(self, step: int) -> list[tuple[int, int]]:
        """(case index, draw number) of each window without labels.

        A large scan stays for as many steps as it holds windows: to read and prepare it for a single one
        would cost more than all the rest of the step.
        """
        size, seed = self._unlabelled_size, (self.seed, UNLABELLED, ORDER)
        if self._stay is None:
            shape = self.cache.get(self.unlabelled[0]).image.shape[1:]
            windows = math.prod(shape) / math.prod(self.plan.patch_size)
            self._stay = max(1, min(LONGEST_STAY, round(windows)))
        places = self._places(step // self._stay, size, len(self.unlabelled), seed)
        return [(index, step * size + place) for place, (index, _) in enumerate(places)]

    def _sample(self, transform: TrainingTransform, index: int, seed: tuple[int, ...]) -> Sample:
        prepared, locations = self.cache.sample_source(self.cases[index])
        return transform(prepared, locations, seed)


class ValidationCases:
    """The held-out cases whole and without augmentation, as (case, prepared) pairs in their order."""

    def __init__(self, cases: Sequence[Case], cache: CaseCache) -> None:
        self.cases = tuple(cases)
        self.cache = cache

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[tuple[Case, Prepared]]:
        for case in self.cases:
            yield case, self.cache.get(case)


def _compute_alone() -> None:
    """One thread of torch's for the thread that calls: augmentation by several costs twice the work, and
    takes the cores from training."""
    torch.set_num_threads(1)


def _permutation(count: int, seed: tuple[int, ...]) -> list[int]:
    return np.random.default_rng(np.random.SeedSequence(seed)).permutation(count).tolist()


def _stack(samples: Sequence[Sample]) -> Sample:
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
