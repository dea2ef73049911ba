"""The module for 3D Slicer against `predict`, in a double of Slicer; it was never run in Slicer itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from stampseg import Segmenter
from stampseg.data.labels.regions import Region
from tests.cli.command import QUICK, call
from tests.runtime import slicer_double
from tests.runtime.slicer_double import Node
from tests.scripts import load_script

MODULE = Path(__file__).resolve().parents[2] / "viewers" / "slicer" / "StampSeg.py"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return slicer_double.install(monkeypatch)


@pytest.fixture
def module(seen: SimpleNamespace) -> ModuleType:
    return load_script(MODULE)


@pytest.fixture(scope="module")
def exported(volumes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that needs no PyTorch."""
    place = tmp_path_factory.mktemp("exported")
    call("train", volumes, "-o", place / "run", "--validation", "none", *QUICK)
    call("export", place / "run", "-o", place / "model.onnx", "--input", min((volumes / "images").iterdir()))
    return place / "model.onnx"


def oblique(path: Path, place: Path) -> Path:
    """The scan, stored with another order of axes, one mirrored, and turned in space."""
    image = nib.load(path)
    turned = image.as_reoriented(np.array([[1, 1], [0, -1], [2, 1]]))
    angle = np.deg2rad(12)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    nib.save(nib.Nifti1Image(np.asarray(turned.dataobj), turn @ turned.affine), place)
    return place


def test_a_volume_gets_the_mask_that_predict_writes(
    module: ModuleType, seen: SimpleNamespace, exported: Path, volumes: Path, tmp_path: Path
) -> None:
    scan = oblique(min((volumes / "images").iterdir()), tmp_path / "scan.nii.gz")
    call("predict", exported, scan, "-o", tmp_path / "masks")
    written = np.asarray(nib.load(tmp_path / "masks" / "scan.nii.gz").dataobj)
    logic = module.StampSegLogic()
    assert logic.open(str(exported)) == ["Volume"]
    volume = Node.of_file(scan)
    node, lines = logic.segment([volume], confidence=True)
    assert written.any()
    labels = Segmenter(exported).labels
    assert node.segments.keys() == labels.keys()
    for name, value in labels.items():
        assert np.array_equal(node.segments[name], (written == value).T)
    first, value = next(iter(labels.items()))
    ml = (written == value).sum() * np.prod(nib.load(scan).header.get_zooms()) / 1000
    assert lines[0].startswith(f"{first}: {ml:.2f} ml")
    doubt = next(each for each in seen.scene.nodes if each.name == "scan.nii.gz uncertainty")
    assert doubt.array.shape == volume.array.shape and np.allclose(doubt.affine, volume.affine)
    assert 0 <= doubt.array.min() <= doubt.array.max() <= 1


def test_figures_are_those_of_regions_where_the_model_has_them(
    module: ModuleType, exported: Path, volumes: Path
) -> None:
    scan = min((volumes / "images").iterdir())
    logic = module.StampSegLogic()
    logic.open(str(exported))
    segmenter = logic._segmenter
    every = tuple(range(1, segmenter.plan.out_channels))
    assert len(every) > 1
    regions = (
        Region(name="whole", classes=every, written=1),
        Region(name="core", classes=every[1:], written=2),
    )
    segmenter.plan = segmenter.plan.model_copy(update={"regions": regions})
    assert segmenter.structures == {
        "whole": segmenter.plan.label_values[1:],
        "core": segmenter.plan.label_values[2:],
    }
    found = segmenter.segment(scan)
    assert found.expected.keys() == segmenter.structures.keys()
    _, lines = logic.segment([Node.of_file(scan)], confidence=True)
    ml = (found.mask > 0).sum() * np.prod(nib.load(scan).header.get_zooms()) / 1000
    assert ml > 0 and lines[0].startswith(f"whole: {ml:.2f} ml") and lines[1].startswith("core: ")
    known = replace(found, expected={"whole": (0.9, 0.8, 0.95), "core": None}, flags=())
    lines = module.told(known, segmenter.structures, Node.of_file(scan))
    assert lines[0].endswith(" ml, expected Dice 0.90 (0.80 to 0.95)") and "Dice" not in lines[1]
    few = replace(known, expected={"whole": (0.9, 0.0, 1.0), "core": None})  # people
    assert module.told(few, segmenter.structures, Node.of_file(scan))[0].endswith(" ml, expected Dice 0.90")


def test_the_panel_segments_and_shows_errors(
    module: ModuleType, seen: SimpleNamespace, exported: Path, volumes: Path
) -> None:
    panel = module.StampSegWidget()
    panel.setup()
    assert panel.install.visible is False
    panel.model.currentPath = str(exported)
    panel.model.slots["currentPathChanged(QString)"](str(exported))
    panel.apply.slots["clicked(bool)"](True)
    assert seen.shown == [
        "The volume could not be segmented. no volume is chosen for channel 1 of the model; choose one"
    ]
    panel.volumes[0].node = Node.of_file(min((volumes / "images").iterdir()))
    panel.apply.slots["clicked(bool)"](True)
    assert len(seen.shown) == 1 and " ml" in panel.told.text
    assert [node.kind for node in seen.scene.nodes] == ["vtkMRMLSegmentationNode"]
    panel.model.currentPath = __file__
    panel.on_model()
    assert "This model cannot be used." in seen.shown[-1]


def test_volumes_that_do_not_fit_are_refused(module: ModuleType, exported: Path, volumes: Path) -> None:
    logic = module.StampSegLogic()
    logic.open(str(exported))
    first, second = (Node.of_file(path) for path in sorted((volumes / "images").iterdir())[:2])
    second.affine = first.affine + np.diag([0, 0, 0.1, 0])
    with pytest.raises(RuntimeError, match=r"does not lie on the grid of .*; resample it first"):
        logic.segment([first, second])
    second.transform = object()
    with pytest.raises(RuntimeError, match="is moved by a transform; harden it"):
        logic.segment([second])
    with pytest.raises(Exception, match="channel"):
        logic.segment([first, first])


def test_a_picture_of_one_slice_is_segmented_by_a_model_of_pictures(
    module: ModuleType, seen: SimpleNamespace, pictures: Path, tmp_path: Path
) -> None:
    call("train", pictures, "-o", tmp_path / "run", "--validation", "none", *QUICK)
    path = min((pictures / "images").iterdir())
    call("export", tmp_path / "run", "-o", tmp_path / "model.onnx", "--input", path)
    call("predict", tmp_path / "model.onnx", path, "-o", tmp_path / "masks")
    written = np.asarray(Image.open(tmp_path / "masks" / path.name))
    logic = module.StampSegLogic()
    logic.open(str(tmp_path / "model.onnx"))
    rows = np.asarray(Image.open(path))
    node, lines = logic.segment([Node("vtkMRMLScalarVolumeNode", "photo", rows[None])])
    mask = sum(each[0] for each in node.segments.values())
    assert np.array_equal(mask > 0, written > 0) and lines[0].endswith(" pixels")
    with pytest.raises(RuntimeError, match="this model is for pictures, and photo has 2 slices"):
        logic.segment([Node("vtkMRMLScalarVolumeNode", "photo", np.stack([rows, rows]))])


def test_without_stampseg_it_says_what_to_press_and_installs_the_wheel(
    module: ModuleType, seen: SimpleNamespace, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logic = module.StampSegLogic()
    monkeypatch.setattr(module.StampSegLogic, "is_installed", lambda self: False)
    with pytest.raises(
        RuntimeError, match="stampseg is not installed in this Slicer; press 'Install stampseg'"
    ):
        logic.open(str(exported))
    logic.install("stampseg-0.1.0-py3-none-any.whl")
    assert seen.installed == [["stampseg-0.1.0-py3-none-any.whl[runtime,openvino]"]]


def test_slicer_finds_the_class_that_has_the_name_of_the_file(module: ModuleType) -> None:
    parent = SimpleNamespace()
    getattr(module, MODULE.stem)(parent)
    assert parent.title == "StampSeg" and parent.contributors and "not for diagnosis" in parent.helpText
