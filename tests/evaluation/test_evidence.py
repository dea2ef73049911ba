"""Post-processing is kept where it helps several people, and not where one alone speaks for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from stampseg.data.labels.postprocess import LabelSteps
from stampseg.evaluation.evidence import (
    LEAST_GAIN,
    LEAST_PEOPLE,
    StepTrial,
    find_steps,
    passes,
    trial_of,
)
from stampseg.evaluation.predicted import Predicted

NAMES = ("background", "organ", "other")


def person(name: str, *, speck: bool = False, hole: bool = False, two: bool = False) -> Predicted:
    """An organ, predicted whole but for a speck beside it or a hole in it; or an organ of two parts."""
    reference = np.zeros((20, 20), np.uint8)
    reference[2:12, 2:12] = 1
    if two:
        reference[14:19, 14:19] = 1
    found = reference.copy()
    if speck:
        found[16:18, 3:5] = 1
    if hole:
        found[5:8, 5:8] = 0
    return Predicted(name, found, reference, (1.0, 1.0))


def kept(people: Sequence[Predicted]) -> tuple[LabelSteps, ...]:
    return find_steps(lambda: iter(people), NAMES, "px")[0]


def test_a_step_that_helps_several_people_is_kept() -> None:
    people = [person(str(n), speck=n < 3) for n in range(5)]
    steps, trials = find_steps(lambda: iter(people), NAMES, "px")
    # a speck of 4 is below a tenth of 100: the mildest step that does it is taken, not the largest piece
    assert steps == (LabelSteps(label=1, least=10.0),)
    best = next(trial for trial in trials if trial.kept)
    assert (best.label, best.step) == ("organ", "pieces below 10 px dropped")
    assert (best.better, best.worse, best.people) == (3, 0, 5)
    assert best.gain == pytest.approx(3 / 5 * (1 - 200 / 204))
    assert {trial.label for trial in trials} == {"organ"}  # nobody holds the other


def test_holes_and_pieces_go_together() -> None:
    assert kept([person(str(n), speck=True, hole=True) for n in range(4)]) == (
        LabelSteps(label=1, fill_holes=True, least=10.0),
    )


@pytest.mark.parametrize(
    ("people", "why"),
    [
        ([person(str(n), speck=True) for n in range(3)], "three people say little"),
        ([person(str(n), speck=n == 0) for n in range(8)], "one person alone gains"),
        ([person("0", speck=True) for _ in range(8)], "eight scans of one person are one person"),
        ([person(str(n)) for n in range(8)], "nobody gains"),
        ([person(str(n), two=True) for n in range(8)], "the largest piece is not all of it"),
    ],
)
def test_without_evidence_nothing_is_done(people: list[Predicted], why: str) -> None:
    assert kept(people) == (), why


def test_voxels_of_which_nothing_is_known_do_not_count() -> None:
    known = np.ones((20, 20), bool)
    known[15:] = False  # where the specks are
    people = [person(str(n), speck=True) for n in range(5)]
    masked = [Predicted(p.person, p.classes, p.reference, p.spacing, known) for p in people]
    assert kept(people)
    assert kept(masked) == ()


@pytest.mark.parametrize(("people", "most"), [(4, 0.25), (6, 0.12), (10, 0.17), (20, 0.07)])
def test_luck_passes_few_steps_that_help_nobody(people: int, most: float) -> None:
    gains = np.random.default_rng(0).normal(0, 0.01, (4000, people))
    step = LabelSteps(label=1, largest=True)
    names = {f"{place:02d}": place for place in range(people)}
    found = [
        trial_of({name: [row[place]] for name, place in names.items()}, step, NAMES, "px") for row in gains
    ]
    assert np.mean([passes(trial) for trial in found]) <= most


def test_the_rule() -> None:
    def trial(gain: float, rest: float, better: int, worse: int, people: int) -> bool:
        values = {"gain": gain, "without_best": rest, "better": better, "worse": worse, "people": people}
        return passes(StepTrial(label="a", step="b", kept=False, **values))

    assert trial(LEAST_GAIN, 1e-6, 3, 1, LEAST_PEOPLE)
    assert not trial(LEAST_GAIN * 0.9, 1e-6, 3, 1, LEAST_PEOPLE)
    assert not trial(0.1, 0.0, 3, 1, LEAST_PEOPLE)
    assert not trial(0.1, 0.01, 4, 2, 6)
    assert not trial(0.1, 0.01, 3, 0, LEAST_PEOPLE - 1)
