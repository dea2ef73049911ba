"""Names that look as if several cases, folders or scans without labels were of one person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from stampseg.data.cases import Case, Dataset
from stampseg.doctor.people import find_patients, find_people, suggest_groups
from tests.data.dicom_files import slices, values


def dataset(labelled: Sequence[str], unlabelled: Sequence[str] = (), layout: str = "folders") -> Dataset:
    """Cases by their ids, each with its person where a colon is in front: `p1:f1`."""

    def cases(names: Sequence[str], label: Path | None) -> tuple[Case, ...]:
        parts = [(name.partition(":")[0], name.rpartition(":")[2]) for name in names]
        return tuple(Case(own, person, (Path(f"{own}.png"),), label) for person, own in parts)

    return Dataset(Path(), layout, cases(labelled, Path("m.png")), cases(unlabelled, None), {}, (), ())


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
    assert find_people(dataset(labelled), given=False) == []
    (found,) = find_people(dataset(labelled, others), given=False)
    assert "scans without labels that are learnt from may be of people who validate" in found.found
    assert "`group_regex` '^([^_]+)'" in found.fix and set(found.files) == {*labelled, *others}
    assert find_people(dataset(labelled, others), given=True) == []


def test_scans_without_labels_of_other_people() -> None:
    others = [f"q{number}_{part}" for number in range(9) for part in (1, 2)]
    assert find_people(dataset([f"p{number}" for number in range(4)], others), given=False) == []


def test_folders_of_several_visits_or_clips() -> None:
    cases = [f"case{person}_{clip}:f{n}" for person in range(4) for clip in (1, 2) for n in range(3)]
    (found,) = find_people(dataset(cases, layout="cases"), given=False)
    assert "(case0_1, case0_2 as 'case0'; 4 such)" in found.found
    assert found.fix == "if they are, a CSV with a group column says who is who"
    assert find_people(dataset(cases, layout="csv"), given=False) == []
    assert (
        find_people(dataset([f"p{n}:p{n}_{i}" for n in range(4) for i in (1, 2)], layout="cases"), False)
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
        return [one.found for one in find_patients(Dataset(tmp_path, "cases", cases, (), {}, (), ()))]

    assert found(["A", "B", "C"]) == [] == found(["anonymous"] * 3) == found(["", "", "A"])
    (said,) = found(["A", "B", "A"])
    assert said.startswith("07 and 27 have one PatientID each (1 such), and count as two people")
