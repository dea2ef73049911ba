"""Where things lie in a run folder, for the rooms that know nothing else of runs."""

from __future__ import annotations

from pathlib import Path

CONFIG_FILE = "config.yaml"  # the options that the run began with
ROUNDS_FOLDER = "rounds"  # with the network after every round
FOLDS_FOLDER = "folds"  # with a run folder for each fold of a cross-validation
FOLDS_FILE = "folds.json"  # which folds there are
SEARCH_FOLDER = "search"  # with a folder for each setting of a search, and its folds
SEARCH_FILE = "search.json"  # which settings there are
CHECKPOINTS = "checkpoint"  # a folder, while the run has not ended


def run_folder_of(model: Path) -> Path:
    """The run folder that a model file lies in, if it lies in one; a folder is taken for one itself."""
    if model.is_dir():
        return model
    return model.parent.parent if model.parent.name == ROUNDS_FOLDER else model.parent
