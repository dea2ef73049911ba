"""Which round becomes the model, rule by rule."""

from __future__ import annotations

import pytest

from stampseg.core.prune_options import PruneOptions
from stampseg.core.target import Target
from stampseg.train.round import Event, Round, Validation
from stampseg.train.round_choice import select, smallest_within


def rounds(*turns: tuple[Event, int, float | None]) -> list[Round]:
    """(event, parameters, Dice) in order; FLOPs are ten times the parameters."""
    return [
        Round(
            i,
            event,
            {},
            size,
            10 * size,
            4 * size,
            10 * i,
            0.1,
            None if dice is None else Validation(dice, {}),
        )
        for i, (event, size, dice) in enumerate(turns)
    ]


DENSE = rounds(("train", 1000, None))[0]
RUN = rounds(
    ("warm-up", 1000, 0.90), ("cut", 400, 0.88), ("cut", 150, 0.895),
    ("finish", 150, 0.87), ("finish", 150, 0.85),
)  # fmt: skip


def pick(
    turns: list[Round], target: str = "15%", pruned: bool = True, **options: object
) -> tuple[int, str, bool]:
    chosen = PruneOptions(target=Target.parse(target), **options)  # type: ignore[arg-type]
    choice = select(turns, chosen, DENSE, pruned)
    return choice.number, choice.rule, choice.target_reached


@pytest.mark.parametrize(
    ("target", "number", "rule", "reached"),
    [
        ("15%", 3, "within the target (0.15 of the parameters): the best validation Dice", True),
        ("flops:1500", 3, "within the target (1,500 flops): the best validation Dice", True),
        ("40%", 3, "within the target (0.4 of the parameters): the best validation Dice", True),
        ("10%", 2, "the smallest network: the best validation Dice", False),
        ("dice:0.86", 3, "the smallest network with a validation Dice of at least 0.86", True),
        ("dice:0.89", 2, "the smallest network with a validation Dice of at least 0.89", True),
        ("dice:0.95", 0, "no round reached validation Dice of at least 0.95; the best one", False),
    ],
)
def test_pruned_to_a_target(target: str, number: int, rule: str, reached: bool) -> None:
    assert pick(RUN, target) == (number, rule, reached)


def test_never_pruned_is_the_best_and_the_last_of_equals() -> None:
    turns = rounds(("train", 1000, 0.8), ("train", 1000, 0.9), ("train", 1000, 0.9), ("train", 1000, 0.7))
    assert pick(turns, pruned=False) == (2, "the network: the best validation Dice", True)


def test_without_validation_it_is_the_last() -> None:
    turns = rounds(("warm-up", 1000, None), ("cut", 150, None), ("finish", 150, None), ("finish", 150, None))
    words = "the last round (no validation)"
    assert pick(turns) == (3, f"within the target (0.15 of the parameters): {words}", True)
    assert pick(turns, choose="smallest")[0] == 3
    assert pick(turns[:1] * 1, pruned=False) == (0, f"the network: {words}", True)
    assert pick(turns, "dice:0.5")[2] is False


@pytest.mark.parametrize(("tolerance", "number"), [(0.0, 0), (0.01, 2), (0.03, 2), (1.0, 2)])
def test_the_smallest_within_a_tolerance_of_the_best(tolerance: float, number: int) -> None:
    rule = f"the smallest network within {tolerance:g} of the best validation Dice"
    assert pick(RUN, choose="smallest", tolerance=tolerance) == (number, rule, number == 2)
    found = smallest_within(RUN, tolerance)
    assert found is not None and found.number == number
    assert smallest_within(rounds(("train", 9, None)), 0.1) is None


def test_a_cut_that_was_rolled_back_is_never_the_model() -> None:
    turns = rounds(
        ("warm-up", 1000, 0.9), ("cut", 400, 0.9), ("cut", 150, 0.7), ("rolled back", 400, 0.9),
        ("finish", 400, 0.91),
    )  # fmt: skip
    assert pick(turns) == (4, "the smallest network: the best validation Dice", False)
    assert pick(turns, choose="smallest", tolerance=0.5)[0] == 4
    assert pick(turns, "dice:0.6")[0] == 4


def test_a_good_cut_before_a_rollback_stands() -> None:
    turns = rounds(
        ("warm-up", 1000, 0.9), ("cut", 400, 0.95), ("rolled back", 400, 0.95), ("finish", 400, 0.9)
    )
    assert pick(turns, choose="smallest", tolerance=0.0)[0] == 1
