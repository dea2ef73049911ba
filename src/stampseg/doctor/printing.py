"""An examination for people: the worst first, equal findings together, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..run.survey import Survey
from .estimates import Estimate
from .examination import Examination
from .finding import Finding

SHOWN = 5  # findings of one code
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def print_examination(found: Examination, console: Console, options: Sequence[str] = ()) -> None:
    """Findings, plan, estimate, and the next command, with the options that were given."""
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
        for text in (*seen.table.notes, *seen.plan.notes, seen.allotment.note):
            console.print(escape(text), highlight=False)
        console.print(
            f"network: {found.parameters:,} parameters, {(found.flops or 0) / 1e9:.2f} GFLOPs per patch",
            highlight=False,
        )
    if found.estimate is not None:
        console.print(_words(found.estimate), highlight=False)
    following = shlex.join(["stampseg", "train", str(dataset.root), *options, "-o", "run"])
    counts = {s: sum(each.severity == s for each in found.findings) for s in COLOURS}
    said = ", ".join(f"{n} {name}(s)" for name, n in counts.items())
    if counts["error"]:
        console.print(f"{said}: training would fail or be wrong; mend the errors first", style="red")
    else:
        console.print(f"{said}; next: {escape(following)}", highlight=False)


def _print_code(code: str, several: list[Finding], console: Console) -> None:
    severity = several[0].severity
    for each in several[:SHOWN]:
        console.print(
            f"[{COLOURS[severity]}]{severity}[/{COLOURS[severity]}] \\[{code}] {escape(str(each))}",
            highlight=False,
        )
    if len(several) > SHOWN:
        console.print(f"        and {len(several) - SHOWN} more like these; --json lists all")


def _words(found: Estimate) -> str:
    disk = f"at most {found.disk_megabytes:,.0f} MB on the disk ({found.free_disk_megabytes:,.0f} free)"
    if found.step_seconds is None or found.run_minutes is None or found.peak_megabytes is None:
        return f"estimate: {disk}"
    return (
        f"estimate, from a few steps on this machine: {found.step_seconds:.2f} s a step of the dense "
        f"network, {found.run_minutes:.0f} min for all of them, {found.peak_megabytes:,.0f} MB of memory "
        f"({found.free_megabytes:,.0f} free), {disk}"
    )


def _plan_table(seen: Survey) -> Table:
    plan = seen.plan
    table = Table(title="Plan", show_header=False)
    rows = {
        "spatial dims": str(plan.spatial_dims),
        "channels": str(plan.in_channels),
        "classes": ", ".join(f"{v} {n}" for v, n in zip(plan.label_values, plan.label_names, strict=True)),
        "orientation": plan.orientation or "as in the picture",
        "spacing": " x ".join(f"{s:g}" for s in plan.spacing) + (" mm" if plan.orientation else " px"),
        "crop": plan.crop,
        "normalisation": ", ".join(dict.fromkeys(plan.normalizations)),
        "patch": " x ".join(map(str, plan.patch_size)),
        "poolings": f"{len(plan.strides)} ({', '.join('x'.join(map(str, s)) for s in plan.strides)})",
    }
    for name, value in rows.items():
        table.add_row(name, escape(value))
    return table
