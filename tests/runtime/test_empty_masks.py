"""Masks of nothing, where it is right that most scans hold nothing; and what is said of false alarms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stampseg.data.calibration import MEASURE, Calibration
from stampseg.data.io.volume import Header
from stampseg.data.plan import Plan, TrainingScans
from stampseg.runtime import stream
from stampseg.runtime.confidence import Confident
from stampseg.runtime.suggestion import suggest
from stampseg.runtime.trust import (
    Assessed,
    LabelTrust,
    Trust,
    UntrustedError,
    source_of,
    trust_of,
)  # fmt: skip
from stampseg.runtime.trust_files import write_trust
from tests.runtime.bright import CURVE, SHAPE, disc, plan, predict, put


def lesions(**counts: float) -> Plan:
    """Of nine cases that train, three hold a lesion."""
    shape = SHAPE.model_copy(update={"cases": 3})
    scans = TrainingScans(
        spacing=((1, 1),) * 2, extent=((16, 16),) * 2, values=((0, 255),) * 3, labels=(None, shape), cases=9
    )
    curve = CURVE.model_copy(update=counts)
    known = Calibration(labels=(None, curve), source="validation", measure=MEASURE)
    return plan(scans=scans, calibration=known, label_names=("background", "lesion"))


def trusted(mask: np.ndarray, settings: Plan, certainty: float | None) -> Trust:
    header = Header(mask.shape, (1.0, 1.0), None, 1, "uint8", Path("a.png"), True)
    found = Confident(mask.astype(np.uint8), 0, (0.9, certainty), np.zeros_like(mask))
    return trust_of(found, settings, header, ())


@pytest.mark.parametrize("certainty", [None, 0.167])  # the turned views find nothing either, or a few pixels
def test_a_scan_in_which_a_lesion_is_rightly_not_found_is_not_the_worst(certainty: float | None) -> None:
    settings = lesions(found=8, vain=2, empty=20, missed=1)
    nothing = trusted(np.zeros((16, 16)), settings, certainty)
    assert nothing.words() == "nothing found" and nothing.labels[0].expected is None
    assert nothing.lowest == pytest.approx(0.95)  # the Dice to be expected, 1 where nothing is there
    assert trusted(disc((16, 16), 5), settings, 0.5).lowest == pytest.approx(0.4)
    unknown = trusted(np.zeros((16, 16)), lesions(), certainty)
    assert unknown.worst is None and unknown.lowest == pytest.approx(6 / 9)  # as the training cases have it


def test_a_least_dice_does_not_fail_for_scans_without_a_lesion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {"none": np.zeros((16, 16)), "one": disc((16, 16), 5)}
    monkeypatch.setattr(stream, "remarks", lambda *_: [])  # that all is 0
    for number, counts in enumerate(({"empty": 20, "missed": 1}, {})):
        place = tmp_path / str(number)
        place.mkdir()
        said = predict(place, monkeypatch, lesions(**counts), images, fail_below=0.6)
        assert [line.split()[0] for line in said if line.startswith("  ")] == (
            ["one.png", "none.png"] if counts else ["none.png", "one.png"]
        )
        (record, _) = json.loads((place / "out" / "confidence.json").read_text())["scans"][
            :: 1 - 2 * bool(counts)
        ]
        assert record["labels"]["lesion"]["found"] is False
        assert record["labels"]["lesion"]["expected_dice"] is None
    message = "none.png: nothing found of lesion, which was right in 40% of such masks, below the 0.6"
    with pytest.raises(UntrustedError, match=message):
        predict(tmp_path, monkeypatch, lesions(empty=20, missed=12), images, fail_below=0.6)


def test_what_is_found_beside_nothing_of_others() -> None:
    labels = (LabelTrust("liver", 0.9, (0.8, 0.7, 0.9)), LabelTrust("cyst", None, None, found=False))
    assert Trust(labels, ()).words() == "expected Dice liver 0.80 (0.70 to 0.90); nothing found of cyst"
    assert Trust(labels, ()).lowest == 0.8
    assert Trust((labels[0], replace(labels[1], right=0.5)), ()).lowest == 0.5
    assert Trust(labels[1:], ()).words() == "nothing found"


def test_of_how_many_people_is_said_and_how_often_the_label_was_found_in_vain(tmp_path: Path) -> None:
    by = "expected Dice, with intervals of 90%, by 9 people who validated, and by whom the model was chosen"
    alarms = (
        "lesion was not where it was found (a false alarm, or in the wrong place) in 2 of 8 masks with it"
    )
    assert source_of(lesions()) == by and source_of(lesions(found=8, empty=20)) == by
    assert source_of(lesions(found=8, vain=2)) == f"{by}; of theirs, {alarms}"
    settings = lesions(found=8, vain=2, empty=20, missed=1, people=6, level=6 / 7)
    assert source_of(settings) == (
        "expected Dice, by 6 people who validated, and by whom the model was chosen: too few for an interval "
        f"of 90%; of theirs, {alarms}, and missed in 1 of 20 without"
    )
    trust = trusted(disc((16, 16), 5), settings, 0.5)
    assert trust.words() == "expected Dice 0.40"
    mask = Assessed(Path("a.png"), Path("m.png"), Path("u.png"), trust)
    write_trust(tmp_path, [(mask, "")], settings, {})
    (scan,) = json.loads((tmp_path / "confidence.json").read_text())["scans"]
    of = scan["labels"]["lesion"]
    assert of["interval"] is None and of["expected_dice"] == pytest.approx(0.4)
    assert ",lesion,0.4000,,,0.5000," in (tmp_path / "confidence.csv").read_text()
    three = lesions(people=6, level=6 / 7)
    assert three.calibration is not None and three.calibration.labels[1] is not None
    known = Calibration(labels=(None, CURVE, three.calibration.labels[1]), source="folds", measure=MEASURE)
    names = {"label_values": (0, 1, 2), "label_names": ("background", "liver", "cyst")}
    assert source_of(plan(calibration=known, **names)) == (
        "expected Dice, with intervals of 90% (but of cyst: too few people), by 6 people of the folds"
    )


def test_scans_of_nothing_are_not_suggested_before_a_doubtful_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is found in four, which are all alike, and a lesion is doubted in one."""
    images = {f"none{number}": np.zeros((16, 16)) for number in range(4)}
    images["doubtful"] = np.maximum(0.53 * disc((16, 16), 4, (9, 9)), disc((16, 16), 0, (15, 15)))
    said: list[str] = []
    folder = put(tmp_path, monkeypatch, lesions(found=8, empty=20, missed=1), images)
    found = suggest(Path("model"), [folder], tmp_path / "todo", 2, echo=said.append)
    assert found[0].case.id == "doubtful" and found[0].reason.startswith("expected Dice 0.")
    assert found[1].reason.startswith("nothing found") and found[1].figure == pytest.approx(0.95)
    assert "; nothing found in 4; " in said[0]
    (tmp_path / "other").mkdir()
    few = {name: images[name] for name in ("none0", "doubtful")}
    unknown = lesions().model_copy(update={"calibration": None})  # a third of the cases that trained hold one
    folder = put(tmp_path / "other", monkeypatch, unknown, few)
    first, second = suggest(Path("model"), [folder], tmp_path / "again", 2, echo=said.append)
    assert {one.case.id: one.figure for one in (first, second)}["none0"] == pytest.approx(6 / 9)
