"""What no pair of methods holds: draws, people, cases and labels that one of them lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from ...core.text import counted, some
from .pairing import of_unknown_cases
from .study import MEAN, Cell, Key, Setting, Study, in_order

MOST = 8  # that are listed

Cells = Mapping[str, Cell]  # of one draw of a setting, by method


def listed(names: Iterable[str]) -> str:
    """Names, which may hold commas, each once."""
    return some([_quoted(name) for name in dict.fromkeys(names)], MOST)


def _quoted(name: str) -> str:
    return f"“{name}”" if "," in name else name


def places_text(study: Study, settings: Sequence[Setting]) -> str:
    """Names of tasks, with the numbers of labels where it is not all that the task has."""
    said = []
    for task in dict.fromkeys(setting.task for setting in settings):
        numbers = [setting.labels for setting in settings if setting.task == task]
        whole = len(numbers) == len(study.numbers_of(task))
        of = " and ".join("all" if each is None else str(each) for each in numbers)
        said.append(_quoted(task) if whole else f"{_quoted(task)} with {of} labelled")
    return some(said, MOST)


def what_is_missing(study: Study) -> Iterator[str]:
    """What is in no pair, or is in one unseen, one sentence for each kind."""
    yield from _draws(study)
    together = list(_together(study))
    yield from _people(together)
    yield from _places(together)
    yield from _means(together)


def _together(study: Study) -> Iterator[tuple[Setting, str, Cells]]:
    """Cells of the same setting and draw."""
    found: dict[tuple[Setting, str], dict[str, Cell]] = {}
    for setting in study.settings:
        for method in study.methods:
            for draw, cell in study.of(setting, method).items():
                found.setdefault((setting, draw), {})[method] = cell
    for (setting, draw), cells in found.items():
        yield setting, draw, cells


def _draws(study: Study) -> Iterator[str]:
    """Cells that are planned, or that other methods have, and are not there."""
    there = {cell.key for cell in study.cells}
    gone: dict[tuple[Setting, str], list[str]] = {}
    for key in _expected(study):
        if key not in there:
            gone.setdefault(key[:2], []).append(key[2])
    if not gone:
        return
    found = {(cell.setting, cell.method) for cell in study.cells}
    used = {setting for setting, _ in found}
    none, wholly, partly = _Places(), _Places(), _Places()
    for (setting, method), draws in gone.items():
        if setting not in used:
            none.add("no method has a cell", setting)
        elif (setting, method) not in found:
            wholly.add(f"{_quoted(method)} has no cell", setting)
        else:
            word = "draw" if len(draws) == 1 else "draws"
            partly.add(f"{_quoted(method)} lacks {word} {some(draws)}", setting)
    said = [text for each in (none, wholly, partly) for text in each.texts(study)]
    more = f"; and {len(said) - MOST} more" if len(said) > MOST else ""
    yield (
        f"not every method has every draw, and what is missing is in no pair: {'; '.join(said[:MOST])}{more}"
    )


def _expected(study: Study) -> Iterator[Key]:
    """What is planned, and every draw of a setting for each of its methods."""
    yield from study.planned
    planned = set(study.planned)
    for setting in study.settings:
        cells = {method: study.of(setting, method) for method in study.methods}
        draws = in_order({draw for of_method in cells.values() for draw in of_method})
        for method in (method for method, of_method in cells.items() if of_method):
            yield from ((setting, method, d) for d in draws if (setting, method, d) not in planned)


class _Places(dict[str, list[Setting]]):
    """Where something holds, by what holds."""

    def add(self, what: str, setting: Setting) -> None:
        """Once for each setting."""
        settings = self.setdefault(what, [])
        if setting not in settings:
            settings.append(setting)

    def texts(self, study: Study) -> list[str]:
        """`usual has no cell on liver`."""
        return [f"{what} on {places_text(study, settings)}" for what, settings in self.items()]


def _people(together: Iterable[tuple[Setting, str, Cells]]) -> Iterator[str]:
    """People who have no Dice with some method of their draw."""
    alone: dict[tuple[str, str], list[str]] = {}  # who lacks, who has -> people
    people: set[tuple[str, str]] = set()
    for setting, _, cells in together:
        everybody = {person for cell in cells.values() for person in cell.dice}
        for method, cell in cells.items():
            for person in sorted(everybody - cell.dice.keys()):
                other = next(name for name, each in cells.items() if person in each.dice)
                alone.setdefault((method, other), []).append(person)
                people.add((setting.task, person))
    if people:
        said = [f"{lacks} has no Dice for {listed(of)} where {has} has" for (lacks, has), of in alone.items()]
        yield (
            f"pairs leave {counted(len(people), 'person', 'people')} out who were not tested with every "
            f"method of their draw: {'; '.join(said[:3])}"
        )


def _places(together: Iterable[tuple[Setting, str, Cells]]) -> Iterator[str]:
    """Cases and labels of a person whom several methods were tested on, and some have no Dice of."""
    found = []
    for setting, draw, cells in together:
        for person in sorted({person for cell in cells.values() for person in cell.places}):
            known = {name: cell.places[person] for name, cell in cells.items() if person in cell.places}
            known = {name: places for name, places in known.items() if MEAN not in places}
            places = dict.fromkeys(place for of in known.values() for place in of)
            for place in places:
                if without := [name for name, of in known.items() if place not in of]:
                    has = next(name for name, of in known.items() if place in of)
                    found.append((setting, draw, person, place, has, without[0]))
    if found:
        setting, draw, person, (case, label), has, lacks = found[0]
        such = f"label {label} of case {case} of {person} ({setting}, draw {draw}): {has} has it, {lacks} not"
        yield (
            f"pairs leave {counted(len(found), 'case and label', 'cases and labels')} out that not every "
            f"method of their draw has a Dice of, such as {such}"
        )


def _means(together: Iterable[tuple[Setting, str, Cells]]) -> Iterator[str]:
    """People of whom one method has a mean alone and another the cases."""
    found: dict[tuple[str, str], str] = {}
    for setting, _, cells in together:
        for (one, first), (other, second) in combinations(cells.items(), 2):
            for person in first.places.keys() & second.places.keys():
                if of_unknown_cases(first, second, person):
                    found[setting.task, person] = f"{one} and {other}"
    if found:
        (_, person), methods = min(found.items())
        yield (
            f"{counted(len(found), 'person', 'people')} with a mean alone from one method and cases from "
            f"another, such as {person} from {methods}: nobody can say whether both are of the same cases"
        )
