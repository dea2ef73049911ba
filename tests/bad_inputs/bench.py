"""A folder for one bad input, and clean scans and models to make it from."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from stampseg.cli.commands import app

AFFINE = np.array([[-1.0, 0, 0, 5], [0, 1.0, 0, 6], [0, 0, 1.5, 7], [0, 0, 0, 1]])
SHAPE, SIZE = (12, 14, 10), (24, 32)
QUICK = (
    *("--steps", "2", "--method", "dense", "--validation", "none", "--set", "train.missed_label=warn"),
    *("--set", "network.width=2", "--set", "train.batch_size=2", "--set", "network.poolings=1"),
)


def call(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def scan(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A bright ball with a brighter half on noise, uint8, and its classes 0, 1 and 2."""
    rng, centre = np.random.default_rng(seed), [n / 2 for n in shape]
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(shape), centre, strict=True)))
    inside = distance < min(shape) / 3
    classes = inside.astype(np.uint8) + (inside & (np.indices(shape)[0] > centre[0]))
    return (classes * 60 + rng.normal(60, 10, shape)).clip(0, 255).astype(np.uint8), classes


def nifti(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Write a NIfTI-1."""
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


@dataclass(frozen=True)
class Clean:
    """What bad inputs are made from: data sets of 3 cases, and models trained on them for a moment."""

    folder: Path

    def data(self, dims: int) -> Path:
        """Folder with images and labels: volumes v0 to v2 (.nii.gz) or pictures p0 to p2 (.png)."""
        return self.folder / f"data{dims}"

    def model(self, dims: int) -> Path:
        """Model file."""
        return self.folder / f"run{dims}" / "model.safetensors"

    def exported(self) -> Path:
        """The model of pictures as ONNX."""
        return self.folder / "model.onnx"

    def image(self, dims: int) -> Path:
        """The first image."""
        return self.data(dims) / "images" / ("v0.nii.gz" if dims == 3 else "p0.png")

    def mask(self, dims: int) -> Path:
        """What the model makes of the first image."""
        return self.folder / f"masks{dims}" / self.image(dims).name

    def plan(self, dims: int) -> Path:
        """What `check --json` says of the data."""
        return self.folder / f"check{dims}.json"


def make_clean(folder: Path) -> Clean:
    """Write the data sets and train the models."""
    clean = Clean(folder)
    for dims in (2, 3):
        for part in ("images", "labels"):
            (clean.data(dims) / part).mkdir(parents=True)
        for number in range(3):
            image, classes = scan(number, SHAPE if dims == 3 else SIZE)
            for part, array in (("images", image), ("labels", classes)):
                if dims == 3:
                    nifti(clean.data(3) / part / f"v{number}.nii.gz", array)
                else:
                    Image.fromarray(array).save(clean.data(2) / part / f"p{number}.png")
        run = clean.model(dims).parent
        for arguments in (
            ("train", clean.data(dims), "-o", run, *QUICK),
            ("predict", run, clean.image(dims), "-o", clean.mask(dims).parent),
        ):
            result = call(*arguments)
            assert result.exit_code == 0, result.output
        clean.plan(dims).write_text(call("check", clean.data(dims), "--json").output, encoding="utf-8")
    _export(clean)
    return clean


def _export(clean: Clean) -> None:
    from stampseg.export import export_model
    from stampseg.networks.model_file import load_model

    export_model(load_model(clean.model(2)), clean.exported(), format="onnx")


@dataclass(frozen=True)
class Bench:
    """Where one bad input is made."""

    clean: Clean
    folder: Path

    @property
    def output(self) -> Path:
        """What the commands write."""
        return self.folder / "output"

    def copy(self, dims: int) -> Path:
        """A copy of a clean data set, to be spoiled."""
        return Path(shutil.copytree(self.clean.data(dims), self.folder / "data"))

    def copy_to(self, name: str) -> Path:
        """A copy of the clean volumes under another name."""
        return Path(shutil.copytree(self.clean.data(3), self.folder / name))

    def use(self, data: Path, *options: object) -> list[list[object]]:
        """Commands that look at a data set and train on it."""
        return [["check", data, *options], ["train", data, "-o", self.output / "run", *QUICK, *options]]

    def predict(self, image: Path, dims: int = 3) -> list[list[object]]:
        """Commands that segment an image."""
        return [["predict", self.clean.model(dims), image, "-o", self.output / "masks"]]

    def load(self, model: Path) -> list[list[object]]:
        """Commands that open a model of pictures."""
        return [["predict", model, self.clean.image(2), "-o", self.output / "masks"]]
