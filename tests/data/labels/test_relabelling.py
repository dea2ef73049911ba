"""Labels merged, dropped and named as they are read: the same for whoever reads them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampseg.core.data_options import DataOptions
from stampseg.core.errors import ConfigError
from stampseg.data.labels.relabelling import ChosenLabels, Relabelling, choose_labels
from tests.cli.command import call

ORGANS = {0: "background", 1: "liver", 2: "spleen", 3: "left kidney", 4: "right kidney"}
values = st.integers(0, 300)


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=30),
    st.dictionaries(values.filter(bool), values.filter(bool), max_size=4),
    st.none() | st.lists(values.filter(bool), min_size=1, max_size=4),
)
def test_arrays_and_counts_change_alike(
    labels: list[int], merged: dict[int, int], kept: list[int] | None
) -> None:
    rule = Relabelling(merged=merged, kept=None if kept is None else tuple(kept))
    array = np.array([labels], np.uint8)
    found = rule.applied(array)
    assert found.ravel().tolist() == [rule.of(value) for value in labels]
    assert array.ravel().tolist() == labels
    voxels = dict(zip(*(part.tolist() for part in np.unique(array, return_counts=True)), strict=True))
    expected = dict(zip(*(part.tolist() for part in np.unique(found, return_counts=True)), strict=True))
    assert rule.counted(voxels) == expected
    assert Relabelling.model_validate_json(rule.model_dump_json()) == rule


@pytest.mark.parametrize("labels", [("left kidney", "right kidney"), (3, 4), ("3", "right kidney")])
def test_merging_by_name_or_value(labels: tuple[int | str, ...]) -> None:
    chosen = choose_labels(DataOptions(merge={"kidney": labels}), ORGANS, None)
    names, rule = chosen.names, chosen.relabel
    assert names == {0: "background", 1: "liver", 2: "spleen", 3: "kidney"}
    assert rule == Relabelling(merged={4: 3})


def test_only_may_name_what_was_merged_and_what_an_option_names() -> None:
    options = DataOptions(names={7: "cyst"}, merge={"kidney": (3, 4)}, only=("kidney", "cyst", 1))
    chosen = choose_labels(options, ORGANS, 9)
    names, rule = chosen.names, chosen.relabel
    assert names == {0: "background", 1: "liver", 3: "kidney", 7: "cyst"}
    assert rule == Relabelling(merged={4: 3}, kept=(3, 7, 1, 9))
    assert [rule.of(value) for value in (0, 1, 2, 3, 4, 7, 9, 200)] == [0, 1, 0, 3, 3, 7, 9, 0]


def test_nothing_is_changed_unasked() -> None:
    assert choose_labels(DataOptions(), ORGANS, 9) == ChosenLabels(ORGANS)
    renamed = choose_labels(DataOptions(names={1: "Leber"}), ORGANS, None)
    assert renamed == ChosenLabels({**ORGANS, 1: "Leber"})


@pytest.mark.parametrize(
    ("options", "declared", "said"),
    [
        ({"only": ("livr",)}, ORGANS, r"`data.only` livr: no label is called livr; did you mean liver\? "
         r"Labels are 1 liver, 2 spleen, 3 left kidney, 4 right kidney; values will do as well"),
        ({"only": ("Spleen",)}, ORGANS, r"did you mean spleen\?"),
        ({"merge": {"a": ("x", 2)}}, {}, r"`data.merge` a=x,2: the data set does not say what its labels are "
         r"called; give values, as in 1,2, or name them with `data.names`"),
        ({"merge": {"a": (1,)}}, ORGANS, r"a=1: expected two labels or more, as in cord=1,2"),
        ({"merge": {"a": (1, "liver")}}, ORGANS, r"a=1,liver: expected two labels or more"),
        ({"merge": {"a": (0, 2)}}, ORGANS, r"a=0,2: 0 is the background; .* `data.only`"),
        ({"merge": {"a": (9, 2)}}, ORGANS, r"a=9,2: 9 is the ignore label, which stays what it is"),
        ({"merge": {"a": (1, 2), "b": (2, 3)}}, ORGANS, r"b=2,3: 2 is merged already; expected every label"),
        ({"merge": {"spleen": (1, 3)}}, ORGANS, r"spleen=1,3: another label is called spleen; choose"),
        ({"only": (0, 1)}, ORGANS, r"`data.only` 0,1: 0 is the background, which is always kept"),
        ({"only": (9,)}, ORGANS, r"`data.only` 9: 9 is the ignore label"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(options: dict, declared: dict[int, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        choose_labels(DataOptions(**options), declared, 9)


PRUNING = (
    "--steps", "6", "--set", "prune.rounds=1", "--target", "50%", "--validation", "25%",
    "--set", "prune.ready_dice=0", "--set", "train.missed_label=warn",
)  # fmt: skip
TINY = (*PRUNING, "--set", "network.width=4", "--set", "network.poolings=1", "--set", "train.augment=false")


@pytest.fixture(scope="module")
def abdomen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four volumes of four slabs, 1 to 4, named in dataset.json."""
    folder = tmp_path_factory.mktemp("abdomen")
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part).mkdir()
    label = np.zeros((16, 20, 12), np.uint8)
    for value in range(1, 5):
        label[4 * value - 4 : 4 * value - 1, 4:16, 3:9] = value
    for i in range(4):
        image = (label * 60 + rng.normal(0, 5, label.shape)).astype(np.float32)
        for part, array in (("images", image), ("labels", label)):
            nib.Nifti1Image(array, np.eye(4)).to_filename(folder / part / f"v{i}.nii.gz")
    (folder / "dataset.json").write_text(json.dumps({"labels": {name: v for v, name in ORGANS.items()}}))
    return folder


CHOICE = ("--merge", "kidney=left kidney,right kidney", "--only", "kidney,liver")


@pytest.fixture(scope="module")
def run(abdomen: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run with two labels of four, one of them merged; and what it said."""
    output = tmp_path_factory.mktemp("run") / "run"
    return output, call("train", abdomen, "-o", output, *CHOICE, *TINY).output


def test_the_plan_and_the_run_know_the_new_labels(run: tuple[Path, str]) -> None:
    plan = json.loads((run[0] / "plan.json").read_text())
    assert plan["label_values"] == [0, 1, 3] and plan["label_names"] == ["background", "liver", "kidney"]
    assert plan["relabel"] == {"merged": {"4": 3}, "kept": [3, 1]}
    assert "merged: kidney is 3, 4" in run[1] and "taken as background: 2" in run[1]
    voxels = json.loads((run[0] / "fingerprint.json").read_text())["class_voxels"]
    assert voxels[2] == 2 * voxels[1] > 0


def test_masks_hold_the_first_value_and_are_measured_by_the_same_labels(
    run: tuple[Path, str], abdomen: Path, tmp_path: Path
) -> None:
    call("predict", run[0], abdomen / "images", "-o", tmp_path / "out")
    assert set(np.unique(nib.load(tmp_path / "out" / "v0.nii.gz").dataobj)) <= {0, 1, 3}
    result = json.loads(call("evaluate", tmp_path / "out", abdomen / "labels", *CHOICE, "--json").stdout)
    assert set(result["summary"]) == {"liver", "kidney", "union"}
    rows = {row["label"]: row for row in result["rows"] if row["case"] == "v0"}
    assert rows["kidney"]["value"] == 3
    assert rows["kidney"]["reference_volume"] == pytest.approx(2 * rows["liver"]["reference_volume"])


def test_exports_and_prune_go_by_them_too(run: tuple[Path, str], abdomen: Path, tmp_path: Path) -> None:
    call("export", run[0], "-o", tmp_path / "m.onnx")
    call("prune", run[0], abdomen, "-o", tmp_path / "pruned", *PRUNING)
    assert json.loads((tmp_path / "pruned" / "plan.json").read_text())["label_values"] == [0, 1, 3]
    page = call("report", run[0], "-o", tmp_path / "page.html")
    assert page.exit_code == 0 and "kidney" in (tmp_path / "page.html").read_text()


def test_check_counts_them_and_says_what_is_not_there(abdomen: Path) -> None:
    options = ("--names", "1=Leber,9=Niere", "--merge", "both=Leber,9", "--no-timing", "--json")
    found = json.loads(call("check", abdomen, *options).stdout)
    assert found["labels"] == {
        "0": "background",
        "1": "both",
        "2": "spleen",
        "3": "left kidney",
        "4": "right kidney",
    }
    assert "merged: both is 1, 9 (9 in none of these labels)" in found["label_notes"]


def test_evaluate_without_a_data_set_names_by_option(abdomen: Path, tmp_path: Path) -> None:
    source = abdomen / "labels" / "v0.nii.gz"
    result = json.loads(
        call("evaluate", source, source, "--names", "2=Milz", "--only", "Milz,1", "--json").stdout
    )
    assert set(result["summary"]) == {"label_1", "Milz", "union"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--merge", "kidney"), "--merge 'kidney': expected cord=1,2"),
        (("--names", "a=liver"), "--names 'a=liver': expected values with names, as in 1=liver,2=spleen"),
        (("--names", "1"), "--names '1': expected 1=liver,2=spleen"),
        (("--names", "1=a,01=b"), "--names '1=a,01=b': one value twice; expected one name for each value"),
        (
            ("--merge", "a=1,2", "--merge", "a=3,4"),
            "--merge a: one name twice; list all of its",
        ),
        (("--only", "livr"), "--only livr: no label is called livr; did you mean liver?"),
        (("--merge", "a=1,livr"), "--merge a=1,livr: no label is called livr; did you mean liver?"),
    ],
)
def test_the_command_line_says_what_it_expects(abdomen: Path, words: tuple[str, ...], said: str) -> None:
    assert said in call("check", abdomen, "--no-timing", *words, code=2).output


def test_a_value_that_no_label_has_is_told_as_that(abdomen: Path) -> None:
    labels = abdomen / "labels"
    told = " ".join(call("check", abdomen, "--no-timing", "--only", "7", code=3).output.split())
    assert "4 label(s) hold 0, 1, 2, 3, 4, and none of the values that --only asks for" in told
    found = json.loads(call("evaluate", labels, labels, "--only", "7", "--json").stdout)
    assert any(
        "no label holds a value that was asked for, but 0, 1, 2, 3" in text for text in found["warnings"]
    )
