"""A labelled case predicted on its own grid, beside its label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.cases import Case
from ..data.io.readers import read_image
from ..data.io.volume import Volume
from ..data.labels.postprocess import postprocessed
from ..data.preprocess import prepare
from ..evaluation.metrics import Metrics, evaluate_case
from ..evaluation.predicted import reference_of
from .confidence import segment_confidently
from .torch_scorer import OpenNetwork, predict_case, scoring


@dataclass(frozen=True, eq=False)
class Compared:
    """Class indices (*S) on the image's own grid, and the metrics of each class and their union.

    `certainty` of background and each structure (see `Confident`); empty where it was not asked for.
    """

    image: Volume
    prediction: np.ndarray
    reference: np.ndarray
    rows: tuple[Metrics, ...]
    certainty: tuple[float | None, ...] = ()


def compare(case: Case, opened: OpenNetwork, *, confidence: bool = False) -> Compared:
    """Predict a labelled case.

    Args:
        case: its image and label.
        opened: what predicts.
        confidence: also say how certain the network is, at three times the work.

    Raises:
        StampsegError: a file cannot be read or does not fit.
    """
    plan = opened.plan
    image = read_image(case.images, plan.in_channels)
    truth = reference_of(case, image.header, plan)
    certainty: tuple[float | None, ...] = ()
    if confidence:
        with scoring(opened.network, opened.device) as scorer:
            confident = segment_confidently(prepare(image, plan), plan, scorer)
        found, certainty = confident.mask, confident.certainty
    else:
        found = predict_case(opened.network, case, plan, opened.device)
    prediction = postprocessed(found, opened.steps, image.header.spacing)
    rows = evaluate_case(
        prediction, truth, image.header.spacing, dict(enumerate(plan.label_names)), case=case.id,
        unknown=plan.unknown_class, regions=plan.regions,
    )  # fmt: skip
    return Compared(image, prediction, truth, tuple(rows), certainty)
