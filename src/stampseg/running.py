"""From an order to a finished run folder: started, or gone on with where a process was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .core.errors import ConfigError
from .data.cases import find_dataset
from .order import Order
from .pipeline import run_training
from .pruning import prune_trained
from .report.writing import report_of_run
from .reporters import Reporter
from .runs import RunFolder


def open_run(order: Order, output: Path) -> RunFolder:
    """A new folder for the order, or the one in which the same order was stopped.

    Raises:
        ConfigError: the folder holds something else, such as a run that has ended or of other options.
    """
    if not (output / "run.json").is_file() or (folder := RunFolder(output)).ended:
        return RunFolder.create(output, order)
    other = order.differences(folder.order)
    if other:
        raise ConfigError(
            f"{output}: holds a stopped run of other options ({', '.join(other)}); go on with it by "
            f"`stampseg train --resume {output}`, or choose another -o"
        )
    return RunFolder.reopen(output)


def carry_out(folder: RunFolder, order: Order, reporter: Reporter) -> dict[str, Any]:
    """Do what is asked, from the last checkpoint on if there is one.

    Returns:
        What result.json holds.
    """
    dataset = find_dataset(
        order.data, images=order.images, masks=order.masks, group_regex=order.config.group_regex
    )
    if order.work == "prune" and order.model is not None:
        result = prune_trained(order.model, order.trusted, dataset, folder, order.config, reporter)
    else:
        result = run_training(dataset, folder, order.config, reporter)
    trusted = (order.config.network.name, *order.trusted)
    reporter.note(report_of_run(folder.path, order.config.device, trusted))
    folder.finish()
    return result
