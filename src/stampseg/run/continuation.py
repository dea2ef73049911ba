"""Training that goes on from a finished run, with more labelled cases beside those that it had.

What is kept: the run's network at its size with its weights, how images are prepared, who validated and who
was kept aside. What is new: the labels, what is known of the training scans, the optimiser, the steps.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.config import Config
from ..core.errors import ConfigError, DataError
from ..core.method import METHODS
from ..core.text import counted, some
from ..data.cases import Case, Dataset, find_dataset, with_groups
from ..data.fingerprint import FINGERPRINT
from ..data.io.formats import is_there
from ..data.layouts.layout import SUGGESTED
from ..data.plan import Plan
from ..data.splits.identity import begins_with, files_of, unknown_people, with_known_people
from ..data.splits.record import SplitCase, Splits, digest_of, read_splits
from ..networks.pretrained.source import open_source
from ..networks.pretrained.trained_network import Source
from ..runtime.suggestion import CORRECTED, read_suggested, strangers
from .folder import RunFolder
from .spec import RunSpec

SIDES = ("training", "validation", "test")
# Options of the earlier run that are not taken over: who trained, what it was made for, where it ran.
_OF_ONE_RUN: dict[str, tuple[str, ...]] = {
    "": ("labels", "method", "preset", "network", "device", "devices", "track"),
    "train": ("validation", "test", "folds", "fold_column", "distil", "search", "budget", "learning_rate"),
    "data": ("spacing", "grid", "patch_size", "normalization", "crop", "names", "merge", "only"),
    "prune": ("target",),
}
_PLANNED = _OF_ONE_RUN["data"]


def go_on(spec: RunSpec) -> tuple[Dataset, Config, Source]:
    """What a training learns from, its options, and the network that it starts with.

    Args:
        spec: `model` is the folder of the earlier run, `data` the cases that are added: a data set, or a
            folder of `suggest` with corrected masks.

    Raises:
        ConfigError: the earlier run has not ended, or an option does not go with it.
        DataError: it does not say who trained, files of it are gone, nothing new is there, or what is added
            has other channels.
        ModelFileError: it has no model.
    """
    run = spec.model
    assert run is not None
    folder = RunFolder(run)
    before = folder.spec
    if not folder.ended:
        raise ConfigError(f"{run}: this run has not ended; resume it, and go on from it then")
    splits = read_splits(run)
    if splits is None or not splits.training:
        raise DataError(f"{run}: does not say who trained in it; train anew with all labels")
    config = inherited(_options_of(before), spec.config)
    # the network that the earlier run named is trusted where it is named again
    source = open_source(run, trusted=(config.network.name, *spec.trusted))
    config = _checked(config, source)
    assert source.plan is not None
    channels = FINGERPRINT.read(run).channel_names
    added = _of_channels(run, channels, _added(spec, config, channels), source.plan)
    return _with_added(run, splits, added, source.plan, config.group_regex), config, source


def _options_of(spec: RunSpec) -> Config:
    """What was asked of a run, with what it had from the run that it went on from, and so on."""
    if spec.work != "train" or spec.model is None:
        return spec.config
    if not spec.model.is_dir():
        raise DataError(
            f"{spec.model}: is gone, and the run that you go on from has options of it, who validates among "
            "them; put it back, or train anew with all labels"
        )
    return inherited(_options_of(RunFolder(spec.model).spec), spec.config)


def inherited(before: Config, given: Config) -> Config:
    """The options of the earlier run, but for those of that run alone, and what is given now.

    Without a method and a target the network keeps its size.
    """
    old, new = before.as_given(), given.as_given()
    for part, names in _OF_ONE_RUN.items():
        inside = old.get(part, {}) if part else old
        for name in names:
            inside.pop(name, None)
    if "unlabelled" not in new and old.get("unlabelled") not in (None, "none"):
        old["unlabelled"] = "auto"  # those that it learnt from; a folder may hold scans of people who judge
    if "method" not in new:
        new["method"] = "stamp+" if "target" in new.get("prune", {}) else "dense"
    if METHODS[new["method"]].prunes:
        old.get("train", {}).pop("channel_dropout", None)  # of methods that do not prune
    return Config().merged(old).merged(new)


def _checked(config: Config, source: Source) -> Config:
    """See that nothing is asked that the network or its plan has settled."""
    if config.labels is not None:
        raise ConfigError(
            f"`labels` {config.labels}: all labels of the earlier run and all that are added train; leave "
            "it out"
        )
    if config.traits.sized is not None:
        raise ConfigError(
            f"`method` {config.method} makes a network, and there is one already; leave it out to keep its "
            "size, or use stamp+ to cut it further"
        )
    assert source.spec is not None
    given = config.network.model_fields_set - {"name"}
    if given or (config.network.model_fields_set and config.network.name != source.spec.name):
        name = min(given, default="name")
        raise ConfigError(
            f"`network.{name}`: the network is that of the earlier run ({source.spec.name}); leave it out"
        )
    planned = [name for name in _PLANNED if name in config.data.model_fields_set]
    if planned:
        raise ConfigError(
            f"`data.{planned[0]}`: images and labels are prepared as in the earlier run; leave it out, or "
            "train anew"
        )
    return config.merged({"network": {}}) if not config.network.model_fields_set else config


def _added(spec: RunSpec, config: Config, channels: tuple[str, ...]) -> Dataset:
    """The cases that are added, as they were found; drafts were made of images in the order of `channels`."""
    if not (spec.data / SUGGESTED).is_file():
        return find_dataset(spec.data, images=spec.images, masks=spec.masks, group_regex=config.group_regex)
    rows = with_groups(read_suggested(spec.data), config.group_regex)  # the people whom the earlier run knows
    cases = tuple(row for row in rows if row.label is not None)
    left = [row.id for row in rows if row.label is None]
    strange = strangers(spec.data)
    if not cases:
        seen = f"; {strange}" if strange else ""
        raise DataError(
            f"{spec.data}: none of {counted(len(rows), 'draft')} was corrected{seen}; save each corrected "
            f"mask under the name of its draft in {spec.data / CORRECTED}"
        )
    told = [f"not corrected yet, and left out: {some(left)}"] if left else []
    if strange:
        told.append(f"{strange}, and left out")
    return Dataset(spec.data, "csv", cases, (), {}, channels, tuple(told))


def _with_added(run: Path, splits: Splits, added: Dataset, plan: Plan, regex: str | None = None) -> Dataset:
    """The cases of the earlier run and those that are added, each with the side that it is on."""
    _check_names(added, plan)
    cases, sides = dict[str, Case](), dict[str, str]()
    for side in SIDES:
        for entry in getattr(splits, side):
            cases[entry.id], sides[entry.id] = entry.case, side
    _check_there(run, cases.values())
    _check_same_images(run, splits)
    known = _by_image(splits)
    people = {case.group: sides[name] for name, case in cases.items()}
    before = [*cases.values(), *(entry.case for entry in splits.unlabelled)]
    added, untold = _of_known_people(added, before, regex)
    new, corrected = list[str](), list[str]()
    for case in added.cases:
        entry = known.get(digest_of(case.images))
        if entry is None:
            name = _free_name(case.id, cases)
            cases[name] = replace(case, id=name, channels=())
            sides[name] = people.get(case.group, "training")
            new.append(name)
        elif entry.digest != digest_of(case.files):
            cases[entry.id] = replace(case, id=entry.id, group=cases[entry.id].group, channels=())
            corrected.append(entry.id)
    if not new and not corrected:
        raise DataError(
            f"{added.root}: all {counted(len(added.cases), 'case')} of it are labelled so in {run} already; "
            "name others, or correct their labels"
        )
    taken = {file for case in cases.values() for file in files_of(case.bare)}
    seen = (*(entry.case for entry in splits.unlabelled), *added.unlabelled)
    unlabelled = dict[str, Case]()
    for case in seen:
        files = files_of(case.bare)
        if not files & taken and all(map(is_there, case.images)):
            name = _free_name(case.id, cases, unlabelled)
            unlabelled[name] = replace(case, id=name)
            taken |= files
    names = {} if plan.relabel else dict(zip(plan.label_values[1:], plan.label_names[1:], strict=True))
    return Dataset(
        root=added.root, layout=added.layout, cases=tuple(cases.values()),
        unlabelled=tuple(unlabelled.values()),
        label_names=names, channel_names=added.channel_names,
        warnings=(*added.warnings, _words(run, new, corrected, sides) + untold),
        ignored=plan.ignored_value, sides=sides,
    )  # fmt: skip


def _of_known_people(added: Dataset, before: Sequence[Case], regex: str | None) -> tuple[Dataset, str]:
    """What is added with the people of the earlier run, by their names, and of whom that is not known.

    Where a regex or what is added itself says who is who, that counts.
    """
    cases = [*added.cases, *added.unlabelled]
    ids = {case.id for case in cases}  # a copy is of the person of the other, who has its name
    if regex is not None or any(case.group not in ids for case in cases):
        return added, unknown_people(cases, before)
    found = with_known_people(cases, before, called_so=True)
    count = len(added.cases)
    alike = [
        f"{case.id} as {other.id}"
        for case in found
        if case.group == case.id
        for other in before
        if other.group == other.id != case.id and begins_with(case.id, other.id)
    ]
    untold = unknown_people(found, before)
    if alike:
        untold += (
            f"; called alike: {some(alike)}; if they are of one person, say so in a column group or with "
            "`group_regex`, or that person is on two sides"
        )
    return replace(added, cases=tuple(found[:count]), unlabelled=tuple(found[count:])), untold


def _words(run: Path, new: list[str], corrected: list[str], sides: Mapping[str, str]) -> str:
    apart = [name for name in new if sides[name] != "training"]
    said = f"goes on from {run} with {counted(len(new), 'labelled case')} added"
    if corrected:
        said += f", and {counted(len(corrected), 'label')} corrected: {some(corrected)}"
    if apart:
        said += f"; of people who validate or are kept aside, and so on their side: {some(apart)}"
    return said


def _of_channels(run: Path, ours: tuple[str, ...], added: Dataset, plan: Plan) -> Dataset:
    """What is added, its channels named as in the earlier run; a single one needs no name.

    Raises:
        DataError: they are others, or in another order.
    """
    theirs = added.channel_names
    if ours == theirs or (plan.in_channels == 1 and not (ours and theirs)):
        return replace(added, channel_names=ours or theirs)
    found, expected = (some(names, 9) or "without names" for names in (theirs, ours))
    raise DataError(
        f"{added.root}: channels {found}, those of {run} are {expected}; expected the same in the same "
        "order, for the network tells them apart by their order alone; name the columns, or channel_names in "
        "dataset.json, as they were"
    )


def _check_names(added: Dataset, plan: Plan) -> None:
    """That a value is not called otherwise than it was."""
    ours = {} if plan.relabel else dict(zip(plan.label_values, plan.label_names, strict=True))
    for value, name in added.label_names.items():
        if value and value in ours and ours[value] != name:
            raise DataError(
                f"{added.root}: calls the label value {value} {name!r}, which the model knows as "
                f"{ours[value]!r}; expected labels of the same meaning; correct the masks or the name"
            )


def _check_there(run: Path, cases: Iterable[Case]) -> None:
    for case in cases:
        gone = next((path for path in case.files if not is_there(path)), None)
        if gone is not None or case.label is None:
            raise DataError(
                f"{gone or case.id}: was learnt from in {run}, and is not there any more; put it back, or "
                "train anew with what there is"
            )


def _check_same_images(run: Path, splits: Splits) -> None:
    """See that no image was replaced in place; a label may have been corrected."""
    for entry in (entry for side in SIDES for entry in getattr(splits, side)):
        if entry.image_digest is not None and entry.image_digest != digest_of(entry.images):
            raise DataError(
                f"{entry.images[0]}: was learnt from in {run}, and is another image now; put it back and add "
                "the other under a name of its own, or train anew with what there is"
            )


def _by_image(splits: Splits) -> dict[str, SplitCase]:
    """The cases of the earlier run by what is in their image files."""
    entries = (entry for side in SIDES for entry in getattr(splits, side))
    return {entry.image_digest or digest_of(entry.images): entry for entry in entries}


def _free_name(name: str, *taken: Container[str]) -> str:
    """The id of a case that is added; another case of that name may be there."""
    number, free = 2, name
    while any(free in names for names in taken):
        free, number = f"{name}-{number}", number + 1
    return free
