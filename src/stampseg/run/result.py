"""The end of a run: which round becomes the model, and what result.json says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..core.config import Config
from ..core.machine import this_machine
from ..core.prune_options import PruneOptions
from ..data.plan import Plan
from ..train.round import FOUND_DICE, Fit, Round, Validation
from ..train.round_choice import select, smallest_within, standing
from .folder import RunFolder
from .records import READING, RESULT, Result
from .task import Task

USELESS_DICE = 0.1  # of all labels together
LEARNT_DICE = 0.5  # of the worst label on the training cases


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
    unfound = _below(fit.per_label, "training")
    failure = (
        _failure(unfound, rounds, choice.number) if unfound and config.train.missed_label == "fail" else None
    )
    if failure is None:
        folder.choose(choice.number)
        calibrate(folder.model)
    validation = chosen.validation
    better = _better(rounds, chosen, config) if failure is None else None
    useless = [_useless(validation, fit)] if validation and validation.dice < USELESS_DICE else []
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
        warnings=() if failure is not None else (*_missed(validation, unfound), *useless),
        failure=failure,
        test=None,  # predicted once the model is whole
        remarks=(
            *_remarks(rounds, chosen, better, choice.target_reached, config, pruned),
            *_false_alarms(validation, seen.plan),
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


def _below(dice: Mapping[str, float], where: str) -> list[str]:
    """The labels that are not found, with their Dice."""
    return [
        f"{name} (Dice {value:.3f} over the {where} cases that hold it)"
        for name, value in dice.items()
        if value < FOUND_DICE
    ]


def _missed(validation: Validation | None, unfound: Sequence[str]) -> list[str]:
    """A sentence that names the labels which the chosen network does not find."""
    lost = [*(_below(validation.per_label, "validation") if validation else ()), *unfound]
    return [f"this network finds next to nothing of {', '.join(lost)}"] if lost else []


def _failure(unfound: Sequence[str], rounds: Sequence[Round], chosen: int) -> str:
    """Why a run has no model, and what to do; the chosen round is the one that was found wanting."""
    others = [turn for turn in standing(rounds) if turn.number != chosen]
    good = [turn for turn in others if turn.fit is not None and turn.fit.lowest >= FOUND_DICE]
    watched = any(turn.fit is not None for turn in rounds)
    still = "no round found every label" if watched else "no round was looked at (`prune.guard` is off)"
    if good:
        last = good[-1]
        still = (
            f"the last round that found every label is {last.number}, rounds/{last.number:03d}.safetensors "
            f"with {last.parameters:,} parameters"
        )
    larger = " or a larger `prune.target`" if any(turn.event == "cut" for turn in rounds) else ""
    return (
        f"the network finds next to nothing of {', '.join(unfound)}, so the run has no model; {still}; "
        f"give it more `train.steps`{larger}, and look at the masks of these labels "
        "(`train.missed_label=warn` keeps such a model)"
    )


def _dice_words(validation: Validation) -> str:
    judged = (
        "" if validation.judged == validation.dice else f" ({validation.judged:.3f} with false positives)"
    )
    return f"{validation.dice:.3f}{judged}"


def _useless(validation: Validation, fit: Fit) -> str:
    if fit.lowest >= LEARNT_DICE:
        return (
            f"validation Dice is {validation.dice:.3f}, and {fit.lowest:.3f} on the cases that train: this "
            "network has learnt these and finds next to nothing in others; label scans of more people, and "
            "look at those who validate"
        )
    return (
        f"validation Dice is {validation.dice:.3f}: this network has learnt next to "
        "nothing; give it more `train.steps`, and look at its masks"
    )


def _remarks(
    rounds: list[Round], chosen: Round, better: Round | None, reached: bool, config: Config, pruned: bool
) -> list[str]:
    """What a reader should know about the choice."""
    remarks = []
    if pruned and not reached:
        why = _why_not_reached(rounds, chosen, config.prune)
        remarks.append(
            f"the target ({config.prune.target}) was not reached: "
            f"the network has {chosen.parameters:,} parameters; {why}"
        )
    undone = sum(turn.event == "rolled back" for turn in rounds)
    if undone:
        floor = "" if config.prune.target.floor is None else f", prune.target {config.prune.target}"
        remarks.append(
            f"{undone} cut(s) did not heal (prune.max_drop {config.prune.max_drop:g}{floor}) and were rolled "
            "back; their channels were spared"
        )
    if better is not None and better.validation and chosen.validation:
        remarks.append(
            f"round {better.number} ({better.parameters:,} parameters) had validation Dice "
            f"{_dice_words(better.validation)}, the chosen one {_dice_words(chosen.validation)}; to take its "
            f"network, name rounds/{better.number:03d}.safetensors where a model is asked for"
        )
    return remarks


def _why_not_reached(rounds: Sequence[Round], chosen: Round, options: PruneOptions) -> str:
    """What kept a run from its target, and what to do."""
    events = {turn.event for turn in rounds}
    if options.target.floor is not None:
        return "give it more `train.steps`, label scans of more people, or ask for less"
    if any(turn.parameters < chosen.parameters for turn in standing(rounds)):
        return "smaller ones are worse by more than `prune.tolerance`"
    if "cut" not in events:
        return (
            "no cut was made, for labels were not found in time for channels to be told apart; give it more "
            "`train.steps`, or label scans of more people"
        )
    if "rolled back" in events:
        return "cuts did not heal; take a target that leaves more, or allow a larger `prune.max_drop`"
    return "steps ran out; give it more `train.steps`, or take a target that leaves more"


def _false_alarms(validation: Validation | None, plan: Plan) -> list[str]:
    """What is found of labels in the validation cases that hold none of them; a sentence for each label."""
    unit = plan.volume_unit
    return [
        each.words(name, unit, "validation")
        + ("; in the choice of a round each counts as Dice 0" if each.found_in else "")
        for name, each in (validation.false_positives if validation else {}).items()
    ]


def _better(rounds: Sequence[Round], chosen: Round, config: Config) -> Round | None:
    """The smallest network near the best Dice, where the chosen one is not near it; no undone cut."""
    rounds = standing(rounds)
    best = max((t.validation.judged for t in rounds if t.validation), default=None)
    if best is None or not chosen.validation or chosen.validation.judged >= best - config.prune.tolerance:
        return None
    return smallest_within(rounds, config.prune.tolerance)
