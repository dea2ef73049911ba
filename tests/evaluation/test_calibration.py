"""Expected Dice: rising, right where the truth is known, and with intervals that hold."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import isotonic_regression

from stampseg.data.calibration import LEVEL, MEASURE, Calibration, LabelCalibration
from stampseg.evaluation.calibration import calibrate


def people_of(rng, count, noise=0.05):
    """Dice is certainty squared, with noise; one mask of each person."""
    certainty = rng.uniform(0.4, 1.0, count)
    dice = np.clip(certainty**2 + rng.normal(0, noise, count), 0, 1)
    return {str(n): [(float(c), float(d))] for n, (c, d) in enumerate(zip(certainty, dice, strict=True))}


def test_expected_dice_follows_the_people_who_were_left_out():
    found = calibrate(people_of(np.random.default_rng(0), 200))
    assert found.people == 200
    for certainty in (0.5, 0.7, 0.9):
        expected, low, high = found.expected(certainty)
        assert expected == pytest.approx(certainty**2, abs=0.05)
        assert (low, high) == (
            pytest.approx(max(expected - found.margin, 0)),
            min(expected + found.margin, 1),
        )
    assert found.expected(0.0)[0] == 0.0


def test_the_fit_is_the_isotonic_regression_at_its_points():
    """Oracle: SciPy's, at the middles of its stretches."""
    people = people_of(np.random.default_rng(1), 30, noise=0.2)
    points = np.array(sorted([(0.0, 0.0), *(p for of in people.values() for p in of)]))
    oracle = isotonic_regression(points[:, 1])
    found = calibrate(people)
    for start, stop in zip(oracle.blocks[:-1], oracle.blocks[1:], strict=True):
        middle = points[start:stop, 0].mean()
        assert found.expected(middle)[0] == pytest.approx(oracle.x[start])


@pytest.mark.parametrize(("count", "masks"), [(9, 1), (10, 1), (40, 1), (10, 8)])
def test_intervals_hold_as_often_as_they_say_for_a_mask_of_another_person(count, masks):
    rng, inside, levels = np.random.default_rng(2), [], []
    for _ in range(150):
        found = calibrate(several(rng, count, masks))
        levels.append(found.level)
        others = [p for of in several(rng, 20, masks).values() for p in of]
        inside += [low <= dice <= high for c, dice in others for _, low, high in [found.expected(c)]]
    assert set(levels) == {min(LEVEL, count / (count + 1))}
    assert levels[0] - 0.05 < np.mean(inside) < levels[0] + 0.09


def several(rng, people, masks):
    """Each person with as many masks, of a luck of their own."""
    own = [people_of(rng, masks, noise=0.03) for _ in range(people)]
    luck = rng.normal(0, 0.03, people)
    return {
        str(n): [(c, float(np.clip(d + luck[n], 0, 1))) for points in of.values() for c, d in points]
        for n, of in enumerate(own)
    }


@pytest.mark.parametrize(("count", "has_interval"), [(5, False), (8, False), (9, True)])
def test_fewer_than_nine_people_make_no_interval(count: int, has_interval: bool) -> None:
    """Of n people no level above n / (n + 1) can be had: for 90% there must be nine."""
    found = calibrate(people_of(np.random.default_rng(4), count))
    assert found is not None and found.has_interval == has_interval
    assert (found.expected(0.8)[1:] == (0.0, 1.0)) != has_interval and 0.3 < found.expected(0.8)[0] < 0.9


def test_masks_without_the_label_have_a_share_of_their_own() -> None:
    """They have no part in the fit, nor in the interval: a Dice of 0 that is told anyhow would narrow it."""
    people = people_of(np.random.default_rng(5), 12, noise=0.05)
    people["0"] = [(people["0"][0][0], 0.0)]
    empty = {
        person: [*points, (None, 1.0), (None, 0.0 if person in "37" else 1.0)]
        for person, points in people.items()
    }
    alone, both = calibrate(people), calibrate(empty)
    assert alone is not None and both is not None
    counts = {"empty": 24, "missed": 2}
    assert both == alone.model_copy(update=counts) and (both.found, both.vain, both.people) == (12, 1, 12)
    assert both.right_if_empty == pytest.approx(22 / 24) and alone.right_if_empty is None
    few = calibrate({**people, **{person: empty[person] for person in "1234"}})
    assert few is not None and few.empty == 0
    never = {person: [(None, 0.0)] if person in "01234567" else points for person, points in people.items()}
    assert calibrate(never) is None  # found in four people alone


def test_few_people_make_no_calibration_and_many_masks_of_one_are_one_person():
    rng = np.random.default_rng(3)
    assert calibrate(people_of(rng, 4)) is None
    points = [point for of in people_of(rng, 40).values() for point in of]
    assert calibrate({"a": points}) is None
    assert calibrate({str(n): points[8 * n : 8 * n + 8] for n in range(5)}).people == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dice": (0.0, 0.5)}, "need as many values each"),
        ({"certainty": (0.0, 0.9, 0.5)}, "must rise"),
        ({"dice": (0.0, 0.5, 1.5)}, "from 0 to 1"),
        ({"margin": 2.0}, "margin 2.0 is not within"),
        ({"found": 3, "vain": 4}, "more masks are wrong than there are"),
        ({"empty": 3, "missed": 4}, "more masks are wrong than there are"),
    ],
)
def test_a_calibration_that_cannot_be(changes, message):
    values = {"certainty": (0.0, 0.5, 0.9), "dice": (0.0, 0.5, 0.8), "margin": 0.1, "people": 9}
    of = LabelCalibration(**values)
    assert Calibration(labels=(None, of), source="folds", measure=MEASURE).labels[1] == of
    with pytest.raises(ValidationError, match=message):
        LabelCalibration(**{**values, **changes})


def test_points_of_another_certainty_are_not_used() -> None:
    """A model file of before the entropy was a part of certainty; its temperature holds."""
    of = LabelCalibration(certainty=(0.0, 0.5), dice=(0.0, 0.5), margin=0.1, people=9)
    before = Calibration(labels=(None, of), source="folds", temperature=1.5)
    assert before.labels == (None, None) and not before.known and before.temperature == 1.5
    now = Calibration(labels=(None, of), source="folds", measure=MEASURE)
    assert now.known and Calibration.model_validate(now.model_dump()) == now


def test_a_calibration_of_before_masks_without_the_label_were_counted_is_read() -> None:
    before = {"certainty": (0.0, 0.5), "dice": (0.0, 0.5), "margin": 0.1, "people": 6, "level": 6 / 7}
    of = LabelCalibration.model_validate(before)
    assert (of.found, of.empty, of.right_if_empty, of.has_interval) == (0, 0, None, False)
