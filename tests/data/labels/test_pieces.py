"""Labels of one piece: who is one, and which piece a mask keeps."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy.ndimage import label

from stampseg.core.data_options import DataOptions
from stampseg.data.cases import Case
from stampseg.data.fingerprint import fingerprint
from stampseg.data.inverse import Restorer
from stampseg.data.labels.pieces import count_pieces, keep_surest
from stampseg.data.plan import Plan
from stampseg.data.planner import make_plan
from stampseg.data.preprocess import Geometry
from tests.data.fingerprints import TABLE, facts


def blobs(*places, shape=(20, 24)):
    """A mask with a square of class 1 at each (row, column, size)."""
    mask = np.zeros(shape, np.uint8)
    for row, column, size in places:
        mask[row : row + size, column : column + size] = 1
    return mask


def test_pieces_are_counted_through_corners_and_past_specks():
    assert count_pieces(blobs((2, 2, 6)) > 0) == 1
    assert count_pieces(blobs((2, 2, 6), (8, 8, 6)) > 0) == 1  # corner to corner
    assert count_pieces(blobs((2, 2, 6), (12, 12, 2)) > 0) == 2
    assert count_pieces(blobs((1, 1, 12), (18, 20, 1)) > 0) == 1  # 1 pixel of 145
    assert count_pieces(blobs() > 0) == 0
    volume = np.zeros((6, 6, 6), bool)
    volume[1:3, 1:3, 1:3] = True
    assert count_pieces(volume) == 1
    volume[5, 5, 5] = True
    assert count_pieces(volume) == 2


def test_a_small_sure_piece_wins_over_a_large_unsure_one():
    mask = blobs((1, 1, 8), (12, 14, 5))
    margins = np.where(blobs((12, 14, 5)), 250, 20).astype(np.uint8)
    assert keep_surest(mask, margins, [1]) == 1
    assert np.array_equal(mask, blobs((12, 14, 5)))


def test_of_equally_sure_pieces_the_largest_stays_and_other_classes_are_left_alone():
    mask = blobs((1, 1, 8), (12, 14, 5)) + 2 * blobs((12, 1, 3), (16, 20, 2))  # 64 pixels, and 25
    before = mask.copy()
    assert keep_surest(mask, np.full(mask.shape, 9, np.uint8), [1]) == 1
    assert np.array_equal(mask == 1, blobs((1, 1, 8)).astype(bool))
    assert np.array_equal(mask == 2, before == 2)
    assert keep_surest(mask, np.full(mask.shape, 9, np.uint8), [1]) == 0


def test_a_piece_that_comes_near_the_surest_is_no_stray():
    mask = blobs((1, 1, 6), (12, 14, 5), (1, 20, 1))  # 36, 25 and 1 pixels
    assert keep_surest(mask, np.full(mask.shape, 9, np.uint8), [1]) == 1
    assert np.array_equal(mask, blobs((1, 1, 6), (12, 14, 5)))


def test_a_turned_volume_keeps_the_turned_piece():
    rng = np.random.default_rng(0)
    mask = (rng.random((12, 14, 10)) > 0.93).astype(np.uint8)
    mask[2:5, 2:5, 2:5] = 1
    margins = rng.integers(1, 255, mask.shape).astype(np.uint8)
    turned, other = np.flip(mask, 1).transpose(2, 0, 1).copy(), np.flip(margins, 1).transpose(2, 0, 1)
    assert keep_surest(mask, margins, [1]) == keep_surest(turned, other, [1]) > 5
    assert np.array_equal(turned, np.flip(mask, 1).transpose(2, 0, 1))
    assert label(mask, np.ones((3, 3, 3)))[1] == 1


@pytest.mark.parametrize("shape", [(12, 10), (24, 30)])
def test_margins_are_the_lead_over_the_background(shape):
    """Oracle: probabilities interpolated to the source at once."""
    scores = np.random.default_rng(1).dirichlet((1, 1, 1), (12, 10)).astype(np.float32)
    scores = np.moveaxis(scores, -1, 0)
    working = Geometry.working((12, 10))
    geometry = replace(working, source_shape=shape, box=tuple((0, n) for n in shape))
    plain, both = Restorer(geometry, 3), Restorer(geometry, 3, with_margins=True)
    for part in (scores[:, :5], scores[:, 5:]):
        plain.add(part)
        both.add(part)
    assert plain.margins is None
    assert np.array_equal(plain.mask, both.mask)
    if shape == (12, 10):
        lead = np.maximum(scores[1:].max(0) - scores[0], 0)
        np.testing.assert_allclose(both.margins, 255 * lead, atol=0.51)
    assert (both.margins[both.mask == 0] == 0).all()


def planned(folder, masks, **data):
    folder.mkdir()
    cases = []
    for number, mask in enumerate(masks):
        image, drawn = folder / f"{number}.png", folder / f"{number}_mask.png"
        noise = np.random.default_rng(number).integers(0, 60, mask.shape)
        Image.fromarray((150 * mask + noise).astype(np.uint8)).save(image)
        Image.fromarray(mask).save(drawn)
        cases.append(Case(str(number), str(number), (image,), drawn))
    return make_plan(fingerprint(cases, TABLE, ()), TABLE, DataOptions(**data), None)


def test_a_plan_says_which_labels_are_one_piece(tmp_path):
    ones, two = [blobs((2 + n, 3, 7)) for n in range(5)], blobs((1, 1, 6), (12, 12, 6))
    plan = planned(tmp_path / "one", ones)
    assert plan.one_piece == (1,)
    assert (
        "pieces: organ: one piece in every label; masks keep the surest, and any that rivals it" in plan.notes
    )
    assert planned(tmp_path / "asked", ones, pieces="all").one_piece == ()
    assert planned(tmp_path / "few", ones[:3]).one_piece == ()
    assert planned(tmp_path / "four", ones[:4]).one_piece == (1,)  # of five, of which one validates
    assert planned(tmp_path / "two", [*ones, two]).one_piece == ()


def test_a_plan_cannot_name_a_class_that_is_not_there():
    with pytest.raises(ValidationError, match=r"one_piece \[2\] are not within 1 and 1"):
        Plan(
            spatial_dims=2, in_channels=1, label_values=(0, 1), label_names=("background", "head"),
            orientation=None, spacing=(1, 1), crop="none", patch_size=(8, 8), normalization="zscore", ct=None,
            strides=((2, 2),), one_piece=(2,),
        )  # fmt: skip


def test_fingerprints_of_before_plan_without_pieces():
    assert make_plan(facts([(40, 40)]), TABLE, DataOptions(), None).one_piece == ()
