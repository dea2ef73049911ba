"""The face for one's own training code, first of all as the README shows it."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets import BasicUNet
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import stampseg
from stampseg.channels.dropout import TargetedDropout
from stampseg.core.errors import ConfigError, StampsegError, WiringError
from stampseg.data.plan import Plan
from stampseg.runtime.segmentation import segment
from stampseg.train.watched_batches import Watched

README = Path(__file__).resolve().parents[2] / "README.md"
ARGUMENTS = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "features": [4, 4, 8, 8, 8, 4]}
EXAMPLE = torch.zeros(1, 1, 32, 32)


def discs(count: int = 2) -> list[dict[str, Tensor]]:
    """Batches of bright discs on noise, and their masks."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    batches = []
    for _ in range(count):
        centres = 10 + 12 * torch.rand(4, 2, generator=generator)
        label = torch.stack([((y - a) ** 2 + (x - b) ** 2 < 36).float() for a, b in centres])[:, None]
        batches.append({"image": label + 0.5 * torch.randn(label.shape, generator=generator), "label": label})
    return batches


def loss(output: Tensor, label: Tensor) -> Tensor:
    return nn.functional.cross_entropy(output, label[:, 0].long())


def make() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = BasicUNet(**ARGUMENTS)
    return network, torch.optim.AdamW(network.parameters(), lr=3e-3)


class Training:
    """A user's own training function."""

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.network, self.optimizer, self.steps, self.data = network, optimizer, 0, discs()

    def __call__(self, steps: int) -> float:
        for _ in range(steps):
            batch = self.data[self.steps % 2]
            self.optimizer.zero_grad()
            value = loss(self.network.train()(batch["image"]), batch["label"])
            value.backward()
            self.optimizer.step()
            self.steps += 1
        return float(value.detach())


def test_the_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    written = [line for line in code.splitlines() if line.strip()]
    assert len(written) < 20
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, Any] = {"loader": discs(), "example": EXAMPLE}
    exec(compile(code, "README.md", "exec"), names)
    network, turn = names["network"], names["turn"]
    dense = sum(p.numel() for p in BasicUNet(**names["arguments"]).parameters())
    assert turn.parameters == sum(p.numel() for p in network.parameters()) <= 0.15 * dense
    assert "finish" in capsys.readouterr().out
    again, x = stampseg.load("small.safetensors"), discs()[0]["image"]
    assert torch.equal(again(x), network.eval()(x))
    found = network(x).argmax(1)
    assert (found == discs()[0]["label"][:, 0]).float().mean() > 0.9


def test_score_choose_cut_by_hand() -> None:
    network, optimizer = make()
    train = Training(network, optimizer)
    ema = AveragedModel(network)
    train(3)
    graph = stampseg.trace(network, EXAMPLE)
    before, flops = graph.parameters, graph.flops
    assert before == sum(p.numel() for p in network.parameters())
    pairs = [(b["image"], b["label"]) for b in discs()]
    scores = graph.score(pairs, loss)
    same = graph.score(discs(), loss)
    assert all(np.array_equal(scores[name], same[name]) for name in scores)
    assert {g.name for g in graph.groups if g.frozen is None} == set(scores)
    few = graph.lowest(scores, count=3)
    assert few.count == 3
    graph.cut(few, optimizer, copies=[ema])
    graph.cut(
        graph.lowest(graph.score(discs(), loss), target="flops:60%", minimum_width=2), optimizer, copies=[ema]
    )
    assert graph.flops <= 0.6 * flops
    assert graph.parameters == sum(p.numel() for p in network.parameters()) < before
    assert min(g.size for g in graph.groups) >= 2
    train(2)
    ema.update_parameters(network)


def test_rounds_around_a_training_function() -> None:
    network, optimizer = make()
    train = Training(network, optimizer)
    with_dropout = []
    turns = []
    for turn in stampseg.stamp(
        network, EXAMPLE, optimizer, train, batches=discs(), loss=loss, steps=40, target="30%", rounds=4,
        validate=lambda: 0.5, max_drop=1.0,
    ):  # fmt: skip
        turns.append(turn)
        with_dropout.append(any(isinstance(m, TargetedDropout) for m in network.modules()))
    assert train.steps == turns[-1].steps == 40
    assert [t.event for t in turns].count("cut") >= 3
    assert turns[-1].validation is not None and turns[-1].validation.dice == 0.5
    assert all(with_dropout) and not any(isinstance(m, TargetedDropout) for m in network.modules())
    assert any(max(t.dropout.values(), default=0) > 0.05 for t in turns)
    assert stampseg.trace(network, EXAMPLE).channels.widths() == turns[-1].widths


class Functional(nn.Module):
    """A convolution without modules, in which no dropout can be put."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.2 * torch.randn(8, in_channels, 3, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(nn.functional.conv2d(image, self.weight, padding=1))


def test_where_no_layer_can_drop_channels_it_is_pruned_all_the_same() -> None:
    network = nn.Sequential(Functional(1), Functional(8), Functional(8), nn.Conv2d(8, 2, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    train = Training(network, optimizer)
    before = sum(p.numel() for p in network.parameters())
    for _ in stampseg.stamp(
        network,
        EXAMPLE,
        optimizer,
        train,
        batches=discs(),
        loss=loss,
        steps=12,
        target="50%",
        rounds=2,
        ready_dice=0.0,
    ):
        assert not any(isinstance(module, TargetedDropout) for module in network.modules())
    assert sum(p.numel() for p in network.parameters()) <= 0.5 * before


class Taught(Training):
    """The same with a teacher: half of the batch has labels."""

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
        super().__init__(network, optimizer)
        options = stampseg.TeacherOptions(start=0.0, full=0.1)
        self.teacher, self.total = stampseg.MeanTeacher(network, loss, options, classes=2), steps

    def __call__(self, steps: int) -> float:
        for _ in range(steps):
            image, label = self.data[self.steps % 2].values()
            batch = {"image": image[:2], "label": label[:2], "weak": image[2:], "strong": image[2:] * 1.1}
            self.optimizer.zero_grad()
            forward = lambda x, other=None: (other or self.network.train())(x)  # noqa: E731
            value = self.teacher.loss(forward, batch, self.steps / self.total)
            value.backward()
            self.optimizer.step()
            self.teacher.after_step(self.network, self.steps / self.total)
            self.steps += 1
        return float(value.detach())


def test_a_teacher_is_one_more_argument() -> None:
    network, optimizer = make()
    training = Taught(network, optimizer, 40)
    rounds = list(
        stampseg.stamp(
            network, EXAMPLE, optimizer, training, batches=training.data, loss=loss, steps=40, target="40%",
            teacher=training.teacher, rounds=2, ready_dice=0.0, dropout_base=0.2,
        )
    )  # fmt: skip
    assert rounds[-1].parameters < 0.41 * rounds[0].parameters
    shapes = [tensor.shape for tensor in network.state_dict().values()]
    assert [tensor.shape for tensor in training.teacher.average.state_dict().values()] == shapes
    assert not any(isinstance(m, TargetedDropout) for m in training.teacher.average.modules())
    assert rounds[-1].fit is not None and rounds[-1].fit.lowest > 0.5  # of the average, label by label


def test_the_student_of_a_teacher_is_looked_at_too() -> None:
    """An average needs longer than a round to follow: a cut of which the network has healed is not undone."""
    network, _ = make()
    average = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.zero_()
    watched = Watched(average, discs, loss, network)
    fit = watched.fit()
    assert fit.per_label.keys() == fit.student.keys()
    assert fit.student == Watched(network, discs, loss).fit().per_label
    assert not Watched(network, discs, loss).fit().student


@pytest.mark.parametrize("kind", ["flat", "several", "one map", "shares"])
def test_what_labels_cannot_be_told_apart_is_not_watched(kind: str) -> None:
    """(B, *S) is as good as (B, 1, *S); a map for each structure, one map, or shares of a voxel are not."""
    data = discs()
    image, label = data[0].values()
    of = {
        "flat": label[:, 0].long(),
        "several": label.expand(-1, 2, -1, -1),
        "one map": label,
        "shares": label * 0.3,
    }
    network = nn.Conv2d(1, 1 if kind == "one map" else 2, 3, padding=1)
    watched = Watched(
        network, lambda: [{"image": image, "label": of[kind]}], lambda output, label: output.sum()
    )
    fit = watched.fit()
    assert list(fit.per_label) == (["label 1"] if kind == "flat" else [])
    assert math.isnan(fit.loss) == (kind != "flat")


@pytest.mark.parametrize("unknown", [-100, 255])
def test_labels_that_say_nothing_count_neither_for_nor_against(unknown: int) -> None:
    """What is found where nobody knows is no false positive."""
    image, label = discs()[0].values()
    known = torch.rand(label.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    network = nn.Conv2d(1, 2, 1)
    nn.init.zeros_(network.weight)
    network.bias.data = torch.tensor([0.0, 1.0])  # finds label 1 everywhere
    part = label.long().masked_fill(~known, unknown)
    watched = Watched(network, lambda: [{"image": image, "label": part}], lambda output, label: output.sum())
    held = (part == 1).sum() / (part >= 0).logical_and(part < 2).sum()
    assert watched.fit().per_label == {"label 1": pytest.approx(float(2 * held / (1 + held)))}


def test_a_look_leaves_what_a_network_keeps_fit_for_training() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.kept = nn.Conv2d(1, 2, 3, padding=1), {}

        def forward(self, x: Tensor) -> Tensor:
            grid = self.kept.setdefault(x.shape[-1], torch.linspace(0, 1, x.shape[-1]) + x.sum() * 0)
            return self.conv(x) * grid

    image, label = discs()[0].values()
    network = Keeps()
    Watched(network, lambda: [{"image": image, "label": label}], loss).fit()
    network(image).sum().backward()  # no tensor of inference mode is saved for it
    assert network.conv.weight.grad is not None


def test_a_run_that_cuts_nothing_says_why() -> None:
    network, optimizer = make()
    label = torch.zeros_like(EXAMPLE)
    label[..., 3, 3] = 1
    with pytest.warns(UserWarning, match=r"nothing was cut, for next to nothing of label 1 .*ready_dice=0"):
        rounds = list(
            stampseg.stamp(
                network, EXAMPLE, optimizer, lambda steps: 0.0, batches=[(EXAMPLE, label)],
                loss=lambda output, label: output.mean(), steps=20,
            )
        )  # fmt: skip
    assert "cut" not in {turn.event for turn in rounds}


def test_an_abandoned_run_leaves_no_dropout_behind() -> None:
    network, optimizer = make()
    run = stampseg.stamp(
        network, EXAMPLE, optimizer, Training(network, optimizer), batches=discs(), loss=loss, steps=20
    )
    next(run)
    run.close()  # type: ignore[attr-defined]
    assert not any(isinstance(m, TargetedDropout) for m in network.modules())


def _once() -> Iterator[dict[str, Tensor]]:
    yield from discs()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batches": _once()}, "batches can be gone through only once, .* give a list or a DataLoader"),
        ({"target": "dice:0.8"}, "a Dice floor as target needs `validate`"),
        ({"roundz": 3}, "`prune.roundz`: no such option; did you mean `prune.rounds`"),
        ({"target": "many"}, "stampseg.stamp: `prune.target` 'many' is not understood"),
        ({"choose": "smallest"}, "stampseg.stamp: `prune.choose` is of the commands, .* leave it out"),
        ({"steps": 0}, "steps 0; expected a whole number of 1 or more"),
        ({"steps": -5}, "steps -5; expected a whole number"),
        ({"steps": 2.5}, "steps 2.5; expected a whole number"),
        ({"batches": []}, "batches is empty; give at least one batch"),
        (
            {"batches": [EXAMPLE]},
            "a batch is a Tensor; expected a dictionary with image and label, or a pair",
        ),
        ({"batches": [(1, 2)]}, "the image of a batch is a int; expected a tensor"),
        ({"copies": [[EXAMPLE]]}, "`copies` holds a list; expected networks like this one, or dictionaries"),
        ({"scoring": "pass"}, "stampseg.stamp: `prune.scoring` is of the commands, .* leave it out"),
    ],
)
def test_wrong_requests_are_refused(options: dict[str, Any], message: str) -> None:
    network, optimizer = make()
    given = {"batches": discs(), "loss": loss, **options}
    with pytest.raises(ConfigError, match=message):
        next(stampseg.stamp(network, EXAMPLE, optimizer, Training(network, optimizer), **given))


@pytest.mark.parametrize("wrong", ["another", "several", "none", "itself"])
def test_an_optimiser_or_a_copy_that_cannot_be_one_is_refused_before_the_first_step(wrong: str) -> None:
    network, optimizer = make()
    other: Any = {"another": make()[1], "several": [optimizer], "none": None, "itself": optimizer}[wrong]
    copies = [network] if wrong == "itself" else []
    said = {
        "another": "holds none of the network's parameters", "itself": "`copies` holds the network itself",
        "several": "the optimizer is a list", "none": "the optimizer is a NoneType",
    }[wrong]  # fmt: skip
    with pytest.raises((ConfigError, WiringError), match=said):
        stampseg.stamp(network, EXAMPLE, other, pytest.fail, batches=discs(), loss=loss, copies=copies)


def test_a_dice_in_percent_is_refused() -> None:
    network, optimizer = make()
    run = stampseg.stamp(
        network, EXAMPLE, optimizer, Training(network, optimizer), batches=discs(), loss=loss, steps=20,
        validate=lambda: 80.0,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"`validate` gave 80.0; expected a Dice from 0 to 1"):
        list(run)


def test_as_many_batches_rank_as_are_asked_for() -> None:
    network, optimizer = make()
    taken: list[int] = []

    class Counted(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            taken.append(0)
            for batch in list.__iter__(self):
                taken[-1] += 1
                yield batch

    batches = Counted(discs() * 4)
    rounds = stampseg.stamp(
        network, EXAMPLE, optimizer, Training(network, optimizer), batches=batches, loss=loss, steps=8,
        target="60%", rounds=1, guard=False, ready_dice=0, score_batches=3,
    )  # fmt: skip
    assert len([turn for turn in rounds if turn.event == "cut"]) == 1
    assert taken[-1] == 3 < len(batches)


def test_a_batch_of_images_alone_is_refused() -> None:
    network, _ = make()
    with pytest.raises(
        ConfigError, match="a batch holds 1 tensor; expected a dictionary with image and label"
    ):
        stampseg.trace(network, EXAMPLE).score([(discs()[0]["image"],)], loss)


def test_lowest_needs_an_amount() -> None:
    network, _ = make()
    graph = stampseg.trace(network, EXAMPLE)
    with pytest.raises(ConfigError, match="neither count nor target"):
        graph.lowest({})


def test_saving_what_the_arguments_do_not_build_is_refused(tmp_path: Path) -> None:
    network, _ = make()
    graph = stampseg.trace(network, EXAMPLE)
    graph.cut({"conv_0.conv_0.conv": [0]})
    for wrong, message in (
        ({"out_channels": 3}, "cannot be cut to this network: .*; give the name and the arguments"),
        ({"bias": False}, r"cut alike, has .*bias of shape None, this network \(\d+,\); give the name and"),
    ):
        with pytest.raises(WiringError, match=message):
            graph.save(tmp_path / "m.safetensors", "monai.BasicUNet", {**ARGUMENTS, **wrong})
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="no graph; give the round's graph"):
        stampseg.save(tmp_path / "m.safetensors", network, None, "monai.BasicUNet", ARGUMENTS, EXAMPLE.shape)


def plan_for(**changes: Any) -> dict[str, Any]:
    """As `stampseg check --json` prints it for pictures of two classes."""
    plan = {
        "spatial_dims": 2, "in_channels": 1, "label_values": [0, 255], "label_names": ["background", "disc"],
        "orientation": None, "spacing": [1, 1], "crop": "none", "patch_size": [32, 32],
        "normalization": "zscore", "ct": None, "strides": [[2, 2]] * 4,
    }  # fmt: skip
    return plan | changes


@pytest.mark.parametrize("form", ["mapping", "file", "plan"])
def test_with_a_plan_what_was_saved_predicts_files(form: str, tmp_path: Path) -> None:
    network, _ = make()
    plan: Any = plan_for()
    if form == "file":
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps(plan_for()))
    elif form == "plan":
        plan = Plan.model_validate(plan_for())
    graph = stampseg.trace(network, EXAMPLE)
    graph.save(tmp_path / "m.safetensors", "monai.BasicUNet", ARGUMENTS, plan=plan)
    image = np.random.default_rng(0).integers(0, 255, (40, 36)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    (mask,) = segment(
        tmp_path / "m.safetensors", [tmp_path / "a.png"], tmp_path / "out", echo=lambda text: None
    ).masks
    found = np.asarray(Image.open(mask.path))
    assert found.shape == image.shape and set(np.unique(found)) <= {0, 255}


def test_a_plan_of_other_images_is_refused(tmp_path: Path) -> None:
    network, _ = make()
    graph = stampseg.trace(network, EXAMPLE)
    for plan, message in (
        (plan_for(in_channels=2), r"plan: 2D images of 2 channel\(s\), the example has the shape 1x1x"),
        (plan_for(label_values=[0], label_names=["a"]), "plan: .*1 label_values; expected 2 to"),
        (tmp_path / "no.json", r"no\.json: cannot be read"),
    ):
        with pytest.raises(StampsegError, match=message):
            graph.save(tmp_path / "m.safetensors", "monai.BasicUNet", ARGUMENTS, plan=plan)
    assert not list(tmp_path.iterdir())


def test_the_library_has_only_what_it_names() -> None:
    assert not hasattr(stampseg, "nothing")
    for name in stampseg.__all__:
        assert getattr(stampseg, name) is not None
