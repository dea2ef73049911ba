"""Which part of a batch is a process's, where several train one network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The part of one of several processes.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    def rows(self, count: int) -> slice:
        """Its places among `count`, those of all processes one behind the other; their numbers differ by one
        at the most."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)


WHOLE = Share()
