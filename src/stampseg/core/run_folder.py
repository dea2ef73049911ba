"""Names of what lies in a run folder; a file with a type of its own is named beside that (`JsonFile`)."""

from __future__ import annotations

import json
from pathlib import Path

SPEC_FILE = "run.json"  # what was asked of the run
MODEL_FILE = "model.safetensors"  # the chosen network
RESULT_FILE = "result.json"  # what came of the run, once it has ended
FINGERPRINT_FILE = "fingerprint.json"  # what is known of its training cases
CONFIG_FILE = "config.yaml"  # the options that the run began with
ROUNDS_FOLDER = "rounds"  # with the network after every round
FOLDS_FOLDER = "folds"  # with a run folder for each fold of a cross-validation
FOLDS_FILE = "folds.json"  # which folds there are
SEARCH_FOLDER = "search"  # with a folder for each setting of a search, and its folds
SEARCH_FILE = "search.json"  # which settings there are
TENSORBOARD_FOLDER = "tensorboard"  # with event files, where they are asked for
MLFLOW_FILE = "mlflow.db"  # likewise
CHECKPOINTS = "checkpoint"  # a folder, while the run has not ended


def is_run_folder(folder: Path) -> bool:
    """Whether a run was begun in it, with or without a model yet."""
    return (folder / CONFIG_FILE).is_file() and (folder / SPEC_FILE).is_file()


def run_folder_of(model: Path) -> Path:
    """The run folder that a model file lies in, if it lies in one; a folder is taken for one itself."""
    if model.is_dir():
        return model
    return model.parent.parent if model.parent.name == ROUNDS_FOLDER else model.parent


def round_file(run: Path, number: int) -> Path:
    """The network after a round."""
    return run / ROUNDS_FOLDER / f"{number:03d}.safetensors"


def model_file_of(model: Path) -> Path:
    """The model file of a run folder; a file is taken for one itself."""
    return model / MODEL_FILE if model.is_dir() else model


def failure_of(model: Path) -> str | None:
    """Why the run of a model file, or of a run folder, ended without a model; None where it did not."""
    try:
        result = json.loads((run_folder_of(model) / RESULT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    failure = result.get("failure") if isinstance(result, dict) else None
    return failure if isinstance(failure, str) else None


def caution_of(model: Path) -> list[str]:
    """A line on a network of a run that was found wanting, whoever asks for it all the same."""
    failure = failure_of(model)
    return [] if failure is None else [f"{model}: of a run that ended without a model: {failure}"]
