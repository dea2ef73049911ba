"""What is worth trying on other data than the default was made on: grid, size, width, steps, the teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...core.config import Config
from ...core.errors import ConfigError
from ...core.text import size_text
from ...data.plan import Plan
from ...data.planner import make_plan
from ...networks.factory import count, network_spec
from ..survey import Survey

DEFAULT = "default"
COARSER = 1.5  # times the voxels
LEAST_SIDE = 48  # voxels that the longest side of the coarser window keeps
WIDER, LARGER = 2, 2  # times


@dataclass(frozen=True)
class Candidate:
    """A setting: options that differ from those given.

    Attributes:
        name: of its folder.
        changes: nested options.
        words: what it is.
    """

    name: str
    changes: dict[str, Any]
    words: str


def candidates(config: Config, seen: Survey) -> list[Candidate]:
    """The short list, the options as they were given first; what the user fixed is not varied."""
    found = [Candidate(DEFAULT, {}, f"as given: grid {size_text(seen.plan.spacing)}")]
    found += _grids(config, seen)
    found += _sizes(config, seen.plan)
    steps = config.train.steps
    if "steps" not in config.train.model_fields_set:
        found.append(Candidate("more steps", {"train": {"steps": 2 * steps}}, f"{2 * steps} steps"))
    if seen.split.unlabelled:
        found.append(Candidate("no teacher", {"unlabelled": "none"}, "without the scans without labels"))
    return found


def _grids(config: Config, seen: Survey) -> list[Candidate]:
    data, spacing = config.data, seen.plan.spacing
    if data.model_fields_set & {"spacing", "grid", "patch_size"}:
        return []
    native = make_plan(seen.fingerprint, seen.table, data.model_copy(update={"grid": "native"}), None).spacing
    if native != spacing:
        words = f"the files' own grid, {size_text(native)}"
        return [Candidate("native grid", {"data": {"grid": "native"}}, words)]
    coarser = tuple(round(COARSER * size, 6) for size in spacing)
    if max(seen.plan.patch_size) / COARSER < LEAST_SIDE:
        return []
    return [Candidate("coarser grid", {"data": {"spacing": coarser}}, f"grid {size_text(coarser)}")]


def _sizes(config: Config, plan: Plan) -> list[Candidate]:
    if not config.traits.has_target or "target" in config.prune.model_fields_set:
        return []
    target = config.prune.target
    if target.share is None or target.kind != "parameters":
        return []
    larger = f"{100 * LARGER * target.share:g}%"
    found = [Candidate("larger", {"prune": {"target": larger}}, f"{larger} of the parameters")]
    if config.network.name == "unet" and config.network.width is None:
        found += _wider(config, plan, target.share)
    return found


def _wider(config: Config, plan: Plan, share: float) -> list[Candidate]:
    spec = network_spec(plan, config)
    width = min(spec.arguments["widths"].values())  # at full resolution
    parameters = round(share * count(spec)[0])
    changes = {"network": {"width": WIDER * width}, "prune": {"target": str(parameters)}}
    try:
        config.merged(changes)
    except ConfigError:
        return []
    return [Candidate("wider", changes, f"cut to the same size from a network of {WIDER} times the channels")]
