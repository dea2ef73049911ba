"""`stampseg compare` of what `evaluate` wrote of two predictions, made by whatever programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import call

CASES = [f"p{index // 2}-{index % 2}" for index in range(8)]


def square(size: int, value: int = 1, more: int = 0) -> np.ndarray:
    """A square of a label, and a bar of the next one."""
    found = np.zeros((32, 32), np.uint8)
    found[4 : 4 + size, 4:20] = value
    found[26 : 28 + more, 4:20] = value + 1
    return found


def write(folder: Path, masks: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for name, mask in masks.items():
        Image.fromarray(mask).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels, and the masks of a good and of a poor network."""
    place = tmp_path_factory.mktemp("masks")
    write(place / "labels", {name: square(16) for name in CASES})
    write(place / "good", {name: square(15 - index % 2) for index, name in enumerate(CASES)})
    write(place / "poor", {name: square(9 + index % 3) for index, name in enumerate(CASES)})
    return place


def measured(folders: Path, name: str, *words: object, to: Path, suffix: str = "csv") -> Path:
    path = to / f"{name}.{suffix}"
    call("evaluate", folders / name, folders / "labels", "-o", path, *words)
    return path


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_masks_are_paired_over_people(folders: Path, tmp_path: Path, suffix: str) -> None:
    who = ("--group-regex", r"(p\d)")
    files = [measured(folders, name, *who, to=tmp_path, suffix=suffix) for name in ("good", "poor")]
    said = call("compare", *files, "-o", tmp_path / "out" / "found.html").output
    assert said.startswith("Two predictions are compared: what is said is about these masks. good is better")
    assert (
        "good is better than poor on people like these, as far as these two networks go, by the Dice" in said
    )
    assert "\ngood: Dice 0." in said and "counts as a person" not in said
    assert "nobody says here whom the networks have learnt from" in said
    each = json.loads((tmp_path / "out" / "found.json").read_text())["differences"][0]
    table = [list(csv.DictReader(path.open(newline=""))) for path in files] if suffix == "csv" else []
    for person, difference in each["draws"]["these masks"].items():
        assert person in {"p0", "p1", "p2", "p3"}
        if table:  # the slow way: labels, then the person's cases, then the difference
            own = [
                np.mean([float(row["dice"]) for row in side if row["person"] == person and row["value"]])
                for side in table
            ]
            assert difference == pytest.approx(own[0] - own[1])
    assert each["people_given_runs"]["low"] > 0


def test_of_a_run_the_people_kept_aside_are_compared_as_well(folders: Path, tmp_path: Path) -> None:
    """test/cases.csv of a run has the same columns; of files of one name a folder tells them apart."""
    files = [tmp_path / f"{name}-run" / "test" / "cases.csv" for name in ("good", "poor")]
    for name, file in zip(("good", "poor"), files, strict=True):
        file.parent.mkdir(parents=True)
        measured(folders, name, to=tmp_path).rename(file)
    said = call("compare", *files, "-o", tmp_path / "found.md").output
    assert "good-run: Dice" in said
    assert "nobody said who is who, so that each case counts as a person of its own" in said
    assert "say who is who when `stampseg evaluate` measures" in said
    files = [measured(folders, name, "--group-regex", "(.+)", to=tmp_path / "k") for name in ("good", "poor")]
    assert "nobody said" not in call("compare", *files, "-o", tmp_path / "k.md").output


def test_what_only_one_has_is_left_out_and_told(folders: Path, tmp_path: Path) -> None:
    """A case without a mask, and a label that the other calls otherwise."""
    few = write(tmp_path / "few", {name: square(15) for name in CASES[1:]})
    first, second = measured(folders, "good", to=tmp_path), tmp_path / "few.csv"
    call("evaluate", few, folders / "labels", "-o", second)
    said = call("compare", first, second, "-o", tmp_path / "found.md").output
    assert "2 cases and labels of good.csv left out, as only one of the two has a Dice there" in said
    assert f"{CASES[0]} (label_1), {CASES[0]} (label_2)" in said
    call("evaluate", few, folders / "labels", "-o", tmp_path / "called.csv", "--names", "1=liver,2=tumour")
    said = " ".join(
        call("compare", first, tmp_path / "called.csv", "-o", tmp_path / "b.md", code=3).stderr.split()
    )
    assert "no case and label has a Dice in both" in said
    assert (
        "labels label_1, label_2 against liver, tumour" in said
        and "measure both with the same labels, of the same names" in said
    )
    assert not (tmp_path / "b.md").exists()


def test_other_references_are_told(folders: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "others", {name: square(12) for name in CASES})
    first, second = measured(folders, "good", to=tmp_path), tmp_path / "second.csv"
    call("evaluate", folders / "poor", other, "-o", second)
    said = call("compare", first, second, "-o", tmp_path / "found.md").output
    assert "8 references are not as large in one file as in the other" in said
    assert "the two were measured against other labels" in said


def test_people_who_differ_are_refused(folders: Path, tmp_path: Path) -> None:
    first = measured(folders, "good", "--group-regex", r"(p\d)", to=tmp_path)
    second = measured(folders, "poor", "--group-regex", r"p\d-(\d)", to=tmp_path)
    said = " ".join(call("compare", first, second, "-o", tmp_path / "found.md", code=3).stderr.split())
    assert "is of p" in said and "say the same when `stampseg evaluate` measures both" in said


HEAD = "case,label,dice,hd95,predicted_volume,reference_volume"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("case,label,dice\na,1,0.5\n", "has no hd95, predicted_volume, reference_volume; expected a file"),
        (f"{HEAD}\n", "has no case; expected a file"),
        (f"{HEAD}\na,1,1.5,2,3,3\n", "row 1 (a, 1): dice '1.5': expected a number, 0 to 1"),
        (f"{HEAD}\na,1,.5,x,3,3\n", "hd95 'x': expected a number, 0 or more"),
        (f"{HEAD}\na,1,.5,inf,3,3\n", "hd95 'inf': expected a number, 0 or more"),
        (f"{HEAD}\na,1,.5,2,3,3\na,1,.5,2,3,3\n", "row 2 (a, 1): is there twice"),
        (f"{HEAD}\nscan,0,1,.5,2,3,3\n", "line 2 has not as many values as there are columns"),
        (f"{HEAD}\na,1,.5,2,3,3\nb,1,0.9", "line 3 has not as many values as there are columns"),
        (f"{HEAD},person\na,1,.5,2,3,3,p\nb,1,.5,2,3,3,\n", "row 2 has no person, and others have"),
    ],
)
def test_a_file_that_is_none_is_named(folders: Path, tmp_path: Path, text: str, said: str) -> None:
    first, bad = measured(folders, "good", to=tmp_path), tmp_path / "bad.csv"
    bad.write_text(text)
    shown = " ".join(call("compare", first, bad, "-o", tmp_path / "found.md", code=3).stderr.split())
    assert str(bad) in shown and said in shown
    assert not (tmp_path / "found.md").exists()


def test_what_does_not_go_together_is_refused(folders: Path, tmp_path: Path) -> None:
    first = measured(folders, "good", to=tmp_path)
    (tmp_path / "broken.json").write_text('{"rows": 3}')
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "a.csv").mkdir()
    for words, code, said in (
        ((first,), 3, "is one file of metrics; name a second one"),
        ((first, first), 3, "named twice"),
        ((first, tmp_path / "none.csv"), 3, "no such file; name a file that `stampseg evaluate` wrote"),
        ((first, folders), 3, "is no file of metrics; compare two of them"),
        ((first, tmp_path / "broken.json"), 3, "cannot be read (it holds no rows)"),
        ((first, tmp_path / "deep.json"), 3, "deep.json: cannot be read ("),
        ((first, tmp_path / "a.csv"), 3, "is a folder; name a file"),
        ((first, tmp_path / "other.csv", "--device", "cpu"), 2, "of use for two runs alone; masks are not"),
    ):
        shown = " ".join(call("compare", *words, "-o", tmp_path / "found.md", code=code).stderr.split())
        assert said in shown, shown


def test_what_is_compared_is_never_replaced(folders: Path, tmp_path: Path) -> None:
    files = [measured(folders, name, to=tmp_path) for name in ("good", "poor")]
    before = files[0].read_bytes()
    said = call("compare", *files, "-o", tmp_path / "good.html", "--overwrite", code=3).stderr
    assert f"{files[0]}: is what is compared, and would be replaced; choose another name with -o" in said
    assert files[0].read_bytes() == before and not (tmp_path / "good.html").exists()


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEAD, *rows, ""]), encoding="utf-8")
    return path


def test_false_positives_are_told_for_no_dice_tells_of_them(tmp_path: Path) -> None:
    cases = [f"c{number}" for number in range(12)]
    files = [
        table(
            tmp_path / f"{name}.csv",
            *(f"{case},liver,{dice + number / 100},2,9,9" for number, case in enumerate(cases)),
            *(f"n{number},liver,,,{volume},0" for number in range(5)),
        )
        for name, dice, volume in (("greedy", 0.8, 900), ("careful", 0.7, 0))
    ]
    said = call("compare", *files, "-o", tmp_path / "found.md").output
    assert (
        "WARNING: of 5 cases and labels that the reference holds nothing of, something was predicted by "
        "greedy in 5 (4,500 in all) and careful in 0 (0 in all): no Dice here tells of these false positives"
    ) in said
    assert (
        "greedy or careful: which of these networks is better cannot be told" in said
    )  # no difference varies


def test_distances_are_over_the_same_cases(tmp_path: Path) -> None:
    """With an ignore label a mask may have a Dice and no surface."""
    first = table(tmp_path / "a.csv", *(f"c{n},liver,0.{n}5,{'' if n < 3 else 40},9,9" for n in range(5)))
    second = table(tmp_path / "b.csv", *(f"c{n},liver,0.{n}1,{60 if n < 3 else 41},9,9" for n in range(5)))
    call("compare", first, second, "-o", tmp_path / "found.md")
    methods = json.loads((tmp_path / "found.json").read_text())["methods"]
    assert [method["hd95_median"] for method in methods] == [40, 41]


def test_only_what_there_is_is_explained(folders: Path, tmp_path: Path) -> None:
    files = [measured(folders, name, to=tmp_path) for name in ("good", "poor")]
    call("compare", *files, "-o", tmp_path / "found.md")
    text = (tmp_path / "found.md").read_text()
    assert "given these runs" in text and "Holm" not in text and "sign-flip" not in text
