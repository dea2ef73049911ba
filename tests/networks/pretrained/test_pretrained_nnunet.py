"""Results folders of nnU-Net: opened with their preparation, and written back pruned."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import map_coordinates

from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.core.config import Config
from stampseg.core.errors import DataError, ModelFileError
from stampseg.data.cases import Case, find_dataset
from stampseg.data.plan import Intensity
from stampseg.data.spline import resample_spline
from stampseg.networks.model_file import Description
from stampseg.networks.pretrained.nnunet_architecture import PRUNED
from stampseg.networks.pretrained.nnunet_export import export_nnunet
from stampseg.networks.pretrained.source import fill, open_source
from stampseg.networks.registry import NetworkSpec
from stampseg.networks.skeleton import skeleton
from stampseg.run.from_trained import adapted
from stampseg.run.survey import survey
from stampseg.runtime.notices import not_mirrored
from stampseg.runtime.torch_scorer import predict_case
from tests.networks.pretrained.nnunet_folders import ARCHITECTURE, Change, results

pytest.importorskip("dynamic_network_architectures")

OLD = {
    "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 4, "unet_max_num_features": 6,
    "n_conv_per_stage_encoder": [2, 2, 2], "n_conv_per_stage_decoder": [2, 2],
    "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2]], "conv_kernel_sizes": [[3, 3, 3]] * 3,
    "num_pool_per_axis": [1, 2, 2],
}  # fmt: skip


def scan(place: Path, seed: int = 0) -> Case:
    """Two channels on an oblique, anisotropic grid."""
    rng, files = np.random.default_rng(seed), []
    affine = np.array([[0, 0.9, 0, 3], [-1.1, 0, 0, 5], [0, 0, 2.2, 1], [0, 0, 0, 1]])
    for channel in range(2):
        values = rng.normal(100, 50, (19, 17, 11)).astype(np.float32)
        values[:2] = 0
        files.append(place / f"case_000{channel}.nii.gz")
        nib.save(nib.Nifti1Image(values, affine), files[-1])
    return Case("case", "case", tuple(files), None)


NEVER_MIRRORED = {"inference_allowed_mirroring_axes": None}


def opened(folder: Path) -> tuple[Any, Any, Any]:
    source = open_source(folder)
    assert source.spec is not None
    network, graph = skeleton(source.spec, source.kept)
    fill(network, source)
    return source, network.eval(), graph


def test_the_plan_says_what_nnunet_does(tmp_path: Path) -> None:
    folder = results(tmp_path)
    for path in (folder, folder / "fold_0", folder / "fold_0" / "checkpoint_final.pth"):
        source = open_source(path)
        plan = source.plan
        assert plan is not None and source.kind == "nnU-Net results" and source.path == path
        # XYZ -> ZYX -> transposed by (1, 0, 2): y, z, x
        assert (plan.orientation, plan.axes, plan.spacing) == ("file", (1, 2, 0), (2.0, 1.0, 1.5))
        assert (plan.patch_size, plan.crop, plan.convention) == ((8, 16, 16), "nonzero", "nnunet")
        assert plan.normalizations == ("mean-std-mask", "ct")
        assert plan.ct == (None, Intensity(low=-20, high=300, mean=90, std=40))
        assert (plan.label_values, plan.label_names) == ((0, 1, 2), ("background", "organ", "tumour"))
        assert plan.strides == ((1, 2, 2), (2, 2, 2))
        assert (plan.channel_names, plan.mirror_axes) == (("T1", "CT"), (0, 1))
        assert source.spec is not None and source.spec.arguments["deep_supervision"] is True


def test_a_network_that_was_never_mirrored(tmp_path: Path) -> None:
    folder = results(tmp_path, lambda plans, dataset, checkpoint: checkpoint.update(NEVER_MIRRORED))
    plan = open_source(folder).plan
    assert plan is not None and plan.mirror_axes == ()
    assert not_mirrored(plan, False) == []
    (told,) = not_mirrored(plan, True)
    assert "trained without mirrored views: `mirror` does nothing" in told


@pytest.mark.parametrize("axes", ["ab", (0, 3), (-1,), (0.5,), 2])
def test_mirrored_axes_that_cannot_be(axes: object, tmp_path: Path) -> None:
    def change(plans: Any, dataset: Any, checkpoint: Any) -> None:
        checkpoint["inference_allowed_mirroring_axes"] = axes

    message = (
        r"checkpoint_final\.pth: its inference_allowed_mirroring_axes are .*; expected axes from 0 to 2, or"
    )
    with pytest.raises(ModelFileError, match=message):
        open_source(results(tmp_path, change))


def test_a_checkpoint_is_found_by_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results(tmp_path) / "fold_0")
    for name in ("checkpoint_final.pth", "."):
        assert open_source(Path(name)).kind == "nnU-Net results"


def test_channels_are_brought_into_the_order_of_the_network(tmp_path: Path) -> None:
    source = open_source(results(tmp_path / "results"))
    for number in range(2):
        for name in ("CT", "T1", "seg"):
            place = tmp_path / "data" / f"p{number}" / f"p{number}_{name}.nii.gz"
            place.parent.mkdir(parents=True, exist_ok=True)
            values = np.zeros((24, 24, 12), np.uint8)
            values[5:12, 5:12, 3:8] = 1
            if name != "seg":
                values = 50 * values + len(name) * number + np.arange(12, dtype=np.uint8)
            nib.save(nib.Nifti1Image(values, np.eye(4)), place)
    dataset = find_dataset(tmp_path / "data")
    assert dataset.channel_names == ("CT", "T1")
    seen = survey(dataset, adapted(Config(), source), source)
    (image, *_) = seen.split.training
    assert [path.name[3:5] for path in image.images] == ["T1", "CT"]
    assert seen.fingerprint.channel_names == seen.plan.channel_names == ("T1", "CT")
    for place in (tmp_path / "data").rglob("*_T1.nii.gz"):
        place.rename(place.with_name(place.name.replace("T1", "T2")))
    other = find_dataset(tmp_path / "data")
    with pytest.raises(DataError, match=r"data: channels CT, T2, those of .*results.* are T1, CT; expected"):
        survey(other, adapted(Config(), source), source)


def test_other_configurations_readers_and_trainers(tmp_path: Path) -> None:
    def change(plans: Any, dataset: Any, checkpoint: Any) -> None:
        checkpoint["init_args"]["configuration"] = "3d_small"
        checkpoint["trainer_name"] = "nnUNetTrainerNoDeepSupervision"
        plans["image_reader_writer"] = "NibabelIOWithReorient"
        plans["configurations"]["3d_fullres"]["normalization_schemes"] = [
            "NoNormalization",
            "RescaleTo01Normalization",
        ]

    source = open_source(results(tmp_path, change))
    assert source.plan is not None and source.spec is not None
    assert (source.plan.spacing, source.plan.orientation) == ((3.0, 2.0, 2.0), "RAS")
    assert source.plan.normalizations == ("ct", "min-max")
    assert source.spec.arguments["deep_supervision"] is False


USUAL = {"is_seg": False, "order_z": 0, "force_separate_z": None}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"resampling_fn_data_kwargs": {**USUAL, "order": 3}}, []),
        ({"resampling_fn_probabilities_kwargs": {**USUAL, "order": 1}}, []),
        ({"resampling_fn_data_kwargs": {**USUAL, "order": 1}}, ["images were resampled with order 1; here"]),
        (
            {"resampling_fn_data_kwargs": {**USUAL, "order": 3, "force_separate_z": True, "order_z": 1}},
            ["images were resampled with force_separate_z True, order_z 1; here by a cubic spline"],
        ),
        (
            {"resampling_fn_data_kwargs": {**USUAL, "order": 3, "force_separate_z": False}},
            ["with force_separate_z False"],
        ),
        ({"resampling_fn_data_kwargs": {"order": 3}}, ["with force_separate_z False"]),
        (
            {"resampling_fn_probabilities_kwargs": {**USUAL, "order": 0}},
            ["scores are resampled with order 0; here by a linear spline"],
        ),
        (
            {"resampling_fn_probabilities": "resample_torch_fornnunet",
             "resampling_fn_probabilities_kwargs": {"mode": "linear"}},
            ["scores are resampled by resample_torch_fornnunet; here by a linear spline"],
        ),
        (
            {"resampling_fn_data": "no_resampling_hack", "resampling_fn_data_kwargs": {}},
            ["images were resampled by no_resampling_hack; here by a cubic spline"],
        ),
        ({"resampling_fn_data_kwargs": {**USUAL, "order": 3, "new": 2}}, ["resampled with new 2; here"]),
    ],
    ids=str,
)  # fmt: skip
def test_resampling_other_than_by_default_is_told(
    tmp_path: Path, changes: dict[str, Any], told: list[str]
) -> None:
    def change(plans: Any, dataset: Any, checkpoint: Any) -> None:
        plans["configurations"]["3d_fullres"].update(changes)

    notes = [note for note in open_source(results(tmp_path, change)).notes if " resampled " in note]
    assert len(notes) == len(told)
    for note, words in zip(notes, told, strict=True):
        assert words in note


def test_old_plans_give_the_same_architecture(tmp_path: Path) -> None:
    def change(plans: Any, dataset: Any, checkpoint: Any) -> None:
        full = plans["configurations"]["3d_fullres"]
        del full["architecture"]
        full.update(OLD)

    spec = open_source(results(tmp_path, change)).spec
    assert spec is not None and spec.arguments["features_per_stage"] == [4, 6, 6]
    assert spec.build().encoder.output_channels == [4, 6, 6]


@pytest.mark.parametrize("transpose", [[0, 1, 2], [0, 2, 1]])
def test_pictures(tmp_path: Path, transpose: list[int]) -> None:
    """The 2D configuration of pictures, whose rows and columns nnU-Net may exchange."""
    arguments = {
        **ARCHITECTURE["arch_kwargs"], "conv_op": "torch.nn.modules.conv.Conv2d",
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d", "kernel_sizes": [[3, 3]] * 3,
        "strides": [[1, 1], [2, 2], [2, 2]],
    }  # fmt: skip

    def change(plans: Any, dataset: Any, checkpoint: Any) -> None:
        plans["image_reader_writer"], plans["transpose_forward"] = "NaturalImage2DIO", transpose
        full = plans["configurations"]["3d_fullres"]
        full.update(patch_size=[16, 32], spacing=[1.0, 1.0], use_mask_for_norm=[False, False])
        full["architecture"]["arch_kwargs"] = arguments
        data = {"input_channels": 2, "num_classes": 3, "deep_supervision": True}
        spec = NetworkSpec(
            name="nnunet.PlainConvUNet", arguments={**arguments, **data}, example_shape=(1, 2, 16, 32)
        )
        checkpoint["network_weights"] = spec.build().state_dict()

    source, network, _ = opened(results(tmp_path, change))
    assert (source.plan.orientation, source.plan.axes) == (None, tuple(a - 1 for a in transpose[1:]))
    files = []
    for channel in range(2):
        values = np.random.default_rng(channel).integers(1, 255, (20, 37)).astype(np.uint8)
        files.append(tmp_path / f"picture_000{channel}.png")
        Image.fromarray(values).save(files[-1])
    mask = predict_case(network, Case("picture", "picture", tuple(files), None), source.plan, "cpu")
    assert mask.shape == (20, 37)


def break_regions(plans: Any, dataset: Any, checkpoint: Any) -> None:
    dataset["labels"] = {"background": 0, "whole": [1, 2], "core": [2]}


def break_ignore(plans: Any, dataset: Any, checkpoint: Any) -> None:
    dataset["labels"]["ignore"] = 3


def break_cascade(plans: Any, dataset: Any, checkpoint: Any) -> None:
    plans["configurations"]["3d_fullres"]["previous_stage"] = "3d_lowres"


def break_2d(plans: Any, dataset: Any, checkpoint: Any) -> None:
    plans["configurations"]["3d_fullres"]["patch_size"] = [16, 16]


def break_reader(plans: Any, dataset: Any, checkpoint: Any) -> None:
    plans["image_reader_writer"] = "Tiff3DIO"


def break_scheme(plans: Any, dataset: Any, checkpoint: Any) -> None:
    plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["MyNormalization", "CTNormalization"]


def break_network(plans: Any, dataset: Any, checkpoint: Any) -> None:
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "os.system"


def break_configuration(plans: Any, dataset: Any, checkpoint: Any) -> None:
    checkpoint["init_args"]["configuration"] = "4d"


def break_inheritance(plans: Any, dataset: Any, checkpoint: Any) -> None:
    plans["configurations"]["3d_fullres"]["inherits_from"] = "3d_small"


def break_window(plans: Any, dataset: Any, checkpoint: Any) -> None:
    del plans["foreground_intensity_properties_per_channel"]["1"]["std"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (break_regions, r"dataset\.json: its classes are overlapping regions"),
        (break_ignore, r"dataset\.json: has an ignore label"),
        (break_cascade, "second stage of a cascade"),
        (break_2d, "slice by slice.*use a 3d configuration"),
        (break_reader, "read by Tiff3DIO; expected one of SimpleITKIO"),
        (break_scheme, "channel 0 is normalised by MyNormalization"),
        (break_network, r"its network is os\.system; expected PlainConvUNet"),
        (break_configuration, "no configuration '4d'; it has 3d_fullres, 3d_small"),
        (break_inheritance, "inherits from itself"),
        (break_window, r"plans\.json: foreground_intensity_properties_per_channel\.1\.std: found nothing"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, change: Change, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        open_source(results(tmp_path, change))


FULL = "configurations.3d_fullres"
ARCH = f"{FULL}.architecture"
FACTS = "foreground_intensity_properties_per_channel"
NEEDED = {
    "plans": (
        "image_reader_writer", "configurations", FULL, f"{FACTS}.1", f"{FACTS}.1.mean", f"{FACTS}.1.std",
        f"{FACTS}.1.percentile_00_5", f"{FACTS}.1.percentile_99_5", f"{FULL}.patch_size", f"{FULL}.spacing",
        f"{FULL}.normalization_schemes", ARCH, f"{ARCH}.network_class_name", f"{ARCH}.arch_kwargs",
        f"{ARCH}.arch_kwargs.strides", FACTS,
    ),
    "dataset": ("channel_names", "labels"),
    "old plans": tuple(f"{FULL}.{key}" for key in OLD if key != "num_pool_per_axis"),
}  # fmt: skip
OPTIONAL = {
    "plans": (
        "transpose_forward", "label_manager", f"{FULL}.use_mask_for_norm", f"{FULL}.resampling_fn_data",
        f"{FULL}.preprocessor_name", f"{FULL}.inherits_from", f"{FULL}.previous_stage",
        f"{FULL}.resampling_fn_data_kwargs", f"{FULL}.resampling_fn_probabilities",
        f"{FULL}.resampling_fn_probabilities_kwargs",
    ),
    "dataset": ("regions_class_order",),
}  # fmt: skip
NOTED = {  # any name will do, and any options, and are told
    "text": (
        f"{FULL}.resampling_fn_data", f"{FULL}.preprocessor_name", f"{FULL}.resampling_fn_probabilities",
    ),
    "mapping": (f"{FULL}.resampling_fn_data_kwargs", f"{FULL}.resampling_fn_probabilities_kwargs"),
}  # fmt: skip
WRONG: dict[str, Any] = {
    "absent": ..., "null": None, "true": True, "number": 3.5, "text": "x", "negative": [-1], "lists": [[[]]],
    "mapping": {"x": [None]}, "huge": [10**30] * 3, "not a number": [float("nan")] * 3,
}  # fmt: skip


def damaged(place: Path, file: str, key: str, value: Any) -> Path:
    """A results folder with one value replaced, or taken out by `...`."""

    def change(plans: Any, dataset: Any, checkpoint: Any) -> None:
        if file == "old plans":
            full = plans["configurations"]["3d_fullres"]
            del full["architecture"]
            full.update(json.loads(json.dumps(OLD)))
        *path, last = key.split(".")
        part = dataset if file == "dataset" else plans
        for name in path:
            part = part[name]
        if value is ...:
            part.pop(last, None)
        else:
            part[last] = value
        checkpoint["network_weights"] = {"a": torch.zeros(1)}

    return results(place, change)


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize("kind", WRONG)
def test_damage_names_file_and_key(tmp_path: Path, kind: str, needed: bool) -> None:
    """Every key that is read: taken out, and with values of every wrong type."""
    number = 0
    for file, keys in (NEEDED if needed else OPTIONAL).items():
        name = "dataset.json" if file == "dataset" else "plans.json"
        for key in keys:
            number += 1
            if kind == "number" and key.startswith(f"{FACTS}.1."):
                continue  # as it should be
            folder = damaged(tmp_path / str(number), file, key, WRONG[kind])
            if (not needed and kind in ("absent", "null")) or key in NOTED.get(kind, ()):
                assert open_source(folder).plan is not None
                continue
            with pytest.raises(ModelFileError) as caught:
                open_source(folder)
            said = str(caught.value)
            assert str(folder) in said
            if kind not in ("text", "mapping"):  # those may be no damage, but something unsupported
                last = "UNet_class_name" if key == ARCH and kind in ("absent", "null") else key.split(".")[-1]
                assert name in said and last in said, (key, said)


NO_DEFAULT = (
    "n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides", "n_conv_per_stage",
    "n_conv_per_stage_decoder",
)  # fmt: skip


@pytest.mark.parametrize("value", [..., None, "x", [-1], {"a": 1}], ids=str)
@pytest.mark.parametrize("key", NO_DEFAULT)
def test_a_damaged_architecture_names_file_and_place(tmp_path: Path, key: str, value: Any) -> None:
    """Arguments that only the network's own class reads."""
    folder = damaged(tmp_path, "plans", f"{ARCH}.arch_kwargs.{key}", value)
    with pytest.raises(
        ModelFileError, match=r"plans\.json: configurations\.3d_fullres\.architecture\.arch_kwargs"
    ):
        open_source(folder)


@pytest.mark.parametrize("value", [None, "x", [], -1, True, 3.5, [1, 2, 3.5], 10**30, 7], ids=str)
def test_damaged_labels_are_named(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ModelFileError, match=r"dataset\.json: (labels|its classes are overlapping)"):
        open_source(damaged(tmp_path, "dataset", "labels.organ", value))


def test_a_damaged_pruned_architecture(tmp_path: Path) -> None:
    folder = results(tmp_path)
    source, network, graph = opened(folder)
    graph = apply_cut(network, graph, Cut.of({graph.prunable[0].name: [1]}))
    description = Description(network=source.spec, kept=dict(graph.kept), plan=source.plan)
    written = export_nnunet(folder, tmp_path / "pruned", network, description)
    whole = json.loads((written / "plans.json").read_text())
    group = next(iter(graph.kept))
    for key, value in (
        ("network", ...), ("network", "os:system"), ("network", [1]), ("arguments", ...), ("arguments", "x"),
        ("arguments", {}), ("kept", ...), ("kept", [1]), ("kept", {"x": [1]}), ("kept", {group: [1, 99]}),
        ("kept", {group: "x"}), ("kept", {group: []}), ("kept", {group: [0.5]}),
    ):  # fmt: skip
        plans = json.loads(json.dumps(whole))
        stated = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
        if value is ...:
            del stated[key]
        else:
            stated[key] = value
        (written / "plans.json").write_text(json.dumps(plans))
        with pytest.raises(
            ModelFileError, match=r"plans\.json: (configurations.*arch_kwargs|its network is os:system)"
        ):
            open_source(written)


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' + "1" * 5000 + "}", '{"a":' * 5000 + "1" + "}" * 5000],
    ids=["deep", "endless digits", "deep mapping"],
)
@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_json_made_to_harm(tmp_path: Path, name: str, text: str) -> None:
    folder = results(tmp_path)
    (folder / name).write_text(text)
    with pytest.raises(ModelFileError, match=f"{name}: cannot be read as JSON"):
        open_source(folder)


def test_folders_that_are_not_whole(tmp_path: Path) -> None:
    folder = results(tmp_path)
    torch.save({"weights": {}}, folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ModelFileError, match="holds no network_weights"):
        open_source(folder)
    (folder / "fold_0" / "checkpoint_final.pth").unlink()
    with pytest.raises(ModelFileError, match="no fold with a checkpoint"):
        open_source(folder)
    (folder / "plans.json").write_text("{")
    with pytest.raises(ModelFileError, match=r"plans\.json: cannot be read as JSON"):
        open_source(folder)


@pytest.mark.parametrize("convention", ["file", "RAS"])
def test_masks_lie_on_the_files_grid(tmp_path: Path, convention: str) -> None:
    reader = "SimpleITKIO" if convention == "file" else "SimpleITKIOWithReorient"
    folder = results(tmp_path, lambda plans, dataset, checkpoint: plans.update(image_reader_writer=reader))
    source, network, _ = opened(folder)
    mask = predict_case(network, scan(tmp_path), source.plan, "cpu")
    assert mask.shape == (19, 17, 11)
    assert not mask[:2].any()  # outside the crop
    assert mask.any()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_what_was_exported_is_what_was_pruned(tmp_path: Path, share: float) -> None:
    """As nnU-Net builds it: the class its plans name, called with what stands there, then the weights."""
    folder = results(tmp_path)
    source, network, graph = opened(folder)
    rng = np.random.default_rng(0)
    removed = {
        g.name: rng.choice(g.size, min(int(share * g.size), g.size - 1), False) for g in graph.prunable
    }
    graph = apply_cut(network, graph, Cut.of(removed))
    description = Description(network=source.spec, kept=dict(graph.kept), plan=source.plan)
    written = export_nnunet(folder, tmp_path / "pruned", network, description)

    plans = json.loads((written / "plans.json").read_text())
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    assert architecture["network_class_name"] == PRUNED
    module, _, name = PRUNED.rpartition(".")
    build = getattr(importlib.import_module(module), name)
    built = build(input_channels=2, num_classes=3, **architecture["arch_kwargs"], deep_supervision=False)
    checkpoint = torch.load(written / "fold_0" / "checkpoint_final.pth", weights_only=True)
    built.load_state_dict(checkpoint["network_weights"])
    assert checkpoint["init_args"]["configuration"] == "3d_fullres"
    assert checkpoint["inference_allowed_mirroring_axes"] == (0, 1)
    x = torch.randn(1, 2, 8, 16, 16)
    with torch.no_grad():
        assert torch.equal(built.eval()(x), network.eval()(x)[0])
    assert sum(p.numel() for p in built.parameters()) == sum(p.numel() for p in network.parameters())

    again, reopened, _ = opened(written)  # and it can be pruned further
    assert again.plan == source.plan and again.kept == graph.kept
    case = scan(tmp_path)
    masks = [predict_case(net, case, source.plan, "cpu") for net in (network, reopened)]
    assert np.array_equal(*masks)


def test_the_script_of_the_how_to_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "prune-a-trained-network.md"
    script = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert len(script.splitlines()) <= 20
    folder = results(tmp_path)
    source, network, graph = opened(folder)
    graph = apply_cut(network, graph, Cut.of({graph.prunable[0].name: [1]}))
    description = Description(network=source.spec, kept=dict(graph.kept), plan=source.plan)
    export_nnunet(folder, tmp_path / "run" / "nnunet", network, description)
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(script, found)
    x = torch.randn(1, 2, 8, 16, 16)
    with torch.no_grad():
        assert torch.equal(found["network"](x), network(x)[0])


def test_an_export_replaces_nothing(tmp_path: Path) -> None:
    folder = results(tmp_path)
    source, network, graph = opened(folder)
    description = Description(network=source.spec, kept=dict(graph.kept), plan=source.plan)
    with pytest.raises(ModelFileError, match="exists and is not empty"):
        export_nnunet(folder, folder, network, description)
    with pytest.raises(ModelFileError, match="is no nnU-Net results folder"):
        export_nnunet(tmp_path, tmp_path / "new", network, description)


def test_linear_without_low_pass_is_sampling_at_the_voxel_centres() -> None:
    values = np.random.default_rng(0).normal(size=(1, 6, 9, 7)).astype(np.float32)
    shape = (9, 5, 7)
    grids = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(shape, values.shape[1:], strict=True)]
    oracle = map_coordinates(
        values[0].astype(float), np.meshgrid(*grids, indexing="ij"), order=1, mode="nearest"
    )
    assert np.allclose(resample_spline(values, shape, None, order=1)[0], oracle, atol=1e-5)
    near = resample_spline(values, (12, 9, 7), 0)[0]
    assert np.array_equal(near[::2], values[0]) and np.array_equal(near[1::2], values[0])
