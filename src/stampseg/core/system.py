"""What differs between operating systems and their disks."""

from __future__ import annotations

import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path

WINDOWS = os.name == "nt"
# Names that Windows keeps for devices, whatever suffix follows; and it drops dots and blanks at the end.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?", re.IGNORECASE | re.DOTALL
)
_FOREIGN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_LONGEST = 255  # bytes of UTF-8, of which every system takes as many


def is_portable(name: str) -> bool:
    """Whether a file or folder can have the name on Linux, macOS and Windows alike."""
    return not (
        name in ("", ".", "..")
        or _DEVICE.fullmatch(name)
        or _FOREIGN.search(name)
        or name[-1] in ". "
        or len(name.encode("utf-8", "surrogatepass")) > _LONGEST
    )


def one_name(text: str) -> str:
    """The same for names that macOS or Windows take for one: by case, or by how an é is written."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def folds_case(folder: Path) -> bool:
    """Whether the disk of a folder takes `A` and `a` for one name; nothing is written to find out.

    Args:
        folder: need not be there; the nearest one above it that is there is asked.
    """
    for place in (folder.absolute(), *folder.absolute().parents):
        other = place.with_name(place.name.swapcase()) if place.name else place
        if other.name != place.name and place.exists():
            with suppress(OSError):
                return place.samefile(other)
            return False
    return WINDOWS


def processors() -> int:
    """How many this process may use: in a job of a queue fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
