"""Two cells of one draw, paired person by person over the cases and labels that have a Dice in both."""

from __future__ import annotations

from .study import MEAN, Cell, mean_over


def differences_of(first: Cell, second: Cell) -> dict[str, float]:
    """First minus second, of each person who has a Dice of the same case and label in both.

    A mean over other cases or labels would be of other scans, not of another method.
    """
    found = {}
    for person in sorted(first.places.keys() & second.places.keys()):
        ours, theirs = first.places[person], second.places[person]
        if ours.keys() == theirs.keys() or of_unknown_cases(first, second, person):
            found[person] = first.dice[person] - second.dice[person]
        elif shared := ours.keys() & theirs.keys():
            found[person] = mean_over(ours, shared) - mean_over(theirs, shared)
    return found


def of_unknown_cases(first: Cell, second: Cell, person: str) -> bool:
    """Whether one of both has a person's mean alone, so that nobody can say what it is the mean of."""
    return (MEAN in first.places[person]) != (MEAN in second.places[person])
