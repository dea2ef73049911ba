"""A look at a data set, as `check` takes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING

from ..core.config import Config
from ..core.remarks import gathered
from ..data.cases import Dataset
from ..data.io.kept import kept_files
from .cases import read_cases

if TYPE_CHECKING:
    from .examination import Examination

ROOM = 2**29  # bytes of voxels that are kept until the run is planned from them


@kept_files(ROOM)
def check(dataset: Dataset, config: Config, *, timing: bool = True) -> Examination:
    """Read every case once and plan the run; every problem is found instead of stopping at the first.

    Args:
        dataset: what there is.
        config: options of the run that would follow.
        timing: False leaves out the few training steps that tell how long the run would take.
    """
    # A network takes as long to import as files to read. Both change how warnings are shown, and put it back.
    with gathered(), ThreadPoolExecutor(1, "importing") as pool:
        pool.submit(import_module, ".examination", __package__)
        read = read_cases(dataset, config)
    from .examination import examine

    return examine(dataset, config, read, timing=timing)
