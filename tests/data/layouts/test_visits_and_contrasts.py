"""Visits and contrasts of one person, whose names are all that tells them apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from tests.data.layouts.trees import pairs, tree


def test_a_visit_that_is_called_as_a_contrast(tmp_path: Path) -> None:
    """MSLesSeg: P1/T1 is the first visit, and P1_T1_T1 its T1."""
    for visit in ("T1", "T2"):
        names = (f"P{{0}}_{visit}_{kind}.nii" for kind in ("FLAIR", "T1", "T2", "MASK"))
        tree(tmp_path, *(f"train/P{{0}}/{visit}/{name}" for name in names))
    found = find_dataset(tmp_path)
    assert found.channel_names == ("FLAIR", "T1", "T2") and not found.warnings
    assert len(found.cases) == 8 and len({case.group for case in found.cases}) == 4
    place = "train/P2/T1/P2_T1_"
    assert pairs(found)[f"{place}FLAIR.nii {place}T1.nii {place}T2.nii"] == [f"{place}MASK.nii"]


def test_images_that_end_in_the_folders_name_are_channels(tmp_path: Path) -> None:
    found = find_dataset(tree(tmp_path, "p{0}/mr_t1_p{0}.nii", "p{0}/mr_t2_p{0}.nii", "p{0}/mr_label.nii"))
    assert found.channel_names == ("mr_t1", "mr_t2") and len(found.cases) == 4
    other = find_dataset(tree(tmp_path / "other", "p{0}/t1_p{0}.nii", "p{0}/t2_p{0}.nii", "p{0}/label.nii"))
    assert other.channel_names == ("t1", "t2") and len(other.cases) == 4


def test_visits_in_one_folder_are_no_channels(tmp_path: Path) -> None:
    """ISBI 2015: eight channels of two visits, and the lesions of both as one label."""
    for visit in ("01", "02"):
        tree(
            tmp_path, *(f"training0{{0}}/preprocessed/t0{{0}}_{visit}_{kind}.nii" for kind in ("flair", "pd"))
        )
        tree(tmp_path, f"training0{{0}}/masks/t0{{0}}_{visit}_mask1.nii")
    with pytest.raises(DataError, match=r"t01_01_mask1.nii: fits no image by its name"):
        find_dataset(tmp_path)


@pytest.mark.parametrize("kinds", [("T1", "T2"), ("t1", "t2"), ("echo1", "echo2"), ("b50", "b800")])
def test_contrasts_are_no_parts_of_the_images(tmp_path: Path, kinds: tuple[str, str]) -> None:
    tree(tmp_path, *(f"images_{kind}/p{{}}.nii" for kind in kinds), "labels/p{}.nii")
    with pytest.raises(DataError, match=f"images_{kinds[0]} and images_{kinds[1]} could all be meant; name"):
        find_dataset(tmp_path)
    assert len(find_dataset(tmp_path, images=Path(f"images_{kinds[1]}")).cases) == 4


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("patient1_slice{}", "patient2_slice{}_seg"),
        ("hospA_{}", "hospB_{}_mask"),
        ("train_{}", "test_{}_mask"),
        ("img_{}_train", "mask_{}_test"),
    ],
)
def test_masks_of_another_person_or_part_are_not_paired_by_numbers(
    tmp_path: Path, image: str, label: str
) -> None:
    tree(tmp_path, f"images/{image}.png", f"masks/{label}.png")
    with pytest.raises(DataError, match=r"none of its 4 images .* pairs with the 4 labels"):
        find_dataset(tmp_path)
    tree(tmp_path / "same", f"images/{image}.png", f"masks/{image}_manual1.png")
    assert len(find_dataset(tmp_path / "same").cases) == 4


@pytest.mark.parametrize("one", ["t2_1", "frame1", "visit1_ct"])
def test_channels_that_a_number_tells_apart_are_told(tmp_path: Path, one: str) -> None:
    other = f"{one[:-1]}2" if one != "visit1_ct" else "visit2_ct"
    found = find_dataset(tree(tmp_path, *(f"p{{}}/{name}.nii" for name in (one, other, "seg"))))
    assert f"called alike but for a number ({one}, {other}); if they are visits" in found.warnings[0]


@pytest.mark.parametrize(
    "names", ["t1 t2", "b0 b800", "echo1 echo2", "0000 0001", "inv-1_MP2RAGE inv-2_MP2RAGE"]
)
def test_contrasts_that_a_number_tells_apart_are_not(tmp_path: Path, names: str) -> None:
    found = find_dataset(tree(tmp_path, *(f"p{{0}}/p{{0}}_{name}.nii" for name in (*names.split(), "seg"))))
    assert found.channel_names == tuple(names.split()) and not found.warnings


@pytest.mark.parametrize("image", ["patient_{}", "case{}", "frame_{}", "us_slice_{}"])
def test_words_of_images_name_nobody(tmp_path: Path, image: str) -> None:
    tree(tmp_path, f"images/{image}.png", "masks/tumour_seg_{}.png")
    assert len(find_dataset(tmp_path).cases) == 4
