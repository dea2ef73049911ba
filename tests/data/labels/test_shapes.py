"""What labels look like, and what is unlike them."""

import math

import numpy as np

from stampseg.data.fingerprint import object_radius
from stampseg.data.labels.shapes import (
    ABSURD,
    LabelShape,
    joined_shapes,
    measure_shapes,
    one_piece_classes,
    unusual,
    with_thickness,
)


def boxes(*places, shape=(20, 24)):
    """A mask of (class, row, column, height, width)."""
    mask = np.zeros(shape, np.uint8)
    for value, row, column, height, width in places:
        mask[row : row + height, column : column + width] = value
    return mask


def test_shapes_of_a_mask():
    mask = boxes((1, 2, 3, 4, 5), (1, 10, 10, 2, 2), (3, 0, 8, 2, 3))
    background, one, two, three = measure_shapes(mask, 4, (0.5, 2.0))
    assert background is None and two is None
    assert one == LabelShape(cases=1, size=(24, 24), pieces=2, at_border=False)
    assert three == LabelShape(cases=1, size=(6, 6), pieces=1, at_border=True)


def test_shapes_do_not_depend_on_the_axes():
    volume = np.zeros((6, 7, 8), np.uint8)
    volume[1:3, 2:6, 3:8] = 1
    turned = np.flip(volume, 1).transpose(2, 0, 1)
    assert measure_shapes(volume, 2, (1, 2, 3)) == measure_shapes(turned, 2, (3, 1, 2))


def test_shapes_are_joined_over_the_cases_that_hold_a_label():
    first = measure_shapes(boxes((1, 2, 3, 4, 5)), 3, (1, 1))
    second = measure_shapes(boxes((1, 0, 0, 2, 2), (1, 8, 8, 2, 2), (2, 14, 3, 1, 1)), 3, (1, 1))
    assert joined_shapes([first, second], ["a", "b"]) == (
        None,
        LabelShape(cases=2, people=2, size=(8, 20), pieces=2, at_border=True),
        LabelShape(cases=1, size=(1, 1), pieces=1, at_border=False),
    )


def test_a_class_is_one_piece_if_every_one_of_four_cases_says_so():
    def shape(cases, pieces, people=3):
        return LabelShape(cases=cases, people=people, size=(1, 2), pieces=pieces, at_border=False)

    assert one_piece_classes((None, shape(4, 1), shape(5, 2), shape(3, 1), None)) == (1,)
    assert one_piece_classes((None, shape(9, 1, people=2))) == ()
    assert one_piece_classes(()) == ()


def test_what_is_thin_is_not_kept_to_one_piece():
    """Vessels are one piece where somebody drew them; a mask breaks along them, and loses whole branches."""
    y, x = np.mgrid[:96, :96]
    disc, tube = (y - 40) ** 2 + (x - 40) ** 2 <= 900, abs(y - 48 - 12 * np.sin(x / 12)) <= 1
    for mask, least, most in ((disc, 0.95, 1.05), (tube, 0.05, 0.2)):
        classes, radius = mask.astype(np.uint8), object_radius(mask.astype(np.uint8), 1, (0.5, 0.5))
        (_, of_case) = with_thickness(measure_shapes(classes, 2, (0.5, 0.5)), (radius,), 2)
        assert of_case.pieces == 1 and least < of_case.thickness < most
        of_all = joined_shapes([(None, of_case)] * 5, [*"abcde"])
        assert one_piece_classes(of_all) == ((1,) if mask is disc else ())
    ball = sum((axis - 10) ** 2 for axis in np.mgrid[:21, :21, :21]) <= 64
    radius = object_radius(ball.astype(np.uint8), 1, (2.0, 2.0, 2.0))
    (_, of_ball) = with_thickness(measure_shapes(ball.astype(np.uint8), 2, (2.0, 2.0, 2.0)), (radius,), 3)
    assert 0.95 < of_ball.thickness < 1.1
    assert with_thickness((None, of_ball), (None,), 3) == (None, of_ball)  # as it was, where none is known


def test_what_no_training_label_is_like():
    usual = LabelShape(cases=9, size=(2000.0, 4000.0), pieces=1, at_border=False)
    names = ("background", "liver", "tumour")

    def said(mask, picture=True, spacing=(10.0, 10.0), cases=10, usual=usual):
        return unusual(mask, (None, usual, None), names, spacing, picture=picture, cases=cases)

    assert said(boxes((1, 5, 5, 5, 6))) == []
    assert said(boxes((1, 5, 5, 3, 3)), picture=False) == ["liver: 9 cm2 (trained on 20 to 40)"]
    assert said(boxes((1, 5, 5, 10, 10))) == ["liver: 10000 pixels (trained on 2000 to 4000)"]
    assert said(boxes((1, 0, 5, 5, 3), (1, 10, 10, 5, 3))) == [
        "liver: 2 pieces (trained on 1 at most)",
        "liver: reaches the border of the image, as no training label does",
    ]
    assert said(boxes((2, 5, 5, 5, 5))) == said(boxes(), cases=0) == ["liver: nothing found"]
    assert said(boxes((2, 5, 5, 5, 5)), cases=11) == []  # two of eleven training cases had none
    vessels = usual.model_copy(update={"thickness": 0.1})
    assert said(boxes((1, 5, 5, 5, 3), (1, 10, 10, 5, 3)), usual=vessels) == []  # they break, and are right
    volume = np.zeros((9, 9, 9), np.uint8)
    volume[4, 4, 4] = 1
    big = LabelShape(cases=9, size=(30000.0, 40000.0), pieces=1, at_border=False)
    assert unusual(volume, (None, big), names[:2], (10.0, 10.0, 10.0), picture=False, cases=9) == [
        "liver: 1 ml (trained on 30 to 40)"
    ]


def test_what_is_absurd_is_told_in_the_same_words_and_later():
    """Far beyond the sizes, many times the pieces, gone where every case has it; not of the border alone."""
    usual = LabelShape(cases=9, size=(30.0, 40.0), pieces=1, at_border=False)
    some = LabelShape(cases=8, size=(30.0, 40.0), pieces=1, at_border=False)
    names = ("background", "liver", "tumour")

    def said(mask, cases=9, single=()):
        return unusual(
            mask, (None, usual, some), names, (1.0, 1.0), picture=True, cases=cases or math.inf,
            bounds=ABSURD, single=single,
        )  # fmt: skip

    assert said(boxes((1, 0, 5, 3, 3))) == []  # a third of the least, and at the border
    assert said(boxes((1, 5, 5, 2, 3))) == ["liver: 6 pixels (trained on 30 to 40)"]
    assert said(np.ones((20, 24), np.uint8)) == ["liver: 480 pixels (trained on 30 to 40)"]
    pieces = [(1, 2 + 6 * (n // 2), 2 + 8 * (n % 2), 3, 3) for n in range(4)]
    assert said(boxes(*pieces[:3])) == [] == said(boxes(*pieces[:3]), single=(2,))
    assert said(boxes(*pieces[:3]), single=(1,)) == ["liver: 3 pieces (trained on 1 at most)"]
    assert said(boxes(*pieces)) == ["liver: 4 pieces (trained on 1 at most)"]
    assert said(boxes((2, 5, 5, 6, 6))) == ["liver: nothing found"]
    assert said(boxes((1, 5, 5, 6, 6))) == []  # not every case has a tumour
    assert said(boxes(), cases=0) == []  # of how many there were, old models do not say


def test_pieces_are_not_counted_in_boxes_beyond_what_is_asked():
    mask = boxes((1, 2, 3, 4, 5), (1, 10, 10, 2, 2))
    assert [measure_shapes(mask, 2, (1, 1), most)[1].pieces for most in (None, 90, 89)] == [2, 2, 1]
