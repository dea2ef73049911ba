"""Training that goes on from a run of several channels: their names and their order are those of before."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.config import Config
from stampseg.core.errors import DataError
from stampseg.data.cases import Dataset
from stampseg.data.fingerprint import FINGERPRINT
from stampseg.run.continuation import go_on
from stampseg.run.spec import RunSpec
from stampseg.runtime.suggestion import suggest
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import SMALL

OLD, NEW = [f"s{n}" for n in range(3)], ["s7", "s8"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `images` and `dark` of two channels, and `masks`."""
    place = write_pictures(tmp_path_factory.mktemp("scans"), [*OLD, *NEW])
    (place / "dark").mkdir()
    for image in (place / "images").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(image))).save(place / "dark" / image.name)
    return place


def table(place: Path, columns: str, names: list[str], folders: tuple[str, ...], file: str) -> Path:
    rows = [",".join(f"{folder}/{name}.png" for folder in folders) for name in names]
    (place / file).write_text("\n".join([columns, *rows]) + "\n")
    return place / file


def trained(scans: Path, output: Path, columns: str, folders: tuple[str, ...]) -> Path:
    old = table(scans, columns, OLD, folders, f"{output.name}.csv")
    call(
        "train", old, "-o", output, "--validation", "none", "--method", "dense", "--steps", "2", *SMALL,
        "--set", "train.augment=false", "--set", "train.missed_label=warn",
    )  # fmt: skip
    return output


@pytest.fixture(scope="module")
def run(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "run"
    return trained(scans, place, "image:t1,image:t2,label", ("images", "dark", "masks"))


def goes_on(run: Path, data: Path) -> Dataset:
    return go_on(RunSpec("train", data, Config(), model=run))[0]


def nnunet(folder: Path, scans: Path, channels: dict[str, str] | None) -> Path:
    """A folder of nnU-Net's layout with the new cases."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for name in NEW:
        for number, source in enumerate(("images", "dark")):
            shutil.copy(scans / source / f"{name}.png", folder / "imagesTr" / f"{name}_{number:04d}.png")
        shutil.copy(scans / "masks" / f"{name}.png", folder / "labelsTr" / f"{name}.png")
    if channels is not None:
        (folder / "dataset.json").write_text(json.dumps({"channel_names": channels}))
    return folder


@pytest.mark.parametrize(
    ("columns", "found"), [("image:t2,image:t3,label", "t2, t3"), ("image,image_2,label", "without names")]
)
def test_other_channels_in_a_csv_are_refused(
    run: Path, scans: Path, tmp_path: Path, columns: str, found: str
) -> None:
    new = table(scans, columns, NEW, ("images", "dark", "masks"), "new.csv")
    words = ("train", new, "--from", run, "-o", tmp_path / "more", "--steps", "2")
    said = " ".join(call(*words, code=3).output.split())
    assert (
        f"new.csv: channels {found}, those of {run} are t1, t2; expected the same in the same order" in said
    )
    assert "name the columns, or channel_names in dataset.json, as they were" in said
    assert not (tmp_path / "more").exists()


def test_channels_in_another_order_are_refused(run: Path, scans: Path, tmp_path: Path) -> None:
    other = nnunet(tmp_path / "other", scans, {"0": "t2", "1": "t1"})
    with pytest.raises(
        DataError, match=r"other: channels t2, t1, those of .*run are t1, t2; expected the same"
    ):
        goes_on(run, other)
    with pytest.raises(DataError, match="channels without names, those of"):
        goes_on(run, nnunet(tmp_path / "unnamed", scans, None))


def test_the_same_channels_go_on_with_their_names(run: Path, scans: Path, tmp_path: Path) -> None:
    """Columns may stand in any order: they are counted by their names."""
    assert goes_on(run, nnunet(tmp_path / "n", scans, {"0": "t1", "1": "t2"})).channel_names == ("t1", "t2")
    new = table(scans, "label,image:t2,image:t1", NEW, ("masks", "dark", "images"), "new.csv")
    call("train", new, "--from", run, "-o", tmp_path / "more", "--steps", "2")
    assert FINGERPRINT.read(tmp_path / "more").channel_names == ("t1", "t2")
    case = next(case for case in goes_on(run, new).cases if case.id == "s7")
    assert [path.parent.name for path in case.images] == ["images", "dark"]


def test_names_beside_a_run_without_them_are_refused(scans: Path, tmp_path: Path) -> None:
    run = trained(scans, tmp_path / "unnamed", "image,image_2,label", ("images", "dark", "masks"))
    named = table(scans, "image:t1,image:t2,label", NEW, ("images", "dark", "masks"), "new.csv")
    with pytest.raises(DataError, match=r"channels t1, t2, those of .*unnamed are without names; expected"):
        goes_on(run, named)
    plain = table(scans, "image,image_2,label", NEW, ("images", "dark", "masks"), "new.csv")
    assert goes_on(run, plain).channel_names == ()


def test_a_single_channel_needs_no_name(scans: Path, tmp_path: Path) -> None:
    run = trained(scans, tmp_path / "one", "image:t1,label", ("images", "masks"))
    unnamed = table(scans, "image,label", NEW, ("images", "masks"), "a.csv")
    assert goes_on(run, unnamed).channel_names == ("t1",)
    with pytest.raises(DataError, match=r"channels t2, those of .*one are t1; expected"):
        goes_on(run, table(scans, "image:t2,label", NEW, ("dark", "masks"), "b.csv"))


def test_suggested_scans_keep_their_channels_apart(run: Path, scans: Path, tmp_path: Path) -> None:
    """A column each; their order is that of the network, which drew the drafts."""
    images = nnunet(tmp_path / "n", scans, None) / "imagesTr"
    found = suggest(run, [images], tmp_path / "todo", 1, echo=lambda text: None)
    with (tmp_path / "todo" / "suggested.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert [row["image"], row["image_2"]] == [str(path) for path in found[0].case.images]
    draft = Path(row["draft"]).name
    shutil.copy(scans / "masks" / draft, tmp_path / "todo" / "corrected" / draft)
    dataset = goes_on(run, tmp_path / "todo")
    assert dataset.channel_names == ("t1", "t2")
    case = next(case for case in dataset.cases if case.id == Path(draft).stem)
    assert case.images == found[0].case.images and dataset.sides[case.id] == "training"
