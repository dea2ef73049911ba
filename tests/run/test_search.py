"""A search: what it tries, how it ends, and that it goes on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stampseg.core.config import Config, parse_config
from stampseg.core.errors import ConfigError, DataError
from stampseg.data.cases import find_dataset
from stampseg.networks.factory import count, network_spec
from stampseg.run.folder import RunFolder
from stampseg.run.folds.cross_validation import settled_for_folds
from stampseg.run.reporters import Reporters
from stampseg.run.search import race
from stampseg.run.search.candidates import DEFAULT, Candidate, candidates
from stampseg.run.search.race import chosen_config, search
from stampseg.run.search.records import SEARCH, Search, read_search
from stampseg.run.spec import RunSpec
from stampseg.run.survey import survey
from tests.cli.command import QUICK, call
from tests.data.scans import write_pictures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data"), [f"{n}" for n in range(6)], (60, 64))


def names_of(data: Path, values: dict[str, Any]) -> list[str]:
    config = settled_for_folds(parse_config({"train": {"validation": "none"}, **values}, "test"))
    return [one.name for one in candidates(config, survey(find_dataset(data), config))]


def test_what_is_tried_and_that_what_was_said_is_not_varied(data: Path) -> None:
    assert names_of(data, {}) == [DEFAULT, "larger", "wider", "more steps"]
    fixed = {"prune": {"target": "20%"}, "train": {"validation": "none", "steps": 50}}
    assert names_of(data, fixed) == [DEFAULT]
    assert names_of(data, {"method": "dense"}) == [DEFAULT, "more steps"]


def test_the_wider_network_comes_to_the_same_size(data: Path) -> None:
    config = parse_config({"train": {"validation": "none"}}, "test")
    seen = survey(find_dataset(data), config)
    wider = next(one for one in candidates(config, seen) if one.name == "wider")
    assert wider.changes["network"] == {"width": 16}
    asked = int(wider.changes["prune"]["target"])
    assert asked == round(0.15 * count(network_spec(seen.plan, config))[0])


class Fake:
    """Folds without training: each setting has its Dice, and takes its seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dice: dict[str, list[float]]) -> None:
        self.ran: list[tuple[str, int]] = []
        self.now = 0.0
        self.dice = dice
        monkeypatch.setattr(
            race,
            "candidates",
            lambda config, seen: [Candidate(name, {}, f"words of {name}") for name in dice],
        )
        monkeypatch.setattr(race._Race, "_people", self.people)
        monkeypatch.setattr(race, "opened", lambda place, spec: (place, spec))

    def carry_out(self, place: Any, spec: Any) -> Any:
        self.ran.append((place.parent.parent.name, int(place.name)))
        self.now += 60

    def people(self, place: Path, number: int, entrant: Any) -> dict[str, float]:
        return {str(person): self.dice[entrant.name][person] for person in range(2 * (number + 1))}

    def search(self, data: Path, output: Path, **train: Any) -> Any:
        config = parse_config({"train": {"search": True, "folds": 3, **train}}, "test")
        spec = RunSpec("train", data, config)
        folder = RunFolder(output)
        output.mkdir(exist_ok=True)
        return search(folder, spec, find_dataset(data), Reporters([]), self.carry_out, lambda: self.now)


EVEN = [0.5, 0.6, 0.7, 0.5, 0.6, 0.7]


def test_the_worse_half_leaves_after_each_fold(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    better = [value + 0.1 for value in EVEN]
    worse = [value - 0.1 for value in EVEN]
    dice = {DEFAULT: EVEN, "a": better, "b": worse, "c": worse, "d": worse}
    fake = Fake(monkeypatch, dice)
    found = fake.search(data, tmp_path / "run")
    assert [name for name, fold in fake.ran if fold == 0] == [DEFAULT, "a", "b", "c", "d"]
    assert [name for name, fold in fake.ran if fold == 1] == [DEFAULT, "a", "b"]
    assert [name for name, fold in fake.ran if fold == 2] == [DEFAULT, "a"]
    assert found.chosen == "a" and found.estimate == pytest.approx(0.7, abs=0.02)
    assert "0.700 against 0.600 on 6 people left out" in found.why
    assert read_search(tmp_path / "run") == found


def test_who_sent_settings_out_does_not_judge_what_is_left(
    data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """After two folds the last two settings leave: what `a` gains is the gain of the third fold's people."""
    gains = [0.05 * (person + 1) for person in range(6)]
    better = [value + gain for value, gain in zip(EVEN, gains, strict=True)]
    dice = {DEFAULT: EVEN, "a": better, "b": EVEN, "c": EVEN, "d": EVEN}
    found = Fake(monkeypatch, dice).search(data, tmp_path / "run")
    assert sorted(one.folds for one in found.entrants) == [1, 1, 2, 3, 3]
    late = [gains[int(case)] for case in found.folds[2].held_out]
    assert len(late) == 2 and found.chosen == "a"
    assert found.estimate == pytest.approx(0.6 + sum(late) / 2, abs=0.01)


def test_a_default_that_is_not_beaten_is_kept_and_said(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    lucky = [0.49, 0.59, 0.69, 0.49, 0.59, 0.95]
    found = Fake(monkeypatch, {DEFAULT: EVEN, "lucky": lucky}).search(data, tmp_path / "run")
    assert found.chosen == DEFAULT and found.entrant("lucky").mean > found.entrant(DEFAULT).mean
    assert "the default is not beaten" in found.why
    assert chosen_config(Config(), found) == Config()


def test_where_a_budget_ends_within_a_fold_those_before_it_are_compared(
    data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    better = [value + 0.1 for value in EVEN]
    fake = Fake(monkeypatch, {DEFAULT: EVEN, "a": better, "b": better})
    found = fake.search(data, tmp_path / "run", budget="4m")
    assert fake.ran == [(DEFAULT, 0), ("a", 0), ("b", 0), (DEFAULT, 1)]
    assert found.chosen in ("a", "b") and "0.650 against 0.550 on 2 people left out" in found.why


def test_a_budget_that_ends_before_others_ran_compares_nothing(
    data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    better = [value + 0.1 for value in EVEN]
    fake = Fake(monkeypatch, {DEFAULT: EVEN, "a": better})
    found = fake.search(data, tmp_path / "run", budget="1m")
    assert fake.ran == [(DEFAULT, 0)]
    assert found.chosen == DEFAULT and "no other setting came far enough" in found.why


def test_a_fold_whose_people_hold_no_label_drives_nobody_out(
    data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """With two who hold a lesion, one of three folds has none of them."""
    last = [value + 0.1 for value in EVEN]
    fake = Fake(monkeypatch, {DEFAULT: EVEN, "a": EVEN, "b": EVEN, "last": last})
    holding = lambda *of: {who: dice for who, dice in fake.people(*of).items() if int(who) > 1}  # noqa: E731
    monkeypatch.setattr(race._Race, "_people", lambda self, *of: holding(*of))
    found = fake.search(data, tmp_path / "run")
    assert [name for name, fold in fake.ran if fold == 1] == [DEFAULT, "a", "b", "last"]
    assert found.chosen == "last"


def test_a_stopped_search_goes_on(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    better = [value + 0.1 for value in EVEN]
    fake = Fake(monkeypatch, {DEFAULT: EVEN, "a": better})
    plain, stops = fake.carry_out, [3]

    def stopping(place: Any, spec: Any) -> None:
        if len(fake.ran) == stops[0]:
            raise KeyboardInterrupt
        plain(place, spec)

    fake.carry_out = stopping  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        fake.search(data, tmp_path / "run")
    stops[0] = -1
    found = fake.search(data, tmp_path / "run")
    assert len(fake.ran) == len(set(fake.ran)) == 6
    assert found.chosen == "a"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": "soon"}, "expected a time with its unit, such as 2h, 45m or 90s"),
        ({"budget": "5"}, "expected a time with its unit"),
    ],
)
def test_budgets_that_are_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"train": changes}, "test")
    assert parse_config({"train": {"budget": "1.5h"}}, "test").train.budget_seconds == 5400


def test_a_search_through_the_command_line(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        race,
        "candidates",
        lambda config, seen: [
            Candidate(DEFAULT, {}, "as given"),
            Candidate("l1", {"prune": {"criterion": "l1"}}, "by the l1 norm"),
        ],
    )
    words = ("train", data, "-o", tmp_path / "run", "--search", "--folds", "2", *QUICK)
    said = call(*words).output
    found = SEARCH.read(tmp_path / "run")
    assert found.chosen in (DEFAULT, "l1") and [one.folds for one in found.entrants] == [2, 2]
    assert "(chosen)" in said and found.why[:40] in said
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["training_cases"] == 6
    assert (tmp_path / "run" / "search" / "l1" / "folds" / "1" / "result.json").exists()


def test_search_and_distil_are_one_too_many(data: Path, tmp_path: Path) -> None:
    said = call(
        "train", data, "-o", tmp_path / "run", "--search", "--distil", "--folds", "2", *QUICK, code=2
    ).output
    assert "--search with --distil: one at a time; leave out one of the two" in said


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("train", "--budget", "2h"),
            "--budget 2h: it is the time for a search, and there is none; give --search",
        ),
        (
            ("prune", "--set", "train.search=true"),
            "it trains networks anew, and a trained one is the start",
        ),
        (
            ("prune", "--set", "train.distil=true"),
            "it trains networks anew, and a trained one is the start",
        ),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    command: tuple[str, ...], message: str, data: Path, tmp_path: Path
) -> None:
    verb, *options = command
    model = ("model.safetensors",) if verb == "prune" else ()
    said = call(verb, *model, data, "-o", tmp_path / "run", *options, *QUICK, code=2).output
    assert message in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("trained", [True, False])
def test_a_refusal_keeps_a_search_that_has_trained_and_no_other(
    trained: bool, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    spec = RunSpec("train", data, Config())
    with pytest.raises(DataError), RunFolder.create(run, spec) as folder:
        SEARCH.write(run, Search(words="", folds=(), entrants=()))
        if trained:
            with RunFolder.create(run / "search" / DEFAULT / "folds" / "0", spec) as fold:
                (fold.path / "rounds.jsonl").write_text("")
        assert folder.begun == trained
        raise DataError("a scan is gone")
    assert (run / "run.json").exists() == (run / "search.json").exists() == run.exists() == trained
