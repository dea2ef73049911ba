"""What the report says in words and tables: the run in figures, its data, its plan, how to repeat it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.run_folder import CONFIG_FILE
from ..core.text import counted, dice_text, number_text, range_text, size_text
from ..data.fingerprint import Fingerprint
from ..data.io.colours import describe
from ..data.plan import Plan
from .record import Record


@dataclass(frozen=True)
class Fact:
    """One line of a table."""

    name: str
    value: str


@dataclass(frozen=True)
class Command:
    """How to repeat the run, and what is uncertain of it."""

    line: str
    note: str = ""


def headline(record: Record) -> list[Fact]:
    """The run in a few figures."""
    result, last = record.result, record.rounds[-1] if record.rounds else None
    facts = []
    if result is not None:
        before, after = result.parameters_before, result.parameters_after
        facts.append(Fact("parameters", f"{before:,} → {after:,} ({_share(after, before)})"))
        before, after = result.flops_before, result.flops_after
        facts.append(Fact("GFLOPs per window", f"{_giga(before)} → {_giga(after)} ({_share(after, before)})"))
        facts.append(Fact("validation Dice", dice_text(result.validation_dice)))
        if result.test is not None:
            facts.append(Fact("test Dice", f"{result.test.words} kept aside"))
        if result.unlabelled_cases:
            facts.append(
                Fact(
                    "learnt from without labels",
                    f"{result.unlabelled_cases:,} images of {result.unlabelled_people:,} people",
                )
            )
        facts.append(Fact("time", _duration(result.seconds)))
    elif last is not None:
        if last.parameters:
            facts.append(Fact("parameters so far", f"{last.parameters:,}"))
        facts.append(
            Fact("validation Dice so far", dice_text(last.validation.dice if last.validation else None))
        )
    if record.rounds:
        steps = f" ({last.steps:,} steps)" if last is not None and last.steps is not None else ""
        facts.append(Fact("rounds", f"{len(record.rounds)}{steps}"))
    return facts


def data_facts(seen: Fingerprint, plan: Plan | None) -> list[Fact]:
    """The training cases as they were measured."""
    unit = "px" if set(seen.orientations) <= {""} else "mm"
    lows, highs = zip(*seen.intensity_ranges, strict=True) if seen.intensity_ranges else ((), ())
    facts = [
        Fact(
            "training cases",
            f"{len(seen.shapes)}, {seen.spatial_dims}D, {counted(seen.in_channels, 'channel')}",
        ),
        Fact("channels", ", ".join(seen.channel_names)),
        Fact("size", _spread(seen.shapes, "voxels" if seen.spatial_dims == 3 else "pixels")),
        Fact("voxel size", _spread(seen.spacings, "mm") if unit == "mm" else ""),
        Fact("orientation in the files", _counted(seen.orientations)),
        Fact("lowest intensity", _range(lows)),
        Fact("highest intensity", _range(highs)),
        *_class_facts(seen, plan, unit),
    ]
    return [fact for fact in facts if fact.value]


def _class_facts(seen: Fingerprint, plan: Plan | None, unit: str) -> list[Fact]:
    names = plan.label_names if plan else tuple(f"class {i}" for i in range(len(seen.class_voxels)))
    total = sum(seen.class_voxels) or 1
    facts = []
    for name, voxels, radius in zip(names, seen.class_voxels, (None, *seen.object_radius), strict=False):
        thick = f", up to {number_text(2 * radius, 3)} {unit} thick" if radius is not None else ""
        noun = "pixels" if seen.spatial_dims == 2 else "voxels"
        facts.append(Fact(name, f"{voxels / total:.2%} of the {noun}{thick}"))
    return facts


def plan_facts(plan: Plan) -> list[Fact]:
    """How every case is prepared."""
    classes = zip(map(describe, plan.label_values), plan.label_names, strict=False)
    levels = "; ".join(size_text(stride, sign="×") for stride in plan.strides)
    return [
        Fact("classes", ", ".join(f"{value} {name}" for value, name in classes)),
        Fact("orientation", plan.orientation or "as in the picture"),
        Fact("spacing", size_text(plan.spacing, sign="×") + f" {plan.unit}"),
        Fact("crop", plan.crop),
        Fact("normalisation", ", ".join(dict.fromkeys(plan.normalizations))),
        Fact("patch", size_text(plan.patch_size, sign="×")),
        Fact("poolings", f"{len(plan.strides)} ({levels})"),
    ]


def command_of(record: Record) -> Command:
    """The recorded command; where there is none, one that stands for it."""
    if record.command:
        return Command(shlex.join(record.command))
    config = record.path / CONFIG_FILE
    return Command(
        f"stampseg train DATA -o NEW_RUN --config {shlex.quote(str(config))}",
        "This run did not record its command: put the folder of scans for DATA and a new folder for NEW_RUN. "
        "A network that was already trained is pruned with `stampseg prune MODEL DATA` and the same options.",
    )


def machine_facts(record: Record) -> list[Fact]:
    """Where it was computed."""
    if record.result is None:
        return []
    return [Fact(name, str(value)) for name, value in record.result.machine if value is not None]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _giga(flops: int) -> str:
    return f"{flops / 1e9:.3g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _range(values: Sequence[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    return number_text(low) if low == high else range_text(low, high)


def _spread(sizes: Sequence[Sequence[float]], unit: str) -> str:
    """Each axis's range: 31–43 × 40–59 × 24–47 voxels."""
    axes = []
    for values in zip(*sizes, strict=True):
        low, high = min(values), max(values)
        axes.append(number_text(low) if low == high else f"{number_text(low)}–{number_text(high)}")
    return f"{' × '.join(axes)} {unit}" if axes else ""


def _counted(names: Sequence[str]) -> str:
    counts = Counter(name for name in names if name)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())
