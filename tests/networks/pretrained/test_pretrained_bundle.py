"""MONAI bundles: read as data, never run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from monai.transforms import LoadImage, NormalizeIntensity, ScaleIntensity, ScaleIntensityRange
from PIL import Image

from stampseg.core.config import Config
from stampseg.core.errors import ModelFileError
from stampseg.data.cases import find_dataset
from stampseg.data.intensities import normalise
from stampseg.data.io.readers import read_image
from stampseg.data.plan import Intensity, Plan
from stampseg.data.preprocess import prepare
from stampseg.networks.pretrained.bundle_config import BundleConfig
from stampseg.networks.pretrained.bundle_preprocessing import read_preprocessing
from stampseg.networks.pretrained.source import fill, open_source
from stampseg.networks.skeleton import skeleton
from stampseg.run.from_trained import adapted
from stampseg.run.survey import survey
from tests.cli.command import call
from tests.networks.pretrained.bundles import NETWORK, STEPS, bundle


@pytest.mark.parametrize("name", ["inference.json", "train.yaml", "inference.yml"])
def test_a_bundle_gives_network_weights_and_preparation(tmp_path: Path, name: str) -> None:
    folder = bundle(tmp_path / "spleen", name)
    for path in (folder, folder / "models" / "model.pt"):
        source = open_source(path)
        assert (source.kind, source.path, source.plan) == ("MONAI bundle", path, None)
        assert source.spec is not None and source.spec.name == "monai.UNet"
        assert source.spec.example_shape == (1, 1, 32, 32, 16)
        assert source.data == {"crop": "none", "spacing": (1.5, 1.5, 2.0), "patch_size": (32, 32, 16)}
        assert source.overrides["orientation"] == "RAS"
        assert source.overrides["normalization"] == "ct"
        assert source.overrides["ct"] == (Intensity(low=-57, high=164, mean=-57, std=221),)
        assert source.overrides["label_names"] == ("background", "spleen")
        network, _ = skeleton(source.spec)
        fill(network, source)
        assert not any(parameter.is_meta for parameter in network.parameters())
        assert network.eval()(torch.zeros(1, 1, 32, 32, 16)).shape == (1, 2, 32, 32, 16)


@pytest.mark.parametrize("separator", ["#", "::"])
def test_references_lead_to_references(tmp_path: Path, separator: str) -> None:
    network = {**NETWORK, "channels": f"@sizes{separator}all", "out_channels": "@sizes#classes"}
    sizes = {"all": [4, 8, "@last"], "classes": "@classes"}
    source = open_source(bundle(tmp_path / "b", network_def=network, sizes=sizes, last=16))
    assert source.spec is not None
    assert (source.spec.arguments["channels"], source.spec.arguments["out_channels"]) == ([4, 8, 16], 2)


@pytest.mark.parametrize("value", ["$open('trap', 'w')", "@trap", "@missing", "%file#key", "@loop"])
def test_expressions_are_refused_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = bundle(
        tmp_path / "b", network_def={**NETWORK, "channels": value}, trap="$open('trap', 'w')", loop="@loop"
    )
    with pytest.raises(ModelFileError, match=r"network_def says .*, and nothing of a bundle is run"):
        open_source(folder)
    assert not (tmp_path / "trap").exists()


def bomb(depth: int, width: int = 5) -> dict[str, Any]:
    names = {f"n{i}": [f"@n{i + 1}"] * width for i in range(depth)}
    return {**names, f"n{depth}": 1}


def test_references_that_multiply_are_refused_at_once(tmp_path: Path) -> None:
    start = time.perf_counter()
    network = {**NETWORK, "channels": "@n0"}
    folder = bundle(tmp_path / "b", network_def=network, **bomb(19))
    with pytest.raises(ModelFileError, match=r"inference\.json: its references unfold to more than 100,000"):
        open_source(folder)
    steps = [{"_target_": "Spacingd", "pixdim": "@n0"}]
    folder = bundle(tmp_path / "c", preprocessing=steps, **bomb(19))
    with pytest.raises(ModelFileError, match=r"inference\.json: its references unfold to more than"):
        open_source(folder)
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("inference.json", '{"a":' + "[" * 200_000, "cannot be read"),
        ("inference.json", '{"a":' + "1" * 5000 + "}", "cannot be read"),
        ("inference.json", '{"a":' + "[" * 200 + "]" * 200 + "}", "holds more than 100,000 values or 100"),
        ("inference.json", '{"a":[' + "1," * 200_000 + "1]}", "holds more than 100,000 values or 100 levels"),
        ("inference.yaml", "a: " + "[" * 20_000, "cannot be read"),
        ("inference.yaml", "a: &a [*a]", "holds more than 100,000 values or 100 levels"),
        (
            "inference.yaml",
            "a0: &a0 [1]\n" + "".join(f"a{i + 1}: &a{i + 1} [{f'*a{i},' * 9}]\n" for i in range(20)),
            "holds more than 100,000 values or 100 levels",
        ),
        (
            "inference.yaml",
            "a0: &a0 {b: 1}\n" + "".join(
                f"a{i + 1}: &a{i + 1} {{<<: [{f'*a{i},' * 9}]}}\n" for i in range(20)
            ),
            "its merges unfold to more than 100,000 values",
        ),
        ("inference.yaml", "a: !!timestamp x", "cannot be read"),
        ("inference.yaml", "a: !!python/object/apply:os.system [ls]", "cannot be read"),
    ],
    ids=range(10),
)  # fmt: skip
def test_files_made_to_harm(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / name).write_text(text)
    with pytest.raises(ModelFileError, match=f"{name}: .*{message}"):
        open_source(tmp_path)


def test_merges_and_anchors_of_yaml_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("base: &b {x: 1, y: [1, 2]}\nown: {<<: *b, x: 2}\nagain: *b\n")
    config = BundleConfig.read(path)
    assert config.find("own") == {"x": 2, "y": [1, 2]}
    assert config.resolve("@again#y") == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spatial_dims": "x"}, "spatial_dims 'x'; expected 2 or 3"),
        ({"spatial_dims": 7}, "spatial_dims 7; expected 2 or 3"),
        ({"in_channels": [1]}, r"in_channels \[1\]; expected a whole number above 0"),
        ({"in_channels": -1}, "in_channels -1; expected a whole number above 0"),
        ({"in_channels": 10**12}, "in_channels 10{12}; expected a whole number above 0"),
        ({"in_channels": 10**9}, "example_shape 1x1000000000x32x32x16: expected axes above 0"),
        ({"act": float("nan")}, "network_def cannot be used: .*arguments are numbers"),
    ],
)
def test_a_damaged_network_def(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        open_source(bundle(tmp_path / "b", network_def={**NETWORK, **changes}))


def test_other_networks_need_trust(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", network_def={**NETWORK, "_target_": "scripts.nets.Mine"})
    with pytest.raises(
        ModelFileError, match=r"its network is scripts\.nets\.Mine; known are .*UNet.*`trusted` scripts"
    ):
        open_source(folder)
    spec = open_source(folder, trusted=("scripts.nets:Mine",)).spec
    assert spec is not None and spec.name == "scripts.nets:Mine"
    with pytest.raises(ModelFileError, match="its network is NoSuchNet; known are"):
        open_source(bundle(tmp_path / "c", network_def={**NETWORK, "_target_": "NoSuchNet"}))


SIGMOID = [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]


@pytest.mark.parametrize(
    "changes",
    [
        {"postprocessing": {"_target_": "Compose", "transforms": SIGMOID}},
        {"postprocessing": {"_target_": "Compose", "transforms": "@post"}, "post": SIGMOID},
        {"postprocessing": "@all", "all": {"_target_": "Compose", "transforms": "@post"}, "post": SIGMOID},
        {"postprocessing": {"transforms": [{**SIGMOID[0], "sigmoid": "@own"}]}, "own": True},
        {"postprocessing": None, "postprocessing_transforms": SIGMOID},
    ],
    ids=["list", "reference", "reference of a reference", "value", "transforms alone"],
)
def test_overlapping_outputs_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="overlapping regions"):
        open_source(bundle(tmp_path / "b", **changes))


def test_references_in_a_circle_end(tmp_path: Path) -> None:
    circle = {"postprocessing": {"transforms": "@a"}, "a": ["@b"], "b": ["@a", "@a"]}
    assert open_source(bundle(tmp_path / "b", **circle)).kind == "MONAI bundle"


def test_a_preparation_by_reference_is_read(tmp_path: Path) -> None:
    changes = {"steps": STEPS, "preprocessing": {"_target_": "Compose", "transforms": "@steps"}}
    source = open_source(bundle(tmp_path / "b", **changes))
    assert source.data["spacing"] == (1.5, 1.5, 2.0) and source.overrides["normalization"] == "ct"


def sagittal(place: Path) -> Path:
    """A data set of sagittal slices with one label."""
    affine = np.zeros((4, 4))
    affine[1, 0] = affine[2, 1] = affine[3, 3] = 1
    affine[0, 2] = 4
    for name in ("images", "masks"):
        (place / name).mkdir(parents=True)
        for number in range(2):
            values = np.zeros((64, 64, 16), np.uint8)
            values[20:40, 20:40, 5:10] = 1
            if name == "images":
                values = 50 * values + number + np.arange(16, dtype=np.uint8)
            nib.save(nib.Nifti1Image(values, affine), place / name / f"c{number}.nii.gz")
    return place


def test_a_bundle_of_other_classes_is_refused_by_its_file(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", network_def={**NETWORK, "out_channels": 3})
    arguments = {name: value for name, value in NETWORK.items() if name != "_target_"}
    weights = UNet(**{**arguments, "out_channels": 3}).state_dict()
    torch.save(weights, folder / "models" / "model.pt")
    data, run = sagittal(tmp_path / "data"), tmp_path / "run"
    said = call("prune", folder, data, "-o", run, "--steps", "2", "--validation", "none", code=4).output
    assert f"{folder}: UNet gives scores of shape (3, " in said
    assert "expected 2 classes" in said and "give masks of all the classes it was trained on" in said


def test_a_grid_that_the_bundle_does_not_state_is_planned_along_the_files(tmp_path: Path) -> None:
    """Sagittal slices; without a transform that turns them the network sees them as they lie."""
    steps = [step for step in STEPS if step["_target_"] in ("LoadImaged", "EnsureChannelFirstd")]
    changes = {"preprocessing": {"_target_": "Compose", "transforms": steps}}
    source = open_source(bundle(tmp_path / "b", **changes))
    assert "the bundle resamples nothing: the size of voxels is planned from the data" in source.notes
    assert "the bundle scales no values: how they are scaled is planned from the data" in source.notes
    seen = survey(find_dataset(sagittal(tmp_path / "data")), adapted(Config(), source), source)
    assert (seen.plan.orientation, seen.plan.spacing) == ("file", (1, 1, 4))
    prepared = prepare(read_image(seen.split.training[0].images, 1), seen.plan)
    assert prepared.image.shape[1:] == (64, 64, 16)


def test_folders_that_are_not_whole(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", network_def=None)
    with pytest.raises(ModelFileError, match="holds no network_def"):
        open_source(folder)
    (folder / "configs" / "inference.json").write_text("{")
    with pytest.raises(ModelFileError, match=r"inference\.json: cannot be read"):
        open_source(folder)
    folder = bundle(tmp_path / "c")
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(ModelFileError, match=r"model\.pt: no such file"):
        open_source(folder)


def read(*steps: dict[str, Any], channels: int = 1) -> Any:
    return read_preprocessing(BundleConfig(Path("c.json"), {"x": "$y"}), steps, channels)


def test_what_no_plan_can_say_is_named() -> None:
    found = read(
        {"_target_": "monai.transforms.DivisiblePadd", "k": 32},
        {"_target_": "Orientationd", "axcodes": "@x"},
        {"_target_": "Spacingd", "pixdim": [1.0, 1.0, -1.0]},
        {"_target_": "NormalizeIntensityd"},
        {"_target_": "CropForegroundd", "source_key": "image"},
        {"_target_": "RandFlipd", "_disabled_": True},
        channels=2,
    )
    assert (found.data, found.overrides) == ({"crop": "none"}, {})
    for name, reason in (
        ("DivisiblePadd", "not carried over"), ("Orientationd", "'$y' is not run"),
        ("Spacingd", "keeps the voxel"), ("NormalizeIntensityd", "one mean over all channels"),
    ):  # fmt: skip
        assert any(name in note and reason in note for note in found.notes), (name, found.notes)
    assert not any("RandFlipd" in note for note in found.notes)


def test_orientation_crop_and_several_scalings() -> None:
    found = read(
        {"_target_": "OrientationD", "axcodes": "LPS"},
        {"_target_": "CropForegroundDict", "source_key": "image", "margin": 4},
    )
    assert found.overrides["orientation"] == "LPS" and found.data["crop"] == "nonzero"
    assert any("margin 4" in note for note in found.notes)
    twice = {"_target_": "NormalizeIntensityd", "nonzero": True}
    assert "normalization" not in read(twice, twice).overrides
    scaled = read(twice, {"_target_": "CropForegroundd"})
    assert scaled.data["crop"] == "none"
    assert any("CropForegroundd" in note for note in scaled.notes)


FLAT = {**NETWORK, "spatial_dims": 2}
PIL, ITK = "monai.data.PILReader", "ITKReader"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1, 0)),
        ({"reader": PIL}, (1, 0)),
        ({"reverse_indexing": True}, (1, 0)),
        ({"reader": PIL, "reverse_indexing": False}, None),
        ({"reader": {"_target_": PIL, "reverse_indexing": "@rows"}}, None),
        ({"reader": {"_target_": PIL, "converter": "$lambda image: image.convert('RGB')"}}, (1, 0)),
        ({"reader": [ITK, {"_target_": PIL, "reverse_indexing": True}]}, None),
        ({"reader": ITK}, (1, 0)),
        ({"reader": "WSIReader"}, None),
    ],
    ids=str,
)
def test_pictures_have_the_axes_of_monais_reader(
    tmp_path: Path, options: dict[str, Any], expected: tuple[int, int] | None
) -> None:
    steps = [
        {"_target_": "LoadImaged", "keys": "label", "reverse_indexing": False},
        {"_target_": "LoadImaged", "keys": ["image"], **options},
    ]
    source = open_source(
        bundle(
            tmp_path / "b", network_def=FLAT, rows=False, preprocessing=steps,
            inferer={"_target_": "SlidingWindowInferer", "roi_size": [32, 16]},
        )
    )  # fmt: skip
    assert source.overrides["axes"] == expected and "orientation" not in source.overrides
    assert source.data["patch_size"] == (32, 16)  # along the axes of the network


@pytest.mark.parametrize("reverse", [True, False])
def test_a_picture_is_prepared_as_monai_loads_it(tmp_path: Path, reverse: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 37)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    steps = [
        {"_target_": "LoadImaged", "keys": "image", "reader": "PILReader", "reverse_indexing": reverse},
        {"_target_": "ScaleIntensityd", "keys": "image"},
    ]
    overrides = open_source(bundle(tmp_path / "b", network_def=FLAT, preprocessing=steps)).overrides
    plan = Plan.model_validate(
        {
            "spatial_dims": 2, "in_channels": 1, "spacing": (1, 1), "crop": "none", "patch_size": (32, 16),
            "ct": None, "strides": ((2, 2),), "orientation": None, **overrides,
        }
    )  # fmt: skip
    load = LoadImage(reader="PILReader", ensure_channel_first=True, reverse_indexing=reverse)
    seen = ScaleIntensity()(load(tmp_path / "a.png")).numpy()
    assert np.allclose(prepare(read_image([tmp_path / "a.png"]), plan).image, seen, atol=1e-5)


def test_volumes_keep_their_axes(tmp_path: Path) -> None:
    assert "axes" not in open_source(bundle(tmp_path / "b")).overrides


@pytest.mark.parametrize("image", ["image", "@key", "img"])
def test_transforms_of_labels_are_not_applied_to_images(image: str) -> None:
    steps = [
        {"_target_": "LoadImaged", "keys": [image, "label"]},
        {"_target_": "Orientationd", "keys": ["label"], "axcodes": "LPS"},
        {"_target_": "Orientationd", "keys": [image, "label"], "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": [image], "pixdim": [1.0, 1.0, 2.0]},
        {"_target_": "Spacingd", "keys": "label", "pixdim": [3.0, 3.0, 3.0]},
        {"_target_": "NormalizeIntensityd", "keys": image},
        {"_target_": "ScaleIntensityd", "keys": ["label"]},
    ]
    config = BundleConfig(Path("c.json"), {"key": "image"})
    found = read_preprocessing(config, steps, 1)
    assert found.overrides == {"orientation": "RAS", "normalization": "mean-std", "ct": None}
    assert found.data["spacing"] == (1.0, 1.0, 2.0) and found.notes == []
    assert "normalization" not in read({"_target_": "ScaleIntensityd", "keys": ["label"]}).overrides


def test_transforms_of_channels_that_are_joined_are_of_images() -> None:
    steps = [
        {"_target_": "LoadImaged", "keys": ["t1", "t2", "seg"]},
        {"_target_": "NormalizeIntensityd", "keys": ["t2"], "channel_wise": True},
        {"_target_": "ConcatItemsd", "keys": ["t1", "t2"], "name": "inputs"},
    ]
    assert read(*steps, channels=2).overrides["normalization"] == "mean-std"
    steps[1]["keys"] = ["inputs"]
    assert read(*steps, channels=2).overrides["normalization"] == "mean-std"
    steps[1]["keys"] = ["seg"]
    assert "normalization" not in read(*steps, channels=2).overrides


@pytest.mark.parametrize(
    "values",
    [
        {"a_min": 0, "a_max": 9, "b_min": 1, "b_max": 1},
        {"a_min": 5, "a_max": 5, "b_min": 0, "b_max": 1},
        {"a_min": 0, "a_max": 10**400},
    ],
)
def test_ranges_that_cannot_be_expressed_are_named(values: dict[str, Any]) -> None:
    found = read({"_target_": "ScaleIntensityRanged", "keys": "image", **values})
    assert "normalization" not in found.overrides
    assert any("ScaleIntensityRanged of the bundle is not carried over" in note for note in found.notes)


@pytest.mark.parametrize(
    ("step", "oracle"),
    [
        (
            {"_target_": "ScaleIntensityRanged", "a_min": 20, "a_max": 180, "b_min": -1, "b_max": 1,
             "clip": True},
            ScaleIntensityRange(20, 180, -1, 1, clip=True),
        ),
        (
            {"_target_": "ScaleIntensityRanged", "a_min": 20, "a_max": 180, "b_min": 0.0, "b_max": 1.0},
            ScaleIntensityRange(20, 180, 0, 1),
        ),
        ({"_target_": "NormalizeIntensityd", "nonzero": True}, NormalizeIntensity(nonzero=True)),
        ({"_target_": "NormalizeIntensityd"}, NormalizeIntensity()),
        (
            {"_target_": "NormalizeIntensityd", "subtrahend": 90, "divisor": 40},
            NormalizeIntensity(subtrahend=90, divisor=40),
        ),
        ({"_target_": "ScaleIntensityd"}, ScaleIntensity()),
    ],
)  # fmt: skip
def test_intensities_are_those_of_monai(step: dict[str, Any], oracle: Any) -> None:
    values = np.random.default_rng(0).normal(90, 60, (1, 7, 8, 9)).astype(np.float32)
    values[:, :3] = 0
    changes = read(step).overrides
    plan = Plan.model_validate(
        {
            "spatial_dims": 3, "in_channels": 1, "label_values": (0, 1), "label_names": ("background", "one"),
            "spacing": (1, 1, 1), "crop": "none", "patch_size": (8, 8, 8), "normalization": "zscore",
            "ct": None, "strides": ((2, 2, 2),), **changes,
        }
    )  # fmt: skip
    expected = oracle(torch.from_numpy(values.copy()))
    assert np.allclose(normalise(values, plan), expected.numpy(), atol=1e-4)
