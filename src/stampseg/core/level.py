"""How much a message matters."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """Of a message; the values stand in files."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    def shown(self, text: str) -> str:
        """The text as a person reads it: a level above information stands before it."""
        return text if self is Level.INFO else f"{self.name}: {text}"
