"""As much of 3D Slicer as the module touches: nodes with voxels (K, J, I), matrices, a scene, idle widgets.

Its functions and their order of axes are those of Slicer's documentation; a test with it shows that the
module uses them as it means to, not that Slicer does what is written there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest


class Matrix:
    """vtkMatrix4x4."""

    def __init__(self) -> None:
        self.values = np.eye(4)


class Node:
    """A volume, or a segmentation."""

    def __init__(self, kind: str, name: str, array: np.ndarray | None = None, affine: Any = None) -> None:
        self.kind, self.name, self.array = kind, name, array
        self.affine = np.eye(4) if affine is None else np.asarray(affine, float)
        self.transform: object | None = None
        self.segments: dict[str, np.ndarray] = {}
        self.reference: Node | None = None

    @classmethod
    def of_file(cls, path: Path) -> Node:
        """As Slicer opens a NIfTI: voxels turned over, its own matrix in RAS."""
        image = nib.load(path)
        voxels = np.ascontiguousarray(np.asarray(image.dataobj).T)
        return cls("vtkMRMLScalarVolumeNode", path.name, voxels, image.affine)

    def GetName(self) -> str:
        return self.name

    def GetImageData(self) -> np.ndarray | None:
        return self.array

    def GetParentTransformNode(self) -> object | None:
        return self.transform

    def GetIJKToRASMatrix(self, matrix: Matrix) -> None:
        matrix.values = self.affine.copy()

    def SetIJKToRASMatrix(self, matrix: Matrix) -> None:
        self.affine = matrix.values.copy()

    def GetSpacing(self) -> tuple[float, ...]:
        return tuple(np.linalg.norm(self.affine[:3, :3], axis=0))

    def CreateDefaultDisplayNodes(self) -> None: ...

    def SetReferenceImageGeometryParameterFromVolumeNode(self, volume: Node) -> None:
        self.reference = volume

    def GetSegmentation(self) -> Node:
        return self

    def AddEmptySegment(self, identifier: str, name: str) -> str:
        self.segments[name] = np.zeros(0)
        return name

    def GetNumberOfSegments(self) -> int:
        return len(self.segments)


class Scene:
    """slicer.mrmlScene."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def AddNewNodeByClass(self, kind: str, name: str) -> Node:
        self.nodes.append(Node(kind, name))
        return self.nodes[-1]


class Widget:
    """Any widget: takes what it is given, and remembers what was connected and added."""

    Files = 1

    def __init__(self, *arguments: Any) -> None:
        self.__dict__["slots"] = {}
        self.currentPath, self.checked, self.rows = "", False, []
        self.node: Node | None = None

    def connect(self, signal: str, slot: Any) -> None:
        self.slots[signal] = slot

    def addRow(self, *row: Any) -> None:
        self.rows.append(row)

    def insertRow(self, place: int, *row: Any) -> None:
        self.rows.insert(place, row)

    def removeRow(self, widget: Any) -> None:
        self.rows = [row for row in self.rows if widget not in row]

    def labelForField(self, widget: Any) -> Any:
        return widget.__dict__.setdefault("label", SimpleNamespace(text=""))

    def currentNode(self) -> Node | None:
        return self.node

    def addWidget(self, *_: Any) -> None: ...
    def addStretch(self, *_: Any) -> None: ...
    def setMRMLScene(self, *_: Any) -> None: ...


class Base:
    """The four classes that a scripted module is made from."""

    def __init__(self, parent: Any = None) -> None:
        self.parent, self.layout = parent, Widget()

    def setup(self) -> None: ...
    def delayDisplay(self, text: str) -> None: ...


@contextmanager
def said(shown: list[str], text: str) -> Iterator[None]:
    """slicer.util.tryWithErrorDisplay: errors become a window."""
    try:
        yield
    except Exception as error:
        shown.append(f"{text} {error}")


def install(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put the modules in place; what they were told is in what it returns."""
    seen = SimpleNamespace(scene=Scene(), shown=[], installed=[])

    def update_segment(array: np.ndarray, node: Node, segment: str, volume: Node) -> None:
        assert node.reference is volume and array.dtype == np.uint8 and volume.array is not None
        assert array.shape == volume.array.shape[:3]
        node.segments[segment] = array

    def update_volume(node: Node, array: np.ndarray) -> None:
        node.array = array

    def try_with(text: str, waitCursor: bool = False) -> Any:
        return said(seen.shown, text)

    util = SimpleNamespace(
        arrayFromVolume=lambda node: node.array,
        arrayFromVTKMatrix=lambda matrix: matrix.values,
        updateSegmentBinaryLabelmapFromArray=update_segment,
        updateVolumeFromArray=update_volume,
        tryWithErrorDisplay=try_with,
        pip_install=seen.installed.append,
    )
    bases = {
        f"ScriptedLoadableModule{name}": type("Made", (Base,), {}) for name in ("", "Logic", "Test", "Widget")
    }
    widgets = ("QFormLayout", "QCheckBox", "QPushButton", "QLabel", "QFileDialog")
    contents: dict[str, dict[str, Any]] = {
        "slicer": {"util": util, "mrmlScene": seen.scene, "qMRMLNodeComboBox": Widget},
        "slicer.ScriptedLoadableModule": bases,
        "vtk": {"vtkMatrix4x4": Matrix},
        "ctk": {"ctkCollapsibleButton": Widget, "ctkPathLineEdit": Widget},
        "qt": dict.fromkeys(widgets, Widget),
    }  # fmt: skip
    for name, parts in contents.items():
        module = ModuleType(name)
        vars(module).update(parts)
        monkeypatch.setitem(sys.modules, name, module)
    return seen
