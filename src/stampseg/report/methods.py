"""methods.md: what a methods section says of a run, with figures, spread, versions and citation."""

from __future__ import annotations

import statistics

from ..core.config import Config, parse_config
from ..core.errors import ConfigError
from ..core.run_folder import CONFIG_FILE
from ..core.text import counted, size_text
from ..core.yaml import read_yaml
from ..data.fingerprint import Fingerprint
from ..data.labels.pieces import RIVAL
from ..data.plan import Plan
from ..data.splits.record import Splits
from ..data.transforms import augmentation_in_words
from ..evaluation.people import how_read
from ..run.folds.records import Folds
from ..run.records import AsideRecord, Result
from ..run.search.records import Search
from .cases import PredictedCases
from .record import Record

NAME = "methods.md"
CITATION = (
    "Dinsdale NK, Jenkinson M, Namburete AIL. STAMP: Simultaneous Training and Model Pruning for low "
    "data regimes in "
    "medical image segmentation. Medical Image Analysis 81:102583 (2022). doi:10.1016/j.media.2022.102583"
)


def methods_of(record: Record, predicted: PredictedCases) -> str:
    """The page; what the run does not say is left out. "" for a run without a result."""
    config = _config(record)
    if record.result is None or config is None:
        return ""
    parts = [
        ("Data", _data(record.splits, record.result, record.fingerprint, config)),
        ("Preparation", _preparation(record.plan)),
        ("Network", f"{_network(record.result, config)}{_beginning(record.given, config)}"),
        ("Search", _search(record.search) if record.search else ""),
        ("Training", f"{_training(record.result, config)}{_distillation(record.folds, config)}"),
        ("Augmentation", _augmentation(record.plan) if config.train.augment else "None."),
        ("Post-processing", _postprocessing(record)),
        _compared(predicted, record),
        ("Cross-validation", _cross_validation(record.folds, config) if record.folds else ""),
        ("Test", _test(record.result.test) if record.result.test else ""),
        ("Software and machine", _software(record.result)),
        (
            "To be cited",
            f"- {CITATION}\n- stampseg {record.result.machine.stampseg or ''} (CITATION.cff).".strip(),
        ),
    ]
    failure = record.result.failure
    use = "For a methods section" if failure is None else f"**This run has no model** ({failure})"
    title = f"# Methods of {record.path.resolve().name}\n\n{use}; written from the run folder.\n"
    return title + "".join(f"\n## {name}\n\n{text}\n" for name, text in parts if text)


def _config(record: Record) -> Config | None:
    try:
        return parse_config(read_yaml(record.config) or {}, CONFIG_FILE)
    except (ConfigError, ValueError):
        return None


def _data(splits: Splits | None, result: Result, seen: Fingerprint | None, config: Config) -> str:
    if splits is None:
        return f"{counted(result.training_cases or 0, 'case')} with labels trained the network."
    sides = [
        ("trained the network", splits.training),
        ("validated it", splits.validation),
        ("were kept aside for the test", splits.test),
        ("were held out of this fold", splits.held_out),
    ]
    words = [
        f"{counted(len(side), 'case')} of "
        f"{counted(len({e.group or e.id for e in side}), 'person', 'people')} {what}"
        for what, side in sides
        if side
    ]
    text = "; ".join([*words, *(["no person was on two sides"] if len(words) > 1 else [])]) + "."
    if result.unlabelled_cases:
        teacher = "with the networks of the folds as teachers" if config.train.distil else "by a mean teacher"
        text += f" {counted(result.unlabelled_cases, 'scan')} without labels were learnt from {teacher}."
    if seen is not None:
        low, high = (size_text(each, 3) for each in zip(*seen.scans.spacing, strict=True))
        span = low if low == high else f"{low} to {high}"
        text += f" Voxel size of the training cases: {span} {'mm' if any(seen.orientations) else 'px'}."
    return text


def _preparation(plan: Plan | None) -> str:
    if plan is None:
        return ""
    noun = "voxels" if plan.orientation else "pixels"
    turned = f"turned to {plan.orientation} axes, " if plan.orientation else ""
    names = ", ".join(plan.label_names[1:])
    return (
        f"Images were {turned}resampled to {size_text(plan.spacing, 3)} {plan.unit}, cropped: {plan.crop}, "
        "normalised: "
        f"{', '.join(dict.fromkeys(plan.normalizations))}. Windows of {size_text(plan.patch_size)} {noun}. "
        f"Labels: {names}."
    )


def _augmentation(plan: Plan | None) -> str:
    return f"{augmentation_in_words(plan)}." if plan is not None else ""


def _network(result: Result, config: Config) -> str:
    size = f"{result.parameters_before:,} parameters, {result.flops_before / 1e9:.3g} GFLOPs a window"
    text = f"{config.network.name}: {size}"
    if not config.traits.prunes:
        return f"{text}; not pruned ({config.method})."
    if result.parameters_after == result.parameters_before:
        return f"{text}; no channel was removed, towards a target of {result.target} ({config.method})."
    reached = "" if result.target_reached is not False else ", which was not reached"
    return (
        f"{text} before pruning; {result.parameters_after:,} and {result.flops_after / 1e9:.3g} after "
        "it. Whole channels were "
        f"removed while the network trained ({config.method}; criterion {config.prune.criterion}), "
        "towards a target of "
        f"{result.target}{reached}, in {counted(result.rounds, 'round')} of training."
    )


def _beginning(given: str | None, config: Config) -> str:
    """What stands behind the network besides this training."""
    if config.network.widths_of is not None:
        return (
            f" Its layers have the widths that the pruned network of {config.network.widths_of.name} "
            "had come to; its weights were drawn by chance."
        )
    if given is None:
        return ""
    return (
        f" It began with the trained network of {given}, whose own training, and pruning if there was any, "
        "came before the steps named here."
    )


def _training(result: Result, config: Config) -> str:
    train = config.train
    weights = "" if train.class_weights == "none" else f", class weights {train.class_weights}"
    chosen = (
        f"The network of round {result.chosen_round} was chosen ({result.rule})."
        if result.failure is None
        else "No network was kept: it does not find every label in its own training cases."
    )
    return (
        f"{result.steps:,} steps of {train.batch_size} windows, {train.optimizer} (rate "
        f"{train.learning_rate:g}, weight decay "
        f"{train.weight_decay:g}, schedule {train.schedule}), loss {train.loss}{weights} (none beyond "
        f"the image), {train.precision}, seed {config.seed}. {chosen}"
    )


def _distillation(folds: Folds | None, config: Config) -> str:
    if folds is None or not config.train.distil:
        return ""
    sharpened = ", sharpened" if config.teacher.sharpening > 1 else ""
    return (
        f" The {len(folds.folds)} networks of the cross-validation taught it: it also learnt the mean of "
        f"their class probabilities{sharpened}, on windows of scans with and without labels (distillation)."
    )


def _search(search: Search) -> str:
    """What was tried before the training, and why a setting was taken."""
    tried = "; ".join(f"{one.name} ({one.words}; {counted(one.folds, 'fold')})" for one in search.entrants)
    text = f"Settings were compared by people held out ({search.words}): {tried}."
    return f"{text} {search.chosen} was taken: {search.why}." if search.chosen else text


def _postprocessing(record: Record) -> str:
    """What is done to the masks, and on whom it was found."""
    parts, plan, result = [], record.plan, record.result
    if plan is not None and plan.one_piece:
        names = ", ".join(plan.label_names[value] for value in plan.one_piece)
        parts.append(
            f"{names}: one piece in every training label; a mask keeps the piece with the "
            f"largest sum of margins, and any other of at least {RIVAL:.0%} of that sum."
        )
    if result is not None and result.postprocess is not None:
        where = "the out-of-fold masks" if record.folds else "the validation cases"
        kept = "none helped" if result.postprocess == "none" else f"kept: {result.postprocess}"
        parts.append(f"Filling holes and dropping pieces were tried on {where}; {kept}.")
    return " ".join(parts)


def _cross_validation(folds: Folds, config: Config) -> str:
    lines = [
        f"- {each.label}: mean Dice {each.mean:.3f}, {each.words}, {counted(each.cases, 'case')} of "
        f"{counted(each.people, 'person', 'people')}"
        for each in folds.labels
        if each.mean is not None
    ]
    if not lines:
        return ""
    sentences = [folds.words, *folds.caution, *folds.how]
    if any(trial.kept for trial in folds.trials):
        sentences.append("the masks are those before post-processing")
    if config.train.distil:
        sentences.append(
            "the figures are of the networks of the folds; the network that they taught was trained on "
            "everybody, and nobody was left to measure it on"
        )
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in sentences if text) + "\n\n" + "\n".join(lines)


def _compared(predicted: PredictedCases, record: Record) -> tuple[str, str]:
    """The cases that were compared, by what they are: held out of a fold, or those that validated."""
    lines = _dice(predicted)
    grid = "On each scan's own grid, over the cases that hold the label; "
    splits, result = record.splits, record.result
    if splits is not None and splits.held_out and not splits.validation:
        name, words = "Held out", "nothing was learnt from these people, and no round was chosen by them."
    else:
        steps = " and its post-processing" if result and result.trials and not record.folds else ""
        name = "Validation"
        verb = "were" if steps else "was"
        words = f"the network{steps} {verb} chosen by these cases, so that the figures are a little too good."
        if result is not None and result.failure is not None:
            words = "of the network that was refused as a model."
    return name, f"{grid}{words}\n\n" + "\n".join(lines) if lines else ""


def _dice(predicted: PredictedCases) -> list[str]:
    """A line for each label."""
    lines = []
    for label in predicted.labels:
        dice = [d for case in predicted.cases if (d := (case.per_label or {}).get(label)) is not None]
        if dice:
            spread = f" (SD {statistics.stdev(dice):.3f})" if len(dice) > 1 else ""
            lines.append(
                f"- {label}: mean Dice {statistics.mean(dice):.3f}{spread} in {counted(len(dice), 'case')}"
            )
    return lines


def _test(test: AsideRecord) -> str:
    lines = [
        f"- {name}: mean Dice {each.mean:.3f}, {each.words}, {counted(each.cases, 'case')} of "
        f"{counted(each.people, 'person', 'people')}"
        for name, each in test.labels.items()
        if each.mean is not None
    ]
    read = " ".join(
        f"{words[0].upper()}{words[1:]}." for words in how_read(e.kind for e in test.labels.values())
    )
    return (
        "People whom nothing was learnt from or chosen by, predicted once; each person counts once. "
        f"{read}\n\n" + "\n".join(lines)
    )


def _software(result: Result) -> str:
    machine = result.machine
    packages = ("stampseg", "python", "torch", "monai", "numpy")
    versions = [f"{name} {getattr(machine, name)}" for name in packages if getattr(machine, name)]
    where = (
        f" on {machine.processor}, {counted(machine.threads, 'thread')}"
        if machine.processor and machine.threads
        else ""
    )
    return f"{', '.join(versions)}{where}; {result.seconds:,.0f} s."
