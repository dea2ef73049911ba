"""Trained networks teach another one: their mean is the target, and nothing of them stays in it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stampseg.core.teacher_options import TeacherOptions
from stampseg.core.train_options import TrainOptions
from stampseg.networks.unet import UNet
from stampseg.train.distillation import Distillation
from stampseg.train.loss import make_loss
from stampseg.train.trainer import Trainer
from tests.train.batches import Discs

CPU = torch.device("cpu")


class Both(Discs):
    """Labelled discs, and the same without labels."""

    def __init__(self) -> None:
        super().__init__()
        self.content |= {"weak": self.content["image"], "strong": self.content["image"]}


def networks(count: int) -> list[UNet]:
    torch.manual_seed(1)
    return [UNet(2, 1, 2, 4, [(2, 2)]) for _ in range(count)]


def plain(image: Tensor, network: nn.Module | None = None) -> Tensor:
    assert network is not None
    return network(image)


def make(student: nn.Module, teachers: list[UNet], **options: object) -> Distillation:
    chosen = TeacherOptions(start=0.0, full=0.01, **options)  # type: ignore[arg-type]
    return Distillation(student, make_loss(TrainOptions()), chosen, 2).taught_by(teachers)


@pytest.mark.parametrize("sharpening", [1.0, 2.0])
def test_the_targets_are_the_mean_of_probabilities(sharpening: float) -> None:
    student, *teachers = networks(4)
    image = torch.randn(3, 1, 16, 16)
    found = make(student, teachers, sharpening=sharpening).targets(plain, image)
    expected = sum(teacher.eval()(image).softmax(1) for teacher in teachers) / 3
    expected = expected**sharpening / (expected**sharpening).sum(1, keepdim=True)
    torch.testing.assert_close(found, expected.detach())


def test_the_student_comes_near_to_its_teachers_which_stay_as_they_are() -> None:
    student, *teachers = networks(3)
    before = [{n: t.clone() for n, t in teacher.state_dict().items()} for teacher in teachers]
    objective = make(student, teachers, weight=3.0, mixing="none")
    trainer = Trainer(student, Both(), TrainOptions(schedule="constant"), 100, CPU, objective)
    image = trainer.batches.content["image"]
    wanted = objective.targets(plain, image)

    def apart() -> float:
        with torch.no_grad():
            return float((student.eval()(image).softmax(1) - wanted).abs().mean())

    first = apart()
    trainer.train(20)
    assert apart() < first
    for teacher, state in zip(teachers, before, strict=True):
        assert not teacher.training
        for name, tensor in teacher.state_dict().items():
            torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)


def test_teachers_are_in_no_copy_no_state_and_no_model() -> None:
    student, *teachers = networks(3)
    objective = make(student, teachers, dense_self=0.5)
    objective.before_first_cut()
    names = {name for name, _ in (*student.named_parameters(), *student.named_buffers())}
    assert set(objective.state().tensors) == {f"average/{name}" for name in names}
    assert list(objective.copies) == [objective.average] == [objective.trained(student)]
    assert not {id(p) for p in objective.average.parameters()} & {
        id(p) for teacher in teachers for p in teacher.parameters()
    }
