"""What `stampseg inspect` finds: sums that match the network, reasons, and every refusal."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.cli.tables import print_inspection
from stampseg.core.errors import ConfigError, ModelFileError
from stampseg.core.network_options import NetworkOptions
from stampseg.doctor.network import Inspection, inspect_network, inspect_target
from stampseg.networks.model_file import Description, save_model
from stampseg.networks.pretrained.nnunet_export import export_nnunet
from stampseg.networks.pretrained.source import fill, open_source
from stampseg.networks.registry import NetworkSpec
from stampseg.networks.skeleton import skeleton
from tests.networks.pretrained.bundles import bundle
from tests.networks.pretrained.nnunet_folders import results

SHAPE = (1, 1, 32, 32)
TWICE = "tests.networks.zoo:Twice"


def small(name: str = "monai.AttentionUnet") -> NetworkSpec:
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]}
    return NetworkSpec(name=name, arguments=arguments, example_shape=SHAPE)


def printed(found: Inspection) -> str:
    text = io.StringIO()
    print_inspection(found, Console(file=text, width=200))
    return text.getvalue()


def write(folder: Path, spec: NetworkSpec) -> tuple[Path, int]:
    """A model file of a cut network, and its parameters."""
    network = spec.build()
    graph = trace(network, torch.zeros(SHAPE))
    group = graph.prunable[0]
    graph = apply_cut(network, graph, Cut.of({group.name: [1, 2]}))
    save_model(
        folder / "model.safetensors", network, Description(network=spec, kept=dict(graph.kept), plan=None)
    )
    return folder / "model.safetensors", sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", ["unet", "monai.UNet", "monai.AttentionUnet", "monai.DynUNet", "monai.VNet"])
def test_the_counts_are_the_networks(name: str) -> None:
    found = inspect_target(name, (1, 2, 32, 32))
    network = NetworkSpec(name=name, arguments=found.arguments, example_shape=found.shape).build().eval()
    assert found.parameters == sum(p.numel() for p in network.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(found.shape))
    assert found.flops == counter.get_total_flops()


@pytest.mark.parametrize("name", ["unet", "monai.UNet", "monai.DynUNet", "monai.SegResNet"])
def test_one_channel_takes_with_it_what_is_said(name: str) -> None:
    found = inspect_target(name, SHAPE)
    spec = NetworkSpec(name=name, arguments=found.arguments, example_shape=found.shape)
    for said in [g for g in found.groups if g.frozen is None][:4]:
        network = spec.build()
        apply_cut(network, trace(network, torch.zeros(SHAPE)), Cut.of({said.name: [0]}))
        assert found.parameters - sum(p.numel() for p in network.parameters()) == said.parameters


@pytest.mark.parametrize("name", ["unet", "monai.AttentionUnet", "monai.UNETR"])
def test_what_is_left_at_the_least_is_what_is_left(name: str) -> None:
    few = {"hidden_size": 24, "mlp_dim": 32, "num_heads": 4} if name == "monai.UNETR" else {}
    found = inspect_target(name, SHAPE, NetworkOptions(arguments=few))
    spec = NetworkSpec(name=name, arguments=found.arguments, example_shape=found.shape)
    network = spec.build()
    graph = trace(network, torch.zeros(SHAPE))
    apply_cut(network, graph, Cut.of({g.name: range(1, g.size) for g in graph.prunable}))
    assert found.least_parameters == sum(p.numel() for p in network.parameters())
    assert found.prunable_share == pytest.approx(1 - found.least_parameters / found.parameters)
    assert {g.name: g.frozen for g in found.groups} == {g.name: g.frozen for g in graph.groups}


def test_a_model_file_and_a_run_folder_are_seen_as_they_are_now(tmp_path: Path) -> None:
    path, parameters = write(tmp_path, small())
    for target in (str(path), str(tmp_path)):
        found = inspect_target(target)
        assert (found.parameters, found.network, found.shape) == (parameters, "monai.AttentionUnet", SHAPE)
        assert found.groups[0].channels == 2


def test_results_of_nnunet_are_seen(tmp_path: Path) -> None:
    pytest.importorskip("dynamic_network_architectures")
    folder = results(tmp_path)
    weights = open_source(folder).weights
    for target in (folder, folder / "fold_0", folder / "fold_0" / "checkpoint_final.pth"):
        found = inspect_target(str(target))
        assert (found.network, found.shape) == ("nnunet.PlainConvUNet", (1, 2, 8, 16, 16))
        assert found.target == str(target)
    distinct = {tensor.data_ptr(): tensor.numel() for tensor in weights.values()}
    assert found.parameters == sum(distinct.values())
    source = open_source(folder)
    assert source.spec is not None and source.plan is not None
    network, graph = skeleton(source.spec)
    fill(network, source)
    group = graph.prunable[0]
    graph = apply_cut(network, graph, Cut.of({group.name: [0]}))
    description = Description(network=source.spec, kept=dict(graph.kept), plan=source.plan)
    pruned = inspect_target(str(export_nnunet(folder, tmp_path / "pruned", network, description)))
    assert pruned.parameters == sum(p.numel() for p in network.parameters()) < found.parameters
    assert {g.name: g.channels for g in pruned.groups}[group.name] == group.size - 1


def test_a_bundle_is_seen(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    for target in (folder, folder / "models" / "model.pt"):
        found = inspect_target(str(target))
        assert (found.network, found.shape) == ("monai.UNet", (1, 1, 32, 32, 16))
        weights = open_source(folder).weights.items()
        learned = [
            t for n, t in weights if not n.endswith(("running_mean", "running_var", "num_batches_tracked"))
        ]
        assert found.groups and found.parameters == sum(tensor.numel() for tensor in learned)
    with pytest.raises(ConfigError, match="a model file has its own shape and arguments"):
        inspect_target(str(folder), SHAPE)
    torch.save({"a": torch.zeros(1)}, folder / "models" / "model.pt")
    with pytest.raises(ModelFileError, match="its weights do not fit UNet"):
        inspect_target(str(folder))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_alone_do_not_name_their_network(tmp_path: Path, suffix: str) -> None:
    state, path = small().build().state_dict(), tmp_path / f"w{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    with pytest.raises(ConfigError, match=r"weights alone do not say which network .*; name the network"):
        inspect_target(str(path))


def test_the_file_of_ones_own_network_wants_trust(tmp_path: Path) -> None:
    spec = NetworkSpec(
        name=TWICE,
        arguments={"spatial_dims": 2, "in_channels": 1, "out_channels": 2},
        example_shape=SHAPE,
    )
    network = spec.build(trusted=(TWICE,))
    kept = dict(trace(network, torch.zeros(SHAPE)).kept)
    save_model(tmp_path / "own.safetensors", network, Description(network=spec, kept=kept, plan=None))
    with pytest.raises(ModelFileError, match=f"`trusted` {TWICE}"):
        inspect_target(str(tmp_path / "own.safetensors"))
    assert inspect_target(str(tmp_path / "own.safetensors"), trusted=(TWICE,)).network == TWICE
    assert inspect_target(TWICE, SHAPE).network == TWICE  # named, and so trusted


def test_json_holds_all_and_the_table_shows_it() -> None:
    found = inspect_target("monai.AttentionUnet", SHAPE, NetworkOptions(arguments={"out_channels": 5}))
    values = json.loads(json.dumps(found.to_json()))
    assert values["parameters"] == found.parameters
    assert values["groups"][-1] == {
        "name": "model.2.conv", "channels": 5, "layers": ["model.2.conv"], "parameters": None, "flops": None,
        "frozen": "the network's output",
    }  # fmt: skip
    text = printed(found)
    assert "one channel that scales all others" in text
    assert f"{found.parameters:,} parameters" in text
    assert f"{found.prunable_share:.1%} of the parameters can go" in text
    assert "monai.AttentionUnet for an input of 1x1x32x32" in text


def test_what_is_not_understood_is_shown() -> None:
    found = inspect_target("monai.UNETR", SHAPE)
    assert found.unknown
    assert f"not understood  {found.unknown[0]}" in printed(found)


def test_nothing_is_computed_or_held_for_a_large_network() -> None:
    found = inspect_target("monai.UNETR")
    assert found.shape == (1, 1, 64, 64, 64)
    assert found.parameters > 80_000_000


@pytest.mark.parametrize(
    ("shape", "classes"), [(SHAPE, 1), (SHAPE, 300), ((1, 5000, 32, 32), 2), ((1, 1, 8192, 8192, 8), 2)]
)
def test_a_named_network_need_not_fit_data(shape: tuple[int, ...], classes: int) -> None:
    """One class, or more classes, channels and voxels than any plan of data may have."""
    found = inspect_target("monai.UNet", shape, NetworkOptions(arguments={"out_channels": classes}))
    assert found.shape == shape and found.groups[-1].channels == classes
    assert found.arguments["in_channels"] == shape[1]


@pytest.mark.parametrize(
    ("target", "shape", "options", "error", "message"),
    [
        ("monai.unett", None, None, ConfigError, "did you mean monai.UNet? Known"),
        ("monai.UNet", (1, 2), None, ConfigError, "`shape` 1x2: expected one example, its channels"),
        ("monai.UNet", (2, 1, 8, 8), None, ConfigError, "`shape` 2x1x8x8: expected one example"),
        ("smp.Unet", (1, 1, 8, 8, 8), None, ConfigError, "smp.Unet is a network for 2D, and the images"),
        ("monai.VNet", SHAPE, NetworkOptions(width=3), ConfigError, "monai.VNet does not take it"),
        ("monai.UNet", SHAPE, NetworkOptions(preset="paper"), ConfigError, "preset paper is of network unet"),
        ("monai.UNet", SHAPE, NetworkOptions(arguments={"out_channels": ""}), ConfigError, "expected a"),
        ("monai.UNet", SHAPE, NetworkOptions(arguments={"out_channels": True}), ConfigError, "expected a"),
        ("absent.safetensors", None, None, ModelFileError, "absent.safetensors: no such file or folder"),
        ("some/where", None, None, ModelFileError, "some/where: no such file or folder"),
    ],
)  # fmt: skip
def test_refusals(target: str, shape, options, error, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=re.escape(message)):
        inspect_target(target, shape, options)


def test_a_model_file_takes_no_shape(tmp_path: Path) -> None:
    path, _ = write(tmp_path, small())
    for shape, options in ((SHAPE, None), (None, NetworkOptions(width=4))):
        with pytest.raises(ConfigError, match="a model file has its own shape and arguments; leave out"):
            inspect_target(str(path), shape, options)


def test_any_module_can_be_looked_at() -> None:
    spec = small()
    network = spec.build()
    found = inspect_network(network, trace(network, torch.zeros(SHAPE)), spec)
    assert found.target == "monai.AttentionUnet"


OWN = """
from torch import nn

class Held(nn.Module):
    def __init__(self, in_channels=1, out_channels=2):
        super().__init__()
        self.one, self.two = nn.Conv2d(in_channels, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)
        self.head, self.later = nn.Conv2d(12, out_channels, 1), nn.Conv2d(12, 2, 1)

    def forward(self, x):
        y = self.one(x)
        return self.head(self.two(y.view(len(x), 12, *x.shape[2:])))
"""


def test_sizes_in_ones_own_code_and_parameters_out_of_use_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "held_nets.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    found = inspect_target("held_nets:Held", (1, 1, 16, 16))
    reasons = {group.name: group.frozen for group in found.groups}
    assert "the network's code holds a size" in (reasons["one"] or "") and reasons["two"] is None
    assert found.unreached == ("later.weight", "later.bias")
