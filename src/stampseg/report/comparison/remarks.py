"""What is to be said of a study folder before its figures: what is not whole, and what study.yaml tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from ...core.config import Config
from ...core.method import methods_that_prune
from ...core.text import counted, some
from ...run.study.tables import CASES_TABLE, CELLS_TABLE
from .study import Cell, Figures, Key, Measure, Setting

APART = 0.001  # in Dice, as rounding may leave
PRUNING = methods_that_prune()


def of_one_data_set(values: object) -> Iterator[str]:
    """A warning for tasks whose people are the same, which a claim over them takes for others."""
    by_data: dict[str, list[str]] = {}
    for name, task in asked(values, "tasks").items():
        if isinstance(task, Mapping) and "data" in task:
            by_data.setdefault(str(task["data"]), []).append(str(name))
    for names in by_data.values():
        if len(names) > 1:
            yield (
                f"{', '.join(names)}: of one data set, so that their people are the same; an interval over "
                "these tasks together takes them for others and is too narrow"
            )


def otherwise_told(told: Mapping[Key, float], whole: tuple[Cell, ...]) -> Iterator[str]:
    """That the Dice of cells.csv is not that of cases.csv."""
    of_cases = {cell.key: fmean(cell.dice.values()) for cell in whole}
    other = [
        f"{named(key)} {told[key]:.3f} and {dice:.3f}"
        for key, dice in of_cases.items()
        if key in told and abs(told[key] - dice) > APART
    ]
    if other:
        yield (
            f"{CELLS_TABLE} and {CASES_TABLE} differ in the Dice of {counted(len(other), 'cell')} "
            f"({some(other, 3)}), so that one of both is not as it was written; the figures here are of "
            f"{CASES_TABLE}; let the study write both again"
        )


def without_model(refused: list[Key]) -> Iterator[str]:
    if refused:
        yield (
            f"{counted(len(refused), 'run')} ended without a model, for a label was not found in its own "
            f"training cases: {some([named(key) for key in refused])}; the network that was refused is "
            "counted all the same"
        )


def uncut(figures: Mapping[Key, Figures], values: object) -> Iterator[str]:
    """That networks of methods which prune kept all they had."""
    whole = [
        key
        for key, each in figures.items()
        if each.parameters is not None
        and each.parameters == each.parameters_dense
        and _method_of(values, key) in PRUNING
    ]
    if whole:
        yield (
            f"{counted(len(whole), 'run')} of methods that prune ended without a cut: "
            f"{some([named(key) for key in whole])}; networks of their size are as large as the dense one"
        )


def false_alarms(whole: tuple[Cell, ...]) -> Iterator[str]:
    """What was predicted of labels that a case does not hold: no Dice tells of it."""
    volumes: dict[str, list[float]] = {}
    for cell in whole:
        found = [each.false_positive for each in cell.measures if each.false_positive is not None]
        volumes.setdefault(cell.method, []).extend(found)
    if any(map(any, volumes.values())):
        each = ", ".join(
            f"{method} in {sum(map(bool, found)):,} of {len(found):,}"
            for method, found in volumes.items()
            if found
        )
        yield (
            f"labels are found in cases that do not hold them, which no Dice tells of: {each} masks of such "
            "labels"
        )


def _method_of(values: object, key: Key) -> str | None:
    """How the networks of a cell were trained: by its method's options, its task's, the study's; None of a
    method that study.yaml does not list.
    """
    setting, method, _ = key
    methods, task = asked(values, "methods"), asked(values, "tasks").get(setting.task)
    if method not in methods:
        return None
    places = (methods[method], asked(task, "options"), asked(values, "options"))
    given = (place["method"] for place in places if isinstance(place, Mapping) and "method" in place)
    return str(next(given, Config.model_fields["method"].default))


def added(values: object) -> Iterator[str]:
    """What the study noted that came, or went, after its first result."""
    for name, what in (
        ("added", "Added to the study after its first result"),
        ("taken_out", "Taken out of the study after results, which are not compared"),
    ):
        said = values.get(name) if isinstance(values, dict) else None
        if isinstance(said, list) and said:
            yield f"{what}: {some(list(map(str, said)))}"


def other_steps(values: object) -> Iterator[str]:
    """That methods take steps of their own number."""
    methods = {name: each for name, each in asked(values, "methods").items() if isinstance(each, Mapping)}
    own = {
        name: train["steps"]
        for name, each in methods.items()
        if isinstance(train := each.get("train"), Mapping) and "steps" in train
    }
    if own and (len(own) < len(asked(values, "methods")) or len(set(map(str, own.values()))) > 1):
        said = some([f"{name} takes {steps} steps" for name, steps in own.items()])
        others = ", the others as many as their task says" if len(own) < len(methods) else ""
        yield f"Methods take unlike numbers of steps: {said}{others}"


def planned_cells(values: object) -> tuple[Key, ...]:
    """All cells that study.yaml plans; none where it does not list them."""
    draws = values.get("draws") if isinstance(values, dict) else None
    if not isinstance(draws, list):
        return ()
    settings = []
    for name, task in asked(values, "tasks").items():
        labels = task.get("labelled_people") if isinstance(task, Mapping) else None
        if not isinstance(labels, list) or not all(isinstance(each, int) for each in labels):
            return ()
        settings += [Setting(str(name), each) for each in labels]
    return tuple(
        (setting, str(method), str(draw))
        for setting in settings
        for method in asked(values, "methods")
        for draw in draws
    )


def still_to_come(planned: tuple[Key, ...], whole: tuple[Cell, ...]) -> Iterator[str]:
    """That cells are missing, and what looking before the end does; that others are there."""
    there, expected = {cell.key for cell in whole}, set(planned)
    if not planned:
        return
    if there & expected < expected:
        yield (
            f"The study is not whole: {len(there & expected)} of {len(expected)} cells have ended; what is "
            "said now may change, and whoever stops when it suits finds what is not there"
        )
    if others := [named(cell.key) for cell in whole if cell.key not in expected]:
        yield (
            f"study.yaml does not plan {counted(len(others), 'cell')} that are compared all the same: "
            f"{some(others)}"
        )


def not_whole(
    figures: Mapping[Key, Figures], measured: Mapping[Key, list[Measure]], whole: tuple[Cell, ...]
) -> Iterator[str]:
    """What is not whole, one sentence each."""
    there = {cell.key for cell in whole}
    without = [named(key) for key in {**figures, **measured} if key not in there]
    if without:
        yield f"{counted(len(without), 'cell')} without any Dice left out: {some(without)}"
    strange = [named(key) for key in measured if key not in figures]
    if strange:
        yield f"{CELLS_TABLE} does not name {some(strange)}: parameters, FLOPs and seconds are not known"
    if nobody := _without_dice(whole):
        yield (
            f"{counted(len(nobody), 'person', 'people')} without a Dice left out (none of their cases holds "
            "a label)"
        )


def _without_dice(whole: tuple[Cell, ...]) -> set[tuple[str, str]]:
    """Task and person of whom no method of a draw has a Dice."""
    tested: dict[tuple[Setting, str, str], bool] = {}
    for cell in whole:
        for person in cell.people:
            key = (cell.setting, cell.draw, person)
            tested[key] = tested.get(key, False) or person in cell.dice
    return {(setting.task, person) for (setting, _, person), known in tested.items() if not known}


def asked(values: object, name: str) -> Mapping[Any, Any]:
    """Tasks or methods of study.yaml, by name; none where it does not list them."""
    found = values.get(name) if isinstance(values, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def named(key: Key) -> str:
    setting, method, draw = key
    return f"{method} ({setting}, draw {draw})"
