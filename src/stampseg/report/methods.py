"""methods.md: what a methods section says of a run, with figures, spread, versions and citation."""

from __future__ import annotations

import statistics

from ..core.config import Config, parse_config
from ..core.errors import ConfigError
from ..core.text import counted, size_text
from ..core.yaml import read_yaml
from ..data.fingerprint import Fingerprint
from ..data.plan import Plan
from ..data.splits import Splits
from ..data.transforms import augmentation_in_words
from ..evaluation.people import how_read, interval_words
from ..run.records import AsideRecord, Result
from .cases import Findings
from .record import Record

NAME = "methods.md"
CITATION = (
    "Dinsdale NK, Jenkinson M, Namburete AIL. STAMP: Simultaneous Training and Model Pruning for low "
    "data regimes in "
    "medical image segmentation. Medical Image Analysis 81:102583 (2022). doi:10.1016/j.media.2022.102583"
)


def methods_of(record: Record, findings: Findings) -> str:
    """The page; what the run does not say is left out. "" for a run without a result."""
    config = _config(record)
    if record.result is None or config is None:
        return ""
    parts = [
        ("Data", _data(record.splits, record.result, record.fingerprint)),
        ("Preparation", _preparation(record.plan)),
        ("Network", _network(record.result, config)),
        ("Training", _training(record.result, config, record.plan)),
        ("Augmentation", _augmentation(record.plan) if config.train.augment else "None."),
        ("Validation", _validation(findings, record.result)),
        ("Test", _test(record.result.test) if record.result.test else ""),
        ("Software and machine", _software(record.result)),
        (
            "To be cited",
            f"- {CITATION}\n- stampseg {record.result.machine.stampseg or ''} (CITATION.cff).".strip(),
        ),
    ]
    title = (
        f"# Methods of {record.path.resolve().name}\n\nFor a methods section; written from the run folder.\n"
    )
    return title + "".join(f"\n## {name}\n\n{text}\n" for name, text in parts if text)


def _config(record: Record) -> Config | None:
    try:
        return parse_config(read_yaml(record.config) or {}, "config.yaml")
    except (ConfigError, ValueError):
        return None


def _data(splits: Splits | None, result: Result, seen: Fingerprint | None) -> str:
    if splits is None:
        return f"{counted(result.training_cases or 0, 'case')} with labels trained the network."
    sides = [
        ("trained the network", splits.training),
        ("validated it", splits.validation),
        ("were kept aside for the test", splits.test),
    ]
    words = [
        f"{counted(len(side), 'case')} of "
        f"{counted(len({e.group or e.id for e in side}), 'person', 'people')} {what}"
        for what, side in sides
        if side
    ]
    text = "; ".join(words) + "; no person was on two sides."
    if result.unlabelled_cases:
        text += (
            f" {counted(result.unlabelled_cases, 'scan')} without labels were learnt from by a mean teacher."
        )
    if seen is not None:
        low, high = (size_text(each, 3) for each in zip(*seen.scans.spacing, strict=True))
        span = low if low == high else f"{low} to {high}"
        text += f" Voxel size of the training cases: {span} {'mm' if any(seen.orientations) else 'px'}."
    return text


def _preparation(plan: Plan | None) -> str:
    if plan is None:
        return ""
    unit = "mm" if plan.orientation else "px"
    turned = f"turned to {plan.orientation} axes, " if plan.orientation else ""
    names = ", ".join(plan.label_names[1:])
    return (
        f"Images were {turned}resampled to {size_text(plan.spacing, 3)} {unit}, cropped: {plan.crop}, "
        "normalised: "
        f"{', '.join(dict.fromkeys(plan.normalizations))}. Windows of {size_text(plan.patch_size)} voxels. "
        f"Labels: {names}."
    )


def _augmentation(plan: Plan | None) -> str:
    return f"{augmentation_in_words(plan)}." if plan is not None else ""


def _network(result: Result, config: Config) -> str:
    size = f"{result.parameters_before:,} parameters, {result.flops_before / 1e9:.3g} GFLOPs a window"
    text = f"{config.network.name}: {size}"
    if not config.traits.prunes:
        return f"{text}; not pruned ({config.method})."
    reached = "" if result.target_reached is not False else ", which was not reached"
    return (
        f"{text} before pruning; {result.parameters_after:,} and {result.flops_after / 1e9:.3g} after "
        "it. Whole channels were "
        f"removed while the network trained ({config.method}; criterion {config.prune.criterion}), "
        "towards a target of "
        f"{result.target}{reached}, in {counted(result.rounds, 'round')} of training."
    )


def _training(result: Result, config: Config, plan: Plan | None) -> str:
    train = config.train
    weights = "" if train.class_weights == "none" else f", class weights {train.class_weights}"
    return (
        f"{result.steps:,} steps of {train.batch_size} windows, {train.optimizer} (rate "
        f"{train.learning_rate:g}, weight decay "
        f"{train.weight_decay:g}, schedule {train.schedule}), loss {train.loss}{weights}, "
        f"{train.precision}, seed {config.seed}. "
        f"The network of round {result.chosen_round} was chosen ({result.rule})."
    )


def _validation(findings: Findings, result: Result) -> str:
    lines = []
    for label in findings.labels:
        dice = [d for case in findings.cases if (d := (case.per_label or {}).get(label)) is not None]
        if dice:
            spread = f" (SD {statistics.stdev(dice):.3f})" if len(dice) > 1 else ""
            lines.append(
                f"- {label}: mean Dice {statistics.mean(dice):.3f}{spread} in {counted(len(dice), 'case')}"
            )
    if not lines:
        return ""
    return (
        "On each scan's own grid, over the cases that hold the label; the network was chosen by these "
        "cases, so that the "
        "figures are a little too good.\n\n" + "\n".join(lines)
    )


def _test(test: AsideRecord) -> str:
    lines = [
        f"- {name}: mean Dice {each.mean:.3f}, {interval_words(each)}, {counted(each.cases, 'case')} of "
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
