"""What a network can be exported to: four kinds of file, three kinds of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from ..core.errors import ConfigError
from ..runtime.details import Precision

Format = Literal["onnx", "openvino", "torch-export", "html"]

SUFFIXES: dict[Format, str] = {
    "onnx": ".onnx",
    "openvino": ".openvino",
    "torch-export": ".pt2",
    "html": ".html",
}
_REFUSED: dict[tuple[str, str], str] = {
    ("onnx", "bf16"): "ONNX Runtime has no bfloat16 convolutions on the CPU; use `format` openvino for bf16, "
    "or `precision` f32 or int8",
    ("html", "bf16"): "browsers compute in f32; leave out `precision`",
    ("html", "int8"): "pages are proved in f32 only; leave out `precision`",
    ("torch-export", "int8"): "the quantisation of exported programs has left PyTorch for another "
    "package; use `format` openvino or onnx for int8, or `precision` bf16",
}


def choose_format(path: Path, named: str | None) -> Format:
    """The format that was named, or the one that the file's name ends in.

    Raises:
        ConfigError: neither says, they contradict each other, or no such format exists.
    """
    known: tuple[Format, ...] = get_args(Format)
    expected = ", ".join(f"{SUFFIXES[format]} ({format})" for format in known)
    told = next((format for format in known if path.name.endswith(SUFFIXES[format])), None)
    if named is not None and named not in known:
        raise ConfigError(f"`format` {named!r} is not known; expected one of {', '.join(known)}")
    if told is None:
        wanted = next((f"{path.name}{SUFFIXES[format]}" for format in known if format == named), None)
        hint = f"name it {wanted}" if wanted else f"expected one of {expected}"
        raise ConfigError(f"`output` {path}: the name does not end as an exported file does; {hint}")
    if named is not None and named != told:
        raise ConfigError(
            f"`output` {path} is the name of a file for {told}, and `format` says {named}; leave out "
            f"`format` or let the name end in {SUFFIXES[named]}"
        )
    return told


def check_precision(format: Format, precision: str) -> Precision:
    """The precision, if the format has it.

    Raises:
        ConfigError: it has not; says why, and what to use instead.
    """
    for known in get_args(Precision):
        if precision == known:
            refusal = _REFUSED.get((format, precision))
            if refusal is None:
                return known
            raise ConfigError(f"`precision` {precision} is not possible with `format` {format}: {refusal}")
    raise ConfigError(
        f"`precision` {precision!r} is not known; expected one of {', '.join(get_args(Precision))}"
    )
