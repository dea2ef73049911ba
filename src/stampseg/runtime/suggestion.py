"""Which scans to label next, with drafts of their masks: scan_choice.py says how they are chosen."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.errors import ConfigError, DataError
from ..core.files import refuse_existing, write_text
from ..core.run_folder import run_folder_of
from ..core.text import counted, csv_text, some
from ..data.appearance import look
from ..data.cases import Case, with_groups
from ..data.content import content_of
from ..data.io.formats import is_hidden, is_there, stem_of
from ..data.io.readers import UNCERTAINTY, read_image
from ..data.labels.postprocess import postprocessed
from ..data.layouts.layout import DRAFTS, SUGGESTED
from ..data.likeness import remarks
from ..data.plan import Plan
from ..data.preprocess import prepare
from ..data.splits.identity import with_known_people
from ..data.splits.known import Known, trained_on
from ..data.splits.record import SplitCase, read_splits
from .channels import inputs_of
from .confidence import segment_confidently
from .model import OpenModel, check_order, open_model
from .output_files import check_folder, refuse_overwriting
from .people import regex_of
from .scan_choice import Chosen, choose
from .segment_options import SegmentOptions
from .segmentation import segment
from .staged import Staged
from .trust import trust_of
from .trust_files import RECORD, TABLE

PICTURES = "pictures"  # a folder
CORRECTED = "corrected"  # a folder: where masks go when a person has corrected them
STAGE = ".suggesting"  # a folder: drafts before all of them are made
FAR = 0.8  # share of the scans that are nearer to what is labelled, for "unlike"


@dataclass(frozen=True)
class Suggestion:
    """A scan to label.

    Attributes:
        case: its image.
        draft: the mask to correct.
        figure: Dice to be expected of the draft's worst label, or its certainty; of a draft of nothing, the
            share of such masks of other people that were right, or of the training cases that lack the label.
        reason: why it was chosen, in words.
    """

    case: Case
    draft: Path
    figure: float
    reason: str


@dataclass(frozen=True, eq=False)
class _Seen:
    case: Case
    figure: float
    look: np.ndarray
    flags: tuple[str, ...]
    is_empty: bool


def suggest(
    model: Path,
    inputs: Sequence[Path],
    output: Path,
    count: int = 5,
    *,
    group_regex: str | None = None,
    device: str = "cpu",
    trusted: Collection[str] = (),
    threads: int | None = None,
    echo: Callable[[str], None] = print,
) -> list[Suggestion]:
    """Choose scans to label next and write drafts of their masks.

    `output` gets `drafts/` (masks to correct, with maps of uncertain voxels), `pictures/`, `suggested.csv`
    and an empty folder `corrected/`, for the masks from which a training goes on, all of it or nothing; what
    a stopped call left there is replaced. Scans whose labels the network has seen are left out, and those
    that were kept aside with their labels, as far as the run folder or the model file knows them.

    Args:
        model: run folder, model file or exported file.
        inputs: images without labels: files, folders, DICOM series.
        output: folder to write.
        count: how many to suggest, each of another person.
        group_regex: its first group in a file's name is the person; None: that of the run whose network it
            is; without one, people whom the run knows by name; else every file is another person.
        device: where to compute.
        trusted: `package.module:Class` names whose code the model may use.
        threads: to compute with.
        echo: is told of scans that are left out, and in a line of all that were looked at.

    Returns:
        The suggestions, the first first.

    Raises:
        ConfigError: a count below 1, a `group_regex` that does not match every name, or scans that are named
            before the model.
        DataError: no scan is left to suggest, the run's splits.json is damaged, or something is in the way
            of what is written.
        ModelFileError: the model cannot be opened.
    """
    if count < 1:
        raise ConfigError(f"`count` {count}: expected 1 scan or more")
    refuse_existing(output / SUGGESTED)
    check_order(model, inputs, "suggest")
    opened = open_model(model, device=device, trusted=trusted, threads=threads)
    people = regex_of(model) if group_regex is None else group_regex
    cases = with_groups(inputs_of(model, inputs, opened.plan, echo), people)
    labelled, aside = _labelled(model)
    if people is None:
        cases = with_known_people(cases, [entry.case for entry in (*labelled, *aside)], True)
    left = _unlabelled(cases, (*labelled, *aside), opened.trained_on)
    known = Known((*labelled, *aside), opened.trained_on)
    seen, failures = _look_at(left, opened, known, echo)
    if not seen and not failures:
        raise _all_labelled(cases)
    if not seen:
        raise DataError(f"none of {counted(len(left), 'scan')} can be read; the first: {failures[0]}")
    echo(_summary(seen, opened.plan, len(cases) - len(left)))
    anchors = [look for entry in labelled if (look := _look_of(entry.case, opened.plan)) is not None]
    found = _suggestions(seen, anchors, count, output / DRAFTS, opened.plan.is_calibrated)

    def draw(place: Path) -> None:
        options = SegmentOptions(
            overlays=place / PICTURES, device=device, trusted=tuple(trusted), threads=threads, confidence=True
        )
        cases = [one.case for one in found]
        segment(model, cases, place / DRAFTS, options, echo=lambda text: None).check()

    _write(output, found, draw)
    return found


def _unlabelled(cases: list[Case], known: Sequence[SplitCase], digests: Collection[str]) -> list[Case]:
    """Those whose labels the network has not seen, and that were not kept aside.

    Raises:
        DataError: there is none.
    """
    seen = {case.id for case in trained_on(cases, known, digests)}
    left = [case for case in cases if case.id not in seen]
    if not left:
        raise _all_labelled(cases)
    return left


def _all_labelled(cases: Sequence[Case]) -> DataError:
    return DataError(f"all {counted(len(cases), 'scan')} are labelled already; name scans without labels")


def _suggestions(
    seen: Sequence[_Seen], anchors: Sequence[np.ndarray], count: int, drafts: Path, calibrated: bool
) -> list[Suggestion]:
    """Which of the scans that were looked at to label, the first first; `anchors`: looks of others."""
    order = choose(
        np.stack([one.look for one in seen]),
        1 - np.array([one.figure for one in seen]),
        [one.case.group for one in seen],
        np.stack(anchors) if anchors else None,
        count,
    )
    chosen = [(seen[each.place], each) for each in order]
    return [
        Suggestion(
            one.case, drafts / one.case.mask_name, one.figure,
            _reason(one, each, calibrated, bool(anchors)),
        )
        for one, each in chosen
    ]  # fmt: skip


def _write(output: Path, found: Sequence[Suggestion], draw: Callable[[Path], None]) -> None:
    """Write the drafts, which `draw` makes in a folder, and the table; all of it, or nothing."""
    staged = Staged(output, STAGE)
    staged.clear()
    for folder in (output / DRAFTS, output / PICTURES):
        check_folder(folder)
    for name in (TABLE, RECORD):
        refuse_existing(output / DRAFTS / name)
    masks = {one.case.images: one.draft for one in found}
    refuse_overwriting([one.case for one in found], masks, output / PICTURES, False, confidence=True)
    try:
        draw(staged.place)
        _write_table(staged.place / SUGGESTED, found)
        staged.put_into_place(SUGGESTED)
    except BaseException:
        staged.clear()
        raise
    (output / CORRECTED).mkdir(exist_ok=True)


def read_suggested(folder: Path) -> list[Case]:
    """The suggested scans of a folder, with the masks that lie in its `corrected/`; those without have none.

    Raises:
        DataError: the table is damaged, or a scan is gone.
    """
    cases = []
    for images, name, group in _rows(folder):
        gone = next((image for image in images if not is_there(image)), None)
        if gone is not None:
            raise DataError(f"{gone}: named in {folder / SUGGESTED}, and is not there any more; put it back")
        mask = folder / CORRECTED / name
        cases.append(Case(stem_of(Path(name)), group, images, mask if mask.exists() else None))
    return cases


def strangers(folder: Path) -> str:
    """Words for the files in `corrected/` that have no draft's name; "" without any.

    Raises:
        DataError: the table is damaged.
    """
    drafts = {name for _, name, _ in _rows(folder)}
    doubts = {stem_of(Path(name)) + UNCERTAINTY for name in drafts}  # copied with their masks
    place = folder / CORRECTED
    files = sorted(place.iterdir()) if place.is_dir() else []
    found = [
        file.name
        for file in files
        if file.name not in drafts and stem_of(file) not in doubts and not is_hidden(file)
    ]
    kind = "is no draft's name" if len(found) == 1 else "are no drafts' names"
    return f"found {some(found)} in {place}, which {kind}" if found else ""


def _rows(folder: Path) -> list[tuple[tuple[Path, ...], str, str]]:
    """Images, name of the draft and person of each suggested scan."""
    path = folder / SUGGESTED
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [(_images_of(row, folder), Path(row["draft"]).name, row["group"]) for row in rows]
    except (OSError, UnicodeDecodeError, KeyError, AttributeError, TypeError, csv.Error):
        raise DataError(
            f"{path}: not a table of `suggest`, with columns image, draft and group; suggest anew"
        ) from None


def _images_of(row: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """The channels of a scan, in columns image, image_2, ... as in a CSV of cases."""
    names = [name for number in range(2, len(row) + 1) if row.get(name := f"image_{number}")]
    return tuple(folder / row[name] for name in ("image", *names))


def _labelled(model: Path) -> tuple[Sequence[SplitCase], Sequence[SplitCase]]:
    """Scans whose labels made the network, and those that were kept aside with their labels.

    Raises:
        DataError: the splits.json of the run is damaged: those scans would be suggested.
    """
    splits = read_splits(run_folder_of(model))
    if splits is None:
        return (), ()
    aside = [entry for entry in (*splits.test, *splits.held_out) if entry.label is not None]
    return (*splits.learnt_from, *splits.validation), aside


def _look_at(
    cases: Sequence[Case], opened: OpenModel, known: Known, echo: Callable[[str], None]
) -> tuple[list[_Seen], list[str]]:
    """What the network says of every scan, one at a time in memory; those that it knows are left out."""
    seen, failures = [], []
    with opened.scoring() as scorer:
        for case in cases:
            try:
                volume = read_image(case.images, opened.plan.in_channels)
                prepared = prepare(volume, opened.plan)
            except DataError as error:
                failures.append(str(error))
                echo(f"left out: {error}")
                continue
            if known.holds(case, content_of(volume)):
                echo(f"left out: {case.images[0]} has trained the network, in another file")
                continue
            found = segment_confidently(prepared, opened.plan, scorer)
            # on the scan's own grid, as the draft: sizes are said of it
            mask = postprocessed(found.mask, opened.steps, volume.header.spacing)
            unlike = remarks(volume, opened.plan)
            trust = trust_of(replace(found, mask=mask), opened.plan, volume.header, unlike)
            appearance = look(prepared.image).ravel()
            seen.append(_Seen(case, trust.lowest, appearance, trust.flags, trust.is_empty))
    return seen, failures


def _summary(seen: Sequence[_Seen], plan: Plan, labelled: int) -> str:
    """What was looked at, in a line."""
    figures = sorted(one.figure for one in seen if not one.is_empty)
    empty = len(seen) - len(figures)
    nothing = [f"nothing found in {empty}"] if empty else []
    what = "expected Dice" if plan.is_calibrated else "certainty"
    people = len({one.case.group for one in seen})
    of = f" of {people} people" if people < len(seen) else ""
    known = f"; {labelled} labelled already, and left out" if labelled else ""
    flagged = sum(bool(one.flags) for one in seen)
    middle = figures[len(figures) // 2] if figures else 0.0
    ranges = [f"{what} {figures[0]:.2f} to {figures[-1]:.2f}, middle {middle:.2f}"] if figures else []
    told = "; ".join([*ranges, *nothing, f"{flagged} with something unusual"])
    return f"{counted(len(seen), 'scan')}{of} looked at{known}: {told}"


def _look_of(case: Case, plan: Plan) -> np.ndarray | None:
    """None where the files are gone."""
    with suppress(DataError, OSError):
        return look(prepare(read_image(case.images, plan.in_channels), plan).image).ravel()
    return None


def _reason(one: _Seen, chosen: Chosen, calibrated: bool, anchored: bool) -> str:
    figure = f"{'expected Dice' if calibrated else 'certainty'} {one.figure:.2f}"
    said = ["nothing found" if one.is_empty else figure]
    if chosen.like:
        said.append(f"stands for {counted(chosen.like, 'other')}")
    if chosen.distance >= FAR:
        said.append("unlike what is labelled" if anchored else "unlike the other scans")
    return "; ".join([*said, *one.flags])


def _write_table(path: Path, found: Sequence[Suggestion]) -> None:
    channels = range(2, max(len(one.case.images) for one in found) + 1)
    others = [f"image_{number}" for number in channels]
    table: list[list[object]] = [["rank", "image", *others, "draft", "group", "figure", "reason"]]
    for rank, one in enumerate(found, 1):
        images = [str(image.absolute()) for image in one.case.images]
        images += [""] * (1 + len(others) - len(images))
        figure = f"{one.figure:.4f}"
        table.append([rank, *images, one.draft.absolute(), one.case.group, figure, one.reason])
    write_text(path, csv_text(table))
