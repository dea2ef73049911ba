"""What a run folder says of its run, typed: the lines of rounds.jsonl and notes.jsonl, and result.json.

Whoever writes and whoever reads has these forms in common. Fields that older runs did not write have
defaults, so that they can still be read.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from ..core.json_file import JsonFile
from ..core.level import Level
from ..core.machine import Machine
from ..core.options import FileRecord, Number
from ..core.run_folder import MODEL_FILE, RESULT_FILE, round_file
from ..core.text import counted, dice_text
from ..evaluation.evidence import StepTrial
from ..evaluation.false_positives import FalsePositives
from ..evaluation.metrics import UNION
from ..evaluation.people import OverPeople, mean_of_known

if TYPE_CHECKING:
    from ..train.round import Round


class ValidationRecord(FileRecord):
    """Dice over the validation cases; `cases` says how many hold each label; see `Validation`."""

    dice: Number = None
    per_label: dict[str, Number] = Field(default_factory=dict)
    cases: dict[str, int] = Field(default_factory=dict)
    false_positives: dict[str, FalsePositives] = Field(default_factory=dict)


class FitRecord(FileRecord):
    """Loss, and Dice of each label, on training windows without augmentation; see `Fit`."""

    loss: Number = None
    per_label: dict[str, Number] = Field(default_factory=dict)
    student: dict[str, Number] = Field(default_factory=dict)
    agreement: Number = None

    @property
    def dice(self) -> float | None:
        """Mean over the labels."""
        return mean_of_known(self.per_label.values())

    @property
    def student_dice(self) -> float | None:
        """Mean over the labels, of the network that is taught."""
        return mean_of_known(self.student.values())


class RoundRecord(FileRecord):
    """A line of rounds.jsonl: everything in a `Round` but the channel graph."""

    number: int
    event: str = ""
    widths: dict[str, int] = Field(default_factory=dict)
    parameters: int | None = None
    flops: int | None = None
    memory: int | None = None  # bytes of the convolutions' maps of one example
    steps: int | None = None  # optimiser steps of the run so far
    loss: Number = None  # mean over this round's steps
    validation: ValidationRecord | None = None
    fit: FitRecord | None = None  # after this round's training
    foreseen: FitRecord | None = None  # of the network before the cut, with its channels silenced
    removed: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    spared: dict[str, tuple[int, ...]] = Field(default_factory=dict)  # ranked for the cut, found to hurt
    dropout: dict[str, Number] = Field(default_factory=dict)  # mean rate per group
    scores: dict[str, Number] = Field(default_factory=dict)  # mean score per group, before the cut
    seconds: dict[str, Number] = Field(default_factory=dict)  # score, look, cut, train, validate, measure
    latency: Number = None  # measured milliseconds of one example

    @classmethod
    def of(cls, turn: Round) -> RoundRecord:
        """As it is written."""
        return cls.model_validate(turn, from_attributes=True)


class NoteRecord(FileRecord):
    """A line of notes.jsonl: something that whoever watched the run was told."""

    time: datetime
    level: Level = Level.INFO
    text: str

    @classmethod
    def now(cls, text: str, level: Level) -> NoteRecord:
        """A note of this moment."""
        return cls(time=datetime.now().astimezone(), level=level, text=text)


class AsideRecord(FileRecord):
    """What came of the people kept aside, predicted with the chosen model when the run had ended.

    `cases` and `people` are those with a figure; `dice` is the mean over the labels; `false_alarms` says what
    was found in those without a label; `lowest` are the people with the lowest mean Dice; `problems` are
    cases that could not be predicted or compared.
    """

    cases: int
    people: int
    dice: Number = None
    labels: dict[str, OverPeople] = Field(default_factory=dict)
    false_alarms: tuple[str, ...] = ()
    lowest: dict[str, float] = Field(default_factory=dict)
    problems: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """`0.812 over 9 people`; of several labels it is the mean over them of each one's mean."""
        labels = sum(each.mean is not None for name, each in self.labels.items() if name != UNION)
        over = f" (mean of {labels} labels)" if labels > 1 else ""
        return f"{dice_text(self.dice)}{over} over {counted(self.people, 'person', 'people')}"


READING = (
    "names in backquotes are options as config.yaml beside this file has them; commands take each by their "
    "option set, as in train.steps=400; `examine` is the command check, `segment` the command predict"
)


class Result(FileRecord):
    """What result.json says of a run that has ended."""

    method: str
    seed: int | None = None
    parameters_before: int
    parameters_after: int
    flops_before: int
    flops_after: int
    memory_before: int | None = None
    memory_after: int | None = None
    latency_before: Number = None
    latency_after: Number = None
    parameters_dense: int | None = None
    flops_dense: int | None = None
    validation_dice_before: Number = None
    validation_dice: Number = None
    validation_dice_per_label: dict[str, Number] | None = None
    validation_cases_per_label: dict[str, int] | None = None
    rounds: int
    steps: int
    seconds: float
    training_cases: int | None = None
    validation_cases: int | None = None
    unlabelled_cases: int = 0  # images that were learnt from without labels
    unlabelled_people: int = 0
    test: AsideRecord | None = None  # of the people kept aside
    target: str | None = None
    target_reached: bool | None = None
    chosen_round: int
    rule: str
    better_round: int | None = (
        None  # of a larger network with a Dice that is better by more than the tolerance
    )
    training_dice_per_label: dict[str, Number] | None = None  # on a window of each training case
    failure: str | None = None  # why the run has no model
    warnings: tuple[str, ...] = ()  # what speaks against using the network
    remarks: tuple[str, ...] = ()  # what else a reader should know
    widths: dict[str, int] = Field(default_factory=dict)
    postprocess: str | None = None  # what is done to masks, or "none"; None where nothing was measured
    trials: tuple[StepTrial, ...] = ()  # of post-processing
    machine: Machine = Machine()
    reading: str = ""  # what the names in warnings and remarks are

    def network_in(self, run: Path) -> Path:
        """The network that the figures are of: the model of the run, or what was refused as one."""
        return run / MODEL_FILE if self.failure is None else round_file(run, self.chosen_round)


ROUNDS = JsonFile("rounds.jsonl", RoundRecord)
NOTES = JsonFile("notes.jsonl", NoteRecord)
RESULT = JsonFile(RESULT_FILE, Result)


def read_rounds(path: Path) -> list[RoundRecord]:
    """The rounds of a run folder; the last one is left out where a process was killed while it wrote it.

    Raises:
        OSError: there is no rounds.jsonl.
        DataError: a line is damaged, or of a newer version.
    """
    return ROUNDS.read_lines(path)


def read_result(path: Path) -> Result:
    """What a run folder says of its run.

    Raises:
        DataError: the run has not ended, or its result.json is damaged or of a newer version.
    """
    return RESULT.read(path)
