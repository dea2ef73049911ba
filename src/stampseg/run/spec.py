"""What was asked of a run: enough to resume it, and to repeat it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..core.config import Config, parse_config
from ..core.errors import DataError

PATHS = ("data", "images", "masks", "model")


@dataclass(frozen=True)
class RunSpec:
    """A command of the user's, its paths absolute.

    Attributes:
        work: train, or prune a network that is already trained.
        data, images, masks: where the labelled scans are.
        config: options as they were given, before anything was settled.
        model, trusted: of `prune`.
        command: the words of the command line, given in `directory`.
    """

    work: Literal["train", "prune"]
    data: Path
    config: Config
    images: Path | None = None
    masks: Path | None = None
    model: Path | None = None
    trusted: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    directory: str = ""

    def absolute(self) -> RunSpec:
        """The same, good from any directory; images and masks are found in `data`, as by `find_dataset`."""
        data, model = self.data.absolute(), self.model
        return replace(
            self,
            data=data,
            images=data / self.images if self.images is not None else None,
            masks=data / self.masks if self.masks is not None else None,
            model=model.absolute() if model is not None else None,
        )

    def differences(self, other: RunSpec) -> list[str]:
        """Names of what another spec asks otherwise; how it was worded does not count."""
        mine, others = self.to_json(), other.to_json()
        names = {n for n in mine if n not in ("command", "directory", "config") and mine[n] != others[n]}
        ours, theirs = _flat(self.config.model_dump(mode="json")), _flat(other.config.model_dump(mode="json"))
        return sorted(names | {name for name in ours | theirs if ours.get(name) != theirs.get(name)})

    def to_json(self) -> dict[str, Any]:
        """What run.json holds."""
        values = asdict(replace(self, config=Config()))
        values["config"] = self.config.model_dump(mode="json", exclude_unset=True)
        return values | {name: str(values[name]) for name in PATHS if values[name] is not None}

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """From run.json.

        Raises:
            DataError: the file is missing or damaged.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values |= {name: Path(values[name]) for name in PATHS if values[name] is not None}
            config = parse_config(values.pop("config"), str(path))
            trusted, command = tuple(values.pop("trusted")), tuple(values.pop("command"))
            return cls(config=config, trusted=trusted, command=command, **values)
        except FileNotFoundError:
            raise DataError(
                f"{path.parent}: not a run folder of `stampseg train` or `stampseg prune` (there is no "
                f"{path.name}); name one that was stopped, or start a new run"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: damaged ({error}); start the run again in a new folder") from None


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"train": {"steps": 5}} -> {"train.steps": 5}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
