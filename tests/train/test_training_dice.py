"""Dice on the training set, which the first cut waits for: by the labels that the cases hold."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import Identity, functional

from stampseg.train.validation import training_dice

CLASSES = 3


def batch(truth: Tensor, found: Tensor | None = None) -> dict[str, Tensor]:
    """Label (B, 1, *S), and an image that is already what the network finds."""
    found = truth if found is None else found
    scores = functional.one_hot(found, CLASSES).movedim(-1, 1).float()
    return {"image": scores, "label": truth[:, None]}


def squares(*values: int) -> Tensor:
    """(B, 8, 8), each with a square of one label, 0 for none."""
    maps = torch.zeros(len(values), 8, 8, dtype=torch.long)
    for place, value in enumerate(values):
        maps[place, 2:6, 2:6] = value
    return maps


def test_a_perfect_network_is_perfect_whatever_labels_there_are() -> None:
    for values in ((1, 2), (1, 0), (0, 2), (2, 2)):
        assert training_dice(Identity(), [batch(squares(*values))], CLASSES) == 1.0, values


def test_a_label_counts_over_all_batches_and_one_that_none_holds_is_left_out() -> None:
    half = squares(1)
    half[:, 4:] = 0  # 8 of 16 voxels: Dice 2 * 8 / 24
    batches = [batch(squares(1), half), batch(squares(2))]
    assert training_dice(Identity(), batches, CLASSES) == pytest.approx((2 / 3 + 1) / 2)
    assert training_dice(Identity(), batches[:1], CLASSES) == pytest.approx(2 / 3)
    # found where it is not: what it hides of another label counts there
    assert training_dice(Identity(), [batch(squares(1), squares(2))], CLASSES) == 0.0
    assert training_dice(Identity(), [batch(squares(1, 0), squares(1, 2))], CLASSES) == 1.0


def test_without_any_label_it_is_not_a_number() -> None:
    for found in (squares(0), squares(1)):
        assert math.isnan(training_dice(Identity(), [batch(squares(0), found)], CLASSES))
    assert math.isnan(training_dice(Identity(), [], CLASSES))
