"""What is odd about some scans or masks of a data set, and can still be learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Oddity:
    """Of which kind, what is odd, naming the first file, what to do, and all the files."""

    kind: str
    said: str
    remedy: str
    files: tuple[Path, ...]

    def __str__(self) -> str:
        return f"{self.said}; {self.remedy}"
