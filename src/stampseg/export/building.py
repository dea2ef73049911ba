"""A model becomes a file that needs no stampseg, and but for one format no PyTorch, to be run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ..core.errors import ExportError
from ..core.files import write_whole
from ..networks.model_file import Model, example_of
from ..runtime.details import Details, Precision
from ..runtime.sliding import Scorer
from .details import details_of, multiple_of
from .forms import Format, check_precision
from .onnx_form import onnx_of, quantised_onnx
from .openvino_form import openvino_of, quantised_openvino
from .page_form import PageForm, check_page
from .score_network import ScoreNetwork, score_network_of
from .torch_form import torch_form_of

DEVIATION = {torch.float32: 1e-3, torch.bfloat16: 0.2}  # of the largest score: rounding, no error of wiring
Writer = Callable[[Path, Details], None]


def export_model(
    model: Model,
    path: Path,
    *,
    format: Format,
    precision: Precision = "f32",
    calibration: Sequence[np.ndarray] = (),
) -> None:
    """Write the model as an exported file, which appears whole or not at all.

    Args:
        model: what `load_model` gave.
        path: the file.
        format: of the file.
        precision: what it computes in.
        calibration: windows (1, C, *patch) float32, prepared as for prediction; int8 needs some.

    Raises:
        ConfigError: the format has no such precision; a package, or the scripts of a page, are missing.
        ExportError: the network cannot be exported, or int8 without windows.
        ModelFileError: the model does not say how images are prepared.
    """
    write, details = build(model, format, precision, calibration)
    write_whole(path, lambda place: write(place, details))


def build(
    model: Model, format: Format, precision: Precision = "f32", calibration: Sequence[np.ndarray] = ()
) -> tuple[Writer, Details]:
    """The same in memory: what writes the file, and the details to write into it.

    Raises:
        As `export_model`.
    """
    check_precision(format, precision)
    if precision == "int8" and not calibration:
        raise ExportError("int8 needs windows of training cases to take its ranges from; none is given")
    if format == "torch-export":
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        scorer = score_network_of(model, dtype, channels_last=True)
        program = torch_form_of(scorer, example_of(model), multiple_of(model))
        return program.write, details_of(model, precision, _proved(scorer, program.run(), model))
    if format == "html":
        check_page(model.plan)
    scorer = score_network_of(model)
    form = onnx_of(scorer, example_of(model))
    details = details_of(model, precision, _proved(scorer, form.run(), model))
    if format == "html":
        return PageForm(form).write, details
    if format == "openvino":
        converted = openvino_of(form)
        return (
            quantised_openvino(converted, calibration) if precision == "int8" else converted
        ).write, details
    if precision == "int8":
        form, counts = quantised_onnx(form, calibration)
        details = details.model_copy(update={"in_8_bits": counts})
    return form.write, details


def _proved(scorer: ScoreNetwork, run: Scorer, model: Model) -> bool:
    """Compare with the network itself at another batch, and at another size if the network has one.

    Exporters record what one input did; a size that was taken for a constant shows only here.

    Returns:
        Whether the file takes other sizes than the patch.

    Raises:
        ExportError: it gives other scores, or takes no other batch.
    """
    name = type(scorer.network).__name__
    for batch in (1, 3):
        off = _deviation(scorer, run, example_of(model, batch))
        if off is None or off > DEVIATION[scorer.dtype]:
            said = "fails" if off is None else f"gives scores that differ by {off:.2g} of the largest"
            raise ExportError(
                f"{name} cannot be exported: for a batch of {batch} the exported network {said}; "
                "try another `format`"
            )
    off = _deviation(scorer, run, example_of(model, 1, multiple_of(model)))
    return off is not None and off <= DEVIATION[scorer.dtype]


def _deviation(scorer: ScoreNetwork, run: Scorer, image: torch.Tensor) -> float | None:
    """Largest difference as a share of the largest score; None where either refuses the image."""
    try:
        with torch.no_grad():
            expected = scorer(image).numpy()
        found = run(image.numpy())
    except Exception:  # of engines, in many classes
        return None
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-6))
