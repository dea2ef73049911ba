"""Links, pipes and permissions."""

from __future__ import annotations

import os
import shutil

from .bench import Bench
from .entry import Refused, Same, bad
from .volumes import Commands


@bad("link: the data set's files are links", Same())
def linked(bench: Bench) -> Commands:
    data = bench.copy(3)
    image = data / "images" / "v0.nii.gz"
    image.unlink()
    image.symlink_to(bench.clean.image(3))
    return bench.use(data) + bench.predict(image)


@bad("link: to itself", Refused(3, r"v0\.nii\.gz: .*check the path"))
def to_itself(bench: Bench) -> Commands:
    data = bench.copy(3)
    image = data / "images" / "v0.nii.gz"
    image.unlink()
    image.symlink_to(image)
    return bench.use(data) + bench.predict(image)


@bad("link: to nothing", Refused(3, r"v0\.nii\.gz: file not found; check the path"))
def dangling(bench: Bench) -> Commands:
    data = bench.copy(3)
    image = data / "images" / "v0.nii.gz"
    image.unlink()
    image.symlink_to(bench.folder / "gone.nii.gz")
    return bench.use(data) + bench.predict(image)


@bad("link: a folder inside itself", Same())
def folder_in_itself(bench: Bench) -> Commands:
    data = bench.copy(3)
    (data / "images" / "again").symlink_to(data / "images")
    (data / "loop").symlink_to(data)
    return bench.use(data)


@bad(
    "link: the output folder is a link to itself",
    Refused(3, r"loop: is not a folder; expected one to write to; choose"),
)
def output_loop(bench: Bench) -> Commands:
    (bench.folder / "loop").symlink_to(bench.folder / "loop")
    return [["predict", bench.clean.model(3), bench.clean.image(3), "-o", bench.folder / "loop"]]


@bad(
    "link: where a mask goes lies a link to nothing",
    Refused(3, r"v0\.nii\.gz: exists already; choose another fold"),
)
def output_link(bench: Bench) -> Commands:
    masks = bench.folder / "masks"
    masks.mkdir()
    (masks / "v0.nii.gz").symlink_to(bench.folder / "elsewhere.nii.gz")
    return [["predict", bench.clean.model(3), bench.clean.image(3), "-o", masks]]


@bad(
    "pipe: instead of an image",
    Refused(3, r"v0\.nii\.gz: is a pipe, a socket or a device; .* save it as a file"),
)
def image_pipe(bench: Bench) -> Commands:
    data = bench.copy(3)
    image = data / "images" / "v0.nii.gz"
    image.unlink()
    os.mkfifo(image)
    return bench.use(data) + bench.predict(image)


@bad(
    "pipe: instead of a label",
    Refused(3, r"v0\.nii\.gz: is a pipe, a socket or a device; .* save it as a file"),
)
def label_pipe(bench: Bench) -> Commands:
    data = bench.copy(3)
    label = data / "labels" / "v0.nii.gz"
    label.unlink()
    os.mkfifo(label)
    return bench.use(data)


@bad("pipe: CSV and dataset.json beside the folders are pipes", Same())
def table_pipes(bench: Bench) -> Commands:
    data = bench.copy(3)
    os.mkfifo(data / "cases.csv")
    os.mkfifo(data / "dataset.json")
    return bench.use(data)


@bad(
    "pipe: instead of a data set",
    Refused(3, r"data: is a pipe, a socket or a device; expected a file or a folder"),
)
def data_pipe(bench: Bench) -> Commands:
    os.mkfifo(bench.folder / "data")
    return bench.use(bench.folder / "data")


@bad("pipe: instead of a model", Refused(3, r"m\.(safetensors|onnx): no such file"))
def model_pipe(bench: Bench) -> Commands:
    commands = []
    for name in ("m.safetensors", "m.onnx"):
        os.mkfifo(bench.folder / name)
        commands += bench.load(bench.folder / name)
    return commands


if os.geteuid() != 0:  # root may read and write everything

    @bad("permission: an image that may not be read", Refused(3, r"v0\.nii\.gz: .*Permission denied"))
    def unreadable(bench: Bench) -> Commands:
        data = bench.copy(3)
        (data / "images" / "v0.nii.gz").chmod(0)
        return bench.use(data)

    @bad(
        "permission: a folder that may not be read", Refused(3, r"images: Permission denied; check the path")
    )
    def closed(bench: Bench) -> Commands:
        data = bench.copy(3)
        (data / "images").chmod(0)
        return bench.use(data)

    @bad(
        "permission: an output that may not be written",
        Refused(3, r"v0\.nii\.gz: cannot be written \(Permission"),
    )
    def unwritable(bench: Bench) -> Commands:
        masks = bench.folder / "masks"
        masks.mkdir(mode=0o500)
        return [["predict", bench.clean.model(3), bench.clean.image(3), "-o", masks]]


@bad("link: an image twice, by a link", Same())
def twice(bench: Bench) -> Commands:
    (bench.folder / "in").mkdir()
    shutil.copy(bench.clean.image(3), bench.folder / "in" / "v0.nii.gz")
    (bench.folder / "in" / "w0.nii.gz").symlink_to(bench.folder / "in" / "v0.nii.gz")
    return bench.predict(bench.folder / "in")
