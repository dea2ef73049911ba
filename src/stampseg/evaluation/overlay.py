"""Pictures to judge a segmentation by eye: prediction filled, reference as outline. Pillow only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..core.errors import DataError
from ..core.files import write_whole
from .metrics import dice_score

# Okabe and Ito's palette, told apart with every common form of colour blindness.
PALETTE = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
_SMALLEST, _LARGEST = 384, 1024  # pixels of a panel's longer side
_FONT_SIZE, _MARGIN = 16, 8
_OPACITY = 0.45
_INK, _PAPER = (235, 235, 235), (24, 24, 24)
# Of the planes across each axis of a RAS volume, drawn `upright`: what lies left, right, above and below.
COMPASS = ("PASI", "LRSI", "LRAP")
_ROOM = 6 * _FONT_SIZE  # a narrower panel has no room for the letters


@dataclass(frozen=True)
class _Panel:
    """One slice to draw: image (rows, columns, 3) uint8, labels (rows, columns), display size (w, h).

    `compass` has the letters left, right, above and below; "" for none.
    """

    image: np.ndarray
    prediction: np.ndarray
    reference: np.ndarray | None
    size: tuple[int, int]
    compass: str = ""


def save_overlay(
    path: Path,
    image: np.ndarray,
    prediction: np.ndarray,
    reference: np.ndarray | None = None,
    *,
    title: str = "",
    spacing: Sequence[float] | None = None,
    label_names: Mapping[int, str] | None = None,
    placed: bool = False,
) -> Path:
    """Write a PNG of a case; 0 in the label maps is background.

    A picture is shown plain and, in grey, with its labels; a volume as the three orthogonal slices with the
    largest labelled area, the second axis of each slice upwards (anterior and superior for RAS).
    The caption has the title and, with a reference, the Dice of each class.

    Args:
        path: File to write; its folder is created.
        image: (C, *S), 2D or 3D. Three channels in 2D are colours, else the first is shown, grey
            from its 1st to its 99th percentile.
        prediction: Integers (*S).
        reference: Integers (*S), or None.
        title: Usually the case's id.
        spacing: Voxel size per axis, for true proportions; None: cubes.
        label_names: Name of each value for the caption.
        placed: The axes of the volume are the closest ones to RAS: the letters of what lies left and right
            (L, R), above and below (A, P, S, I) stand at the edges.

    Raises:
        DataError: the shapes do not fit.
    """
    for name, array in (("prediction", prediction), ("reference", reference)):
        if array is not None and array.shape != image.shape[1:]:
            raise DataError(
                f"overlay {title or path}: the {name} has shape {array.shape}, the image "
                f"{image.shape[1:]}; both must lie on the same grid"
            )
    if prediction.ndim not in (2, 3):
        raise DataError(f"overlay {title or path}: {prediction.ndim} spatial axes; expected 2 or 3")
    names = _classes(prediction, reference, label_names or {})
    colours = {value: PALETTE[position % len(PALETTE)] for position, value in enumerate(names)}
    panels = _panels(image, prediction, reference, spacing, placed)
    drawn = [_draw(panel, colours) for panel in panels]
    if prediction.ndim == 2:
        drawn.insert(0, Image.fromarray(panels[0].image).resize(panels[0].size, Image.Resampling.BICUBIC))
    key = "filled: prediction" + ("" if reference is None else ", outline: reference")
    heading = f"{title}  ({key})" if title else key
    sheet = _assemble(drawn, heading, _legend(prediction, reference, names, colours))
    write_whole(path, sheet.save)
    return path


def contact_sheet(
    scores: Mapping[Path, float], path: Path, *, columns: int = 3, maximum: int = 24, tile_width: int = 420
) -> Path:
    """Write one PNG of many overlays, from the worst score (top left) to the best.

    Args:
        scores: Score, such as the mean Dice, of each overlay's PNG; those of nan come last.
        path: File to write; its folder is created.
        columns: Tiles per row.
        maximum: With more overlays, this many are shown, evenly spaced in rank, worst and best included.
        tile_width: Pixels.

    Raises:
        DataError: no overlays, or a file that is not a picture.
    """
    if not scores:
        raise DataError(f"{path}: no overlays to put on a contact sheet; expected at least one picture")
    ranked = sorted(scores, key=lambda overlay: (math.isnan(scores[overlay]), scores[overlay], str(overlay)))
    tiles = [_tile(ranked[i], tile_width) for i in evenly(len(ranked), maximum)]
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in row) for row in rows]
    width = min(columns, len(tiles)) * (tile_width + _MARGIN) + _MARGIN
    sheet = Image.new("RGB", (width, sum(heights) + _MARGIN * (len(rows) + 1)), _PAPER)
    top = _MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_MARGIN + column * (tile_width + _MARGIN), top))
        top += height + _MARGIN
    write_whole(path, sheet.save)
    return path


def evenly(count: int, most: int) -> list[int]:
    """Places from 0 to `count` - 1, all or `most` of them, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def _tile(path: Path, width: int) -> Image.Image:
    try:
        with Image.open(path) as picture:
            tile = picture.convert("RGB")
    except OSError as error:
        raise DataError(f"{path}: not a picture ({error}); expected an overlay's PNG") from None
    return tile.resize((width, max(1, round(tile.height * width / tile.width))), Image.Resampling.LANCZOS)


def _classes(
    prediction: np.ndarray, reference: np.ndarray | None, label_names: Mapping[int, str]
) -> dict[int, str]:
    """Name of every class that is declared or occurs: declared ones keep their colour in every case."""
    found = {int(v) for labels in (prediction, reference) if labels is not None for v in np.unique(labels)}
    return {value: label_names.get(value, str(value)) for value in sorted((found | {*label_names}) - {0})}


def _legend(
    prediction: np.ndarray,
    reference: np.ndarray | None,
    names: Mapping[int, str],
    colours: Mapping[int, tuple[int, int, int]],
) -> list[tuple[str, tuple[int, int, int]]]:
    """Text and colour for each class."""
    entries = []
    for value, name in names.items():
        mask = prediction == value
        dice = None if reference is None else dice_score(mask, reference == value)
        score = "" if dice is None else "  not in this case" if math.isnan(dice) else f"  Dice {dice:.3f}"
        entries.append((name + score, colours[value]))
    return entries


def _panels(
    image: np.ndarray,
    prediction: np.ndarray,
    reference: np.ndarray | None,
    spacing: Sequence[float] | None,
    placed: bool,
) -> list[_Panel]:
    sizes = tuple(spacing) if spacing is not None else (1.0,) * prediction.ndim
    window = grey_window(image)
    if prediction.ndim == 2:
        size = _display_size(prediction.shape, sizes)
        return [_Panel(to_rgb(image, window), prediction, reference, size)]
    labelled = prediction != 0 if reference is None else (prediction != 0) | (reference != 0)
    panels = []
    for axis in (2, 1, 0):
        index = _largest_slice(labelled, axis)
        plane = upright(np.take(prediction, index, axis))
        truth = None if reference is None else upright(np.take(reference, index, axis))
        grey = upright(to_rgb(np.take(image[:1], index, axis + 1), window))
        column_size, row_size = (size for a, size in enumerate(sizes) if a != axis)
        size = _display_size(plane.shape, (row_size, column_size))
        panels.append(_Panel(grey, plane, truth, size, COMPASS[axis] if placed else ""))
    return panels


def _largest_slice(labelled: np.ndarray, axis: int) -> int:
    """Index with the most labelled voxels along the axis; the middle when there is none."""
    area = labelled.sum(axis=tuple(a for a in range(labelled.ndim) if a != axis))
    return int(area.argmax()) if area.any() else labelled.shape[axis] // 2


def upright(plane: np.ndarray) -> np.ndarray:
    """(x, y, ...) to (row, column, ...) with y upwards."""
    return plane.swapaxes(0, 1)[::-1]


def _display_size(shape: tuple[int, ...], spacing: Sequence[float]) -> tuple[int, int]:
    """Width and height in pixels, in true proportions, the longer side within the limits."""
    unit = min(spacing)
    height, width = (n * s / unit for n, s in zip(shape, spacing, strict=True))
    longer = max(height, width)
    scale = min(max(longer, _SMALLEST), _LARGEST) / longer
    return max(1, round(width * scale)), max(1, round(height * scale))


def _is_colour(image: np.ndarray) -> bool:
    return image.ndim == 3 and image.shape[0] == 3


def grey_window(image: np.ndarray) -> tuple[float, float]:
    """Values shown as black and white."""
    shown = image if _is_colour(image) else image[:1]
    # A part of them, in the order of memory: a percentile of all takes seconds, and a copy.
    sample = shown.ravel(order="K")[:: max(1, shown.size // 1_000_000)]
    low, high = (float(v) for v in np.percentile(sample, (1, 99)))
    if high > low:
        return low, high
    low, high = float(shown.min()), float(shown.max())
    return low, max(high, low + 1e-6)


def to_rgb(image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """(C, rows, columns) to (rows, columns, 3) uint8."""
    low, high = window
    shown = image if _is_colour(image) else image[:1]
    levels = np.clip((shown - low) / (high - low), 0, 1) * 255
    return np.moveaxis(np.broadcast_to(levels, (3, *levels.shape[1:])), 0, -1).astype(np.uint8)


def _draw(panel: _Panel, colours: Mapping[int, tuple[int, int, int]]) -> Image.Image:
    picture = Image.fromarray(panel.image).resize(panel.size, Image.Resampling.BICUBIC)
    picture = picture.convert("L").convert("RGB")  # on red or green a label's colour is another, or lost
    canvas = np.asarray(picture, dtype=np.float32).copy()
    for value, colour in colours.items():
        filled = _enlarge(panel.prediction == value, panel.size)
        canvas[filled] += _OPACITY * (np.array(colour, dtype=np.float32) - canvas[filled])
    outlined = panel.prediction if panel.reference is None else panel.reference
    fill = _enlarge(panel.prediction != 0, panel.size)
    for value, colour in colours.items():
        mask = _enlarge(outlined == value, panel.size)
        line = mask & ~_eroded(mask, 2)
        if panel.reference is not None:  # black rims keep it visible on a fill of its own colour
            canvas[(mask & ~_eroded(mask, 3)) | (fill & ~mask & ~_eroded(~mask, 1))] = 0
        canvas[line] = colour
    drawn = Image.fromarray(canvas.astype(np.uint8))
    if panel.compass and min(panel.size) >= _ROOM:
        _write_compass(drawn, panel.compass)
    return drawn


def _write_compass(picture: Image.Image, letters: str) -> None:
    """Left, right, above and below, with a dark rim so that they are read on white as well."""
    (width, height), edge = picture.size, _MARGIN // 2
    places = (edge, height // 2), (width - edge, height // 2), (width // 2, edge), (width // 2, height - edge)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT_SIZE)
    for letter, place, anchor in zip(letters, places, ("lm", "rm", "ma", "md"), strict=True):
        pen.text(place, letter, fill=_INK, font=font, anchor=anchor, stroke_width=2, stroke_fill=_PAPER)


def _eroded(mask: np.ndarray, times: int) -> np.ndarray:
    """A mask (rows, columns) without its border pixels, as often as told; outside is background."""
    for _ in range(times):
        wide = np.pad(mask, 1)
        mask = mask & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask


def _enlarge(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)) > 0


def _assemble(
    panels: Sequence[Image.Image], heading: str, legend: Sequence[tuple[str, tuple[int, int, int]]]
) -> Image.Image:
    """Panels side by side above the caption's lines."""
    width = sum(panel.width for panel in panels) + _MARGIN * (len(panels) + 1)
    height = max(panel.height for panel in panels)
    lines: list[tuple[str, tuple[int, int, int] | None]] = [(heading, None)]
    lines += [(text, colour) for text, colour in legend]
    if not legend:
        lines.append(("nothing labelled", None))
    line_height = _FONT_SIZE + 6
    sheet = Image.new("RGB", (width, height + 3 * _MARGIN + line_height * len(lines)), _PAPER)
    left = _MARGIN
    for panel in panels:
        sheet.paste(panel, (left, _MARGIN + (height - panel.height) // 2))
        left += panel.width + _MARGIN
    pen = ImageDraw.Draw(sheet)
    for number, (text, colour) in enumerate(lines):
        top = height + 2 * _MARGIN + number * line_height
        indent = _MARGIN
        if colour is not None:
            pen.rectangle((indent, top + 2, indent + _FONT_SIZE, top + 2 + _FONT_SIZE - 2), fill=colour)
            indent += _FONT_SIZE + _MARGIN
        _write(pen, (indent, top), text, width - indent - _MARGIN)
    return sheet


def _write(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, room: int) -> None:
    """Draw one line, shortened with an ellipsis where the room ends."""
    font = ImageFont.load_default(_FONT_SIZE)
    shown = text
    while len(shown) > 1 and pen.textlength(shown, font=font) > room:
        shown = shown[:-2].rstrip("…") + "…"
    pen.text(corner, shown, fill=_INK, font=font)
