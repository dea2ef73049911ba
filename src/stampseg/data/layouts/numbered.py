"""Images with the number of a channel behind their names, as nnU-Net has them: `case_0000`, `case_0001`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path

from ...core.errors import DataError
from ...core.text import counted, some
from .habits import SEPARATORS, plain_name
from .listing import left_over
from .pairing import CHANNEL, Numbered, Pairs, group_channels, in_order, labels_beside, name_of

TAKEN = "images skipped because their name is taken"
LABELS_TAKEN = "labels skipped because their name is taken"
DRAWN = "images left out, called as labels of others beside them"
MOST = 16  # channels of a case: where names are numbered further they are slices


def cases_of_channels(
    files: Sequence[Path], labels: Collection[str], pairs_of_names: Callable[[], Pairs] | None
) -> tuple[dict[str, tuple[Path, ...]], list[str]]:
    """Images of each case in the order of their channels, and warnings; nothing where they are no channels.

    Args:
        files: the images.
        labels: stems of the labels, which are those of cases.
        pairs_of_names: by the names of all files, of which there are more where numbers are of no channels,
            and some files have none; None: no file is without.

    Raises:
        DataError: channels are missing, or a file without the number of one may be of any case; labels have
            the number of a channel.
    """
    found = group_channels(path for path in files if path.is_file())
    known = found.groups.keys() & labels
    if not known:
        _check_labels(found.groups, labels)
    if not known or (found.others and not _are_channels(found, labels, known, pairs_of_names)):
        return {}, []
    cases = {base: in_order(numbered) for base, numbered in found.groups.items()}
    series = [path for path in files if path.is_dir() and name_of(path) in labels]
    cases, masks = _without_masks(cases, labels)
    drawn = {path for path in labels_beside(files) if name_of(path) not in labels}
    strays = {name_of(path): path for path in (*found.others, *series) if path not in drawn}
    _check_count(cases)
    _check_strays(strays, cases, labels)
    told = (
        *left_over("images without the number of a channel, taken as cases of one", _names(strays.values())),
        *left_over(DRAWN, _names((*masks, *(path for path in found.others if path in drawn)))),
        *left_over(TAKEN, found.doubles),
    )
    return cases | {stem: (path,) for stem, path in strays.items()}, [*told]


def _without_masks(
    cases: Mapping[str, tuple[Path, ...]], labels: Collection[str]
) -> tuple[dict[str, tuple[Path, ...]], list[Path]]:
    """Cases without those that are called as labels of others, `c_seg_0000` of `c_0000`, and their files."""
    drawn = [
        base
        for base in cases
        if base not in labels and plain_name(base) != base and plain_name(base) in cases
    ]
    kept = {base: paths for base, paths in cases.items() if base not in drawn}
    return kept, [path for base in drawn for path in cases[base]]


def _names(paths: Iterable[Path]) -> list[str]:
    return [path.name for path in paths]


def _are_channels(
    found: Numbered,
    labels: Collection[str],
    known: Set[str],
    pairs_of_names: Callable[[], Pairs] | None,
) -> bool:
    """Whether numbers are of channels where some names have none: more labels are called as cases, whose
    numbers begin at 0, or as files without a number, than pair with files by their names.

    Raises:
        DataError: a file is called as a case of numbered files.
    """
    begun = [base for base in known if 0 in found.groups[base]]
    plain = {name_of(path): path for path in found.others}
    if pairs_of_names is None or 2 * len(begun) <= len(known):
        return False
    if len(known | (plain.keys() & labels)) <= len(pairs_of_names().labels):
        return False
    for base in sorted(known & plain.keys()):
        numbered = found.groups[base]
        raise DataError(
            f"{plain[base]}: is called as the case of {numbered[min(numbered)].name} is; expected the files "
            f"of a case as {base}_0000, {base}_0001, ...; take one of the two out, or rename it"
        )
    return True


def _check_count(cases: Mapping[str, tuple[Path, ...]]) -> None:
    most = max(map(len, cases.values()))
    for base, paths in cases.items():
        if len(paths) < most:
            raise DataError(
                f"{paths[0]}: case {base} has {len(paths)} channel file(s), others have {most}; expected as "
                "many for every case; add the missing channels or remove the case"
            )


def _check_strays(
    strays: Mapping[str, Path], cases: Mapping[str, tuple[Path, ...]], labels: Collection[str]
) -> None:
    """Refuse files without the number of a channel where cases have several, or that may be one of them.

    Raises:
        DataError: there is one.
    """
    most = max(map(len, cases.values()))
    for stem, path in strays.items():
        bases = (stem[:place] for place, letter in enumerate(stem) if letter in SEPARATORS)
        base = next((base for base in bases if base in cases), None)
        if base and stem not in labels:
            raise DataError(
                f"{path}: is called as the case {base} and something beyond, and has no number of a channel; "
                f"expected {base}_0000, {base}_0001, ...; rename it, or take it out"
            )
        if most == 1:
            continue
        raise DataError(
            f"{path}: has no number of a channel, and other cases have {most} channels, called as "
            f"{next(iter(cases.values()))[0].name}; expected {stem}_0000, {stem}_0001, ...; rename it and "
            "add the missing channels, or take it out"
        )


def _check_labels(groups: Mapping[str, Mapping[int, Path]], labels: Collection[str]) -> None:
    """Refuse labels that are all called as one channel of their cases, of which the others would be lost.

    Raises:
        DataError: they are.
    """
    found = [match for stem in labels if (match := CHANNEL.fullmatch(stem)) and match[1] in groups]
    numbers = {match[2] for match in found}
    usual, count = Counter(map(frozenset, groups.values())).most_common(1)[0] if groups else (frozenset(), 0)
    whole = 1 < len(usual) <= MOST and usual == {*range(len(usual))} and 2 * count > len(groups)
    if len(found) < max(2, len(labels)) or len(numbers) > 1 or not whole:
        return
    base = min(match[1] for match in found)
    raise DataError(
        f"{groups[base][min(groups[base])]}: the {counted(len(labels), 'label')} end in _{numbers.pop()}, as "
        f"one of the {len(usual)} channels of each case does ({some(_names(groups[base].values()))}); "
        f"expected labels without the number of a channel, as {base}; rename them, or, where these are "
        "images of their own, list the pairs in a CSV with columns image,label"
    )
