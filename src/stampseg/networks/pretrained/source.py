"""A trained network to start from, whatever program wrote it: the files themselves tell which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ...channels.dropout import rate_names
from ...channels.surgery import state_of
from ...core.errors import ConfigError, ModelFileError
from ...core.run_folder import MODEL_FILE, is_run_folder
from ...core.text import shape_text
from ..custom import is_import_path
from ..model_file import find_model, put_state, read_description
from ..skeleton import check_example
from .checkpoint import find_weights, read_checkpoint, readings
from .monai_bundle import CONFIGS, is_bundle, open_bundle
from .nnunet_results import find_results, open_results
from .trained_network import Source

LISTED = 5  # names of each kind in the message of a misfit


def open_source(path: Path, *, trusted: Collection[str] = ()) -> Source:
    """Find out what a path holds, and read it; nothing in it is run.

    Args:
        path: our model file or run folder; an nnU-Net results folder, one of its folds or checkpoints; a
            MONAI bundle; or a state dict (.pt, .pth, .ckpt, .safetensors).
        trusted: `package.module:Class` names of networks whose code may be imported.

    Raises:
        ModelFileError: nothing there is understood, it is damaged, or it would run code.
    """
    source = _open(path, trusted)
    if source.spec is not None:
        try:
            check_example(source.spec.example_shape)
        except ConfigError as error:
            raise ModelFileError(f"{path}: {error}") from None
    return source


def find_model_file(path: Path) -> Path | None:
    """Our own model file that a path names, itself or in a run folder; None where it is another's.

    Raises:
        ModelFileError: there is nothing, a run without a model, or a .safetensors file that cannot be read.
    """
    if not path.exists():
        raise ModelFileError(f"{path}: no such file or folder; name a trained network")
    if path.is_dir() and ((path / MODEL_FILE).is_file() or is_run_folder(path)):
        return find_model(path)
    return path if path.is_file() and path.suffix == ".safetensors" and _is_model_file(path) else None


def _open(path: Path, trusted: Collection[str]) -> Source:
    model = find_model_file(path)
    if model is not None:
        return _open_model(model, path, trusted)
    results = find_results(path)
    if results is not None:
        return open_results(path, results)
    if path.is_dir() and is_bundle(path):
        return open_bundle(path, None, trusted)
    if path.is_dir():
        names = ", ".join(sorted(item.name for item in path.iterdir())[:6]) or "nothing"
        raise ModelFileError(
            f"{path}: holds {names}; expected a run folder ({MODEL_FILE}), an nnU-Net results folder "
            f"(plans.json, dataset.json, fold_0), or a MONAI bundle ({CONFIGS}/inference.json, "
            "models/model.pt)"
        )
    models = path.absolute().parent
    if models.name == "models" and is_bundle(models.parent):
        return open_bundle(models.parent, path, trusted)
    return _bare(path)


def _is_model_file(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return "stampseg" in (file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: not a readable .safetensors file ({error})") from None


def _open_model(file: Path, path: Path, trusted: Collection[str]) -> Source:
    description = read_description(file)
    name = description.network.name
    if is_import_path(name) and name not in trusted:
        raise ModelFileError(
            f"{file}: its network {name!r} is not part of stampseg; if you know its code, allow it with "
            f"`trusted` {name}"
        )
    return Source(
        kind="stampseg model",
        path=path,
        spec=description.network,
        plan=description.plan,
        kept=description.kept,
        weights=load_file(file),
        provenance=description.provenance,
    )


def _bare(path: Path) -> Source:
    weights, notes = find_weights(read_checkpoint(path), path)
    return Source(
        kind="state dict",
        path=path,
        weights=weights,
        notes=(
            *notes,
            "weights alone: the network is taken from `network.name` and `network.arguments`, and the "
            "preparation of images is planned from the data; set data.spacing, data.patch_size and "
            "data.normalization as in its training",
        ),
    )


def fill(network: nn.Module, source: Source) -> None:
    """Put the source's weights into `network`, cut to `source.kept` where that is given.

    A tensor that the network shares under several names is needed once. The network may be on the meta
    device; then its parameters become real.

    Raises:
        ModelFileError: a weight is missing, not the network's, of another shape, or no floating-point
            numbers where those are needed; the network is left as it was.
    """
    rates = rate_names(network)
    state = network.state_dict(keep_vars=True)
    expected = {n: t for n, t in {**state_of(network), **state}.items() if n not in rates}
    weights = _best_reading(source, expected)
    given = {id(expected[name]) for name in weights if name in expected}
    missing = [name for name, tensor in state.items() if name in expected and id(tensor) not in given]
    misfits = {"missing": missing, **_misfits(weights, expected)}
    if any(misfits.values()):
        raise ModelFileError(_misfit(source, network, misfits))
    with torch.no_grad():
        for name, tensor in weights.items():
            if not expected[name].is_meta:
                expected[name].copy_(tensor)
    first = state_of(network)
    names = {id(tensor): name for name, tensor in first.items()}
    put_state(
        network,
        {
            names[id(expected[name])]: tensor.to(expected[name].dtype).clone()
            for name, tensor in weights.items()
            if expected[name].is_meta and id(expected[name]) in names
        },
    )


def _best_reading(source: Source, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reading of the source's names that gives most of what is expected."""
    fits = [(len(expected.keys() & names.keys()), names) for names in readings(source.weights)]
    most, best = max(fits, key=lambda fit: fit[0])
    # networks side by side, as in an ensemble or beside a teacher: which of them would be a guess
    equal = [names for fit, names in fits if fit == most and len(names) == len(best)]
    if (
        most
        and len(best) < len(source.weights)
        and any(names[name] is not best[name] for names in equal for name in best if name in names)
    ):
        raise ModelFileError(
            f"{source.path}: holds the weights of {len(equal)} such networks side by side; save the "
            "state_dict of one alone"
        )
    return best


def _misfits(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Weights that are not as the network's `expected`, by what is wrong with them."""
    shared = [name for name in weights if name in expected]
    return {
        "unexpected": [name for name in weights if name not in expected],
        "of another shape": [
            f"{name} {shape_text(weights[name].shape)} instead of {shape_text(expected[name].shape)}"
            for name in shared
            if weights[name].shape != expected[name].shape
        ],
        "of another type": [
            f"{name} {weights[name].dtype} instead of {expected[name].dtype}"
            for name in shared
            if expected[name].is_floating_point() and not weights[name].is_floating_point()
        ],
    }


def _misfit(source: Source, network: nn.Module, misfits: Mapping[str, list[str]]) -> str:
    findings = [
        f"{len(names)} {kind}: {', '.join(names[:LISTED])}{', ...' if len(names) > LISTED else ''}"
        for kind, names in misfits.items()
        if names
    ]
    remedy = (
        "give the network and the arguments it was trained with, as `network.name` and `network.arguments`"
        if source.spec is None
        else "the weights are of another network than its description; use the files of one training"
    )
    return f"{source.path}: its weights do not fit {type(network).__name__}; {'; '.join(findings)}; {remedy}"
