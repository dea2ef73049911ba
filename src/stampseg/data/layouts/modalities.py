"""What names say of how images were taken: CT, MR and its sequences, ultrasound, PET."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...core.errors import DataError
from ...core.text import counted
from ..io.formats import stem_of

# Words by what they mean; what is of another kind has that in front of it: a sequence is MR, too.
MEANINGS = {
    "ct": ("ct", "ncct", "cect", "cta", "cbct", "ldct", "hrct"),
    "mr": ("mr", "mri", "mrt"),
    "mr/t1": ("t1", "t1w", "t1n"),
    "mr/t1c": ("t1c", "t1ce", "t1gd"),
    "mr/t2": ("t2", "t2w"),
    "mr/flair": ("flair", "t2f"),
    "mr/pd": ("pd", "pdw"),
    "mr/swi": ("swi",),
    "mr/dwi": ("dwi",),
    "mr/dwi/adc": ("adc",),  # is computed of DWI, on its grid
    "us": ("us", "ultrasound"),
    "pet": ("pet", "suv"),
    "xray": ("xray", "cxr"),
    "photo": ("photo", "photos"),
}
WORDS = {word: meaning for meaning, words in MEANINGS.items() for word in words}
CAPITAL = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # begins a word: CTMask, t1Mask
PART = re.compile(r"[^\W_]+")


def modalities(stem: str) -> set[str]:
    """What a name says, in the words it says it with; nothing where it has none, as most labels."""
    return {word for part in PART.findall(f"{stem} {CAPITAL.sub(' ', stem)}") if (word := _word(part))}


def without_modalities(text: str) -> str:
    """A name without these words."""
    return PART.sub(lambda part: "" if _word(part[0]) else part[0], CAPITAL.sub(" ", text))


def _word(part: str) -> str:
    """The modality that a part of a name is; a number may follow: `us7`, but `t1`."""
    bare = part.lower().rstrip("0123456789")
    return next((word for word in (part.lower(), bare) if word in WORDS), "")


def differ(one: set[str], other: set[str]) -> bool:
    """Whether each says something that agrees with nothing the other says: T1 and T2, but not T1 and MR."""
    return bool(_alone(one, other) and _alone(other, one))


def _alone(words: set[str], others: set[str]) -> set[str]:
    ours, theirs = _exact(words), _exact(others)
    return {word for word in ours if not any(_agree(WORDS[word], WORDS[other]) for other in theirs)}


def _exact(words: set[str]) -> set[str]:
    """Words without those that another one says more exactly: T1 of an MR_T1."""
    return {word for word in words if not any(WORDS[other].startswith(f"{WORDS[word]}/") for other in words)}


def _agree(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def of_others(pairs: Iterable[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Those of some images and labels whose names say that they were taken differently."""
    said = ((pair, [modalities(stem_of(path)) for path in pair]) for pair in pairs)
    return [pair for pair, words in said if differ(*words)]


def check_modalities(labels: Mapping[Path, Path]) -> None:
    """Refuse labels, by image, that were paired by their names, and say that they are of other images.

    Raises:
        DataError: one is called as of T2 and its image as of T1, say.
    """
    others = of_others(labels.items())
    if others:
        image, label = others[0]
        ours, theirs = (modalities(stem_of(path)) for path in (image, label))
        raise DataError(
            f"{label}: fits {image.name} by its name but for {_said(_alone(theirs, ours))}, where that of "
            f"the image says {_said(_alone(ours, theirs))} ({counted(len(others), 'such pair')}); expected "
            "labels of these images; give those, or, where these were drawn on other images of the same "
            "grid, list the pairs in a CSV with columns image,label"
        )


def _said(words: set[str]) -> str:
    return " and ".join(sorted(words))
