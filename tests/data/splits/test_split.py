"""Laws of drawing and splitting: groups stay together, seeds decide, order does not."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection
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
from stampseg.data.splits.balance import Holds
from stampseg.data.splits.draw import draw_cases, hold_out
from stampseg.data.splits.split import AUTO_CASES, AUTO_MOST, Split, split_cases
from stampseg.run.rare_labels import rare_labels
from stampseg.run.reporters import Reporters
from stampseg.run.survey import survey
from stampseg.run.task import options_for


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


FEW = "; a Dice of so few people says little"


def labelled_cases(people: int, each: int = 1, root: Path = Path("data")) -> list[Case]:
    return [
        Case(f"p{p:02d}_{k}", f"p{p:02d}", (root / f"p{p:02d}_{k}.png",), root / f"p{p:02d}_{k}_label.png")
        for p in range(people)
        for k in range(each)
    ]


def split_of(
    cases: list[Case],
    validation: str = "auto",
    holds: Holds | None = None,
    known: Collection[str] = (),
    **options: Any,
) -> Split:
    config = Config.model_validate({**options, "train": {"validation": validation}})
    found = split_cases(cases, config, holds, known)
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
    by_person = {"auto": max(1, round(0.2 * people)) * each, "none": 0}
    assert len(found.validation) == by_person.get(validation, max(1, round(0.3 * labels)))


def test_labels_that_take_every_person_leave_nobody_to_validate() -> None:
    cases = labelled_cases(4, 5)
    found = split_of(cases, labels=20)
    assert (len(found.training), found.validation) == (20, ())
    assert found.note == "20 cases train, none validates (no other person is labelled)"
    with pytest.raises(
        ConfigError, match=r"`train.validation` 0.3: the 4 training cases of `labels` come from all 4 "
    ):
        split_of(cases, "0.3", labels=4)


def test_labels_that_leave_nobody_are_warned_of_where_others_would_have_validated() -> None:
    """Five people: the default has one of them validate; of four nobody would have."""
    five = split_of(labelled_cases(5), labels=5)
    assert five.level == Level.WARNING and five.note == (
        "5 cases train, none validates: `labels` 5 takes all 5 labelled people, of whom a fifth validate "
        "where it is left out; lower it, or name other cases with `train.validation`"
    )
    four = split_of(labelled_cases(4), labels=4)
    assert four.level == Level.INFO and four.note.endswith("none validates (no other person is labelled)")
    assert split_of(labelled_cases(5), "none", labels=5).level == Level.INFO


@pytest.mark.parametrize(("people", "training"), [(1, 1), (4, 4), (5, 4), (10, 8), (50, 40), (200, 180)])
def test_auto_is_a_fifth_and_at_most_twenty(people: int, training: int) -> None:
    found = split_of(labelled_cases(people))
    assert (len(found.training), len(found.validation)) == (training, people - training)
    assert len(found.validation) <= AUTO_MOST


def test_auto_with_few_people_trains_on_all_and_says_so() -> None:
    found = split_of(labelled_cases(4, 5))
    assert found.note == "all 20 cases train, none validates (auto asks for 5 labelled people; found 4)"
    assert split_of(labelled_cases(9), "none").note.endswith("(validation none was asked for)")
    assert split_of(labelled_cases(10)).note == "8 cases of 8 people train, 2 of 2 validate (held out)" + FEW


@pytest.mark.parametrize(("people", "each", "held"), [(10, 100, 2), (50, 20, 10), (200, 3, 20)])
def test_slices_of_many_people_validate_and_of_each_as_many(people: int, each: int, held: int) -> None:
    """A fifth of the people, at most 20; not the first 20 slices, which are one person's."""
    found = split_of(labelled_cases(people, each))
    by_person = defaultdict(int)
    for case in found.validation:
        by_person[case.group] += 1
    assert len(by_person) == held and len(found.validation) == AUTO_CASES
    unused = held * each - AUTO_CASES
    assert f"; {unused} more cases of those who validate not used, to save time" in found.note
    assert max(by_person.values()) - min(by_person.values()) <= 1
    assert len(found.training) == (people - held) * each


def test_labelled_cases_that_lie_unused_validate() -> None:
    """A fifth of the people that are there, not of the ten that train."""
    found = split_of(labelled_cases(100), labels=10)
    assert (len(found.training), len(found.validation)) == (10, 20)
    assert found.note == (
        "10 cases of 10 people train, 20 of 20 validate (drawn from the other people); 70 labelled cases "
        "not used: `labels` is 10"
    )
    slices = split_of(labelled_cases(15, 30), labels=10)
    assert len({case.group for case in slices.validation}) == 3 and len(slices.validation) == AUTO_CASES


@pytest.mark.parametrize("people", [5, 19, 20])
def test_a_dice_of_few_people_is_called_so(people: int) -> None:
    assert split_of(labelled_cases(people)).note.endswith(FEW) == (people < 18)


# Labels 1, 2, 3 of some people: of a person alone, of two, of most.
holdings = st.lists(st.sets(st.integers(1, 4), max_size=4), min_size=5, max_size=14)


@settings(max_examples=60, deadline=None)
@given(holdings, seeds, st.sampled_from(["auto", "0.3"]))
def test_what_is_learnt_is_measured(held: list[set[int]], seed: int, validation: str) -> None:
    """Every label of one person trains; every label of two is on both sides, if an exchange can do it."""
    cases = labelled_cases(len(held), 2)

    def holds(case: Case) -> set[int]:
        return held[int(case.group[1:])] if case.id.endswith("0") else set()

    found = split_of(cases, validation, holds, seed=seed)
    trained = set().union(*map(holds, found.training))
    measured = set().union(*map(holds, found.validation))
    everything = set().union(*held)
    assert trained == everything
    several = {value for value in everything if sum(value in values for values in held) > 1}
    plain = split_of(cases, validation, seed=seed)
    before = set().union(*map(holds, plain.validation)) & several
    assert len(measured & several) >= len(before) or set().union(*map(holds, plain.training)) < everything
    if len(everything) == 1:
        assert measured >= several


def test_a_label_of_few_people_is_on_both_sides() -> None:
    """Label 7 is in two of thirty people: one of them trains, one validates, whatever the seed."""
    cases = labelled_cases(30)
    rare = {"p04", "p21"}
    for seed in range(6):
        found = split_of(cases, holds=lambda case: {1, 7} if case.group in rare else {1}, seed=seed)
        assert len(rare & {case.group for case in found.validation}) == 1
        assert len(found.validation) == 6


def test_whoever_lies_unused_and_holds_the_label_validates() -> None:
    cases = labelled_cases(60)
    training = {case.group for case in split_of(cases, labels=10).training}
    trained, *others = [sorted(training)[0], *sorted({case.group for case in cases} - training)]
    for holder in others[::9]:
        found = split_of(
            cases, labels=10, holds=lambda case, who=holder: {7} if case.group in (trained, who) else {1}
        )
        said = holder in {case.group for case in found.validation}
        assert said or others.index(holder) > 20
        assert len(found.validation) == 12


def test_a_label_that_cannot_be_read_of_someone_unused_is_passed_over() -> None:
    cases = labelled_cases(60)
    training = {case.group for case in split_of(cases, labels=10).training}
    drawn = {case.group for case in split_of(cases, labels=10).validation}

    def holds(case: Case) -> set[int]:
        if case.group not in training | drawn:
            raise DataError("broken")
        return {7} if case.group in training else {1}

    assert {case.group for case in split_of(cases, labels=10, holds=holds).validation} == drawn


@pytest.mark.parametrize("validation", ["auto", "0.4"])
def test_people_whom_the_network_knows_do_not_validate(validation: str) -> None:
    cases = labelled_cases(12, 2)
    known = {f"p{person:02d}" for person in range(8)}
    for seed in range(4):
        for labels in (None, 3):
            found = split_of(cases, validation, known=known, labels=labels, seed=seed)
            assert found.validation and not known & {case.group for case in found.validation}
    one = split_of(cases, validation, known={case.group for case in cases[:-1]} - {"p11"})
    assert {case.group for case in one.validation} == {"p11"} and len(one.training) == 22


def test_nobody_is_left_whom_the_network_does_not_know() -> None:
    cases = labelled_cases(6)
    known = {case.group for case in cases}
    found = split_of(cases, known=known)
    assert found.level == Level.WARNING and found.note == (
        "all 6 cases train, none validates (the network that is trained on has learnt from the others "
        "already); name other cases with `train.validation`"
    )
    assert split_of(cases, known=known, labels=2).note.endswith("has learnt from the others already)")


def test_a_csv_of_known_people_is_warned_of(tmp_path: Path) -> None:
    cases = labelled_cases(6, 1, tmp_path)
    table = str(write_csv(tmp_path, cases[:2]))
    found = split_of(cases, table, known={"p00_0"}, group_regex=".*")
    assert found.level == Level.WARNING and found.note.endswith(
        "learnt from the others already: their Dice is too good"
    )
    assert split_of(cases, table, known={"p05_0"}, group_regex=".*").level == Level.INFO


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
    assert everyone.note == "8 cases of 4 people train, 2 of 2 validate (named in val.csv)" + FEW


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
        "6 cases of 3 people train, 1 of 1 validate (named in val.csv)"
        + FEW
        + "; p01_1 in the training data has the "
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


def test_a_label_that_most_training_masks_lack_is_said(tmp_path: Path) -> None:
    data = find_dataset(write_pictures(tmp_path, [disc_mask(1)] * 4 + [disc_mask(1, 2)] * 2))
    config = Config.model_validate({"train": {"validation": "none"}})
    seen = survey(data, config)
    assert seen.fingerprint.class_cases == (6, 6, 2)
    ((said, level),) = rare_labels(seen, config)
    assert said.startswith("label label_2 is in 2 of 6 masks that train; right where the other scans do not")
    assert "`labels`" not in said and level is Level.WARNING  # two masks are too few to learn from


def test_a_draw_that_lacks_a_label_in_most_masks_says_how_to_draw_others(tmp_path: Path) -> None:
    data = find_dataset(write_pictures(tmp_path, [disc_mask(1)] * 4 + [disc_mask(1, 2)]))
    for seed in range(20):
        config = Config.model_validate({"labels": 3, "seed": seed, "train": {"validation": "none"}})
        seen = survey(data, config)
        if len(seen.table.values) == 3:
            break
    ((said, _),) = rare_labels(seen, config)
    assert said.startswith("label label_2 is in 1 of 3 masks that train")
    assert said.endswith("; or draw other cases with `seed`, or more with `labels`")


def test_a_label_that_no_training_mask_holds_is_warned_of(tmp_path: Path) -> None:
    """Those who validate hold it: the network learns that it is nowhere, and nothing else says so before."""
    data = write_pictures(tmp_path / "data", [disc_mask(1)] * 4 + [disc_mask(1, 2)] * 2)
    table = tmp_path / "val.csv"
    table.write_text(
        "image,label\n" + "".join(f"{data}/images/i{n}.png,{data}/masks/i{n}.png\n" for n in (4, 5))
    )
    config = Config.model_validate({"train": {"validation": str(table)}})
    ((said, level),) = rare_labels(survey(find_dataset(data), config), config)
    assert said.startswith("label label_2 is in none of 4 masks that train; the network learns that it is")
    assert level is Level.WARNING


def test_options_that_ask_for_validation_say_that_there_is_none(tmp_path: Path) -> None:
    data = find_dataset(write_pictures(tmp_path, [disc_mask(1)] * 3))
    options = {"prune": {"choose": "smallest"}, "train": {"validation": "none", "patience": 2}}
    config, said, notes = Config.model_validate(options), Reporters([]), list[tuple[str, Level]]()
    said.note = lambda text, level=Level.INFO: notes.append((text, level))  # type: ignore[method-assign]
    options_for(config, survey(data, config), said)
    assert [each for each in notes if each[1] is Level.WARNING] == [
        (f"{what} goes by validation cases, of which there is none: it does nothing", Level.WARNING)
        for what in ("`train.patience` 2", "`prune.choose` smallest")
    ]


def test_more_labels_than_those_not_kept_aside_are_refused_with_the_reason(tmp_path: Path) -> None:
    data = find_dataset(write_pictures(tmp_path, [disc_mask(1)] * 3))
    config = Config.model_validate({"labels": 3, "train": {"test": "34%"}})
    said = (
        "`labels` 3: 2 labelled cases are left to draw from, as `train.test` keeps 1 aside; expected 1 to 2"
    )
    with pytest.raises(ConfigError, match=said):
        survey(data, config)


def test_a_dice_floor_without_a_validation_case_that_holds_a_label_is_refused(tmp_path: Path) -> None:
    data = find_dataset(write_pictures(tmp_path / "data", [disc_mask(1)] * 2 + [disc_mask()]))
    table = tmp_path / "val.csv"
    table.write_text(f"image,label\n{tmp_path}/data/images/i2.png,{tmp_path}/data/masks/i2.png\n")
    config = Config().merged({"prune": {"target": "dice:0.8"}, "train": {"validation": str(table)}})
    with pytest.raises(ConfigError, match="needs validation cases that hold a label"):
        options_for(config, survey(data, config), Reporters([]))
