"""The demo: a usual U-Net and ours side by side, on real anatomy that a package ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..core.config import Config
from ..core.run_folder import MODEL_FILE
from ..core.target import Target
from ..core.text import dice_text
from ..data.demo import DemoData, make_demo_data
from ..data.inputs import find_inputs
from ..data.io.readers import read_image, read_label
from ..evaluation.evaluation import Evaluation
from ..evaluation.folders import evaluate_folder
from ..evaluation.metrics import UNION
from ..evaluation.overlay import contact_sheet, save_overlay
from ..run.folder import RunFolder, check_free
from ..run.records import Result
from ..run.spec import RunSpec
from ..runtime.segmentation import segment
from .console import ConsoleReporter
from .train import run_and_report

# What each folder and row of the table is called, how it is trained, and what it is.
USUAL: Mapping[str, Any] = {"method": "dense", "unlabelled": "none", "data": {"grid": "native"}}
OURS: Mapping[str, Any] = {"method": "stamp+", "prune": {"target": Target(share=0.15)}}
COMPARED = {
    "dense": (USUAL, "the usual U-Net, trained on the labelled slices"),
    "stamp+": (OURS, "pruned to 15% while it trains, learning from the other slices too"),
}


def run_demo(output: Path, steps: int, console: Console) -> None:
    """Make the data, train both networks, segment the test slices, print the table, write pictures.

    Raises:
        ConfigError: the folder is there and is not free.
        DataError: the anatomy is not installed.
    """
    check_free(output)
    console.print(
        "Grey and white matter in slices of the MNI ICBM152 T1 template: "
        "8 labelled slices train, 21 more are there without labels, 12 others test."
    )
    data = make_demo_data(output / "data")
    results: dict[str, tuple[Result, Evaluation]] = {}
    for name, (options, what) in COMPARED.items():
        console.rule(f"{name}: {what}")
        results[name] = _train_and_test(name, options, data, output, steps, console)
    sheet = _pictures(data, output, results["stamp+"][1])
    console.print(_table(results))
    console.print(
        "One template brain: this shows the workings, not how well it generalises to other people.\n"
        f"Pictures of the pruned network's masks, worst to best: {sheet}\n"
        f"The model, one small file: {output / 'stamp+' / MODEL_FILE}",
        highlight=False,
    )


def _train_and_test(
    name: str, options: Mapping[str, Any], data: DemoData, output: Path, steps: int, console: Console
) -> tuple[Result, Evaluation]:
    config = Config().merged(
        {**options, "train": {"steps": steps, "validation": "none", "missed_label": "warn"}}
    )
    spec = RunSpec("train", data.training, config).absolute()
    with RunFolder.create(output / name, spec) as run, ConsoleReporter(console, run.logger()) as reporter:
        result = run_and_report(run, spec, reporter)
    segment(run.model, [data.test_images], output / f"{name}-masks", echo=lambda text: None).check()
    evaluation = evaluate_folder(output / f"{name}-masks", data.test_masks)
    evaluation.write(output / f"{name}-metrics.csv")
    return result, evaluation


def _pictures(data: DemoData, output: Path, evaluation: Evaluation) -> Path:
    dice = {row.case: row.dice for row in evaluation.rows if row.value is None}
    scores = {}
    for case in find_inputs([data.test_images]):
        name = case.images[0].name
        picture = save_overlay(
            output / "overlays" / name,
            read_image(case.images).array,
            read_label(output / "stamp+-masks" / name).array,
            read_label(data.test_masks / name).array,
            title=case.id,
            label_names={1: "grey matter", 2: "white matter"},
        )
        scores[picture] = dice[case.id]
    return contact_sheet(scores, output / "overlays" / "all.png")


def _table(results: dict[str, tuple[Result, Evaluation]]) -> Table:
    table = Table(title="Test slices, mean Dice")
    for column in ("network", "parameters", "GFLOPs per image", "grey matter", "white matter", "seconds"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for name, (result, evaluation) in results.items():
        means = {
            label: numbers["dice"].mean for label, numbers in evaluation.summary().items() if label != UNION
        }
        table.add_row(
            name,
            f"{result.parameters_after:,}",
            f"{result.flops_after / 1e9:.2f}",
            *(dice_text(mean, "-") for mean in means.values()),
            f"{result.seconds:.0f}",
        )
    return table
