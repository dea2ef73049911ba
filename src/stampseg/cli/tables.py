"""What commands print: tables of bench, check, inspect and evaluate."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.errors import one_line
from ..core.level import Level
from ..core.text import counted, dice_text, shape_text, size_text, some
from ..evaluation.metrics import EMPTY_MASK_RULE, METRIC_NAMES, volume_text
from ..evaluation.people import how_read
from ..evaluation.sides import sides_text
from .flags import in_flags

if TYPE_CHECKING:  # their rooms import PyTorch, which `evaluate` does without
    from ..doctor.estimates import RunEstimate
    from ..doctor.examination import Examination
    from ..doctor.finding import Finding
    from ..doctor.network import GroupCost, Inspection
    from ..evaluation.evaluation import Evaluation, Statistics
    from ..evaluation.people import OverPeople
    from ..evaluation.pictures import Pictures
    from ..run.folds.records import Folds
    from ..run.records import AsideRecord
    from ..run.search.records import Search
    from ..run.survey import Survey


def print_bench(report: dict[str, Any], console: Console) -> None:
    """A table of every network and runtime, then what it comes to."""
    machine, window = report["machine"], report["window"]
    console.print(
        f"{escape(machine['processor'])}, {counted(machine['threads'], 'thread')}, torch {machine['torch']}; "
        f"windows {size_text(window)}, batches of {report['batch']}",
        highlight=False,
    )
    whole = any("image_seconds" in f for row in report["rows"] for f in row["networks"].values())
    table = Table(
        "runtime", "network", "parameters", "ms / window", "10% to 90%", "windows / s", "peak MB", "file MB"
    )
    if whole:
        table.add_column("s / image")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in report["rows"]:
        for name, figures in row["networks"].items():
            cells = [
                f"{row['runtime']} {row['precision']}",
                name,
                f"{report['parameters'][name]:,}",
                f"{figures['ms']:.2f}",
                f"{figures['low_ms']:.2f} to {figures['high_ms']:.2f}",
                f"{figures['windows_per_second']:.1f}",
                f"{figures['peak_megabytes']:.0f}",
                f"{figures['file_bytes'] / 1e6:.2f}",
            ]
            if whole:
                cells.append(f"{figures['image_seconds']:.2f}" if "image_seconds" in figures else "")
            table.add_row(*cells)
    console.print(table)
    for line in report["words"]:
        console.print(escape(line), highlight=False)
    if whole and any((row["runtime"], row["precision"]) == ("eager", "bf16") for row in report["rows"]):
        console.print("PyTorch predicts whole images in f32 alone: none is timed in bf16", highlight=False)
    if any(row["precision"] == "int8" for row in report["rows"]):
        console.print("int8 ranges are of noise here: only the time means something", highlight=False)
    if any("dense" in row["networks"] for row in report["rows"]):
        console.print("dense is the same network before any cut, with random weights", highlight=False)


SHOWN_LAYERS = 4


def print_inspection(findings: Inspection, console: Console) -> None:
    """For people."""
    console.print(
        f"{escape(findings.target)}: {escape(findings.network)} for an input of {shape_text(findings.shape)}",
        highlight=False,
    )
    table = Table(title="Channels that live and die together", title_justify="left")
    table.add_column("group, and other layers of it", overflow="fold")
    for column in ("channels", "parameters each", "MFLOPs each"):
        table.add_column(column, justify="right")
    able = [group for group in findings.groups if group.frozen is None]
    for group in able:
        table.add_row(
            escape(some(list(group.layers), SHOWN_LAYERS)), str(group.channels), f"{group.parameters:,}",
            f"{(group.flops or 0) / 1e6:,.2f}",
        )  # fmt: skip
    console.print(table)
    for reason, frozen in _by_reason(findings.groups).items():
        names = ", ".join(f"{group.name} ({group.channels})" for group in frozen)
        console.print(f"[yellow]frozen[/yellow]  {escape(names)}: {escape(reason)}", highlight=False)
    if findings.unreached:
        names = ", ".join(findings.unreached)
        console.print(f"[yellow]not used[/yellow]  {escape(names)}: cuts do not follow them", highlight=False)
    for text in findings.unknown:
        console.print(f"[yellow]not understood[/yellow]  {escape(text)}", highlight=False)
    console.print(
        f"{findings.parameters:,} parameters, {findings.flops / 1e9:.2f} GFLOPs; {len(able)} of "
        f"{len(findings.groups)} groups with {sum(group.channels for group in able):,} channels can be cut",
        highlight=False,
    )
    console.print(
        f"{findings.prunable_share:.1%} of the parameters can go: with one channel left of each, "
        f"{findings.least_parameters:,} remain",
        highlight=False,
    )


def _by_reason(groups: tuple[GroupCost, ...]) -> dict[str, list[GroupCost]]:
    """Frozen groups under the reason why."""
    found: dict[str, list[GroupCost]] = {}
    for group in groups:
        if group.frozen is not None:
            found.setdefault(group.frozen, []).append(group)
    return found


SHOWN = 5  # findings of one code
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def print_examination(found: Examination, console: Console, words: Sequence[str]) -> None:
    """Findings, plan, estimate, and the next command, with the words that `check` was given."""
    dataset = found.dataset
    people = len({case.group for case in dataset.cases})
    console.print(
        f"{escape(str(dataset.root))}: layout {dataset.layout}, {len(dataset.cases)} labelled cases of "
        f"{people} groups, {len(dataset.unlabelled)} without a label",
        highlight=False,
    )
    for code, several in groupby(found.findings, key=lambda each: each.code):
        _print_code(code, list(several), console)
    seen = found.survey
    if seen is not None:
        console.print(_plan_table(seen))
        for text in (*seen.table.notes, *seen.plan.notes, seen.split.note):
            console.print(escape(in_flags(text)), highlight=False)
        console.print(
            f"network: {found.parameters:,} parameters, {(found.flops or 0) / 1e9:.2f} GFLOPs per patch",
            highlight=False,
        )
    if found.estimate is not None:
        console.print(_words(found.estimate), highlight=False)
    following = shlex.join(["stampseg", "train", *words, "-o", "run"])
    counts = {s: sum(each.severity == s for each in found.findings) for s in COLOURS}
    said = ", ".join(counted(n, name) for name, n in counts.items())
    if counts["error"]:
        console.print(f"{said}: training would fail or be wrong; mend the errors first", style="red")
    else:
        console.print(f"{said}; next: {escape(following)}", highlight=False)


def _print_code(code: str, several: list[Finding], console: Console) -> None:
    severity = several[0].severity
    for each in several[:SHOWN]:
        console.print(
            f"[{COLOURS[severity]}]{severity}[/{COLOURS[severity]}] \\[{code}] {escape(one_line(str(each)))}",
            highlight=False,
        )
    if len(several) > SHOWN:
        console.print(f"        and {len(several) - SHOWN} more like these; --json lists all")


def _words(found: RunEstimate) -> str:
    disk = f"at most {found.disk_megabytes:,.0f} MB on the disk ({found.free_disk_megabytes:,.0f} free)"
    if found.step_seconds is None or found.run_minutes is None or found.peak_megabytes is None:
        return f"estimate: {disk}"
    return (
        f"estimate, from a few steps on this machine: {found.step_seconds:.2f} s a step of the dense "
        f"network, {found.run_minutes:.0f} min for all of them, {found.peak_megabytes:,.0f} MB of memory "
        f"({found.free_megabytes:,.0f} free), {disk}"
    )


def _plan_table(seen: Survey) -> Table:
    from ..data.io.colours import describe

    plan = seen.plan
    classes = zip(map(describe, plan.label_values), plan.label_names, strict=True)
    table = Table(title="Plan", show_header=False)
    rows = {
        "spatial dims": str(plan.spatial_dims),
        "channels": str(plan.in_channels),
        "classes": ", ".join(map(" ".join, classes)),
        "orientation": plan.orientation or "as in the picture",
        "spacing": size_text(plan.spacing) + (" mm" if plan.orientation else " px"),
        "crop": plan.crop,
        "normalisation": ", ".join(dict.fromkeys(plan.normalizations)),
        "patch": size_text(plan.patch_size),
        "poolings": f"{len(plan.strides)} ({', '.join(map(shape_text, plan.strides))})",
    }
    for name, value in rows.items():
        table.add_row(name, escape(value))
    return table


WIDE = 120  # columns that hold mean, deviation and median of all metrics in a line


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Show the summary as a table, then notes and warnings."""
    if evaluation.predictions is not None and evaluation.reference is not None:
        console.print(sides_text(evaluation.predictions, evaluation.reference), markup=False)
    count = len({row.case for row in evaluation.rows})
    sign = "±" if _has(console, "±") else "+-"
    between = " " if console.width >= WIDE else "\n"
    table = Table(
        title=f"{counted(count, 'case')}, mean {sign} standard deviation (median)", show_lines=between == "\n"
    )
    headings = ("label", "cases", "Dice", f"HD95 [{evaluation.unit}]", "surface Dice", "volume error")
    for heading in headings:
        first = heading == "label"
        table.add_column(
            heading.replace("[", r"\["),
            justify="left" if first else "right",
            overflow="fold",
            no_wrap=not first,
        )
    for label, metrics in evaluation.summary().items():
        held = str(metrics["dice"].cases)
        cells = (between.join(_figures(metrics[name], sign)) for name in METRIC_NAMES)
        table.add_row(escape(label), held, *cells)
    console.print(table)
    if evaluation.people:
        _print_over_people(evaluation, console)
    console.print(
        f"surface Dice at {evaluation.tolerance_mm:g} {evaluation.unit}; empty masks: {EMPTY_MASK_RULE}",
        markup=False,
    )
    lines = [*evaluation.notes, *map(Level.WARNING.shown, evaluation.warnings)]
    lines += _absences(evaluation)
    warned = list(evaluation.missed())
    if evaluation.missing:
        missing = len(evaluation.missing)
        warned.append(
            f"{missing} of {counted(count + missing, 'label')} without a prediction, in no figure: "
            f"{some(evaluation.missing)}"
        )
    for line in (*lines, *map(Level.WARNING.shown, warned)):
        console.print(line, markup=False)


SHOWN_PEOPLE = 10


def _print_over_people(evaluation: Evaluation, console: Console) -> None:
    """Dice over people, then of those whose Dice is lowest."""
    ranked = evaluation.worst_people()
    dice = {label: metrics["dice"] for label, metrics in evaluation.over_people().items()}
    _print_labels(f"over {counted(len(ranked), 'person', 'people')}, each counts once", dice, console)
    table = Table(title="lowest mean Dice first", title_justify="left")
    table.add_column("person", overflow="fold")
    for column in ("cases", "mean Dice"):
        table.add_column(column, justify="right", no_wrap=True)
    cases = Counter(evaluation.people.values())
    for person, mean in ranked[:SHOWN_PEOPLE]:
        table.add_row(escape(person), str(cases[person]), f"{mean:.3f}")
    console.print(table)
    if len(ranked) > SHOWN_PEOPLE:
        console.print(f"and {len(ranked) - SHOWN_PEOPLE} more people; --json has all", markup=False)


def print_people(found: AsideRecord, console: Console) -> None:
    """Dice of each label over the people kept aside."""
    title = f"{counted(found.cases, 'case')} of {counted(found.people, 'person', 'people')} kept aside"
    _print_labels(title, found.labels, console)
    if found.people > 1 and found.lowest:
        lowest = ", ".join(f"{one_line(person)} {dice:.3f}" for person, dice in found.lowest.items())
        console.print(f"lowest mean Dice: {lowest}", markup=False, highlight=False)
    for words in found.false_alarms:
        console.print(words, markup=False, highlight=False)


def _print_labels(title: str, labels: Mapping[str, OverPeople], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("label", overflow="fold")
    for column in ("people", "cases", "mean Dice", "interval"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, each in labels.items():
        table.add_row(escape(name), str(each.people), str(each.cases), dice_text(each.mean, "-"), each.words)
    console.print(table)
    for words in how_read(each.kind for each in labels.values()):
        console.print(words, markup=False)


SHOWN_WORST = 5


def print_worst(evaluation: Evaluation, pictures: Pictures, console: Console) -> None:
    """Where the pictures are, and which to look at first."""
    worst = [f"{pictures.path(case)} ({dice:.3f})" for case, dice in evaluation.worst()[:SHOWN_WORST]]
    first = f"; lowest Dice first: {', '.join(worst)}" if worst else ""
    false = [str(pictures.path(case)) for case, _ in evaluation.most_false()[:SHOWN_WORST]]
    first += f"; most false positive first: {', '.join(false)}" if false else ""
    console.print(f"pictures in {pictures.folder}{first}", markup=False, highlight=False)


def _absences(evaluation: Evaluation) -> list[str]:
    """For labels that some references do not hold: in how many of these cases they were predicted."""
    unit = evaluation.volume_unit
    return [
        f"{label}: missing in {counted(found.cases, 'reference')}; false positive in {found.found_in} of them"
        + ("" if found.mean_volume is None else f", {volume_text(found.mean_volume, unit)} on average")
        + (f"; most in {some(most, SHOWN_WORST)}" if (most := _most_false(evaluation, label)) else "")
        for label, found in evaluation.false_positives().items()
        if found.cases
    ]


def _most_false(evaluation: Evaluation, label: str) -> list[str]:
    unit = evaluation.volume_unit
    return [f"{case} ({volume_text(size, unit)})" for case, size in evaluation.most_false(label)]


def _figures(numbers: Statistics, sign: str) -> list[str]:
    """Mean, deviation and median; what is not known is left out."""
    if numbers.mean is None or numbers.median is None:
        return ["-"]
    spread = [] if numbers.std is None else [f"{sign} {numbers.std:.3f}"]
    return [f"{numbers.mean:.3f}", *spread, f"({numbers.median:.3f})"]


def print_folds(folds: Folds, console: Console) -> None:
    """Dice of those held out, by fold and by label."""
    table = Table("fold", "people", "cases", "Dice", title="Out of fold")
    for column in table.columns[1:]:
        column.justify = "right"
    for fold in folds.by_fold():
        table.add_row(escape(fold.name), str(fold.people), str(fold.cases), dice_text(fold.mean, "-"))
    console.print(table)
    labels = Table("label", "Dice", "interval or range", "people", "cases")
    for column in (*labels.columns[1:2], *labels.columns[3:]):
        column.justify = "right"
    for label in folds.labels:
        figures = (dice_text(label.mean, "-"), label.words, str(label.people), str(label.cases))
        labels.add_row(escape(label.label), *figures)
    console.print(labels)
    for line in (*folds.how, *folds.caution):
        console.print(line, markup=False, highlight=False)


def print_search(found: Search, console: Console) -> None:
    """The settings that were tried, and what was chosen."""
    table = Table("setting", "what it is", "folds", "people", "Dice", title="Search")
    for column in table.columns[2:]:
        column.justify = "right"
    for one in found.entrants:
        name = f"{one.name} (chosen)" if one.name == found.chosen else one.name
        table.add_row(
            escape(name), escape(one.words), str(one.folds), str(len(one.people)), dice_text(one.mean, "-")
        )
    console.print(table)
    console.print(found.why, markup=False, highlight=False)


def _has(console: Console, letters: str) -> bool:
    """Whether the console's encoding has these letters."""
    try:
        letters.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
