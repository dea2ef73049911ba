"""The race: every setting runs the same folds, the worse half leaves after each, within a budget of time.

The setting with the best mean over the people of all folds is taken if choosing so is worth more than the
default on people who had no part in the choice (`evaluation/corrected_estimate.py`); else the default is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...core.config import Config
from ...core.run_folder import FOLDS_FOLDER, SEARCH_FOLDER
from ...core.text import counted
from ...data.cases import Dataset
from ...data.splits.folds import wants_folds, without_held_out
from ...evaluation.corrected_estimate import Corrected, corrected, survivors
from ..folder import RunFolder
from ..folds.cross_validation import CarryOut, fold_spec, folds_of, opened, without_validation
from ..folds.out_of_fold import measured
from ..folds.records import Folds
from ..reporters import Reporter, Reporters
from ..spec import RunSpec
from ..survey import survey
from .candidates import DEFAULT, candidates
from .records import SEARCH, Entrant, Search, read_search

FOLDS = 3  # where the options do not say how many


def search(
    folder: RunFolder,
    spec: RunSpec,
    dataset: Dataset,
    reporter: Reporter,
    carry_out: CarryOut,
    clock: Callable[[], float] = time.monotonic,
) -> Search:
    """Race the settings; folds that are done are not trained again.

    Args:
        folder: of the run; search/ in it gets a folder for each setting, with the runs of its folds.
        spec: what was asked of the run.
        dataset: what `spec` names.
        reporter: is told what goes on.
        carry_out: trains one fold.
        clock: seconds.

    Returns:
        What search.json holds; its `chosen` setting is the one to train with.

    Raises:
        ConfigError: options that cannot be, such as more folds than people.
    """
    found = read_search(folder.path) or _planned(spec, dataset)
    SEARCH.write(folder.path, found)
    if found.chosen is not None:
        return found
    reporter.note(f"search: {counted(len(found.entrants), 'setting')}; {found.words}")
    race = _Race(folder, spec, dataset, reporter, carry_out, clock, found)
    race.run()
    return race.decide()


def chosen_config(config: Config, found: Search) -> Config:
    """The options of the setting that was chosen."""
    return _with(config, found.entrant(found.chosen or DEFAULT))


def _with(config: Config, entrant: Entrant) -> Config:
    return config.merged(entrant.changes, f"search: {entrant.name}")


def _planned(spec: RunSpec, dataset: Dataset) -> Search:
    config = spec.config
    if not wants_folds(config):
        people = len({case.group for case in dataset.cases})
        config = config.merged({"train": {"folds": max(2, min(FOLDS, people))}})
    folds, words = folds_of(dataset, spec.data, config)
    seen = survey(dataset, without_validation(config))
    entrants = [
        Entrant(name=one.name, words=one.words, changes=one.changes) for one in candidates(spec.config, seen)
    ]
    return Search(words=words, folds=tuple(folds), entrants=tuple(entrants))


class _Race:
    """Its state is search.json and the folders of the settings."""

    def __init__(
        self,
        folder: RunFolder,
        spec: RunSpec,
        dataset: Dataset,
        reporter: Reporter,
        carry_out: CarryOut,
        clock: Callable[[], float],
        found: Search,
    ) -> None:
        self._folder, self._spec, self._dataset, self._reporter = folder, spec, dataset, reporter
        self._carry_out, self._clock, self._found = carry_out, clock, found
        self._budget = spec.config.train.budget_seconds
        self._begun = clock() - found.seconds

    def run(self) -> None:
        """Fold by fold, each setting that is still in it."""
        running = [entrant.name for entrant in self._found.entrants]
        for number in range(len(self._found.folds)):
            for name in running:
                if self._out_of_time(name, number):
                    self._reporter.note(f"search: the budget is spent before fold {number + 1} of {name}")
                    return
                self._run_fold(name, number)
            running = self._left(running)

    def decide(self) -> Search:
        """Who has won, and what choosing so is worth."""
        done = self._complete()
        people, figures = self._figures(done)
        if len(done) < 2 or len(figures) < 2:
            chosen, estimate, why = DEFAULT, None, "no other setting came far enough to be compared"
        else:
            of = corrected(figures, self._judges(people, done))
            chosen = done[of.best] if of.beaten else DEFAULT
            estimate, why = of.estimate, _why(of, done[of.best], len(figures))
        self._keep(chosen=chosen, estimate=estimate, why=why)
        self._reporter.note(f"search: {self._found.entrant(chosen).words} ({chosen}); {why}")
        return self._found

    def _out_of_time(self, name: str, number: int) -> bool:
        """Whether one more fold, as long as those so far took on average, would pass the budget."""
        if self._budget is None or (name == DEFAULT and number == 0):
            return False
        spent = self._clock() - self._begun
        ran = sum(entrant.folds for entrant in self._found.entrants)
        return spent + spent / max(ran, 1) > self._budget

    def _run_fold(self, name: str, number: int) -> None:
        entrant = self._found.entrant(name)
        if entrant.folds > number:
            return
        fold = self._found.folds[number]
        self._reporter.note(f"search: {name}, fold {number + 1} of {len(self._found.folds)}")
        place = self._folder.path / SEARCH_FOLDER / name
        run = place / FOLDS_FOLDER / str(number)
        if not RunFolder(run).ended:
            without_held_out(self._dataset, fold)
            self._carry_out(*opened(run, fold_spec(self._spec_of(entrant), fold)))
        people = self._people(place, number, entrant)
        mean = float(np.mean(list(people.values()))) if people else None
        self._keep(entrant.model_copy(update={"folds": number + 1, "people": people, "mean": mean}))

    def _spec_of(self, entrant: Entrant) -> RunSpec:
        """Of a setting's runs, which search no further."""
        config = without_validation(_with(self._spec.config, entrant))
        return replace(self._spec, config=config.merged({"train": {"search": False, "budget": None}}))

    def _people(self, place: Path, number: int, entrant: Entrant) -> dict[str, float]:
        """Dice of everybody who was held out so far, mean over their cases."""
        folds = Folds(words=self._found.words, folds=self._found.folds[: number + 1])
        found = measured(RunFolder(place), folds, self._dataset, self._spec_of(entrant), Reporters([]))
        figures: dict[str, list[float]] = {}
        for case in found.cases:
            if case.mean is not None:
                figures.setdefault(case.group, []).append(case.mean)
        return {person: float(np.mean(values)) for person, values in figures.items()}

    def _left(self, running: list[str]) -> list[str]:
        _, figures = self._figures(running)
        if len(running) < 3 or not len(figures):  # who was held out so far holds no label: nobody is worse
            return running
        left = [running[place] for place in survivors(figures)]
        for name in running:
            if name not in left:
                one = self._found.entrant(name)
                self._keep(one.model_copy(update={"out": True}))
                self._reporter.note(f"search: {name} is out, Dice {one.mean:.3f} so far")
        return left

    def _complete(self) -> list[str]:
        """Settings that ran as many folds as those that are still in the race all have.

        A budget may end within a fold, and within the first some have none.
        """
        still = [one.folds for one in self._found.entrants if one.folds and not one.out]
        return [one.name for one in self._found.entrants if one.folds >= min(still, default=1)]

    def _judges(self, people: list[str], done: list[str]) -> np.ndarray:
        """(people,) whether they were held out after the last setting had left the race."""
        gone = max((one.folds for one in self._found.entrants if one.name not in done), default=0)
        group = {case.id: case.group for case in self._dataset.cases}
        late = {group.get(case) for fold in self._found.folds[gone:] for case in fold.held_out}
        return np.array([person in late for person in people])

    def _figures(self, names: list[str]) -> tuple[list[str], np.ndarray]:
        """People whom all of them have predicted, and their figures (people, settings)."""
        of = [self._found.entrant(name).people for name in names]
        people = sorted(set.intersection(*(set(each) for each in of))) if of else []
        rows = [[each[person] for each in of] for person in people]
        return people, np.array(rows).reshape(len(people), len(of))

    def _keep(self, entrant: Entrant | None = None, **changes: object) -> None:
        if entrant is not None:
            old = self._found.entrants
            changes["entrants"] = tuple(entrant if one.name == entrant.name else one for one in old)
        changes["seconds"] = self._clock() - self._begun
        self._found = self._found.model_copy(update=changes)
        SEARCH.write(self._folder.path, self._found)


def _why(of: Corrected, best: str, people: int) -> str:
    if of.best == 0:
        return f"no other setting was better on {counted(people, 'person', 'people')} left out"
    if not of.beaten:
        worth = "nobody is left to tell what choosing so is worth"
        if of.estimate is not None:
            worth = f"choosing so is worth about {of.estimate:.3f}"
        return (
            f"{best} had {of.own:.3f} against {of.default:.3f} ({of.better:.0%} of the people better, gain "
            f"{of.gain[0]:+.3f}, standard error {of.gain[1]:.3f}); {worth}: the default is not beaten clearly"
        )
    return (
        f"{of.own:.3f} against {of.default:.3f} on {counted(people, 'person', 'people')} left out; on others "
        f"{of.estimate:.3f} is to be expected of choosing so"
    )
