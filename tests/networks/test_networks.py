"""Networks by name: what a plan means for each, what is refused and how, building without memory."""

from __future__ import annotations

import builtins
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.config import Config, dump_config, parse_config
from stampseg.core.data_options import DataOptions
from stampseg.core.errors import ConfigError, WiringError
from stampseg.core.network_options import NetworkOptions
from stampseg.data.plan import Plan
from stampseg.data.planner import make_plan, plan_strides, total_stride
from stampseg.networks.factory import count, fixed_strides, network_spec, sized_spec, spec_of
from stampseg.networks.meta import on_meta
from stampseg.networks.model_file import Description, load_model, save_model
from stampseg.networks.outputs import main_map
from stampseg.networks.registry import NetworkSpec, find_entry, names
from stampseg.networks.skeleton import skeleton
from stampseg.networks.unet import doubling_widths
from tests.data.fingerprints import TABLE, facts
from tests.networks.zoo import declare_torchvision_operations

HERE = __name__
EXTRAS = {"nnunet": "dynamic_network_architectures", "smp": "segmentation_models_pytorch"}
PAIRS = [(name, dims) for name in names() for dims in find_entry(name).dims]


def options(name: str = "unet", **changes: Any) -> NetworkOptions:
    return parse_config({"network": {"name": name, **changes}}, "test").network


def plan_for(chosen: NetworkOptions, dims: int, shape: tuple[int, ...] = (), **data: Any) -> Plan:
    found = facts([shape or (40, 48, 40)[:dims]])
    return make_plan(found, TABLE, DataOptions(**data), chosen.settled.poolings, fixed_strides(chosen, dims))


def need(name: str) -> None:
    package = EXTRAS.get(name.split(".")[0])
    if package is not None:
        if package == EXTRAS["smp"]:
            declare_torchvision_operations()
        pytest.importorskip(package)


# --- from a plan ---


@pytest.mark.parametrize(("name", "dims"), PAIRS)
def test_every_name_gives_a_network_for_a_plan(name: str, dims: int) -> None:
    """Built without memory, traced, its output as large as the patch, no 1x1x1 map for instance norm."""
    need(name)
    chosen = options(name)
    plan = plan_for(chosen, dims)
    spec = network_spec(plan, Config(network=chosen))
    network, graph = skeleton(spec)
    assert graph.prunable
    assert all(p % s == 0 for p, s in zip(plan.patch_size, total_stride(plan.strides), strict=True))
    x = torch.empty(2, *spec.example_shape[1:], device="meta")
    output = main_map(network.to("meta").train()(x), dims)
    assert output.shape == (2, plan.out_channels, *plan.patch_size)
    assert NetworkSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    "name",
    ["unet", "monai.UNet", "monai.DynUNet", "monai.AttentionUnet", "nnunet.PlainConvUNet"],
)
def test_strides_of_thick_slices_reach_the_network(name: str) -> None:
    need(name)
    found = facts([(96, 96, 12)], [(0.5, 0.5, 4.0)])
    plan = make_plan(found, TABLE, DataOptions(), None, fixed_strides(options(name), 3))
    assert any(len(set(step)) > 1 for step in plan.strides)
    network, _ = skeleton(spec_of(plan, options(name)))
    x = torch.empty(1, 1, *plan.patch_size, device="meta")
    assert main_map(network.to("meta").eval()(x), 3).shape[2:] == plan.patch_size


def test_nnunet_gets_kernels_of_one_across_thick_slices() -> None:
    found = facts([(96, 96, 12)], [(0.5, 0.5, 4.0)])
    arguments = spec_of(
        make_plan(found, TABLE, DataOptions(), None), options("nnunet.PlainConvUNet")
    ).arguments
    assert arguments["kernel_sizes"][0] == [3, 3, 1]
    assert arguments["kernel_sizes"][-1] == [3, 3, 3]
    assert arguments["conv_op"] == "torch.nn.modules.conv.Conv3d"


@pytest.mark.parametrize(
    ("name", "changes", "argument", "value"),
    [
        ("unet", {"width": 4}, "widths", 4),
        ("unet", {"preset": "paper"}, "widths", 4),
        ("unet", {"preset": "paper", "width": 6}, "widths", 6),
        ("unet", {"preset": "paper"}, "order", "activation-norm"),
        ("unet", {"preset": "paper"}, "strides", [[2, 2, 2]] * 4),
        ("unet", {"preset": "paper", "arguments": {"norm": "instance"}}, "norm", "instance"),
        ("monai.UNet", {"width": 4, "poolings": 2}, "channels", [4, 8, 16]),
        ("monai.DynUNet", {"width": 200, "poolings": 2}, "filters", [200, 320, 320]),
        ("monai.BasicUNet", {"width": 5}, "features", [5, 5, 10, 20, 40, 5]),
        ("monai.SegResNet", {"width": 12}, "init_filters", 12),
        ("monai.SegResNet", {"width": 12}, "norm", ["group", {"num_groups": 4}]),
        ("monai.UNETR", {"width": 8}, "feature_size", 8),
        ("monai.VNet", {"activation": "relu"}, "act", ["relu", {"inplace": True}]),
        ("monai.DynUNet", {"norm": "batch"}, "norm_name", ["batch", {}]),
        ("nnunet.PlainConvUNet", {"norm": "batch"}, "norm_op", "torch.nn.modules.batchnorm.BatchNorm3d"),
        ("nnunet.PlainConvUNet", {"width": 32, "poolings": 3}, "features_per_stage", [32, 64, 128, 256]),
        ("monai.UNet", {"arguments": {"num_res_units": 0}}, "num_res_units", 0),
        ("monai.UNet", {"arguments": {"channels": (3, 4, 5), "strides": (2, 2)}}, "channels", [3, 4, 5]),
    ],
)
def test_options_become_arguments(name: str, changes: dict[str, Any], argument: str, value: Any) -> None:
    chosen = options(name, **changes)
    found = spec_of(plan_for(chosen, 3), chosen).arguments[argument]
    assert (found["encoder.0.0"] if argument == "widths" else found) == value


@pytest.mark.parametrize(
    ("name", "changes", "strides"),
    [
        ("monai.VNet", {}, 4), ("monai.BasicUNet", {}, 4), ("monai.SegResNet", {}, 3), ("monai.UNETR", {}, 4),
        ("monai.SegResNet", {"arguments": {"blocks_down": [1, 1, 1]}}, 2), ("monai.SwinUNETR", {}, 5),
        ("monai.FlexibleUNet", {}, 5), ("monai.UNet", {"arguments": {"strides": [2, 2, 2, 1]}}, 3),
    ],
)  # fmt: skip
def test_a_fixed_stride_makes_the_patch_a_multiple(name: str, changes: dict, strides: int) -> None:
    chosen = options(name, **changes)
    rng = np.random.default_rng(0)
    for _ in range(20):
        shape = tuple(rng.integers(2**strides, 300, 3).tolist())
        plan = plan_for(chosen, 3, shape)
        assert plan.strides == ((2, 2, 2),) * strides
        assert all(n % 2**strides == 0 and n >= 2 * 2**strides for n in plan.patch_size)
        assert any("the network's own" in note for note in plan.notes)


def test_a_given_patch_is_rounded_up_to_the_fixed_stride() -> None:
    plan = plan_for(options("monai.VNet"), 3, (200, 200, 200), patch_size=(50, 50, 20))
    assert plan.patch_size == (64, 64, 32)
    assert any("rounded up to multiples of the total stride 16 x 16 x 16" in note for note in plan.notes)


# --- what is refused ---


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("monai.VNet", {"width": 8}, "network.width: monai.VNet does not take it; it takes activation"),
        ("monai.VNet", {"norm": "batch"}, "network.norm: monai.VNet does not take it"),
        ("monai.BasicUNet", {"poolings": 3}, "network.poolings: monai.BasicUNet does not take it"),
        ("smp.FPN", {"width": 8}, "it takes none of width, poolings, norm, activation"),
        ("monai.UNet", {"width": 8, "arguments": {"channels": [4, 8]}}, "say the same thing; give one"),
        ("monai.UNet", {"poolings": 2, "arguments": {"strides": [2]}}, "network.poolings and network.arg"),
        ("monai.UNet", {"arguments": {"in_channels": 3}}, "found 3, but the data have 1; leave it out"),
        ("nnunet.PlainConvUNet", {"arguments": {"num_classes": 9}}, "found 9, but the data have 2"),
        (
            "nnunet.PlainConvUNet", {"arguments": {"conv_op": "torch.nn.Conv2d"}},
            "but the data have 'torch.nn.modules.conv.Conv3d'",
        ),
        ("smp.Unet", {}, "network.name: smp.Unet is a network for 2D, and the images are 3D; choose unet or"),
        ("monai.UNet", {"arguments": {"strides": [[2, 2]]}}, "found [2, 2]; expected whole numbers above 0"),
        (f"{HERE}:Own", {"norm": "batch"}, f"network.norm: {HERE}:Own is your own"),
    ],
)  # fmt: skip
def test_options_without_a_meaning_are_refused(name: str, changes: dict, message: str) -> None:
    chosen = options(name, **changes)
    with pytest.raises(ConfigError, match=re.escape(message)):
        spec_of(plan_for(chosen, 3), chosen)


def test_the_same_class_by_another_path_is_no_contradiction() -> None:
    chosen = options("nnunet.PlainConvUNet", arguments={"conv_op": "torch.nn.Conv3d"})
    assert spec_of(plan_for(chosen, 3), chosen).arguments["conv_op"] == "torch.nn.Conv3d"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"name": "monai.UNet", "preset": "paper"},
            "the preset paper is of network unet; monai.UNet has none",
        ),
        ({"arguments": {"a": {1, 2}}}, "arguments are numbers, texts, true, false, null, lists"),
        ({"arguments": {"a": float("nan")}}, "arguments are numbers, texts, true, false, null, lists"),
    ],
)
def test_options_that_never_fit(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        options(**{"name": "unet", **changes})


def test_options_survive_the_run_folder() -> None:
    config = parse_config({"network": {"name": "monai.UNet", "arguments": {"channels": (4, 8)}}}, "test")
    import yaml

    again = parse_config(yaml.safe_load(dump_config(config)), "again")
    assert again.network.arguments == {"channels": [4, 8]}
    assert spec_of(plan_for(again.network, 2), options("unet")).name == "unet"


@pytest.mark.parametrize("name", ["monai.VNet", "monai.SwinUNETR", "monai.UNETR"])
def test_images_far_too_small_are_refused(name: str) -> None:
    total = 32 if name == "monai.SwinUNETR" else 16
    with pytest.raises(
        ConfigError, match=rf"divides the image by {total} x .* 64 x 64 x 12 .*at least {total}"
    ):
        plan_for(options(name), 3, (64, 64, 12))


def test_flat_is_a_unet() -> None:
    chosen = options("monai.UNet")
    spec = spec_of(plan_for(chosen, 2), chosen)
    with pytest.raises(
        ConfigError, match=r"`method` flat is a U-Net, and `network.name` is monai.UNet; leave out one"
    ):
        sized_spec(spec, Config(method="flat"))


@pytest.mark.parametrize("target", ["15%", "flops:25%", "3%"])
def test_a_thin_network_is_the_whole_one_narrowed_by_one_factor(target: str) -> None:
    config = parse_config({"method": "thin", "prune": {"target": target}}, "test")
    spec = network_spec(plan_for(config.network, 2), config)
    thin = sized_spec(spec, config)
    whole, left = doubling_widths(8, len(spec.arguments["strides"])), thin.arguments["widths"]
    shares = {name: width / whole[name] for name, width in left.items()}
    wide = [share for name, share in shares.items() if whole[name] >= 64]
    assert max(wide) - min(wide) < 0.02
    assert all(abs(left[name] - max(1, wide[0] * whole[name])) <= 1 for name in left)
    now, before = count(thin), count(spec)
    place = target.startswith("flops")
    asked = float(target.split(":")[-1].rstrip("%")) / 100
    assert now[place] / before[place] == pytest.approx(asked, rel=0.2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "monai.unet",
            "network 'monai.unet' is not known; did you mean monai.UNet? Known are unet, monai.UNet",
        ),
        ("SwinUNETR", "did you mean monai.SwinUNETR? Known"),
        ("plainconvunet", "did you mean nnunet.PlainConvUNet? Known"),
        ("monai.SegResnett", "did you mean monai.SegResNet? Known"),
        ("zzz", "network 'zzz' is not known; known are unet"),
        ("a b:C", "a network of your own is named package.module:Class"),
        ("no_such_module:Net", "no module named 'no_such_module' in"),
        (
            f"{HERE}:Absent",
            f"{HERE} has no class Absent derived from torch.nn.Module",
        ),
        (
            f"{HERE}:EXTRAS",
            f"{HERE} has no class EXTRAS derived from torch.nn.Module",
        ),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        NetworkSpec(name=name, arguments={}, example_shape=(1, 1, 8, 8)).build(trusted=(name,))


GOOD = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "monai.UNet",
            {**GOOD, "chanels": [1]},
            "does not take the argument 'chanels'; did you mean channels? It",
        ),
        (
            "monai.UNet",
            {**GOOD, "qqq": 1},
            "does not take the argument 'qqq'; it takes spatial_dims, in_channels",
        ),
        (
            "monai.UNet",
            {"spatial_dims": 2},
            "needs the argument 'in_channels'; give it as network.arguments.in_",
        ),
        ("monai.UNet", {**GOOD, "strides": []}, "does not take these arguments: "),
        ("monai.UNet", {**GOOD, "norm": "nonsense"}, "does not take these arguments: "),
        ("monai.VNet", {"in_channels": 3}, "does not take these arguments: "),
        (
            "nnunet.PlainConvUNet",
            {"conv_op": "os.system"},
            "conv_op: found 'os.system'; expected a layer of torch.nn",
        ),
        ("nnunet.PlainConvUNet", {"nonlin": 3}, "nonlin: found 3; expected a layer of torch.nn"),
        ("nnunet.PlainConvUNet", {"norm_op": "torch.nn.functional"}, "expected a layer of torch.nn"),
    ],
)
def test_wrong_arguments(name: str, arguments: dict, message: str) -> None:
    need(name)
    if name.startswith("nnunet"):
        arguments = {**spec_of(plan_for(options(name), 2), options(name)).arguments, **arguments}
    with pytest.raises(ConfigError, match=re.escape(message)):
        NetworkSpec(name=name, arguments=arguments, example_shape=(1, 1, 8, 8)).build()


@pytest.mark.parametrize(("extra", "name"), [("nnunet", "nnunet.PlainConvUNet"), ("smp", "smp.Unet")])
def test_a_missing_package_names_the_extra(extra: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = EXTRAS[extra]

    def absent(module: str, *args: Any) -> Any:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(
        ConfigError, match=re.escape(f'needs the package {package}; pip install "stampseg[{extra}]"')
    ):
        find_entry(name).load()


def test_a_broken_package_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(module: str, *args: Any) -> Any:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ConfigError, match=r"cannot be imported \(RuntimeError: operator torchvision::nms"):
        find_entry("smp.Unet").load()


def test_optional_packages_are_imported_only_when_needed() -> None:
    source = Path(importlib.import_module("stampseg.networks.registry").__file__ or "").parent
    text = "\n".join(path.read_text("utf-8") for path in source.glob("*.py"))
    assert not re.search(r"^\s*(import|from) (monai|segmentation|dynamic)", text, re.MULTILINE)


# --- a user's own ---


class Own(nn.Module):
    """Its constructor names one of the three facts."""

    def __init__(self, out_channels: int, width: int = 3) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, out_channels, 1)
        self.table = torch.arange(4.0)  # neither parameter nor buffer
        self.register_buffer("kernel", torch.full((1,), 2.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).relu()) * self.kernel


def test_its_constructor_gets_what_its_signature_names() -> None:
    chosen = options(f"{HERE}:Own", arguments={"width": 5})
    spec = spec_of(plan_for(chosen, 2), chosen)
    assert spec.arguments == {"out_channels": 2, "width": 5}
    assert count(spec)[0] == 5 * 9 + 5 + 2 * 5 + 2


def test_it_is_refused_where_it_is_not_trusted() -> None:
    spec = NetworkSpec(name="sure_to_fail:Net", arguments={}, example_shape=(1, 1, 8, 8))
    for trusted in ((), ("sure_to_fail",), ("sure_to_fail:Other",)):
        with pytest.raises(
            ConfigError, match=r"would run the code of the module sure_to_fail; .* `trusted` sure_to_fail:Net"
        ):
            spec.build(trusted)


def test_it_is_found_in_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from torch import nn\n\n\nclass Net(nn.Conv2d):\n    def __init__(self):\n"
    code += "        super().__init__(1, 2, 1)\n"
    (tmp_path / "my_own_networks.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    import sys

    before = list(sys.path)
    spec = NetworkSpec(name="my_own_networks:Net", arguments={}, example_shape=(1, 1, 8, 8))
    assert spec.build(trusted=(spec.name,)).out_channels == 2
    assert sys.path == before


def test_a_module_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_written.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    spec = NetworkSpec(name="half_written:Net", arguments={}, example_shape=(1, 1, 8, 8))
    with pytest.raises(
        ConfigError, match=r"importing half_written failed \(ZeroDivisionError: division by zero\)"
    ):
        spec.build(trusted=(spec.name,))


def test_building_on_the_meta_device_keeps_constants_and_the_random_state() -> None:
    state = torch.random.get_rng_state()
    with on_meta():
        network = NetworkSpec(
            name=f"{HERE}:Own", arguments={"out_channels": 2}, example_shape=(1, 1, 8, 8)
        ).build(trusted=(f"{HERE}:Own",))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert {p.device.type for p in network.parameters()} == {"meta"}
    assert network.table.tolist() == [0, 1, 2, 3]
    assert network.kernel.tolist() == [2]


class Fetched(Exception):  # noqa: N818 (no error: what the user asked for)
    """Something was asked of the network."""


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    need("smp.Unet")

    def no_network(*args: Any, **kwargs: Any) -> Any:
        raise Fetched("a file's network must not fetch anything")

    for place in (
        "torch.hub.load_state_dict_from_url",
        "huggingface_hub.hf_hub_download",
        "socket.create_connection",
        "socket.getaddrinfo",
    ):
        monkeypatch.setattr(place, no_network)


ABSENT = object()
WEIGHTS = [
    ("smp.Unet", {"encoder_weights": "imagenet"}),
    ("smp.Unet", {"encoder_weights": ABSENT}),  # the package's own default fetches
    ("smp.FPN", {"encoder_weights": ABSENT}),
    ("monai.FlexibleUNet", {"pretrained": True, "backbone": "efficientnet-b0", "in_channels": 3}),
]


def with_weights(name: str, changes: dict[str, Any]) -> NetworkSpec:
    """A network whose arguments ask for trained weights."""
    arguments = {**spec_of(plan_for(options(name), 2), options(name)).arguments, **changes}
    arguments = {key: value for key, value in arguments.items() if value is not ABSENT}
    return NetworkSpec(name=name, arguments=arguments, example_shape=(1, arguments["in_channels"], 64, 64))


@pytest.mark.parametrize(("name", "changes"), WEIGHTS)
def test_weights_are_fetched_only_for_a_name_that_the_user_gave(
    name: str, changes: dict[str, Any], offline: None, tmp_path: Path
) -> None:
    spec = with_weights(name, changes)
    with on_meta():
        spec.build(trusted=(name,))
    network = spec.build()  # as for a file
    path = tmp_path / "m.safetensors"
    kept = dict(trace(network, torch.zeros(spec.example_shape)).kept)
    save_model(path, network, Description(network=spec, kept=kept, plan=None))
    for trusted in ((), (name,)):
        assert load_model(path, trusted=trusted).description.network == spec
    with pytest.raises(ConfigError, match="must not fetch anything"):
        spec.build(trusted=(name,))


def test_a_network_that_cannot_be_followed_fetches_nothing_either(offline: None) -> None:
    for name, changes in WEIGHTS:
        spec = with_weights(name, changes).model_copy(update={"example_shape": (1, 7, 3, 3)})
        with pytest.raises(WiringError):
            skeleton(spec, trusted=(name,))


def test_an_encoder_of_another_place_is_refused(offline: None) -> None:
    spec = with_weights("smp.Unet", {"encoder_name": "tu-hf-hub:someone/something"})
    with pytest.raises(ConfigError, match=r"encoder_name: found 'tu-hf-hub.*would be fetched; expected an"):
        spec.build()


def test_the_vnet_of_pictures_drops_channels_not_examples() -> None:
    chosen = options("monai.VNet")
    network = spec_of(plan_for(chosen, 2), chosen).build()
    kinds = {type(m) for m in network.modules() if isinstance(m, nn.modules.dropout._DropoutNd)}
    assert kinds == {nn.Dropout2d}
    graph = trace(network, torch.zeros(1, 1, 32, 32))
    assert not graph.unknown
    assert apply_cut(network, graph, graph.cut_to({})) is graph


def test_the_stride_of_a_plan_is_untouched_without_a_fixed_one() -> None:
    plan = plan_for(options(), 3, (64, 64, 64))
    assert plan.strides == plan_strides((64, 64, 64), (1, 1, 1))
    assert builtins.all(fixed_strides(options(name), 2) is None for name in ("unet", "monai.DynUNet"))


def test_a_small_network_is_loaded_without_a_dense_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is real while a file is loaded: no tensor larger than the small network's largest."""
    need("nnunet.PlainConvUNet")
    chosen = options("nnunet.PlainConvUNet", width=32, poolings=3)
    spec = spec_of(plan_for(chosen, 3, (32, 32, 32)), chosen)
    network = spec.build()
    graph = trace(network, torch.zeros(spec.example_shape))
    graph = apply_cut(network, graph, Cut.of({g.name: range(0, g.size * 3 // 4) for g in graph.prunable}))
    path = tmp_path / "small.safetensors"
    save_model(path, network, Description(network=spec, kept=dict(graph.kept), plan=None))
    monkeypatch.setattr("stampseg.networks.model_file._check_answer", lambda *_: None)  # its maps are larger
    own = max(p.numel() * p.element_size() for p in network.parameters())
    dense = max(p.numel() * p.element_size() for p in spec.build().parameters())

    class Largest(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else (out,):
                if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta":
                    self.seen = max(self.seen, tensor.untyped_storage().nbytes())
            return out

    with Largest() as largest:
        load_model(path)
    assert largest.seen <= own < dense / 10
