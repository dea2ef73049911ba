"""Words for messages."""

from __future__ import annotations


def some(names: list[str], limit: int = 5) -> str:
    """A list for a one-line message: the first few names and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
