"""Runs that are stopped at a chosen moment, and what a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import call


class Killed(BaseException):
    """Stands for the end of the process: nothing in the program catches it."""


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def outcome(run: Path) -> dict[str, Any]:
    """All that a run leaves but for its times: bytes of the models, and the JSON."""
    rounds = [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]
    models = sorted(run.rglob("*.safetensors"))
    return {
        "models": {str(path.relative_to(run)): path.read_bytes() for path in models},
        "rounds": [without(turn, "seconds") for turn in rounds],
        "result": without(json.loads((run / "result.json").read_text()), "seconds"),
        "inputs": [(run / name).read_text() for name in ("config.yaml", "plan.json", "splits.json")],
        "files": sorted(p.relative_to(run).as_posix() for p in run.rglob("*") if p.name != ".lock"),
    }


def stop_after(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, count: int, before: bool = True
) -> Callable[[], None]:
    """Let the process end when a function is called for the n-th time, before or after its work."""
    original, calls = getattr(owner, name), []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if before and len(calls) == count:
            raise Killed
        result = original(*args, **kwargs)
        if not before and len(calls) == count:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, counted)
    return lambda: monkeypatch.setattr(owner, name, original)


def killed_run(
    monkeypatch: pytest.MonkeyPatch, command: tuple[Any, ...], owner: Any, name: str, count: int, before: bool
) -> None:
    mend = stop_after(monkeypatch, owner, name, count, before)
    with pytest.raises(Killed):
        call(*command)
    mend()
