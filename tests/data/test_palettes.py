"""The index of a colour in a palette is arbitrary: what an indexed mask says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.cases import Case
from stampseg.data.io.colours import COLOUR
from stampseg.data.io.readers import read_label, read_palette
from stampseg.data.labels.label_table import label_table

BLACK, WHITE, RED, GREEN, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 200)
MASK = np.uint8([[0, 0, 1], [0, 2, 1]])


def save(path: Path, indices: np.ndarray, *palette: tuple[int, int, int]) -> Path:
    if path.suffix == ".tif":
        colours = np.zeros((3, 256), np.uint16)
        colours[:, : len(palette)] = np.array(palette).T * 257
        tifffile.imwrite(path, indices, photometric="palette", colormap=colours)
    else:
        picture = Image.fromarray(indices).convert("P")
        picture.putdata(indices.ravel().tolist())
        picture.putpalette([part for colour in palette for part in colour])
        picture.save(path)
    return path


def table_of(*paths: Path):  # type: ignore[no-untyped-def]
    return label_table([Case(path.stem, path.stem, (path,), path) for path in paths], {})


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
def test_greys_are_what_they_show(suffix: str, tmp_path: Path) -> None:
    """Pillow's quantize numbers white first: the ground would be trained as the object."""
    indices = (MASK == 0).astype(np.uint8)
    path = save(tmp_path / f"a{suffix}", indices, WHITE, BLACK)
    assert read_label(path).array.tolist() == np.where(MASK == 0, 0, 255).tolist()


def test_masks_of_either_order_are_one_class(tmp_path: Path) -> None:
    one = save(tmp_path / "a.png", (MASK == 0).astype(np.uint8), WHITE, BLACK)
    two = save(tmp_path / "b.png", (MASK != 0).astype(np.uint8), BLACK, WHITE)
    plain = tmp_path / "c.png"
    Image.fromarray((MASK != 0).astype(np.uint8) * 255).save(plain)
    assert table_of(one, two, plain).values == (0, 255)


def test_what_quantize_makes_is_what_was_drawn(tmp_path: Path) -> None:
    drawn = np.repeat(np.where(MASK == 0, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    Image.fromarray(drawn).quantize(2).save(tmp_path / "a.png")
    assert read_label(tmp_path / "a.png").array.tolist() == drawn[..., 0].tolist()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_after_black_are_numbered_classes(suffix: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"a{suffix}", MASK, BLACK, RED, GREEN)
    assert read_label(path).array.tolist() == MASK.tolist()
    assert table_of(path).values == (0, 1, 2)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_in_any_other_order_are_colours(suffix: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"a{suffix}", MASK, RED, BLACK, BLUE)
    red, blue = COLOUR | 0xFF0000, COLOUR | 200
    assert read_label(path).array.tolist() == [[red, red, 0], [red, blue, 0]]


def test_indices_of_one_colour_are_numbers(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", MASK, WHITE, WHITE, WHITE)
    assert read_label(path).array.tolist() == MASK.tolist()


def test_palettes_that_differ_are_refused(tmp_path: Path) -> None:
    """1 is red here and green there: it would be one class."""
    paths = (
        save(tmp_path / "a.png", MASK, BLACK, RED, GREEN),
        save(tmp_path / "b.png", MASK, BLACK, GREEN, RED),
    )
    with pytest.raises(
        DataError, match=r"b.png: 1 is #00ff00 in its palette, and #ff0000 in that of .*a.png; "
    ):
        table_of(*paths)


def test_a_colour_that_is_not_used_may_differ(tmp_path: Path) -> None:
    one = save(tmp_path / "a.png", MASK, BLACK, RED, GREEN)
    two = save(tmp_path / "b.png", np.minimum(MASK, 1), BLACK, RED, BLUE)
    assert table_of(one, two).values == (0, 1, 2)


def test_the_palette_can_be_read(tmp_path: Path) -> None:
    for suffix in (".png", ".tif"):
        palette = read_palette(save(tmp_path / f"a{suffix}", MASK, BLACK, RED, GREEN))
        assert palette is not None and palette[:3].tolist() == [list(c) for c in (BLACK, RED, GREEN)]
    Image.fromarray(MASK).save(tmp_path / "grey.png")
    assert read_palette(tmp_path / "grey.png") is None


def grey(folder: Path, name: str, *values: int) -> Path:
    Image.fromarray(np.uint8([values])).save(folder / name)
    return folder / name


def test_one_mask_stored_in_two_ways_is_a_warning(tmp_path: Path) -> None:
    ones, full = grey(tmp_path, "a.png", 0, 1, 1), grey(tmp_path, "b.png", 0, 255, 255)
    assert table_of(ones, full).warnings == (
        "1 label(s) hold 0 and 1, 1 hold 0 and 255 (such as a.png and b.png); they are trained as two "
        "classes: if both are one structure, say `data.merge` foreground=1,255, or save them with one value",
    )
    both = grey(tmp_path, "c.png", 0, 1, 255)
    (told,) = table_of(ones, full, both).warnings
    assert told.startswith("value 255 beside 1 in 2 label(s)")  # two structures, or what is not labelled
    assert not table_of(ones).warnings
