"""Runs what a bad input is for and compares with what must come of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from typer.testing import Result

from stampseg.core.errors import DataError
from stampseg.data.io.placing import on_grid_of
from stampseg.data.io.readers import read_label

from .bench import Bench, call
from .entry import BadInput, Command, Refused, Works

OWN = "stampseg: "


@dataclass(frozen=True)
class Verdict:
    """What a command said, its exit code, and what is wrong with that; "" if nothing is."""

    command: str
    code: int
    said: str
    wrong: str


def judge(one: BadInput, bench: Bench) -> list[Verdict]:
    """Make the input and run its commands."""
    commands = one.make(bench)
    before = _tree(bench)
    verdicts = []
    for command in commands:
        result = call(*command)
        wrong = _wrong(one, bench, command, result)
        if _tree(bench) != before:
            wrong = wrong or "the input was changed, or a file was left beside it"
        verdicts.append(Verdict(str(command[0]), result.exit_code, _said(result, bench), wrong))
    return verdicts


def _wrong(one: BadInput, bench: Bench, command: Command, result: Result) -> str:
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"a traceback: {type(result.exception).__name__}: {result.exception}"
    if isinstance(one.expected, Refused):
        return _not_refused(one.expected, bench, command, result)
    if result.exit_code != 0:
        return "it was refused"
    if isinstance(one.expected, Works):
        return (
            "" if re.search(one.expected.pattern, result.output) else f"no {one.expected.pattern!r} is said"
        )
    return _differs(bench, command, one.expected.dims)


def _not_refused(expected: Refused, bench: Bench, command: Command, result: Result) -> str:
    if result.exit_code != expected.code:
        return f"exit code {result.exit_code}, expected {expected.code}"
    lines = [line for line in result.output.splitlines() if re.search(expected.pattern, line)]
    if not lines:
        return f"no line with {expected.pattern!r}"
    if command[0] != "check" and not result.output.splitlines()[-1].startswith(OWN):
        return "the last line is not ours"
    left = [path.name for path in bench.output.rglob("*") if path.name not in ("run", "masks")]
    if left:
        return f"left behind: {sorted(left)}"
    return ""


def _differs(bench: Bench, command: Command, dims: int) -> str:
    """Whether the answer is another than that of the clean input."""
    clean = bench.clean
    if command[0] == "predict":
        written = [path for path in (bench.output / "masks").rglob("*") if path.is_file()]
        if len(written) != 1:
            return f"{len(written)} masks"
        found, expected = read_label(written[0]), read_label(clean.mask(dims))
        same = np.array_equal(found.array.squeeze(), expected.array.squeeze())
        placed = found.header.affine is not None and expected.header.affine is not None
        if not same and placed and found.array.ndim == 3:
            with suppress(DataError):  # where it lies counts, not how it is stored
                same = np.array_equal(on_grid_of(found, expected.header).array, expected.array)
        return "" if same else "another mask"
    if command[0] == "train":
        pair = (load_file(path) for path in (bench.output / "run" / "model.safetensors", clean.model(dims)))
        found, expected = pair
        same = found.keys() == expected.keys() and all(np.array_equal(found[k], expected[k]) for k in found)
        return "" if same else "other weights"
    found = json.loads(call(*command, "--json").output)
    expected = json.loads(clean.plan(dims).read_text("utf-8"))
    return "" if _facts(found) == _facts(expected) else "another plan"


def _facts(said: dict) -> object:
    plan = said["plan"] and {**said["plan"], "notes": None, "label_names": None, "scans": None}
    return said["cases"], said["groups"], plan


def _said(result: Result, bench: Bench) -> str:
    """The line that tells it, without the folders of this machine."""
    text = result.output.replace(str(bench.clean.folder), "clean").replace(str(bench.folder), "bad")
    lines = text.strip().splitlines() or [""]
    ours = [line for line in lines if line.startswith((OWN, "error "))]
    return ours[-1].removeprefix(OWN).removeprefix("error ") if ours else ""


def _tree(bench: Bench) -> dict[str, str]:
    """Every file of the input with its content; folders and links by name."""
    found = {}
    for path, folders, files in os.walk(bench.folder):
        inner = Path(path)
        if bench.output in (inner, *inner.parents):
            continue
        for name in [*folders, *files]:
            place = inner / name
            if place != bench.output:
                found[str(place)] = _content(place)
    return found


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    if path.is_file() and path.stat().st_size < 2**24:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return "folder" if path.is_dir() else "other"
