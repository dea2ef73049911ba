"""How far a mask can be trusted: against a slow twin, by laws, and through `predict`."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.special import entr

from stampseg.core.errors import ConfigError, DataError
from stampseg.data.calibration import MEASURE, Calibration
from stampseg.data.io.volume import Header
from stampseg.data.plan import TrainingScans
from stampseg.data.preprocess import Geometry, Prepared
from stampseg.runtime.confidence import ANGLE, Agreement, segment_confidently, turned
from stampseg.runtime.sliding import segment_windows, softmax
from stampseg.runtime.trust import (
    Assessed,
    LabelTrust,
    Trust,
    UntrustedError,
    check_calibrated,
    refuse_untrusted,
    trust_of,
)  # fmt: skip
from stampseg.runtime.trust_files import summary, write_trust
from tests.runtime.bright import CURVE, SHAPE, bright, disc, plan, predict


def confident(image, settings, scorer=bright):
    prepared = Prepared(image[None].astype(np.float32), None, Geometry.working(image.shape))
    return segment_confidently(prepared, settings, scorer)


@pytest.mark.parametrize("shape", [(16, 16), (30, 22)])
def test_the_mask_is_the_one_without_confidence(shape):
    image = gaussian_filter(np.random.default_rng(0).random(shape), 2).astype(np.float32)
    image = (image - image.min()) / np.ptp(image)
    prepared = Prepared(image[None], None, Geometry.working(shape))
    found = segment_confidently(prepared, plan(), bright)
    assert np.array_equal(found.mask, segment_windows(prepared, plan(), bright))


def test_a_label_of_the_turned_views_alone_has_a_certainty_though_its_probability_is_no_number():
    own = np.stack([np.ones((4, 4), np.float32), np.zeros((4, 4), np.float32)])
    other = own.copy()
    other[:, 0, 0] = 0, 1
    agreement = Agreement(plan())
    agreement.add([own, other, own])
    assert agreement.certainty()[1] == pytest.approx((0 + 0.5 + 0) / 3)  # the third agrees


def test_certainty_against_a_slow_twin():
    """One window: rotated by SciPy, segmented, rotated back, compared by hand."""
    rng = np.random.default_rng(1)
    image = gaussian_filter(rng.random((16, 16)), 1.5).astype(np.float32)
    image = (image - image.min()) / np.ptp(image)
    own = softmax(bright(image[None, None]))[0]
    middle = np.array([7.5, 7.5])
    agreed = []
    for angle in (ANGLE, -ANGLE):
        there = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        view = affine_transform(image, there, middle - there @ middle, order=1, mode="nearest")
        logits = bright(view[None, None])[0]
        back = [
            affine_transform(x, there.T, middle - there.T @ middle, order=1, mode="nearest") for x in logits
        ]
        other = back[1] > back[0]
        mask = own[1] > own[0]
        agreed.append(2 * (mask & other).sum() / (mask.sum() + other.sum()))
    soft = 2 * own[1][own[1] > own[0]].sum() / ((own[1] > own[0]).sum() + own[1].sum())
    p = own[1].astype(np.float64).clip(0, 1)
    clear = 1 / (1 + (entr(p) + entr(1 - p)).sum() / (own[1] > own[0]).sum())
    found = confident(image, plan())
    assert found.certainty[1] == pytest.approx((soft + np.mean(agreed) + clear) / 3, abs=0.01)


def test_what_is_sure_is_more_certain_than_what_is_not():
    sure = confident(disc((16, 16), 5), plan())
    faint = confident(0.52 * disc((16, 16), 5), plan())
    assert sure.certainty[1] > 0.9 > 0.75 > faint.certainty[1]
    assert sure.uncertainty[8, 8] < 5 < 100 < faint.uncertainty[8, 8]
    assert confident(np.zeros((16, 16)), plan()).certainty[1] is None


def test_a_label_that_only_turned_views_find_is_not_to_be_trusted():
    calls = []

    def turned_only(windows):
        calls.append(windows)
        return bright(windows) if len(calls) == 1 else bright(windows + 1)

    found = confident(np.zeros((16, 16)), plan(), turned_only)
    assert len(calls) == 3 and not found.mask.any() and found.certainty[1] < 0.05


def test_windows_are_turned_in_the_plane_of_the_finest_voxels():
    settings = plan((12, 12, 6), spacing=(1.0, 1.0, 5.0))
    seen = []

    def look(windows):
        seen.append(windows.copy())
        return bright(windows)

    image = np.zeros((1, 1, 12, 12, 6), np.float32)
    image[0, 0, 2:10, 5:7, 3] = 1
    turned(look, settings, ANGLE)(image)
    assert not seen[0][..., [0, 1, 2, 4, 5]].any()
    assert seen[0][..., 3].sum() == pytest.approx(image.sum(), rel=0.05)
    assert not np.array_equal(seen[0], image)


@pytest.mark.parametrize("patch", [(9, 14), (12, 9, 4), (4, 9, 12), (6, 1)])
def test_turning_by_weights_is_what_scipy_gives(patch):
    """Oracle: `affine_transform` of every channel, there and back, scores above those of the first class."""
    spacing = tuple(3.0 if size == min(patch) else 1.0 + 0.5 * (size == 9) for size in patch)
    settings = plan(patch, spacing=spacing)
    plane = sorted(sorted(range(len(patch)), key=lambda axis: spacing[axis])[:2])
    windows = np.random.default_rng(3).random((2, 1, *patch)).astype(np.float32)

    def slow(arrays, angle):
        matrix, sizes = np.eye(len(patch)), np.array(spacing)
        matrix[np.ix_(plane, plane)] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = matrix * sizes[None, :] / sizes[:, None]
        middle = (np.array(patch) - 1) / 2
        out = np.empty_like(arrays)
        for place in np.ndindex(arrays.shape[:2]):
            out[place] = affine_transform(
                arrays[place], matrix, middle - matrix @ middle, order=1, mode="nearest"
            )
        return out

    scores = slow(bright(slow(windows, ANGLE)), -ANGLE)
    found = turned(bright, settings, ANGLE)(windows)
    np.testing.assert_allclose(found, scores - scores[:, :1], atol=2e-5)


def test_a_turn_keeps_lengths_in_mm():
    settings = plan((24, 24), spacing=(1.0, 2.0))
    seen = []

    def look(windows):
        seen.append(windows[0, 0].copy())
        return bright(windows)

    image = np.zeros((24, 24), np.float32)
    image[2:22, 11:13] = 1  # 20 mm along the rows
    turned(look, settings, ANGLE)(image[None, None])
    rows, columns = np.indices((24, 24)) - 11.5
    weight = seen[0] / seen[0].sum()
    spread = np.cov(np.stack([rows.ravel() * 1.0, columns.ravel() * 2.0]), aweights=weight.ravel())
    direction = np.linalg.eigh(spread)[1][:, -1]
    assert abs(np.degrees(np.arctan2(direction[1], direction[0]))) % 180 == pytest.approx(10, abs=1.5) or (
        abs(np.degrees(np.arctan2(direction[1], direction[0]))) % 180 == pytest.approx(170, abs=1.5)
    )


def settings_of(**changes):
    labels = (None, SHAPE)
    scans = TrainingScans(
        spacing=((1, 1),) * 2, extent=((16, 16),) * 2, values=((0, 255),) * 3, labels=labels
    )
    return plan(
        scans=scans, calibration=Calibration(labels=(None, CURVE), source="folds", measure=MEASURE), **changes
    )


IMAGES = {
    "a": disc((16, 16), 5),
    "b": np.maximum(0.53 * disc((16, 16), 2, (0, 3)), disc((16, 16), 0, (15, 15))),
}


def test_predict_says_how_far_masks_can_be_trusted(tmp_path, monkeypatch):
    said = predict(tmp_path, monkeypatch, settings_of(), IMAGES, confidence=True)
    assert "  expected Dice 0.80 (0.70 to 0.90)" in said[0]
    assert said[2] == "to look at first:" and said[3].startswith("  b.png  expected Dice ")
    assert "liver: reaches the border of the image, as no training label does" in said[3]
    assert "1 mask of 2 with something unusual; expected Dice, with intervals of 90%, by 9 people" in said[5]
    record = json.loads((tmp_path / "out" / "confidence.json").read_text())
    assert [scan["mask"] for scan in record["scans"]] == ["b.png", "a.png"]
    of_a = record["scans"][1]["labels"]["liver"]
    assert of_a["expected_dice"] == pytest.approx(0.8 * of_a["certainty"])
    assert record["scans"][1]["flags"] == []
    table = (tmp_path / "out" / "confidence.csv").read_text().splitlines()
    assert table[0] == "image,mask,label,expected_dice,low,high,certainty,flags" and len(table) == 3
    doubts = np.asarray(Image.open(tmp_path / "out" / "a_uncertainty.png"))
    assert doubts.shape == (16, 16) and 5 < doubts.max() <= 50 and doubts[8, 8] < 3
    shown = np.asarray(Image.open(tmp_path / "out" / "a_uncertainty.png").convert("L"))
    assert shown.max() > 3 * doubts.max() and shown[8, 8] < 20  # a viewer shows doubt bright


def test_masks_of_which_too_little_is_expected_end_a_pipeline(tmp_path, monkeypatch):
    with pytest.raises(UntrustedError, match=r"b.png: an expected Dice of 0.\d+, below the 0.7 of"):
        predict(tmp_path, monkeypatch, settings_of(), IMAGES, fail_below=0.7)
    assert (tmp_path / "out" / "b.png").exists() and (tmp_path / "out" / "confidence.json").exists()


def test_a_model_that_was_held_against_nobody_says_so(tmp_path, monkeypatch):
    said = predict(tmp_path, monkeypatch, plan(), IMAGES, confidence=True)
    assert "  certainty 1.00" in said[0]
    assert "certainty ranks these masks and is no Dice" in said[-2]
    with pytest.raises(ConfigError, match=r"`fail_below` 0\.5: the model was not held against people"):
        predict(tmp_path, monkeypatch, plan(), IMAGES, fail_below=0.5)


def test_nothing_that_is_there_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    for name in ("a_uncertainty.png", "confidence.csv"):
        place = tmp_path / "out" / name
        place.write_text("mine")
        with pytest.raises(DataError, match=f"{name}: exists already"):
            predict(tmp_path, monkeypatch, settings_of(), IMAGES, confidence=True)
        assert place.read_text() == "mine" and not (tmp_path / "out" / "a.png").exists()
        place.unlink()


def test_an_organ_that_is_always_there_and_is_not_found_counts_as_nothing():
    """The bright disc is liver; of the kidney nothing is found, though all nine training cases have it."""

    def two(windows):
        return np.concatenate([bright(windows), np.full_like(windows[:, :1], -9)], axis=1)

    labels, calibration = (
        (None, SHAPE, SHAPE),
        Calibration(labels=(None, CURVE, CURVE), source="folds", measure=MEASURE),
    )
    scans = TrainingScans(spacing=((1, 1),) * 2, extent=((16, 16),) * 2, values=(), labels=labels, cases=9)
    settings = plan(
        label_values=(0, 7, 9), label_names=("background", "liver", "kidney"), scans=scans,
        calibration=calibration,
    )  # fmt: skip
    image = disc((16, 16), 5)
    found = confident(image, settings, two)
    header = Header((16, 16), (1.0, 1.0), None, 1, "uint8", Path("a.png"), True)
    trust = trust_of(found, settings, header, ())
    assert trust.words() == "expected Dice liver 0.80 (0.70 to 0.90), kidney not found"
    assert trust.lowest == 0.0
    partly = Calibration(labels=(None, CURVE, None), source="folds", measure=MEASURE)
    with pytest.raises(ConfigError, match=r"`fail_below` 0\.5: of kidney the model does not know its Dice"):
        check_calibrated(settings.model_copy(update={"calibration": partly}), 0.5)


def test_pieces_left_out_are_unusual_where_they_were_much_of_what_was_found(tmp_path, monkeypatch):
    """A disc that is sure, and beside it a larger one that is not, or a smaller one."""
    body = disc((16, 16), 3, (4, 4))
    large, small = (0.53 * disc((16, 16), radius, (11, 11)) for radius in (4, 2))
    images = {"much": np.maximum(body, large), "speck": np.maximum(body, small)}
    shape = SHAPE.model_copy(update={"size": (20.0, 90.0)})
    scans = TrainingScans(
        spacing=((1, 1),) * 2, extent=((16, 16),) * 2, values=((0, 255),) * 3, labels=(None, shape)
    )
    settings = plan(scans=scans, one_piece=(1,))
    said = predict(tmp_path, monkeypatch, settings, images, confidence=True)
    share = (large > 0).sum() / ((large > 0).sum() + body.sum())
    lines = {line.split()[0]: line for line in said if line.startswith("  ")}
    assert lines["much.png"].endswith(f"1 stray piece left out, {share:.0%} of what was found of a label")
    assert "left out" not in lines["speck.png"]


def test_of_all_pieces_no_dice_is_expected_that_was_measured_on_the_surest() -> None:
    calibration = Calibration(labels=(None, CURVE, CURVE), source="validation", measure=MEASURE)
    names, values = ("background", "liver", "spleen"), (0, 1, 2)
    settings = plan(label_names=names, label_values=values, calibration=calibration, one_piece=(1,))
    every = settings.with_all_pieces()
    assert every.one_piece == () and every.calibration is not None
    assert every.calibration.labels == (None, None, CURVE)
    with pytest.raises(ConfigError, match="of liver the model does not know its Dice"):
        check_calibrated(every, 0.5)
    check_calibrated(settings, 0.5)


def test_what_is_unusual_is_named_though_much_is_expected_of_it() -> None:
    def assessed(number: int) -> Assessed:
        name = Path(f"{number:02d}.png")
        flags = ("2 stray pieces",) if number >= 8 else ()
        label = LabelTrust("liver", 0.5 + number / 100, (0.5 + number / 100, 0.4, 0.9))
        return Assessed(name, name, name, Trust((label,), flags))

    def named(count: int) -> list[str]:
        said = summary([assessed(number) for number in range(count)], settings_of(), Path("out"))
        return [line.split()[0] for line in said if line.startswith("  ")]

    assert named(7) == [f"{n:02d}.png" for n in range(5)]
    assert named(10) == [f"{n:02d}.png" for n in (*range(5), 8, 9)]
    assert named(16) == [f"{n:02d}.png" for n in (*range(5), *range(8, 13))] + ["and"]


def test_no_dice_is_promised_of_an_image_unlike_the_training_scans() -> None:
    def assessed(name: str, dice: float, *unlike: str) -> Assessed:
        trust = Trust((LabelTrust("liver", dice, (dice, 0.4, 1.0)),), unlike, unlike)
        return Assessed(Path(name), Path(name), Path(name), trust)

    good, other, low = (
        assessed("good.png", 0.9),
        assessed("other.png", 0.93, "9 px in extent"),
        assessed("low.png", 0.5),
    )
    assert good.trust.words() == "expected Dice 0.90 (0.40 to 1.00)"
    assert other.trust.words() == "expected Dice 0.93 (0.40 to 1.00) if it were like the training scans"
    refuse_untrusted([good, other], None)
    refuse_untrusted([good], 0.8)
    message = r"^other.png: its image is unlike .* \(9 px in extent\), so that the 0.8 .* as of 1 mask of 2;"
    with pytest.raises(UntrustedError, match=message):
        refuse_untrusted([good, other], 0.8)
    message = r"^low.png: an expected Dice of 0.50, below the 0.8 .* as 2 masks of 3 \(1 of images unlike"
    with pytest.raises(UntrustedError, match=message):
        refuse_untrusted([good, other, low], 0.8)


def test_what_is_missing_has_no_expected_dice_in_words() -> None:
    missing = LabelTrust("liver", None, (0.0, 0.0, 0.0), missing=True, found=False)
    assert Trust((missing,), ()).words() == "not found"


def test_absurd_masks_are_told_of_without_confidence_and_once_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mask far beyond the sizes of training, and an empty one of a label that all nine cases have."""
    labels = (None, SHAPE)
    scans = TrainingScans(
        spacing=((1, 1),) * 2, extent=((16, 16),) * 2, values=((0, 255),) * 3, labels=labels, cases=9
    )
    images = {"good": disc((16, 16), 5), "none": np.zeros((16, 16)), "tiny": disc((16, 16), 1)}
    told = "the mask is unlike all that the model was trained on:"
    tiny = "liver: 4 pixels (trained on 60 to 90)"
    said = predict(tmp_path, monkeypatch, plan(scans=scans), images)
    names = [tmp_path / "out" / f"{name}.png" for name in ("none", "tiny")]
    assert [line for line in said if told in line] == [
        f"WARNING: {names[0]}: {told} liver: nothing found",
        f"WARNING: {names[1]}: {told} {tiny}",
    ]
    said = predict(tmp_path, monkeypatch, plan(scans=scans), images, confidence=True, overwrite=True)
    assert not any(told in line for line in said) and sum(tiny in line for line in said) == 1
    many = tmp_path / "many"
    many.mkdir()
    images = {f"{number}": images["tiny"] for number in range(8)}
    said = predict(many, monkeypatch, plan(scans=scans), images)
    assert sum(told in line for line in said) == 5 and "WARNING: 3 more masks as unlike as these" in said
    alone = tmp_path / "alone"
    alone.mkdir()
    said = predict(alone, monkeypatch, plan(scans=scans), {"none": np.zeros((16, 16))})
    assert said[-1] == "WARNING: nothing was found: the mask is empty" and not any(told in x for x in said)


def test_masks_are_made_without_what_their_shapes_are_measured_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    said = predict(tmp_path, monkeypatch, settings_of(), {"tiny": disc((16, 16), 1)})
    assert len(said) == 1 and (tmp_path / "out" / "tiny.png").exists()


@pytest.mark.parametrize(
    ("patch", "spacing"), [((12, 16, 1), (2.5, 2.5, 1.0)), ((1, 12, 16), (1.0, 1.0, 1.0))]
)
def test_one_slice_is_turned_within_it(patch, spacing):
    """An axis of one voxel cannot be turned: the views would be the image itself, and all certain."""
    flat = patch.index(1)
    settings = plan(patch, spacing=spacing)
    window = np.random.default_rng(0).normal(size=(1, 1, *patch)).astype(np.float32)
    seen = []

    def look(windows):
        seen.append(windows)
        return np.zeros((1, 2, *windows.shape[2:]), np.float32)

    turned(look, settings, ANGLE)(window)
    picture = plan((12, 16), spacing=(1.0, 1.0))
    turned(look, picture, ANGLE)(np.moveaxis(window, 2 + flat, -1)[..., 0])
    np.testing.assert_allclose(np.moveaxis(seen[0], 2 + flat, -1)[..., 0], seen[1], atol=1e-6)
    assert np.abs(seen[1] - np.moveaxis(window, 2 + flat, -1)[..., 0]).max() > 0.5


def test_a_row_of_the_table_has_the_flags_of_its_label_and_of_the_image(tmp_path: Path) -> None:
    labels = (LabelTrust("liver", 0.9, None), LabelTrust("liver: cyst", 0.5, None))
    flags = (
        "darker than in training",
        "liver: 9 pieces (trained on 1 at most)",
        "liver: cyst: nothing found",
    )
    row = Assessed(Path("a.png"), Path("m.png"), Path("u.png"), Trust(labels, flags))
    write_trust(tmp_path, [(row, "")], settings_of(), {})
    with (tmp_path / "confidence.csv").open() as file:
        said = {line["label"]: line["flags"].split("; ") for line in csv.DictReader(file)}
    assert said["liver"] == list(flags[:2])
    assert said["liver: cyst"] == [flags[0], flags[2]]
