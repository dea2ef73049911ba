"""docs/tour.ipynb with what its cells say and show: runs it, in about five minutes.

    python docs/generate_tour.py [--steps 300]

What a cell printed and showed is written into the notebook; where it ran is not. Needs the extras demo, export and test.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "tour.ipynb"


def run_tour(steps: int) -> nbformat.NotebookNode:
    """The notebook after a run in a folder of its own."""
    os.environ["STAMPSEG_TOUR"] = f"--steps {steps}"
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    notebook = nbformat.read(TARGET, as_version=4)
    with TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=3600, kernel_name="python3", resources=place).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # when each cell ran
            for output in cell.get("outputs", ()):
                output.get("data", {}).pop("image/jpeg", None)  # the same again as PNG
                if "text" in output:
                    output["text"] = re.sub(rf"(/private)?{re.escape(folder)}/?", "", output["text"])
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=300)
    text = nbformat.writes(run_tour(parser.parse_args().steps))
    TARGET.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
