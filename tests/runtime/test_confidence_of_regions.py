"""Confidence of nnU-Net's regions, which may lie within one another: theirs, not that of the classes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stampseg.core.errors import ConfigError
from stampseg.data.calibration import MEASURE, Calibration, LabelCalibration
from stampseg.data.io.volume import Header
from stampseg.data.labels.regions import Region
from stampseg.data.labels.shapes import LabelShape
from stampseg.data.plan import Plan, TrainingScans
from stampseg.data.preprocess import Geometry, Prepared
from stampseg.runtime.confidence import Confident, segment_confidently
from stampseg.runtime.sliding import softmax
from stampseg.runtime.trust import check_calibrated, trust_of

NAMES = ("background", "whole without core", "core")
WHOLE, CORE = Region(name="whole", classes=(1, 2), written=1), Region(name="core", classes=(2,), written=2)
CURVE = LabelCalibration(certainty=(0.0, 1.0), dice=(0.0, 0.8), margin=0.1, people=9)


def plan(names: tuple[str, ...] = NAMES, **changes: object) -> Plan:
    values = {
        "spatial_dims": 2, "in_channels": 1, "label_values": tuple(range(len(names))), "crop": "none",
        "orientation": None, "label_names": names, "spacing": (1.0, 1.0), "patch_size": (16, 16),
        "normalization": "min-max", "ct": None, "strides": ((2, 2),),
    }  # fmt: skip
    return Plan.model_validate({**values, **changes})


def rings(windows: np.ndarray) -> np.ndarray:
    """Logits (B, 3, *S): between dark and bright both classes are as likely as the background."""
    lead = windows[:, :1] - 0.4
    return np.concatenate([-4 * lead, 0 * lead, 6 * (lead - 0.2)], axis=1).astype(np.float32)


def joined(windows: np.ndarray) -> np.ndarray:
    """The same with the two classes as one."""
    shares = np.stack([softmax(one[None])[0] for one in rings(windows)])
    return np.log(np.stack([shares[:, 0], shares[:, 1:].sum(1)], axis=1)).astype(np.float32)


def blurred() -> Prepared:
    image = gaussian_filter(np.random.default_rng(3).random((24, 20)), 2)
    image = (image - image.min()) / np.ptp(image)
    return Prepared(image[None].astype(np.float32), None, Geometry.working(image.shape))


def test_a_region_is_as_certain_as_a_class_of_its_own_would_be() -> None:
    found = segment_confidently(blurred(), plan(regions=(WHOLE, CORE)), rings)
    alone = segment_confidently(blurred(), plan(("background", "whole")), joined)
    assert (found.mask > 0).any() and np.array_equal(found.mask > 0, alone.mask > 0)
    assert found.certainty[1] == pytest.approx(alone.certainty[1], abs=1e-3)
    classes = segment_confidently(blurred(), plan(), rings)
    assert abs(classes.certainty[1] - found.certainty[1]) > 0.05  # what was called the whole's


def test_expected_dice_is_that_of_the_regions() -> None:
    shape = LabelShape(cases=9, size=(1.0, 400.0), pieces=1, at_border=False)
    scans = TrainingScans(
        spacing=((1.0, 1.0),) * 2, extent=((8.0, 8.0),) * 2, values=(), labels=(None, None, shape), cases=9
    )
    calibration = Calibration(labels=(None, CURVE, CURVE), source="folds", measure=MEASURE)
    settings = plan(regions=(WHOLE, CORE), calibration=calibration, scans=scans)
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 2:5] = 1
    header = Header(mask.shape, (1.0, 1.0), None, 1, "uint8", "a.png", True)  # type: ignore[arg-type]
    trust = trust_of(Confident(mask, 0, (0.9, 0.5, None), np.zeros_like(mask)), settings, header, [])
    assert [(label.name, label.missing) for label in trust.labels] == [("whole", False), ("core", True)]
    assert trust.labels[0].expected == pytest.approx((0.4, 0.3, 0.5))
    assert trust.lowest == 0
    with pytest.raises(ConfigError, match="of core the model does not know its Dice"):
        partly = Calibration(labels=(None, CURVE, None), source="folds", measure=MEASURE)
        check_calibrated(plan(regions=(WHOLE, CORE), calibration=partly), 0.5)


def test_a_calibration_is_of_every_region() -> None:
    with pytest.raises(ValueError, match="a calibration of 3 labels; expected 2, of background and each"):
        plan(
            regions=(WHOLE,),
            calibration=Calibration(labels=(None, CURVE, CURVE), source="folds", measure=MEASURE),
        )
