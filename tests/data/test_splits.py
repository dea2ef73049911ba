"""Laws of drawing and splitting: groups stay together, seeds decide, order does not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stampseg.core.config import Config
from stampseg.core.errors import ConfigError, DataError
from stampseg.core.level import Level
from stampseg.data.cases import Case, find_dataset
from stampseg.data.splits import AUTO_MOST, Split, draw_cases, hold_out, split_cases
from stampseg.run.pipeline import _settle as settle
from stampseg.run.reporters import Reporters
from stampseg.run.survey import survey


def make_cases(groups: list[int]) -> list[Case]:
    """One case per entry, of that group."""
    return [Case(f"c{n:02d}", f"g{g}", (Path(f"c{n:02d}.png"),), None) for n, g in enumerate(groups)]


some_cases = st.lists(st.integers(0, 6), min_size=1, max_size=25).map(make_cases)
seeds = st.integers(0, 1000)


@settings(max_examples=60, deadline=None)
@given(some_cases, seeds, st.data())
def test_draw_takes_new_groups_while_they_last(cases: list[Case], seed: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(cases)))
    drawn = draw_cases(cases, count, seed)
    groups = len({case.group for case in cases})
    assert len(drawn) == len({case.id for case in drawn}) == count
    assert len({case.group for case in drawn}) == min(count, groups)


@settings(max_examples=60, deadline=None)
@given(some_cases, seeds)
def test_draw_depends_on_seed_alone_and_is_nested(cases: list[Case], seed: int) -> None:
    shuffled = random.Random(seed + 1).sample(cases, len(cases))
    full = draw_cases(cases, len(cases), seed)
    assert draw_cases(shuffled, len(cases), seed) == full
    for count in range(1, len(cases)):
        assert draw_cases(shuffled, count, seed) == full[:count]


def test_another_seed_draws_others() -> None:
    cases = make_cases(list(range(20)))
    assert len({tuple(draw_cases(cases, 5, seed)) for seed in range(8)}) > 4


@pytest.mark.parametrize("count", [0, -1, 4])
def test_draw_of_more_than_there_are_says_how_many(count: int) -> None:
    with pytest.raises(ConfigError, match=rf"`labels` {count}: 3 labelled cases are there; expected 1 to 3"):
        draw_cases(make_cases([0, 1, 2]), count, 0)


@settings(max_examples=100, deadline=None)
@given(some_cases, seeds, st.floats(0, 0.99, allow_subnormal=False))
def test_hold_out_separates_no_group(cases: list[Case], seed: int, share: float) -> None:
    training, held = hold_out(cases, share, seed)
    assert sorted(training + held, key=lambda case: case.id) == cases
    assert not {case.group for case in training} & {case.group for case in held}
    several = len({case.group for case in cases}) > 1
    assert bool(held) == (several and share > 0)
    assert training
    assert hold_out(cases[::-1], share, seed) == (training, held)


@pytest.mark.parametrize("seed", range(5))
def test_hold_out_is_near_its_share(seed: int) -> None:
    training, held = hold_out(make_cases([n // 2 for n in range(50)]), 0.2, seed)
    assert (len(training), len(held)) == (40, 10)


def test_hold_out_takes_the_smallest_group_when_all_are_too_large() -> None:
    training, held = hold_out(make_cases([0] * 20 + [1] * 9), 0.1, 0)
    assert {case.group for case in held} == {"g1"}
    assert len(training) == 20


@pytest.mark.parametrize("share", [-0.1, 1.0, 3])
def test_hold_out_of_a_wrong_share(share: float) -> None:
    with pytest.raises(ConfigError, match="expected a share from 0 to below 1"):
        hold_out(make_cases([0, 1]), share, 0)


# --- the split of a run ---


def labelled_cases(people: int, each: int = 1, root: Path = Path("data")) -> list[Case]:
    return [
        Case(f"p{p:02d}_{k}", f"p{p:02d}", (root / f"p{p:02d}_{k}.png",), root / f"p{p:02d}_{k}_label.png")
        for p in range(people)
        for k in range(each)
    ]


def split_of(cases: list[Case], validation: str = "auto", **options: Any) -> Split:
    found = split_cases(cases, Config.model_validate({**options, "train": {"validation": validation}}))
    assert not {c.group for c in found.training} & {c.group for c in found.validation}
    assert not {c.id for c in found.training} & {c.id for c in found.validation}
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("validation", ["auto", "none", "0.3", "30%"])
@pytest.mark.parametrize(("people", "each", "labels"), [(20, 1, 10), (6, 4, 3), (4, 5, 1), (30, 2, 5)])
def test_labels_is_exactly_the_number_that_trains(
    people: int, each: int, labels: int, validation: str, seed: int
) -> None:
    found = split_of(labelled_cases(people, each), validation, labels=labels, seed=seed)
    assert len(found.training) == labels
    share = {"auto": 0.2, "none": 0.0}.get(validation, 0.3)
    assert len(found.validation) == (max(1, round(share * labels)) if share else 0)


def test_labels_that_take_every_person_leave_nobody_to_validate() -> None:
    cases = labelled_cases(4, 5)
    found = split_of(cases, labels=20)
    assert (len(found.training), found.validation) == (20, ())
    assert found.note == "20 cases train, none validates (no other person is labelled)"
    with pytest.raises(
        ConfigError, match=r"`train.validation` 0.3: the 4 training cases of `labels` come from all 4 "
    ):
        split_of(cases, "0.3", labels=4)


@pytest.mark.parametrize(("people", "training"), [(1, 1), (4, 4), (5, 4), (10, 8), (50, 40), (200, 180)])
def test_auto_is_a_fifth_and_at_most_twenty(people: int, training: int) -> None:
    found = split_of(labelled_cases(people))
    assert (len(found.training), len(found.validation)) == (training, people - training)
    assert len(found.validation) <= AUTO_MOST


def test_auto_with_few_people_trains_on_all_and_says_so() -> None:
    found = split_of(labelled_cases(4, 5))
    assert (
        found.note
        == "all 20 cases train, none validates (only 4 people are labelled, of 5 that auto asks for)"
    )
    assert split_of(labelled_cases(9), "none").note.endswith("(validation none was asked for)")
    assert split_of(labelled_cases(10)).note == "8 cases of 8 people train, 2 of 2 validate (held out)"


@pytest.mark.parametrize("validation", ["0.2", "20%"])
def test_a_share_is_taken_out_of_whole_people(validation: str) -> None:
    found = split_of(labelled_cases(10, 3), validation)
    assert (len(found.training), len(found.validation)) == (24, 6)
    alone = split_of(labelled_cases(1, 3), validation)
    assert alone.note == "all 3 cases train, none validates (one person)"


@pytest.mark.parametrize("validation", ["some", "0", "1", "100%", "-0.1", "nan", "", "%"])
def test_what_is_not_understood(validation: str) -> None:
    with pytest.raises(
        ConfigError, match=r"`train.validation` .* is not understood; expected a .csv file of cases"
    ):
        split_of(labelled_cases(5), validation)


def write_csv(root: Path, cases: list[Case], columns: str = "image,label") -> Path:
    lines = [columns]
    for case in cases:
        for file in (*case.images, case.label):
            if file is not None and not file.exists():
                file.write_text(file.name)
        label = case.label.name if case.label else ""
        lines.append(",".join([case.images[0].name, label, case.group][: columns.count(",") + 1]))
    (root / "val.csv").write_text("\n".join(lines) + "\n")
    return root / "val.csv"


def test_a_csv_names_who_validates(tmp_path: Path) -> None:
    cases = labelled_cases(6, 2, tmp_path)
    table = write_csv(tmp_path, [cases[0], cases[4]])
    found = split_of(cases, str(table), labels=3)
    assert [case.id for case in found.validation] == ["p00_0", "p02_0"]
    assert len(found.training) == 3 and not {c.group for c in found.training} & {"p00", "p02"}
    everyone = split_of(cases, str(table))
    assert {case.group for case in everyone.training} == {"p01", "p03", "p04", "p05"}
    assert everyone.note == "8 cases of 4 people train, 2 of 2 validate (named in val.csv)"


@pytest.mark.parametrize("columns", ["image,label", "image,label,group"])
def test_a_person_known_by_pattern_or_column_does_not_train_by_other_files(
    tmp_path: Path, columns: str
) -> None:
    """The validation files are new; only the person is known to the training set."""
    cases = labelled_cases(4, 2, tmp_path)
    new = Case("p01_9", "p01", (tmp_path / "p01_9.png",), tmp_path / "p01_9_label.png")
    table = write_csv(tmp_path, [new], columns)
    pattern = None if "group" in columns else r"(p\d+)_"
    found = split_of(cases, str(table), group_regex=pattern)
    assert {case.group for case in found.validation} == {"p01"}
    assert {case.group for case in found.training} == {"p00", "p02", "p03"}


def test_errors_of_a_csv(tmp_path: Path) -> None:
    cases = labelled_cases(2, 1, tmp_path)
    with pytest.raises(DataError, match=r"none.csv: file not found; expected a CSV with columns image,label"):
        split_of(cases, str(tmp_path / "none.csv"))
    bare = Case("p00_0", "p00", cases[0].images, None)
    with pytest.raises(
        DataError, match=r"val.csv: the row of .*p00_0.png names no label; validation needs one"
    ):
        split_of(cases, str(write_csv(tmp_path, [bare])))
    with pytest.raises(
        ConfigError, match=r"val.csv: its people are all the labelled ones; leave some to train"
    ):
        split_of(cases, str(write_csv(tmp_path, cases)))
    with pytest.raises(ConfigError, match="`labels` 2: 1 labelled cases are there; expected 1 to 1"):
        split_of(cases, str(write_csv(tmp_path, cases[:1])), labels=2)


def test_a_copy_of_a_validation_image_keeps_its_person_out_of_training(tmp_path: Path) -> None:
    cases = labelled_cases(4, 2, tmp_path)
    write_csv(tmp_path, cases)
    new = Case("new", "new", (tmp_path / "new.png",), tmp_path / "new_label.png")
    new.images[0].write_bytes(cases[3].images[0].read_bytes())  # p01_1
    found = split_of(cases, str(write_csv(tmp_path, [new])))
    assert {case.group for case in found.training} == {"p00", "p02", "p03"}
    assert found.note == (
        "6 cases of 3 people train, 1 of 1 validate (named in val.csv); p01_1 in the training data has the "
        "image of a validation case, so its person does not train"
    )
    everyone = [case for case in cases if case.group == "p01"]
    with pytest.raises(
        ConfigError, match=r"val.csv: its people are all the labelled ones; leave some to train"
    ):
        split_of(everyone, str(tmp_path / "val.csv"))


def write_pictures(root: Path, masks: list[np.ndarray]) -> Path:
    """Images i0, i1, ... of noise, each with its mask."""
    noise = np.random.default_rng(0)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number, mask in enumerate(masks):
        image = noise.integers(0, 255, mask.shape).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"i{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"i{number}.png")
    return root


def disc_mask(*values: int) -> np.ndarray:
    mask = np.zeros((32, 32), np.uint8)
    for row, value in enumerate(values):
        mask[8 + 4 * row : 12 + 4 * row, 8:24] = value
    return mask


def test_labels_that_are_not_drawn_are_not_read(tmp_path: Path) -> None:
    dataset = find_dataset(write_pictures(tmp_path, [disc_mask(1)] * 6))
    config = Config.model_validate({"labels": 2, "train": {"validation": "none"}})
    drawn = {case.label for case in survey(dataset, config).split.training}
    broken = [case.label for case in dataset.cases if case.label and case.label not in drawn]
    for path in broken:
        path.write_bytes(b"broken")
    assert len(broken) == 4
    assert survey(dataset, config).table.values == (0, 1)
    with pytest.raises(DataError, match=r"i\d.png"):
        survey(dataset, Config.model_validate({"train": {"validation": "none"}}))


def test_a_class_of_the_validation_cases_alone_is_a_class(tmp_path: Path) -> None:
    dataset = find_dataset(write_pictures(tmp_path / "data", [disc_mask(1)] * 3))
    write_pictures(tmp_path / "more", [disc_mask(1, 2)])
    table = tmp_path / "more" / "val.csv"
    table.write_text("image,label,group\nimages/i0.png,masks/i0.png,other\n")
    # Noise of one seed: without other pixels this would be the image of a training case.
    Image.fromarray(np.full((32, 32), 9, np.uint8)).save(tmp_path / "more" / "images" / "i0.png")
    seen = survey(dataset, Config.model_validate({"train": {"validation": str(table)}}))
    assert (seen.table.values, seen.plan.label_values) == ((0, 1, 2), (0, 1, 2))
    assert seen.fingerprint.class_voxels[2] == 0


def test_validation_cases_that_hold_no_label_are_no_validation(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", [disc_mask(1)] * 4 + [disc_mask()] * 2)
    table = tmp_path / "val.csv"

    def seen(*numbers: int) -> Split:
        rows = "".join(f"{data}/images/i{n}.png,{data}/masks/i{n}.png\n" for n in numbers)
        table.write_text(f"image,label\n{rows}")
        options = {"train": {"validation": str(table)}}
        return survey(find_dataset(data), Config.model_validate(options)).split

    found = seen(4, 5)
    assert (len(found.training), found.validation, len(found.unused)) == (4, (), 2)
    assert found.note == (
        "4 cases train, none validates: there is only background in 2 validation cases "
        "(i4, i5); name others with `train.validation`"
    )
    assert [case.id for case in seen(3, 4).validation] == ["i3", "i4"]
    assert (found.level, seen(3, 4).level) == (Level.WARNING, Level.INFO)


def test_a_dice_floor_without_a_validation_case_that_holds_a_label_is_refused(tmp_path: Path) -> None:
    data = find_dataset(write_pictures(tmp_path / "data", [disc_mask(1)] * 2 + [disc_mask()]))
    table = tmp_path / "val.csv"
    table.write_text(f"image,label\n{tmp_path}/data/images/i2.png,{tmp_path}/data/masks/i2.png\n")
    config = Config().merged({"prune": {"target": "dice:0.8"}, "train": {"validation": str(table)}})
    with pytest.raises(ConfigError, match="needs validation cases that hold a label"):
        settle(config, survey(data, config), Reporters([]))
