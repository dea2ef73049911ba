"""StampSeg: segments the open volume in 3D Slicer with a file that `stampseg export` wrote.

A scripted module of one file, for Slicer 5.10 and later, whose Python is 3.12. In Slicer: Edit, Application
Settings, Modules, Additional module paths; add this file's folder and restart. The module then installs what
it needs, once. It computes on the CPU, and needs no PyTorch.
"""

from __future__ import annotations

import os
from pathlib import Path

import ctk
import numpy as np
import qt
import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

SUFFIXES = ("*.onnx", "*.openvino", "*.safetensors")
NEEDED = "stampseg is not installed in this Slicer; press 'Install stampseg', and choose its wheel"


class StampSeg(ScriptedLoadableModule):
    """What Slicer lists."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "StampSeg"
        parent.categories = ["Segmentation"]
        parent.dependencies = []
        parent.contributors = ["The stampseg developers"]
        parent.helpText = (
            "Segments a volume with a model file of stampseg. Masks are drafts, not for diagnosis; what is "
            "to be expected of them is said where the model knows."
        )
        parent.acknowledgementText = "The method is STAMP (Dinsdale, Jenkinson and Namburete, 2022)."


class StampSegWidget(ScriptedLoadableModuleWidget):
    """A model, a volume for each of its channels, and a button."""

    def setup(self):
        """Make the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = StampSegLogic()
        box = ctk.ctkCollapsibleButton()
        box.text = "Segment"
        self.layout.addWidget(box)
        self.form = qt.QFormLayout(box)

        self.model = ctk.ctkPathLineEdit()
        self.model.filters = ctk.ctkPathLineEdit.Files
        self.model.nameFilters = [f"Models ({' '.join(SUFFIXES)})"]
        self.model.settingKey = "StampSegModel"
        self.form.addRow("Model:", self.model)

        self.volumes = [self._volume_selector()]
        self.form.addRow("Volume:", self.volumes[0])

        self.confidence = qt.QCheckBox("Say how far the mask can be trusted (three times the work)")
        self.form.addRow(self.confidence)

        self.apply = qt.QPushButton("Segment")
        self.form.addRow(self.apply)
        self.install = qt.QPushButton("Install stampseg...")
        self.install.visible = not self.logic.is_installed()
        self.form.addRow(self.install)
        self.told = qt.QLabel()
        self.told.wordWrap = True
        self.form.addRow(self.told)

        self.layout.addStretch(1)
        self.model.connect("currentPathChanged(QString)", lambda _: self.on_model())
        self.apply.connect("clicked(bool)", lambda _: self.on_apply())
        self.install.connect("clicked(bool)", lambda _: self.on_install())
        self.on_model()

    def on_model(self):
        """A selector for each channel of the model."""
        path = str(self.model.currentPath)
        if not (path and Path(path).is_file() and self.logic.is_installed()):
            return
        with slicer.util.tryWithErrorDisplay("This model cannot be used.", waitCursor=True):
            names = self.logic.open(path)
            while len(self.volumes) > len(names):
                self.form.removeRow(self.volumes.pop())
            while len(self.volumes) < len(names):
                self.volumes.append(self._volume_selector())
                self.form.insertRow(len(self.volumes), "", self.volumes[-1])
            for selector, name in zip(self.volumes, names, strict=True):
                self.form.labelForField(selector).text = f"{name}:"

    def on_apply(self):
        """Segment, and say what was found."""
        with slicer.util.tryWithErrorDisplay("The volume could not be segmented.", waitCursor=True):
            self.logic.open(str(self.model.currentPath))
            volumes = [selector.currentNode() for selector in self.volumes]
            _, lines = self.logic.segment(volumes, bool(self.confidence.checked))
            self.told.text = "\n".join(lines)

    def on_install(self):
        """Install the wheel that is chosen, into Slicer's own Python."""
        path = qt.QFileDialog.getOpenFileName(None, "The wheel of stampseg", "", "Wheels (*.whl)")
        if path:
            with slicer.util.tryWithErrorDisplay("stampseg could not be installed.", waitCursor=True):
                self.logic.install(str(path))
                self.install.visible = not self.logic.is_installed()
                self.on_model()

    def _volume_selector(self):
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = [
            "vtkMRMLScalarVolumeNode"
        ]  # colour pictures, whose class is made from it, as well
        selector.addEnabled = selector.removeEnabled = selector.renameEnabled = False
        selector.setMRMLScene(slicer.mrmlScene)
        return selector


class StampSegLogic(ScriptedLoadableModuleLogic):
    """From volumes to a segmentation; no widget is needed for it."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._path = self._segmenter = None

    def is_installed(self):
        """Whether stampseg can be imported."""
        import importlib.util

        return importlib.util.find_spec("stampseg") is not None

    def install(self, wheel):
        """Install a wheel with what exported files need; no PyTorch."""
        slicer.util.pip_install([f"{wheel}[runtime,openvino]"])

    def open(self, path):
        """Open a model, unless it is open.

        Returns:
            The names of its channels, or "volume" if it has one.
        """
        if not self.is_installed():
            raise RuntimeError(NEEDED)
        changed = (path, Path(path).stat().st_mtime_ns if Path(path).is_file() else None)
        if changed != self._path:
            from stampseg import Segmenter

            self._segmenter, self._path = Segmenter(path), changed
        plan = self._segmenter.plan
        return ["Volume"] if plan.in_channels == 1 else [f"Channel {n + 1}" for n in range(plan.in_channels)]

    def segment(self, volumes, confidence=False):
        """Segment with the model that is open.

        Args:
            volumes: nodes, one for each channel in the order of training, all on one grid.
            confidence: also add a volume of uncertain voxels, and say what Dice is to be expected.

        Returns:
            The segmentation node, and lines of text about it.

        Raises:
            RuntimeError: the volumes do not fit the model, or each other; says why.
        """
        array, affine = self.array_of(volumes)
        dims = self._segmenter.plan.spatial_dims
        if dims == 2:
            array, affine = picture_of(array, volumes[0]), None
        found = self._segmenter.segment(array, affine=affine, confidence=confidence)
        mask = to_slicer(found.mask, dims)
        node = self._segmentation(volumes[0], mask)
        if found.uncertainty is not None:
            self._uncertainty(volumes[0], to_slicer(found.uncertainty, dims))
        return node, told(found, self._segmenter.structures, volumes[0])

    def array_of(self, volumes):
        """Voxels (C, I, J, K) of the nodes and their matrix, voxel to RAS mm.

        Raises:
            RuntimeError: a volume is missing, moved by a transform, or on another grid.
        """
        arrays, affines = [], []
        for number, node in enumerate(volumes, 1):
            if node is None or node.GetImageData() is None:
                raise RuntimeError(f"no volume is chosen for channel {number} of the model; choose one")
            if node.GetParentTransformNode() is not None:
                raise RuntimeError(
                    f"{node.GetName()} is moved by a transform; harden it (Transforms module), so that the "
                    "mask lies where the volume does"
                )
            array = slicer.util.arrayFromVolume(node)  # K, J, I, and the colours of a picture
            arrays += [
                channel.T for channel in (np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None])
            ]
            affines.append(slicer.util.arrayFromVTKMatrix(ijk_to_ras(node)))
            if arrays[-1].shape != arrays[0].shape or not np.allclose(affines[-1], affines[0], atol=1e-3):
                raise RuntimeError(
                    f"{node.GetName()} does not lie on the grid of {volumes[0].GetName()}; resample it first"
                )
        return np.stack(arrays), affines[0]

    def _segmentation(self, volume, mask):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume.GetName()} StampSeg")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        for name, value in self._segmenter.labels.items():
            segment = node.GetSegmentation().AddEmptySegment("", name)
            one = (mask == value).astype(np.uint8)
            slicer.util.updateSegmentBinaryLabelmapFromArray(one, node, segment, volume)
        return node

    def _uncertainty(self, volume, array):
        name = f"{volume.GetName()} uncertainty"
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(node, array)
        node.SetIJKToRASMatrix(ijk_to_ras(volume))
        node.CreateDefaultDisplayNodes()
        return node


def ijk_to_ras(node):
    """A node's matrix, voxel to RAS mm."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def picture_of(array, node):
    """(C, rows, columns) of a volume of one slice (C, I, J, 1), for models of pictures.

    Raises:
        RuntimeError: it has several slices.
    """
    if array.shape[-1] != 1:
        raise RuntimeError(
            f"this model is for pictures, and {node.GetName()} has {array.shape[-1]} slices; open a picture"
        )
    return array[..., 0].transpose(0, 2, 1)


def to_slicer(array, dims):
    """As Slicer holds voxels (K, J, I): a volume (I, J, K) turned over, a picture as one slice."""
    return np.ascontiguousarray(array.T if dims == 3 else array[None])


def told(found, structures, volume):
    """A line for each label or region, with its volume, and what is to be expected where the model says."""
    voxel = float(np.prod(volume.GetSpacing())) / 1000
    lines = []
    for name, values in structures.items():
        count = int(np.isin(found.mask, values).sum())
        line = f"{name}: {count * voxel:.2f} ml" if found.affine is not None else f"{name}: {count} pixels"
        expected = found.expected.get(name)
        if expected is not None:
            line += f", expected Dice {expected[0]:.2f}"
            if expected[1:] != (0, 1):  # people were too few for an interval
                line += " ({:.2f} to {:.2f})".format(*expected[1:])
        lines.append(line)
    return lines + [f"unusual: {flag}" for flag in found.flags]


class StampSegTest(ScriptedLoadableModuleTest):
    """For Slicer's own test button: the file that STAMPSEG_MODEL names segments noise."""

    def runTest(self):
        """All tests."""
        path = os.environ.get("STAMPSEG_MODEL", "")
        if not path:
            self.delayDisplay("STAMPSEG_MODEL names no model: nothing was tested")
            return
        logic = StampSegLogic()
        random = np.random.default_rng(0)
        volumes = [
            slicer.util.addVolumeFromArray(random.normal(100, 20, (40, 48, 56)).astype(np.float32))
            for _ in logic.open(str(Path(path)))
        ]
        node, lines = logic.segment(volumes)
        assert node.GetSegmentation().GetNumberOfSegments() and lines
        self.delayDisplay("\n".join(lines))
