"""The command that holds methods against one another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.level import Level
from .app import app, reported, say
from .options import DeviceOption, ImagesOfDataOption, MasksOfDataOption, TrustOption, dataset_at


@app.command()
@reported
def compare(
    study: Annotated[
        Path,
        typer.Argument(
            help="Study folder (cells.csv, cases.csv, study.yaml), a run, or metrics of masks.", metavar="DIR"
        ),
    ],
    other: Annotated[
        Path | None, typer.Argument(help="A second run, or metrics of other masks.", metavar="OTHER")
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="Page (.html) or Markdown (.md) to write; .json and .csv go beside it."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Data set with the cases of two runs, if the scans have moved."),
    ] = None,
    images: ImagesOfDataOption = None,
    masks: MasksOfDataOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    trusted: TrustOption = None,
    device: DeviceOption = None,
) -> None:
    """Say which method is better, and how sure that is. Paired over people and runs; claims first."""
    from ..report.comparison.tables import method_lines
    from ..report.comparison.words import claims_head, verdict_text, warnings, where_text
    from ..report.comparison.writing import write_comparison

    dataset = dataset_at(data, images, masks)
    found = write_comparison(
        study, output, other, device=device, trusted=tuple(trusted or ()), data=dataset, overwrite=overwrite
    )
    say(claims_head(found))
    for number, result in enumerate(found.claims, 1):
        say(f"{number}. {result.said}: {result.claim}, {where_text(result)}")
        say(f"   {verdict_text(result)}")
    if found.study.two:
        for setting in found.study.settings:
            for line in method_lines(found, setting):
                say(line)
    if found.study.differs:
        say("What differs:")
        for text in found.study.differs:
            say(f"  {text}")
    for text in warnings(found):
        say(Level.WARNING.shown(text))
    typer.echo(f"{output}  {output.stat().st_size:,} bytes")
