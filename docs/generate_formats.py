"""Write docs/reference/formats.md from the table of image formats: python docs/generate_formats.py."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from stampseg.data.io.format import Format
from stampseg.data.io.formats import FORMATS

TARGET = Path(__file__).parent / "reference" / "formats.md"
PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


MEANING = """\
## What pictures and masks mean

- A picture is read as viewers show it: the orientation of EXIF and TIFF counts, for images and masks alike. The mask
  of such a picture is stored turned as the picture is, with the same orientation.
- An indexed mask is its greys where its palette is grey. A palette of colours that begins with black numbers classes,
  and must be the same in all masks; any other stands for its colours.
- Masks may be drawn in colours, each colour a class. What is transparent is background; a mask of black on transparent
  is refused.
- A mask stored as JPEG is read where it is black and white, as what is brighter than half, and refused otherwise: its blur
  makes other values out of classes.
- Names of classes are those of dataset.json, else those in the label file itself (DICOM-SEG, Slicer's `.seg.nrrd`), else
  `label_7` for value 7 (`foreground` where 1 or 255 is the only one). A value with another name in another file is refused.
- Values go up to 4294967295, as far as the masks' file type holds them: PNG to 65535. Floats may have rounded what is
  above 16777216 (32 bits), which is refused.
- Of a TIFF with pictures of several sizes the largest is read. Sizes of voxels that a TIFF states are not read: a stack counts as of 1 mm,
  and it is said; colours of inks or of CIELAB are refused.
- One file of an OME set (a file for each slice) is refused: save the volume as one TIFF.
- Of a NIfTI with qform and sform the sform is taken, and a warning says where the two name other sides or sizes. A label
  that lies as the other of the two says, as one drawn in an ITK program may, is paired voxel by voxel.
- A value that `--ignore-label` names, or that dataset.json calls `ignore` as nnU-Net does, marks voxels of which nobody
  said what they are: they are left out of the loss, of channel scores, of every Dice and of `stampseg evaluate`.
- Layers of a `.seg.nrrd` are one map where its segments do not overlap (numbered from 1 where two layers use one number);
  segments that overlap are refused, with their names.
- Regions of dataset.json (lists of values, with or without `regions_class_order`) are trained, measured and written as regions.
""".splitlines()


def formats_page() -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Image formats",
            "",
            "The suffix of a file says what it is. Masks that `stampseg predict` writes lie on the image's grid, in the "
            "image's own format where that can hold label maps. Made from the code.",
            "",
            "| format | suffixes | images | label maps | masks of such images | read with |",
            "|---|---|---|---|---|---|",
            *map(_row, FORMATS),
            "",
            "Where it says `pip install`, the package comes with `stampseg[train]`, and not with `stampseg[runtime]` or "
            "`stampseg[openvino]`; the message says so when such a file comes.",
            "",
            *MEANING,
            "",
        ]
    )


def _row(each: Format) -> str:
    suffixes = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
    pair = f" ({' and '.join(each.pair)} together)" if each.pair else ""
    image = "a file, or a folder of slices" if each.series else "yes"
    label = "yes" if each.read_label else "no"
    masks = f"`{each.mask_suffix}`" if each.mask_suffix else "the image's suffix"
    cells = (each.name, suffixes + pair, image, label, masks, _package(each.package))
    return f"| {' | '.join(cells)} |"


def _package(name: str) -> str:
    """The package, and how it comes where the base installation lacks it."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    base, train = (
        {re.split(r"[^\w.-]", each)[0] for each in needed}
        for needed in (project["dependencies"], project["optional-dependencies"]["train"])
    )
    if name in base:
        return name
    assert name in train, f"{name}: expected in a list of pyproject.toml that those who train install"
    return f"`pip install {name}`"


if __name__ == "__main__":
    TARGET.write_text(formats_page(), encoding="utf-8")
