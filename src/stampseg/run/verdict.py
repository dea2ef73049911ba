"""What is said of a run's network: what it does not find, and what a reader should know of its choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.config import Config
from ..core.prune_options import PruneOptions
from ..data.plan import Plan
from ..evaluation.metrics import FOUND_DICE
from ..train.round import Fit, Round, Validation
from ..train.round_choice import smallest_within, standing

LEARNT_DICE = 0.5  # of the worst label on the training cases


def labels_below(dice: Mapping[str, float], where: str) -> list[str]:
    """The labels that are not found, with their Dice."""
    return [
        f"{name} (Dice {value:.3f} over the {where} cases that hold it)"
        for name, value in dice.items()
        if value < FOUND_DICE
    ]


def labels_missed(validation: Validation | None, unfound: Sequence[str]) -> list[str]:
    """A sentence that names the labels which the chosen network does not find."""
    lost = [*(labels_below(validation.per_label, "validation") if validation else ()), *unfound]
    return [f"this network finds next to nothing of {', '.join(lost)}"] if lost else []


def failure_words(unfound: Sequence[str], rounds: Sequence[Round], chosen: int) -> str:
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


def useless_words(validation: Validation, fit: Fit) -> str:
    """What to do about a network of next to no Dice."""
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


def remarks_on(
    rounds: list[Round], chosen: Round, better: Round | None, reached: bool, config: Config, pruned: bool
) -> list[str]:
    """What a reader should know about the choice."""
    remarks = []
    if pruned and not reached:
        why = why_not_reached(rounds, chosen, config.prune)
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


def why_not_reached(rounds: Sequence[Round], chosen: Round, options: PruneOptions) -> str:
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


def false_alarms(validation: Validation | None, plan: Plan) -> list[str]:
    """What is found of labels in the validation cases that hold none of them; a sentence for each label."""
    unit = plan.volume_unit
    return [
        each.words(name, unit, "validation")
        + ("; in the choice of a round each counts as Dice 0" if each.found_in else "")
        for name, each in (validation.false_positives if validation else {}).items()
    ]


def better_round(rounds: Sequence[Round], chosen: Round, config: Config) -> Round | None:
    """The smallest network near the best Dice, where the chosen one is not near it; no undone cut."""
    rounds = standing(rounds)
    best = max((t.validation.judged for t in rounds if t.validation), default=None)
    if best is None or not chosen.validation or chosen.validation.judged >= best - config.prune.tolerance:
        return None
    return smallest_within(rounds, config.prune.tolerance)
