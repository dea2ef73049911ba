"""Train and prune a segmentation network at the same time (STAMP), with few labelled scans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .core.version import __version__

if TYPE_CHECKING:
    from .channels.graph import Cut
    from .core.teacher_options import TeacherOptions
    from .runtime.segmenter import Segmented, Segmenter
    from .train.library import Graph, load, save, stamp, trace
    from .train.mean_teacher import MeanTeacher

__all__ = [
    "Cut", "Graph", "MeanTeacher", "Segmented", "Segmenter", "TeacherOptions", "__version__", "load", "save",
    "stamp", "trace",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str) -> Any:
    """Import the library when it is first used, so that the command line starts without torch."""
    if name not in __all__:
        raise AttributeError(f"module 'stampseg' has no attribute {name!r}")
    if name in ("Segmented", "Segmenter"):  # no torch, where an exported file is opened
        from .runtime import segmenter

        return getattr(segmenter, name)
    from .train import library

    return getattr(library, name)
