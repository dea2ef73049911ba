"""Comparing, from folders to files: the page or the Markdown, and the JSON and CSV beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import ConfigError, DataError
from ...core.files import refuse_existing, write_text
from ...run.records import ROUNDS
from ...run.study.tables import CASES_TABLE, CELLS_TABLE
from ..page_file import filled, own_script
from ..vega import library
from .charts import COSTS, charts_of, front_text
from .comparing import Comparison, compare
from .forest import forest_of
from .markdown import markdown_of
from .masks import SUFFIXES, study_of_masks
from .reading import read_study
from .records import csv_of, json_of
from .tables import method_table, pair_table
from .words import claims_head, designs_text, flips_text, reading, verdict_text, warnings, where_text

if TYPE_CHECKING:
    from ...data.cases import Dataset

FORMS = (".html", ".md")
TEMPLATE = "compare.html.j2"
SCRIPTS = ("page.js", "look.js", "compare.js")


def write_comparison(
    study: Path,
    output: Path,
    other: Path | None = None,
    *,
    device: str | None = None,
    trusted: Collection[str] = (),
    data: Dataset | None = None,
    overwrite: bool = False,
) -> Comparison:
    """Compare the methods of a study, two runs or the masks of two networks, and write what was found.

    Args:
        study: study folder, a run folder, or a file of metrics that `stampseg evaluate` wrote.
        output: page to write (.html), or Markdown (.md); .json and .csv of the same stem go beside it.
        other: the second run folder, or file.
        device, trusted, data: of runs, as `write_report` takes them; nothing else is predicted.
        overwrite: replace files that are there.

    Raises:
        DataError: nothing that can be compared; a file exists already or cannot be written.
        ConfigError: a claim cannot be understood; another suffix; options of runs for a study.
        MissingPackageError: a package that the page is made with is not installed.
    """
    texts = _texts(output)
    paths = [path for path in (study, other) if path is not None]
    for path in texts:
        inputs = [*paths, *(given / name for given in paths for name in (CELLS_TABLE, CASES_TABLE))]
        if any(path.resolve() == given.resolve() for given in inputs):
            raise DataError(
                f"{path}: is what is compared, and would be replaced; choose another name with `output`"
            )
        if path == output or not _has_page(output):  # the figures of a page may be those found now
            refuse_existing(path, overwrite)
    if any(path.suffix.lower() in SUFFIXES and not path.is_dir() for path in paths):
        _check_alone("masks are", device, trusted, data)
        read = study_of_masks(*_two(paths))
    elif other is None:
        _check_study(study, device, trusted, data)
        read = read_study(study)
    else:
        from .runs import study_of_runs  # imports torch, which a study does without

        read = study_of_runs(study, other, device=device or "cpu", trusted=trusted, data=data)
    comparison = compare(read)
    written = {path: text(comparison) for path, text in texts.items()}
    for path, text in written.items():
        if path.is_file() and path.read_text(encoding="utf-8", errors="replace") != text:
            refuse_existing(path, overwrite)
    for path, text in written.items():
        write_text(path, text)
    return comparison


def _texts(output: Path) -> dict[Path, Callable[[Comparison], str]]:
    """What is written where; the page last, so that it never stands without its figures."""
    forms = dict(zip(FORMS, (page_of, markdown_of), strict=True))
    form = forms.get(output.suffix.lower())
    if form is None:
        raise ConfigError(
            f"{output}: a comparison is written as .html or .md, found {output.suffix or 'no suffix'}; "
            "rename it"
        )
    if output.is_dir():
        raise DataError(f"{output}: is a folder; name a file to write, such as {output / 'compare.html'}")
    return {output.with_suffix(".json"): json_of, output.with_suffix(".csv"): csv_of, output: form}


def _has_page(output: Path) -> bool:
    """Whether a comparison of this name was written already, be it in the other form."""
    return any(output.with_suffix(suffix).is_file() for suffix in FORMS)


def _two(paths: Sequence[Path]) -> tuple[Path, Path]:
    """Both files of metrics.

    Raises:
        DataError: it is one, or one of them is no such file.
    """
    other = next((path for path in paths if path.suffix.lower() not in SUFFIXES), None)
    if other is not None:
        raise DataError(
            f"{other}: is no file of metrics; compare two of them, two run folders, or a study folder alone"
        )
    if len(paths) == 1:
        raise DataError(f"{paths[0]}: is one file of metrics; name a second one, of other masks of the scans")
    return paths[0], paths[1]


def _check_alone(what: str, device: str | None, trusted: Collection[str], data: Dataset | None) -> None:
    given = {"device": device, "trusted": trusted, "data": data}
    named = [f"`{name}`" for name, value in given.items() if value]
    if named:
        raise ConfigError(f"{', '.join(named)}: of use for two runs alone; {what} not predicted anew")


def _check_study(folder: Path, device: str | None, trusted: Collection[str], data: Dataset | None) -> None:
    _check_alone("a study is", device, trusted, data)
    if (folder / ROUNDS.name).is_file() and not (folder / CELLS_TABLE).exists():
        raise DataError(
            f"{folder}: is one run folder; name a second one to compare it with, or a study folder"
        )


def page_of(comparison: Comparison) -> str:
    """The page as HTML; whatever comes from files is escaped."""
    drawn = charts_of(comparison)
    study = comparison.study
    tasks = [
        {
            "name": task,
            "tables": [
                method_table(comparison, setting) for setting in study.settings if setting.task == task
            ],
            "costs": [f"cost-{place}-{cost}" for cost in COSTS if f"cost-{place}-{cost}" in drawn],
            "front": front_text(comparison.of([each for each in study.settings if each.task == task][-1])),
            "learning": f"labels-{place}" if f"labels-{place}" in drawn else None,
        }
        for place, task in enumerate(study.tasks)
    ]
    claims = [
        {
            "result": result,
            "where": where_text(result),
            "why": verdict_text(result),
            "flips": flips_text(result),
        }
        for result in comparison.claims
    ]
    designs = [f"{text}." for text in designs_text(pair for _, pair in comparison.pairs)]
    return filled(
        TEMPLATE,
        (library(), own_script(SCRIPTS)),
        title=study.name,
        comparison=comparison,
        head=claims_head(comparison),
        claims=claims,
        warnings=warnings(comparison),
        forest=forest_of(comparison),
        tasks=tasks,
        pairs=pair_table(comparison),
        reading=[*reading(study), *designs],
        shown={"charts": drawn, "rounds": []},
    )
