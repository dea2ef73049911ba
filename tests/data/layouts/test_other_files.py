"""Files and folders beside the data: predictions, overlays, masks among images, an older copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.inputs import find_inputs
from stampseg.data.layouts.pairing import labels_beside
from tests.data.dicom_files import slices, values
from tests.data.layouts.trees import pairs, tree

COMPUTED = "called as predicted or drawn on images"


def test_a_folder_below_does_not_take_the_place_of_the_data(tmp_path: Path) -> None:
    tree(tmp_path, "p{}.png", "p{}_mask.png", "rejected/q{}.png", "rejected/q{}_mask.png")
    with pytest.raises(DataError, match=r"own files are images and labels, and .*rejected/q1_mask.png lies"):
        find_dataset(tmp_path)
    found = find_dataset(tmp_path, images=Path(), masks=Path())
    assert pairs(found) == {f"p{n}.png": [f"p{n}_mask.png"] for n in range(1, 5)}


@pytest.mark.parametrize("person", ["prob0{0}", "Prob_0{0}", "sub-prob0{0}"])
def test_probands_are_persons(tmp_path: Path, person: str) -> None:
    for place, files in {
        "cases": ("{0}/scan.nii", "{0}/seg.nii", "ctrl/scan.nii", "ctrl/seg.nii"),
        "two": ("images/{0}.png", "masks/{0}.png", "images/ctrl.png", "masks/ctrl.png"),
        "one": ("{0}.png", "{0}_mask.png", "ctrl.png", "ctrl_mask.png", "{0}_prob.png"),
        "nnunet": ("imagesTr/{0}_0000.nii", "labelsTr/{0}.nii"),
        "persons": ("{0}/v1/scan.nii", "{0}/v1/seg.nii", "{0}/v2/scan.nii", "{0}/v2/seg.nii"),
    }.items():
        if place == "cases" and person.startswith("sub-"):
            files = files[:2]
        found = find_dataset(tree(tmp_path / place, *(name.replace("{0}", person) for name in files)))
        persons = {case.group for case in found.cases if case.group != "ctrl"}
        assert persons == {person.format(number) for number in range(1, 5)}, place


def test_predicted_files_left_out_are_told_of_with_names_of_channels(tmp_path: Path) -> None:
    tree(tmp_path, "imagesTr/p{}_0000.nii", "labelsTr/p{}.nii", "labelsTr/p{}_pred.nii")
    found = find_dataset(tmp_path)
    assert len(found.cases) == 4 and COMPUTED in found.warnings[0]


def test_nor_that_of_folders_called_by_a_word(tmp_path: Path) -> None:
    tree(tmp_path, "ct_scans/c{}.nii", "lesion_masks/c{}.nii", "old/x.nii", "old/x_seg.nii")
    assert len(find_dataset(tmp_path).cases) == 4


@pytest.mark.parametrize("name", ["pred", "overlay", "prob", "uncertainty"])
def test_computed_files_are_no_images_and_no_labels(tmp_path: Path, name: str) -> None:
    for place, files in {
        "two": ("images/p{}.png", f"images/p{{}}_{name}.png", "masks/p{}.png", f"masks/p{{}}_{name}.png"),
        "one": ("p{}.png", "p{}_mask.png", f"p{{}}_{name}.png"),
        "cases": ("p{}/img.png", "p{}/mask.png", f"p{{}}/{name}.png"),
        "persons": ("p{}/f1.png", "p{}/f1_mask.png", f"p{{}}/f1_{name}.png"),
        "kinds": (
            "p{}/images/t1.png",
            "p{}/masks/a.png",
            f"p{{}}/masks/{name}.png",
            f"p{{}}/images/{name}.png",
        ),
    }.items():
        found = find_dataset(tree(tmp_path / place, *files))
        assert len(found.cases) == 4 and not found.unlabelled and not found.channel_names, place
        assert not any(name in path.name for case in found.cases for path in case.files)
        assert place == "kinds" or COMPUTED in found.warnings[-1]


def test_a_prediction_is_no_label_where_others_are_drawn(tmp_path: Path) -> None:
    tree(
        tmp_path, "p{}/ct.nii", "p{}/ct_seg.nii", "p9/ct.nii", "p9/ct_pred.nii", "predictions/p{}/ct_seg.nii"
    )
    found = find_dataset(tmp_path)
    assert len(found.cases) == 4 and [case.group for case in found.unlabelled] == ["p9"]
    assert COMPUTED in found.warnings[0] and "ct_pred.nii" in found.warnings[0]


def test_labels_that_are_all_called_as_predicted_are_told(tmp_path: Path) -> None:
    found = find_dataset(tree(tmp_path, "images/p{}.png", "masks/p{}_pred.png"))
    assert found.warnings[0].startswith("labels that are called as predicted (4): p1_pred.png")


def test_computed_masks_are_no_organs(tmp_path: Path) -> None:
    tree(tmp_path, "images/p{}.png", "masks/liver/p{}.png", "masks/spleen/p{}.png", "masks/pred/p{}.png")
    assert dict(find_dataset(tmp_path).label_names) == {1: "liver", 2: "spleen"}


def test_predicted_derivatives_are_no_labels(tmp_path: Path) -> None:
    anat, below = "sub-{}/anat/sub-{}_T1w", "derivatives/{}/sub-{}/anat/sub-{}_{}.nii"
    for n in range(4):
        kind = ("manual", "dseg") if n < 2 else ("nnunet-predictions", "dseg")
        tree(tmp_path, f"{anat.format(n, n)}.nii", below.format(kind[0], n, n, kind[1]))
        tree(tmp_path, below.format("fast", n, n, "label-GM_probseg"))
    found = find_dataset(tmp_path)
    assert [case.group for case in found.cases] == ["sub-0", "sub-1"] and len(found.unlabelled) == 2


def test_masks_among_the_images_are_no_scans(tmp_path: Path) -> None:
    tree(tmp_path, "images/p{}.png", "images/p{}_mask.png", "masks/p{}.png", "images/p9.png")
    found = find_dataset(tmp_path)
    assert [case.id for case in found.unlabelled] == ["p9"]
    assert "images left out, called as labels of others beside them (4): p1_mask" in found.warnings[1]


def test_computed_files_beside_scans_are_not_predicted() -> None:
    files = [Path(name) for name in ("p1.nii", "p1_uncertainty.nii", "p1_prob.nii", "p2.nii")]
    assert labels_beside(files) == files[1:3]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("p1/ct.nii", "p2/ct.nii", "atlas.nii", "masks/atlas.nii"), "images are not read: p1, p2; name"),
        (
            ("p1/ct.nii", "p1/ct_seg.nii", "p2/mr.nii"),
            "nothing is read of p2, whose images are called otherwise",
        ),
        (
            ("p1/ct.nii", "p1/ct_seg.nii", "p1/warp.nii", "p2/ct.nii"),
            "1 file in its folders left out, called otherwise than what the model reads: warp.nii; name",
        ),
        (("p1/ct.nii", "p1/ct_seg.nii", "p2/ct.nii"), ""),
    ],
)
def test_scans_that_are_not_predicted_are_told(tmp_path: Path, files: tuple[str, ...], said: str) -> None:
    told: list[str] = []
    assert find_inputs([tree(tmp_path, *files)], 1, tell=told.append)
    assert len(told) == bool(said) and said in "".join(told)


def test_the_series_that_a_volume_was_made_of_is_no_channel(tmp_path: Path) -> None:
    for n in range(1, 5):
        slices(tmp_path / f"p{n}" / "DICOM", values(seed=n))
    found = find_dataset(tree(tmp_path, "p{}/ct.nii", "p{}/seg.nii"))
    assert not found.channel_names and pairs(found)["p1/ct.nii"] == ["p1/seg.nii"]


@pytest.mark.parametrize("names", [("auto", "manual"), ("reader1", "reader2")])
def test_folders_of_observers_are_no_organs(tmp_path: Path, names: tuple[str, str]) -> None:
    tree(tmp_path, "images/p{}.nii", *(f"labels/{name}/p{{}}.nii" for name in names))
    said = f"{names[0]}, {names[1]} are called as of those who drew the masks, .* as labels/{names[1]}"
    with pytest.raises(DataError, match=said):
        find_dataset(tmp_path)
    found = find_dataset(tmp_path, masks=Path("labels", names[1]))
    assert pairs(found)["images/p1.nii"] == [f"labels/{names[1]}/p1.nii"]


def test_a_mask_in_a_folder_of_its_own_is_no_image(tmp_path: Path) -> None:
    """Before, ct was passed over, and auto/ct_seg was the image of manual/ct_seg."""
    tree(tmp_path, "p{}/ct.nii", "p{}/auto/ct_seg.nii", "p{}/manual/ct_seg.nii")
    with pytest.raises(DataError, match=r"ct.nii lies beside auto, manual with files called as labels: put"):
        find_dataset(tmp_path)


def test_folders_of_organs_hold_masks_alone(tmp_path: Path) -> None:
    names = ("liver.nii", "liver_pred.nii", "preview.png")
    found = find_dataset(tree(tmp_path, "p{}/ct.nii", *(f"p{{}}/segmentations/{name}" for name in names)))
    assert dict(found.label_names) == {1: "liver"} and COMPUTED in found.warnings[0]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("masks/liver.nii", "holds a mask of liver as well"),
        ("ct_seg.nii", "are both called as labels of one"),
    ],
)
def test_organs_beside_other_labels(tmp_path: Path, other: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        find_dataset(tree(tmp_path, "p{}/ct.nii", "p{}/segmentations/liver.nii", f"p{{}}/{other}"))
