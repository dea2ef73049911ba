"""Scans are chosen that stand for others, by their doubt; against a slow twin, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stampseg.runtime import scan_choice
from stampseg.runtime.scan_choice import choose


def places(*arguments: object) -> list[int]:
    return [each.place for each in choose(*arguments)]  # type: ignore[arg-type]


def slow_twin(
    looks: np.ndarray, doubts: np.ndarray, people: list[str], labelled: np.ndarray, count: int
) -> list[int]:
    """The definition, one scan after another: what is left of doubt times distance, summed, is least."""
    scale = np.concatenate([looks, labelled]).std(axis=0)

    def left(taken: list[int]) -> float:
        given = [*labelled, *looks[taken]]
        return float(sum(
            doubt * min(np.sqrt((((one - other) / scale) ** 2).mean()) for other in given)
            for one, doubt in zip(looks, doubts, strict=True)
        ))  # fmt: skip

    chosen: list[int] = []
    while len(chosen) < count:
        free = [i for i in range(len(looks)) if people[i] not in {people[j] for j in chosen}]
        if not free:
            break
        chosen.append(min(free, key=lambda i: left([*chosen, i])))
    return chosen


@pytest.mark.parametrize("block", [1, 7, 512])
@pytest.mark.parametrize("seed", range(4))
def test_as_a_slow_twin(seed: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_choice, "BLOCK", block)
    rng = np.random.default_rng(seed)
    looks, labelled, doubts = rng.normal(size=(24, 5)), rng.normal(size=(3, 5)), rng.random(24)
    people = [f"p{number // 2}" for number in range(24)]
    assert places(looks, doubts, people, labelled, 6) == slow_twin(looks, doubts, people, labelled, 6)


def test_what_is_constant_but_for_rounding_counts_for_nothing() -> None:
    """Cells of clipped air: their deviation of 1e-8 is no difference between scans."""
    rng = np.random.default_rng(0)
    looks, labelled, doubts = rng.normal(size=(12, 4)), rng.normal(size=(2, 4)), rng.random(12)
    people = [str(number) for number in range(12)]
    air = [-1 + rng.normal(scale=1e-8, size=(len(each), 100)) for each in (looks, labelled)]
    with_air = [np.hstack([each, more]) for each, more in zip((looks, labelled), air, strict=True)]
    expected = choose(looks, doubts, people, labelled, 5)
    found = choose(with_air[0], doubts, people, with_air[1], 5)
    assert [(each.place, each.like) for each in found] == [(each.place, each.like) for each in expected]


def test_one_that_stands_for_many_goes_before_the_strangest() -> None:
    """A cluster of four that nothing labelled is like, and one far from all."""
    looks = np.array([[0.0], [5.0], [5.1], [5.2], [5.3], [9.0]])
    first, second = choose(looks, np.ones(6), list("abcdef"), np.array([[0.0]]), 2)
    assert first.place in (2, 3) and first.like == 4  # the far one is nearer to it as well, so far
    assert second.place == 5 and second.like == 0


def test_scans_that_are_doubted_count_more() -> None:
    looks = np.array([[-5.0], [-5.1], [-5.2], [5.0], [5.1]])
    doubts = np.array([0.1, 0.1, 0.1, 0.9, 0.9])
    assert places(looks, doubts, list("abcde"), np.array([[0.0]]), 1)[0] in (3, 4)


def test_without_labelled_ones_the_middle_of_what_is_doubted_comes_first() -> None:
    looks = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])
    assert places(looks, np.ones(5), list("abcde"), None, 1) == [2]
    assert places(looks, np.array([1.0, 0, 0, 0, 0]), list("abcde"), None, 1) == [0]


def test_one_scan_of_each_person() -> None:
    looks, people = np.random.default_rng(0).normal(size=(6, 3)), ["a", "a", "a", "b", "b", "c"]
    order = places(looks, np.ones(6), people, None, 5)
    assert sorted(people[place] for place in order) == ["a", "b", "c"]


def test_a_sure_network_still_gets_variety() -> None:
    assert places(np.array([[0.0], [5.0], [1.0]]), np.zeros(3), list("abc"), np.array([[0.0]]), 1) == [1]


def test_copies_of_what_is_labelled_come_last_and_how_far_is_said() -> None:
    looks = np.array([[1.0], [1.0], [9.0]])
    order = choose(looks, np.array([0.9, 0.8, 0.1]), list("abc"), np.array([[1.0]]), 3)
    assert [each.place for each in order] == [2, 0, 1]
    assert order[0].distance == pytest.approx(2 / 3) and order[0].like == 0
