"""The temperature at which probabilities are right as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from stampseg.evaluation.temperature import TEMPERATURES, Heat, temperature_of


def drawn(seed: int, classes: int = 3, count: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (K, rows, columns), and classes drawn by them."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(classes, count // 100, 100))
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    places = rng.random(shares.shape[1:])
    return shares.astype(np.float32), (places > np.cumsum(shares, axis=0)).sum(axis=0).clip(0, classes - 1)


def sharpened(shares: np.ndarray, power: float) -> np.ndarray:
    return shares**power / (shares**power).sum(axis=0)


def heat_of(shares: np.ndarray, truth: np.ndarray, **options: int) -> Heat:
    heat = Heat(truth, 0, **options)
    for start in range(0, shares.shape[1], 130):
        heat.add(shares[:, start : start + 130])
    return heat


@pytest.mark.parametrize("power", [1.0, 2.0, 0.7])
def test_what_was_made_too_sure_is_found_again(power: float) -> None:
    """Oracle: classes are drawn by the probabilities, which then are raised to a power."""
    shares, truth = drawn(0)
    found = temperature_of({"a": [heat_of(sharpened(shares, power), truth)]})
    assert found == pytest.approx(power, rel=0.07)


def test_the_surprise_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import log_loss

    shares, truth = drawn(1, count=5_000)
    heat = heat_of(shares, truth)
    for place in (0, 12, 36):
        flat = sharpened(shares.astype(np.float64), 1 / TEMPERATURES[place]).reshape(3, -1).T
        assert heat.sums[place] / heat.voxels == pytest.approx(log_loss(truth.ravel(), flat), rel=1e-4)


def test_each_person_counts_once() -> None:
    shares, truth = drawn(2, count=20_000)
    sure, doubtful = heat_of(sharpened(shares, 3), truth), heat_of(shares, truth)
    alike = temperature_of({"a": [sure], "b": [doubtful]})
    assert temperature_of({"a": [sure] * 9, "b": [doubtful]}) == alike
    assert temperature_of({"b": [doubtful]}) < alike < temperature_of({"a": [sure]})


def test_what_nobody_labelled_is_not_asked() -> None:
    shares, truth = drawn(3, count=10_000)
    unknown = truth.copy()
    unknown[::2] = 3
    heat = heat_of(shares, unknown, unknown=3)
    assert heat.voxels == (unknown != 3).sum()
    assert temperature_of({"a": [heat_of(shares, np.full_like(truth, 3), unknown=3)]}) == 1.0


def test_large_cases_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stampseg.evaluation.temperature.MOST", 5_000)
    shares, truth = drawn(4)
    heat = heat_of(sharpened(shares, 2), truth)
    assert 4_000 < heat.voxels <= 6_000
    assert temperature_of({"a": [heat]}) == pytest.approx(2, rel=0.15)
