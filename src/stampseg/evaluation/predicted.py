"""A prediction beside the label of its case, as class indices on one grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.cases import Case
from ..data.io.placing import on_grid_of
from ..data.io.volume import Header
from ..data.labels.label_table import to_classes
from ..data.labels.organs import read_label_files
from ..data.plan import Plan


@dataclass(frozen=True, eq=False)
class Predicted:
    """A prediction and its reference.

    Attributes:
        person: whose.
        classes, reference: class indices (*S); what is left out is no class of the reference.
        spacing: of a voxel along each axis in mm; ones for pictures.
        known: where the reference says something (*S) bool; None: everywhere.
    """

    person: str
    classes: np.ndarray
    reference: np.ndarray
    spacing: tuple[float, ...]
    known: np.ndarray | None = None

    @classmethod
    def of(cls, case: Case, classes: np.ndarray, header: Header, plan: Plan) -> Predicted:
        """Class indices (*S) on the grid of `header`, beside the label of their case."""
        reference = reference_of(case, header, plan)
        known = None if plan.unknown_class is None else reference != plan.unknown_class
        return cls(case.group, classes, reference, header.spacing, known)


def reference_of(case: Case, header: Header, plan: Plan) -> np.ndarray:
    """Class indices (*S) of the label of a case on the grid of `header`; what is left out: `unknown_class`.

    Raises:
        DataError: it cannot be read, lies on another grid, or holds a value that the plan does not know.
    """
    assert case.label_files is not None
    label = on_grid_of(read_label_files(case.label_files), header)
    return to_classes(label.array, plan.label_values, label.header.path, plan.ignored_value, plan.relabel)
