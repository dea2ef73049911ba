"""Folders of files that hold nothing but their own names, for what is told by names alone."""

from __future__ import annotations

from pathlib import Path

from stampseg.data.cases import Dataset


def tree(root: Path, *names: str, count: int = 4) -> Path:
    """Files with these names for each number, of which nothing is read."""
    for name in names:
        for number in range(1, count + 1 if "{" in name else 2):
            path = root / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(path))
    return root


def pairs(found: Dataset) -> dict[str, list[str]]:
    """Names of the labels by those of the images."""
    root = found.root
    return {
        " ".join(str(path.relative_to(root)) for path in case.images): sorted(
            str(path.relative_to(root)) for path in case.files[len(case.images) :]
        )
        for case in found.cases
    }
