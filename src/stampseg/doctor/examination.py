"""The cases held against each other, then the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..channels.cost import Tally
from ..core.config import Config
from ..core.errors import DataError, TrainingError
from ..data.cases import Dataset
from ..data.exchanged_labels import exchanged
from ..data.oddity import Oddity
from ..data.splits.likely_people import doubtful_people
from ..networks.factory import network_spec
from ..networks.skeleton import skeleton
from ..run.survey import Survey, survey
from ..train.schedule import reachable_target
from .cases import ReadCases
from .estimates import RunEstimate, estimate, judge
from .finding import CODES, Finding, finding, messages
from .kinds import find_kinds
from .masks import (
    find_one_valued,
    find_rare,
    find_same_masks,
    find_shown_labels,
    find_swapped,
    find_twins,
)
from .outliers import find_outliers
from .strangers import find_strangers


@dataclass(frozen=True)
class Examination:
    """What was found. Errors mean that training would fail, or be wrong; warnings do not."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    survey: Survey | None  # None when the run cannot be planned
    parameters: int | None
    flops: int | None
    estimate: RunEstimate | None

    @property
    def errors(self) -> list[str]:
        """One line each."""
        return messages(self.findings, "error")

    def to_json(self) -> dict[str, Any]:
        """What `check --json` prints."""
        dataset, seen = self.dataset, self.survey
        return {
            "data": str(dataset.root),
            "layout": dataset.layout,
            "cases": len(dataset.cases),
            "groups": len({case.group for case in dataset.cases}),
            "unlabelled": len(dataset.unlabelled),
            "errors": self.errors,
            "warnings": messages(self.findings, "warning"),
            "notes": messages(self.findings, "note"),
            "findings": [finding.to_json() for finding in self.findings],
            "labels": dict(zip(map(str, seen.table.values), seen.table.names, strict=True)) if seen else None,
            "label_notes": list(seen.table.notes) if seen else None,
            "plan": seen.plan.model_dump(mode="json") if seen else None,
            "training_cases": [case.id for case in seen.split.training] if seen else None,
            "validation_cases": [case.id for case in seen.split.validation] if seen else None,
            "test_cases": [case.id for case in seen.split.test] if seen else None,
            "parameters": self.parameters,
            "flops": self.flops,
            "estimate": self.estimate.to_json() if self.estimate else None,
        }


def examine(dataset: Dataset, config: Config, read: ReadCases, *, timing: bool = True) -> Examination:
    """Hold the cases against each other and plan the run; every problem is found.

    Args:
        dataset: what there is.
        config: options of the run that would follow.
        read: its cases.
        timing: False leaves out the few training steps that tell how long the run would take.
    """
    facts, broken = read.facts, read.broken
    findings = [*(finding("data", text) for text in dataset.warnings), *read.findings]
    findings += map(_odd, doubtful_people(dataset, config.group_regex is not None))
    findings += [
        *find_outliers(facts),
        *find_kinds(facts),
        *find_one_valued(facts),
        *find_swapped(facts),
        *find_same_masks(facts),
    ]
    findings += find_shown_labels(facts)
    swapped = exchanged(dataset.cases) if broken else None
    if swapped is not None:  # said once, in place of what each file lacks as a label
        findings, broken = [finding("no-plan", swapped)], {}
    seen: Survey | None = None
    parameters = flops = None
    taken: RunEstimate | None = None
    try:
        seen = survey(dataset, config, counted=read.counted)
    except DataError as error:
        if not broken and swapped is None:  # else it has been said
            findings.append(finding("no-plan", str(error)))
    split = seen.split if seen else None
    sides = (*split.training, *split.validation, *split.test) if split else ()
    needed = {case.id for case in sides} if split else None
    for case, said in broken.items():
        unused = needed is not None and case.id not in needed
        findings.append(finding("unused" if unused else "unusable", said, files=case.images))
    if seen is not None:
        findings += [finding("data", text) for text in seen.fingerprint.warnings]
        findings += [finding("labels", text) for text in seen.table.warnings]
        findings += map(_odd, seen.oddities)
        findings += find_rare(facts, seen.table, seen.split)
        findings += find_strangers(facts, seen.split.unlabelled)
        parameters, flops = _sizes(seen, config)
        taken, failed = _estimated(seen, config, parameters, timing)
        findings += [*judge(taken), *failed]
    findings += find_twins(facts, split)
    order = list(CODES)
    findings.sort(key=lambda finding: order.index(finding.code))
    return Examination(dataset, tuple(findings), seen, parameters, flops, taken)


def _odd(oddity: Oddity) -> Finding:
    return finding(oddity.kind, oddity.said, oddity.remedy, oddity.files)


def _sizes(seen: Survey, config: Config) -> tuple[int, int]:
    """Parameters and FLOPs of the network.

    Raises:
        ConfigError: no cut of it can reach the target.
    """
    network, graph = skeleton(
        network_spec(seen.plan, config), trusted=(config.network.name,), rehearse=config.traits.prunes
    )
    tally, prune = Tally(network, graph), config.prune
    if config.traits.prunes:
        reachable_target(network, graph, prune)
    return tally.parameters, tally.flops


def _estimated(
    seen: Survey, config: Config, parameters: int, timing: bool
) -> tuple[RunEstimate, list[Finding]]:
    """The estimate; without time where a step fails, which is an error of its own."""
    try:
        return estimate(seen, config, parameters, timing), []
    except TrainingError as error:
        return estimate(seen, config, parameters, False), [finding("step", f"a training step fails: {error}")]
