"""The command line, called in this process."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from stampseg.cli.commands import app
from tests.run.options import SMALL

RUNNER = CliRunner()
QUICK = (
    "--steps", "12", "--set", "prune.rounds=3", *SMALL, "--set", "train.augment=false",
    "--set", "train.missed_label=warn", "--set", "prune.ready_dice=0",
)  # fmt: skip
FINDING = ("--set", "train.learning_rate=0.01")  # a rate at which so few steps find something


def call(*arguments: object, code: int = 0) -> Result:
    """Run `stampseg` with these arguments and check how it ends."""
    result = RUNNER.invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, f"{result.exit_code}: {result.output}\n{result.exception!r}"
    return result


def train_quickly(pictures: Path, output: Path) -> Path:
    """One small pruned run on the pictures of four people, whose masks are not empty."""
    words = ("--group-regex", "(p.)-IM", "--validation", "25%")
    call("train", pictures, "-o", output, *words, *QUICK, *FINDING)
    return output
