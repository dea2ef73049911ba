"""Commands for models that are there: predict, suggest, export, bench, evaluate, report."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import ConfigError, DataError, StampsegError, one_line
from ..core.level import Level
from ..core.text import counted
from .app import app, console, print_json, reported, say
from .flags import in_flags
from .options import (
    DeviceOption,
    IgnoreOption,
    ImagesOfDataOption,
    JsonOption,
    MasksOfDataOption,
    MergeOption,
    NamesOption,
    OnlyOption,
    TrustOption,
    config_from,
    dataset_at,
    labels_from,
    parts_of,
)


@app.command()
@reported
def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="Run folder, its folds/, model.safetensors, or an exported .onnx, .openvino or .pt2."
        ),
    ],
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Image files, folders of images, DICOM series, or a CSV with a column image."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the masks; names as in the input.")
    ],
    overlays: Annotated[
        Path | None, typer.Option("--overlays", help="Also write pictures of the masks here.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace masks that are there.")] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Keep masks that are there and pass over their images, to go on after a stop.",
        ),
    ] = False,
    mirror: Annotated[
        bool,
        typer.Option(
            "--mirror",
            help="Average over all mirrored views: slower; for networks that learnt from mirrored images, as "
            "nnU-Net's do. Masks of others get worse by it where left and right differ.",
        ),
    ] = False,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Windows computed at once; more memory.")] = 1,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads to compute with; default: all cores.")
    ] = None,
    ensemble: Annotated[
        bool,
        typer.Option("--ensemble", help="Average the networks of the folds of a run, as RUN/folds does."),
    ] = False,
    postprocess: Annotated[
        bool,
        typer.Option(
            "--postprocess/--no-postprocess",
            help="Fill holes and drop pieces, where that was found to help and the model says so.",
        ),
    ] = True,
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Write masks of DICOM series as DICOM-SEG, not as .nii.gz.")
    ] = False,
    all_pieces: Annotated[
        bool,
        typer.Option(
            "--all-pieces", help="Keep all pieces of labels that were one piece in every training label."
        ),
    ] = False,
    confidence: Annotated[
        bool,
        typer.Option(
            "--confidence",
            help="Also say how far each mask can be trusted: expected Dice, a map of uncertain voxels.",
        ),
    ] = False,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="Also write the probabilities of all labels, NAME_probabilities.nii.gz."
        ),
    ] = False,
    fail_below: Annotated[
        float | None,
        typer.Option(
            "--fail-below", min=0, max=1, help="End with exit status 4 if less Dice is expected of a mask."
        ),
    ] = None,
    trusted: TrustOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Segment images with a model. Each mask lies on its image's own grid and has its file type."""
    from ..run.interruption import ending_on_signals
    from ..runtime.segment_options import SegmentOptions
    from ..runtime.segmentation import segment

    with ending_on_signals():
        options = SegmentOptions(
            overlays=overlays, device=device or "cpu", overwrite=overwrite, skip_existing=skip_existing,
            mirror=mirror, batch_size=batch, threads=threads, dicom_seg=dicom_seg, ensemble=ensemble,
            postprocess=postprocess, all_pieces=all_pieces, confidence=confidence,
            probabilities=probabilities, fail_below=fail_below, trusted=tuple(trusted or ()),
        )  # fmt: skip
        found = segment(
            model, inputs, output, options,
            echo=(lambda _: None) if as_json else say,
            warn=(lambda text: say(Level.WARNING.shown(text), err=True)) if as_json else None,
        )  # fmt: skip
    if not as_json:
        if found.masks:
            say(f"{counted(len(found.masks), 'mask')} written to {one_line(str(output))}")
        found.check()
        return
    print_json(found.to_json())
    try:
        found.check()
    except StampsegError as error:  # the one document stands already
        say(f"stampseg: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


@app.command()
@reported
def suggest(
    model: Annotated[
        Path, typer.Argument(help="Run folder, model.safetensors, or an exported .onnx, .openvino or .pt2.")
    ],
    inputs: Annotated[
        list[Path], typer.Argument(help="Scans without labels: files, folders, DICOM series, or a CSV.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for drafts, pictures and suggested.csv.")
    ],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Scans to suggest.")] = 5,
    group_regex: Annotated[
        str | None,
        typer.Option(
            "--group-regex",
            help="Its first group in a file's name is the person: one scan of each; default: the run's own.",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads to compute with; default: all cores.")
    ] = None,
    trusted: TrustOption = None,
    device: DeviceOption = None,
) -> None:
    """Say which scans to label next, and write drafts of their masks to correct."""
    from ..data.layouts.layout import DRAFTS
    from ..runtime.suggestion import CORRECTED
    from ..runtime.suggestion import suggest as choose

    found = choose(
        model, inputs, output, count, group_regex=group_regex, device=device or "cpu",
        trusted=tuple(trusted or ()), threads=threads, echo=say,
    )  # fmt: skip
    say("label next:")
    for rank, one in enumerate(found, 1):
        say(f"  {rank}  {one_line(str(one.case.images[0]))}  {one_line(one.reason)}")
    drafts, corrected = (one_line(str(output / name)) for name in (DRAFTS, CORRECTED))
    say(f"drafts to correct in {drafts}; nothing of them is a label before you say so")
    say(f"save each corrected mask under the same name in {corrected}, and go on with")
    say(f"  {shlex.join(['stampseg', 'train', str(output), '--from', str(model), '-o', 'RUN'])}")


@app.command()
@reported
def export(
    model: Annotated[Path, typer.Argument(help="Run folder or model.safetensors.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="File to write: .onnx, .openvino, .pt2, or a page .html.", metavar="FILE"
        ),
    ],
    format: Annotated[
        str | None,
        typer.Option("--format", help="onnx, openvino, torch-export or html; default: as FILE ends."),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="f32, bf16 (openvino, torch-export) or int8 (onnx, openvino).")
    ] = "f32",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Data set to check the file on; default: the run's validation cases."),
    ] = None,
    images: ImagesOfDataOption = None,
    masks: MasksOfDataOption = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", help="Image or folder to check the file on instead; may be repeated."),
    ] = None,
    cases: Annotated[int, typer.Option("--cases", help="Cases to check it on, at most.")] = 3,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", help="Dice that may be lost; default: f32 0.001, bf16 0.02, int8 0.01."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    trusted: TrustOption = None,
) -> None:
    """Write a model as a file or page that runs without PyTorch. It must predict cases as the model does.

    Of a page the check proves the network in it; how the page itself prepares images is held by tests.
    """
    from ..export.export import export_file

    export_file(
        model, output, format=format, precision=precision, data=data, images=images, masks=masks,
        inputs=inputs or (), cases=cases, tolerance=tolerance, overwrite=overwrite,
        trusted=tuple(trusted or ()), echo=say,
    )  # fmt: skip


@app.command()
@reported
def bench(
    model: Annotated[Path, typer.Argument(help="Run folder or model.safetensors.")],
    image: Annotated[
        Path | None, typer.Option("--input", help="Also time the whole prediction of this image.")
    ] = None,
    runtimes: Annotated[
        str, typer.Option("--runtimes", help="Some of eager, compiled, onnxruntime, openvino, with commas.")
    ] = "eager,onnxruntime,openvino",
    precisions: Annotated[
        str, typer.Option("--precisions", help="Some of f32, bf16, int8, with commas.")
    ] = "f32",
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads to compute with.")] = 1,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Windows at once, for the throughput.")] = 4,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="Seconds of each measurement.")] = 1.0,
    trusted: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time a model on this machine. With its memory, beside the dense network, in every runtime."""
    from ..timing.comparison import BenchOptions, bench_model
    from .tables import print_bench

    if image is not None and not image.exists():
        raise DataError(f"{image}: file not found; check the path")
    report = bench_model(
        model,
        BenchOptions(parts_of(runtimes), parts_of(precisions), threads, batch, seconds, image),
        tuple(trusted or ()),
        (lambda text: say(text, err=True)) if as_json else say,
    )
    if as_json:
        print_json(report)
    else:
        print_bench(report, console())


@app.command()
@reported
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder (or file) of predicted masks.")],
    labels: Annotated[Path, typer.Argument(help="Folder (or file) of reference masks.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write a .csv (or .json) of every case.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Surface Dice tolerance in mm (pixels for pictures).")
    ] = 1.0,
    ignore_label: IgnoreOption = None,
    names: NamesOption = None,
    merge: MergeOption = None,
    only: OnlyOption = None,
    group_regex: Annotated[
        str | None,
        typer.Option("--group-regex", help="Its first group in a case's name is the person."),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            "--groups",
            help="Who is who instead: a run folder, or a CSV with columns group and case, image or label.",
        ),
    ] = None,
    overlays: Annotated[
        Path | None,
        typer.Option("--overlays", help="Also write pictures of prediction and reference here."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the scans, for the pictures.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare predicted masks with reference masks. By Dice, HD95, surface Dice and volume error."""
    from ..data.splits.likely_people import people_among
    from ..evaluation.evaluation import check_output
    from ..evaluation.folders import evaluate_folder
    from ..evaluation.pictures import Pictures
    from .tables import print_evaluation, print_worst

    if output is not None:
        check_output(output, overwrite)
    if images is not None and overlays is None:
        raise ConfigError("--images are drawn in the pictures of --overlays FOLDER; give that as well")
    options = config_from(None, None, labels_from(names, merge, only)).data
    pictures = Pictures(overlays, images, overwrite) if overlays is not None else None
    result = evaluate_folder(
        predictions, labels, tolerance_mm=tolerance, ignored=ignore_label, options=options,
        group_regex=group_regex, groups=groups, pictures=pictures,
    )  # fmt: skip
    if not result.people and (said := people_among(list(dict.fromkeys(row.case for row in result.rows)))):
        result = replace(result, warnings=(*result.warnings, in_flags(said)))
    if output is not None:
        result.write(output, overwrite)
    if as_json:
        print_json(result.to_json())
    else:
        print_evaluation(result, console())
        if pictures is not None:
            print_worst(result, pictures, console())
        if output is not None:
            say(f"metrics of every case written to {one_line(str(output))}")


@app.command()
@reported
def report(
    run: Annotated[Path, typer.Argument(help="Run folder, also of a run that has not ended.", metavar="RUN")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Page to write; default: RUN/report.html.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Data set with the validation cases, if the scans have moved."),
    ] = None,
    images: ImagesOfDataOption = None,
    masks: MasksOfDataOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that is there.")] = False,
    trusted: TrustOption = None,
    device: DeviceOption = None,
) -> None:
    """Write one HTML page of a run. It shows the network as it shrank, its curves, every validation case."""
    from ..report.writing import write_report

    dataset = dataset_at(data, images, masks)
    page = write_report(
        run, output, device=device or "cpu", trusted=tuple(trusted or ()), data=dataset, overwrite=overwrite,
        warn=lambda text: typer.echo(Level.WARNING.shown(text), err=True),
    )  # fmt: skip
    typer.echo(f"{page}  {page.stat().st_size:,} bytes")
