"""Overlays: colours where the labels are, sizes that can be read, captions that fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.evaluation.overlay import COMPASS, PALETTE, contact_sheet, save_overlay
from stampseg.evaluation.overlay import _legend as legend_of

MARGIN = 8


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.mode == "RGB"
        return np.asarray(picture).astype(int)


def square(low: int, high: int, size: int = 48) -> np.ndarray:
    array = np.zeros((size, size), np.uint8)
    array[low:high, low:high] = 1
    return array


def has_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(colour)).all(axis=-1).any())


def test_a_small_picture_is_enlarged_and_shown_plain_beside(tmp_path: Path) -> None:
    image = np.full((1, 48, 48), 5.0, np.float32)
    picture = pixels(save_overlay(tmp_path / "sub" / "a.png", image, square(10, 30)))
    assert picture.shape[1] == 2 * 384 + 3 * MARGIN and picture.shape[0] > 384
    inside = picture[MARGIN + 20 * 8, 2 * MARGIN + 384 + 20 * 8]
    plain = picture[MARGIN + 20 * 8, MARGIN + 20 * 8]
    assert (plain == plain[0]).all() and inside[2] > inside[0]  # grey left, tinted towards blue right
    np.testing.assert_allclose(inside, plain + 0.45 * (np.array(PALETTE[0]) - plain), atol=1)


def test_a_large_picture_is_reduced(tmp_path: Path) -> None:
    image = np.zeros((1, 1500, 3000), np.float32)
    picture = pixels(save_overlay(tmp_path / "a.png", image, np.zeros((1500, 3000), np.uint8)))
    assert picture.shape[1] == 2 * 1024 + 3 * MARGIN


def test_the_reference_is_an_outline_in_its_class_colour(tmp_path: Path) -> None:
    image = np.zeros((1, 48, 48), np.float32)
    picture = pixels(save_overlay(tmp_path / "a.png", image, square(0, 0), square(10, 30)))[:400]
    panel = picture[MARGIN:, 2 * MARGIN + 384 :]
    assert tuple(panel[80, 160]) == PALETTE[0]  # on the edge of the reference
    assert tuple(panel[160, 160]) == (0, 0, 0)  # inside it nothing is filled


def test_a_class_that_the_reference_does_not_hold_has_no_dice() -> None:
    colours = {1: PALETTE[0], 2: PALETTE[1]}
    entries = legend_of(square(10, 30), square(10, 30), {1: "cord", 2: "cyst"}, colours)
    assert [text for text, _ in entries] == ["cord  Dice 1.000", "cyst  not in this case"]


def test_colours_are_kept_for_rgb_pictures(tmp_path: Path) -> None:
    image = np.zeros((3, 48, 48), np.float32)
    image[0, :, :24] = 255
    picture = pixels(save_overlay(tmp_path / "a.png", image, square(0, 0)))
    assert tuple(picture[200, 30]) == (255, 0, 0)


def test_labels_are_seen_on_any_colour(tmp_path: Path) -> None:
    """Over a picture of nearly the label's colour, the fill and the outline were the picture's own."""
    image = np.empty((3, 48, 48), np.float32)
    image[:] = np.array([0, 255, 200], np.float32)[:, None, None]
    image[:, 0, :2] = [[0, 255], [0, 255], [0, 255]]  # what is black and white
    panel = pixels(save_overlay(tmp_path / "a.png", image, square(5, 40), square(10, 30)))
    panel = panel[MARGIN : MARGIN + 384, 2 * MARGIN + 384 :]
    beside, filled = panel[16, 200], panel[160, 160]
    assert beside.max() == beside.min() and filled[2] - filled[0] > 50
    row = [tuple(panel[160, column]) for column in range(78, 84)]  # from the fill into the reference
    assert row[1:5] == [(0, 0, 0), PALETTE[0], PALETTE[0], (0, 0, 0)]


def test_a_mask_without_a_reference_is_outlined_itself(tmp_path: Path) -> None:
    picture = pixels(save_overlay(tmp_path / "a.png", np.zeros((1, 48, 48), np.float32), square(10, 30)))
    panel = picture[MARGIN:, 2 * MARGIN + 384 :]
    assert tuple(panel[80, 160]) == tuple(panel[81, 160]) == PALETTE[0]
    assert 0 < panel[160, 160][2] < PALETTE[0][2]


def test_a_volume_shows_its_fullest_slices_in_true_proportions(tmp_path: Path) -> None:
    image = np.zeros((2, 20, 30, 10), np.float32)
    image[0, 5:8, 12, 3] = 100
    label = np.zeros((20, 30, 10), np.uint8)
    label[5:8, 12, 3] = 1
    picture = pixels(save_overlay(tmp_path / "a.png", image, label, label, spacing=(1.0, 1.0, 2.0)))
    widths = (256, 384, 384)  # planes of 20 x 30, 20 x 20 and 30 x 20 mm
    assert picture.shape[1] == sum(widths) + 4 * MARGIN
    assert has_colour(picture[:384, : 256 + MARGIN], PALETTE[0])
    assert has_colour(picture[:384, 256 + 2 * MARGIN : 640 + 2 * MARGIN], PALETTE[0])


def test_volumes_stand_upright(tmp_path: Path) -> None:
    image = np.zeros((1, 16, 16, 16), np.float32)
    image[0, :, 12:, :] = 1  # the far end of the second axis belongs at the top of the first plane
    picture = pixels(save_overlay(tmp_path / "a.png", image, np.zeros((16, 16, 16), np.uint8)))
    assert picture[MARGIN + 20, 200, 0] > 250 and picture[MARGIN + 300, 200, 0] == 0


def test_letters_stand_at_the_edges_where_the_axes_are_known(tmp_path: Path) -> None:
    """At the middles of the edges alone, and not at all in a panel without room."""
    empty = np.zeros((20, 20, 4), np.uint8)
    bare, said = (
        pixels(save_overlay(tmp_path / f"{placed}.png", empty[None].astype(np.float32), empty, placed=placed))
        for placed in (False, True)
    )
    rows, columns = np.nonzero((bare != said).any(axis=2))
    first = columns < MARGIN + 384
    near = (abs(rows - MARGIN - 192) < 12) & (np.minimum(columns - MARGIN, 383 + MARGIN - columns) < 24)
    ends = (abs(columns - MARGIN - 192) < 12) & (np.minimum(rows - MARGIN, 383 + MARGIN - rows) < 24)
    assert near[first].any() and ends[first].any() and (near | ends)[first].all() and first.all()


def test_letters_are_those_of_ras() -> None:
    """The first axis that is left runs to the right, the second upwards; a letter is where its axis ends."""
    opposite = dict(zip("RAS", "LPI", strict=True))
    for axis, letters in enumerate(COMPASS):
        across, up = (code for place, code in enumerate("RAS") if place != axis)
        assert letters == opposite[across] + across + up + opposite[up]


@pytest.mark.parametrize("shape", [(1, 5), (7, 1), (1, 1, 1), (1, 9, 4)])
def test_odd_shapes_without_labels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    empty = np.zeros(shape, np.int64)
    assert pixels(save_overlay(tmp_path / "a.png", np.zeros((1, *shape), np.float32), empty, empty)).size


def test_long_titles_are_shortened_to_the_picture(tmp_path: Path) -> None:
    image = np.zeros((1, 48, 48), np.float32)
    short = pixels(save_overlay(tmp_path / "a.png", image, square(2, 8), title="case"))
    long = pixels(save_overlay(tmp_path / "b.png", image, square(2, 8), title="case" * 200))
    assert long.shape == short.shape
    assert (long[:, -MARGIN:] == long[0, 0]).all()


def test_every_class_has_its_colour_and_line(tmp_path: Path) -> None:
    image = np.zeros((1, 48, 48), np.float32)
    labels = np.zeros((48, 48), np.uint8)
    for value in range(1, 10):
        labels[:, value * 5 : value * 5 + 4] = value
    few = pixels(save_overlay(tmp_path / "a.png", image, np.minimum(labels, 1), title="x"))
    many = pixels(save_overlay(tmp_path / "b.png", image, labels, labels, title="x", label_names={1: "one"}))
    assert many.shape[0] - few.shape[0] == 8 * 22
    assert all(has_colour(many, colour) for colour in PALETTE)


def test_a_declared_class_keeps_its_colour_where_others_are_absent(tmp_path: Path) -> None:
    image = np.zeros((1, 48, 48), np.float32)
    only_second = square(10, 30) * 2
    names = {0: "background", 1: "a", 2: "b"}
    picture = pixels(save_overlay(tmp_path / "a.png", image, only_second, only_second, label_names=names))
    assert has_colour(picture[:384], PALETTE[1]) and not has_colour(picture[:384], PALETTE[0])


def test_shapes_must_fit(tmp_path: Path) -> None:
    image = np.zeros((1, 4, 5), np.float32)
    good, bad = np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8)
    with pytest.raises(DataError, match=r"overlay c1: the prediction has shape \(5, 4\), the image \(4, 5\)"):
        save_overlay(tmp_path / "a.png", image, bad, title="c1")
    with pytest.raises(DataError, match="overlay c1: the reference has shape"):
        save_overlay(tmp_path / "a.png", image, good, bad, title="c1")
    with pytest.raises(DataError, match="1 spatial axes; expected 2 or 3"):
        save_overlay(tmp_path / "a.png", np.zeros((1, 4)), np.zeros(4, np.uint8), title="c1")


def test_contact_sheet_runs_from_worst_to_best(tmp_path: Path) -> None:
    scores = {}
    for number, level in enumerate((200, 50, 120)):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (100, 50), (level, level, level)).save(path)
        scores[path] = level / 255
    sheet = pixels(contact_sheet(scores, tmp_path / "s" / "sheet.png", columns=2, tile_width=60))
    assert sheet.shape == (2 * 30 + 3 * MARGIN, 2 * 60 + 3 * MARGIN, 3)
    assert [sheet[20, 30, 0], sheet[20, 100, 0], sheet[60, 30, 0]] == [50, 120, 200]


def test_contact_sheet_of_many_keeps_the_ends(tmp_path: Path) -> None:
    scores = {}
    for level in range(0, 250, 10):
        path = tmp_path / f"{level}.png"
        Image.new("RGB", (10, 10), (level, 255, level)).save(path)
        scores[path] = float(level)
    sheet = pixels(contact_sheet(scores, tmp_path / "sheet.png", columns=5, maximum=5, tile_width=10))
    assert sheet.shape == (10 + 2 * MARGIN, 5 * 10 + 6 * MARGIN, 3)
    assert (sheet[12, 12, 0], sheet[12, -12, 0]) == (0, 240)


def test_contact_sheet_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no overlays to put on a contact sheet"):
        contact_sheet({}, tmp_path / "sheet.png")
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(DataError, match=r"a\.png: not a picture"):
        contact_sheet({tmp_path / "a.png": 1.0}, tmp_path / "sheet.png")
