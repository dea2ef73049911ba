"""Export a model and prove the file on real cases: the work behind `stampseg export`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ..core.errors import ConfigError, DataError, ExportError
from ..core.files import refuse_existing, write_whole
from ..core.level import Level
from ..core.run_folder import caution_of
from ..core.text import size_text
from ..data.cases import find_dataset
from ..data.inputs import find_inputs
from ..networks.device import resolve_device, seed_everything
from ..networks.model_file import find_model, load_model
from ..runtime.details import Details, Precision
from ..runtime.session import open_session
from ..runtime.sliding import Scorer
from ..runtime.torch_program import open_program
from ..runtime.torch_scorer import for_prediction, scoring
from .building import Writer, build
from .forms import Format, check_precision, choose_format
from .page_form import open_page
from .parity import TOLERANCES, Parity, measure
from .trial import Trial, calibration_windows, trial_of_data, trial_of_inputs, trial_of_run


def export_file(
    model: Path,
    output: Path,
    *,
    format: str | None = None,
    precision: str = "f32",
    data: Path | None = None,
    images: Path | None = None,
    masks: Path | None = None,
    inputs: Sequence[Path] = (),
    cases: int = 3,
    tolerance: float | None = None,
    overwrite: bool = False,
    trusted: Collection[str] = (),
    echo: Callable[[str], None] = print,
) -> Parity:
    """Write the exported file, if it predicts what the model predicts.

    Args:
        model: run folder or model file.
        output: the file.
        format: None: as the file's name ends.
        precision: what it computes in.
        data: data set to try it on, with `images` and `masks` as in training.
        inputs: images to try it on instead.
        cases: how many at most.
        tolerance: Dice that may be lost; None: `TOLERANCES`.
        overwrite: replace a file that is there.
        trusted: `package.module:Class` names whose code the model may use.
        echo: is told what was found.

    Returns:
        How far the two are from each other.

    Raises:
        ConfigError: options that contradict each other; no case to try it on.
        DataError: the file exists already, or cannot be written; a case cannot be read.
        ModelFileError: the model cannot be loaded.
        ExportError: the network cannot be exported, or the file predicts something else.
    """
    kind, numbers = _settled(output, format, precision, cases, tolerance, overwrite)
    if data is not None and inputs:
        raise ConfigError("`data` and `inputs` both name cases to check the export on; give one of them")
    seed_everything(0)
    source = find_model(model)
    loaded = load_model(source, trusted=trusted)
    trial = _trial(source, data, images, masks, inputs, loaded.plan.in_channels, cases)
    windows = calibration_windows(trial.training, loaded.plan) if numbers == "int8" else []
    write, details = build(loaded, kind, numbers, windows)
    about = details.network
    echo(f"{about.name}: {about.parameters:,} parameters, {about.flops / 1e9:.3g} GFLOPs per window")
    if numbers == "int8":
        echo(f"ranges taken from {len(windows)} windows of {len(trial.training)} cases")
    if details.in_8_bits is not None:
        echo("{} of {} convolutions in 8 bits, the narrow ones in f32".format(*details.in_8_bits))
    if not details.any_size and kind != "html":
        echo(f"it takes windows of {size_text(loaded.plan.patch_size)} only, in any batch")
    opened = for_prediction(loaded, resolve_device("cpu"))
    most = TOLERANCES[numbers] if tolerance is None else tolerance
    with tempfile.TemporaryDirectory() as folder, scoring(opened.network, opened.device) as ours:
        place = Path(folder) / output.name
        _write_for_trial(write, place, details)
        parity = measure(trial.checked, loaded.plan, ours, _open(place, kind), most)
    _say(parity, trial, echo)
    failures = parity.failures(numbers)
    if failures:
        raise ExportError(f"{output}: not written: {'; '.join(failures)}; {_advice(kind, numbers)}")
    write_whole(output, lambda file: write(file, details.model_copy(update={"parity": parity.to_json()})))
    echo(f"{output}  {kind} {numbers}  {output.stat().st_size:,} bytes")
    for text in caution_of(source):
        echo(Level.WARNING.shown(text))
    return parity


def _settled(
    output: Path, format: str | None, precision: str, cases: int, tolerance: float | None, overwrite: bool
) -> tuple[Format, Precision]:
    """What was asked, before anything is loaded."""
    kind = choose_format(output, format)
    numbers = check_precision(kind, precision)
    if cases < 1:
        raise ConfigError(f"`cases` {cases}: expected at least 1 case to check the export on")
    if tolerance is not None and not 0 <= tolerance <= 1:
        raise ConfigError(f"`tolerance` {tolerance:g}: expected the Dice that may be lost, from 0 to 1")
    refuse_existing(output, overwrite)
    return kind, numbers


def _trial(
    model: Path,
    data: Path | None,
    images: Path | None,
    masks: Path | None,
    inputs: Sequence[Path],
    channels: int,
    most: int,
) -> Trial:
    if data is None and (images is not None or masks is not None):
        raise ConfigError("`images` and `masks` name folders of `data`, and there is none; give it as well")
    if inputs:
        return trial_of_inputs(find_inputs(inputs, channels), model, most)
    if data is not None:
        return trial_of_data(find_dataset(data, images=images, masks=masks), model, most)
    return trial_of_run(model, most)


def _write_for_trial(write: Writer, place: Path, details: Details) -> None:
    try:
        write(place, details)
    except OSError as error:
        raise DataError(
            f"{place}: cannot be written ({error.strerror or error}), where the file is tried before it is "
            "kept; check the disk, or name a folder on another one in the variable TMPDIR"
        ) from None


def _open(path: Path, format: Format) -> Scorer:
    if format == "torch-export":
        return open_program(path)
    if format == "html":
        return open_page(path)
    return open_session(path)


def _say(parity: Parity, trial: Trial, echo: Callable[[str], None]) -> None:
    names = ", ".join(case.id for case in trial.checked[:3]) + ", ..." * (parity.cases > 3)
    echo(f"predicted twice, by the network and by the file: {parity.cases} of {trial.origin} ({names})")
    echo(f"  largest difference of scores   {parity.largest_difference:.2g}")
    echo(f"  voxels whose label differs     {parity.label_share:.4%}")
    echo(f"  Dice between the two           {parity.dice:.4f}")
    if parity.dice_network is not None and parity.dice_exported is not None:
        echo(f"  Dice against the labels        {parity.dice_network:.4f} -> {parity.dice_exported:.4f}")
    if parity.found == 0:
        echo(
            Level.WARNING.shown(
                "the network finds nothing in these cases, so that equal masks say little; name cases in "
                "which it finds something (`data` or `inputs`)"
            )
        )


def _advice(format: Format, precision: Precision) -> str:
    if precision == "f32":
        return "try another `format`, or allow more with `tolerance`"
    other = "bf16 or f32" if precision == "int8" and format == "openvino" else "f32"
    return f"use `precision` {other}, or allow more with `tolerance`"
