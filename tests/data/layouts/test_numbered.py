"""Images with the number of a channel behind their names, beside files without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from tests.data.layouts.trees import pairs, tree

ONE = ("imagesTr/c{}_0000.nii", "labelsTr/c{}.nii")
TWO = ("imagesTr/c{}_0000.nii", "imagesTr/c{}_0001.nii", "labelsTr/c{}.nii")
STRAY = ("imagesTr/d.nii", "labelsTr/d.nii")


def test_a_file_without_a_number_is_a_case_of_one_channel(tmp_path: Path) -> None:
    """Before, it alone was learnt from, and all other labels were lost."""
    found = find_dataset(tree(tmp_path, *ONE, *STRAY))
    assert found.layout == "nnunet" and [case.id for case in found.cases] == ["c1", "c2", "c3", "c4", "d"]
    assert pairs(found)["imagesTr/c2_0000.nii"] == ["labelsTr/c2.nii"]
    assert pairs(found)["imagesTr/d.nii"] == ["labelsTr/d.nii"]
    assert found.warnings == ("images without the number of a channel, taken as cases of one (1): d.nii",)
    (tmp_path / "labelsTr" / "d.nii").unlink()
    found = find_dataset(tmp_path)
    assert len(found.cases) == 4 and [case.id for case in found.unlabelled] == ["d"]


@pytest.mark.parametrize("stray", [STRAY, STRAY[:1]])
def test_beside_cases_of_several_it_is_refused(tmp_path: Path, stray: tuple[str, ...]) -> None:
    said = r"d.nii: has no number of a channel, and other cases have 2 channels, called as c1_0000.nii; .* or"
    with pytest.raises(DataError, match=said):
        find_dataset(tree(tmp_path, *TWO, *stray))


@pytest.mark.parametrize("name", ["c1_1", "c1_flair", "c1-0001"])
def test_a_file_that_may_be_another_channel_is_refused(tmp_path: Path, name: str) -> None:
    said = f"{name}.nii: is called as the case c1 and something beyond, and has no number of a channel; exp"
    with pytest.raises(DataError, match=said):
        find_dataset(tree(tmp_path, *ONE, f"imagesTr/{name}.nii"))


def test_one_name_with_a_number_makes_no_channels_of_others(tmp_path: Path) -> None:
    tree(tmp_path, "images/img_{}_mr.png", "images/x_0000.png", "images/x_0001.png")
    found = find_dataset(tree(tmp_path, "labels/seg_{}_mask.png", "labels/x.png"))
    assert found.layout == "folders" and len(found.cases) == 4
    assert pairs(found)["images/img_1_mr.png"] == ["labels/seg_1_mask.png"]


def test_a_case_in_two_ways(tmp_path: Path) -> None:
    tree(tmp_path, *ONE, "imagesTr/c2.nii")
    with pytest.raises(DataError, match=r"c2.nii: is called as the case of c2_0000.nii is; exp"):
        find_dataset(tmp_path)
    tree(tmp_path, "imagesTr/c{}.nii")  # all of them: the names that are equal
    assert pairs(find_dataset(tmp_path))["imagesTr/c2.nii"] == ["labelsTr/c2.nii"]


def test_masks_among_the_channels_are_none(tmp_path: Path) -> None:
    found = find_dataset(tree(tmp_path, *TWO, "imagesTr/c{}_seg.nii"))
    assert len(found.cases) == 4 and not found.unlabelled
    assert found.warnings[0].startswith("images left out, called as labels of others beside them (4): c1_seg")
    tree(tmp_path / "numbered", *ONE, "imagesTr/c{}_seg_0000.nii")
    found = find_dataset(tmp_path / "numbered")
    assert len(found.cases) == 4 and not found.unlabelled
    assert found.warnings[0].startswith(
        "images left out, called as labels of others beside them (4): c1_seg_"
    )


@pytest.mark.parametrize("files", [ONE, TWO])
def test_a_channel_under_two_types(tmp_path: Path, files: tuple[str, ...]) -> None:
    found = find_dataset(tree(tmp_path, *files, "imagesTr/c1_0000.nii.gz"))
    assert len(found.cases) == 4
    assert found.warnings == ("images skipped because their name is taken (1): c1_0000.nii.gz",)


@pytest.mark.parametrize("end", ["_0000", "_0001", "_0000_seg"])
def test_labels_with_the_number_of_a_channel(tmp_path: Path, end: str) -> None:
    tree(tmp_path, *TWO[:2], f"labelsTr/c{{}}{end}.nii")
    said = (
        rf"the 4 labels end in {end[:5]}, as one of the 2 channels .* without the number of a channel, as c1;"
    )
    with pytest.raises(DataError, match=said):
        find_dataset(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("p1_000{} p2_000{}", "p1_000{} p2_000{}"),
        ("p{}_0001 p{}_0002", "p{}_0001"),
        ("p{} p{}_2019", "p{}"),
        ("p{}_2018 p{}_2019", "p{}_2018 p{}_2019"),
        ("p{}_0000", "p{}_0000"),
        ("p1_000{} p1", "p1_000{} p1"),
    ],
)
def test_numbers_that_are_no_channels(tmp_path: Path, images: str, labels: str) -> None:
    names = [
        f"{folder}/{name}.png" for folder, both in (("a", images), ("b", labels)) for name in both.split()
    ]
    found = find_dataset(tree(tmp_path, *names), images=Path("a"), masks=Path("b"))
    assert found.layout == "folders" and all(
        [f"b/{Path(image).name}"] == marks for image, marks in pairs(found).items()
    )
    assert len(found.cases) == len(list((tmp_path / "b").iterdir()))


def test_masks_of_organs(tmp_path: Path) -> None:
    masks = ("masks/liver/{}.nii", "masks/spleen/{}.nii")
    found = find_dataset(
        tree(
            tmp_path / "stray",
            "images/c{}_0000.nii",
            "images/d.nii",
            *(mask.format(name) for mask in masks for name in ("c{}", "d")),
        )
    )
    assert len(found.cases) == 5 and "taken as cases of one (1): d.nii" in found.warnings[0]
    slices = tree(tmp_path / "slices", "images/s_000{}.nii", *(mask.format("s_000{}") for mask in masks))
    assert len(find_dataset(slices).cases) == 4
    tree(tmp_path / "types", "images/p{}.nii", "images/p1.nii.gz", *(mask.format("p{}") for mask in masks))
    found = find_dataset(tree(tmp_path / "types", "masks/liver/p2.nii.gz"))
    assert found.warnings == (
        "images skipped because their name is taken (1): p1.nii.gz",
        "labels skipped because their name is taken (1): p2.nii.gz",
    )


def test_a_number_marks_no_label_in_one_folder(tmp_path: Path) -> None:
    """Before, c1_0000, the image, was the label of c1."""
    tree(tmp_path, "c{}_0000.nii", "c{}.nii")
    with pytest.raises(DataError, match="no image pairs with a label in this folder"):
        find_dataset(tmp_path, images=Path(), masks=Path())


def test_a_folder_among_channels_is_told(tmp_path: Path) -> None:
    found = find_dataset(tree(tmp_path, *ONE, "imagesTr/more/x_0000.nii"))
    assert found.warnings == ("folders in that of the images that are not read (1): more",)
