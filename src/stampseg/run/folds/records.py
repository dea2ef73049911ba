"""What folds.json says of a cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...core.json_file import JsonFile
from ...core.options import FileRecord, Number
from ...core.run_folder import FOLDS_FILE
from ...data.calibration import Calibration
from ...data.labels.postprocess import Postprocessing
from ...data.splits.folds import Fold
from ...evaluation.evidence import StepTrial
from ...evaluation.people import OverPeople, mean_of_known, over_people


class FoldCase(FileRecord):
    """A case, predicted by the network that has not seen its person.

    Attributes:
        id, group: the case and its person.
        fold: index of the fold in which the person was held out.
        mask: file name in out_of_fold/.
        dice: by label; None where the case does not hold the label.
    """

    id: str
    group: str
    fold: int
    mask: str
    dice: dict[str, Number]

    @property
    def mean(self) -> float | None:
        """Over the labels that the case holds."""
        return mean_of_known(self.dice.values())


class LabelDice(OverPeople):
    """Dice of a label over people."""

    label: str


@dataclass(frozen=True)
class FoldDice:
    """Dice of those held out in one fold, mean over people."""

    name: str
    people: int
    cases: int
    mean: float | None


class Folds(FileRecord):
    """Who was held out with whom; and, once all folds have ended, how well they were predicted.

    Attributes:
        words: how the folds were made.
        folds: in the order of their folders.
        cases: all that were held out.
        labels: of each label, and "mean", over the labels that a person holds.
        how: what the figures beside a mean are.
        trials: post-processing that was tried on the predictions.
        steps: of it, what is kept; in the model files.
        calibration: what certainty is worth, in the model files; None where it found no label in five people.
    """

    words: str
    folds: tuple[Fold, ...]
    cases: tuple[FoldCase, ...] = ()
    labels: tuple[LabelDice, ...] = ()
    how: tuple[str, ...] = ()
    trials: tuple[StepTrial, ...] = ()
    steps: Postprocessing = ()
    calibration: Calibration | None = None

    def by_fold(self) -> list[FoldDice]:
        """Of each fold, the mean over its people."""
        rows = []
        for number, fold in enumerate(self.folds):
            cases = [case for case in self.cases if case.fold == number]
            mean = over_people((case.group, case.mean) for case in cases if case.mean is not None).mean
            rows.append(FoldDice(fold.name, len({case.group for case in cases}), len(cases), mean))
        return rows

    @property
    def caution(self) -> tuple[str, ...]:
        """How to read the figures, in words."""
        return (CAUTION,) if self.cases else ()


CAUTION = (
    "each case was predicted by a network that had not seen its person, and that learnt from fewer people "
    "than the network of the run; the networks share most of their cases, so limits are a little too narrow"
)


FOLDS = JsonFile(FOLDS_FILE, Folds)
OUT_OF_FOLD = "out_of_fold"  # with the masks


def read_folds(run: Path) -> Folds | None:
    """What a run folder says of its folds; None where it has none.

    Raises:
        DataError: its folds.json cannot be used.
    """
    return FOLDS.read_if_there(run)
