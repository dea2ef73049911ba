"""CSVs of cases: several image columns are channels, several label columns are organs, others are told."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.config import Config
from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset, read_case_csv
from stampseg.data.inputs import find_inputs
from stampseg.data.io.readers import read_image
from stampseg.data.labels.organs import read_label_files
from stampseg.data.layouts.case_table import read_column
from stampseg.data.plan import Plan
from stampseg.data.splits.people import people_of_names
from stampseg.data.splits.record import read_splits
from stampseg.run.survey import survey
from stampseg.runtime.channels import inputs_of
from tests.cli.command import call
from tests.run.options import SMALL

TINY = (
    "--steps", "4", "--set", "prune.rounds=1", "--target", "50%", *SMALL,
    "--set", "train.augment=false", "--set", "prune.ready_dice=0", "--set",
    "train.missed_label=warn",
)  # fmt: skip


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Five pictures in two channels, of value 10 and 20 and more, with a mask of each of two organs."""
    for part in ("t1", "t2", "liver", "spleen"):
        (tmp_path / part).mkdir()
    rng = np.random.default_rng(0)
    for i in range(5):
        liver, spleen = np.zeros((2, 40, 48), np.uint8)
        liver[4:20, 6:20], spleen[24:36, 26:40] = 255, 1
        bright = (liver > 0) * 80 + spleen * 120
        for part, level in (("t1", 10), ("t2", 60)):
            array = (bright + level + rng.integers(0, 9, bright.shape)).astype(np.uint8)
            Image.fromarray(array).save(tmp_path / part / f"s{i}.png")
        Image.fromarray(liver).save(tmp_path / "liver" / f"s{i}.png")
        Image.fromarray(spleen).save(tmp_path / "spleen" / f"s{i}.png")
    return tmp_path


def table(folder: Path, header: str, row: str, name: str = "t.csv", count: int = 5) -> Path:
    """A CSV of the first cases; {} in the row is the case."""
    path = folder / name
    path.write_text("\n".join([header, *(row.replace("{}", f"s{i}.png") for i in range(count))]) + "\n")
    return path


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        ("image,image_2,label", "t1/{},t2/{},liver/{}", ()),
        ("label,image_2,Image", "liver/{},t2/{},t1/{}", ()),
        ("image_1,image_2,label", "t1/{},t2/{},liver/{}", ()),
        ("image:t1,image:t2,label", "t1/{},t2/{},liver/{}", ("t1", "t2")),
        ("Image:t2,label,image:t1", "t2/{},liver/{},t1/{}", ("t1", "t2")),
    ],
)
def test_image_columns_are_channels_in_the_order_of_their_names(
    scans: Path, header: str, row: str, names: tuple[str, ...]
) -> None:
    dataset = find_dataset(table(scans, header, row))
    assert dataset.channel_names == names and not dataset.warnings
    array = read_image(dataset.cases[0].images).array
    assert array.shape[0] == 2 and array[0].min() < 20 < array[1].min()
    assert [case.id for case in dataset.cases] == [f"s{i}" for i in range(5)]


def test_label_columns_are_organs_in_the_order_of_their_names(scans: Path) -> None:
    dataset = find_dataset(table(scans, "image,label:spleen,label:liver", "t1/{},spleen/{},liver/{}"))
    assert dataset.label_names == {1: "liver", 2: "spleen"}
    files = dataset.cases[0].label_files
    assert files == (scans / "liver" / "s0.png", scans / "spleen" / "s0.png")
    label = read_label_files(files).array
    assert (label == 1).sum() == 16 * 14 and (label == 2).sum() == 12 * 14
    plan = survey(dataset, Config()).plan
    assert (plan.label_values, plan.label_names) == ((0, 1, 2), ("background", "liver", "spleen"))


def test_folders_of_organs(scans: Path, tmp_path: Path) -> None:
    data = scans / "data"
    (data / "masks").mkdir(parents=True)
    (scans / "t1").rename(data / "images")
    for organ in ("liver", "spleen"):
        (scans / organ).rename(data / "masks" / organ)
    dataset = find_dataset(data)
    assert dataset.label_names == {1: "liver", 2: "spleen"} and len(dataset.cases) == 5
    run = tmp_path / "run"
    call("train", data, "-o", run, "--validation", "20%", "--test", "20%", *TINY)
    splits = read_splits(run)
    assert splits is not None and [name for name, _ in splits.training[0].organs] == ["liver", "spleen"]
    assert json.loads((run / "result.json").read_text())["test"]["labels"].keys() == {
        "liver",
        "spleen",
        "union",
    }
    assert "s0" in (run / "report.html").read_text()
    call("predict", run, data / "images", "-o", tmp_path / "out")
    found = json.loads(call("evaluate", tmp_path / "out", data / "masks", "--json").stdout)
    assert set(found["summary"]) == {"liver", "spleen", "union"}
    assert {row["reference_volume"] for row in found["rows"] if row["label"] == "liver"} == {16 * 14}
    (data / "masks" / "spleen" / "s3.png").unlink()
    with pytest.raises(DataError, match=r"s3.png: has a mask of liver, and none of spleen; expected one"):
        find_dataset(data)
    said = call("evaluate", tmp_path / "out", data / "masks").output
    assert "left out, without a mask of each organ: s3" in said


def test_rows_without_any_label_are_unlabelled(scans: Path) -> None:
    path = table(scans, "image,label:liver,label:spleen", "t1/{},liver/{},spleen/{}", count=3)
    path.write_text(path.read_text() + "t1/s3.png,,\n")
    dataset = find_dataset(path)
    assert [case.id for case in dataset.unlabelled] == ["s3"] and dataset.unlabelled[0].label_files is None


def test_columns_that_are_not_read_are_told_in_one_line(scans: Path) -> None:
    dataset = find_dataset(table(scans, "image,label,site,Age", "t1/{},liver/{},X,70"))
    assert dataset.warnings == (
        "t.csv: columns that are not read: site, age (read are image, label, group, and the one that "
        "`fold_column` names)",
    )
    dataset = find_dataset(table(scans, "image,label,Patient", "t1/{},liver/{},anna"))
    assert dataset.warnings[0].endswith(
        "(read are image, label, group, and the one that `fold_column` names); if patient says who is who, "
        "call it group"
    )


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (
            "image,image_3,label",
            "t1/{},t2/{},liver/{}",
            r"image, image_3; expected image,image_2,image_3",
        ),
        (
            "image,image:t2,label",
            "t1/{},t2/{},liver/{}",
            r"image, image:t2 contradict each other",
        ),
        (
            "image,label,label:spleen",
            "t1/{},liver/{},spleen/{}",
            r"label, label:spleen contradict each other",
        ),
        ("image:t1,image:t1,label", "t1/{},t2/{},liver/{}", r"the column image:t1 is there twice"),
        ("image,label,group,Group", "t1/{},liver/{},a,b", r"t\.csv: the column group is there twice"),
        (
            "image:t1,image:T1,label",
            "t1/{},t2/{},liver/{}",
            r"t\.csv: the columns image:t1 and image:T1 differ in upper and lower case alone; expected every",
        ),
        ("image,label:liver,label:Liver", "t1/{},liver/{},spleen/{}", r"label:liver and label:Liver differ"),
        (
            "image:t1,image:t2,label",
            "t1/{},t2/../t1/{},liver/{}",
            r"t2/\.\./t1/s0\.png is image:t1 and image:t2 of one row; expected a file of its own for each",
        ),
        (
            "image,label",
            "t1/{},t1/{}",
            r"t\.csv: in the row of t1/s0\.png the label is the image itself; expected the file of a mask",
        ),
        (
            "image,image_2,label:liver,label:spleen",
            "t1/{},t2/{},liver/{},t2/{}",
            r"in the row of t1/s0\.png the label:spleen is the image_2 itself",
        ),
        (
            "image,image_2,label",
            "t1/{},,liver/{}",
            r"no image_2 in the row of t1/s0.png; expected every",
        ),
        (
            "image,label:liver,label:spleen",
            "t1/{},liver/{},",
            r"no label:spleen in the row of t1/s0.png",
        ),
        (
            "image,label:liver,label:spleen",
            "t1/{},liver/{},nowhere/{}",
            r"5 of the 15 files it names are",
        ),
    ],
)
def test_tables_that_contradict_themselves_are_refused(scans: Path, header: str, row: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_case_csv(table(scans, header, row))


def test_a_table_in_a_folder_that_contradicts_itself_is_not_passed_over(scans: Path) -> None:
    (scans / "t1").rename(scans / "images")
    (scans / "liver").rename(scans / "masks")
    table(scans, "image,label,group,group", "images/{},masks/{},a,b")
    with pytest.raises(DataError, match=r"t\.csv: the column group is there twice"):
        find_dataset(scans)


@pytest.mark.parametrize("nobody", ["", "NA", "n/a", "nan", "NaN", "None", "null", "-", "?"])
def test_a_cell_that_names_nobody_is_as_an_empty_one(scans: Path, nobody: str) -> None:
    """People who are not known were one person, and those of some rows alone a large one."""
    path = table(scans, "image,label,group", f"t1/{{}},liver/{{}},{nobody}")
    assert [case.group for case in find_dataset(path).cases] == [f"s{i}" for i in range(5)]
    assert people_of_names(["s0", "s1"], None, path) == {"s0": "s0", "s1": "s1"}
    path.write_text(path.read_text() + "t2/s0.png,spleen/s0.png,anna\n")
    with pytest.raises(
        DataError, match=r"t\.csv: no group for s0; fill the column in every row or in none \(c"
    ):
        find_dataset(path)


def test_columns_of_people_and_folds_are_there_once(scans: Path) -> None:
    path = table(scans, "image,label,site,site", "t1/{},liver/{},x,y")
    assert find_dataset(path).warnings, "a column that is not read may be there twice"
    with pytest.raises(DataError, match=r"the column site is there twice"):
        read_column(path, "site")
    with pytest.raises(DataError, match=r"people\.csv: the column group is there twice"):
        people_of_names(["s0"], None, table(scans, "case,group,group", "{},a,b", "people.csv"))


def test_masks_that_overlap_or_hold_more_are_refused(scans: Path) -> None:
    files = tuple(scans / organ / "s0.png" for organ in ("liver", "spleen"))
    spleen = np.array(Image.open(files[1]))
    spleen[4:6, 6:8] = 1
    Image.fromarray(spleen).save(files[1])
    said = (
        r"spleen/s0.png: 4 of its 172 voxels in .*liver/s0.png as well, which has 224; expected every voxel "
        r"in one organ, or a small one wholly inside a larger one; correct one of them, or train them apart"
    )
    with pytest.raises(DataError, match=said):
        read_label_files(files)
    spleen[:] = np.arange(48) % 3
    Image.fromarray(spleen).save(files[1])
    with pytest.raises(DataError, match=r"spleen/s0.png: label values 0, 1, 2; expected 0 and one other"):
        read_label_files(files)
    Image.fromarray(spleen[:20]).save(files[1])
    with pytest.raises(DataError, match=r"spleen/s0.png"):
        read_label_files(files)


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("image:t2,image:flair,label", "t2/{},t1/{},liver/{}", r"channels flair, t2, those of .* are t1, t2"),
        ("image,image_2,label", "t1/{},t2/{},liver/{}", r"channels without names, those of .* are t1, t2"),
    ],
)
def test_two_tables_with_other_channels_do_not_go_together(
    scans: Path, header: str, row: str, said: str
) -> None:
    main = table(scans, "image:t1,image:t2,label", "t1/{},t2/{},liver/{}")
    other = table(scans, header, row, "v.csv", 1)
    with pytest.raises(DataError, match=said + "; expected the same columns for all that train"):
        survey(find_dataset(main), Config().merged({"train": {"validation": str(other)}}))


def test_two_tables_with_other_organs_do_not_go_together(scans: Path) -> None:
    main = table(scans, "image,label:liver,label:spleen", "t1/{},liver/{},spleen/{}")
    other = table(scans, "image,label:spleen", "t1/{},spleen/{}", "v.csv", 1)
    with pytest.raises(DataError, match=r"masks spleen, those of .* are liver, spleen"):
        survey(find_dataset(main), Config().merged({"train": {"validation": str(other)}}))


def unlabelled(data: Path, more: Path) -> list[list[str]]:
    """Image files of the scans without labels of `more`, as a run on `data` would take them."""
    seen = survey(find_dataset(data), Config(unlabelled=str(more), **{"train": {"validation": "none"}}))
    return [[path.parent.name for path in case.images] for case in seen.split.unlabelled]


@pytest.fixture
def halves(scans: Path) -> tuple[Path, str]:
    """A CSV of the first three cases, and rows for the others."""
    data = table(scans, "image:t1,image:t2,label", "t1/{},t2/{},liver/{}", count=3)
    return data, "{0}/s3.png,{1}/s3.png\n{0}/s4.png,{1}/s4.png"


@pytest.mark.parametrize("header", ["image:t1,image:t2", "image:t2,image:t1", "Image:T2,IMAGE:T1"])
def test_scans_without_labels_have_their_channels_by_name(halves: tuple[Path, str], header: str) -> None:
    """A CSV of other columns was taken in its own order; and one without labels was no CSV at all."""
    data, rows = halves
    more = data.with_name("more.csv")
    places = [name[-2:].lower() for name in header.split(",")]
    more.write_text(f"{header}\n{rows.format(*places)}\n")
    assert unlabelled(data, more) == [["t1", "t2"]] * 2


@pytest.mark.parametrize(
    ("header", "found"), [("image:t1,image:flair", "flair, t1"), ("image,image_2", "without names")]
)
def test_scans_without_labels_of_other_channels_are_refused(
    halves: tuple[Path, str], header: str, found: str
) -> None:
    data, rows = halves
    more = data.with_name("more.csv")
    more.write_text(f"{header},label\n" + rows.format("t1", "t2").replace("\n", ",gone.png\n") + ",\n")
    with pytest.raises(
        DataError, match=rf"more\.csv: channels {found}, those of .*s0\.png are t1, t2; expected"
    ):
        unlabelled(data, more)


def test_a_list_of_images_alone_needs_no_labels(scans: Path) -> None:
    data = table(scans, "image,label", "t1/{},liver/{}", count=3)
    more = scans / "more.csv"
    more.write_text("image\nt1/s3.png\nt1/s4.png\n")
    assert unlabelled(data, more) == [["t1"]] * 2
    more.write_text("picture\nt1/s3.png\n")
    with pytest.raises(DataError, match=r"more\.csv: expected a header line with the column image and"):
        unlabelled(data, more)


def test_channels_in_folders_of_their_own_are_predicted_by_a_csv(scans: Path, tmp_path: Path) -> None:
    rows = [f"t1/s{i}.png,t2/s{i}.png,liver/s{i}.png" for i in range(5)]
    (scans / "cases.csv").write_text("\n".join(["image:t1,image:t2,label", *rows]))
    call("train", scans / "cases.csv", "-o", tmp_path / "run", *TINY)
    (scans / "new.csv").write_text(
        "sep=;\r\nimage:t2;image:t1\r\nt2/s3.png;t1/s3.png\r\nt2/s0.png;t1/s0.png\r\n"
    )
    cases = find_inputs([scans / "new.csv"], 2)
    assert [(case.id, [path.parent.name for path in case.images]) for case in cases] == [
        ("s0", ["t1", "t2"]), ("s3", ["t1", "t2"]),
    ]  # fmt: skip
    call("predict", tmp_path / "run", scans / "new.csv", "-o", tmp_path / "masks")
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["s0.png", "s3.png"]
    assert read_image([tmp_path / "masks" / "s0.png"]).header.shape == (40, 48)
    (scans / "other.csv").write_text("image:t1,image:flair\nt1/s3.png,t2/s3.png\n")
    said = call("predict", tmp_path / "run", scans / "other.csv", "-o", tmp_path / "more", code=3).stderr
    assert "channels flair, t1, those of" in said and "are t1, t2; expected the same names in both" in said
    alone = tmp_path / "alone" / "model.safetensors"
    alone.parent.mkdir()
    shutil.copy(tmp_path / "run" / "model.safetensors", alone)  # it knows the names without its run
    call("predict", alone, scans / "new.csv", "-o", tmp_path / "again")
    for name in ("s0.png", "s3.png"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "masks" / name).read_bytes()
    assert "are t1, t2" in call("predict", alone, scans / "other.csv", "-o", tmp_path / "x", code=3).stderr
    said = call("predict", tmp_path / "run", scans / "gone.csv", "-o", tmp_path / "more", code=3).stderr
    assert "gone.csv: no such file or folder" in said


def test_named_channels_go_by_the_model_or_are_refused(scans: Path, tmp_path: Path) -> None:
    (scans / "new.csv").write_text("image:t1,image:t2\nt1/s3.png,t2/s3.png\n")
    plan = Plan(
        spatial_dims=2, in_channels=2, label_values=(0, 1), label_names=("background", "liver"),
        orientation=None, spacing=(1.0, 1.0), crop="none", patch_size=(16, 16), normalization="zscore",
        ct=None, strides=((2, 2),), channel_names=("T2", "T1"),
    )  # fmt: skip
    model = tmp_path / "model.safetensors"
    (case,) = inputs_of(model, [scans / "new.csv"], plan, print)
    assert [path.parent.name for path in case.images] == ["t2", "t1"]
    nameless = plan.model_copy(update={"channel_names": ()})
    with pytest.raises(
        DataError, match=r"channels are called t1, t2, and .*model\.safetensors does not say which"
    ):
        inputs_of(model, [scans / "new.csv"], nameless, print)
    (tmp_path / "fingerprint.json").write_text('{"channel_names": ["t2", "t1"]}')  # of a run of before
    (case,) = inputs_of(model, [scans / "new.csv"], nameless, print)
    assert [path.parent.name for path in case.images] == ["t2", "t1"]


def test_channels_that_are_named_and_not_there_are_told(scans: Path) -> None:
    (scans / "t1").rename(scans / "images")
    (scans / "liver").rename(scans / "labels")
    (scans / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "T2"}}))
    found = survey(find_dataset(scans), Config())
    (told,) = [text for text in found.fingerprint.warnings if "named" in text]
    assert told.startswith("2 channels are named (T1, T2), the images have 1; expected a name for each file")


def test_channels_without_a_name_are_told(scans: Path) -> None:
    (scans / "liver").rename(scans / "labelsTr")
    (scans / "imagesTr").mkdir()
    for number, part in enumerate(("t1", "t2", "t2")):
        for path in (scans / part).iterdir():
            shutil.copy(path, scans / "imagesTr" / f"{path.stem}_{number:04d}.png")
    (scans / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "liver": 255}})
    )
    found = survey(find_dataset(scans), Config())
    (told,) = [text for text in found.fingerprint.warnings if "named" in text]
    assert told.startswith("2 channels are named (T1, T2), the images have 3; expected a name for each file")


def test_a_person_is_one_however_the_name_is_composed(scans: Path) -> None:
    names = ["sä", unicodedata.normalize("NFD", "sä"), "b", "c", "d"]
    rows = [f"t1/s{i}.png,liver/s{i}.png,{name}" for i, name in enumerate(names)]
    (scans / "t.csv").write_text("\n".join(["image,label,group", *rows]), encoding="utf-8")
    assert len({case.group for case in read_case_csv(scans / "t.csv")}) == 4
    found = people_of_names([f"s{i}" for i in range(5)], None, scans / "t.csv")
    assert found["s0"] == found["s1"]
    assert len(set(people_of_names(names, "(.+)", None).values())) == 4


@pytest.mark.parametrize("first", ["sep=;\n", "sep=;\r\n", "SEP=; \r", "\ufeffsep=;\n"])
def test_the_line_that_excel_writes_first_is_no_header(first: str, scans: Path) -> None:
    (scans / "cases.csv").write_text(f"{first}image;label\nt1/s0.png;liver/s0.png\n", encoding="utf-8")
    (case,) = read_case_csv(scans / "cases.csv")
    assert (case.images, case.label) == ((scans / "t1" / "s0.png",), scans / "liver" / "s0.png")


def test_folders_of_people_are_not_taken_for_organs(scans: Path, tmp_path: Path) -> None:
    """An empty mask of every other person would teach that nothing is there."""
    data = tmp_path / "people"
    for number, image in enumerate(sorted((scans / "t1").glob("*.png"))[:3]):
        mask = scans / "liver" / image.name
        for place, file in ((data / "images", image), (data / "masks" / f"p{number}", mask)):
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    with pytest.raises(DataError, match=r"has one in one folder alone; if these are folders of people or"):
        find_dataset(data)


def test_a_row_of_more_cells_than_columns_is_refused(scans: Path) -> None:
    """`Smith, Ann` without quotes was `Smith`, as was every other of that name."""
    rows = [f't1/s{i}.png,liver/s{i}.png,"Smith, {name}"' for i, name in enumerate(("Ann", "Bob", "Cid"))]
    table = scans / "cases.csv"
    table.write_text("\n".join(["image,label,group", *rows, ""]))
    assert {case.group for case in find_dataset(table).cases} == {"Smith, Ann", "Smith, Bob", "Smith, Cid"}
    table.write_text("\n".join(["image,label,group", *rows[:1], rows[1].replace('"', ""), ""]))
    with pytest.raises(DataError) as caught:
        find_dataset(table)
    assert str(caught.value) == (
        f"{table}: line 3 has 4 cells (t1/s1.png, liver/s1.png, Smith, Bob), and the header names 3 columns; "
        "put a cell that holds a comma in quotes, or name the column"
    )
    with pytest.raises(DataError, match="line 3 has 4 cells"):  # the table counts, and what is wrong is said
        find_dataset(scans)
    table.write_text("sep=;\n" + table.read_text().replace(",", ";"))
    with pytest.raises(DataError, match=r"line 4 has 4 cells .* a cell that holds a semicolon in quotes"):
        find_dataset(table)
    table.write_text("\n".join(["image,label,group", *(f"{row},,," for row in rows), ""]))  # as Excel writes
    assert len(find_dataset(table).cases) == 3


def test_an_image_that_is_listed_twice_is_named_with_its_labels(scans: Path) -> None:
    table = scans / "cases.csv"
    table.write_text("image,label\nt1/s0.png,liver/s0.png\nt1/s0.png,spleen/s0.png\n")
    with pytest.raises(DataError, match=r"t1/s0\.png is listed 2 times, with other labels; .*keep one row"):
        find_dataset(table)
    table.write_text(
        "image,label:liver,label:spleen\nt1/s0.png,liver/s0.png,spleen/s0.png\n"
        "t1/s0.png,liver/s1.png,spleen/s0.png\n"
    )
    with pytest.raises(DataError, match=r"t1/s0\.png is listed 2 times, with other labels; .*keep one row"):
        find_dataset(table)
