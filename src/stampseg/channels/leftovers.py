"""Tensors without memory that a network's code has put somewhere while it was followed.

A cache keyed by the image's size, in any module, a closure or an `lru_cache`, keeps what a pass on the
meta device has made, and the network would meet it there when it runs for real. `untouched.py` puts
back what it can reach from the network; what is alive afterwards all the same is looked for from the
other end: by who holds it.
"""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import CellType, FrameType, ModuleType
from typing import Any

from torch import Tensor

_LRU = type(lru_cache(len))  # what remembers the results of a function
HIGHEST = 3  # tuples in tuples, which are taken out as a whole


class Leftovers:
    """The tensors of a few passes, known without being kept alive.

    Attributes:
        plain: those that come from no channels, by id: a later pass that meets one in a cache knows it.
    """

    def __init__(self) -> None:
        self._made: list[weakref.ref[Tensor]] = []
        self.plain: dict[int, Tensor] = {}

    def note(self, tensors: Iterable[Tensor]) -> None:
        """Tensors that a pass has made."""
        self._made += [weakref.ref(tensor) for tensor in tensors if tensor.is_meta]

    def take_out(self) -> None:
        """Remove those that are still alive from what holds them; at the end of the passes."""
        self.plain.clear()
        if not any(reference() is not None for reference in self._made):
            return
        gc.collect()  # what only holds on to itself
        found = [tensor for reference in self._made if (tensor := reference()) is not None]
        self._made = []
        if found:
            _take_out(found, HIGHEST)


def _take_out(found: Sequence[Any], height: int) -> None:
    ids = {id(item) for item in found}
    higher = []
    for holder in gc.get_referrers(*found):
        if holder is found or isinstance(holder, FrameType):
            continue
        if isinstance(holder, tuple):
            higher.append(holder)
        else:
            _empty(holder, ids)
    if higher and height:
        _take_out(higher, height - 1)


def _empty(holder: Any, ids: set[int]) -> None:
    """Take the objects of these ids out of one holder."""
    kind = type(holder)  # isinstance would ask objects that only stand for others
    if kind is _LRU:
        holder.cache_clear()
    elif kind is CellType:
        holder.cell_contents = None
    elif issubclass(kind, dict):
        names = [key for key, value in holder.items() if id(value) in ids]
        owner = _owner(holder, names)
        for name in names:
            if owner is None:
                del holder[name]
            else:
                _unset(owner, name)
    elif issubclass(kind, list | deque):
        rest = [item for item in holder if id(item) not in ids]
        holder.clear()
        holder.extend(rest)
    elif issubclass(kind, set):
        for item in [item for item in holder if id(item) in ids]:
            holder.discard(item)
    elif kind.__dictoffset__ and not issubclass(kind, type):
        for name in [name for name, value in vars(holder).items() if id(value) in ids]:
            _unset(holder, name)


def _owner(names: dict[Any, Any], some: Sequence[Any]) -> Any:
    """The module, class or object whose attributes these are; None: a dictionary in its own right."""
    for owner in gc.get_referrers(names):
        if isinstance(owner, FrameType):
            continue
        kind = type(owner)
        if issubclass(kind, type):
            if all(isinstance(name, str) and vars(owner).get(name) is names[name] for name in some):
                return owner
        elif kind.__dictoffset__ and vars(owner) is names:
            return owner
    return None


def _unset(owner: Any, name: str) -> None:
    """Most code looks for None there; where the class has something of that name, an object's own goes."""
    kind = type(owner)
    if issubclass(kind, type | ModuleType):
        setattr(owner, name, None)
    elif hasattr(kind, name):
        del vars(owner)[name]
    else:
        vars(owner)[name] = None
