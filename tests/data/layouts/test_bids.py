"""What BIDS holds several times: labels of one name in two folders of derivatives, images taken again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.inputs import find_inputs
from tests.data.layouts.trees import pairs, tree

KINDS = ("auto", "manual")
T1W = "sub-{0}/anat/sub-{0}_T1w.nii"


@pytest.mark.parametrize("masks", [None, Path("derivatives")])
def test_labels_of_one_name_in_two_folders(tmp_path: Path, masks: Path | None) -> None:
    """Before, that of the first folder by its name was learnt from: auto before manual."""
    tree(
        tmp_path, T1W, *(f"derivatives/{kind}/sub-{{0}}/sub-{{0}}_T1w_seg.nii" for kind in ("auto", "manual"))
    )
    said = (
        r"derivatives/auto and derivatives/manual both hold sub-1_T1w_seg .4 such .*; name one with `masks`"
    )
    with pytest.raises(DataError, match=said):
        find_dataset(tmp_path, masks=masks)
    for kind in KINDS:
        found = find_dataset(tmp_path, masks=Path("derivatives", kind))
        assert not found.warnings and len(found.cases) == 4
        assert all(case.label and kind in case.label.parts for case in found.cases)
    assert len(find_inputs([tmp_path], 1)) == 4


def test_labels_of_two_observers_below_one_folder(tmp_path: Path) -> None:
    tree(tmp_path, T1W, *(f"derivatives/manual/r{n}/sub-{{}}_T1w_seg.nii" for n in (1, 2)))
    with pytest.raises(DataError, match="derivatives/manual/r1 and derivatives/manual/r2 both hold"):
        find_dataset(tmp_path)
    assert len(find_dataset(tmp_path, masks=Path("derivatives/manual/r2")).cases) == 4


def test_labels_of_one_name_beside_the_images(tmp_path: Path) -> None:
    tree(tmp_path, T1W, *(f"sub-{{0}}/{place}/sub-{{0}}_T1w_seg.nii" for place in ("anat", "auto")))
    with pytest.raises(DataError, match=r"anat and auto both hold sub-1_T1w_seg .*; take one out"):
        find_dataset(tmp_path)


def test_images_and_types_of_one_name_are_told(tmp_path: Path) -> None:
    names = ("anat/sub-1_T1w_seg.nii", "anat/sub-1_T1w_seg.nii.gz", "old/sub-1_T1w.nii")
    tree(tmp_path, T1W, *(f"sub-1/{name}" for name in names), count=1)
    (warning,) = find_dataset(tmp_path).warnings
    assert warning.endswith("same name (2): old/sub-1_T1w.nii, sub-1_T1w_seg.nii.gz")


def test_labels_that_lie_in_one_folder_or_another(tmp_path: Path) -> None:
    tree(tmp_path, T1W, "derivatives/auto/sub-1_T1w_seg.nii", count=3)
    tree(tmp_path, *(f"derivatives/manual/sub-{n}_T1w_seg.nii" for n in (2, 3)))
    (warning,) = find_dataset(tmp_path).warnings
    assert "in 2 folders of derivatives (derivatives/auto: 1, derivatives/manual: 2), which" in warning


def test_labels_beside_the_images_and_below_derivatives(tmp_path: Path) -> None:
    """Before, those beside the images were passed over, whatever derivatives/ held."""
    beside = "sub-{0}/anat/sub-{0}_T1w_seg.nii"
    found = find_dataset(tree(tmp_path, T1W, beside, "derivatives/x/sub-{0}_desc-preproc_T1w.nii"))
    assert pairs(found)["sub-1/anat/sub-1_T1w.nii"] == ["sub-1/anat/sub-1_T1w_seg.nii"]
    assert not found.warnings
    tree(tmp_path, "derivatives/x/sub-{0}_desc-brain_mask.nii")
    found = find_dataset(tmp_path)
    assert pairs(found)["sub-1/anat/sub-1_T1w.nii"] == ["derivatives/x/sub-1_desc-brain_mask.nii"]
    said = "labels beside the images left out, as there are some below derivatives/ (4): sub-1_T1w_seg.nii, "
    assert found.warnings[0].startswith(said)
    assert not find_dataset(tmp_path, masks=Path("derivatives/x")).warnings


def test_labels_of_other_sessions(tmp_path: Path) -> None:
    tree(tmp_path, "sub-{0}/ses-1/sub-{0}_ses-1_T1w.nii", "derivatives/m/sub-{0}_T1w_seg.nii")
    said = r"sub-1_T1w_seg.nii: is a label of no image .4 such labels.; images are called as sub-1_ses-1_T1w"
    with pytest.raises(DataError, match=said):
        find_dataset(tmp_path)


def subjects(root: Path, images: str, labels: str, count: int = 4) -> Path:
    """Images and labels of each subject, by what their names say beyond it."""
    anat, manual = "sub-{0}/anat/sub-{0}", "derivatives/man/sub-{0}/anat/sub-{0}"
    names = [f"{anat}_{name}.nii" for name in images.split()]
    return tree(root, *names, *(f"{manual}_{name}.nii" for name in labels.split()), count=count)


@pytest.mark.parametrize(
    ("images", "label", "what"),
    [
        ("run-1_T1w run-2_T1w", "T1w_seg", "run-"),
        ("run-1_T1w run-2_T1w", "dseg", "run-"),
        ("run-1_T1w run-2_T1w FLAIR", "label-lesion_mask", "run-"),
        ("run-1_T1w run-2_T1w run-1_FLAIR run-2_FLAIR", "mask", "run-"),
        ("T1w run-2_T1w", "mask", "run-"),
        ("acq-ax_T2w acq-sag_T2w", "dseg", "acq-"),
        ("echo-1_MEGRE echo-2_MEGRE", "mask", "echo-"),
        ("rec-a_ct rec-b_ct", "seg", "rec-"),
        ("acq-a_run-1_T1w acq-b_run-2_T1w", "mask", "acq- and run-"),
        ("acq-a_run-1_T1w acq-a_run-2_T1w", "mask", "run-"),
        ("T1w desc-preproc_T1w", "desc-lesion_mask", "desc-"),
        ("T1w space-MNI_T1w", "space-other_label-lesion_mask", "space-"),
        ("T1w space-MNI_desc-preproc_T1w FLAIR", "space-ACPC_dseg", "desc- and space-"),
        ("space-MNI_res-1_T1w space-MNI_res-2_T1w", "space-MNI_dseg", "res-"),
        ("T1w space-MNI_T1w space-MNI_desc-brain_T1w", "space-MNI_dseg", "desc-"),
    ],
)
def test_one_label_of_images_that_were_taken_again_or_computed_of_one_another(
    tmp_path: Path, images: str, label: str, what: str
) -> None:
    """Before, these were channels of one case."""
    said = rf"sub-1_{label}.nii: is a label of sub-1_.*, sub-1_.* alike, which differ by {what} alone; exp"
    with pytest.raises(DataError, match=said):
        find_dataset(subjects(tmp_path, images, label))


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("run-1_T1w run-2_T1w", "run-1_T1w_seg run-2_T1w_seg"),
        ("run-1_T1w run-2_T1w", "run-1_mask run-2_mask"),
        ("run-1_T1w run-2_T1w", "space-T1w_run-1_mask space-T1w_run-2_mask"),
        ("acq-a_run-1_T1w acq-a_run-2_T1w", "run-1_mask run-2_mask"),
        ("acq-ax_T2w acq-sag_T2w", "acq-ax_T2w_seg acq-sag_T2w_seg"),
    ],
)
def test_a_label_of_each_makes_cases_of_one_person(tmp_path: Path, images: str, labels: str) -> None:
    found = find_dataset(subjects(tmp_path, images, labels))
    one, two = images.split()
    assert not found.channel_names and not found.unlabelled
    assert [(case.id, case.group) for case in found.cases[:2]] == [
        (f"sub-1_{one}", "sub-1"), (f"sub-1_{two}", "sub-1")
    ]  # fmt: skip
    assert [Path(name).stem[6:] for (name,) in list(pairs(found).values())[:2]] == labels.split()
    assert [case.id for case in find_inputs([tmp_path], 1)] == [case.id for case in found.cases]


def test_several_contrasts_of_each_repeat(tmp_path: Path) -> None:
    images = "run-1_T1w run-2_T1w run-1_FLAIR run-2_FLAIR"
    subjects(tmp_path, images, "run-1_mask run-2_mask", count=1)
    tree(tmp_path, *(f"sub-3/sub-3_{name}.nii" for name in images.split()))
    tree(tmp_path, *(f"sub-4/sub-4_run-2_{name}.nii" for name in ("T1w", "FLAIR")))
    tree(
        tmp_path, *(f"sub-5/sub-5_{name}.nii" for name in ("T1w", "FLAIR")), "derivatives/man/sub-5_mask.nii"
    )
    found = find_dataset(tmp_path)
    assert found.channel_names == ("FLAIR", "T1w") and not found.warnings
    assert {case.id: case.group for case in found.cases} == {
        "sub-1_run-1": "sub-1", "sub-1_run-2": "sub-1", "sub-5": "sub-5"
    }  # fmt: skip
    assert [case.id for case in found.unlabelled] == ["sub-3_run-1", "sub-3_run-2", "sub-4_run-2"]
    scans = find_inputs([tmp_path], 2, ["FLAIR", "T1w"])
    assert sorted(case.id for case in scans) == sorted(case.id for case in (*found.cases, *found.unlabelled))


@pytest.mark.parametrize("images", ["run-1_T1w run-1_FLAIR T1w", "run-1_T1w acq-a_T1w"])
def test_a_label_of_a_run_without_an_image(tmp_path: Path, images: str) -> None:
    with pytest.raises(DataError, match=r"sub-1_run-2_mask.nii: says of .* none is called so"):
        find_dataset(subjects(tmp_path, images, "run-2_mask"))


def test_a_label_of_another_contrast_of_the_run(tmp_path: Path) -> None:
    """Before, FLAIR was learnt with it, as the only image of the run, without a word."""
    subjects(tmp_path, "run-1_FLAIR run-2_FLAIR", "run-1_T1w_seg run-2_T1w_seg")
    assert "labels that are called as of another modality than" in find_dataset(tmp_path).warnings[0]
    with pytest.raises(DataError, match=r"alike, which differ by acq- alone"):
        find_dataset(subjects(tmp_path / "b", "T1w acq-b_T1w run-2_FLAIR", "run-2_T1w_seg"))


@pytest.mark.parametrize("images", ["acq-highres_T1w acq-lowres_FLAIR", "run-1_T1w run-1_FLAIR", "T1w T2w"])
def test_other_images_are_channels(tmp_path: Path, images: str) -> None:
    found = find_dataset(subjects(tmp_path, images, "mask"))
    assert set(found.channel_names) == set(images.split()) and len(found.cases) == 4


@pytest.mark.parametrize(
    ("images", "label", "taken"),
    [
        ("T1w space-MNI_T1w", "dseg", "T1w"),
        ("T1w space-MNI_T1w", "space-MNI_dseg", "space-MNI_T1w"),
        ("T1w space-MNI_T1w", "space-T1w_label-lesion_mask", "T1w"),
        ("T1w FLAIR space-MNI_T1w space-MNI_FLAIR", "space-MNI_dseg", "space-MNI_FLAIR space-MNI_T1w"),
        ("T1w space-MNI_desc-preproc_T1w", "space-MNI_dseg", "space-MNI_desc-preproc_T1w"),
        ("FLAIR T1w", "space-MNI_dseg", "FLAIR T1w"),  # none is a version of another
    ],
)
def test_images_in_the_space_of_the_label_are_taken(
    tmp_path: Path, images: str, label: str, taken: str
) -> None:
    """Of subjects without a label too."""
    subjects(tmp_path, images, label)
    for name in images.split():
        tree(tmp_path, f"sub-9/anat/sub-9_{name}.nii")
    found = find_dataset(tmp_path)
    assert len(found.cases) == 4
    for case in (*found.cases, *found.unlabelled):
        assert [path.stem.partition("_")[2] for path in case.images] == taken.split()
    left = {name for name in images.split() if name not in taken.split()}
    told = [word for word in found.warnings if "in another space than their labels left out" in word]
    assert bool(told) == bool(left)
