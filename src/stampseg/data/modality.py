"""Whether the images are CT, whose values mean the same in all: by the channels' names, or by the values."""

from __future__ import annotations

import re

from .fingerprint import Fingerprint

# What images of any kind are called. Every other word may be a sequence of MR, of which phase images have
# values far below 0 too: then the values are not asked.
UNSAID = {
    *("image", "images", "img", "scan", "volume", "vol", "channel", "chan", "ch", "input", "data", "raw"),
    *(
        "intensity",
        "value",
        "values",
        "grey",
        "gray",
        "native",
        "plain",
        "contrast",
        "noncontrast",
        "non",
    ),
    *("arterial", "venous", "portal", "portalvenous", "delayed", "nephrographic", "corticomedullary"),
}
CT = {"ct", "ncct", "cect", "cta", "cbct", "ldct", "hrct"}
OTHERS = {"mr", "mri", "nm", "pet", "pt", "spect", "suv"}  # beside CT, as in PET-CT, say neither


def is_of_ct(fingerprint: Fingerprint) -> tuple[bool, str]:
    """Whether all channels are CT, and how that is known."""
    names = fingerprint.channel_names
    said = {_says(name) for name in names}
    if True in said and False not in said:
        return True, "the channels are named CT"
    if False in said:
        return False, f"channels {', '.join(names)}"
    if fingerprint.looks_like_ct:
        return True, "values below -500 look like Hounsfield units"
    return False, f"channels {', '.join(names)}, no sign of CT" if names else "no sign of CT"


def _says(name: str) -> bool | None:
    """Whether a channel's name says that it is CT, or that it is not; None where it says neither."""
    words = {word for word in re.split(r"[\W_]+", name.lower()) if word and not word.isdigit()}
    if words & CT:
        return None if words & OTHERS else True
    return None if words <= UNSAID else False
