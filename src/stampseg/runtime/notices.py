"""What is said of masks that were written: a line of each, and warnings of them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from ..core.errors import one_line
from ..core.text import counted, some
from ..data.cases import Case
from ..data.io.probabilities import PROBABILITIES, SUFFIX
from ..data.labels.postprocess import Postprocessing, steps_in_words
from ..data.plan import Plan
from .trust_files import SHOWN
from .written import Written


def line(result: Written) -> str:
    """A mask that was written, for the screen."""
    unit = "pixel" if result.header.is_picture else "voxel"
    said = [counted(result.labelled, f"labelled {unit}"), f"{result.seconds:.2f} s"]
    if result.assessed is not None:
        said.append(result.assessed.trust.words())
    if result.dropped:
        said.append(f"{counted(result.dropped, 'stray piece')} left out")
    if result.trained_on:
        said.append("(trained on)")
    elif result.validated_with:
        said.append("(validated with)")
    return "  ".join([one_line(str(result.path)), *said])


def unlike(written: Sequence[Written]) -> list[str]:
    """A warning for each way in which images are unlike those of the training."""
    alike: dict[str, list[str]] = defaultdict(list)
    for result in written:
        if result.remarks:
            alike["; ".join(result.remarks)].append(one_line(str(result.path)))
    return [
        f"{paths[0]}: its image is unlike those the model was trained on: {words}"
        if len(paths) == 1
        else f"{len(paths)} images are unlike those the model was trained on, of {some(paths, 3)}: {words}"
        for words, paths in alike.items()
    ]


def probabilities_words(plan: Plan) -> str:
    """What the probabilities are worth."""
    order = one_line(", ".join(plan.label_names))
    known = plan.calibration
    if known is None:
        how = "as the network gives them, for nobody was left out to calibrate them on"
    else:
        how = f"at a temperature of {known.temperature:.2f}, of people who were left out"
    return f"probabilities of {order} in NAME{PROBABILITIES}{SUFFIX}: {how}"


def changed_words(written: Sequence[Written], steps: Postprocessing, plan: Plan) -> str:
    """How many masks post-processing changed, and what it does."""
    count = sum(result.changed > 0 for result in written)
    return (
        f"post-processing ({one_line(steps_in_words(steps, plan.label_names, plan.size_unit))}): changed "
        f"{count} of {counted(len(written), 'mask')}"
    )


def not_mirrored(plan: Plan, mirror: bool) -> list[str]:
    """That mirrored views are not what a network of ours has learnt from; those of nnU-Net have."""
    if mirror and plan.mirror_axes == ():
        return ["the network was trained without mirrored views: `mirror` does nothing; leave it out"]
    if not mirror or plan.convention == "nnunet":
        return []
    return [
        "stampseg trains on images as they lie, none of them mirrored: where left and right, or top "
        "and bottom, differ, `mirror` makes masks worse; leave it out, or see by labelled scans what it does"
    ]


def stopped_words(there: str, overwrite: bool) -> str:
    """How to go on after a stop; `there` says how many masks are written."""
    if overwrite:
        return f"{there}; say the same again to begin anew"
    return f"{there}; go on by saying the same with `skip_existing`"


def too_good(cases: Sequence[Case], known: Collection[str]) -> list[str]:
    """That images are those of the training; `known` are ids of cases."""
    if not known:
        return []
    of = "this image" if len(cases) == 1 else f"{len(known)} of these {len(cases)} images"
    return [f"the model was trained on {of}: masks of new images will be less good"]


def absurd(written: Sequence[Written]) -> list[str]:
    """A line for each of the first masks that are far from all training labels, and how many more are.

    The trust of assessed ones says more. Of masks that are all empty one line is enough.
    """
    if not any(result.labelled for result in written):
        return []
    odd = [result for result in written if result.absurd and result.assessed is None]
    lines = [
        f"{one_line(str(result.path))}: the mask is unlike all that the model was trained on: "
        f"{one_line('; '.join(result.absurd))}"
        for result in odd[:SHOWN]
    ]
    more = len(odd) - SHOWN
    return [*lines, f"{counted(more, 'more mask')} as unlike as these"] if more > 0 else lines


def not_found(written: Sequence[Written], names: Sequence[str]) -> list[str]:
    """Images in which nothing was found, and labels that were found in none."""
    count, empty = len(written), sum(not result.labelled for result in written)
    if empty and empty == count:
        return [
            "nothing was found: " + ("the mask is empty" if count == 1 else f"all {count} masks are empty")
        ]
    found = [f"nothing was found in {empty} of {count} images"] if empty else []
    lost = [
        one_line(name)
        for place, name in enumerate(names)
        if place and count and not any(result.voxels[place] for result in written)
    ]
    return [*found, *([f"{', '.join(lost)}: found in none of {counted(count, 'image')}"] if lost else [])]
