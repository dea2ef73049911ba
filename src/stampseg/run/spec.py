"""What was asked of a run: enough to resume it, and to repeat it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer

from ..core.config import Config, parse_config
from ..core.errors import ConfigError, DataError
from ..core.json_file import JsonFile
from ..core.run_folder import SPEC_FILE
from ..core.text import some
from ..data.splits.folds import Fold
from ..data.splits.record import SplitCase, Splits


def _checked(values: object) -> object:
    """Options as they stand in a file."""
    if not isinstance(values, dict):
        return values
    try:
        return parse_config(values, "options")
    except ConfigError as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True)
class RunSpec:
    """A command of the user's, its paths absolute.

    Attributes:
        work: train, or prune a network that is already trained.
        data, images, masks: where the labelled scans are.
        config: options as they were given, before anything was settled.
        model: of `prune`; of `train`, the run that is gone on from, to which `data` are added.
        trusted: `package.module:Class` names whose code `model` may use.
        fold: who trains and who is held out, where the run is one of several folds.
        command: the words of the command line, given in `directory`.
    """

    work: Literal["train", "prune"]
    data: Path
    config: Annotated[Config, BeforeValidator(_checked), PlainSerializer(Config.as_given)]
    images: Path | None = None
    masks: Path | None = None
    model: Path | None = None
    trusted: tuple[str, ...] = ()
    fold: Fold | None = None
    command: tuple[str, ...] = ()
    directory: str = ""

    @property
    def trusted_names(self) -> tuple[str, ...]:
        """Whose code the run may use: its network's, which the options name, and what is trusted beside."""
        return (self.config.network.name, *self.trusted)

    def absolute(self) -> RunSpec:
        """The same, good from any directory; images and masks are found in `data`, as by `find_dataset`."""
        data, model, config = self.data.absolute(), self.model, self.config
        if config.unlabelled.strip() not in ("auto", "none"):
            config = config.merged({"unlabelled": str(Path(config.unlabelled.strip()).absolute())})
        for name in ("validation", "test"):
            table = getattr(config.train, name).strip()
            if table.lower().endswith(".csv"):
                config = config.merged({"train": {name: str(Path(table).absolute())}})
        widths = config.network.widths_of
        if widths is not None:
            config = config.merged({"network": {"widths_of": str(widths.absolute())}})
        return replace(
            self,
            data=data,
            config=config,
            images=data / self.images if self.images is not None else None,
            masks=data / self.masks if self.masks is not None else None,
            model=model.absolute() if model is not None else None,
        )

    def on_devices(self, count: int) -> RunSpec:
        """The same, done by another number of processes: it is the same run."""
        return replace(self, config=self.config.merged({"devices": count}))

    def differences(self, other: RunSpec) -> list[str]:
        """Names of what another spec asks otherwise; how it was worded does not count, nor how many processes
        do it."""
        worded = ("command", "directory", "config")
        names = {
            each.name
            for each in fields(self)
            if each.name not in worded and getattr(self, each.name) != getattr(other, each.name)
        }
        ours, theirs = flat(self.config.model_dump(mode="json")), flat(other.config.model_dump(mode="json"))
        others = {name for name in ours | theirs if ours.get(name) != theirs.get(name)}
        return sorted(names | (others - {"devices"}))


SPEC = JsonFile(SPEC_FILE, RunSpec, remedy="start the run again in a new folder")


def read_spec(folder: Path) -> RunSpec:
    """What was asked of the run of a folder.

    Raises:
        DataError: its run.json is missing, damaged, or of a newer version.
    """
    if not (folder / SPEC.name).exists():
        raise DataError(
            f"{folder}: not a run folder of `stampseg train` or `stampseg prune` (there is no {SPEC.name}); "
            "name one that was stopped, or start a new run"
        )
    return SPEC.read(folder)


def case_differences(before: Splits, now: Splits) -> str:
    """Which cases of a run were altered since: " (with other content: p3; gone: p7)"."""
    first, second = ({entry.id: entry for entry in _labelled(splits)} for splits in (before, now))
    altered = [name for name in first.keys() & second.keys() if first[name].digest != second[name].digest]
    parts = {
        "with other content": altered,
        "gone": first.keys() - second.keys(),
        "new": second.keys() - first.keys(),
    }
    said = "; ".join(f"{what}: {some(sorted(names))}" for what, names in parts.items() if names)
    return f" ({said})" if said else ""


def _labelled(splits: Splits) -> tuple[SplitCase, ...]:
    return (*splits.training, *splits.validation, *splits.test, *splits.held_out)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"train": {"steps": 5}} -> {"train.steps": 5}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
