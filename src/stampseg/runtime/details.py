"""What an exported file says of itself: JSON under the key "stampseg"."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ..core.errors import ModelFileError
from ..core.json_file import JsonFile
from ..core.options import FileRecord
from ..data.labels.postprocess import Postprocessing, check_steps
from ..data.plan import Plan

KEY = "stampseg"  # of the metadata; in archives the file of that name
MOST_BYTES = 2**24  # of the description

Precision = Literal["f32", "bf16", "int8"]


class NetworkDetails(FileRecord):
    """The network that was exported, in figures."""

    name: str
    parameters: int
    flops: int


class Details(FileRecord):
    """All that is needed besides the network, and what is known of it.

    Attributes:
        plan: how images are prepared.
        precision: of the numbers it computes in.
        multiple: per axis, what the sizes of inputs are multiples of.
        any_size: whether it takes other sizes than the patch.
        network: its name and size.
        provenance: of the model file.
        in_8_bits: convolutions in 8 bits, and all; None where none is.
        postprocess: what is done to its masks.
        parity: what the check against the network itself measured; None where it was not checked.
    """

    plan: Plan
    precision: Precision
    multiple: tuple[int, ...] = ()
    any_size: bool = False
    network: NetworkDetails
    provenance: dict[str, Any] = Field(default_factory=dict)
    in_8_bits: tuple[int, int] | None = None
    postprocess: Postprocessing = ()
    parity: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _of_its_labels(self) -> Details:
        check_steps(self.postprocess, self.plan.out_channels)
        return self


DETAILS = JsonFile(f"{KEY}.json", Details, remedy="export the model again", error=ModelFileError)


def read_details(text: str | bytes | None, path: Path) -> Details:
    """The description in an exported file.

    Args:
        text: the JSON, or None if the file has none.
        path: named in errors.

    Raises:
        ModelFileError: there is none, it is damaged, or of a newer format.
    """
    if text is None:
        raise ModelFileError(
            f"{path}: holds no description of how images are prepared; expected a file written by "
            "`stampseg export`; export the model again"
        )
    if len(text) > MOST_BYTES:
        raise ModelFileError(
            f"{path}: its description has {len(text):,} bytes; expected at most {MOST_BYTES:,}; "
            "export the model again"
        )
    return DETAILS.parse(text, f"{path}: its description")
