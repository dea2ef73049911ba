"""The page's modules run by Node, many cases in one go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stampseg.data.io.volume import Volume

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "src" / "stampseg" / "export" / "page"
PACKAGES = {
    "png": ROOT / "viewers" / "web" / "node_modules" / "fast-png" / "lib" / "index.js",
    "dicom": ROOT / "viewers" / "web" / "node_modules" / "dicom-parser" / "dist" / "dicomParser.js",
}


def in_node(cases: Sequence[dict[str, Any]], folder: Path, *needs: str) -> list[Any]:
    """What `page_modules.mjs` makes of cases: a result, or {"refused": words}.

    The test is skipped where Node is missing, or one of the packages of `needs`, which `make web` brings.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    if not all(PACKAGES[name].exists() for name in needs):
        pytest.skip("packages of the page are not there; run make web")
    given, made = folder / "cases.json", folder / "results.json"
    given.write_text(json.dumps(list(cases)))
    packages = json.dumps({name: str(PACKAGES[name]) for name in needs})
    subprocess.run(
        [node, str(HERE / "page_modules.mjs"), str(PAGE), str(given), str(made)],
        check=True, timeout=120, env={**os.environ, "PACKAGES": packages},
    )  # fmt: skip
    return [one.get("result", one) for one in json.loads(made.read_text())]


def check_read(volume: Volume, found: dict[str, Any], name: str) -> None:
    """Whether the page read what Python reads."""
    shape = volume.header.shape
    order = "C" if volume.header.is_picture else "F"
    if not volume.header.is_picture:
        assert found["affine"] == pytest.approx(np.asarray(volume.header.affine), abs=1e-4), name
        assert found["spacing"] == pytest.approx(volume.header.spacing, rel=1e-6), name
    arrays = [np.reshape(values, shape, order=order) for values in found["channels"]]
    assert np.stack(arrays) == pytest.approx(volume.array, rel=1e-6, abs=1e-6), name
