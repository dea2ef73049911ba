"""What the loop was told, so that a stopped run can be brought back to where it was.

The loop (train/stamp.py) is a function of what its learner answers: losses, scores, choices, Dice. Every
answer is written down. Whoever resumes a stopped run gives the loop the old answers, without any
training, until they end: its counts, channels and decisions are then those of the old run, and the
weights are put in from a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ..channels.graph import ChannelGraph, Cut, Scores
from ..core.errors import ModelFileError
from ..evaluation.false_positives import FalsePositives
from ..train.learner import Learner
from ..train.round import Fit, Validation

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What a function of the learner gave: its name, a JSON value, arrays by name."""

    call: str
    value: Any = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


class Replay:
    """The answers so far, and how many of the old ones have been given again.

    Attributes:
        answers: all of them, in order.
        told: how many the loop has had; fewer than there are while an old run is told again.
    """

    def __init__(self, answers: list[Answer] | None = None) -> None:
        self.answers, self.told = list(answers or ()), 0

    def learner(self, live: Learner, before_training: Callable[[], None]) -> Learner:
        """The learner that answers from the replay first, and is written down afterwards.

        Args:
            live: trains, scores, validates.
            before_training: called before training that no old answer replaces.
        """

        def train(steps: int) -> float:
            def work() -> Answer:
                before_training()
                return Answer("train", live.train(steps))

            return float(self._answer("train", work).value)

        def score(graph: ChannelGraph) -> Scores:
            answer = self._answer("score", lambda: Answer("score", arrays=live.score(graph)))
            return {name: np.array(values) for name, values in answer.arrays.items()}

        def choose(*args: Any, **kwargs: Any) -> Cut:
            def work() -> Answer:
                removed = live.choose(*args, **kwargs).removed
                return Answer("choose", {name: [int(i) for i in gone] for name, gone in removed.items()})

            return Cut.of(self._answer("choose", work).value)

        def validate() -> Validation | None:
            def work() -> Answer:
                found = live.validate()
                return Answer("validate", found and _stored(found))

            value = self._answer("validate", work).value
            return None if value is None else _validation(*value)

        def end() -> None:
            def work() -> Answer:
                before_training()
                assert live.end is not None
                live.end()
                return Answer("end")

            self._answer("end", work)

        fit, foresee, measure = live.fit, live.foresee, live.latency

        def latency() -> float:
            assert measure is not None
            return float(self._answer("latency", lambda: Answer("latency", float(measure()))).value)

        return replace(
            live, train=train, score=score, choose=choose, validate=validate,
            end=None if live.end is None else end,
            fit=None if fit is None else lambda: self._fit("fit", fit),
            foresee=None if foresee is None else lambda *cut: self._fit("foresee", partial(foresee, *cut)),
            latency=None if measure is None else latency,
        )  # fmt: skip

    def _fit(self, call: str, work: Callable[[], Fit]) -> Fit:
        def answer() -> Answer:
            found = work()
            return Answer(call, [found.loss, dict(found.per_label), dict(found.student), found.agreement])

        value = self._answer(call, answer).value
        if isinstance(value, float):  # of version 0.1: the mean of the labels
            return Fit(math.nan, {"all": value})
        return Fit(*value)

    def _answer(self, call: str, work: Callable[[], Answer]) -> Answer:
        if self.told < len(self.answers):
            answer = self.answers[self.told]
            if answer.call != call:
                raise ModelFileError(
                    f"the checkpoint is of another version of stampseg: it answers {answer.call} where "
                    f"{call} is asked; start the run again in a new folder"
                )
        else:
            answer = work()
            self.answers.append(answer)
        self.told += 1
        return answer


def _stored(found: Validation) -> list[Any]:
    false = {name: asdict(each) for name, each in found.false_positives.items()}
    return [found.dice, dict(found.per_label), dict(found.cases), false]


def _validation(
    dice: float,
    per_label: dict[str, float],
    cases: dict[str, int] | None = None,  # older checkpoints lack it, and what follows
    false: Mapping[str, Mapping[str, Any]] | None = None,
) -> Validation:
    found = {name: FalsePositives(**values) for name, values in (false or {}).items()}
    return Validation(dice, per_label, cases or {}, found)
