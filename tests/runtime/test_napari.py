"""The plug-in for napari, without a screen: what its panel adds is what `predict` writes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tests.cli.command import QUICK, call

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("napari", reason='napari is not installed: pip install ".[napari]" "napari[all]"')
pytest.importorskip("npe2", reason="npe2 is not installed")

from napari.components import ViewerModel
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication
from stampseg_napari.panel import UNPLACED, Done, Panel, told
from stampseg_napari.places import ORDERS, image_of
from stampseg_napari.reading import reader_of

from stampseg import Segmented
from stampseg.core.errors import DataError

MANIFEST = Path(sys.modules["stampseg_napari"].__file__ or "").with_name("napari.yaml")


@pytest.fixture(scope="module", autouse=True)
def application() -> Iterator[QApplication]:
    """One of Qt, for all tests."""
    yield QApplication.instance() or QApplication([])


@pytest.fixture(scope="module")
def exported(volumes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that needs no PyTorch."""
    place = tmp_path_factory.mktemp("exported")
    call("train", volumes, "-o", place / "run", "--validation", "none", *QUICK)
    call("export", place / "run", "-o", place / "model.onnx", "--input", min((volumes / "images").iterdir()))
    return place / "model.onnx"


def pressed(panel: Panel) -> None:
    """Press the button, and wait until it can be pressed again."""
    panel.button.changed.emit(True)
    end = time.monotonic() + 60
    while not panel.button.enabled and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
    assert panel.button.enabled


def opened(viewer: ViewerModel, path: Path) -> None:
    reader = reader_of(str(path))
    assert reader is not None
    for data, options, kind in reader(str(path)):
        assert kind == "image"
        viewer.add_image(data, **options)


def test_the_manifest_is_valid_and_what_it_names_is_there() -> None:
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    commands = {command.id for command in manifest.contributions.commands or ()}
    readers, widgets = manifest.contributions.readers or (), manifest.contributions.widgets or ()
    samples: Any = manifest.contributions.sample_data or ()
    assert {each.command for each in (*readers, *widgets, *samples)} == commands
    assert manifest.name == "stampseg"  # that of the distribution, as napari asks


def test_a_volume_gets_the_mask_that_predict_writes(exported: Path, volumes: Path, tmp_path: Path) -> None:
    scan = min((volumes / "images").iterdir())
    turned = nib.load(scan).as_reoriented(np.array([[1, 1], [0, -1], [2, 1]]))
    nib.save(nib.Nifti1Image(np.asarray(turned.dataobj), turned.affine), tmp_path / "scan.nii.gz")
    call("predict", exported, tmp_path / "scan.nii.gz", "-o", tmp_path / "masks")
    written = nib.load(tmp_path / "masks" / "scan.nii.gz")
    viewer = ViewerModel()
    panel = Panel(viewer)
    opened(viewer, tmp_path / "scan.nii.gz")
    panel.model.value = exported
    pressed(panel)
    image, mask, doubt = viewer.layers
    assert list(panel.layers.choices) == [image]  # the map of doubt is nothing to segment
    assert np.array_equal(mask.data.T, np.asarray(written.dataobj)) and mask.data.any()
    assert mask.name == "scan.nii.gz stampseg" and doubt.name == "scan.nii.gz uncertainty"
    assert np.allclose(mask.scale, image.scale) and np.allclose(doubt.scale, image.scale)
    assert doubt.data.shape == image.data.shape and 0 <= doubt.data.min() <= doubt.data.max() <= 1
    assert UNPLACED not in panel.told.value and " ml" in panel.told.value
    value = int(mask.data.max())
    assert list(mask.features["label"])[list(mask.features["index"]).index(value)] in panel.told.value


def test_a_volume_of_another_reader_is_segmented_with_a_warning(exported: Path, volumes: Path) -> None:
    """Axes as they are taken to be: the same mask where they are so."""
    image = nib.load(min((volumes / "images").iterdir()))
    plain = nib.Nifti1Image(np.asarray(image.dataobj), np.diag([*image.header.get_zooms(), 1.0]))
    viewer = ViewerModel()
    panel = Panel(viewer)
    panel.model.value, panel.confidence.value = exported, False
    viewer.add_image(np.asarray(plain.dataobj).T, name="turned", scale=plain.header.get_zooms()[::-1])
    pressed(panel)
    assert panel.told.value.startswith(UNPLACED)
    viewer.add_image(np.asarray(plain.dataobj), name="as it is", scale=plain.header.get_zooms())
    panel.order.value = "X, Y, Z"
    panel.layers.value = [viewer.layers["as it is"]]
    pressed(panel)
    masks = [viewer.layers[f"{name} stampseg"].data for name in ("turned", "as it is")]
    assert np.array_equal(masks[0].T, masks[1]) and masks[1].any()
    assert [layer.name for layer in viewer.layers if "uncertainty" in layer.name] == []


def test_a_colour_picture_that_is_grey_is_segmented_as_its_file(pictures: Path, tmp_path: Path) -> None:
    call("train", pictures, "-o", tmp_path / "run", "--validation", "none", *QUICK)
    path = min((pictures / "images").iterdir())
    call("predict", tmp_path / "run", path, "-o", tmp_path / "masks")
    written = np.asarray(Image.open(tmp_path / "masks" / path.name))
    assert reader_of(str(path)) is None  # napari opens pictures well
    viewer = ViewerModel()
    panel = Panel(viewer)
    panel.model.value, panel.confidence.value = tmp_path / "run" / "model.safetensors", False
    viewer.add_image(np.asarray(Image.open(path).convert("RGBA")), name="photo")
    pressed(panel)
    mask = viewer.layers["photo stampseg"]
    assert mask.data.shape == written.shape and np.array_equal(mask.data, written)
    assert " pixels" in panel.told.value
    assert list(panel.layers.choices) == [viewer.layers["photo"]]


def test_what_does_not_fit_is_said_in_the_panel(exported: Path, volumes: Path, tmp_path: Path) -> None:
    viewer = ViewerModel()
    panel = Panel(viewer)
    panel.model.value = exported
    pressed(panel)
    assert "no image layer is chosen; choose one for each channel" in panel.told.value
    viewer.add_image(np.zeros((8, 9)), name="flat")
    pressed(panel)
    assert panel.told.value == "flat: 2 axes; this model is for volumes (3 axes)"
    panel.model.value = tmp_path / "gone.onnx"
    pressed(panel)
    assert "gone.onnx" in panel.told.value
    assert [layer.name for layer in viewer.layers] == ["flat"]


def test_figures_are_those_of_regions_where_the_model_has_them() -> None:
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[:4], mask[0] = 1, 2
    expected = {"whole": (0.9, 0.8, 0.95), "core": (0.7, 0.0, 1.0)}  # of too few people for an interval
    found = Segmented(mask, np.eye(4), (1.0, 1.0, 1.0), expected, {}, None, ())
    image = SimpleNamespace(affine=np.eye(4))
    labels, structures = {"whole": 1, "core": 2}, {"whole": (1, 2), "core": (2,)}
    assert told(Done(image, found, (), labels, structures)) == [  # type: ignore[arg-type]
        "whole: 0.40 ml, expected Dice 0.90 (0.80 to 0.95)",
        "core: 0.10 ml, expected Dice 0.70",
    ]


def test_layers_that_lie_otherwise_are_no_channels_of_one_image() -> None:
    data, viewer = np.zeros((4, 5, 6)), ViewerModel()
    at = {"stampseg": {"affine": np.eye(4)}}
    turned = {"stampseg": {"affine": np.diag([-1.0, -1.0, 1.0, 1.0])}}
    first = viewer.add_image(data, name="t1", metadata=at)
    assert len(image_of([first, viewer.add_image(data, metadata=at)], 3, next(iter(ORDERS))).array) == 2
    others = [
        viewer.add_image(data, name="mirrored", metadata=turned),
        viewer.add_image(data, name="plain"),
        viewer.add_image(data, name="moved", metadata=at, translate=(1, 0, 0)),
    ]
    for other in others:
        with pytest.raises(DataError, match=f"{other.name}: not on the grid of t1; resample it first"):
            image_of([first, other], 3, next(iter(ORDERS)))


def test_the_sample_is_the_data_of_the_demo() -> None:
    pytest.importorskip("nilearn", reason="the demo's anatomy comes with nilearn")
    from stampseg_napari.sample import brain_slice

    (image, _, first), (mask, options, second) = brain_slice()
    assert (first, second) == ("image", "labels") and image.shape == mask.shape
    assert set(np.unique(mask)) == set(options["features"]["index"])
    layer = ViewerModel().add_labels(mask, **options)
    assert list(layer.features["label"]) == ["background", "grey matter", "white matter"]
