"""Image and label pairs in any layout -> cases, each with an id and the person it belongs to."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..core.errors import ConfigError, DataError
from ..core.text import composed, some
from .duplicates import find_duplicates
from .io.formats import format_of, stem_of
from .io.limits import SPREADSHEETS, check_kind
from .io.readers import output_name
from .labels.organs import PIECE, LabelFiles, each_of, together
from .labels.regions import NO_REGIONS, DeclaredRegions
from .layouts.case_table import read_table, unread_groups
from .layouts.doubts import nearly_alike
from .layouts.layout import EXPECTED, list_csv, list_folder
from .layouts.listing import Entry, Listing


@dataclass(frozen=True)
class Case:
    """One labelled (or to be labelled) image.

    Attributes:
        id: unique in its data set.
        group: the person; splits never separate a group.
        images: one file per channel in channel order; a DICOM series is its folder; a 4D or RGB
            file holds several channels alone.
        label: the label file, None for an image without one; the first of `organs`, if there are some.
        organs: (name, mask file) of each organ, where each has a file of its own; without names, pieces
            of one label.
        channels: names of the image files, where they have some.
    """

    id: str
    group: str
    images: tuple[Path, ...]
    label: Path | None
    organs: tuple[tuple[str, Path], ...] = ()
    channels: tuple[str, ...] = ()

    @property
    def label_files(self) -> LabelFiles | None:
        """What the label is read from."""
        return together(self.organs) if self.organs else self.label

    @property
    def organ_names(self) -> tuple[str, ...]:
        """Of the masks; none of pieces of one label, of which a case may have several or one."""
        return tuple(name for name, _ in self.organs if name != PIECE)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of image and label."""
        labels = self.label_files
        return (*self.images, *(() if labels is None else each_of(labels)))

    @property
    def mask_name(self) -> str:
        """File name of the labels that are predicted for it: as `output_name`; but where its id is not its
        image's name, as of `case_1/imaging.nii.gz`, its id with that ending.
        """
        first, name = self.images[0], output_name(self.images)
        if self.id == stem_of(first):
            return name
        suffix = format_of(first).mask_suffix_of(first)
        return name if self.id == name.removesuffix(suffix) else self.id.replace("/", "_") + suffix

    @property
    def bare(self) -> Case:
        """The same without its label."""
        return replace(self, label=None, organs=())


@dataclass(frozen=True)
class Dataset:
    """The cases of a folder or CSV, sorted by id.

    Attributes:
        root: what the user named.
        layout: "decathlon", "nnunet", "folders", "cases" or "csv".
        cases: labelled cases.
        unlabelled: images without a label.
        label_names: declared name per value in the files, empty if none is declared.
        ignored: value that is declared as ignore, or None.
        regions: structures of several values, as they are declared.
        held_out: labelled cases of people of whom nothing may be learnt, for they are predicted afterwards.
        others: labelled cases that have no part in what is done, but say whose images are whose.
        sides: training, validation or test of each case by id, where an earlier run has settled that.
        channel_names: declared, such as ("CT",), empty if none is declared.
        warnings: one line each.
        people_told: whether a column says of every case whose it is.
    """

    root: Path
    layout: str
    cases: tuple[Case, ...]
    unlabelled: tuple[Case, ...]
    label_names: Mapping[int, str]
    channel_names: tuple[str, ...]
    warnings: tuple[str, ...]
    ignored: int | None = None
    held_out: tuple[Case, ...] = ()
    others: tuple[Case, ...] = ()
    sides: Mapping[str, str] = field(default_factory=dict)
    regions: DeclaredRegions = NO_REGIONS
    people_told: bool = False


def find_dataset(
    data: Path, *, images: Path | None = None, masks: Path | None = None, group_regex: str | None = None
) -> Dataset:
    """Find the labelled cases in `data`, a folder in one of five layouts or a CSV.

    The group is what `group_regex` finds in the id (its first group, or the whole match), else the
    CSV's group column, else the id. `images` and `masks` name two folders, relative to `data` or
    absolute.

    Raises:
        DataError: nothing found, files missing, or a pairing that is ambiguous.
        ConfigError: a `group_regex` that is wrong or does not match every id.
    """
    data = Path(data)
    listing = _list(data, images, masks)
    if not any(entry.label for entry in listing.entries):
        raise DataError(f"{data}: no image with a label found; {EXPECTED}")
    root = data if data.is_dir() else data.parent
    cases, repeats = _with_shared_images(cases_of(listing.entries, root, group_regex))
    unread = unread_groups(data) if data.is_dir() else []
    alike = nearly_alike(dict.fromkeys(case.group for case in cases))
    return Dataset(
        root=data,
        layout=listing.layout,
        cases=tuple(case for case in cases if case.label is not None),
        unlabelled=tuple(case for case in cases if case.label is None),
        label_names=listing.label_names,
        channel_names=listing.channel_names,
        warnings=(*listing.warnings, *unread, *alike, *repeats, *_shared_labels(cases)),
        ignored=listing.ignored,
        regions=listing.regions,
        people_told=listing.layout == "csv" and all(entry.group for entry in listing.entries),
    )


def read_case_csv(
    path: Path, root: Path | None = None, group_regex: str | None = None, *, bare: bool = False
) -> list[Case]:
    """Cases of a CSV with columns image, label and optionally group, sorted by id.

    Paths are relative to `root`, by default the CSV's folder. An empty label gives a case without one; with
    `bare` all are without, and the column is not needed.

    Raises:
        DataError: the file or a file that it names is missing, or a column is.
        ConfigError: as `find_dataset`.
    """
    path = Path(path)
    if not path.is_file():
        columns = "a column image" if bare else "columns image,label"
        raise DataError(f"{path}: file not found; expected a CSV with {columns}")
    root = path.parent if root is None else Path(root)
    return cases_of(read_table(path, root, bare=bare).entries, root, group_regex)


def in_named_order(case: Case, names: Sequence[str], place: Path, whose: Path) -> Case:
    """The case with its channels in the order of their names, whether in small or capital letters.

    Args:
        case: whose channels have names.
        names: in the order that is wanted.
        place: what names the channels of the case, in the error.
        whose: what has the wanted ones, in the error.

    Raises:
        DataError: the case has other channels, or one side has no names.
    """
    own, wanted = _folded(case.channels), _folded(names)
    if sorted(own) != sorted(wanted):
        found, expected = (some(listed, 9) or "without names" for listed in (case.channels, names))
        raise DataError(
            f"{place}: channels {found}, those of {whose} are {expected}; expected the same names in both; "
            "name the columns alike (image:t1,image:t2)"
        )
    images = tuple(case.images[own.index(name)] for name in wanted)
    return replace(case, images=images, channels=tuple(names))


def in_channel_order(dataset: Dataset, names: Sequence[str], whose: Path) -> Dataset:
    """The data set with the channels of all cases in the order in which a network reads them.

    Args:
        dataset: its channels are in the order of `channel_names`, where they have names.
        names: of the network's channels; empty where nobody knows them.
        whose: what has them, in the error.

    Raises:
        DataError: both sides have names, and these are not the same.
    """
    ours = dataset.channel_names
    if len(ours) < 2 or len(names) < 2 or _folded(ours) == _folded(names):
        return dataset
    if len(set(_folded(ours))) < len(ours) or len(set(_folded(names))) < len(names):
        return dataset  # as where all are called MRI

    def ordered(cases: Sequence[Case]) -> tuple[Case, ...]:
        for case in cases:
            if len(case.images) != len(ours):
                raise DataError(
                    f"{case.images[0]}: holds the channels {some(ours, 9)}, those of {whose} are "
                    f"{some(names, 9)}; expected this order in the file; write its channels anew in it"
                )
        named = (case if case.channels else replace(case, channels=ours) for case in cases)
        return tuple(in_named_order(case, names, dataset.root, whose) for case in named)

    return replace(
        dataset, channel_names=tuple(names), cases=ordered(dataset.cases),
        unlabelled=ordered(dataset.unlabelled), held_out=ordered(dataset.held_out),
        others=ordered(dataset.others),
    )  # fmt: skip


def _folded(names: Sequence[str]) -> list[str]:
    return [name.casefold() for name in names]


def with_groups(cases: Sequence[Case], group_regex: str | None) -> list[Case]:
    """The cases with the person that `group_regex` finds in each id, where there is one.

    Raises:
        ConfigError: as `find_dataset`.
    """
    if group_regex is None:
        return list(cases)
    return [replace(case, group=match_group(group_regex, case.id)) for case in cases]


def _list(data: Path, images: Path | None, masks: Path | None) -> Listing:
    if not os.path.lexists(data):
        raise DataError(f"{data}: no such file or folder; {EXPECTED}")
    check_kind(data)
    if data.is_file():
        if data.suffix.lower() != ".csv":
            raise DataError(
                f"{data}: is a file; expected a folder or a CSV with columns image,label{_way_to_csv(data)}"
            )
        if images is not None or masks is not None:
            raise ConfigError(
                f"{data}: a CSV names its files itself, and `images` and `masks` name folders; leave out the "
                "one or the other"
            )
        return list_csv(data)
    return list_folder(data, images, masks)


def _way_to_csv(table: Path) -> str:
    """What makes a CSV of a table of another kind."""
    kind = table.suffix.lower()
    if kind in (".tsv", ".tab", ".txt"):
        return f"; where it is a table, rename it {table.stem}.csv: tabs between cells are read"
    return "; save the table as CSV" if kind in SPREADSHEETS else ""


def cases_of(entries: list[Entry], root: Path, group_regex: str | None) -> list[Case]:
    """Entries of a layout as cases with unique ids, sorted by them.

    Raises:
        DataError: two are called alike.
        ConfigError: a `group_regex` that is wrong or does not match every id.
    """
    ids = _ids(entries, root)
    groups = [entry.group or name for entry, name in zip(entries, ids, strict=True)]
    if group_regex is not None:
        groups = [match_group(group_regex, name) for name in ids]
    cases = [
        Case(name, group, entry.images, entry.label, entry.organs, entry.channels)
        for name, group, entry in zip(ids, groups, entries, strict=True)
    ]
    return sorted(cases, key=lambda case: case.id)


def _ids(entries: list[Entry], root: Path) -> list[str]:
    """Stems of the images; where two are equal, all ids get their folders' names in front."""
    ids = [entry.stem for entry in entries]
    if len(set(ids)) < len(ids):
        ids = ["_".join((*_folders(entry.images[0], root), entry.stem)) for entry in entries]
    for name, count in Counter(ids).items():
        if count > 1:
            same = [entry for entry, own in zip(entries, ids, strict=True) if own == name]
            if len({entry.images for entry in same}) == 1:
                others = len({(entry.label, entry.organs) for entry in same}) > 1
                raise DataError(
                    f"{root}: {same[0].images[0]} is listed {count} times{', with other labels' * others}; "
                    "expected every image once; keep one row"
                )
            raise DataError(
                f"{root}: {count} cases are called {name}; expected every image once; remove the repeats"
            )
    return ids


def _folders(image: Path, root: Path) -> tuple[str, ...]:
    parent = image.parent
    return parent.relative_to(root).parts if parent.is_relative_to(root) else parent.parts[1:]


def match_group(pattern: str, name: str) -> str:
    """The person that a regex finds in a case's name: its first group, or the whole match.

    Raises:
        ConfigError: it is no regex, or finds nothing.
    """
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise ConfigError(
            f"`group_regex` {pattern!r}: not a regular expression ({error}); correct it"
        ) from None
    person = match and (match.group(1) if match.re.groups else match.group(0))
    if not person:
        raise ConfigError(
            f"`group_regex` {pattern!r} finds nothing in the case id {name!r}; expected its first group "
            "to name the person in every id"
        )
    return composed(person)


def check_people(dataset: Dataset, group_regex: str | None) -> None:
    """Refuse a regex without a group that finds the same in every name of a whole data set.

    Raises:
        ConfigError: it does.
    """
    names = [case.id for case in dataset.cases]
    if group_regex is None or len(names) < 2 or re.compile(group_regex).groups:
        return
    found = {match_group(group_regex, name) for name in names}
    if len(found) == 1:
        raise ConfigError(
            f"`group_regex` {group_regex!r} finds {found.pop()!r} in all {len(names)} case ids, such as "
            f"{names[0]!r}; put brackets around what names the person, as in '(.+)-IM-'"
        )


def _with_shared_images(cases: list[Case]) -> tuple[list[Case], list[str]]:
    """Put cases whose image files are equal byte for byte into one group, and say so."""
    duplicates = find_duplicates([case.images for case in cases])
    merged: dict[str, str] = {}  # group -> the group it went into

    def last(group: str) -> str:
        while group in merged:
            group = merged[group]
        return group

    warnings = []
    for first, second in duplicates:
        one, other = cases[first], cases[second]
        warnings.append(f"{one.id} and {other.id} are the same image; they are kept in one group")
        into, merging = last(one.group), last(other.group)
        if into != merging:
            merged[merging] = into
    return [replace(case, group=last(case.group)) for case in cases], warnings


def _shared_labels(cases: Sequence[Case]) -> list[str]:
    """A word about label files that are named for images of different people."""
    first: dict[Path, Case] = {}
    warnings = []
    for case in cases:
        for label in _real(case.files) - _real(case.images):
            other = first.setdefault(label, case)
            if other.group != case.group:
                warnings.append(
                    f"{label.name} is the label of {other.id} and of {case.id}; expected one for each image; "
                    "correct the line, or give both one group"
                )
    return warnings


def _real(files: Iterable[Path]) -> set[Path]:
    """The files that links lead to; a circle of links is its own end."""
    return {Path(os.path.realpath(file)) for file in files}
