"""People kept aside: whole, by seed, and nothing of theirs among what is learnt from or chosen by."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stampseg.core.config import Config
from stampseg.core.errors import ConfigError, DataError
from stampseg.core.level import Level
from stampseg.data.cases import Case, find_dataset
from stampseg.data.splits.aside import set_aside
from stampseg.data.splits.split import split_cases
from stampseg.run.survey import survey
from tests.data.scans import write_pictures


def cases_of(groups: list[int]) -> list[Case]:
    return [Case(f"c{n:02d}", f"g{g}", (Path(f"c{n:02d}.png"),), None) for n, g in enumerate(groups)]


def config_of(test: str, validation: str = "auto", **others: object) -> Config:
    return Config().merged({"train": {"test": test, "validation": validation}, **others})


def people(cases: tuple[Case, ...]) -> set[str]:
    return {case.group for case in cases}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=30), st.integers(0, 99), st.floats(0.05, 0.9))
def test_nobody_is_on_two_sides(groups: list[int], seed: int, share: float) -> None:
    cases = cases_of(groups)
    config = config_of(str(share), seed=seed)
    if len(set(groups)) < 2:
        with pytest.raises(ConfigError, match=r"nobody can be kept aside, as there is one labelled person"):
            set_aside(cases, config)
        return
    aside = set_aside(cases, config)
    assert aside.cases and aside.others
    assert not people(aside.cases) & people(aside.others)
    assert sorted((*aside.cases, *aside.others), key=lambda case: case.id) == cases
    assert set_aside(cases[::-1], config).cases == aside.cases
    split = split_cases(aside.others, config)
    assert not people(aside.cases) & (people(split.training) | people(split.validation))


def test_none_keeps_nobody_aside() -> None:
    aside = set_aside(cases_of([0, 1]), config_of("none"))
    assert (aside.cases, len(aside.others), aside.note) == ((), 2, "")


def test_the_same_people_whoever_trains_and_validates() -> None:
    cases = cases_of(list(range(20)))
    first = set_aside(cases, config_of("20%")).cases
    assert len(first) == 4
    assert set_aside(cases, config_of("0.2", "30%", labels=3)).cases == first


def test_people_that_a_network_knows_are_not_drawn() -> None:
    cases = cases_of([0, 1, 2, 3])
    for seed in range(8):
        assert people(set_aside(cases, config_of("25%", seed=seed), {"g0", "g1", "g2"}).cases) == {"g3"}
    with pytest.raises(ConfigError, match=r"25%: nobody .* as all validate, or have trained before"):
        set_aside(cases, config_of("25%"), {"g0", "g1", "g2", "g3"})


@pytest.mark.parametrize("test", ["none", "25%"])
def test_people_kept_aside_from_a_network_stay_so(test: str) -> None:
    cases = cases_of([0, 1, 2, 3, 0])
    for seed in range(4):
        aside = set_aside(cases, config_of(test, seed=seed), {"g2", "g3"}, {"g0"})
        assert people(aside.cases) == {"g0"} and people(aside.others) == {"g1", "g2", "g3"}
        assert aside.note.startswith(
            "2 cases of 1 person are kept aside (as from the network that is trained"
        )
    with pytest.raises(ConfigError, match="its people are all the labelled ones"):
        set_aside(cases[:1], config_of(test), (), {"g0"})


@pytest.mark.parametrize("text", ["1.5", "0", "auto", "half"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"`train.test` '{text}' is not understood; .* 20%, or none"):
        set_aside(cases_of([0, 1]), config_of(text))


def table(scans: Path, name: str, ids: list[str]) -> Path:
    """A CSV beside the data of these pictures, the person being the letters before the dash."""
    rows = [f"scans/images/{i}.png,scans/masks/{i}.png,{i.split('-')[0]}" for i in ids]
    path = scans.parent / name
    path.write_text("\n".join(["image,label,group", *rows]) + "\n")
    return path


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Six pictures of five people; e-0 is a copy of a-0 under another name."""
    folder = tmp_path / "scans"
    folder.mkdir()
    write_pictures(folder, ["a-0", "a-1", "b-0", "c-0", "d-0", "e-0"])
    for part in ("images", "masks"):
        shutil.copyfile(folder / part / "a-0.png", folder / part / "e-0.png")
    return folder


def test_a_csv_takes_its_people_out_and_their_copies(scans: Path) -> None:
    dataset = find_dataset(scans, group_regex="^(.)")
    named = table(scans, "test.csv", ["a-0"])
    config = config_of(str(named), group_regex="^(.)")
    aside = set_aside(dataset.cases, config)
    assert [case.id for case in aside.cases] == ["a-0"]
    assert [case.id for case in aside.others] == ["b-0", "c-0", "d-0"]
    assert aside.note.startswith("1 case is kept aside (named in test.csv), to be predicted once")
    assert aside.note.endswith("2 other cases of these people, or with a copy of their images, left out")
    warned = set_aside(dataset.cases, config, {"a"})
    assert warned.level is Level.WARNING and "their Dice is too good" in warned.note


def test_beside_a_csv_people_kept_aside_before_are_left_out(scans: Path) -> None:
    dataset = find_dataset(scans, group_regex="^(.)")
    config = config_of(str(table(scans, "test.csv", ["b-0"])), group_regex="^(.)")
    aside = set_aside(dataset.cases, config, (), {"c"})
    assert [case.id for case in aside.cases] == ["b-0"]
    assert "c-0" not in [case.id for case in aside.others] and len(aside.others) == 4
    assert aside.note.endswith("1 other case of these people, or with a copy of their images, left out")
    validating = config_of("none", str(table(scans, "v.csv", ["c-0"])), group_regex="^(.)")
    with pytest.raises(ConfigError, match=r"`train.validation` .*v.csv: c was kept aside"):
        set_aside(dataset.cases, validating, (), {"c"})


def test_a_csv_for_both_sides_is_refused(scans: Path) -> None:
    dataset = find_dataset(scans, group_regex="^(.)")
    both = table(scans, "both.csv", ["a-0", "b-0"]), table(scans, "other.csv", ["b-0"])
    with pytest.raises(ConfigError, match=r"both.csv: b validates as well \(`train.validation`\)"):
        set_aside(dataset.cases, config_of(str(both[0]), str(both[1]), group_regex="^(.)"))


def test_a_share_takes_nobody_who_validates_by_a_csv(scans: Path) -> None:
    dataset = find_dataset(scans, group_regex="^(.)")
    for seed in range(6):
        named = table(scans, "v.csv", ["b-0", "c-0"])
        drawn = set_aside(dataset.cases, config_of("30%", str(named), group_regex="^(.)", seed=seed)).cases
        assert not people(drawn) & {"b", "c"}


def test_a_row_without_label_and_a_csv_of_everybody_are_refused(scans: Path) -> None:
    dataset = find_dataset(scans, group_regex="^(.)")
    bare = scans / "bare.csv"
    bare.write_text("image,label\nimages/a-0.png,\n")
    with pytest.raises(DataError, match=r"bare.csv: the row of .*a-0.png names no label; what is predicted"):
        set_aside(dataset.cases, config_of(str(bare), group_regex="^(.)"))
    everybody = table(scans, "all.csv", ["a-0", "b-0", "c-0", "d-0"])
    with pytest.raises(ConfigError, match=r"`train.test`: its people are all the labelled ones"):
        set_aside(dataset.cases, config_of(str(everybody), group_regex="^(.)"))


def test_scans_without_labels_of_these_people_are_not_learnt_from(scans: Path) -> None:
    (scans / "masks" / "a-1.png").unlink()
    dataset = find_dataset(scans, group_regex="^(.)")
    named = table(scans, "test.csv", ["a-0"])
    split = survey(dataset, config_of(str(named), "none", group_regex="^(.)")).split
    assert [case.id for case in split.test] == ["a-0"]
    assert not split.unlabelled
    assert [case.id for case in split.training] == ["b-0", "c-0", "d-0"]


def table_of(folder: Path, who: list[str]) -> tuple[list[Path], list[Path]]:
    """A table of pictures of these people, the second without a label; its images and masks."""
    write_pictures(folder, [f"s{number}" for number in range(len(who))])
    images, masks = (sorted((folder / name).iterdir()) for name in ("images", "masks"))
    rows = [f"{image},{mask},{person}" for image, mask, person in zip(images, masks, who, strict=True)]
    rows[1] = f"{images[1]},,{who[1]}"
    (folder / "all.csv").write_text("\n".join(["image,label,group", *rows]))
    return images, masks


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("side", ["validation", "test"])
def test_who_is_named_without_a_person_is_whom_the_data_set_knows(
    side: str, copied: bool, tmp_path: Path
) -> None:
    """A table of images and labels alone: no other scan of these people is learnt from, labelled or not."""
    images, masks = table_of(tmp_path, ["p1", "p1", "p1", "p2", "p3", "p4", "p5"])
    named = [images[0], images[2]]
    if copied:
        named = [Path(shutil.copy(image, tmp_path / f"copy_{image.name}")) for image in named]
    rows = [f"{image},{mask}" for image, mask in zip(named, (masks[0], masks[2]), strict=True)]
    (tmp_path / "named.csv").write_text("\n".join(["image,label", *rows]))
    dataset = find_dataset(tmp_path / "all.csv")
    split = survey(dataset, Config().merged({"train": {side: str(tmp_path / "named.csv")}})).split
    apart = getattr(split, side)
    assert people(apart) == {"p1"} and len(apart) == 2
    assert "p1" not in people(split.training) | people(split.unlabelled)


def test_a_table_that_names_people_keeps_its_names_and_those_of_the_data_set_away(tmp_path: Path) -> None:
    images, masks = table_of(tmp_path, ["p1", "p1", "p2", "p3", "p4"])
    (tmp_path / "named.csv").write_text(f"image,label,group\n{images[0]},{masks[0]},Smith")
    dataset = find_dataset(tmp_path / "all.csv")
    split = survey(dataset, config_of("none", str(tmp_path / "named.csv"))).split
    assert people(split.validation) == {"Smith"}
    assert not {"p1", "Smith"} & (people(split.training) | people(split.unlabelled))


@pytest.mark.parametrize("side", ["validation", "test"])
def test_of_scans_that_the_data_set_has_not_the_name_tells_the_person_or_that_is_warned_of(
    side: str, tmp_path: Path
) -> None:
    images, masks = table_of(tmp_path, ["p1", "p1", "p2", "p3", "p4"])
    more = [tmp_path / "p2_t9.png", tmp_path / "p27.png"]
    for number, path in enumerate(more):
        array = np.asarray(Image.open(images[0])) // (2 + number)  # no copy
        Image.fromarray(array).save(path)
    (tmp_path / "named.csv").write_text(
        "\n".join(["image,label", *(f"{path},{mask}" for path, mask in zip(more, masks, strict=False))])
    )
    dataset = find_dataset(tmp_path / "all.csv")
    split = survey(dataset, Config().merged({"train": {side: str(tmp_path / "named.csv")}})).split
    assert people(getattr(split, side)) == {"p2", "p27"}  # p27 is not p2
    assert "p2" not in people(split.training)
    assert "p27 counted as a person each, as nothing says whose they are" in split.note
    assert split.level is Level.WARNING and "p2_t9" not in split.note


def test_scans_without_labels_of_who_validates_are_told_by_their_names(tmp_path: Path) -> None:
    """A folder that is named says of nobody who it is; `p1_t9` is p1, who validates."""
    images, masks = table_of(tmp_path, ["p1", "p1", "p2", "p3", "p4"])
    (tmp_path / "named.csv").write_text(f"image,label,group\n{images[0]},{masks[0]},p1")
    (tmp_path / "more").mkdir()
    for number, name in enumerate(("p1_t9", "p9_t1"), 2):
        array = np.asarray(Image.open(images[0])) // number  # no copy
        Image.fromarray(array).save(tmp_path / "more" / f"{name}.png")
    dataset = find_dataset(tmp_path / "all.csv")
    config = config_of("none", str(tmp_path / "named.csv"), unlabelled=str(tmp_path / "more"))
    assert [case.id for case in survey(dataset, config).split.unlabelled] == ["p9_t1"]
