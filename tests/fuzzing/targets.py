"""What is opened: valid files to start from, and how each is read."""

from __future__ import annotations

import gzip
import io
import json
import logging
import math
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import strategies as st

from stampseg.core.config import Config, dump_config, load_config
from stampseg.data.cases import find_dataset
from stampseg.data.io.readers import read_header, read_image, read_label, write_label
from stampseg.data.labels.label_table import to_values
from stampseg.data.preprocess import prepare
from stampseg.networks.model_file import read_description
from stampseg.runtime.details import KEY, read_details
from stampseg.runtime.engines import read_onnx, read_openvino
from stampseg.runtime.model import open_model
from stampseg.runtime.sliding import segment_windows
from tests.bad_inputs.bench import AFFINE, SIZE, Clean, nifti, scan

from .mutation import altered, as_text, damaged

SMALL, MOST_VALUES = (5, 4, 3), 2**22
VOLUMES = (".nii", ".nii.gz", ".mgz", ".mha", ".nrrd")
PICTURES = (".png", ".jpg", ".bmp", ".gif", ".pgm", ".tif")
KINDS = (
    *(f"image {suffix}" for suffix in (*VOLUMES, *PICTURES)),
    *("image .nii.gz, unpacked", "image .mgz, unpacked"),
    *(
        "model, bytes",
        "model, description",
        "onnx, bytes",
        "onnx, description",
        "exported file, description",
        "openvino, archive",
    ),
    *("dataset.json, values", "dataset.json, bytes", "CSV", "config"),
)


@dataclass(frozen=True)
class Target:
    """Damaged content, the name of the file that holds it, and what opens it."""

    name: str
    content: st.SearchStrategy[bytes]
    file: str
    read: Callable[[Path], object]


def targets(clean: Clean, folder: Path) -> list[Target]:
    """Everything that reads what others wrote."""
    return [*_images(folder), *_models(clean), *_lists(clean, folder), _config()]


@contextmanager
def quiet() -> Iterator[None]:
    """Libraries say much of damaged files."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _images(folder: Path) -> Iterator[Target]:
    image, classes = scan(0, SMALL)
    sources = {name: folder / f"whole{name}" for name in VOLUMES}
    nifti(sources[".nii"], image)
    nifti(sources[".nii.gz"], image)
    nib.MGHImage(image, AFFINE.astype(np.float32)).to_filename(sources[".mgz"])
    _itk(image, sources[".mha"], sources[".nrrd"])
    for name in PICTURES:
        sources[name] = folder / f"whole{name}"
        _picture(classes[:, :, 1] * 100, sources[name])
    for suffix, path in sources.items():
        whole = path.read_bytes()
        yield Target(f"image {suffix}", damaged(whole), f"x{suffix}", _read_scan)
        if suffix in (".nii.gz", ".mgz"):  # inside the gzip, where its checksum does not guard it
            inner = damaged(gzip.decompress(whole)).map(gzip.compress)
            yield Target(f"image {suffix}, unpacked", inner, f"x{suffix}", _read_scan)


def _itk(image: np.ndarray, *paths: Path) -> None:
    import SimpleITK as sitk  # noqa: N813

    for path in paths:
        sitk.WriteImage(sitk.GetImageFromArray(image.T), str(path), path.suffix == ".nrrd")


def _picture(array: np.ndarray, path: Path) -> None:
    from PIL import Image

    Image.fromarray(array).save(path)


def _read_scan(path: Path) -> None:
    header = read_header([path])
    assert min(header.shape) >= 1 and math.prod(header.shape) * header.channels <= MOST_VALUES
    assert all(math.isfinite(size) and size > 0 for size in header.spacing)
    volume = read_image([path])
    assert volume.array.shape == (volume.header.channels, *volume.header.shape)
    assert volume.array.dtype == np.float32 and np.isfinite(volume.array).all()
    write_label(path.with_name("mask" + path.suffix), np.zeros(header.shape, np.uint8), path)
    if path.suffix == ".jpg":
        return  # no label, whole or not
    label = read_label(path)
    assert label.array.shape == label.header.shape and label.array.dtype.kind in "iu"


def _models(clean: Clean) -> Iterator[Target]:
    whole = clean.model(2).read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    values = json.loads(read_description(clean.model(2)).model_dump_json())

    def described(changed: object) -> bytes:
        header = json.loads(whole[8 : 8 + length])
        header["__metadata__"] = {"stampseg": json.dumps(changed)}
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + whole[8 + length :]

    def predict(path: Path) -> None:
        opened = open_model(path, threads=1)
        plan = opened.plan
        prepared = prepare(read_image([clean.image(2)], plan.in_channels), plan)
        if math.prod(plan.patch_size) > 2**16:
            return  # right, and slow
        with opened.scoring() as scorer:
            mask = to_values(segment_windows(prepared, plan, scorer), plan.label_values)
        assert mask.shape == SIZE and set(np.unique(mask).tolist()) <= set(plan.label_values)

    yield Target("model, bytes", damaged(whole), "m.safetensors", predict)
    yield Target("model, description", altered(values).map(described), "m.safetensors", predict)
    exported = clean.exported().read_bytes()
    yield Target("onnx, bytes", damaged(exported), "m.onnx", predict)
    text = read_onnx(clean.exported())[1]
    assert text is not None
    details = altered(json.loads(text)).map(as_text)

    def described_anew(changed: object) -> bytes:
        return exported.replace(text, _fitted(changed, text))

    yield Target("onnx, description", altered(json.loads(text)).map(described_anew), "m.onnx", predict)
    yield Target(
        "exported file, description", details, "m", lambda path: read_details(path.read_bytes(), path)
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as parts:
        for name in ("model.xml", "model.bin", f"{KEY}.json"):
            parts.writestr(name, text)
    yield Target("openvino, archive", damaged(archive.getvalue()), "m.openvino", read_openvino)


def _fitted(values: object, text: bytes) -> bytes:
    """JSON as long as the text, so that it can stand in its place; or cut, where it is longer."""
    return json.dumps(values, separators=(",", ":")).encode().ljust(len(text))[: len(text)]


def _lists(clean: Clean, folder: Path) -> Iterator[Target]:
    data = clean.data(3)
    rows = [(f"{data}/images/v{n}.nii.gz", f"{data}/labels/v{n}.nii.gz") for n in range(3)]
    values = {
        "name": "x", "labels": {"0": "background", "1": "organ"}, "modality": {"0": "CT"}, "numTraining": 3,
        "training": [{"image": image, "label": label} for image, label in rows],
    }  # fmt: skip

    def read_description(path: Path) -> object:
        return find_dataset(path.parent)

    yield Target("dataset.json, values", altered(values).map(as_text), "dataset.json", read_description)
    yield Target("dataset.json, bytes", damaged(as_text(values)), "dataset.json", read_description)
    table = "\n".join(["image,label,group", *(f"{image},{label},{image[-8]}" for image, label in rows)])
    yield Target("CSV", damaged(table.encode()), "cases.csv", find_dataset)


def _config() -> Target:
    text = dump_config(Config()).encode() + b"seed: 3\ntrain: {steps: 5, learning_rate: 0.1}\nlabels: null\n"
    return Target("config", damaged(text), "c.yaml", load_config)
