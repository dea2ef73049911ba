"""What `stampseg check` finds: every problem of a dataset, then the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .config import Config
from .data.cases import Case, Dataset
from .data.readers import read_header, read_image, read_label
from .data.volume import check_pair
from .errors import DataError
from .networks.planned import count, network_spec
from .surveying import Survey, survey


@dataclass(frozen=True)
class Findings:
    """Errors make training impossible; warnings do not."""

    dataset: Dataset
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    survey: Survey | None  # None when there are errors
    parameters: int | None
    flops: int | None

    def to_json(self) -> dict[str, Any]:
        """What `check --json` prints."""
        dataset, seen = self.dataset, self.survey
        return {
            "data": str(dataset.root),
            "layout": dataset.layout,
            "cases": len(dataset.cases),
            "groups": len({case.group for case in dataset.cases}),
            "unlabelled": len(dataset.unlabelled),
            "errors": list(self.errors),
            "warnings": list(self.warnings),
            "labels": dict(zip(map(str, seen.table.values), seen.table.names, strict=True)) if seen else None,
            "plan": seen.plan.model_dump(mode="json") if seen else None,
            "training_cases": [case.id for case in seen.allotment.training] if seen else None,
            "validation_cases": [case.id for case in seen.allotment.validation] if seen else None,
            "parameters": self.parameters,
            "flops": self.flops,
        }


def check_data(dataset: Dataset, config: Config) -> Findings:
    """Read every case once and plan the run; one line per problem instead of stopping at the first."""
    errors: list[str] = []
    for case in dataset.cases:
        problem = _problem(case)
        if problem:
            errors.append(problem)
    seen: Survey | None = None
    size: tuple[int, int] | tuple[None, None] = (None, None)
    warnings = list(dataset.warnings)
    if not errors:
        try:
            seen = survey(dataset, config)
        except DataError as error:
            errors.append(str(error))
        else:
            warnings += seen.fingerprint.warnings
            size = count(network_spec(seen.plan, config))
    return Findings(dataset, tuple(errors), tuple(warnings), seen, *size)


def _problem(case: Case) -> str | None:
    try:
        _read(case)
    except DataError as error:
        return str(error)
    return None


def _read(case: Case) -> None:
    if case.label is not None:
        check_pair(read_header(case.images), read_header([case.label]))
        read_label(case.label)
    read_image(case.images)


def print_findings(findings: Findings, console: Console) -> None:
    """For people."""
    dataset = findings.dataset
    people = len({case.group for case in dataset.cases})
    console.print(
        f"{escape(str(dataset.root))}: layout {dataset.layout}, {len(dataset.cases)} labelled cases of "
        f"{people} groups, {len(dataset.unlabelled)} without a label",
        highlight=False,
    )
    for text in findings.warnings:
        console.print(f"[yellow]note[/yellow]  {escape(text)}", highlight=False)
    for text in findings.errors:
        console.print(f"[red]error[/red] {escape(text)}", highlight=False)
    if findings.survey is None:
        console.print(f"{len(findings.errors)} error(s): training would fail", style="red")
        return
    console.print(_plan_table(findings.survey))
    for text in (*findings.survey.table.notes, *findings.survey.plan.notes, findings.survey.allotment.note):
        console.print(escape(text), highlight=False)
    console.print(
        f"network: {findings.parameters:,} parameters, {(findings.flops or 0) / 1e9:.2f} GFLOPs per patch"
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
