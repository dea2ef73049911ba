"""In what two runs differ: where they began, options, data, people, versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ...core.config import load_config
from ...core.errors import ConfigError, DataError
from ...core.run_folder import CONFIG_FILE, run_folder_of
from ...core.text import counted, some
from ...run.spec import SPEC, RunSpec, flat
from ..record import Record

ELSEWHERE = ("device", "devices", "track")  # options that change nothing of what is learnt
SHOWN = 40  # options


def unlike(records: tuple[Record, Record], names: tuple[str, str]) -> tuple[str, ...]:
    """A sentence or figure for each difference, in plain words; one that says so where there is none.

    Args:
        records: of the two runs.
        names: what they are called.
    """
    specs = (_spec(records[0]), _spec(records[1]))
    found = [
        *_beginnings(records, specs, names), *_options(records, names), *_data(specs, names),
        *_people(records, names), *_versions(records, names),
    ]  # fmt: skip
    return tuple(found) or ("nothing that the run folders know of: the same options, people and versions",)


def _spec(record: Record) -> RunSpec | None:
    with suppress(DataError):
        return SPEC.read(record.path)
    return None


def _beginnings(
    records: tuple[Record, Record], specs: tuple[RunSpec | None, RunSpec | None], names: tuple[str, str]
) -> Iterator[str]:
    """Which run began with the network of the other, or of a third."""
    for own, other in ((0, 1), (1, 0)):
        spec = specs[own]
        if spec is None or spec.model is None:
            continue
        how = "was pruned from" if spec.work == "prune" else "went on from"
        if run_folder_of(spec.model).resolve() == records[other].path.resolve():
            yield (
                f"{names[own]} {how} {names[other]}: it began with that network, so that these are two "
                "stages of one training and no two methods side by side"
            )
        else:
            yield f"{names[own]} {how} {spec.model}"


def _options(records: tuple[Record, Record], names: tuple[str, str]) -> Iterator[str]:
    try:
        first, second = (
            flat(load_config(record.path / CONFIG_FILE).model_dump(mode="json")) for record in records
        )
    except (ConfigError, DataError, OSError):
        yield "the options of one of them cannot be read"
        return
    others = [name for name in first | second if first.get(name) != second.get(name)]
    others = [name for name in others if name not in ELSEWHERE]
    for name in others[:SHOWN]:
        yield f"`{name}`: {_in_both(first.get(name), second.get(name), names)}"
    if len(others) > SHOWN:
        yield f"and {len(others) - SHOWN} options more, as config.yaml of each run has them"


def _data(specs: tuple[RunSpec | None, RunSpec | None], names: tuple[str, str]) -> Iterator[str]:
    first, second = specs
    if first is not None and second is not None and first.data != second.data:
        yield f"data: {_in_both(first.data, second.data, names)}"


def _people(records: tuple[Record, Record], names: tuple[str, str]) -> Iterator[str]:
    """Who trained, validated and was learnt from without labels, where that is not the same."""
    splits = [record.splits for record in records]
    if splits[0] is None or splits[1] is None:
        return
    for words, side in (
        ("trained", "training"), ("validated", "validation"), ("taught without labels", "unlabelled"),
    ):  # fmt: skip
        first, second = (
            {entry.group or entry.id for entry in getattr(each, side)} for each in splits
        )  # fmt: skip
        if first == second:
            continue
        alone = [
            f"{some(sorted(mine - theirs), 3)} in {name} alone"
            for mine, theirs, name in ((first, second, names[0]), (second, first, names[1]))
            if mine - theirs
        ]
        yield (
            f"people who {words}: {len(first)} in {names[0]}, {len(second)} in {names[1]}, "
            f"{counted(len(first & second), 'person', 'people')} in both; {'; '.join(alone)}"
        )


def _versions(records: tuple[Record, Record], names: tuple[str, str]) -> Iterator[str]:
    results = [record.result for record in records]
    if results[0] is None or results[1] is None:
        return
    first, second = (result.machine.model_dump() for result in results if result is not None)
    for name in first:
        if first[name] != second[name]:
            yield f"{name}: {_in_both(first[name], second[name], names)}"


def _in_both(first: Any, second: Any, names: tuple[str, str]) -> str:
    return f"{_value(first)} in {names[0]}, {_value(second)} in {names[1]}"


def _value(value: Any) -> str:
    if value is None or value == "":
        return "not set"
    if isinstance(value, list | tuple):
        return some([str(each) for each in value], 6) or "none"
    if isinstance(value, Mapping):
        return some([f"{name}={each}" for name, each in value.items()], 6) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
