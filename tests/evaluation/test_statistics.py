"""Paired statistics: laws, hand-made values, and statsmodels and SciPy as oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from stampseg.evaluation.statistics import (
    Design,
    Estimate,
    averaged,
    design_of,
    holm,
    mean_of,
    people_given_runs,
    runs_and_people,
    sign_flip,
    table_of,
)


def crossed(draws: int = 4, people: int = 9, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    luck, taste = rng.normal(0.02, 0.03, (draws, 1)), rng.normal(0, 0.05, (1, people))
    return np.asarray(luck + taste + rng.normal(0, 0.03, (draws, people)))


def nested(draws: int = 4, people: int = 6, seed: int = 0) -> np.ndarray:
    table = np.full((draws, draws * people), np.nan)
    values = np.random.default_rng(seed).normal(0.02, 0.05, (draws, people))
    for draw in range(draws):
        table[draw, draw * people : (draw + 1) * people] = values[draw]
    return table


def test_a_table_has_a_row_for_each_draw_and_a_column_for_each_person() -> None:
    table = table_of({"1": {"ben": 0.1, "anna": 0.2}, "2": {"ben": 0.3}})
    np.testing.assert_array_equal(table, [[0.2, 0.1], [np.nan, 0.3]])
    assert mean_of(table) == pytest.approx((0.15 + 0.3) / 2)


@pytest.mark.parametrize(
    ("table", "design"),
    [
        (crossed(1), Design.ONE),
        (crossed(2), Design.CROSSED),
        (nested(), Design.NESTED),
        (np.array([[1, 2, np.nan], [np.nan, 3, 4]]), Design.PARTLY),
    ],
)
def test_how_people_and_draws_lie_is_seen(table: np.ndarray, design: Design) -> None:
    assert design_of(table) is design


def test_crossed_it_is_the_two_way_analysis_of_variance() -> None:
    table = crossed()
    draws, people = table.shape
    mean, rows, columns = table.mean(), table.mean(1, keepdims=True), table.mean(0, keepdims=True)
    of_draws = people * ((rows - mean) ** 2).sum() / (draws - 1)
    of_people = draws * ((columns - mean) ** 2).sum() / (people - 1)
    rest = ((table - rows - columns + mean) ** 2).sum() / ((draws - 1) * (people - 1))
    found = runs_and_people(table)
    assert found is not None and found.mean == pytest.approx(mean)
    whole = of_draws + of_people - rest
    assert found.error == pytest.approx(math.sqrt(whole / (draws * people)))
    parts = of_draws**2 / (draws - 1) + of_people**2 / (people - 1) + rest**2 / ((draws - 1) * (people - 1))
    assert found.freedom == pytest.approx(whole**2 / parts)


def test_crossed_it_is_the_mixed_model_of_statsmodels() -> None:
    models = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    pandas = pytest.importorskip("pandas")
    table = crossed(6, 12, seed=3)
    rows = [(draw, person, value) for (draw, person), value in np.ndenumerate(table)]
    frame = pandas.DataFrame(rows, columns=["draw", "person", "difference"])
    parts = {"draw": "0 + C(draw)", "person": "0 + C(person)"}
    fitted = models.MixedLM.from_formula(
        "difference ~ 1", groups=np.ones(len(frame)), vc_formula=parts, data=frame
    ).fit(reml=True, method=["lbfgs", "powell"])
    found = runs_and_people(table)
    assert found is not None
    assert found.mean == pytest.approx(fitted.params["Intercept"], abs=1e-8)
    assert found.error == pytest.approx(fitted.bse["Intercept"], rel=1e-4)


def test_nested_it_is_the_mixed_model_of_statsmodels() -> None:
    models = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    table = nested(seed=1) + 0.08 * np.arange(4)[:, None]
    there = ~np.isnan(table)
    fitted = models.MixedLM(table[there], np.ones(there.sum()), groups=np.nonzero(there)[0]).fit(reml=True)
    found = runs_and_people(table)
    assert found is not None
    assert found.error == pytest.approx(fitted.bse[0], rel=1e-4)
    assert found.mean == pytest.approx(fitted.params[0])


def test_holm_is_that_of_statsmodels() -> None:
    multiple = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    values = [0.04, 0.001, 0.3, 0.02, 0.02]
    np.testing.assert_allclose(holm(values), multiple.multipletests(values, method="holm")[1])


def test_nested_draws_are_the_units() -> None:
    table = nested()
    means = np.nanmean(table, axis=1)
    found, asked = runs_and_people(table), stats.ttest_1samp(means, 0)
    assert found is not None and found.freedom == 3
    assert found.interval() == pytest.approx(tuple(asked.confidence_interval()))
    assert found.p_above(0) == pytest.approx(asked.pvalue)  # the mean is above 0
    assert Estimate(-found.mean, found.error, 3).p_above(0) == 1


def test_partly_crossed_lies_between() -> None:
    """People who are in several draws bring their own differences into all of these."""
    table = crossed(4, 12, seed=5) + np.linspace(-0.3, 0.3, 12)
    holes = table.copy()
    for draw in range(4):
        holes[draw, draw * 3 : draw * 3 + 3] = np.nan
    found = runs_and_people(holes)
    draws_alone = np.nanmean(holes, axis=1).std(ddof=1) / 2
    assert design_of(holes) is Design.PARTLY and found is not None
    assert found.error > draws_alone and found.freedom == 3


def test_no_interval_over_runs_is_narrower_than_the_one_over_people() -> None:
    """Draws that happen to agree more than their people alone would let them prove no more for that."""
    table = nested()
    means = np.nanmean(table, axis=1, keepdims=True)
    still = table - means + 0.02 + 0.0001 * np.arange(4)[:, None]
    assert runs_and_people(still) == people_given_runs(still) != runs_and_people(table)


def test_given_the_runs_people_are_the_units() -> None:
    table = crossed()
    asked = stats.ttest_1samp(table.mean(axis=0), 0).confidence_interval()
    found = people_given_runs(table)
    assert found is not None and found.interval() == pytest.approx(tuple(asked))
    one = people_given_runs(table[:1])
    assert one is not None
    assert one.interval() == pytest.approx(tuple(stats.ttest_1samp(table[0], 0).confidence_interval()))


def test_given_the_runs_nested_people_vary_within_their_draws() -> None:
    table = nested()
    within = [row[~np.isnan(row)] for row in table]
    found = people_given_runs(table)
    assert found is not None and found.freedom == 24 - 4
    assert found.error == pytest.approx(math.sqrt(sum(each.var(ddof=1) / 6 for each in within)) / 4)


@pytest.mark.parametrize(
    ("sizes", "freedom"),
    [
        ([6, 6, 6, 6], 20),  # people less draws
        ([2, 40], 0.525**2 / (0.5**2 / 1 + 0.025**2 / 39)),  # two people tell little, whoever is beside them
    ],
)
def test_of_draws_that_share_nobody_small_ones_tell_as_little_as_they_do(
    sizes: list[int], freedom: float
) -> None:
    rng, start = np.random.default_rng(0), 0
    table = np.full((len(sizes), sum(sizes)), np.nan)
    for row, size in zip(table, sizes, strict=True):
        row[start : start + size] = rng.normal(size=size)
        start += size
    found = people_given_runs(table)
    assert found is not None and found.freedom == pytest.approx(freedom)


def test_one_value_that_is_missing_changes_next_to_nothing() -> None:
    table = np.random.default_rng(0).normal(0.03, 0.04, (10, 10))
    fewer = table.copy()
    fewer[0, 0] = np.nan
    whole, found = people_given_runs(table), people_given_runs(fewer)
    assert whole is not None and found is not None and found.freedom == whole.freedom == 9
    assert found.reach() == pytest.approx(whole.reach(), rel=0.1)


@pytest.mark.slow
def test_intervals_over_people_hold_in_every_design() -> None:
    """95% nominal: pools of which some test in each draw, and nested draws of unequal sizes."""
    rng, held = np.random.default_rng(0), {"pool": 0, "nested": 0}
    for _ in range(1000):
        pool, of_people = np.full((10, 12), np.nan), rng.normal(0, 0.03, 12)
        for row in pool:
            who = rng.permutation(12)[:6]
            row[who] = of_people[who] + rng.normal(0, 0.02, 6)
        nested = np.full((3, 49), np.nan)
        for row, (start, stop) in zip(nested, ((0, 3), (3, 9), (9, 49)), strict=True):
            row[start:stop] = rng.normal(0, 1, stop - start)
        for name, table in (("pool", pool), ("nested", nested)):
            found = people_given_runs(table)
            assert found is not None
            low, high = found.interval()
            held[name] += low <= 0 <= high
    assert all(920 <= count <= 985 for count in held.values()), held


def test_what_cannot_be_told_is_not_told() -> None:
    assert runs_and_people(crossed(1)) is None  # the luck of one training
    assert runs_and_people(crossed(3)[:, :1]) is None  # one person
    assert people_given_runs(crossed(3)[:, :1]) is None
    same = np.full((3, 4), 0.1) + 1e-15
    assert runs_and_people(same) is None and people_given_runs(same) is None
    assert runs_and_people(np.zeros((3, 4))) is None


def test_an_interval_and_its_p_agree() -> None:
    estimate = Estimate(0.02, 0.01, 5)
    low, high = estimate.interval()
    assert estimate.p_above(low) == pytest.approx(0.05) and low < 0.02 < high
    assert estimate.p_above(-0.01) < estimate.p_above(0)


def test_sets_count_alike() -> None:
    found = averaged([Estimate(0.1, 0.03, 4), Estimate(0.3, 0.04, 9)])
    assert found.mean == pytest.approx(0.2) and found.error == pytest.approx(0.025)
    assert found.freedom == pytest.approx(25**2 / (81 / 4 + 256 / 9))
    assert averaged([Estimate(0.1, 0.03, 4)]) == Estimate(0.1, pytest.approx(0.03), pytest.approx(4))


def test_four_draws_cannot_have_a_smaller_p_than_an_eighth() -> None:
    found = sign_flip([[0.2, 0.3, 0.25, 0.1]])
    assert (found.p, found.smallest, found.draws) == (0.125, 0.125, 4)


def test_signs_are_flipped_as_scipy_flips_them() -> None:
    values = np.random.default_rng(1).normal(0.02, 0.03, 9)
    asked = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flip([values]).p == pytest.approx(asked.pvalue)
    shifted = sign_flip([values - 0.01], bound=-0.01)
    assert shifted.p == pytest.approx(asked.pvalue)


def test_draws_of_several_sets_weigh_by_their_set() -> None:
    """The draw of a set of one counts as much as the three of the other together."""
    assert sign_flip([[0.9], [0.3, -0.3, 0.6]]).p == 3 / 8  # 0.45, and 0.05 - 0.05 + 0.1
    assert sign_flip([[0.9], [-0.9, -0.9, -0.9]]).p == 1


def test_many_draws_are_flipped_at_random_the_same_each_time() -> None:
    values = np.random.default_rng(2).normal(0.01, 0.02, 30)
    found = sign_flip([values])
    assert found == sign_flip([values]) and found.smallest == 1 / 20_000
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]
