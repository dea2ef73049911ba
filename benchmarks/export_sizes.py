"""How large exported files are, and how far from the network they are computed from.

    python benchmarks/export_sizes.py docs/results/export-sizes.json --data SCANS [--images ... --masks ...] RUN [RUN ...]

Each run is exported in every form and precision there is, and tried on ten of its cases; a form that refuses is named with
its reason. Nothing here is a time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from stampseg.core.errors import StampsegError
from stampseg.core.machine import processor
from stampseg.export.export import export_file
from stampseg.networks.model_file import read_description

FORMS = (
    ("onnx", "f32"), ("onnx", "int8"), ("openvino", "f32"), ("openvino", "bf16"), ("openvino", "int8"),
    ("torch-export", "f32"), ("torch-export", "bf16"), ("html", "f32"),
)  # fmt: skip
ENDS = {"torch-export": "pt2"}
CASES = 10


def exported(run: Path, form: str, precision: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One file, and what was found when it was written."""
    file, said = folder / f"{form}-{precision}.{ENDS.get(form, form)}", list[str]()
    try:
        parity = export_file(
            run, file, format=form, precision=precision, data=given.data, images=given.images,
            masks=given.masks, cases=CASES, echo=said.append,
        )  # fmt: skip
    except StampsegError as error:
        return {"refused": str(error).partition(": ")[2] or str(error)}
    eight = [text for text in said if "convolutions in 8 bits" in text]
    return {**parity.to_json(), "bytes": file.stat().st_size, "in_8_bits": eight[0] if eight else None}


def page(found: dict[str, Any], command: str) -> str:
    """Markdown."""
    lines = [
        "# Exported files: how large, how far from the network",
        "",
        f"Networks of hippocampus scans, each tried on {CASES} cases that it was trained on, on {found['machine']}; bytes and",
        "differences, no times. Where a difference is 0, PyTorch and that runtime compute alike to the last bit there. Made with",
        "",
        f"    {command}",
        "",
        "| network | file | bytes | largest difference of scores | voxels that differ | Dice between | Dice against labels |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for run in found["runs"]:
        name = f"{run['parameters']:,} parameters"
        for row in run["files"]:
            file = f"`{ENDS.get(row['form'], row['form'])}` {row['precision']}"
            if "refused" in row:
                lines.append(f"| {name} | {file} | refused: {row['refused']} | | | | |")
                continue
            if row["in_8_bits"]:
                file += f", {row['in_8_bits'].split(' convolutions')[0]} layers"
            lines.append(
                f"| {name} | {file} | {row['bytes']:,} | {row['largest_difference']:.2g} | {row['label_share']:.4%} | "
                f"{row['dice']:.4f} | {row['dice_network']:.4f} -> {row['dice_exported']:.4f} |"
            )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--masks", type=Path)
    given = parser.parse_args()
    found: dict[str, Any] = {"machine": processor(), "runs": []}
    for run in given.runs:
        description = read_description(run / "model.safetensors")
        files = []
        with tempfile.TemporaryDirectory() as folder:
            for form, precision in FORMS:
                files.append(
                    {
                        "form": form,
                        "precision": precision,
                        **exported(run, form, precision, given, Path(folder)),
                    }
                )
                print(files[-1], flush=True)
        provenance = json.loads((run / "result.json").read_text())
        found["runs"].append(
            {
                "parameters": provenance["parameters_after"],
                "network": description.network.name,
                "files": files,
            }
        )
    given.results.write_text(json.dumps(found, indent=1) + "\n")
    command = "python benchmarks/export_sizes.py docs/results/export-sizes.json --data SCANS RUN DENSE_RUN"
    given.results.with_suffix(".md").write_text(page(found, command))


if __name__ == "__main__":
    main()
