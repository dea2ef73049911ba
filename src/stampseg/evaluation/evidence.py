"""Which post-processing helps, measured on cases that the network has not learnt from.

A step is tried for each label alone: what it changes of one label changes no Dice of another. It is kept if

* `LEAST_PEOPLE` people hold the label,
* the mean over people of what their Dice gains is `LEAST_GAIN` at least,
* without the person who gains the most, the mean of the others is still above 0,
* and more than twice as many people gain as lose.

Of steps that help nobody in truth luck passes up to a quarter with four people, a sixth with ten, a ninth
with twenty (benchmarks/postprocess_luck.py); what it passes changes little.

Of the steps that drop pieces the best is kept, at most one; holes are tried first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ..core.options import FileRecord
from ..data.labels.postprocess import LabelSteps, Postprocessing, postprocessed
from .metrics import dice_score
from .predicted import Predicted

LEAST_PEOPLE = 4  # of fewer a gain says little
LEAST_GAIN = 0.001
SHARES = (0.02, 0.1)  # of the median size of the label in the references, that pieces may be dropped below


class StepTrial(FileRecord):
    """What a step gained for one label.

    Attributes:
        label: its name.
        step: in words.
        gain: mean over people of the change in Dice.
        without_best: the same without the person who gains the most.
        better, worse: people whose Dice rises, and falls.
        people: who hold the label.
        kept: whether the step is.
    """

    label: str
    step: str
    gain: float
    without_best: float
    better: int
    worse: int
    people: int
    kept: bool


Cases = Callable[[], Iterable[Predicted]]  # once more from the start at every call, one case in memory


def find_steps(cases: Cases, names: Sequence[str], unit: str) -> tuple[Postprocessing, tuple[StepTrial, ...]]:
    """The steps that help, and all that was tried.

    Args:
        cases: of people who were not learnt from.
        names: of the classes, background first.
        unit: of sizes, for words.
    """
    held, sizes = _held(cases, len(names))
    candidates = {
        label: _candidates(label, float(np.median(sizes[label])))
        for label in range(1, len(names))
        if len(held[label]) >= LEAST_PEOPLE
    }
    if not candidates:
        return (), ()
    filling = {label: [LabelSteps(label=label, fill_holes=True)] for label in candidates}
    filled, trials = _best(cases, filling, {}, names, unit)
    dropped, more = _best(cases, candidates, filled, names, unit)
    chosen = filled | dropped
    return tuple(chosen[label] for label in sorted(chosen)), (*trials, *more)


def _held(cases: Cases, classes: int) -> tuple[dict[int, set[str]], dict[int, list[float]]]:
    """People who hold each label, and the label's sizes in their references."""
    people: dict[int, set[str]] = defaultdict(set)
    sizes: dict[int, list[float]] = defaultdict(list)
    for case in cases():
        counts = np.bincount(case.reference.ravel(), minlength=classes)
        for label in range(1, classes):
            if counts[label]:
                people[label].add(case.person)
                sizes[label].append(float(counts[label] * np.prod(case.spacing)))
    return people, sizes


def _candidates(label: int, size: float) -> list[LabelSteps]:
    """The mildest first."""
    least = [LabelSteps(label=label, least=float(f"{share * size:.3g}")) for share in SHARES]
    return [*least, LabelSteps(label=label, largest=True)]


def _best(
    cases: Cases,
    candidates: dict[int, list[LabelSteps]],
    before: dict[int, LabelSteps],
    names: Sequence[str],
    unit: str,
) -> tuple[dict[int, LabelSteps], list[StepTrial]]:
    """The best step of each label, on top of those before, where one passes; and all trials."""
    gains: dict[tuple[int, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for case in cases():
        for label, steps in candidates.items():
            if (case.reference == label).any():
                had = [before[label]] if label in before else []
                start = _dice(case, had, label)
                for place, step in enumerate(steps):
                    gain = _dice(case, [*had, step], label) - start
                    gains[label, place][case.person].append(gain)
    best, trials = {}, []
    for label, steps in candidates.items():
        found = [trial_of(gains[label, place], step, names, unit) for place, step in enumerate(steps)]
        passing = [place for place, trial in enumerate(found) if passes(trial)]
        chosen = max(passing, key=lambda place: (found[place].gain, -place), default=None)
        if chosen is not None:
            both = before[label].model_dump(exclude_defaults=True) if label in before else {}
            best[label] = LabelSteps(**(both | steps[chosen].model_dump(exclude_defaults=True)))
        trials += [trial.model_copy(update={"kept": place == chosen}) for place, trial in enumerate(found)]
    return best, trials


def _dice(case: Predicted, steps: Sequence[LabelSteps], label: int) -> float:
    found = postprocessed(case.classes, tuple(steps), case.spacing) == label
    if case.known is not None:
        found &= case.known
    return dice_score(found, case.reference == label)


def trial_of(gains: dict[str, list[float]], step: LabelSteps, names: Sequence[str], unit: str) -> StepTrial:
    """What a step gained, from the changes in Dice of each person's cases; not kept yet."""
    means = np.array([np.mean(gains[person]) for person in sorted(gains)])
    others = np.delete(means, means.argmax()) if len(means) > 1 else np.zeros(1)
    return StepTrial(
        label=names[step.label],
        step=step.words("", unit).removeprefix(": "),
        gain=float(means.mean()),
        without_best=float(others.mean()),
        better=int((means > 0).sum()),
        worse=int((means < 0).sum()),
        people=len(means),
        kept=False,
    )


def passes(trial: StepTrial) -> bool:
    """Whether a step helps by the rule above."""
    return (
        trial.people >= LEAST_PEOPLE
        and trial.gain >= LEAST_GAIN
        and trial.without_best > 0
        and trial.better > 2 * trial.worse
    )
