"""Labels of BIDS by the folder of derivatives in which they lie: `derivatives/manual`, `derivatives/auto`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...core.errors import DataError
from ...core.text import counted, some
from .case_folders import BIDS, DERIVATIVES, CaseFolder
from .listing import Entry
from .pairing import name_of


def check_derived(folders: Sequence[CaseFolder]) -> None:
    """Refuse labels of one name in several folders, of which the first by its name would be learnt from.

    Raises:
        DataError: there are some.
    """
    pairs = [pair for folder in folders for pair in _doubled(folder)]
    if not pairs:
        return
    kept, double = pairs[0]
    one, other = map(_place, (kept, double))
    apart = one != other
    way = "name one with `masks`" if apart else "take one out"
    shown = [_shown(path) for path in ((one, other) if apart else (kept.parent, double.parent))]
    raise DataError(
        f"{double}: {' and '.join(shown)} both hold {name_of(kept)} "
        f"({counted(len(pairs), 'such label')}); expected one label for each image; {way}"
    )


def check_strays(folders: Sequence[CaseFolder]) -> None:
    """Refuse labels none of which is of a subject and session that there are images of.

    Raises:
        DataError: there are some.
    """
    strays = [path for folder in folders for path in folder.strays if BIDS.fullmatch(name_of(path))]
    images = [path for folder in folders for path in folder.images.values()]
    if strays and images:
        raise DataError(
            f"{strays[0]}: is a label of no image ({counted(len(strays), 'such label')}); images are called "
            f"as {images[0].name}; expected the same subject and session in both names; rename the labels, "
            "or list the pairs in a CSV with columns image,label"
        )


def _doubled(folder: CaseFolder) -> list[tuple[Path, Path]]:
    """Labels and their doubles in other folders; not those that differ by their type alone."""
    labels = {name_of(path).casefold(): path for path in folder.labels.values()}
    found = ((labels.get(name_of(path).casefold()), path) for path in folder.doubles)
    return [
        (kept, path)
        for kept, path in found
        if kept is not None and kept.parent != path.parent and BIDS.fullmatch(name_of(path))
    ]


def names_of_doubles(folder: CaseFolder) -> list[str]:
    """Names of the files left out, with that of their folder where it is none of the case's other files."""
    places = {path.parent for path in (*folder.images.values(), *folder.labels.values())}
    return [
        path.name if path.parent in places else f"{path.parent.name}/{path.name}" for path in folder.doubles
    ]


def _place(label: Path) -> Path:
    """The folder of derivatives that holds a label: that above the subject's, or its own."""
    match = BIDS.fullmatch(name_of(label))
    subject = match[1].partition("_")[0] if match else ""
    return next((path.parent for path in label.parents if path.name == subject), label.parent)


def _shown(place: Path) -> str:
    """A folder as `masks` takes it, or its name where it lies in no folder of derivatives."""
    parts = place.parts
    if DERIVATIVES not in parts:
        return place.name
    return "/".join(parts[len(parts) - 1 - parts[::-1].index(DERIVATIVES) :])


def several_derived(entries: Iterable[Entry]) -> tuple[str, ...]:
    """A word about labels that lie in one folder of derivatives for some cases, in another for others."""
    labels = [entry.label for entry in entries if entry.label and BIDS.fullmatch(name_of(entry.label))]
    count = Counter(_shown(_place(path)) for path in labels if DERIVATIVES in path.parts)
    if len(count) < 2:
        return ()
    listed = some([f"{name}: {number}" for name, number in sorted(count.items())])
    return (
        f"labels lie in {len(count)} folders of derivatives ({listed}), which are learnt as one kind; if "
        "they are not, name one with `masks`",
    )
