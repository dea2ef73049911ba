"""A run's figures for TensorBoard and MLflow, written into the run folder; nothing leaves the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ..core.config import Config, Tracker
from ..core.level import Level
from ..core.packages import require
from ..core.run_folder import MLFLOW_FILE, TENSORBOARD_FOLDER
from ..train.round import Round
from .reporters import Reporter


@contextmanager
def tracking(names: Sequence[Tracker], folder: Path, config: Config) -> Iterator[list[Reporter]]:
    """The named trackers, open for one run.

    Args:
        names: tensorboard, mlflow.
        folder: of the run.
        config: MLflow shows its options beside the figures.

    Raises:
        MissingPackageError: a package is not installed; says what to install.
    """
    with ExitStack() as open_ones:
        yield [open_ones.enter_context(TRACKERS[name](folder, config)) for name in names]


def figures(turn: Round) -> dict[str, float]:
    """The figures of a round, by name."""
    values: dict[str, float] = {
        "loss": turn.loss,
        "parameters": turn.parameters,
        "flops": turn.flops,
        "memory": turn.memory,
    }
    if turn.latency is not None:
        values["latency"] = turn.latency
    if turn.validation is not None:
        values["dice"] = turn.validation.dice
        values |= {f"dice/{name}": dice for name, dice in turn.validation.per_label.items()}
    if turn.fit is not None:
        values |= {f"training dice/{name}": dice for name, dice in turn.fit.per_label.items()}
        values |= {f"student dice/{name}": dice for name, dice in turn.fit.student.items()}
        if turn.fit.agreement is not None:
            values["agreement"] = turn.fit.agreement
    values |= {f"width/{name}": width for name, width in turn.widths.items()}
    return values | {f"dropout/{name}": rate for name, rate in turn.dropout.items()}


class _TensorBoard:
    """Event files in RUN/tensorboard, for `tensorboard --logdir RUN`."""

    def __init__(self, folder: Path, config: Config) -> None:
        require("tensorboard", "`track` tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / TENSORBOARD_FOLDER))

    def __enter__(self) -> _TensorBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()

    def note(self, text: str, level: Level = Level.INFO) -> None:
        """Words belong to the run folder."""

    def step(self, done: int, total: int, loss: float) -> None:
        """The loss of every step."""
        self.writer.add_scalar("step/loss", loss, done)

    def round(self, turn: Round) -> None:
        """The figures of a round, at its step."""
        for name, value in figures(turn).items():
            self.writer.add_scalar(f"round/{name}", value, turn.steps)
        self.writer.flush()


class _MLflow:
    """A run in RUN/mlflow.db, for `mlflow ui --backend-store-uri sqlite:///RUN/mlflow.db`.

    Where MLFLOW_TRACKING_URI is set, that store is written to.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
        mlflow = require("mlflow", "`track` mlflow")
        if "MLFLOW_TRACKING_URI" not in os.environ:
            require("sqlalchemy", "`track` mlflow")
        store = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.absolute() / MLFLOW_FILE}")
        self.client: Any = mlflow.tracking.MlflowClient(tracking_uri=store)
        past = self.client.get_experiment_by_name("stampseg")
        experiment = past.experiment_id if past is not None else self.client.create_experiment("stampseg")
        self.run: str = self.client.create_run(experiment, run_name=folder.absolute().name).info.run_id
        for part, options in config.model_dump(mode="json").items():
            for name, value in (options if isinstance(options, dict) else {"": options}).items():
                self.client.log_param(self.run, f"{part}.{name}".rstrip("."), str(value)[:500])

    def __enter__(self) -> _MLflow:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.client.set_terminated(self.run, "FINISHED" if kind is None else "FAILED")

    def note(self, text: str, level: Level = Level.INFO) -> None:
        """Words belong to the run folder."""

    def step(self, done: int, total: int, loss: float) -> None:
        """Single steps would take longer to store than to train."""

    def round(self, turn: Round) -> None:
        """The figures of a round, at its step."""
        for name, value in figures(turn).items():
            self.client.log_metric(self.run, _plain(name), value, step=turn.steps)


def _plain(name: str) -> str:
    """MLflow takes letters, digits and a few marks in a name."""
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in name)


TRACKERS: dict[Tracker, Any] = {"tensorboard": _TensorBoard, "mlflow": _MLflow}
