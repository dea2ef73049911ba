"""`train` says before its first step what `check` says of people."""

from __future__ import annotations

from pathlib import Path

from .command import QUICK, call

SAID = "names look like several time points or slices of one person (p0-IM-0, p0-IM-1 as 'p0'; 4 such)"


def told(*words: object) -> int:
    return " ".join(call("train", *words, *QUICK).output.split()).count(SAID)


def test_several_scans_of_a_person_are_told_once(pictures: Path, tmp_path: Path) -> None:
    assert SAID in " ".join(call("check", pictures, "--no-timing", "--validation", "none").output.split())
    assert told(pictures, "-o", tmp_path / "folds", "--folds", "2") == 1
    known = ("--group-regex", "(p.)-IM", "--validation", "25%")
    assert told(pictures, "-o", tmp_path / "known", *known) == 0
