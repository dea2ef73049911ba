"""Labels merged or dropped as they are read: which value of the files counts as which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from pydantic import Field

from ...core.data_options import DataOptions
from ...core.errors import ConfigError
from ...core.options import Value
from ...core.text import some
from .regions import NO_REGIONS, DeclaredRegions, ValueRegion, regions_in_words

BACKGROUND = 0
UNUSED = (
    "the regions of dataset.json are not used, as labels are merged or chosen (`data.merge`, `data.only`): "
    "these are classes that exclude each other"
)


class Relabelling(Value):
    """What label values become; part of a plan, so that every reader of the same labels does the same.

    Attributes:
        merged: value in the files -> value that it counts as.
        kept: after merging, all but these become background; None: all are kept.
    """

    merged: dict[int, int] = Field(default_factory=dict)
    kept: tuple[int, ...] | None = None

    def of(self, value: int) -> int:
        """What a value counts as."""
        into = self.merged.get(value, value)
        return into if self.kept is None or into in self.kept else BACKGROUND

    def counted(self, voxels: Mapping[int, int]) -> dict[int, int]:
        """Voxels by value, as they count."""
        found = Counter[int]()
        for value, count in voxels.items():
            found[self.of(value)] += count
        return dict(found)

    def applied(self, labels: np.ndarray) -> np.ndarray:
        """Label values (*S) as they count; a copy."""
        kind = np.min_scalar_type(max(self.merged.values(), default=BACKGROUND))
        changed = labels.astype(np.promote_types(labels.dtype, kind))
        for value, into in self.merged.items():
            changed[labels == value] = into
        if self.kept is not None:
            changed[~np.isin(changed, self.kept)] = BACKGROUND
        return changed


def relabelled(labels: np.ndarray, rule: Relabelling | None) -> np.ndarray:
    """Label values (*S) as they count; without a rule as they are."""
    return labels if rule is None else rule.applied(labels)


@dataclass(frozen=True)
class ChosenLabels:
    """Names of label values, what the values count as, the regions they make up, and notes on that."""

    names: Mapping[int, str]
    relabel: Relabelling | None = None
    regions: tuple[ValueRegion, ...] = ()
    notes: tuple[str, ...] = ()


def ignored_value(given: int | None, declared: int | None) -> int | None:
    """The value to ignore, as an option gives it and as the data set declares it.

    Raises:
        ConfigError: they differ.
    """
    if given is not None and declared is not None and given != declared:
        raise ConfigError(
            f"`data.ignore_label` {given}: dataset.json declares {declared} as ignore; expected one value; "
            "leave out the option, or correct the file"
        )
    return declared if given is None else given


def labels_asked(
    options: DataOptions, declared: Mapping[int, str], ignored: int | None, regions: DeclaredRegions
) -> tuple[ChosenLabels, int | None]:
    """As `choose_labels`, and the value to ignore, where the data set declares `ignored`.

    Raises:
        ConfigError, DataError: as `choose_labels` and `ignored_value`.
    """
    value = ignored_value(options.ignore_label, ignored)
    return choose_labels(options, declared, value, regions), value


def choose_labels(
    options: DataOptions,
    declared: Mapping[int, str],
    ignored: int | None,
    regions: DeclaredRegions = NO_REGIONS,
) -> ChosenLabels:
    """What labels are called and count as, by the data set and by `names`, `merge` and `only`.

    Regions count unless labels are merged or chosen by the options.

    A merged label has the first of its values. Of what is said, names come first, then merging, then
    dropping: `only` may name what was merged.

    Args:
        options: of the data.
        declared: names by value, as the data set says.
        ignored: value that is left out of all; it stays what it is.
        regions: structures of several values, as the data set says.

    Raises:
        ConfigError: a label that nothing is called, a value that is merged twice, or background or the
            ignored value among them.
        DataError: regions that masks cannot hold.
    """
    names = {**declared, **options.names}
    if regions and not options.merge and not options.only:
        return _of_regions(names, regions)
    asked = {*options.only, *(label for labels in options.merge.values() for label in labels)}
    for name in asked & {*regions.values} - {*names.values()}:
        listed = ",".join(map(str, sorted(regions.values[str(name)])))
        raise ConfigError(
            f"`data.only` and `data.merge`: {name} is a region of the values {listed}; name these, as in "
            f"`data.merge` {name}={listed}"
        )
    notes = (UNUSED,) if regions else ()
    merged: dict[int, int] = {}
    for name, labels in options.merge.items():
        said = f"`data.merge` {name}={','.join(map(str, labels))}"
        values = [_value(label, names, said) for label in labels]
        _check_merge(said, values, merged, ignored)
        merged |= dict.fromkeys(values, values[0])
        names = {value: other for value, other in names.items() if value not in values}
        if name in names.values():
            raise ConfigError(
                f"{said}: another label is called {name}; choose another name, or merge that one as well"
            )
        names[values[0]] = name
    merged = {value: into for value, into in merged.items() if value != into}
    if not options.only:
        return ChosenLabels(names, Relabelling(merged=merged) if merged else None, notes=notes)
    said = f"`data.only` {','.join(map(str, options.only))}"
    kept = [merged.get(value, value) for value in (_value(label, names, said) for label in options.only)]
    if BACKGROUND in kept:
        raise ConfigError(f"{said}: 0 is the background, which is always kept; leave it out")
    if ignored in kept:
        raise ConfigError(f"{said}: {ignored} is the ignore label, which stays what it is; leave it out")
    names = {value: name for value, name in names.items() if value in (*kept, BACKGROUND)}
    always = () if ignored is None else (ignored,)
    relabel = Relabelling(merged=merged, kept=(*dict.fromkeys(kept), *always))
    return ChosenLabels(names, relabel, notes=notes)


def _of_regions(names: Mapping[int, str], declared: DeclaredRegions) -> ChosenLabels:
    """Every region as it is declared; values that no region tells apart are one class."""
    regions, merged = declared.settled()
    order = ", ".join(str(region.written) for region in regions)
    note = (
        f"regions: {regions_in_words(regions)}; loss, Dice and masks are of these, and masks are written "
        f"in the order {order}"
    )
    names = {value: name for value, name in names.items() if value not in merged}
    return ChosenLabels(names, Relabelling(merged=merged) if merged else None, regions, (note,))


def _check_merge(said: str, values: Sequence[int], before: Mapping[int, int], ignored: int | None) -> None:
    if len(set(values)) < 2:
        raise ConfigError(f"{said}: expected two labels or more, as in cord=1,2; `data.names` names one")
    if BACKGROUND in values:
        raise ConfigError(
            f"{said}: 0 is the background; name the labels that remain with `data.only`, and the others "
            "become background"
        )
    if ignored in values:
        raise ConfigError(f"{said}: {ignored} is the ignore label, which stays what it is; leave it out")
    twice = [value for value in values if value in before]
    if twice:
        raise ConfigError(f"{said}: {twice[0]} is merged already; expected every label in one merge")


def _value(label: int | str, names: Mapping[int, str], said: str) -> int:
    """The value that a name or a number stands for."""
    by_name = {name: value for value, name in names.items()}
    if isinstance(label, str) and label in by_name:
        return by_name[label]
    if isinstance(label, int) or (label.isascii() and label.isdigit()):
        return int(label)
    if not names:
        raise ConfigError(
            f"{said}: the data set does not say what its labels are called; give values, as in 1,2, or name "
            "them with `data.names`, as in 1=liver,2=spleen"
        )
    near = get_close_matches(label, by_name, n=1) or get_close_matches(label.lower(), by_name, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    there = some([f"{value} {name}" for value, name in sorted(names.items()) if value != BACKGROUND], 12)
    raise ConfigError(f"{said}: no label is called {label}; {hint}Labels are {there}; values will do as well")
