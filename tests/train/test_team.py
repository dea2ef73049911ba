"""Several processes that train one network do what one does, to rounding."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from stampseg.channels.dropout import TargetedDropout, channel_dropout
from stampseg.channels.graph import Cut
from stampseg.channels.importance import Gathering, importance
from stampseg.channels.trace import trace
from stampseg.core.errors import ConfigError, DataError, TrainingError, WiringError
from stampseg.core.prune_options import PruneOptions
from stampseg.core.target import Target
from stampseg.core.teacher_options import TeacherOptions
from stampseg.core.train_options import TrainOptions
from stampseg.data.share import Share
from stampseg.networks.narrow_layers import narrow_layers
from stampseg.networks.registry import NetworkSpec
from stampseg.networks.unet import UNet
from stampseg.run import processes
from stampseg.run.learner import together
from stampseg.train.learner import Learner
from stampseg.train.loss import make_loss
from stampseg.train.mean_teacher import MeanTeacher
from stampseg.train.shared_layers import prove_shared, shared_layers
from stampseg.train.stamp import stamp
from stampseg.train.team import ALONE, Team
from stampseg.train.trainer import Trainer
from tests.train.teams import in_team, quick_start

TEACHER = TeacherOptions(start=0.0, full=0.1, dense_self=0.5)
pytestmark = pytest.mark.usefixtures("quick_start")
__all__ = ["quick_start"]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_shares_are_the_whole_in_order(size: int, count: int) -> None:
    shares = [list(range(count))[Share(rank, size).rows(count)] for rank in range(size)]
    assert [place for share in shares for place in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


# --- layers ---


def layered() -> nn.Module:
    """Every kind of layer that looks at a whole batch."""
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(4, 20, 1),
        nn.BatchNorm2d(20, momentum=None), nn.Dropout2d(0.3), nn.AlphaDropout(0.2),
        nn.BatchNorm2d(20, affine=False), TargetedDropout(20), nn.BatchNorm2d(20, track_running_stats=False),
        nn.InstanceNorm2d(20, affine=True), nn.Conv2d(20, 2, 1),
    ]  # fmt: skip
    layers[9].set_rate(torch.full((20,), 0.3))  # type: ignore[operator]
    return nn.Sequential(*layers)


def passed(team: Team, rows: int, layout: torch.memory_format) -> dict[str, Tensor]:
    """A pass forwards and backwards, and all that it leaves."""
    network = layered().double().to(memory_format=layout)
    images = torch.randn((rows, 1, 6, 8), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    images = images.to(memory_format=layout)
    torch.manual_seed(2)
    with narrow_layers(), shared_layers(team, rows):
        part = network(team.part(images))
    output = team.output([part], rows)[0]
    loss = (output.softmax(1) * torch.arange(output.numel()).view(output.shape)).std()  # of all rows at once
    loss.backward()
    value = team.add_gradients(network.parameters(), loss.detach())
    gradients = {f"gradient {name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
    left = dict(network.named_buffers()) | {"chance": torch.get_rng_state(), "loss": torch.tensor(value)}
    return {"output": output.detach(), **gradients, **left}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["plain", "last"])
def test_a_pass_in_parts_is_the_pass_of_all(layout: torch.memory_format) -> None:
    expected, found = passed(ALONE, 5, layout), in_team(2, passed, 5, layout)
    assert expected.keys() == found.keys() and sum(name.startswith("gradient") for name in found) == 14
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-12, atol=1e-12, msg=lambda text, n=name: f"{n}: {text}"
        )


def half(team: Team) -> tuple[Tensor, Tensor]:
    norm = nn.BatchNorm2d(3)
    x = torch.randn((4, 3, 5, 5), generator=torch.Generator().manual_seed(1)).bfloat16()
    with shared_layers(team, 4):
        y = norm(team.part(x))
    assert y.dtype == torch.bfloat16
    assert norm.running_mean is not None
    return team.output(y.detach(), 4), norm.running_mean


def test_a_batch_norm_of_half_precision_has_statistics_of_float32() -> None:
    expected, found = half(ALONE), in_team(2, half)
    torch.testing.assert_close(found[0], expected[0], rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-6, atol=1e-6)


def windows(team: Team, func: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
    """Two windows of each of three images, dropped along."""
    x = torch.arange(36.0, dtype=torch.float64).view(6, 6) + 1
    torch.manual_seed(3)
    own = x[2 * team.share.rows(3).start : 2 * team.share.rows(3).stop]
    with shared_layers(team, 3):
        dropped = func(own, torch.full((6,), 0.5)) if func is channel_dropout else func(own, 0.5, True)
    return team.output(dropped, 6) if team.size == 1 else team._joined(dropped, [2, 4]), torch.get_rng_state()


@pytest.mark.parametrize(
    "func", [F.dropout, F.alpha_dropout, channel_dropout], ids=lambda func: func.__name__
)
def test_windows_of_an_image_stay_with_it(func: Callable[..., Tensor]) -> None:
    expected, found = windows(ALONE, func), in_team(2, windows, func)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert (expected[0] != torch.arange(36.0).view(6, 6) + 1).any()


def badly_dropped(team: Team) -> None:
    with shared_layers(team, 4):
        F.dropout(torch.ones(3, 5), 0.5, True)


def test_what_is_no_row_of_the_batch_is_not_dropped_wrongly() -> None:
    with pytest.raises(
        WiringError, match=r"shape \(3, 5\) whose first axis is not that of the batch \(2 here\)"
    ):
        in_team(2, badly_dropped)


# --- networks of others ---


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0) if self.training else x


class Drawn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


def proven(team: Team, network: nn.Module) -> None:
    team.draw_alike()
    before, chance = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    prove_shared(network, NetworkSpec(name="my.Net", arguments={}, example_shape=(1, 1, 6, 8)), team)
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("layer", [Mean, Drawn])
def test_a_network_that_cannot_be_shared_out_is_refused(layer: type[nn.Module]) -> None:
    with pytest.raises(
        ConfigError, match=r"`devices` 2: my.Net looks at the images of a batch together, or draws"
    ):
        in_team(2, proven, layer())
    proven(ALONE, layer())


def test_a_network_of_known_layers_is_proven() -> None:
    in_team(3, proven, layered())


# --- a run ---


class Pictures:
    """Other discs in every step; each process makes its rows."""

    def __init__(self, share: Share, dtype: torch.dtype, taught: bool = False) -> None:
        self.share, self.dtype, self.taught = share, dtype, taught

    def _labelled(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng(step)
        places = np.indices((16, 16))[None] - rng.uniform(5, 11, (5, 2, 1, 1))
        label = ((places**2).sum(1) < 16).astype(np.int64) + ((places**2).sum(1) < 5)
        image = label + rng.normal(0, 0.3, label.shape)
        images = torch.from_numpy(image[:, None]).to(self.dtype)
        return {"image": images, "label": torch.from_numpy(label[:, None])}

    def _whole(self, step: int) -> dict[str, Tensor]:
        whole = self._labelled(step)
        if self.taught:
            weak = self._labelled(step + 1000)["image"][:4]
            whole |= {"weak": weak, "strong": weak * 1.5}
        return whole

    def batch(self, step: int) -> dict[str, Tensor]:
        return {name: value[self.share.rows(len(value))] for name, value in self._whole(step).items()}

    def scoring_batches(self, count: int | None = None) -> list[dict[str, Tensor]]:
        return [self._labelled(step) for step in range(3)]


def pruned(
    team: Team, dtype: torch.dtype, criterion: Any, scoring: str, taught: bool = False
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The weights after a run with six cuts and dropout, and the cuts."""
    torch.manual_seed(0)
    # activations before norms: a bias right before a norm has a gradient of rounding alone
    network = UNet(2, 1, 3, 4, [(2, 2)] * 2, order="activation-norm").to(dtype)
    graph = trace(network, torch.zeros((1, 1, 16, 16), dtype=dtype))
    # AdamW makes whole steps of gradients that are next to rounding: in float32 they are not those of others
    optimizer = "adamw" if dtype == torch.float64 else "sgd"
    options = TrainOptions(batch_size=5, optimizer=optimizer, learning_rate=3e-3)  # type: ignore[arg-type]
    objective = MeanTeacher(network, make_loss(options), TEACHER, 3) if taught else None
    batches = Pictures(team.share, dtype, taught)
    trainer = Trainer(network, batches, options, 24, torch.device("cpu"), objective=objective, team=team)
    prune = PruneOptions(target=Target.parse("30%"), rounds=8, ready_dice=0, criterion=criterion, guard=False)
    gathering = None
    if scoring == "training":
        gathering = trainer.watcher = Gathering(network, graph, criterion, 3, team.total)
    live = Learner(
        network=network, optimizer=trainer.optimizer, train=trainer.train,
        score=lambda now: importance(
            network, now, trainer.scoring_batches(None), trainer.objective.criterion, criterion=criterion,
            gathered=gathering.raw(now) if gathering is not None else None,
        ),
        validate=lambda: None, copies=trainer.objective.copies,
        before_first_cut=trainer.objective.before_first_cut,
    )  # fmt: skip
    rounds = list(stamp(together(live, trainer), graph, prune, 24))
    beside = trainer.objective.state().tensors
    return {**network.state_dict(), **beside}, [dict(turn.removed) for turn in rounds]


@pytest.mark.parametrize(
    ("dtype", "criterion", "scoring", "size", "bound"),
    [
        (torch.float64, "taylor", "training", 2, 1e-10),  # signs cancel over the rows of all
        pytest.param(torch.float64, "taylor-abs", "pass", 3, 1e-10, marks=pytest.mark.slow),
        pytest.param(torch.float32, "taylor-abs", "training", 2, 1e-5, marks=pytest.mark.slow),
    ],
)
def test_after_six_cuts_the_weights_are_those_of_one_process(
    dtype: torch.dtype, criterion: str, scoring: str, size: int, bound: float
) -> None:
    weights, cuts = pruned(ALONE, dtype, criterion, scoring)
    found, others = in_team(size, pruned, dtype, criterion, scoring)
    assert others == cuts and sum(map(bool, cuts)) >= 6
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(
            found[name], value, rtol=0, atol=bound, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_a_mean_teacher_teaches_three_processes_as_one() -> None:
    """With boxes mixed between images, the average and the dense self, which give targets in float32."""
    weights, cuts = pruned(ALONE, torch.float64, "taylor-abs", "training", True)
    found, others = in_team(3, pruned, torch.float64, "taylor-abs", "training", True)
    assert others == cuts and sum(map(bool, cuts)) >= 6
    assert found.keys() == weights.keys() and any(name.startswith("dense/") for name in weights)
    for name, value in weights.items():
        torch.testing.assert_close(
            found[name], value, rtol=0, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}"
        )


# --- what goes wrong ---


def apart(team: Team) -> None:
    team.check_alike({"weight": torch.full((3,), float(team.first))})


def test_processes_that_come_apart_are_found_out() -> None:
    with pytest.raises(
        TrainingError, match="the 2 processes are no longer alike; resume the run with `devices` 1"
    ):
        in_team(2, apart)


def refused(team: Team) -> None:
    if not team.first:
        raise DataError("scan.nii: cannot be read; mend it")
    team.add(torch.zeros(3))


def test_the_error_of_another_process_is_that_of_the_run() -> None:
    with pytest.raises(DataError, match=r"^process 2 of 2 \(cpu\): scan.nii: cannot be read; mend it$"):
        in_team(2, refused)


def not_finite(team: Team) -> str:
    batches = Pictures(team.share, torch.float32)
    network = nn.Conv2d(1, 3, 1)
    said: list[str] = []
    options = TrainOptions(batch_size=5)
    trainer = Trainer(network, batches, options, 4, torch.device("cpu"), warn=said.append, team=team)
    batches._whole = lambda step: {  # type: ignore[method-assign]
        "image": torch.full((5, 1, 16, 16), float("inf") if step == 1 and not said else 1.0),
        "label": torch.zeros((5, 1, 16, 16), dtype=torch.long),
    }
    trainer.train(3)
    return said[0]


def test_a_loss_that_is_not_finite_takes_all_of_them_back() -> None:
    assert "the loss of step 2 is nan" in in_team(2, not_finite)


def asked(team: Team) -> tuple[list[Any], float]:
    """Every answer is the first one's, whatever others would say."""
    trainer = Trainer(
        nn.Conv2d(1, 1, 1),
        Pictures(team.share, torch.float32),
        TrainOptions(),
        1,
        torch.device("cpu"),
        team=team,
    )
    mine = team.share.rank
    live = Learner(
        trainer.network, trainer.optimizer, trainer.train, score=lambda graph: {"a": np.full(2, mine)},
        validate=lambda: mine, choose=lambda **given: Cut.of({"a": [given["wanted"] + mine]}),
        latency=lambda: mine,
    )  # fmt: skip
    shared = together(replace(live, times=mine), trainer)  # type: ignore[arg-type]
    assert shared.fit is None and shared.latency is not None
    found = [
        shared.score(None)["a"].tolist(),
        shared.validate(),
        shared.choose(wanted=3).removed,
        shared.latency(),
    ]
    return found, float(team.add(torch.tensor(float(found != [[0, 0], 0, {"a": (3,)}, 0]))))


def test_the_first_process_answers_for_all() -> None:
    found, others = in_team(2, asked)
    assert not others, "both have the same answers"
    assert found[2] == {"a": (3,)}


def test_a_meeting_that_fails_is_for_the_reason_of_another_and_the_next_one_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meet = dist.init_process_group

    def lost(*arguments: Any, **options: Any) -> None:
        meet(*arguments, **options)
        for other in multiprocessing.active_children():  # it has met too, and ends with its reason
            other.join(timeout=60)
        dist.destroy_process_group()
        dist.distributed_c10d._world.group_count = 1  # as torch leaves it where a meeting fails
        raise RuntimeError("Connection closed by peer [127.0.0.1]:44767")

    with monkeypatch.context() as patch:
        patch.setattr(dist, "init_process_group", lost)
        with pytest.raises(DataError, match=r"^process 2 of 2 \(cpu\): scan.nii: cannot be read; mend it$"):
            in_team(2, refused)
    assert "the loss of step 2 is nan" in in_team(2, not_finite)


def test_a_meeting_that_fails_without_a_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no route to host\nmore of it")

    monkeypatch.setattr(dist, "init_process_group", never)
    monkeypatch.setattr(processes, "GRACE", 0.2)
    said = r"^the processes of `devices` 2 cannot reach each other \(no route to host\); leave out `devices`$"
    with pytest.raises(TrainingError, match=said):
        in_team(2, refused)
