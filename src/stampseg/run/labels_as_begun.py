"""A stopped run goes on with labels that mean what they meant when it began."""

from __future__ import annotations

from ..core.errors import DataError
from ..data.cases import Dataset
from ..data.labels.label_table import LabelTable
from ..data.labels.regions import ValueRegion, regions_of_classes
from ..data.plan import Plan


def check_labels_as_begun(
    dataset: Dataset, plan: Plan, table: LabelTable, regions: tuple[ValueRegion, ...]
) -> None:
    """Hold what the data set says of its labels against the plan of the stopped run.

    Labels that hold other values are found by their files' digests, and told better there.

    Raises:
        DataError: it says something else by now.
    """
    changed = ["the label to be ignored"] if plan.ignored_value != table.ignored else []
    if not changed and plan.label_values == table.values:
        changed += ["names"] if plan.label_names != table.names else []
        changed += ["regions"] if plan.regions != regions_of_classes(regions, plan.label_values) else []
    if changed:
        raise DataError(
            f"{dataset.root}: what is said of its labels has changed since the run began "
            f"({' and '.join(changed)}); put things back as they were, or start a new run"
        )
