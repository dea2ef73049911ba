"""What may be meant otherwise is learnt from, and said: a warning of `check` and of the run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.layouts.case_table import read_rows
from tests.data.layouts.trees import tree

PERSONS = "cases of a folder are taken as one person's"


def warnings(root: Path) -> str:
    return "\n".join(find_dataset(root).warnings)


@pytest.mark.parametrize(
    "names",
    [
        ("Center_A/{}/t1.nii", "Center_A/{}/seg.nii", "Center_B/{}/t1.nii", "Center_B/{}/seg.nii"),
        ("ct_train/ct_train_{}_image.nii", "ct_train/ct_train_{}_label.nii"),
        ("h1/images/{}.png", "h1/masks/{}.png", "h2/images/{}.png", "h2/masks/{}.png"),
    ],
)
def test_hospitals_and_parts_of_the_data_may_be_no_persons(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert PERSONS in warnings(tree(tmp_path, *names))


@pytest.mark.parametrize(
    "names",
    [
        ("p{}/v1/t1.nii", "p{}/v1/seg.nii", "p{}/v2/t1.nii", "p{}/v2/seg.nii"),
        ("p{}/images/1.png", "p{}/masks/1.png", "p{}/images/2.png", "p{}/masks/2.png"),
        tuple(f"{p}/slice_{{}}{end}.png" for p in ("patient1", "patient2") for end in ("", "_mask")),
        tuple(f"{p}/{kind}/{{}}.png" for p in ("p1", "p2") for kind in ("images", "masks")),
        ("p{0}/p{0}_1.png", "p{0}/p{0}_1_mask.png", "p{0}/p{0}_2.png", "p{0}/p{0}_2_mask.png"),
    ],
)
def test_visits_and_frames_are_of_persons(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert not warnings(tree(tmp_path, *names))


def test_labels_of_another_kind(tmp_path: Path) -> None:
    tree(tmp_path, "p{}/t1.nii", "p{}/lesion_seg.nii", "p9/t1.nii", "p9/brainmask.nii")
    assert "labels are called in 2 ways (lesion_seg: 4, brainmask: 1), which are" in warnings(tmp_path)


def test_derivatives_of_several_kinds(tmp_path: Path) -> None:
    for n in range(5):
        kind = "fmriprep/sub-{0}_desc-brain_mask.nii" if n > 2 else "man/sub-{0}_label-lesion_mask.nii"
        tree(tmp_path, f"sub-{n}/anat/sub-{n}_T1w.nii", f"derivatives/{kind.format(n)}")
    assert "(label-lesion_mask: 3, desc-brain_mask: 2), which are learnt as one kind" in warnings(tmp_path)


def test_contrasts_of_cases_of_one_image(tmp_path: Path) -> None:
    tree(tmp_path, "p{}/t1.nii", "p{}/seg.nii", "q{}/t2.nii", "q{}/seg.nii")
    assert "images are called in 2 ways (t1: 4, t2: 4)" in warnings(tmp_path)


def test_files_that_each_case_calls_otherwise_are_of_one_kind(tmp_path: Path) -> None:
    for name in "abcd":
        tree(tmp_path, f"{name}1/{name}x.nii", f"{name}1/{name}y_seg.nii")
    assert not warnings(tmp_path)


@pytest.mark.parametrize("other", ["labels_v2", "masks_corrected"])
@pytest.mark.parametrize("images", ["images/p{}.png", "imagesTr/p{}_0000.png"])
def test_another_folder_of_masks(tmp_path: Path, images: str, other: str) -> None:
    labels = "labelsTr" if images.startswith("imagesTr") else "labels"
    tree(tmp_path, images, f"{labels}/p{{}}.png", f"{other}/p{{}}.png", "labelsTs/q{}.png")
    assert warnings(tmp_path) == (
        f"{other} holds masks that are called as the labels of {labels} are, and is not read; name it with "
        "`masks` if it is meant"
    )
    assert not find_dataset(tmp_path, masks=Path(other), images=Path(images).parent).warnings


def test_labels_of_an_unusual_ending_beside_others(tmp_path: Path) -> None:
    tree(tmp_path, "images/p{}.nii", "labels/p{}.ai.nii")
    assert not warnings(tmp_path)
    (tmp_path / "labels" / "p1.ai.nii").rename(tmp_path / "labels" / "p1.nii")
    assert warnings(tmp_path) == "labels that do not end in .ai, as the others do (1): p1.nii"


def test_folders_that_are_not_read(tmp_path: Path) -> None:
    tree(tmp_path / "a", "images/p{}.png", "masks/p{}.png", "images/more/q{}.png")
    assert warnings(tmp_path / "a") == "folders in that of the images that are not read (1): more"
    tree(tmp_path / "b", "p{}/ct.nii", "p{}/seg.nii", "p1/later/ct.nii", "p1/later/seg.nii", "p1/raw/ct.nii")
    assert warnings(tmp_path / "b").endswith("not read, with images and labels (1): p1/later")


def test_an_older_copy_in_a_folder_beside_the_cases(tmp_path: Path) -> None:
    tree(tmp_path, "p{}/ct.nii", "p{}/seg.nii", "old/p{}/ct.nii", "old/p{}/seg.nii")
    assert "called as others that lie above them, learnt from as well (4): old_p1" in warnings(tmp_path)


def test_labels_of_no_image(tmp_path: Path) -> None:
    tree(tmp_path / "two", *(f"images/{n}/ct.nii" for n in range(1, 12)))
    tree(tmp_path / "two", *(f"labels/{n:02}/liver_{n}.nii" for n in range(1, 12)))
    assert "labels without an image (9): liver_1.nii" in warnings(tmp_path / "two")
    place = "sub-{0}/ses-1/anat/sub-{0}_ses-1"
    tree(tmp_path / "bids", place + "_T1w.nii", "derivatives/m/sub-{0}_label-x_mask.nii")
    for n in (1, 2):
        path = tmp_path / "bids" / "derivatives" / "m"
        (path / f"sub-{n}_label-x_mask.nii").rename(path / f"sub-{n}_ses-1_label-x_mask.nii")
    assert "labels without an image (2): sub-3_label-x_mask.nii" in warnings(tmp_path / "bids")


def test_lists_that_were_sorted_in_two_ways(tmp_path: Path) -> None:
    tree(tmp_path, "a/img_{}.png", "b/mask_{}.png")
    rows = [(f"a/img_{n}.png", f"b/mask_{m}.png") for n, m in ((1, 1), (2, 3), (3, 2), (4, 4))]
    (tmp_path / "data.csv").write_text("\n".join(map(",".join, [("image", "label"), *rows])))
    said = "labels that are called as another case's image, and not as their own (2): mask_3.png of img_2.png"
    assert said in warnings(tmp_path)
    (tmp_path / "data.csv").unlink()
    listed = [{"image": image, "label": label} for image, label in rows]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": listed}))
    assert said in warnings(tmp_path)


def test_persons_that_are_called_nearly_alike(tmp_path: Path) -> None:
    tree(tmp_path, "a/{}.png", "b/{}.png")
    table = tmp_path / "data.csv"
    rows = [f"a/{n}.png,b/{n}.png,{group}" for n, group in enumerate(("P1", "p1", "p01", "p2"), 1)]
    table.write_text("\n".join(("image,label,group", *rows)))
    assert "persons of their own that are called nearly alike (1): P1 and p1 and p01" in warnings(tmp_path)
    tree(
        tmp_path / "folders",
        *(f"{place}/{name}.nii" for place in ("train/P1", "test/01") for name in ("t1", "seg")),
    )
    tree(
        tmp_path / "folders",
        *(f"{place}/{name}.nii" for place in ("test/p1", "train/1") for name in ("t1", "seg")),
    )
    assert "called nearly alike (2): 01 and 1, P1 and p1" in warnings(tmp_path / "folders")


def test_a_csv_that_says_who_is_who_beside_folders(tmp_path: Path) -> None:
    tree(tmp_path, "images/{}.png", "masks/{}.png")
    (tmp_path / "who.csv").write_text("image,group\nimages/1.png,anna\n")
    (tmp_path / "ages.csv").write_text("image,age\nimages/1.png,3\n")
    assert warnings(tmp_path) == "not read, as it has no column label beside image and group (1): who.csv"


def test_scans_of_folders_that_may_be_persons(tmp_path: Path) -> None:
    names = [f"{n}/{kind}.nii" for n in range(5) for kind in ("ct", "seg")]
    tree(tmp_path / "a", *(f"p1/scan1{name}" for name in names), *(f"p2/scan2{name}" for name in names))
    said = "folders whose cases are taken as of a person each; if not, list who is who in a CSV (2): p1, p2"
    assert warnings(tmp_path / "a") == said
    tree(
        tmp_path / "b",
        *(f"subject1/scan1{name}" for name in names),
        *(f"subject2/scan2{name}" for name in names),
    )
    assert {case.group for case in find_dataset(tmp_path / "b").cases} == {"subject1", "subject2"}


def test_images_called_alike_in_parts_of_the_data(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{part}/p{{}}{end}.png" for part in ("train", "val") for end in ("", "_mask")))
    assert "called alike in several folders, and counted as a person each time (4): p1, p2" in warnings(
        tmp_path
    )


def test_modalities_in_folders(tmp_path: Path) -> None:
    tree(tmp_path, *(f"p{{}}/{kind}/{name}.nii" for kind in ("CT", "MR") for name in ("image", "label")))
    assert warnings(tmp_path).startswith("cases are called in 2 ways (ct: 4, mr: 4), which are learnt as one")


def test_tables_of_something_else_are_read_no_further_than_their_header(tmp_path: Path) -> None:
    """They may be large."""
    table = tmp_path / "features.csv"
    table.write_text(f"case,points\n1,{'x' * 200_000}\n")  # more than the csv module takes of a cell
    assert read_rows(table, lambda _: None) is None
    with pytest.raises(DataError, match="field larger than field limit"):
        read_rows(table, lambda names: names)


def numbered(root: Path, image: str, label: str, images: range, labels: range) -> Path:
    tree(root, *(f"images/{image.format(n)}.png" for n in images))
    return tree(root, *(f"masks/{label.format(n)}.png" for n in labels))


@pytest.mark.parametrize(("image", "label"), [("img_{}", "img_{}"), ("{}", "mask_{}"), ("a{}_0000", "a{}")])
@pytest.mark.parametrize("start", [0, 1])
def test_labels_numbered_from_another_number_on(image: str, label: str, start: int, tmp_path: Path) -> None:
    """Nine of ten were taken for the labels of their neighbours."""
    numbered(tmp_path, image, label, range(start, start + 10), range(1 - start, 11 - start))
    said = "each may be paired with the label of its neighbour"
    with pytest.raises(DataError, match=f"{said}; expected the same numbers; rename the labels, or list"):
        find_dataset(tmp_path)
    (tmp_path / "masks" / f"{label.format(10 - start)}.png").unlink()
    (told,) = [text for text in find_dataset(tmp_path).warnings if said in text]
    assert told.endswith("if the first label is that of the first image, rename them")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["s_20240101", "s_20240102", "s_20240103"], ["s_20240102", "s_20240103", "s_20240104"]),
        (["p_101", "p_205"], ["p_205", "p_309"]),
        (["p_1", "p_2"], ["p_2", "p_3"]),
    ],
)
def test_numbers_that_do_not_count_up_from_the_first_are_names(
    images: list[str], labels: list[str], tmp_path: Path
) -> None:
    tree(tmp_path, *(f"images/{stem}.png" for stem in images), *(f"masks/{stem}.png" for stem in labels))
    found = find_dataset(tmp_path)
    assert [case.id for case in found.cases] == sorted({*images} & {*labels})
    assert "neighbour" not in "\n".join(found.warnings)


@pytest.mark.parametrize(
    ("image", "label"),
    [("img_{:02}", "img_{}"), ("img_{}", "img_{:03}"), ("{:02}", "mask_{}"), ("im{:02}", "im{}_seg")],
)
def test_numbers_with_other_zeros_in_front(image: str, label: str, tmp_path: Path) -> None:
    """Of twelve the last three alone were paired, or none."""
    numbered(tmp_path, image, label, range(1, 13), range(1, 13))
    found = find_dataset(tmp_path)
    said = "paired though their numbers are not written with the same zeros in front"
    assert len(found.cases) == 12 and said in "\n".join(found.warnings)
    for case in found.cases:
        assert case.label is not None
        assert int(re.sub(r"\D", "", case.id)) == int(re.sub(r"\D", "", case.label.stem))


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["dose_0.05", "dose_0.7", "dose_1"], ["dose_0.5", "dose_0.7", "dose_1"]),
        (["a01f", "b2", "c3"], ["a1f", "b2", "c3"]),
        (["c1_01", "c2_02", "c3_3"], ["c01_1", "c02_2", "c3_3"]),
        (["x_01", "x_2", "x_3"], ["x_1", "x_2", "x_3"]),
    ],
)
def test_zeros_that_are_not_in_front_of_all_numbers_of_a_kind_stay(
    images: list[str], labels: list[str], tmp_path: Path
) -> None:
    tree(tmp_path, *(f"images/{stem}.png" for stem in images), *(f"masks/{stem}.png" for stem in labels))
    assert {case.id for case in find_dataset(tmp_path).cases} == {*images} & {*labels}


def test_numbers_with_and_without_zeros_are_two_where_both_are_there(tmp_path: Path) -> None:
    tree(tmp_path, "images/a1.png", "images/a01.png", "images/a2.png", "masks/a1.png", "masks/a2.png")
    assert {case.id for case in find_dataset(tmp_path).cases} == {"a1", "a2"}


def test_images_in_a_folder_for_each_person_beside_flat_masks(tmp_path: Path) -> None:
    """The cause was not said."""
    tree(tmp_path, *(f"images/p{n}/p{n}.png" for n in range(3)), *(f"masks/p{n}.png" for n in range(3)))
    with pytest.raises(
        DataError, match=r"images/p0/p0\.png and others lie in folders of their own: put all in"
    ):
        find_dataset(tmp_path)
