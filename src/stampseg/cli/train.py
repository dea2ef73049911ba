"""What `train` and `prune` share: a run is started or resumed, and its result is printed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from ..core.errors import ConfigError, TrainingError
from ..core.level import Level
from ..core.run_folder import SEARCH_FOLDER
from ..core.text import counted, dice_text
from .app import console, say_at_once
from .run_options import RunFlags

if TYPE_CHECKING:
    from ..run.folder import RunFolder
    from ..run.folds.cross_validation import CarryOut
    from ..run.folds.records import Folds
    from ..run.records import Result
    from ..run.reporters import Reporter
    from ..run.spec import RunSpec
    from .console import ConsoleReporter


def start_run(
    work: Literal["train", "prune"],
    data: Path | None,
    output: Path,
    options: RunFlags,
    model: Path | None = None,
    trusted: tuple[str, ...] = (),
) -> None:
    """Do what is asked in a new run folder, or in the one where the same was stopped."""
    from ..run.spec import RunSpec

    config = options.resolved()
    data, images, masks = options.place(data)
    if not data.exists():  # says so, before PyTorch takes its seconds to be imported
        from ..data.cases import find_dataset

        find_dataset(data)
    if not options.quiet:
        say_at_once(f"reading {data} ...")
    from ..run.launch import open_run

    words, here = ("stampseg", *sys.argv[1:]), str(Path.cwd())
    spec = RunSpec(work, data, config, images, masks, model, trusted, None, words, here).absolute()
    carry_out(open_run(spec, output), spec, options.quiet)


def resume_run(path: Path, quiet: bool, devices: int | None = None) -> None:
    """Resume a run that was stopped; on another number of devices, if one is given."""
    if not quiet:
        say_at_once(f"reading {path} ...")
    from ..run.folder import RunFolder

    folder = RunFolder.reopen(path)
    spec = folder.spec
    if devices is not None:
        spec = spec.on_devices(devices)
    carry_out(folder, spec, quiet)


def refuse_ended(path: Path, steps: int) -> None:
    """Say what to do instead of resuming a run that has ended with more steps; nothing for other runs.

    Raises:
        ConfigError: it has ended.
    """
    from ..run.folder import RunFolder

    folder = RunFolder(path)
    spec = folder.spec
    if not folder.ended:
        return
    longer = path.with_name(f"{path.name}-{steps}")
    anew = _in_place_of(spec.command, {("--steps",): str(steps), ("-o", "--output"): str(longer)})
    anew = anew or ["stampseg", "train", str(spec.data), "-o", str(longer), "--steps", str(steps)]
    further = ["stampseg", "prune", str(path), str(spec.data), "-o", f"{path}-further", "--steps", str(steps)]
    where = f" (in {spec.directory})" if spec.directory and spec.command else ""
    raise ConfigError(
        f"{path}: this run has finished: its learning rate and its cuts were laid out for its own steps, so "
        f"that more do not go on where it ended. To train anew with a schedule for {counted(steps, 'step')}"
        f"{where}: {shlex.join(anew)}; to train its network further, with cuts down to `prune.target` and "
        f"without the memory of its optimiser: {shlex.join(further)}"
    )


def _in_place_of(words: Sequence[str], values: Mapping[tuple[str, ...], str]) -> list[str]:
    """A command line with other values of some options, which are added where they are not there."""
    changed = list(words)
    for flags, value in values.items() if words else ():
        for place in [i for i, word in enumerate(changed) if word.partition("=")[0] in flags]:
            flag, joined, _ = changed[place].partition("=")
            changed[place : place + (1 if joined else 2)] = [f"{flag}={value}"] if joined else [flag, value]
            break
        else:
            changed += [flags[0], value]
    return changed


def carry_out(folder: RunFolder, spec: RunSpec, quiet: bool) -> None:
    """Do what is asked, and print what came of it; where it is stopped, say how it is resumed."""
    from ..run.folds.records import read_folds
    from ..run.interruption import ending_on_signals
    from ..run.reporters import Reporters
    from ..run.search.records import read_search
    from ..run.trackers import tracking
    from .console import ConsoleReporter
    from .tables import print_folds, print_people, print_search

    with ending_on_signals(), folder:  # the folder is left last: trackers write until they are closed
        try:
            with (
                ConsoleReporter(console(), folder.logger(), quiet) as screen,
                tracking(spec.config.track, folder.path, spec.config) as trackers,
            ):
                reporter = Reporters([screen, *trackers])
                try:
                    result = run_and_report(
                        folder, spec, reporter, lambda fold, asked: _carry_out_fold(fold, asked, screen)
                    )
                finally:  # also where the network of all of them has failed
                    folds = read_folds(folder.path)
                    if folds is not None and folds.cases and not quiet:
                        print_folds(folds, console())
                searched = read_search(folder.path)
                if searched is not None and not quiet:
                    print_search(searched, console())
                level = Level.WARNING if result.target_reached is False else Level.INFO
                if result.test is not None and not quiet:
                    print_people(result.test, screen.console)
                reporter.note(_outcome(result, folder, folds), level)
                if worse := _worse(result):
                    reporter.note(worse, Level.WARNING)
                if result.better_round is not None:
                    reporter.note(_other_round(folder, result.better_round))
        except BaseException as error:
            if folder.kept_after(error) and not folder.ended:
                typer.echo(
                    f"resume it with: stampseg train --resume {shlex.quote(str(folder.path))}", err=True
                )
            raise


def _carry_out_fold(folder: RunFolder, spec: RunSpec, screen: ConsoleReporter) -> Result:
    """Carry out the run of a fold; it has a log of its own, and the screen in common with the others."""
    from rich.console import Console

    from ..run.reporters import Reporters
    from ..run.trackers import tracking
    from .console import ConsoleReporter

    setting = folder.path.parent.parent  # of a search: search/SETTING/folds/0
    of = f"{setting.name}, " if setting.parent.name == SEARCH_FOLDER else ""
    screen.begin(f"{of}fold {folder.path.name}")
    log = ConsoleReporter(Console(quiet=True), folder.logger(), quiet=True)
    with folder, tracking(spec.config.track, folder.path, spec.config) as trackers:
        result = run_and_report(folder, spec, Reporters([screen, log, *trackers]))
    screen.begin("")
    return result


def run_and_report(
    folder: RunFolder, spec: RunSpec, reporter: Reporter, carry_out_fold: CarryOut | None = None
) -> Result:
    """Do what is asked, write the page, and end the run.

    Args:
        folder: of the run.
        spec: what is asked.
        reporter: is told what goes on.
        carry_out_fold: as `execute` takes it.

    Returns:
        What result.json holds.

    Raises:
        TrainingError: the run has ended without a model.
    """
    from ..report.writing import report_of_run
    from ..run.launch import execute

    result = execute(folder, spec, reporter, carry_out_fold)
    reporter.note(report_of_run(folder.path, spec.config.device, spec.trusted_names))
    folder.finish()
    if result.failure is not None:
        raise TrainingError(result.failure)
    return result


def _outcome(result: Result, folder: RunFolder, folds: Folds | None) -> str:
    before = result.validation_dice_before
    missed = f"; the target ({result.target}) was not reached" if result.target_reached is False else ""
    was = f" (as given {before:.3f})" if before is not None else ""
    return (
        f"{result.parameters_before:,} -> {result.parameters_after:,} parameters in "
        f"{result.rounds} rounds, {result.steps} steps, {result.seconds:.0f} s; "
        f"{_measured(result, folds)}{was}; {_test(result)}"
        f"chosen: round {result.chosen_round} ({result.rule}); {folder.model}{missed}"
    )


def _worse(result: Result) -> str:
    """A warning that a network which kept its size finds less than it did as it was given; else ""."""
    now, before = result.validation_dice, result.validation_dice_before
    if now is None or before is None or now >= before or result.parameters_after < result.parameters_before:
        return ""
    return (
        f"the network is worse on the validation cases than as it was given ({now:.3f}, {before:.3f}): the "
        "earlier one may be the better; few cases may also mislead"
    )


def _other_round(folder: RunFolder, number: int) -> str:
    """How to use the network of a better round in place of the chosen one."""
    model = str(folder.round_model(number))
    words = (["predict", model, "SCANS", "-o", "MASKS"], ["export", model, "-o", "model.onnx"])
    predict, export = (shlex.join(["stampseg", *given]) for given in words)
    return (
        f"to use the network of round {number} in place of the chosen one: {predict}, or {export}; its masks "
        "are as it makes them, for calibration and post-processing are found for the chosen one alone"
    )


def _test(result: Result) -> str:
    """What came of the people kept aside."""
    return "" if result.test is None else f"test Dice {result.test.words}; "


def _measured(result: Result, folds: Folds | None) -> str:
    """The Dice by which the network may be judged, with what it rests on."""
    if folds is None or not folds.labels:
        return f"validation Dice {dice_text(result.validation_dice)}{_support(result)}"
    last = folds.labels[-1]  # the mean over labels, where there are several
    return f"out-of-fold Dice {dice_text(last.mean)} over {counted(last.people, 'person', 'people')}"


def _support(result: Result) -> str:
    """How many cases the Dice of each label rests on."""
    cases = result.validation_cases_per_label or {}
    dice = result.validation_dice_per_label or {}
    if len(cases) < 2:
        return "".join(f" in {counted(count, 'case')}" for count in cases.values())
    parts = [
        f"{n} {dice_text(dice.get(n))} in {counted(count, 'case')}" if count else f"{n} in no case"
        for n, count in cases.items()
    ]
    return f" ({', '.join(parts)})"
