"""Which network is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from .options import Options


def as_json(values: dict[str, Any]) -> dict[str, Any]:
    """The values as a JSON file would give them back: tuples become lists.

    Raises:
        ValueError: something that JSON has no form for, such as a date, a set or not-a-number.
    """
    try:
        return json.loads(json.dumps(values, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"arguments are numbers, texts, true, false, null, lists and mappings of those ({error})"
        ) from None


_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {"width": 4, "poolings": 4, "norm": "batch", "activation": "relu"},
}


class NetworkOptions(Options):
    """The network to train."""

    name: str = Field(
        "unet",
        description="unet, monai.UNet, nnunet.PlainConvUNet, smp.Unet, ... (docs/reference/networks.md), or "
        "your own as package.module:Class.",
    )
    arguments: Annotated[dict[str, Any], AfterValidator(as_json)] = Field(
        default_factory=dict,
        description="Arguments of its constructor, before those that the plan and the options give.",
    )
    preset: Literal["default", "paper"] = Field(
        "default", description="paper: unet of width 4, 4 poolings, conv-ReLU-BatchNorm, as published."
    )
    width: int | None = Field(
        None, ge=1,
        description="Channels of the first level; each level doubles them. None: 8, or what is usual for the "
        "network.",
    )  # fmt: skip
    poolings: int | None = Field(None, ge=1, le=6, description="Levels below the first; None: planned.")
    norm: Literal["batch", "instance"] | None = Field(
        None, description="Normalisation layer. None: batch for unet, else the network's own."
    )
    activation: Literal["relu", "leaky_relu"] | None = Field(
        None, description="Activation. None: relu for unet, else the network's own."
    )
    widths_of: Path | None = Field(
        None,
        description="Run folder or model file of a pruned network, cut from this one: train its layers' "
        "widths from random weights (method dense). A control: what pruning gives beyond the widths.",
    )

    @property
    def settled(self) -> NetworkOptions:
        """The same with the preset's values where none is given: what a network is built from."""
        preset = _PRESETS[self.preset]
        return self.model_copy(update={n: v for n, v in preset.items() if getattr(self, n) is None})

    @model_validator(mode="after")
    def _preset_of_unet(self) -> NetworkOptions:
        if self.preset == "paper" and self.name != "unet":
            raise ValueError(f"the preset paper is of network unet; {self.name} has none")
        return self
