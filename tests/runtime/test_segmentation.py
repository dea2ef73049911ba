"""What `predict` says in its last lines of images and labels in which, or of which, nothing was found."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.plan import Plan
from stampseg.data.splits.record import digest_of
from stampseg.runtime import segmentation
from stampseg.runtime.model import OpenModel
from stampseg.runtime.segment_options import SegmentOptions

PLAN = Plan(
    spatial_dims=2, in_channels=1, label_values=(0, 1, 2), label_names=("background", "liver", "tumour"),
    orientation=None, spacing=(1.0, 1.0), crop="none", patch_size=(8, 8), normalization="min-max", ct=None,
    strides=((2, 2),),
)  # fmt: skip


def find(windows: np.ndarray) -> np.ndarray:
    """Scores (B, 3, *S): liver where it is bright, nothing elsewhere."""
    bright = windows[:, :1] > 0.5
    return np.concatenate([~bright, bright, bright * 0.0], axis=1).astype(np.float32)


def lines(folder: Path, monkeypatch: pytest.MonkeyPatch, *bright: bool) -> list[str]:
    """What is said after the lines of the images, which have a bright half or are of one grey."""
    monkeypatch.setattr(
        segmentation, "open_segmenter", lambda *a, **k: OpenModel(PLAN, lambda: nullcontext(find))
    )
    (folder / "in").mkdir()
    for number, found in enumerate(bright):
        image = np.zeros((8, 8), np.uint8)
        image[:4] = 200 * found
        Image.fromarray(image).save(folder / "in" / f"{number}.png")
    said: list[str] = []
    found = segmentation.segment(folder / "m", [folder / "in"], folder / "out", echo=said.append)
    assert len(found.masks) == len(bright)
    assert [line.split()[1] for line in said[: len(bright)]] == ["32" if found else "0" for found in bright]
    return said[len(bright) :]


@pytest.mark.parametrize(
    ("bright", "said"),
    [
        ((False, False), ["WARNING: nothing was found: all 2 masks are empty"]),
        ((True, True), ["WARNING: tumour: found in none of 2 images"]),
        (
            (True, False),
            [
                "WARNING: nothing was found in 1 of 2 images",
                "WARNING: tumour: found in none of 2 images",
            ],
        ),
    ],
)
def test_what_was_not_found_is_said_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bright: tuple[bool, ...], said: list[str]
) -> None:
    assert lines(tmp_path, monkeypatch, *bright) == said


def test_a_model_that_finds_every_label_is_not_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = PLAN.model_copy(update={"label_values": (0, 7), "label_names": ("background", "liver")})
    monkeypatch.setattr("tests.runtime.test_segmentation.PLAN", plan)
    assert lines(tmp_path, monkeypatch, True) == []


def test_a_label_beside_its_image_is_not_segmented_and_that_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        segmentation, "open_segmenter", lambda *a, **k: OpenModel(PLAN, lambda: nullcontext(find))
    )
    (tmp_path / "in").mkdir()
    for name in ("p1", "p1_seg"):
        Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "in" / f"{name}.png")
    said: list[str] = []
    found = segmentation.segment(tmp_path / "m", [tmp_path / "in"], tmp_path / "out", echo=said.append)
    assert [mask.path.name for mask in found.masks] == ["p1.png"]
    assert said[0] == (
        f"WARNING: {tmp_path / 'in'}: 1 file left out, called as labels of others in it: p1_seg.png; name "
        "such a file itself to use it"
    )


@pytest.mark.parametrize("everything", [False, True])
def test_stray_pieces_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    plan = PLAN.model_copy(update={"label_values": (0, 7, 9), "one_piece": (1,)})
    opened = OpenModel(plan, lambda: nullcontext(find))
    monkeypatch.setattr(segmentation, "open_segmenter", lambda *a, **k: opened)
    image = np.zeros((8, 8), np.uint8)
    image[:3], image[6:, :2] = 200, 200
    Image.fromarray(image).save(tmp_path / "scan.png")
    said: list[str] = []
    (written,) = segmentation.segment(
        tmp_path / "m",
        [tmp_path / "scan.png"],
        tmp_path / "out",
        SegmentOptions(all_pieces=everything),
        echo=said.append,
    ).masks
    mask = np.asarray(Image.open(written.path))
    assert (mask[:3] == 7).all()
    assert (mask[6:, :2] == (7 if everything else 0)).all()
    assert ("1 stray piece left out" in said[0]) is not everything


def test_voxels_without_end_are_not_looked_for_among_the_training_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header that points at a device was read for ever, to know whether the model was trained on it."""
    opened = OpenModel(PLAN, lambda: nullcontext(find), trained_on=frozenset({"00"}))
    monkeypatch.setattr(segmentation, "open_segmenter", lambda *a, **k: opened)
    header = tmp_path / "x.mhd"
    header.write_text(
        "ObjectType = Image\nNDims = 2\nDimSize = 8 8\nElementType = MET_UCHAR\nElementDataFile = /dev/zero\n"
    )
    with pytest.raises(DataError, match="is a pipe, a socket or a device"):
        segmentation.segment(tmp_path / "m", [header], tmp_path / "out", echo=lambda text: None).check()
    with pytest.raises(DataError, match="cannot be read to its end"):
        digest_of([header])
