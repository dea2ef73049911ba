"""The panel: a model, layers, a button; a mask and a map of doubt come of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, Container, FileEdit, Label, PushButton, Select
from napari.layers import Image as ImageLayer
from napari.qt.threading import create_worker
from napari.utils.notifications import show_error
from napari.viewer import Viewer

from stampseg import Segmented, Segmenter
from stampseg.core.errors import StampsegError

from .places import KEY, ORDERS, Image, image_of

UNPLACED = (
    "where this volume lies is not known: its axes are taken to run to the right, the front and the head; if "
    "they do not, the mask is wrong. Open the file with stampseg's reader, which knows"
)


@dataclass(frozen=True)
class Done:
    """A mask, and the layers that it is of."""

    image: Image
    found: Segmented
    layers: tuple[ImageLayer, ...]
    labels: dict[str, int]
    structures: dict[str, tuple[int, ...]]


class Panel(Container):
    """Segments image layers with a run folder's model, or an exported file, which needs no PyTorch."""

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        self._opened: tuple[tuple[str, int], Segmenter] | None = None
        self.model = FileEdit(label="Model", filter="*.onnx *.openvino *.safetensors")
        self.layers = Select(label="Layers", choices=self._images)
        self.order = ComboBox(label="Axes, where unknown", choices=list(ORDERS))
        self.confidence = CheckBox(text="also what is uncertain (three times the work)", value=True)
        self.button = PushButton(text="Segment")
        self.told = Label(value="")
        self.worker: Any = None
        super().__init__(
            widgets=[self.model, self.layers, self.order, self.confidence, self.button, self.told]
        )
        self.button.clicked.connect(self.segment)
        for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            event.connect(lambda _: self.layers.reset_choices())

    def segment(self) -> Any:
        """Begin; napari stays usable meanwhile. The worker, whose end the layers come with."""
        self.button.enabled, self.told.value = False, "segmenting ..."
        images = self._images()
        selected = [layer for layer in images if layer in self._viewer.layers.selection]
        chosen = tuple(self.layers.value or selected or images[:1])
        self.worker = create_worker(
            self.compute, chosen, self.order.value, self.confidence.value, _start_thread=False
        )
        self.worker.returned.connect(self.show)
        self.worker.errored.connect(self._refused)
        self.worker.finished.connect(lambda: setattr(self.button, "enabled", True))
        self.worker.start()
        return self.worker

    def compute(self, layers: tuple[ImageLayer, ...], order: str, confidence: bool) -> Done:
        """Segment layers; nothing of the viewer is touched.

        Raises:
            StampsegError: the model cannot be opened, or the layers do not fit it; says why.
        """
        segmenter = self._open(Path(self.model.value))
        image = image_of(layers, segmenter.plan.spatial_dims, order)
        found = segmenter.segment(image.array, **image.geometry, confidence=confidence)
        return Done(image, found, layers, segmenter.labels, segmenter.structures)

    def show(self, done: Done) -> None:
        """Add the mask, the map of doubt, and words about both."""
        first = done.layers[0]
        place = {
            "scale": first.scale,
            "translate": first.translate,
            "rotate": first.rotate,
            "shear": first.shear,
        }
        names = {"index": [0, *done.labels.values()], "label": ["background", *done.labels]}
        self._viewer.add_labels(
            done.image.layer_of(done.found.mask), name=f"{first.name} stampseg", features=names, **place
        )
        if done.found.uncertainty is not None:
            doubt = {"colormap": "magma", "contrast_limits": (0, 1), "opacity": 0.5, "blending": "additive"}
            self._viewer.add_image(
                done.image.layer_of(done.found.uncertainty), name=f"{first.name} uncertainty", visible=False,
                metadata={KEY: {"made": True}}, **doubt, **place,
            )  # fmt: skip
        self.told.value = "\n".join(told(done))

    def _images(self, *_: Any) -> list[ImageLayer]:
        """Those that can be segmented: not what this panel made."""
        images = (layer for layer in self._viewer.layers if isinstance(layer, ImageLayer))
        return [layer for layer in images if not layer.metadata.get(KEY, {}).get("made")]

    def _open(self, path: Path) -> Segmenter:
        key = (str(path), path.stat().st_mtime_ns if path.is_file() else 0)
        if self._opened is None or self._opened[0] != key:
            self._opened = (key, Segmenter(path))
        return self._opened[1]

    def _refused(self, error: BaseException) -> None:
        self.told.value = str(error)
        if not isinstance(error, StampsegError):
            show_error(f"{type(error).__name__}: {error}")


def told(done: Done) -> list[str]:
    """A line for each label or region: its volume, what is to be expected of it; and what is unusual."""
    found, is_volume = done.found, done.found.affine is not None
    voxel = math.prod(found.spacing) / 1000  # ml
    lines = [UNPLACED] if is_volume and done.image.affine is None else []
    if len(done.layers) > 1:  # their order is that of the list, and only its reader knows whether it is right
        lines += [f"channel {number}: {layer.name}" for number, layer in enumerate(done.layers, 1)]
    for name, values in done.structures.items():
        count = int(np.isin(found.mask, values).sum())
        line = f"{name}: {count * voxel:.2f} ml" if is_volume else f"{name}: {count} pixels"
        expected = found.expected.get(name)
        if expected is not None:
            line += f", expected Dice {expected[0]:.2f}"
            if expected[1:] != (0, 1):  # people were too few for an interval
                line += " ({:.2f} to {:.2f})".format(*expected[1:])
        lines.append(line)
    return lines + [f"unusual: {flag}" for flag in found.flags]
