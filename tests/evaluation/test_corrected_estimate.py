"""What a choice among settings is worth: right where they do not differ, and where they do."""

import numpy as np
import pytest

from stampseg.evaluation.corrected_estimate import corrected, survivors


def test_the_winner_of_equal_settings_is_worth_no_more_than_the_default():
    """Its own mean says it is; the estimate does not (bias over many searches)."""
    rng, own, estimate = np.random.default_rng(0), [], []
    for _ in range(60):
        figures = 0.8 + rng.normal(0, 0.03, (10, 1)) + rng.normal(0, 0.03, (10, 8))
        found = corrected(figures)
        own.append(found.own - 0.8)
        estimate.append(found.estimate - 0.8)
    assert np.mean(own) > 0.008
    assert abs(np.mean(estimate)) < 0.006


def raced(rng: np.random.Generator, people: int = 9, settings: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Figures of equal settings left after three folds, and who had no part in sending others out."""
    figures = 0.8 + rng.normal(0, 0.05, (people, 1)) + rng.normal(0, 0.05, (people, settings))
    fold, running, gone = np.arange(people) % 3, list(range(settings)), 0
    for number in range(2):
        left = [running[place] for place in survivors(figures[fold <= number][:, running])]
        gone = number + 1 if len(left) < len(running) else gone
        running = left
    return figures[:, running], fold >= gone


def test_those_who_sent_settings_out_do_not_judge_the_others(monkeypatch):
    monkeypatch.setattr("stampseg.evaluation.corrected_estimate.DRAWS", 200)
    rng, all_of_them, late = np.random.default_rng(2), [], []
    for seed in range(300):
        figures, judges = raced(rng)
        assert judges.sum() == 3
        all_of_them.append(corrected(figures, seed=seed).estimate - 0.8)
        late.append(corrected(figures, judges, seed=seed).estimate - 0.8)
    assert np.mean(all_of_them) > 0.004
    assert abs(np.mean(late)) < 0.004


def test_where_all_had_a_part_in_it_nothing_is_estimated_and_the_default_stays():
    figures = np.array([[0.7, 0.8], [0.7, 0.81], [0.7, 0.79]])
    assert corrected(figures).beaten
    found = corrected(figures, np.zeros(3, dtype=bool))
    assert found.estimate is None and found.best == 1 and not found.beaten


def test_a_setting_that_is_better_for_everybody_is_taken():
    rng = np.random.default_rng(1)
    people = rng.normal(0.7, 0.1, (10, 1))
    figures = np.concatenate([people, people + 0.05, people - 0.1], axis=1)
    found = corrected(figures)
    assert found.best == 1 and found.beaten
    assert found.estimate == pytest.approx(found.own, abs=0.01)


def test_one_person_does_not_choose():
    """Better by far for one of ten, a little worse for the others: out of the bag it loses."""
    figures = np.full((10, 2), 0.8)
    figures[:, 1] -= 0.01
    figures[0, 1] += 0.2
    found = corrected(figures)
    assert found.best == 1 and found.own > found.default and not found.beaten


def test_equal_settings_leave_the_default():
    found = corrected(np.full((5, 3), 0.7))
    assert found.best == 0 and not found.beaten
    with pytest.raises(ValueError, match="two people"):
        corrected(np.ones((1, 3)))


def test_the_default_and_the_better_half_go_on():
    figures = np.array([[0.5, 0.9, 0.1, 0.7, 0.3], [0.5, 0.9, 0.1, 0.7, 0.3]])
    assert survivors(figures) == [0, 1, 3]
    assert survivors(figures[:, :2]) == [0, 1]
    assert survivors(figures[:, :1]) == [0]


def test_equal_settings_seldom_drive_the_default_out():
    rng = np.random.default_rng(4)
    gone = [
        corrected(0.8 + rng.normal(0, 0.05, (6, 1)) + rng.normal(0, 0.02, (6, 6))).beaten for _ in range(100)
    ]
    assert np.mean(gone) < 0.2
