"""`stampseg prune`, as a user types it, on networks that were trained here a moment before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets import BasicUNet
from PIL import Image
from torch import Tensor, nn

from stampseg.networks.model_file import load_model
from stampseg.run.records import read_rounds
from stampseg.timing.stopwatch import Timing
from tests.cli.command import call
from tests.data.scans import disc, write_pictures
from tests.run.options import SMALL

QUICK = (
    "--steps", "8", "--set", "prune.rounds=2", "--set", "prune.ready_dice=0", "--set", "train.augment=false",
    "--validation", "25%", "--set", "train.missed_label=warn",
)  # fmt: skip
FEATURES = [4, 4, 8, 8, 8, 4]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), map(str, range(8)))


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense run of our own network."""
    output = tmp_path_factory.mktemp("runs") / "dense"
    learning = ("--set", "train.learning_rate=0.01")
    call("train", pictures, "-o", output, "--method", "dense", *QUICK, *SMALL, *learning)
    return output


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def validated(folder: Path) -> set[str]:
    return {entry["id"] for entry in json.loads((folder / "splits.json").read_text())["validation"]}


def test_a_run_of_ours_is_pruned_and_predicts(trained: Path, pictures: Path, tmp_path: Path) -> None:
    before = load_model(trained / "model.safetensors")
    said = call("prune", trained, pictures, "-o", tmp_path / "run", "--target", "40%", *QUICK).output
    assert "as given: validation Dice" in said and "(as given 0." in said
    result, after = result_of(tmp_path / "run"), load_model(tmp_path / "run" / "model.safetensors")
    count = sum(p.numel() for p in before.network.parameters())
    assert result["parameters_before"] == result["parameters_dense"] == count
    assert result["parameters_after"] == sum(p.numel() for p in after.network.parameters()) <= 0.4 * count
    assert 0 < result["validation_dice_before"] <= 1
    assert validated(tmp_path / "run") <= validated(trained), "never on who trained it"
    assert after.plan == before.plan, "images are prepared as they were when it was trained"
    assert after.description.provenance["pruned_from"] == "stampseg model dense"
    first = next(iter(read_rounds(tmp_path / "run")))
    assert first.event == "cut", "a trained network needs no warm-up"
    call("predict", tmp_path / "run", pictures / "images", "-o", tmp_path / "masks")
    assert len(list((tmp_path / "masks").iterdir())) == 8


def test_the_time_before_is_that_of_the_network_as_given(
    trained: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was that of the first cut, since a trained network has no warm-up."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    measured: list[float] = []

    def taken(network: torch.nn.Module, *_: object) -> Timing:
        measured.append(2.0 + sum(p.numel() for p in network.parameters()) / 1000)
        return Timing(0, measured[-1], 0, 0, 1)

    monkeypatch.setattr("stampseg.run.learner.network_latency", taken)
    call("prune", trained, pictures, "-o", tmp_path / "run", "--target-latency", "80%", *QUICK)
    result, rounds = result_of(tmp_path / "run"), read_rounds(tmp_path / "run")
    given = 2 + result["parameters_before"] / 1000
    assert result["latency_before"] == measured[0] == given and measured.count(given) == 1
    assert rounds[0].event == "cut" and rounds[0].latency < given
    assert result["target_reached"] and result["latency_after"] <= 0.8 * given
    assert "measure" in rounds[0].seconds


def test_a_pruned_network_is_pruned_on(trained: Path, pictures: Path, tmp_path: Path) -> None:
    call("prune", trained, pictures, "-o", tmp_path / "one", "--target", "60%", *QUICK)
    call("prune", tmp_path / "one", pictures, "-o", tmp_path / "two", "--target", "50%", *QUICK)
    first, second = result_of(tmp_path / "one"), result_of(tmp_path / "two")
    assert second["parameters_before"] == first["parameters_after"]
    assert second["parameters_after"] <= 0.5 * second["parameters_before"]
    assert second["parameters_dense"] == first["parameters_dense"]
    dense = load_model(trained / "model.safetensors").network.state_dict()
    kept = load_model(tmp_path / "two" / "model.safetensors").description.kept
    assert all(
        max(indices) < len(dense[f"{name}.weight"]) for name, indices in kept.items() if name.endswith("conv")
    )


def test_people_are_those_that_the_run_knows(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_pictures(data, [f"p{number // 3}-IM-{number % 3}" for number in range(12)])
    named = ("--group-regex", "(p.)-IM", "--method", "dense")
    call("train", data, "-o", tmp_path / "run", *named, *QUICK, *SMALL)
    said = call("prune", tmp_path / "run", data, "-o", tmp_path / "pruned", "--target", "60%", *QUICK).output
    assert "counts as one person" not in said
    splits = json.loads((tmp_path / "pruned" / "splits.json").read_text())
    sides = [{entry["id"][:2] for entry in splits[side]} for side in ("training", "validation")]
    assert all(sides) and not sides[0] & sides[1]
    assert {entry["group"] for entry in splits["validation"]} == sides[1]


def test_a_state_dict_of_another_network_is_pruned(pictures: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save({"state_dict": BasicUNet(2, 1, 2, FEATURES).state_dict()}, tmp_path / "weights.pt")
    arguments = ("--network", "monai.BasicUNet", "--set", f"network.arguments={{features: {FEATURES}}}")
    call(
        "prune",
        tmp_path / "weights.pt",
        pictures,
        "-o",
        tmp_path / "run",
        "--target",
        "50%",
        *arguments,
        *QUICK,
    )
    assert (
        result_of(tmp_path / "run")["parameters_after"]
        <= 0.5 * result_of(tmp_path / "run")["parameters_dense"]
    )
    call("predict", tmp_path / "run", pictures / "images" / "0.png", "-o", tmp_path / "masks")
    said = call("inspect", tmp_path / "run").output
    assert "monai.BasicUNet" in said


def test_another_network_is_trained_by_name(pictures: Path, tmp_path: Path) -> None:
    call(
        "train", pictures, "-o", tmp_path / "run", "--target", "50%", "--network", "monai.BasicUNet",
        "--set", f"network.arguments={{features: {FEATURES}}}", *QUICK,
    )  # fmt: skip
    result = result_of(tmp_path / "run")
    assert result["parameters_after"] <= 0.5 * result["parameters_before"]
    rates = [r.dropout for r in read_rounds(tmp_path / "run")]
    assert any(max(rate.values(), default=0) > 0 for rate in rates), "targeted dropout reaches any network"
    call("predict", tmp_path / "run", pictures / "images" / "0.png", "-o", tmp_path / "masks")


OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, out_channels, width=8):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, x):
        return self.head(self.body(x))
"""


def test_a_network_of_ones_own_needs_trust_to_be_loaded(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_nets.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    call("train", pictures, "-o", "run", "--target", "60%", "--network", "my_nets:Net", *QUICK)
    refused = call("predict", "run", pictures / "images" / "0.png", "-o", "masks", code=3).output
    assert "my_nets:Net" in refused and "--trust" in refused
    call("predict", "run", pictures / "images" / "0.png", "-o", "masks", "--trust", "my_nets:Net")
    call("inspect", "run", "--trust", "my_nets:Net")
    call("prune", "run", pictures, "-o", "less", "--target", "60%", *QUICK, "--trust", "my_nets:Net")
    assert result_of(tmp_path / "less")["parameters_after"] < result_of(tmp_path / "run")["parameters_after"]
    assert "--trust" in call("prune", "run", pictures, "-o", "no", *QUICK, code=3).output
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--method", "dense"), 2, "--method dense does not prune; use stamp+ or stamp"),
        (("--network", "monai.BasicUNet"), 2, "brings its own network (unet); leave out network.name"),
        (("--target", "3"), 2, "the smallest network that is left has"),
    ],
)
def test_wrong_requests_leave_nothing_behind(
    trained: Path, pictures: Path, tmp_path: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    said = call("prune", trained, pictures, "-o", tmp_path / "run", *QUICK, *options, code=code).output
    assert message in said.replace("\n", " ")
    assert not (tmp_path / "run").exists()


def test_data_of_another_kind_are_refused(trained: Path, pictures: Path, tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for index in range(4):
        image, mask = disc(np.random.default_rng(index), (40, 48))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / "images" / f"{index}.png")
        Image.fromarray(mask.astype(np.uint8) * 7).save(tmp_path / "masks" / f"{index}.png")
    said = call("prune", trained, tmp_path, "-o", tmp_path / "run", *QUICK, code=3).output
    assert "knows the label values [0, 255], the masks also hold [7]" in said
    weights = tmp_path / "weights.pt"
    torch.save(BasicUNet(2, 1, 2, FEATURES).state_dict(), weights)
    said = call("prune", weights, pictures, "-o", tmp_path / "run", *QUICK, code=2).output
    assert "does not say which network it is of; give --network" in said
    said = call(
        "prune", weights, pictures, "-o", tmp_path / "run", "--network", "unet", *QUICK, code=3
    ).output
    assert "weights.pt" in said and not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["stamp", "stamp+"])
def test_one_rate_of_dropout_is_for_methods_that_do_not_prune(method: str, tmp_path: Path) -> None:
    rate = ("--method", method, "--set", "train.channel_dropout=0.2")
    said = call("train", tmp_path, "-o", tmp_path / "new", *rate, code=2).stderr
    assert f"train.channel_dropout 0.2 with --method {method}: it is for methods that do not prune" in said
    assert not (tmp_path / "new").exists()


def test_a_target_that_does_nothing_is_told(pictures: Path, tmp_path: Path) -> None:
    """A file of options may be shared by methods that prune and methods that do not."""
    dense = ("train", pictures, "-o", tmp_path / "dense", "--method", "dense", *QUICK)
    said = "--target (0.15 of the parameters) does nothing with --method dense, which trains the whole"
    assert said in call(*dense, "--target", "15%").output
    flat = ("train", pictures, "-o", tmp_path / "flat", "--method", "flat", *QUICK)
    assert "does nothing" not in call(*flat, "--target", "15%").output


def test_widths_of_a_run_are_for_a_method_without_its_own(tmp_path: Path) -> None:
    widths = ("--set", f"network.widths_of={tmp_path / 'run'}")
    said = call("train", tmp_path, "-o", tmp_path / "new", *widths, code=2).stderr
    assert "network.widths_of" in said and "stamp+, which has widths of its own; give --method dense" in said
    assert not (tmp_path / "new").exists()


class Depthwise(nn.Module):
    """Ends at one channel: a convolution of one group is then no depthwise one any more."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(in_channels, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.point, self.last = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Conv2d(8, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.depthwise(self.first(x).relu())).relu()
        return self.head(self.last(self.point(x).relu()).relu())


def test_a_depthwise_layer_of_one_channel_is_pruned_on(pictures: Path, tmp_path: Path) -> None:
    name = f"{__name__}:Depthwise"
    call(
        "train", pictures, "-o", tmp_path / "one", "--network", name, "--target", "7%", *QUICK,
        "--set", "prune.rankable=all", "--set", "prune.guard=false",
    )  # fmt: skip
    widths = json.loads((tmp_path / "one" / "result.json").read_text())["widths"]
    assert 1 in widths.values()
    call(
        "prune", tmp_path / "one", pictures, "-o", tmp_path / "two", "--target", "95%", "--trust", name,
        *QUICK, "--set", "prune.rankable=all",
    )  # fmt: skip
