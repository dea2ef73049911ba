"""Folders that are empty, incomplete or in the way, and names that are hard to say."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PIL import Image

from .bench import QUICK, SIZE, Bench, scan
from .entry import Refused, Same, Works, bad
from .volumes import Commands


@bad(
    "folder: empty",
    Refused(3, r"empty: no folder of images found \(it holds no folders\); name it with --images"),
)
def empty(bench: Bench) -> Commands:
    (bench.folder / "empty").mkdir()
    return bench.use(bench.folder / "empty")


@bad("folder: empty, to be predicted", Refused(3, r"empty: no image found; expected NIfTI"))
def nothing_to_predict(bench: Bench) -> Commands:
    (bench.folder / "empty").mkdir()
    return bench.predict(bench.folder / "empty")


@bad("folder: not there", Refused(3, r"nowhere: no such file or folder; expected"))
def nowhere(bench: Bench) -> Commands:
    return bench.use(bench.folder / "nowhere") + bench.predict(bench.folder / "nowhere")


@bad("folder: images without any label", Refused(3, r"labels"))
def no_labels(bench: Bench) -> Commands:
    data = bench.copy(3)
    for path in (data / "labels").iterdir():
        path.unlink()
    return bench.use(data)


@bad(
    "folder: masks of no known type",
    Refused(3, r"labels: no label of a known type found, it holds p0\.webp, p1\.webp.*; expected NIfTI"),
)
def unknown_masks(bench: Bench) -> Commands:
    data = bench.copy(2)
    for path in list((data / "labels").iterdir()):
        path.rename(path.with_suffix(".webp"))
    return bench.use(data)


@bad("folder: one label is missing", Works("images without a label"))
def label_missing(bench: Bench) -> Commands:
    data = bench.copy(3)
    (data / "labels" / "v1.nii.gz").unlink()
    return bench.use(data)[:1]


@bad("folder: one image is missing", Works("labels without an image"))
def image_missing(bench: Bench) -> Commands:
    data = bench.copy(3)
    (data / "images" / "v1.nii.gz").unlink()
    return bench.use(data)[:1]


def in_case_folders(bench: Bench) -> Path:
    """The volumes in a folder for each case."""
    data, source = bench.folder / "cases", bench.copy(3)
    for image in sorted((source / "images").iterdir()):
        place = data / image.name.removesuffix(".nii.gz")
        place.mkdir(parents=True)
        image.rename(place / "ct.nii.gz")
        (source / "labels" / image.name).rename(place / "segmentation.nii.gz")
    return data


@bad("case folders: as they should be", Works())
def case_folders(bench: Bench) -> Commands:
    return bench.use(in_case_folders(bench))


@bad(
    "case folders: another image in one",
    Refused(3, r"v0: holds ct, and .*v1 ct, mr; expected the same images"),
)
def another_image(bench: Bench) -> Commands:
    data = in_case_folders(bench)
    shutil.copy(data / "v1" / "ct.nii.gz", data / "v1" / "mr.nii.gz")
    return bench.use(data)


@bad(
    "case folders: two labels in one",
    Refused(3, r"v1: mask\.nii\.gz and segmentation\.nii\.gz are both called as"),
)
def two_labels(bench: Bench) -> Commands:
    data = in_case_folders(bench)
    shutil.copy(data / "v1" / "segmentation.nii.gz", data / "v1" / "mask.nii.gz")
    return bench.use(data)


@bad(
    "case folders: a label without its image",
    Refused(3, r"v1.segmentation\.nii\.gz: is a label, and its folder"),
)
def label_alone(bench: Bench) -> Commands:
    data = in_case_folders(bench)
    (data / "v1" / "ct.nii.gz").unlink()
    return bench.use(data)


@bad("folder: names that do not pair", Refused(3, r"images: none of its 3 images .* pairs with the 3 labels"))
def unpaired(bench: Bench) -> Commands:
    data = bench.copy(3)
    for path in (data / "labels").iterdir():
        path.rename(path.with_name(f"q{path.name}"))
    return bench.use(data)


@bad(
    "folder: the data are a file that is no CSV",
    Refused(3, r"v0\.nii\.gz: is a file; expected a folder or a CSV"),
)
def data_is_a_file(bench: Bench) -> Commands:
    return bench.use(bench.clean.image(3))


@bad("folder: files of no known type beside the images", Same())
def strangers(bench: Bench) -> Commands:
    data = bench.copy(3)
    for name in ("Thumbs.db", ".DS_Store", "._v0.nii.gz", "notes.txt", "v9.nii.gz.part"):
        (data / "images" / name).write_bytes(b"\0\1\2")
    return bench.use(data)


@bad("folder: a folder named like an image", Same())
def folder_as_image(bench: Bench) -> Commands:
    data = bench.copy(3)
    (data / "images" / "x.nii.gz").mkdir()
    return bench.use(data)


@bad(
    "folder: a folder named like an image, to be predicted",
    Refused(3, r"x\.nii\.gz: no image found; expected NIfTI"),
)
def folder_to_predict(bench: Bench) -> Commands:
    (bench.folder / "x.nii.gz").mkdir()
    return bench.predict(bench.folder / "x.nii.gz")


@bad("folder: one image under two types", Works("skipped because their name is taken"))
def two_types(bench: Bench) -> Commands:
    data = bench.copy(2)
    Image.open(data / "images" / "p0.png").save(data / "images" / "p0.bmp")
    return bench.use(data)[:1]


@bad(
    "folder: two images whose masks would have one name",
    Refused(3, r"would be written to x\.png, as those of .*"),
)
def one_output(bench: Bench) -> Commands:
    (bench.folder / "in").mkdir()
    for name in ("x.png", "x.jpg"):
        Image.fromarray(scan(0, SIZE)[0]).save(bench.folder / "in" / name)
    return bench.predict(bench.folder / "in", 2)


@bad(
    "output: is a file", Refused(3, r"masks: is not a folder; expected one to write to; choose another name")
)
def output_is_a_file(bench: Bench) -> Commands:
    (bench.folder / "masks").write_text("mine")
    return [["predict", bench.clean.model(3), bench.clean.image(3), "-o", bench.folder / "masks"]]


@bad(
    "output: called as a file",
    Refused(3, r"mask\.nii\.gz: is called as a file; expected a folder, .*; say .*mask$"),
)
def output_called_as_a_file(bench: Bench) -> Commands:
    return [["predict", bench.clean.model(3), bench.clean.image(3), "-o", bench.folder / "mask.nii.gz"]]


@bad(
    "output: below a file", Refused(3, r"masks.*: .*masks is no folder that this user can write to; expected")
)
def output_below_a_file(bench: Bench) -> Commands:
    (bench.folder / "masks").write_text("mine")
    return [["predict", bench.clean.model(3), bench.clean.image(3), "-o", bench.folder / "masks" / "in"]]


@bad(
    "output: the run folder is a file",
    Refused(2, r"run: is not a folder; expected a new or an empty one; choose another -o"),
)
def run_is_a_file(bench: Bench) -> Commands:
    (bench.folder / "run").write_text("mine")
    return [["train", bench.clean.data(3), "-o", bench.folder / "run", *QUICK]]


@bad(
    "output: a mask is there already",
    Refused(3, r"v0\.nii\.gz: exists already; choose another folder with -o"),
)
def mask_is_there(bench: Bench) -> Commands:
    (bench.folder / "masks").mkdir()
    shutil.copy(bench.clean.mask(3), bench.folder / "masks")
    return [["predict", bench.clean.model(3), bench.clean.image(3), "-o", bench.folder / "masks"]]


@bad(
    "output: overlays among the images",
    Refused(3, r"p0\.png: would replace an image that is to be segmented"),
)
def overlays_on_images(bench: Bench) -> Commands:
    images = bench.copy(2) / "images"
    return [[*bench.predict(images, 2)[0], "--overlays", images, "--overwrite"]]


@bad(
    "output: overlays among the masks",
    Refused(3, r"p0\.png: two files would be written to this name; choose"),
)
def overlays_on_masks(bench: Bench) -> Commands:
    return [[*bench.predict(bench.clean.image(2), 2)[0], "--overlays", bench.output / "masks"]]


NAMES = {
    "blanks and accents": "Über  grüße 測試 ñ.nii.gz",
    "a line break": "two\nlines.nii.gz",
    "control letters for a terminal": "red\x1b[31m\a.nii.gz",
    "a dash in front": "-o.nii.gz",
    "quotes and dollars": 'it\'s "$HOME" `ls` ;&|.nii.gz',
    "brackets that tables read": "[red]x[bold].nii.gz",
    "as many letters as a name can have": "x" * 248 + ".nii.gz",
    "bytes that are no UTF-8": os.fsdecode(b"caf\xe9.nii.gz"),
}


def _enter_name(title: str, name: str) -> None:
    @bad(f"name: {title}", Same())
    def make(bench: Bench) -> Commands:
        (bench.folder / "in").mkdir()
        shutil.copy(bench.clean.image(3), bench.folder / "in" / name)
        return bench.predict(
            bench.folder / "in" if title == "bytes that are no UTF-8" else bench.folder / "in" / name
        )

    pattern = "no such|cannot be read"

    @bad(f"name: {title}, of a broken file", Refused(3, pattern))
    def broken(bench: Bench) -> Commands:
        (bench.folder / "in").mkdir()
        (bench.folder / "in" / name).write_bytes(b"broken")
        return bench.predict(bench.folder / "in")


for _title, _name in NAMES.items():
    _enter_name(_title, _name)


@bad("name: bytes that are no UTF-8, in a data set", Works())
def odd_data_set(bench: Bench) -> Commands:
    data = bench.copy(3)
    for part in ("images", "labels"):
        (data / part / "v0.nii.gz").rename(data / part / os.fsdecode(b"caf\xe9\n.nii.gz"))
    return bench.use(data)
