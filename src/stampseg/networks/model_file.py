"""One .safetensors file that holds a network of any widths and all that is needed to use it.

Tensors are the weights; the metadata is JSON: the network's name and arguments, the channels
that were kept of each group, the preprocessing plan, and where it came from. Loading builds
the network on the meta device (no memory), cuts it to the stored widths, and fills it from
the file. Nothing is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..channels.dropout import rate_names
from ..channels.graph import ChannelGraph
from ..channels.modes import set_mode
from ..channels.surgery import replace_tensors, state_of
from ..core.errors import ModelFileError, StampsegError
from ..core.files import write_whole
from ..core.json_file import JsonFile
from ..core.options import Options
from ..core.run_folder import MODEL_FILE, RESULT_FILE, ROUNDS_FOLDER, failure_of, is_run_folder
from ..data.labels.postprocess import Postprocessing, check_steps
from ..data.plan import Plan
from .answer import Answer, answer_of, answers_so
from .meta import at_most_layers
from .registry import NetworkSpec, find_entry
from .skeleton import skeleton

KEY = "stampseg"  # of the description in the metadata
LAYERS_PER_WEIGHT = 100
UNROUNDED = (torch.float32, torch.float64)  # others were rounded by somebody, and so are outputs
MOST_HEADER = 2**24  # bytes: names and shapes of all tensors, and the description


class Description(Options):
    """Everything in the file but the weights."""

    network: NetworkSpec
    kept: dict[str, tuple[int, ...]]  # group -> surviving channels, in the dense network's numbering
    plan: Plan | None  # None: saved by one's own code, which prepares images by itself
    provenance: dict[str, Any] = Field(default_factory=dict)
    postprocess: Postprocessing = ()  # what is done to its masks
    answer: Answer | None = None  # to noise, of a network whose code is not of this package

    @model_validator(mode="after")
    def _of_its_labels(self) -> Description:
        check_steps(self.postprocess, self.plan.out_channels if self.plan is not None else 0)
        return self


DESCRIPTION = JsonFile("description", Description, remedy="copy the file again", error=ModelFileError)


@dataclass(frozen=True)
class Model:
    """A loaded network, its channels and its description."""

    network: nn.Module
    graph: ChannelGraph
    description: Description

    @property
    def plan(self) -> Plan:
        """How images are prepared for the network.

        Raises:
            ModelFileError: the file does not say.
        """
        if self.description.plan is None:
            raise ModelFileError(
                "the model file does not say how images are prepared: it was saved by code of its own; load "
                "it with stampseg.load and predict with that code"
            )
        return self.description.plan


def example_of(model: Model, batch: int = 2, more: tuple[int, ...] | None = None) -> torch.Tensor:
    """Noise (B, C, *patch) float32, the same every time; `more` voxels longer per axis."""
    plan = model.plan
    size = [n + extra for n, extra in zip(plan.patch_size, more or (0,) * plan.spatial_dims, strict=True)]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, plan.in_channels, *size, generator=generator)


def save_model(path: Path, network: nn.Module, description: Description) -> None:
    """Write the file; it appears whole or not at all. An answer that is described is that of this network.

    All parameters and buffers are stored, a shared one once, but for the rates of targeted dropout.
    """
    spec = description.network
    if description.answer is None and not find_entry(spec.name).own:
        description = description.model_copy(update={"answer": answer_of(network, spec.example_shape)})
    metadata = {KEY: DESCRIPTION.line(description)}
    tensors = _tensors(network)
    write_whole(path, lambda place: save_file(tensors, place, metadata))


def store_steps(path: Path, steps: Postprocessing, trusted: Collection[str] = ()) -> None:
    """Write into a model file what is done to its masks; all else stays.

    Raises:
        ModelFileError: as `load_model`.
    """
    model = load_model(path, trusted=trusted)
    if model.description.postprocess != steps:
        save_model(path, model.network, model.description.model_copy(update={"postprocess": steps}))


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """What is stored, by name, none sharing memory with another."""
    tensors, seen = {}, set[int]()
    for name, tensor in stored_state(network).items():
        plain = tensor.detach().cpu().contiguous()
        memory = plain.untyped_storage().data_ptr()
        tensors[name] = plain.clone() if memory in seen else plain
        seen.add(memory)
    return tensors


def stored_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers that a file holds, by name: all but the rates of targeted dropout."""
    rates = rate_names(network)
    return {name: tensor for name, tensor in state_of(network).items() if name not in rates}


def read_description(path: Path) -> Description:
    """The description alone, without the weights.

    Raises:
        ModelFileError: the file is missing, not safetensors, or not written by stampseg.
    """
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise ModelFileError(
            f"{path}: no such model file; name a .safetensors file or a run folder"
        ) from None
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: not a readable .safetensors file ({error})") from None
    if KEY not in metadata:
        raise ModelFileError(
            f"{path}: holds no stampseg description; expected a file written by `stampseg train`"
        )
    return DESCRIPTION.parse(metadata[KEY], f"{path}: its description")


def _check_header(path: Path) -> None:
    """Look at the length of the header before anything is made of it."""
    try:
        if not path.is_file():
            return  # said when it is opened
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
        size = path.stat().st_size
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if length > min(MOST_HEADER, size) and path.suffix != ".safetensors":
        raise ModelFileError(
            f"{path}: is no model file; expected a run folder, or the model.safetensors of one"
        )
    if length > min(MOST_HEADER, size):
        raise ModelFileError(
            f"{path}: not a readable .safetensors file (a header of {length:,} bytes in a file of "
            f"{size:,}; at most {MOST_HEADER:,} are read); copy the file again"
        )


def load_model(path: Path, device: torch.device | str = "cpu", *, trusted: Collection[str] = ()) -> Model:
    """Rebuild the network and fill it from the file, in eval mode.

    Args:
        path: the file.
        device: where the network is put.
        trusted: `package.module:Class` names whose code may be imported because a file asks for it.

    Raises:
        ModelFileError: the file is missing, damaged, its weights do not fit its description, it asks for
            code that is not trusted, or that code has changed.
    """
    description = read_description(path)
    with safe_open(path, framework="pt", device=str(device)) as file:
        headers = _header(file)
        try:
            # A layer has a weight or none, and few have none.
            with at_most_layers(LAYERS_PER_WEIGHT * (len(headers) + 8)):
                network, graph = skeleton(
                    *(description.network, description.kept, trusted),
                    lambda dense: _check_dense(path, dense, headers),
                )
        except ModelFileError:
            raise
        except StampsegError as error:
            raise ModelFileError(f"{path}: its network cannot be rebuilt: {error}") from None
        except Exception as error:  # a description made to harm can fail anywhere
            text = f"{type(error).__name__}: {error}"
            raise ModelFileError(f"{path}: its network cannot be rebuilt: {text}") from error
        _check_input(path, description)
        stored = stored_state(network)
        _check_weights(path, stored, headers)
        tensors = {name: file.get_tensor(name) for name in stored}
    fill(network, tensors, device)
    set_mode(network, False)
    if all(tensor.dtype in UNROUNDED for tensor in tensors.values() if tensor.is_floating_point()):
        _check_answer(path, network, description)
    return Model(network, graph, description)


def _check_answer(path: Path, network: nn.Module, description: Description) -> None:
    """The code of others still computes what it did when the file was written."""
    name = description.network.name
    try:
        if description.answer is None or answers_so(network, description.answer):
            return
        what = "computes something else than when the file was written"
    except (MemoryError, torch.OutOfMemoryError):
        return  # which is no fault of the code; where it matters, it is said
    except Exception as error:  # whatever code of others raises
        if "allocate memory" in str(error):  # as the CPU says it
            return
        what = f"fails where it did not when the file was written ({type(error).__name__}: {error})"
    raise ModelFileError(
        f"{path}: with these weights {name} {what}: its code, or that of its library, has changed since; use "
        "it with the code it was trained with, or train it on as it is now with `stampseg prune`"
    )


def _check_input(path: Path, description: Description) -> None:
    """The images that the plan makes are those that the network takes."""
    plan, shape = description.plan, description.network.example_shape
    if plan is not None and (plan.in_channels, plan.spatial_dims + 2) != (*shape[1:2], len(shape)):
        raise ModelFileError(
            f"{path}: its plan gives {plan.spatial_dims}D images of {plan.in_channels} channel(s), its "
            f"network takes the shape {list(shape)}; copy the file again"
        )


@dataclass(frozen=True)
class _Header:
    """What the header says of one tensor."""

    shape: tuple[int, ...]
    kind: str  # as safetensors writes it: F32, I64


def _header(file: Any) -> dict[str, _Header]:
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    return {name: _Header(tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}


def _check_dense(path: Path, dense: nn.Module, headers: Mapping[str, _Header]) -> None:
    """What can be told of the file before the network is followed.

    Raises:
        ModelFileError: a weight is missing, not the network's, or larger than in the dense network.
    """
    stored = stored_state(dense)
    for name, expected in stored.items():
        if name not in headers:
            raise ModelFileError(
                f"{path}: holds no weight {name}, which the network needs; copy the file again"
            )
        shape, most = headers[name].shape, tuple(expected.shape)
        if len(shape) != len(most) or any(n > limit for n, limit in zip(shape, most, strict=True)):
            raise ModelFileError(f"{path}: weight {name} has shape {shape}; the dense network has {most}")
    surplus = sorted(headers.keys() - stored.keys())
    if surplus:
        raise ModelFileError(
            f"{path}: holds {surplus[0]}, which is no weight of its network; expected what "
            "`stampseg train` or stampseg.save wrote"
        )


def _check_weights(path: Path, stored: Mapping[str, torch.Tensor], headers: Mapping[str, _Header]) -> None:
    """The file's tensors against those of the network, cut as it says.

    Raises:
        ModelFileError: a weight is missing, of another shape, or of another kind of number.
    """
    for name, expected in stored.items():
        shape = tuple(expected.shape)
        if name not in headers or headers[name].shape != shape:
            given = headers[name].shape if name in headers else None
            raise ModelFileError(f"{path}: weight {name} has shape {given}; the network needs {shape}")
        kind, kinds = headers[name].kind, _kinds(expected.dtype)
        if kind not in kinds:
            raise ModelFileError(
                f"{path}: weight {name} holds {kind}; the network needs one of {', '.join(kinds)}; save the "
                "network again in one of these"
            )


def _kinds(dtype: torch.dtype) -> tuple[str, ...]:
    """What a file may hold for a tensor of this type: any numbers of its kind."""
    if dtype.is_floating_point:
        return ("F16", "BF16", "F32", "F64")
    if dtype.is_complex:
        return ("C64", "torch.complex128")  # the second as safetensors calls it
    if dtype == torch.bool:
        return ("BOOL",)
    return ("I64", "I32", "I16", "I8", "U8", "U16", "U32", "U64")


def fill(network: nn.Module, tensors: Mapping[str, torch.Tensor], device: torch.device | str = "cpu") -> None:
    """Give a network without weights those of a file, and rates of zero to targeted dropout."""
    names = rate_names(network)
    rates = {k: torch.zeros(b.shape, device=device) for k, b in network.named_buffers() if k in names}
    put_state(network, {**tensors, **rates})


def put_state(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put tensors in place of the parameters and buffers of those names; a shared one stays shared."""
    old = state_of(network)
    new = {
        name: nn.Parameter(tensor, old[name].requires_grad) if isinstance(old[name], nn.Parameter) else tensor
        for name, tensor in tensors.items()
    }
    replace_tensors(network, old, new)


def _no_model(folder: Path) -> str:
    """Why a folder has no model, and what to do."""
    networks = f"one of its networks in {ROUNDS_FOLDER}/ can be named all the same"
    failure = failure_of(folder)
    if failure is not None:
        return f"the run ended without a model: {failure}; {networks}"
    if is_run_folder(folder) and (folder / RESULT_FILE).is_file():
        return f"the run has ended, and its {MODEL_FILE} is gone: put it back, or train again; {networks}"
    if is_run_folder(folder):
        return (
            "the run has not ended: it is still going on, or was stopped (resume it with "
            f"`RunFolder.reopen`); {networks}"
        )
    runs = sorted(path.parent for path in folder.glob(f"*/{MODEL_FILE}"))
    inner = f"; give the run folder in it, {runs[0]}" if len(runs) == 1 else ""
    return f"holds no {MODEL_FILE}: it is no run folder (a run comes first, scans after it){inner}"


def find_model(path: Path) -> Path:
    """The model file of a run folder, or the file itself.

    Raises:
        ModelFileError: there is none.
    """
    if path.is_dir():
        model = path / MODEL_FILE
        if not model.is_file():
            raise ModelFileError(f"{path}: {_no_model(path)}")
        return model
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file or run folder")
    return path
