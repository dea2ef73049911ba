"""The tour does what it says: its cells in this process with few steps, and slowly in a notebook's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.command import QUICK, call

TOUR = Path(__file__).resolve().parents[2] / "docs" / "tour.ipynb"
CELLS = json.loads(TOUR.read_text(encoding="utf-8"))["cells"]
FEW = "--steps 12 --set network.width=4 --set network.poolings=2 --set prune.ready_dice=0"
FEW += " --set train.missed_label=warn"


def test_every_cell_of_the_tour_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nilearn", reason="the tour's anatomy comes with nilearn")
    pytest.importorskip("onnxscript", reason="the tour exports a file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAMPSEG_TOUR", " ".join([*QUICK, "--unlabelled", "none"]))
    shown: list[Any] = []
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=shown.append))
    commands: list[str] = []

    def here(*words: object) -> None:
        commands.append(str(words[0]))
        call(*words)

    names: dict[str, Any] = {}
    for cell in CELLS:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), TOUR.name, "exec"), names)
            names["stampseg"] = here  # in this process: starting PyTorch takes longer than all else here
    assert commands == ["check", "train", "predict", "evaluate", "export", "predict"]
    assert len(shown) == 3
    said = capsys.readouterr().out
    assert "29 images, 10 of them labelled; 6 others to test" in said
    assert "agree in 100.00% of the pixels" in said
    assert len(list(Path("tour/exported").glob("*.png"))) == 6


def test_the_tour_is_kept_as_it_was_written() -> None:
    """In the order of its cells, each with an id; pictures may be in it, machines may not."""
    notebook = json.loads(TOUR.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    assert all(cell["cell_type"] in ("code", "markdown") for cell in CELLS)
    assert str(Path.home()) not in TOUR.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_tour_runs_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason='notebooks: pip install ".[test]"')
    nbclient = pytest.importorskip("nbclient", reason='notebooks: pip install ".[test]"')
    pytest.importorskip("ipykernel", reason='notebooks: pip install ".[test]"')
    pytest.importorskip("nilearn", reason="the tour's anatomy comes with nilearn")
    monkeypatch.setenv("STAMPSEG_TOUR", FEW)
    monkeypatch.setenv("PYTHONPATH", str(TOUR.parents[1] / "src"))
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()
    assert (tmp_path / "tour" / "model.onnx").is_file()
