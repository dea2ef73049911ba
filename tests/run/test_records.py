"""The typed records of a run folder: what is written is what is read."""

from __future__ import annotations

import ast
import json
from dataclasses import fields
from pathlib import Path

import pytest

from stampseg.core.config import Config
from stampseg.core.errors import DataError
from stampseg.core.level import Level
from stampseg.core.run_folder import run_folder_of
from stampseg.data.cases import Case
from stampseg.data.splits.record import SPLITS, Splits, read_splits
from stampseg.data.splits.split import Split
from stampseg.run import result
from stampseg.run.checkpoint import CHECKPOINT, CheckpointRecord
from stampseg.run.folder import RunFolder
from stampseg.run.records import NOTES, ROUNDS, Result, RoundRecord, read_result, read_rounds
from stampseg.run.spec import SPEC, RunSpec, read_spec
from stampseg.train.round import Round, Validation

TURN = Round(
    2, "cut", {"a": 3}, 120, 10, 20, 40, 0.5, Validation(0.8, {"x": 0.8}, {"x": 3, "y": 0}), {"a": (1, 4)},
    {"a": 0.1}, {"a": float("inf")}, {"train": 1.5}, 3.25,
)  # fmt: skip
SPEC_OF_TEST = RunSpec(
    "prune", Path("/data"), Config(seed=3), masks=Path("/masks"), model=Path("/model"), trusted=("a.b:C",),
    command=("stampseg", "prune"), directory="/home",
)  # fmt: skip


def test_a_line_holds_everything_of_a_round_but_its_graph(tmp_path: Path) -> None:
    assert set(RoundRecord.model_fields) == {field.name for field in fields(Round)} - {"graph"}
    with RunFolder.create(tmp_path / "run") as folder:
        folder.append_round(TURN)
    (found,) = read_rounds(folder.path)
    assert found == RoundRecord.of(TURN)
    assert found.validation is not None and found.validation.cases == {"x": 3, "y": 0}
    assert (found.removed, found.scores, found.latency) == ({"a": (1, 4)}, {"a": None}, 3.25)
    stored = (folder.path / ROUNDS.name).read_text()
    json.loads(stored, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_the_end_of_a_run_writes_every_field_of_its_result() -> None:
    """A field has a default for older runs, so that nothing else fails where it is not written."""
    nodes = ast.walk(ast.parse(Path(result.__file__).read_text("utf-8")))
    made = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "Result"]
    assert [{word.arg for word in call.keywords} for call in made] == [set(Result.model_fields)]


def test_a_line_of_before_the_format_numbers_is_read() -> None:
    text = (
        '{"number": 0, "event": "warm-up", "widths": {"head": 2}, "parameters": 9, "steps": 3, "loss": NaN, '
        '"validation": {"dice": 0.5, "per_label": {"x": 0.5}}, "seconds": {"train": 0.7}, "of_later": 1}'
    )
    found = ROUNDS.parse(text, "line 1")
    assert (found.number, found.loss, found.memory) == (0, None, None)
    assert found.validation is not None and found.validation.cases == {}


def test_what_was_noted_survives_a_kill_within_a_line(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", SPEC_OF_TEST) as folder:
        folder.note("first", Level.INFO)
        folder.note("look here", Level.WARNING)
    with (folder.path / NOTES.name).open("a") as file:
        file.write('{"format":1,"ti')
    with RunFolder.reopen(folder.path) as again:
        again.note("third", Level.INFO)
    notes = NOTES.read_lines(folder.path)
    assert [(note.level, note.text) for note in notes] == [
        (Level.INFO, "first"), (Level.WARNING, "look here"), (Level.INFO, "third")
    ]  # fmt: skip
    assert all(note.time.tzinfo is not None for note in notes)


def test_why_a_run_ended_early_is_noted_where_there_is_training_to_lose(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SPEC_OF_TEST)
    with pytest.raises(DataError), folder:
        folder.append_round(TURN)
        raise DataError("the disk is full")
    (note,) = NOTES.read_lines(folder.path)
    assert (note.level, note.text) == (Level.ERROR, "DataError: the disk is full")
    with pytest.raises(DataError), RunFolder.create(tmp_path / "new") as fresh:
        fresh.note("a decision", Level.INFO)
        raise DataError("no label")
    assert not (tmp_path / "new").exists(), "what was refused leaves nothing"


def test_what_was_asked_is_written_as_it_was_given(tmp_path: Path) -> None:
    SPEC.write(tmp_path, SPEC_OF_TEST)
    found = read_spec(tmp_path)
    assert found == SPEC_OF_TEST and found.config.model_fields_set == {"seed"}
    assert json.loads((tmp_path / "run.json").read_text())["config"] == {"seed": 3}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "run.json: written in format 2; this version reads format 1; update stampseg"),
        (
            {"config": {"sed": 1}},
            "is damaged .config: options: `sed`: no such option; did you mean `seed`",
        ),
        ({"work": "dream"}, "is damaged .work: Input should be 'train' or 'prune'"),
        ({"config": []}, r"is damaged \(config: Input should be a valid dictionary"),
    ],
)
def test_a_request_that_cannot_be_read_is_named(changes: dict, said: str, tmp_path: Path) -> None:
    SPEC.write(tmp_path, SPEC_OF_TEST)
    values = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**values, **changes}))
    with pytest.raises(DataError, match=said):
        read_spec(tmp_path)


def test_splits_become_the_cases_that_they_were(tmp_path: Path) -> None:
    cases = []
    for name in ("a", "b"):
        files = [tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png"]
        for file in files:
            file.write_bytes(name.encode())
        cases.append(Case(name, "anna", (files[0],), files[1]))
    splits = Split((cases[0],), (cases[1],), "").record()
    SPLITS.write(tmp_path, splits)
    found = read_splits(tmp_path)
    assert found == splits and found is not None
    assert [entry.case for entry in (*found.training, *found.validation)] == cases
    assert found.training[0].digest != found.validation[0].digest
    assert read_splits(tmp_path / "elsewhere") is None
    # of the first runs, which did not say where the images are
    old = SPLITS.parse('{"training": [{"id": "a", "group": "g", "label": "m.png"}]}', "x")
    assert old.training[0].case == Case("a", "g", (), Path("m.png"))


def test_a_stopped_run_goes_on_with_the_same_data_only(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    one, other = (Splits.model_validate({"training": [{"id": "a", "digest": d}]}) for d in "xy")
    folder.write_or_match(SPLITS, one, "the cases")
    (folder.path / SPLITS.name).write_text('{"training": [{"digest": "x", "id": "a"}]}')  # as another version
    folder.write_or_match(SPLITS, one, "the cases")
    with pytest.raises(DataError, match=r"splits\.json: the cases changed since the run began"):
        folder.write_or_match(SPLITS, other, "the cases")
    folder.release()


@pytest.mark.parametrize("place", ["model.safetensors", "rounds/003.safetensors"])
def test_a_model_is_found_in_its_run(place: str) -> None:
    assert run_folder_of(Path("run") / place) == Path("run")


def test_a_result_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"format": 2}')
    with pytest.raises(DataError, match=r"result\.json: written in format 2; this version reads format 1"):
        read_result(tmp_path)
    assert {"warnings", "remarks", "validation_cases_per_label", "machine"} <= set(Result.model_fields)


def test_a_checkpoint_keeps_every_number_as_it_is() -> None:
    values = {
        "rounds": 1, "seconds": 0.1 + 0.2, "answers": [["fit", float("inf"), []], ["train", 1e-300, []]],
        "trainer": {"done": 5, "taken": 2, "total": 0.3, "damping": 0.1},
        "training": {"lr": 1e-05}, "randomness": {"state": 2**127 + 5}, "sums": [4], "counts": {"a": 2},
    }  # fmt: skip
    record = CheckpointRecord.model_validate(values)
    found = CHECKPOINT.parse(CHECKPOINT.line(record), "x")
    assert found == record and type(found.trainer.done) is int
    assert found.randomness == values["randomness"] and found.answers[0][1] == float("inf")
    assert CHECKPOINT.parse(json.dumps(values), "x") == record, "as it was written before"
