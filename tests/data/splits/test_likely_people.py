"""Names that look as if several cases, folders or scans without labels were of one person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from stampseg.data.cases import Case, Dataset, find_dataset, match_group
from stampseg.data.splits.likely_people import doubtful_people, shared_patients, simplest, suggest_groups
from tests.data.dicom_files import slices, values


def dataset(labelled: Sequence[str], unlabelled: Sequence[str] = (), layout: str = "folders") -> Dataset:
    """Cases by their ids, each with its person where a colon is in front: `p1:f1`."""

    def cases(names: Sequence[str], label: Path | None) -> tuple[Case, ...]:
        parts = [(name.partition(":")[0], name.rpartition(":")[2]) for name in names]
        return tuple(Case(own, person, (Path(f"{own}.png"),), label) for person, own in parts)

    told = layout == "csv"
    return Dataset(
        Path(), layout, cases(labelled, Path("m.png")), cases(unlabelled, None), {}, (), (), people_told=told
    )


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (("_pre", "_post"), "phases or views"),
        (("_ED", "_ES"), "phases or views"),
        (("_CC", "_MLO"), "phases or views"),
        (("_LEFT_CC", "_RIGHT_MLO"), "left and right"),
        (("_OD", "_OS"), "left and right"),
        (("_2CH", "_4CH"), "phases or views"),
        ((" [x=0,y=0,w=512,h=512]", " [x=512,y=0,w=512,h=512]"), "tiles of an image"),
        (("_x0_y0", "_x0_y512"), "tiles of an image"),
        (("a", "b"), "a letter of a case"),
        (("_flip", "_rot90"), "augmented copies"),
        ((".rf.0a1b", ".rf.2c3d"), "augmented copies"),
        (("_v1", "_v2"), "time points"),
        (("-t0", "-t1"), "time points"),
    ],
)
def test_signs(ends: tuple[str, str], words: str) -> None:
    found = suggest_groups([f"ab{number}{end}" for number in range(3) for end in ends])
    assert found is not None and words in found[0] and len(found[2]) == 3


@pytest.mark.parametrize("ends", [("_L", "_R"), ("_03", "_04")])
def test_scans_without_labels_of_labelled_people(ends: tuple[str, str]) -> None:
    labelled, others = ([f"p{number}{end}" for number in range(4)] for end in ends)
    assert doubtful_people(dataset(labelled), given=False) == []
    (found,) = doubtful_people(dataset(labelled, others), given=False)
    assert "scans without labels that are learnt from may be of people who validate" in found.said
    assert "`group_regex` '^([^_]+)'" in found.remedy and {path.stem for path in found.files} == {
        *labelled,
        *others,
    }
    assert doubtful_people(dataset(labelled, others), given=True) == []


def test_scans_without_labels_of_other_people() -> None:
    others = [f"q{number}_{part}" for number in range(9) for part in (1, 2)]
    assert doubtful_people(dataset([f"p{number}" for number in range(4)], others), given=False) == []


def test_folders_of_several_visits_or_clips() -> None:
    cases = [f"case{person}_{clip}:f{n}" for person in range(4) for clip in (1, 2) for n in range(3)]
    (found,) = doubtful_people(dataset(cases, layout="cases"), given=False)
    assert "(case0_1, case0_2 as 'case0'; 4 such)" in found.said
    assert found.remedy == "if they are, a CSV with a group column says who is who"
    assert doubtful_people(dataset(cases, layout="csv"), given=False) == []
    assert (
        doubtful_people(dataset([f"p{n}:p{n}_{i}" for n in range(4) for i in (1, 2)], layout="cases"), False)
        == []
    )


def test_studies_of_one_patient(tmp_path: Path) -> None:
    """Folders are called by accession numbers, and the header says whose they are."""

    def found(patients: Sequence[str]) -> list[str]:
        for study, patient in enumerate(patients):
            for file in (tmp_path / f"{study}7").glob("*"):
                file.unlink()
            slices(tmp_path / f"{study}7", values(seed=study), PatientID=patient)
        cases = tuple(Case(f"{n}7", f"{n}7", (tmp_path / f"{n}7",), None) for n in range(len(patients)))
        return [one.said for one in shared_patients(Dataset(tmp_path, "cases", cases, (), {}, (), ()))]

    assert found(["A", "B", "C"]) == [] == found(["anonymous"] * 3) == found(["", "", "A"])
    (said,) = found(["A", "B", "A"])
    assert said.startswith("07 and 27 have one PatientID each (1 such), and count as two people")


@pytest.mark.parametrize(
    ("ids", "simple"),
    [
        (["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1", "sub-02_ses-2"], "^([^_]+)"),
        (["anna-IM-001", "anna-IM-002", "bert-IM-001", "bert-IM-007"], "^([^-]+)"),
        ([f"SC-N-{p}-IM-0001-{s:04}" for p in (1, 2) for s in (48, 59)], "^(.+?)-IM-"),
        (["a_1_left", "a_1_right", "b_1_left", "b_1_right"], "^(.+)_"),
        ([f"TCGA_CS_{p}_19960909_{s}" for p in range(4941, 4945) for s in (5, 13)], "^(.+)_"),
        (["Image_01L", "Image_01R", "Image_02L", "Image_02R"], "^(.+)[lrLR]$"),
    ],
)
def test_people_are_parted_by_a_pattern_that_can_be_read(ids: list[str], simple: str) -> None:
    found = suggest_groups(ids)
    assert found is not None and simplest(ids, found[1]) == simple


def test_numbered_slices_of_long_names() -> None:
    people = [f"TCGA_CS_{person}_19960909" for person in range(4941, 4945)]
    words, _, several = suggest_groups([f"{person}_{n}" for person in people for n in (5, 13, 21)])
    assert words == "numbered slices" and list(several) == people


def test_few_people_with_numbered_visits() -> None:
    ids = [f"GLI-{person:05d}-000" for person in range(20)] + ["GLI-00003-001", "GLI-00007-001"]
    found = suggest_groups(ids)
    assert found is not None and list(found[2]) == ["GLI-00003", "GLI-00007"]
    assert suggest_groups([*ids, "GLI-00003-003"]) is None  # a gap: the number may be a person's


def test_images_of_a_patient_by_name() -> None:
    ids = [
        f"patient{person:04d}_{view}_{phase}"
        for person in (1, 2)
        for view in ("2CH", "4CH")
        for phase in "ab"
    ]
    words, pattern, several = suggest_groups(ids) or ("", "", {})
    assert words == "several images" and list(several) == ["patient0001", "patient0002"]
    assert simplest(ids, pattern) == "^([^_]+)"


def test_a_pattern_stays_where_no_simple_one_parts_the_same() -> None:
    ids = ["a_left", "a_right", "b_left", "b_right", "c"]
    found = suggest_groups(ids)
    assert found is not None and simplest(ids, found[1]) == "^([^_]+)"
    names = ["a_x_left", "a_x_right", "a_y_left", "c"]
    assert simplest(names, found[1]) == found[1]
    assert [match_group(found[1], name) for name in names] == ["a_x", "a_x", "a_y", "c"]


@pytest.mark.parametrize(
    "ids",
    [
        ["case_001", "case_002", "case_003"],
        ["a", "b", "c"],
        ["p1_left", "p2_right", "p3_left"],
        [f"scan_2021-{month:02}-{day:02}" for month in range(1, 7) for day in (3, 14)],
        [f"set_{year}_a_{n:03}" for year in (2019, 2020, 2021) for n in range(9)],
    ],
)
def test_names_of_several_people(ids: list[str]) -> None:
    assert suggest_groups(ids) is None


def test_a_csv_with_a_person_for_each_case_says_that_they_are_several(tmp_path: Path) -> None:
    for name in ("a_left", "a_right", "b_left", "b_right"):
        for file in (name, f"{name}_m"):
            (tmp_path / f"{file}.png").write_text(file)
    rows = [f"{name}.png,{name}_m.png" for name in ("a_left", "a_right", "b_left", "b_right")]
    (tmp_path / "t.csv").write_text("\n".join(["image,label", *rows]))
    assert len(doubtful_people(find_dataset(tmp_path / "t.csv"), given=False)) == 1
    told = [f"{row},{number}" for number, row in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join(["image,label,group", *told]))
    assert doubtful_people(find_dataset(tmp_path / "t.csv"), given=False) == []
