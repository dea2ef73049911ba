"""Dice on the training set, which the first cut waits for: by the labels that the cases hold."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import Identity, functional

from stampseg.train.round import Fit
from stampseg.train.validation import agreement, training_fit

CLASSES = 3


def batch(truth: Tensor, found: Tensor | None = None) -> dict[str, Tensor]:
    """Label (B, 1, *S), and an image that is already what the network finds."""
    found = truth if found is None else found
    scores = functional.one_hot(found, CLASSES).movedim(-1, 1).float()
    return {"image": scores, "label": truth[:, None]}


def fit(*batches: dict[str, Tensor]) -> Fit:
    """With a loss of the number of examples that the batch has."""
    return training_fit(
        Identity(), batches, ("1", "2"), lambda output, label: torch.tensor(float(len(label)))
    )


def squares(*values: int) -> Tensor:
    """(B, 8, 8), each with a square of one label, 0 for none."""
    maps = torch.zeros(len(values), 8, 8, dtype=torch.long)
    for place, value in enumerate(values):
        maps[place, 2:6, 2:6] = value
    return maps


def test_a_perfect_network_is_perfect_whatever_labels_there_are() -> None:
    for values in ((1, 2), (1, 0), (0, 2), (2, 2)):
        assert set(fit(batch(squares(*values))).per_label.values()) == {1.0}, values


def test_a_label_counts_over_all_batches_and_one_that_none_holds_is_left_out() -> None:
    half = squares(1)
    half[:, 4:] = 0  # 8 of 16 voxels: Dice 2 * 8 / 24
    batches = [batch(squares(1), half), batch(squares(2))]
    assert fit(*batches).per_label == {"1": pytest.approx(2 / 3), "2": 1.0}
    assert fit(*batches).lowest == pytest.approx(2 / 3)
    assert fit(batches[0]).per_label == {"1": pytest.approx(2 / 3)}
    # found where it is not: what it hides of another label counts there
    assert fit(batch(squares(1), squares(2))).per_label == {"1": 0.0}
    assert fit(batch(squares(1, 0), squares(1, 2))).per_label == {"1": 1.0}


def test_the_loss_is_the_mean_over_examples_not_over_batches() -> None:
    assert fit(batch(squares(1, 2, 1)), batch(squares(1))).loss == (3 * 3 + 1) / 4


def test_without_any_label_it_is_not_a_number() -> None:
    for found in (squares(0), squares(1)):
        assert fit(batch(squares(0), found)).per_label == {}
        assert math.isnan(fit(batch(squares(0), found)).lowest)
    assert math.isnan(fit().lowest) and math.isnan(fit().loss)


def test_two_networks_agree_by_what_they_find_whatever_is_right() -> None:
    class Shifted(Identity):
        def forward(self, x: Tensor) -> Tensor:
            return x.roll(2, -1)

    images = [batch(squares(1, 1))["image"], batch(squares(2))["image"]]
    assert agreement(Identity(), Identity(), images, CLASSES) == 1.0
    # two of four columns overlap, in each of the labels
    assert agreement(Identity(), Shifted(), images, CLASSES) == pytest.approx(0.5)
    assert agreement(Identity(), Identity(), [batch(squares(0))["image"]], CLASSES) is None
