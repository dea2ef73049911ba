"""Masks in colours that the page writes as PNG."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import stampseg.export
from stampseg.data.io.colours import COLOUR

PICTURE = Path(stampseg.export.__file__).parent / "page" / "picture.mjs"


def written(*labels: int) -> list[int] | str:
    """The pixels, or what is said of labels that a PNG cannot hold."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    volume = {"shape": [1, 1, len(labels)]}
    script = f"""
        import {{ pngOf }} from {json.dumps(PICTURE.as_uri())};
        const labels = Float64Array.from({json.dumps(labels)});
        let made;
        try {{ made = [...pngOf({json.dumps(volume)}, labels, (picture) => picture).data]; }}
        catch (error) {{ made = error.message; }}
        console.log(JSON.stringify(made));
    """
    command = [node, "--input-type=module", "-e", script]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60, text=True).stdout)


def test_colours_are_drawn_and_large_numbers_refused() -> None:
    assert written(0, COLOUR | 0x0A1400, 7) == [0, 0, 0, 10, 20, 0, 7, 7, 7]
    assert written(0, 300) == [0, 300]
    assert written(0, 20_000_000) == "PNG holds labels to 65535, and not 20000000"
