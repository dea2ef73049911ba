"""Several threads give what one gives, in the order of the items."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from stampseg.core import threads
from stampseg.core.threads import in_threads


@pytest.fixture(autouse=True)
def four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "processors", lambda: 4)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_results_come_in_the_order_of_the_items_whoever_is_first(most: int) -> None:
    def work(number: int) -> int:
        time.sleep(0.01 * (number % 3 == 0))
        return number**2

    assert list(in_threads(work, range(20), most)) == [n**2 for n in range(20)]


def test_several_work_at_once() -> None:
    met = threading.Barrier(2, timeout=20)  # breaks where one waits for the other to end
    assert list(in_threads(lambda _: met.wait() >= 0, range(2))) == [True, True]


def test_with_one_the_caller_works() -> None:
    assert set(in_threads(lambda _: threading.current_thread(), range(3), 1)) == {threading.current_thread()}


def test_items_are_taken_as_results_are() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_threads(lambda number: number, items(), 2)
    assert next(results) == 0
    assert len(taken) <= 6


def test_what_is_raised_comes_in_the_place_of_its_result_and_ends_the_work() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    results, seen = in_threads(work, range(1000), 2), []
    with pytest.raises(ValueError, match="three"):
        for number in results:
            seen.append(number)
    assert seen == [0, 1, 2]
    assert len(begun) < 20
