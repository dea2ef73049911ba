"""The end of a run: which round becomes the model, and what result.json says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..core.machine import this_machine
from ..evaluation.metrics import FOUND_DICE
from ..train.round import Fit, Round
from ..train.round_choice import select
from .folder import RunFolder
from .records import READING, RESULT, Result
from .task import Task
from .verdict import (
    better_round,
    failure_words,
    false_alarms,
    labels_below,
    labels_missed,
    remarks_on,
    useless_words,
)


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        before: the network as it was before the first step, as round -1.
        rounds: all of them.
        remarks: of the training method.
    """

    before: Round
    rounds: list[Round]
    remarks: Sequence[str] = ()


def write_result(
    folder: RunFolder,
    task: Task,
    trained: Trained,
    dense: tuple[int, int],
    seconds: float,
    training_fit: Callable[[int], Fit],
    calibrate: Callable[[Path], object],
) -> Result:
    """Choose the model and write result.json.

    Args:
        folder: of the run, with a model for every round.
        task: what was to be done, with what was known of the data.
        trained: what came of it.
        dense: parameters and FLOPs of the dense network.
        seconds: how long it took.
        training_fit: of the network of a round, over all training cases.
        calibrate: gives the model file its calibration.

    Returns:
        What result.json holds.
    """
    seen, config, before, rounds = task.seen, task.config, trained.before, trained.rounds
    pruned = config.traits.prunes
    choice = select(rounds, config.prune, before, pruned)
    chosen, fit = rounds[choice.number], training_fit(choice.number)
    unfound = labels_below(fit.per_label, "training")
    failure = (
        failure_words(unfound, rounds, choice.number)
        if unfound and config.train.missed_label == "fail"
        else None
    )
    if failure is None:
        folder.choose(choice.number)
        calibrate(folder.model)
    validation = chosen.validation
    better = better_round(rounds, chosen, config) if failure is None else None
    useless = [useless_words(validation, fit)] if validation and validation.dice < FOUND_DICE else []
    result = Result(
        method=config.method,
        seed=config.seed,
        parameters_before=before.parameters,
        parameters_after=chosen.parameters,
        flops_before=before.flops,
        flops_after=chosen.flops,
        memory_before=before.memory,
        memory_after=chosen.memory,
        latency_before=before.latency,
        latency_after=chosen.latency,
        parameters_dense=dense[0],
        flops_dense=dense[1],
        validation_dice_before=before.validation.dice if before.validation else None,
        validation_dice=validation.dice if validation else None,
        validation_dice_per_label=dict(validation.per_label) if validation else None,
        validation_cases_per_label=dict(validation.cases) if validation else None,
        rounds=len(rounds),
        steps=rounds[-1].steps,
        seconds=round(seconds, 1),
        training_cases=len(seen.split.training),
        validation_cases=len(seen.split.validation),
        unlabelled_cases=len(seen.split.unlabelled),
        unlabelled_people=len({case.group for case in seen.split.unlabelled}),
        target=str(config.prune.target) if config.traits.has_target else None,
        target_reached=choice.target_reached,
        chosen_round=choice.number,
        rule=choice.rule,
        better_round=None if better is None else better.number,
        training_dice_per_label=dict(fit.per_label),
        warnings=() if failure is not None else (*labels_missed(validation, unfound), *useless),
        failure=failure,
        test=None,  # predicted once the model is whole
        remarks=(
            *remarks_on(rounds, chosen, better, choice.target_reached, config, pruned),
            *false_alarms(validation, seen.plan),
            *trained.remarks,
        ),
        postprocess=None,  # tried when all else has ended
        trials=(),
        widths=dict(chosen.widths),
        machine=this_machine(torch.get_num_threads(), torch.__version__),
        reading=READING,
    )
    RESULT.write(folder.path, result)
    return result
