"""Dice while training: labels that a case does not hold say nothing, and what is not found is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stampseg.cli.train import _support as support_of
from stampseg.core.errors import DataError
from stampseg.core.prune_options import PruneOptions
from stampseg.core.target import Target
from stampseg.data.cases import Case
from stampseg.data.loaders import ValidationCases
from stampseg.data.plan import Plan
from stampseg.data.preprocess import Geometry, Prepared
from stampseg.evaluation.false_positives import FalsePositives
from stampseg.run.records import Result
from stampseg.run.replay import Answer, Replay
from stampseg.run.verdict import failure_words as failure
from stampseg.run.verdict import false_alarms
from stampseg.run.verdict import labels_below as below
from stampseg.run.verdict import labels_missed as missed
from stampseg.train.learner import Learner
from stampseg.train.round import Event, Fit, Round, Validation
from stampseg.train.round_choice import select
from stampseg.train.validation import validate

PLAN = Plan(
    spatial_dims=2, in_channels=1, label_values=(0, 1, 2), label_names=("background", "liver", "tumour"),
    orientation=None, spacing=(1.0, 1.0), crop="none", patch_size=(16, 16), normalization="zscore", ct=None,
    strides=((2, 2),),
)  # fmt: skip
LIVER, TUMOUR = 1, 2


class Painted(nn.Module):
    """Finds in each pixel the class that the image has there, or nothing at all."""

    def __init__(self, blind: bool = False) -> None:
        super().__init__()
        self.blind = blind

    def forward(self, x: Tensor) -> Tensor:
        classes = torch.arange(3.0).view(1, 3, 1, 1)
        return -((x * (not self.blind) - classes) ** 2)


def drawn(*labels: int) -> np.ndarray:
    """A square of each label, (16, 16)."""
    mask = np.zeros((16, 16), np.uint8)
    for label in labels:
        mask[4 * label : 4 * label + 4, 4:8] = label
    return mask


def dice_of(
    network: nn.Module, *cases: tuple[np.ndarray, np.ndarray], plan: Plan = PLAN
) -> Validation | None:
    """Of (image, reference) pairs."""
    pairs = [
        (
            Case(f"c{number}", "", (Path("i"),), Path("l")),
            Prepared(image[None].astype(np.float32), reference[None], Geometry.working(image.shape)),
        )
        for number, (image, reference) in enumerate(cases)
    ]
    return validate(network, cast(ValidationCases, pairs), plan, torch.device("cpu"))


def test_finding_nothing_is_not_rewarded_by_cases_without_the_label() -> None:
    cases = [(drawn(LIVER, TUMOUR), drawn(LIVER, TUMOUR)), (drawn(LIVER), drawn(LIVER)), (drawn(), drawn())]
    none = {"liver": FalsePositives(1, 0), "tumour": FalsePositives(2, 0)}
    assert dice_of(Painted(blind=True), *cases) == Validation(
        0.0, {"liver": 0.0, "tumour": 0.0}, {"liver": 2, "tumour": 1}, none
    )
    assert dice_of(Painted(), *cases) == Validation(
        1.0, {"liver": 1.0, "tumour": 1.0}, {"liver": 2, "tumour": 1}, none
    )


def test_a_round_that_finds_something_is_chosen_over_one_that_finds_nothing() -> None:
    cases = [(drawn(LIVER), drawn(LIVER, TUMOUR)), (drawn(LIVER), drawn()), (drawn(TUMOUR), drawn())]
    rounds = [
        Round(number, "train", {}, 10, 10, 10, 10, 0.1, dice_of(network, *cases))
        for number, network in enumerate((Painted(), Painted(blind=True)))
    ]
    options = PruneOptions(target=Target.parse("15%"))
    assert select(rounds, options, rounds[0], pruned=False).number == 0


def test_a_round_that_paints_healthy_scans_is_not_chosen() -> None:
    """As nnU-Net counts: 0, unless both are empty. The Dice itself is over the cases with the label."""
    ill, healthy = (drawn(LIVER), drawn(LIVER)), [(drawn(LIVER, TUMOUR), drawn())] * 3
    painted, clean = dice_of(Painted(), ill, *healthy), dice_of(Painted(), ill, *[(drawn(), drawn())] * 3)
    assert painted is not None and clean is not None
    assert painted.false_positives == {
        "liver": FalsePositives(3, 3, 16.0, 16.0), "tumour": FalsePositives(4, 3, 16.0, 16.0),
    }  # fmt: skip
    assert painted.dice == clean.dice == clean.judged == 1.0
    assert painted.judged == pytest.approx((1 / 4 + 0) / 2)
    rounds = [Round(n, "train", {}, 10, 10, 10, 10, 0.1, each) for n, each in enumerate((clean, painted))]
    for choose in ("target", "smallest"):
        options = PruneOptions(target=Target.parse("15%"), choose=choose)  # type: ignore[arg-type]
        assert select(rounds, options, rounds[0], pruned=choose == "smallest").number == 0


def test_a_case_of_which_part_has_no_label_is_not_said_to_be_healthy() -> None:
    partly = drawn(LIVER)
    partly[12:] = 3
    cases = [(drawn(LIVER, TUMOUR), drawn(LIVER, TUMOUR)), (drawn(LIVER), partly)]
    plan = PLAN.model_copy(update={"ignored_value": 3})
    found = dice_of(Painted(), *cases, plan=plan)
    assert found is not None and not found.false_positives
    found = dice_of(Painted(), *cases, (drawn(LIVER, TUMOUR), partly), plan=plan)
    assert found is not None and found.false_positives == {"tumour": FalsePositives(1, 1, 16.0, 16.0)}


def test_what_is_found_in_healthy_cases_is_said() -> None:
    found = Validation(0.8, {"tumour": 0.8}, {"tumour": 2}, {"tumour": FalsePositives.of([0, 3.2, 1, 9])})
    assert false_alarms(found, PLAN) == [
        "4 validation cases without tumour: some is found in 3 of them, median 3.2 px; in the choice of a "
        "round each counts as Dice 0"
    ]
    quiet = Validation(0.8, {"tumour": 0.8}, {"tumour": 2}, {"tumour": FalsePositives.of([0])})
    assert false_alarms(quiet, PLAN) == ["1 validation case without tumour: none is found there"]
    assert false_alarms(None, PLAN) == false_alarms(Validation(0.8, {"tumour": 0.8}), PLAN) == []


def test_a_label_that_no_case_holds_is_in_no_mean() -> None:
    one_half = drawn(LIVER)
    one_half[6:] = 0
    found = dice_of(Painted(), (one_half, drawn(LIVER)), (drawn(TUMOUR), drawn()))
    assert found == Validation(
        pytest.approx(2 / 3), {"liver": pytest.approx(2 / 3)}, {"liver": 1, "tumour": 0},
        {"liver": FalsePositives(1, 0), "tumour": FalsePositives(2, 1, 16.0, 16.0)},
    )  # fmt: skip


def test_without_any_label_there_is_no_validation() -> None:
    assert dice_of(Painted(), (drawn(LIVER), drawn())) is None and dice_of(Painted()) is None


def test_a_case_without_a_mask_is_named() -> None:
    case = Case("c7", "", (Path("i"),), None), Prepared(np.zeros((1, 16, 16), np.float32), None,
                                                         Geometry.working((16, 16)))  # fmt: skip
    with pytest.raises(DataError, match="validation case c7 has no label; name labelled cases"):
        validate(Painted(), cast(ValidationCases, [case]), PLAN, torch.device("cpu"))


def test_a_resumed_run_is_told_how_many_cases_hold_each_label() -> None:
    false = {"liver": FalsePositives.of([0]), "tumour": FalsePositives.of([1, 2, 0])}
    validation = Validation(0.4, {"liver": 0.4}, {"liver": 2, "tumour": 0}, false)
    live = cast(Learner, Learner(*[cast(Any, None)] * 4, validate=lambda: validation))
    journal = Replay()
    assert journal.learner(live, lambda: None).validate() == validation
    stored = [Answer(a.call, json.loads(json.dumps(a.value, allow_nan=False))) for a in journal.answers]
    silent = cast(Learner, Learner(*[cast(Any, None)] * 4, validate=lambda: pytest.fail("asked again")))
    assert Replay(stored).learner(silent, lambda: None).validate() == validation
    older = Replay([Answer("validate", [0.4, {"liver": 0.4}])])
    assert older.learner(silent, lambda: None).validate() == Validation(0.4, {"liver": 0.4})


@pytest.mark.parametrize(
    ("validation", "trained", "said"),
    [
        ({"liver": 0.8, "tumour": 0.0}, {}, "tumour (Dice 0.000 over the validation cases that hold it)"),
        ({"liver": 0.8}, {"liver": 0.5, "tumour": 0.001},
         "tumour (Dice 0.001 over the training cases that hold it)"),
        (None, {"liver": 0.0, "tumour": 0.5}, "liver (Dice 0.000 over the training cases that hold it)"),
        ({"liver": 0.0, "tumour": 0.0}, {}, "liver (Dice 0.000 over the validation cases that hold it), "
         "tumour (Dice 0.000 over the validation cases that hold it)"),
    ],
)  # fmt: skip
def test_labels_that_are_not_found_are_named(
    validation: dict[str, float] | None, trained: dict[str, float], said: str
) -> None:
    known = None if validation is None else Validation(0.5, validation)
    assert missed(known, below(trained, "training")) == [f"this network finds next to nothing of {said}"]


def test_labels_that_are_found_or_in_no_case_are_not_warned_of() -> None:
    assert missed(Validation(0.5, {"liver": 0.5}), below({"liver": 0.1}, "training")) == []
    assert missed(None, []) == []


def a_round(number: int, event: Event, size: int, **dice: float) -> Round:
    fit = Fit(0.1, dice) if dice else None
    return Round(number, event, {}, size, 0, 0, 10 * number, 0.5, None, fit=fit)


def test_a_run_without_a_model_names_the_last_round_that_found_every_label() -> None:
    rounds = [
        a_round(0, "warm-up", 900, liver=0.8, tumour=0.7),
        a_round(1, "cut", 500, liver=0.8, tumour=0.6),
        a_round(2, "cut", 300, liver=0.8, tumour=0.0),
        a_round(3, "rolled back", 500, liver=0.8, tumour=0.6),
        a_round(4, "cut", 200, liver=0.8, tumour=0.05),
    ]
    lost = below({"liver": 0.8, "tumour": 0.0}, "training")
    assert failure(lost, rounds, 4) == (
        "the network finds next to nothing of tumour (Dice 0.000 over the training cases that hold it), so "
        "the run has no model; the last round that found every label is 3, rounds/003.safetensors with 500 "
        "parameters; give it more `train.steps` or a larger `prune.target`, and look at the masks of these "
        "labels (`train.missed_label=warn` keeps such a model)"
    )
    assert "; the last round that found every label is 1," in failure(lost, rounds[:3], 2)
    assert "; no round found every label; give it" in failure(lost, [a_round(0, "finish", 9), *rounds[4:]], 4)


def test_the_round_that_was_found_wanting_is_not_named_as_one_that_found_all() -> None:
    """Its look while it trained was at a few windows, the verdict is over all cases."""
    rounds = [a_round(0, "warm-up", 900, liver=0.0), a_round(1, "finish", 900, liver=0.2)]
    said = failure(below({"liver": 0.05}, "training"), rounds, 1)
    assert (
        "no round found every label; give it more `train.steps`, and look at the masks of these labels"
        in said
    )


def test_the_last_line_says_how_many_cases_each_dice_rests_on() -> None:
    def words(dice: dict[str, float] | None, cases: dict[str, int] | None) -> str:
        return support_of(
            Result.model_construct(validation_dice_per_label=dice, validation_cases_per_label=cases)
        )

    assert words({"liver": 0.5}, {"liver": 3}) == " in 3 cases"
    assert (
        words({"a": 0.5, "b": 0.25}, {"a": 3, "b": 1, "c": 0})
        == " (a 0.500 in 3 cases, b 0.250 in 1 case, c in no case)"
    )
    assert words(None, None) == ""
