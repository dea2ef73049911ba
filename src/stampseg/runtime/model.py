"""What segments: a run folder, a model file or an exported file, opened as one function of prepared cases.

PyTorch is imported only where the file needs it.
"""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ConfigError, ModelFileError
from ..core.run_folder import FOLDS_FILE
from ..data.inverse import Shares
from ..data.io.volume import Volume
from ..data.labels.postprocess import Postprocessing
from ..data.plan import Plan
from ..data.preprocess import Prepared, prepare
from ..data.splits.known import digests_in
from .confidence import Confident, segment_confidently
from .details import KEY, read_details
from .session import SUFFIXES, open_session
from .sliding import Scorer, segment_pieces, walking_axis

PROGRAM, WEIGHTS = ".pt2", ".safetensors"


@dataclass(frozen=True, eq=False)
class OpenModel:
    """A network that is ready.

    Attributes:
        plan: how images are prepared for it.
        scoring: a context that gives the scorer of windows for as long as it is used.
        trained_on: digests of the image files that it was trained on with labels, and of their voxels, as far
            as the file says.
        steps: what is done to its masks.
        models: no others, as an `Ensemble` has.
    """

    plan: Plan
    scoring: Callable[[], AbstractContextManager[Scorer]]
    steps: Postprocessing = ()
    models: tuple[Path, ...] = ()
    trained_on: tuple[str, ...] = ()

    def prepare(self, volume: Volume) -> Prepared:
        """An image as the network takes it.

        Raises:
            DataError: it does not fit the plan.
        """
        return prepare(volume, self.plan)

    def segment(self, prepared: Prepared, **options: Any) -> tuple[np.ndarray, int]:
        """Class indices (*S) on the image's grid, before `steps`, and pieces left out: `segment_pieces`."""
        with self.scoring() as scorer:
            return segment_pieces(prepared, self.plan, scorer, **options)

    def segment_confidently(self, prepared: Prepared, **options: Any) -> Confident:
        """The same, and how far it can be trusted."""
        with self.scoring() as scorer:
            return segment_confidently(prepared, self.plan, scorer, **options)

    def shares(self, prepared: Prepared) -> Shares:
        """What takes the calibrated probabilities of a case while it is segmented, as `listener`."""
        axis, known = walking_axis(prepared.image.shape[1:], self.plan.patch_size), self.plan.calibration
        temperature = 1.0 if known is None else known.temperature
        return Shares(prepared.geometry, self.plan.out_channels, axis, temperature)

    def with_all_pieces(self) -> OpenModel:
        """The same, which leaves out no piece of labels that are one piece."""
        return replace(self, plan=self.plan.with_all_pieces())


def open_model(
    model: Path, *, device: str = "cpu", trusted: Collection[str] = (), threads: int | None = None
) -> OpenModel:
    """Open what `stampseg predict` is given.

    Args:
        model: run folder, `.safetensors`, `.onnx`, `.openvino` or `.pt2`.
        device: where to compute; exported files compute on the CPU.
        trusted: `package.module:Class` names whose code the model may use, and the names of `.pt2` files
            that may be opened.
        threads: to compute with; None leaves it to the library.

    Raises:
        ConfigError: another device than the CPU for an exported file.
        ModelFileError: the model cannot be opened.
        MissingPackageError: what computes is not installed.
    """
    suffix = model.suffix.lower()
    if suffix not in (*SUFFIXES, PROGRAM) or model.is_dir():
        return _torch_model(model, device, trusted, threads)
    if device != "cpu":
        raise ConfigError(f"`device` {device}: {model.name} computes on the CPU; leave out `device`")
    if suffix == PROGRAM:
        return _exported_program(model, trusted, threads)
    session = open_session(model, threads=threads)
    details = session.details
    digests = digests_in(details.provenance)
    return OpenModel(details.plan, lambda: nullcontext(session), details.postprocess, trained_on=digests)


def is_model(path: Path) -> bool:
    """Whether it looks like what `open_model` opens, or a folder of folds: by its name, or what is in it."""
    if path.suffix.lower() in (*SUFFIXES, PROGRAM, WEIGHTS):
        return path.exists()
    return any((path / name).exists() for name in (f"model{WEIGHTS}", FOLDS_FILE, f"../{FOLDS_FILE}"))


def check_order(model: Path, inputs: Sequence[Path], command: str) -> None:
    """See that the model is named first and the scans after it.

    Raises:
        ConfigError: it is the other way round.
    """
    late = [path for path in inputs if is_model(path)]
    if is_model(model) or not late or not model.exists():
        return
    scans = [model, *(path for path in inputs if path is not late[0])]
    words = shlex.join(["stampseg", command, *map(str, (late[0], *scans))])
    raise ConfigError(
        f"{model}: is no model, and {late[0]}, named after it, is one: the model comes first and the scans "
        f"after it; say `{words}`"
    )


def _torch_model(model: Path, device: str, trusted: Collection[str], threads: int | None) -> OpenModel:
    from .torch_scorer import open_network, scoring

    _set_threads(threads)
    opened = open_network(model, device, trusted=trusted)
    return OpenModel(
        opened.plan,
        lambda: _as_planned(scoring(opened.network, opened.device), opened.plan, model),
        opened.steps,
        trained_on=digests_in(opened.provenance),
    )


def _exported_program(path: Path, trusted: Collection[str], threads: int | None) -> OpenModel:
    """PyTorch's own format, which can run any code while it is opened: only where the user vouches for it."""
    from ..networks.denormals import start_flushing_workers

    details = read_details(_description(path), path)
    if str(path) not in trusted and path.name not in trusted:
        raise ModelFileError(
            f"{path}: a .pt2 file can run code of its own when PyTorch opens it; if you made it, or trust "
            f"who did, say `trusted` {path.name}; .onnx and .openvino need no trust"
        )
    _set_threads(threads)
    start_flushing_workers()
    from .torch_program import open_program

    try:
        run = open_program(path)
    except Exception as error:  # of PyTorch, in many classes
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelFileError(f"{path}: PyTorch cannot open it ({text}); export the model again") from None
    digests = digests_in(details.provenance)
    return OpenModel(details.plan, lambda: _without_denormals(run), details.postprocess, trained_on=digests)


@contextmanager
def _as_planned(scoring: AbstractContextManager[Scorer], plan: Plan, model: Path) -> Iterator[Scorer]:
    """A file's plan may have other classes than its network, and masks would hold wrong values."""
    with scoring as scorer:

        def score(windows: np.ndarray) -> np.ndarray:
            scores = scorer(windows)
            expected = (len(windows), plan.out_channels, *windows.shape[2:])
            if scores.shape != expected:
                raise ModelFileError(
                    f"{model}: the network gives scores of shape {scores.shape}, its plan needs {expected}; "
                    "its description is wrong; copy the file again"
                )
            return scores

        yield score


@contextmanager
def _without_denormals(run: Scorer) -> Iterator[Scorer]:
    from ..networks.denormals import flushing_denormals

    with flushing_denormals():
        yield run


def _description(path: Path) -> bytes | None:
    """The JSON in the archive, read without PyTorch."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{KEY}.json")]
            return archive.read(names[0]) if names else None
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file; check the path") from None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError):
        raise ModelFileError(
            f"{path}: not a readable .pt2 file; copy the file again, or export the model again"
        ) from None


def _set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
