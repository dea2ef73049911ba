"""Write docs/reference/formats.md from the table of image formats: python docs/generate_formats.py."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from stampseg.data.io.format import Format
from stampseg.data.io.formats import FORMATS

TARGET = Path(__file__).parent / "reference" / "formats.md"
PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


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
