"""Learning from scans without labels: the average of the network teaches the network.

Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017 (arXiv 1703.01780), with boxes
mixed between images as in CutMix for segmentation (French et al., BMVC 2020, arXiv 1906.01916) and between
labelled and unlabelled ones as in bidirectional copy-paste (Bai et al., CVPR 2023, arXiv 2305.00673).

    teacher    average of the network's weights and statistics; cut and rolled back with it
    targets    its probabilities for the unlabelled windows as they are, by the batch statistics of these
    mixing     a box of each window, and of its target, comes from another window: from an unlabelled one, or
               from a labelled one with its mask
    student    sees the mixed windows in a stronger view, and learns the mixed targets
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..core.teacher_options import TeacherOptions
from ..networks.outputs import main_map, score_maps
from .loss import one_hot
from .mixing import box, generator
from .norm_statistics import batch_statistics, estimate_statistics
from .objective import Batch, Forward
from .state import State

SMOOTH = 1e-5  # as in MONAI's Dice loss
REMEMBERED = 0.9  # of the mean share of foreground, per step
PATIENCE = 50  # steps in a row outside of the bounds after which a teacher is silenced
EARLY = 10  # after t steps the average is over the last (t + 10) / 10 of them, at most


class MeanTeacher:
    """The supervised loss, and agreement with an average of the network on windows without labels.

    Args:
        network: that will be trained; the average starts as a copy of it.
        criterion: loss of a network's output and labels (B, 1, *P).
        options: weights, average, mixing.
        classes: background included.
        seed: of the boxes; the box of a step depends on it and the step alone.
        foreground: share of the labelled voxels that are not background; with it, a teacher that finds
            `options.veto` times more or less of it in scans without labels is no longer listened to.

    Attributes:
        vetoed: step at which it was silenced, or -1.
    """

    def __init__(
        self,
        network: nn.Module,
        criterion: Callable[[Any, Tensor], Tensor],
        options: TeacherOptions,
        classes: int,
        seed: int = 0,
        foreground: float | None = None,
    ) -> None:
        self.criterion, self.options, self.classes, self.seed = criterion, options, classes, seed
        self.average = _frozen_copy(network)
        self.dense: nn.Module | None = None  # the average as it was before the first cut
        self.copies: Sequence[nn.Module] = (self.average,)
        self.steps = 0
        self.foreground, self.found, self.outside, self.vetoed = foreground, 0.0, 0, -1

    def loss(self, forward: Forward, batch: Batch, progress: float) -> Tensor:
        """Supervised loss plus the ramped loss on mixed unlabelled windows; one pass for both halves.

        Args:
            forward: see `Forward`.
            batch: image (B, C, *P), label (B, 1, *P), and of the unlabelled windows weak and strong
                (U, C, *P): the same voxels, the second with other intensities.
            progress: share of the run's steps that were taken.
        """
        weight = self.options.weight * ramp(progress, self.options.start, self.options.full)
        image, label = batch["image"], batch["label"]
        if not weight or "weak" not in batch or self.vetoed >= 0:
            return self.criterion(forward(image), label)
        targets = self.targets(forward, batch["weak"])
        if self._runs_wild(targets, label, progress):
            return self.criterion(forward(image), label)
        mixed, targets = self.mix(batch["strong"], targets, image, one_hot(label, self.classes))
        output, count = forward(torch.cat([image, mixed])), len(image)
        maps = [
            scores[:count] for scores in score_maps(output, label.ndim - 2)
        ]  # one, or of deep supervision
        supervised = self.criterion(maps if len(maps) > 1 else maps[0], label)
        unlabelled = main_map(output, label.ndim - 2)[count:]
        return supervised + weight * soft_loss(unlabelled, targets, self.options.threshold)

    def _runs_wild(self, targets: Tensor, label: Tensor, progress: float) -> bool:
        """Whether its share of foreground has left that of the labelled scans, once its weight is whole."""
        if self.foreground is None:
            return False
        share = float((targets.argmax(1) > 0).float().mean())
        self.found = REMEMBERED * self.found + (1 - REMEMBERED) * share if self.found else share
        shown = float((label < self.classes).float().mean())  # the rest lies beyond the images
        usual = self.foreground * shown
        bounds = (usual / self.options.veto, usual * self.options.veto)
        inside = progress < self.options.full or bounds[0] <= self.found <= bounds[1]
        self.outside = 0 if inside else self.outside + 1
        if self.outside > PATIENCE:
            self.vetoed = self.steps
        return self.vetoed >= 0

    @torch.no_grad()
    def targets(self, forward: Forward, weak: Tensor) -> Tensor:
        """Class probabilities (U, K, *P) of the teacher, sharpened."""
        found, share = self._probabilities(forward, weak, self.average), self.options.dense_self
        if self.dense is not None and share:
            found = (1 - share) * found + share * self._probabilities(forward, weak, self.dense)
        return self.sharpened(found)

    def _probabilities(self, forward: Forward, weak: Tensor, network: nn.Module) -> Tensor:
        """(U, K, *P) of a network whose own batch statistics lag behind its weights."""
        of_batch = self.options.statistics == "batch" and len(weak) > 1  # one window says too little
        with batch_statistics(network) if of_batch else nullcontext():
            return main_map(forward(weak, network), weak.ndim - 2).float().softmax(1)

    def sharpened(self, found: Tensor) -> Tensor:
        """Probabilities (U, K, *P), nearer to 0 and 1 where the options say so."""
        if self.options.sharpening > 1:
            found = found**self.options.sharpening
            found = found / found.sum(1, keepdim=True)
        return found

    def mix(self, strong: Tensor, targets: Tensor, image: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Windows (U, C, *P) and targets (U, K, *P), each with a box from another one in both.

        Args:
            strong, targets: of the unlabelled windows.
            image, truth: labelled windows (B, C, *P) and their classes (B, K, *P) as 0 and 1; all 0 where
                voxels are left out.
        """
        if self.options.mixing == "none":
            return strong, targets
        rng = generator(self.seed, self.steps)
        count = len(strong)
        windows, goals = strong.clone(), targets.clone()
        for i in range(count):
            place = (slice(None), *box(strong.shape[2:], rng))
            # evenly spread, so that few windows a step have the share over several steps
            drawn = (i + rng.random()) / count
            if count == 1 or drawn < self.options.labelled_share:
                j = int(rng.integers(len(image)))
                windows[i][place], goals[i][place] = image[j][place], truth[j][place]
            else:
                j = (i + 1 + int(rng.integers(count - 1))) % count
                windows[i][place], goals[i][place] = strong[j][place], targets[j][place]
        return windows, goals

    @torch.no_grad()
    def after_step(self, network: nn.Module, progress: float) -> None:
        """Move the average towards the network; early averages forget their beginning faster."""
        self.steps += 1
        decay = min(self.options.decay, self.steps / (self.steps + EARLY))
        theirs = dict(network.named_parameters()) | dict(network.named_buffers())
        for name, mine in (*self.average.named_parameters(), *self.average.named_buffers()):
            if mine.is_floating_point():
                mine.lerp_(theirs[name].detach(), 1 - decay)
            else:
                mine.copy_(theirs[name])

    def before_first_cut(self) -> None:
        """Keep the average as it is, uncut: from now on it teaches too, where the options give it a share."""
        if self.options.dense_self:
            self.dense = _frozen_copy(self.average)

    def ended(self, images: Iterable[Tensor]) -> None:
        """Give the average batch statistics of its own; those it has are of networks that are gone."""
        estimate_statistics(self.average, images)

    def remarks(self) -> list[str]:
        """That it was silenced, if it was."""
        if self.vetoed < 0 or self.foreground is None:
            return []
        return [
            f"from step {self.vetoed} on scans without labels were not learnt from: the teacher found "
            f"{self.found:.2%} of them to be foreground, of the labelled ones {self.foreground:.2%} are; "
            "label more scans"
        ]

    def trained(self, network: nn.Module) -> nn.Module:
        """The average: what is validated and becomes the model."""
        return self.average

    def state(self, *, copy: bool = False) -> State:
        """The average, the dense self if there is one, and the number of steps."""
        networks = {"average": self.average} | ({"dense": self.dense} if self.dense is not None else {})
        tensors = {
            f"{part}/{name}": tensor.detach().clone() if copy else tensor.detach()
            for part, network in networks.items()
            for name, tensor in (*network.named_parameters(), *network.named_buffers())
        }
        values = {"steps": self.steps, "found": self.found, "outside": self.outside, "vetoed": self.vetoed}
        return State(tensors, values)

    @torch.no_grad()
    def put(self, state: State) -> None:
        """Set what `state` gave, in place."""
        self.steps = int(state.values["steps"])
        self.found = float(state.values.get("found", 0.0))
        self.outside = int(state.values.get("outside", 0))
        self.vetoed = int(state.values.get("vetoed", -1))
        for part, network in (("average", self.average), ("dense", self.dense)):
            if network is not None:
                for name, tensor in (*network.named_parameters(), *network.named_buffers()):
                    tensor.copy_(state.tensors[f"{part}/{name}"])


def ramp(progress: float, start: float, full: float) -> float:
    """0 until `start`, 1 from `full`, linear between."""
    return min(1.0, max(0.0, (progress - start) / (full - start)))


def soft_loss(output: Tensor, targets: Tensor, threshold: float = 0.0) -> Tensor:
    """Cross-entropy and soft Dice of scores (U, K, *P) against probabilities (U, K, *P).

    The Dice has squares in its denominator (Milletari et al. 2016), so that both parts are least where the
    network's probabilities are the targets: the usual form would turn the teacher's doubt into certainty.

    Args:
        output: scores of the network.
        targets: probabilities; all zero where nothing is known.
        threshold: voxels whose most probable class is less probable than this count in neither, nor do those
            of which nothing is known.
    """
    logs = output.log_softmax(1)
    surest = targets.amax(1, keepdim=True)
    known = ((surest >= threshold) & (surest > 0)).to(logs.dtype)
    entropy = -(known * targets * logs).sum() / known.sum().clamp(min=1)
    found, wanted = known * logs.exp(), known * targets
    axes = [0, *range(2, output.ndim)]
    overlap, total = (found * wanted).sum(axes), (found**2 + wanted**2).sum(axes)
    dice = (2 * overlap + SMOOTH) / (total + SMOOTH)
    return entropy + 1 - dice.mean()


def _frozen_copy(network: nn.Module) -> nn.Module:
    twin: Any = copy.deepcopy(network)
    return twin.eval().requires_grad_(False)
