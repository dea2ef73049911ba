"""The teacher is the slow average, is cut like the network, and sees the same voxels as its student."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stampseg.channels.dropout import TargetedDropout, attach_dropout
from stampseg.channels.graph import Cut
from stampseg.channels.snapshot import restore, snapshot
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.teacher_options import TeacherOptions
from stampseg.core.train_options import TrainOptions
from stampseg.networks.unet import UNet
from stampseg.train.loss import make_loss, one_hot
from stampseg.train.mean_teacher import EARLY, PATIENCE, MeanTeacher, ramp, soft_loss
from stampseg.train.mixing import box
from stampseg.train.trainer import DAMPING, Trainer
from tests.channels.cuts import mask
from tests.train.batches import Discs

CPU = torch.device("cpu")
EXAMPLE = torch.zeros(1, 1, 16, 16)
Precision = Literal["f32", "bf16"]


class Both(Discs):
    """Labelled discs, and the same without labels."""

    def __init__(self) -> None:
        super().__init__()
        image = self.content["image"]
        self.content |= {"weak": image + 0.3, "strong": image + 0.3 + 0.05 * torch.randn(image.shape)}


def make(precision: Precision = "f32", **options: object) -> tuple[Trainer, MeanTeacher, UNet]:
    torch.manual_seed(0)
    network = UNet(2, 1, 2, 4, [(2, 2)])
    chosen = TeacherOptions(start=0.0, full=0.01, **options)  # type: ignore[arg-type]
    teacher = MeanTeacher(network, make_loss(TrainOptions()), chosen, 2, seed=3)
    trainer = Trainer(
        network, Both(), TrainOptions(schedule="constant", precision=precision), 100, CPU, teacher
    )
    return trainer, teacher, network


def test_the_teacher_is_the_slow_average_of_weights_and_statistics() -> None:
    trainer, teacher, network = make(decay=0.8)
    twin = {n: t.detach().double().clone() for n, t in network.state_dict().items()}
    for step in range(1, 8):
        trainer.train(1)
        decay = min(0.8, step / (step + EARLY))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                twin[name] = decay * twin[name] + (1 - decay) * tensor.double()
    for name, tensor in teacher.trained(network).state_dict().items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor.double(), twin[name], atol=1e-6), name
    assert not teacher.average.training and not any(p.requires_grad for p in teacher.average.parameters())


def test_a_cut_teacher_is_its_masked_twin() -> None:
    trainer, teacher, network = make()
    trainer.train(3)
    graph = trace(network, EXAMPLE)
    cut = Cut.of({group.name: [1] for group in graph.prunable[:3]})
    silenced, image = copy.deepcopy(teacher.average), torch.randn(2, 1, 16, 16)
    mask(silenced, graph, cut)
    apply_cut(network, graph, cut, trainer.optimizer, copies=teacher.copies)
    assert torch.allclose(teacher.average(image), silenced(image), atol=1e-5)
    trainer.train(2)  # and both go on
    assert [p.shape for p in teacher.average.parameters()] == [p.shape for p in network.parameters()]


@pytest.mark.parametrize("windows", [1, 2, 3])
@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_its_targets_are_by_the_statistics_of_their_windows(statistics: str, windows: int) -> None:
    trainer, teacher, _ = make(statistics=statistics)
    trainer.train(3)
    weak = 3 + 2 * torch.randn(windows, 1, 16, 16)  # unlike what the running statistics have seen
    of_batch = statistics == "batch" and windows > 1
    twin = copy.deepcopy(teacher.average).train(of_batch)
    before = {name: tensor.clone() for name, tensor in teacher.average.state_dict().items()}
    targets = teacher.targets(trainer.forward, weak)
    with torch.no_grad():
        assert torch.allclose(targets, twin(weak).softmax(1), atol=1e-5)
    after = teacher.average.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not teacher.average.training


@pytest.mark.parametrize("labelled_share", [0.0, 0.5, 1.0])
def test_a_mixed_image_and_its_mixed_target_agree(labelled_share: float) -> None:
    _, teacher, _ = make(labelled_share=labelled_share)
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 2, (4, 1, 16, 16), generator=generator)
    labelled = torch.randint(0, 2, (3, 1, 16, 16), generator=generator)
    # every image says in its grey values what its target is, and which window it is of
    strong, image = classes + 10.0 * torch.arange(4).view(4, 1, 1, 1), labelled + 100.0
    windows, targets = teacher.mix(strong, one_hot(classes, 2), image, one_hot(labelled, 2))
    assert torch.equal(windows % 10, targets[:, 1:])
    foreign = [int((windows[i] // 10 != i).sum()) for i in range(4)]
    assert all(0.08 * 256 < count < 0.52 * 256 for count in foreign)  # a box of 30 to 70% of each side
    counts = []
    for teacher.steps in range(40):
        windows, _ = teacher.mix(strong, one_hot(classes, 2), image, one_hot(labelled, 2))
        counts.append(sum(bool((windows[i] >= 100).any()) for i in range(4)))
    assert sum(counts) / 160 == pytest.approx(labelled_share, abs=0.1)
    alone, _ = teacher.mix(strong[:1], one_hot(classes, 2)[:1], image, one_hot(labelled, 2))
    assert (alone >= 100).any()  # nothing else to mix a single window with


def test_boxes_are_those_of_the_step_alone() -> None:
    trainer, teacher, _ = make()
    batch = trainer.batches.batch(0)
    args = (batch["strong"], one_hot(batch["label"], 2), batch["image"], one_hot(batch["label"], 2))
    first = teacher.mix(*args)[0]
    assert torch.equal(first, teacher.mix(*args)[0])
    teacher.steps += 1
    assert not torch.equal(first, teacher.mix(*args)[0])
    rng = np.random.default_rng(0)
    assert all(0 <= s.start < s.stop <= 5 for _ in range(50) for s in box((5, 5, 5), rng))


def test_the_weight_rises_between_two_shares_of_the_run() -> None:
    assert [ramp(x, 0.1, 0.4) for x in (0.0, 0.1, 0.25, 0.4, 0.9)] == pytest.approx([0, 0, 0.5, 1, 1])
    trainer, teacher, network = make(weight=0.0)
    batch = trainer.batches.batch(0)
    alone = teacher.criterion(network(batch["image"]), batch["label"])
    assert teacher.loss(trainer.forward, batch, 0.5).item() == pytest.approx(alone.item())


def test_the_soft_loss_is_least_where_the_scores_are_the_targets() -> None:
    targets = (4 * torch.randn(2, 3, 5, 5)).softmax(1)  # sure here, doubtful there
    targets[:, :, :2] = torch.tensor([0.62, 0.33, 0.05]).view(1, 3, 1, 1)
    scores = targets.log().requires_grad_()
    at_them = soft_loss(scores, targets)
    at_them.backward()
    assert scores.grad is not None and scores.grad.abs().max() < 1e-6
    assert at_them.item() == pytest.approx(-(targets * targets.log()).sum(1).mean().item(), abs=1e-5)
    for _ in range(10):
        assert soft_loss(targets.log() + 0.1 * torch.randn(2, 3, 5, 5), targets) > at_them
    sure = one_hot(torch.randint(0, 3, (2, 1, 5, 5)), 3)
    half = torch.cat([sure[:1], torch.full_like(sure[1:], 1 / 3)])  # the second example is not sure
    scores = torch.randn(2, 3, 5, 5)
    assert soft_loss(scores, half, 0.5).item() == pytest.approx(
        soft_loss(scores[:1], sure[:1]).item(), rel=1e-5
    )


def test_the_dense_self_stays_uncut_and_has_its_share() -> None:
    trainer, teacher, network = make(dense_self=1.0)
    trainer.train(2)
    weak = trainer.batches.batch(0)["weak"]
    before = teacher.targets(trainer.forward, weak)
    teacher.before_first_cut()
    graph = trace(network, EXAMPLE)
    apply_cut(network, graph, Cut.of({graph.prunable[0].name: [0]}), trainer.optimizer, copies=teacher.copies)
    trainer.train(3)
    assert torch.allclose(teacher.targets(trainer.forward, weak), before, atol=1e-6)


def test_what_it_remembers_is_put_back_in_place(tmp_path: Path) -> None:
    trainer, teacher, _ = make(dense_self=0.5)
    teacher.before_first_cut()
    trainer.train(2)
    state = teacher.state(copy=True)
    trainer.train(2)
    _, twin, _ = make(dense_self=0.5)
    twin.before_first_cut()
    twin.put(state)
    assert twin.steps == 2 and state.tensors.keys() == twin.state().tensors.keys()
    for name, tensor in twin.state().tensors.items():
        assert torch.equal(tensor, state.tensors[name])
    assert not all(torch.equal(t, state.tensors[n]) for n, t in teacher.state().tensors.items())


def test_unlabelled_windows_teach() -> None:
    """Where the labelled images say nothing of a shift of intensity, those without labels do."""

    def error(weight: float) -> float:
        trainer, teacher, network = make(weight=weight, decay=0.9)
        trainer.train(60)
        batch = trainer.batches.batch(0)
        found: Tensor = teacher.trained(network)(batch["weak"]).softmax(1)[:, 1:]
        return float((found - batch["label"]).abs().mean())

    assert error(1.0) < error(0.0)


def wild(foreground: float | None, veto: float = 3.0) -> tuple[Trainer, MeanTeacher]:
    """A teacher that finds all of every window to be foreground."""
    trainer, teacher, _ = make(veto=veto)
    teacher.foreground = foreground
    teacher.targets = lambda forward, weak: one_hot(torch.ones_like(weak[:, :1]), 2)  # type: ignore[method-assign]
    return trainer, teacher


def test_a_teacher_that_runs_wild_is_silenced_where_it_stays_so() -> None:
    trainer, teacher = wild(0.3)
    trainer.train(1 + PATIENCE)  # the weight is not whole in the first
    assert teacher.vetoed == -1 and teacher.remarks() == []
    trainer.train(4)
    assert teacher.vetoed == 1 + PATIENCE and teacher.found == 1.0
    assert teacher.remarks() == [
        f"from step {1 + PATIENCE} on scans without labels were not learnt from: the teacher found 100.00% "
        "of them to be foreground, of the labelled ones 30.00% are; label more scans"
    ]
    batch = trainer.batches.batch(0)
    alone = teacher.criterion(trainer.forward(batch["image"]), batch["label"])
    assert teacher.loss(trainer.forward, batch, 0.5).item() == pytest.approx(alone.item())
    again = make()[1]
    again.foreground = 0.3
    again.put(teacher.state(copy=True))
    assert (again.vetoed, again.found, again.remarks()) == (1 + PATIENCE, 1.0, teacher.remarks())


@pytest.mark.parametrize(("foreground", "veto"), [(None, 3.0), (0.34, 3.0), (0.1, 11.0)])
def test_a_teacher_within_its_bounds_or_of_many_labels_is_listened_to(
    foreground: float | None, veto: float
) -> None:
    trainer, teacher = wild(foreground, veto)
    trainer.train(PATIENCE + 5)
    assert teacher.vetoed == -1


class SpoiledOnce(nn.Module):
    """A criterion whose n-th value is not a number."""

    def __init__(self, criterion: nn.Module, number: int) -> None:
        super().__init__()
        self.criterion, self.left = criterion, number

    def forward(self, output: Any, label: Tensor) -> Tensor:
        self.left -= 1
        return self.criterion(output, label) * (math.nan if self.left == 0 else 1.0)


def test_the_teacher_goes_back_with_the_network_where_a_loss_was_not_finite() -> None:
    trainer, teacher, _ = make(decay=0.8, dense_self=0.5)
    twin, expected, _ = make(decay=0.8, dense_self=0.5)
    for one in (teacher, expected):
        one.before_first_cut()
    teacher.criterion = SpoiledOnce(teacher.criterion, 4)
    twin.damping = DAMPING  # from the start: what was learnt before the failure is undone
    trainer.train(6)
    twin.train(6)
    assert trainer.damping == DAMPING and trainer.done == teacher.steps == 6
    wanted = expected.state().tensors
    for name, tensor in teacher.state().tensors.items():
        assert torch.allclose(tensor, wanted[name], atol=1e-6), name


def test_a_cut_that_is_rolled_back_leaves_the_teacher_as_it_was() -> None:
    trainer, teacher, network = make(dense_self=0.5)
    trainer.train(3)
    teacher.before_first_cut()
    graph = trace(network, EXAMPLE)
    before = teacher.state(copy=True).tensors
    then = snapshot(network, graph, trainer.optimizer, teacher.copies)
    cut = Cut.of({group.name: [1] for group in graph.prunable[:3]})
    apply_cut(network, graph, cut, trainer.optimizer, copies=teacher.copies)
    trainer.train(2)
    assert [t.shape for t in teacher.state().tensors.values()] != [t.shape for t in before.values()]
    assert restore(network, trainer.optimizer, then, teacher.copies) is graph
    after = teacher.state().tensors
    assert after.keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert not any(p.requires_grad for p in teacher.average.parameters())
    trainer.train(2)  # and both go on
    assert not all(torch.equal(tensor, before[name]) for name, tensor in teacher.state().tensors.items())


def test_in_bf16_it_learns_as_in_float32_and_its_average_is_float32() -> None:
    losses: dict[str, list[float]] = {}
    for precision in get_args(Precision):
        trainer, teacher, _ = make(precision)
        trainer.train(2)  # the weight of the windows without labels is whole from here on
        losses[precision] = [trainer.train(10), trainer.train(10)]
        kinds = {t.dtype for t in teacher.state().tensors.values() if t.is_floating_point()}
        assert kinds == {torch.float32}
        weak = trainer.batches.batch(0)["weak"]
        assert teacher.targets(trainer.forward, weak).dtype == torch.float32
    assert losses["bf16"][0] > losses["bf16"][1] and losses["bf16"] != losses["f32"]
    assert losses["bf16"] == pytest.approx(losses["f32"], rel=0.1)


def test_when_the_run_has_ended_the_average_has_statistics_of_its_own_windows() -> None:
    trainer, teacher, network = make()
    trainer.steps = 6
    trainer.train(4)
    twin = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trainer.train(2)
    seen = torch.cat([trainer.batch(6)["image"], trainer.batch(6)["weak"]])  # every step has the same windows
    with torch.no_grad():
        convolution = next(m for m in teacher.average.modules() if isinstance(m, nn.Conv2d))
        maps = convolution(seen)
    norm = next(m for m in teacher.average.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_mean is not None and norm.running_var is not None
    assert torch.allclose(norm.running_mean, maps.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var, maps.var((0, 2, 3)), rtol=1e-4)
    assert any(not torch.equal(tensor, twin[name]) for name, tensor in network.state_dict().items())


def test_a_cut_undone_when_no_step_is_left_leaves_statistics_of_the_end() -> None:
    trainer, teacher, network = make()
    trainer.steps = 4
    graph = trace(network, EXAMPLE)
    trainer.train(2)
    before = snapshot(network, graph, trainer.optimizer, teacher.copies)
    trainer.end_if_done()  # there are steps left: nothing
    middle = {name: tensor.clone() for name, tensor in teacher.average.state_dict().items()}
    trainer.train(2)
    restore(network, trainer.optimizer, before, teacher.copies)
    held = teacher.average.state_dict()
    assert all(torch.equal(held[name], middle[name]) for name in held)
    trainer.end_if_done()
    norm = next(m for m in teacher.average.modules() if isinstance(m, nn.BatchNorm2d))
    convolution = next(m for m in teacher.average.modules() if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        maps = convolution(torch.cat([trainer.batch(4)["image"], trainer.batch(4)["weak"]]))
    assert norm.running_mean is not None and torch.allclose(
        norm.running_mean, maps.mean((0, 2, 3)), atol=1e-5
    )


def test_after_a_cut_is_undone_the_average_drops_nothing() -> None:
    """Its batch norms are estimated in training mode: with dropout they would be of other maps."""
    trainer, teacher, network = make()
    graph = attach_dropout(network, trace(network, EXAMPLE), EXAMPLE)
    dropouts = [m for m in network.modules() if isinstance(m, TargetedDropout)]
    teacher = MeanTeacher(network, teacher.criterion, teacher.options, 2)
    for dropout in dropouts:
        dropout.set_rate(torch.full_like(dropout.rate, 0.5))
    teacher.after_step(network, 0.0)  # the rates are among what is averaged
    then = snapshot(network, graph, trainer.optimizer, teacher.copies)
    cut = Cut.of({group.name: [1] for group in graph.prunable[:3]})
    apply_cut(network, graph, cut, trainer.optimizer, copies=teacher.copies)
    restore(network, trainer.optimizer, then, teacher.copies)
    assert dropouts and all(dropout.active for dropout in dropouts)
    theirs = [m for m in teacher.average.modules() if isinstance(m, TargetedDropout)]
    assert theirs and not any(dropout.active for dropout in theirs)


def test_what_lies_beyond_the_images_is_no_want_of_foreground() -> None:
    """Of windows that are mostly padding the teacher finds little, and no less than there is."""
    _, teacher, _ = make()
    teacher.foreground = 0.4
    targets = one_hot((torch.arange(100).view(1, 1, 10, 10) < 10).float(), 2)  # a tenth of the window
    label = torch.zeros(1, 1, 10, 10)
    label[..., 5:, :] = label[..., 5:] = 2  # three quarters lie beyond
    for _ in range(PATIENCE + 5):
        assert not teacher._runs_wild(targets, label, 0.5)
    assert any(teacher._runs_wild(targets, label * 0, 0.5) for _ in range(PATIENCE + 5))


def test_what_was_said_before_it_counted_silences_no_teacher_that_is_right() -> None:
    """In a short run: everything is foreground while its weight rises, and what there is from then on."""
    _, teacher, _ = make()
    teacher.foreground = 0.02
    wild, right = (one_hot((torch.arange(100).view(1, 1, 10, 10) < n).float(), 2) for n in (100, 2))
    label = torch.zeros(1, 1, 10, 10)
    for _ in range(300):
        teacher._runs_wild(wild, label, 0.0)
    assert not any(teacher._runs_wild(right, label, 0.5) for _ in range(300))
    assert any(teacher._runs_wild(wild, label, 0.5) for _ in range(300))
