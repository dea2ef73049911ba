"""What people add to the names of scans and labels: `p1_seg`, `p1-label`, `mask_1` beside `img_1`."""

from __future__ import annotations

import re
from functools import cache

SEPARATORS = "_-. "
ANY_NUMBER = re.compile(r"(?<!(?<![a-z])t)\d+", re.IGNORECASE)  # but not those of t1 and t2w
LABEL_WORDS = (
    *("segmentations", "segmentation", "dseg", "segm", "segs", "seg", "labelmap", "labels", "label"),
    *("masks", "mask", "msk"),
    *("annotations", "annotation", "groundtruth", "ground_truth", "gt", "rois", "roi", "contours", "contour"),
)
LABEL_SET = frozenset(LABEL_WORDS)
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "imagestr", "scans", "volumes", "inputs")
MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "labelstr", "annotations", "annotation"),
    *("segmentations", "segmentation", "ground_truth", "groundtruth", "gt", "targets"),
)
KIND_WORDS = frozenset(
    (
        *("images", "masks", "mask", "labels", "label", "segmentations", "segmentation"),
        *("annotations", "annotation", "manual", "groundtruth", "ground"),
        "ot",  # observed truth, beside the folder of each sequence
    )
)
AGREED = frozenset(("consensus", "staple", "majority"))  # of several observers
OBSERVERS = frozenset(
    ("auto", "automatic", "manual", "rater", "reader", "observer", "expert", "annotator", "corrected")
)
FILMS = frozenset(("sequence", "cine"))
PREDICTED = frozenset(("predictions", "prediction", "preds", "pred"))
NO_TRUTH = PREDICTED | {
    *("predicted", "overlays", "overlay", "uncertainty", "heatmap", "viz", "defacemask"),
    *("prob", "probs", "probseg", "probability", "probabilities"),
}
PROBAND = re.compile(r"(?:sub-)?prob(?:\d|[-_. ]\d\d)", re.IGNORECASE)  # a person, in German
SIDES = frozenset(
    (
        *("training", "train", "validation", "valid", "val", "testing", "test"),
        *("labelled", "labeled", "unlabelled", "unlabeled"),
    )
)
# Words of folders that hold parts of the data or findings: nobody is called so.
PARTS = SIDES | frozenset(("data", "dataset", "set", "part", "batch", "fold", "split"))
FINDINGS = frozenset(("benign", "malignant", "normal", "abnormal", "healthy", "positive", "negative"))
IMAGE_WORDS = ("images", "image", "img", "scan", "volume", "vol", "photo", "ct", "mri", "mr", "us")


def plain_name(stem: str) -> str:
    """The name of a label without words such as `_seg`."""
    return _without(LABEL_WORDS, stem)


def is_label_name(stem: str) -> bool:
    """Whether a name says that it is of a label, or predicted: one of these words is in it, as in
    `t1_seg-manual` or `TumorMask`, or a part ends with one, as `brainmask`.
    """
    parts = re.split(f"[{re.escape(SEPARATORS)}]", stem.lower())
    words = {*parts, *words_of(stem)}
    return (
        not words.isdisjoint(LABEL_SET | PREDICTED)
        or any(part.endswith("mask") for part in parts)
        or plain_name(stem) != stem
    )


def is_kind_folder(name: str) -> bool:
    """Whether a folder is called as of images or of masks alone: `imagesTs`, `leftMask`, `1st_manual`."""
    return not words_of(name).isdisjoint(KIND_WORDS | PREDICTED)


def is_image_folder(name: str) -> bool:
    """Whether a folder is called as of images, among other words: `stare-images`, `Training_Input`."""
    return not words_of(name).isdisjoint({*IMAGE_FOLDERS, "scan", "input"}) and not is_mask_folder(name)


def is_mask_folder(name: str) -> bool:
    """Whether a folder is called as of masks, among other words: `Task1_GroundTruth`, `labels-ah`.

    Masks that are predicted, or drawn on the images, are nothing to learn from.
    """
    return not (words_of(name).isdisjoint({*MASK_FOLDERS, *KIND_WORDS} - {"images"}) or is_no_truth(name))


def is_no_truth(name: str) -> bool:
    """Whether a file or folder is called as computed, or drawn on images: `pred_masks`, `overlays`.

    One that begins as `prob01` is a person's.
    """
    return not words_of(PROBAND.sub("", name) if PROBAND.match(name) else name).isdisjoint(NO_TRUTH)


def words_of(name: str) -> set[str]:
    """The words of a name in small letters, where a capital letter begins one: `leftMask`, `MRSeg`."""
    return {word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def is_nobody(name: str) -> bool:
    """Whether a folder is called as parts of the data or findings are: `Training Batch 1`, `benign`.

    With a number, `normal_01` and `test01` may be persons: only words of parts, such as batch, take one.
    """
    words = words_of(name)
    numbered = re.search("[0-9]", name) is not None
    return bool(words) and words <= PARTS | FINDINGS and not (numbered and words <= SIDES | FINDINGS)


def image_name(stem: str) -> str:
    """The name of an image without words such as `_ct`."""
    return _without(IMAGE_WORDS, stem)


def _without(words: tuple[str, ...], stem: str) -> str:
    """A name without these words in front of it and behind it."""
    behind, front = _patterns(words)
    while match := behind.fullmatch(stem) or front.fullmatch(stem):
        stem = match[1]
    return stem


@cache
def _patterns(words: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    between, either = f"[{re.escape(SEPARATORS)}]+", "|".join(words)
    return (
        re.compile(f"(.+?){between}(?:{either})", re.IGNORECASE),
        re.compile(f"(?:{either})(?:{between}|(?=[0-9]))(.+)", re.IGNORECASE),
    )
