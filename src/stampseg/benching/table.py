"""The figures of `stampseg bench` for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_bench(report: dict[str, Any], console: Console) -> None:
    """A table of every network and runtime, then what it comes to."""
    machine, window = report["machine"], report["window"]
    console.print(
        f"{escape(machine['processor'])}, {machine['threads']} thread(s), torch {machine['torch']}; windows "
        f"{' x '.join(map(str, window))}, batches of {report['batch']}",
        highlight=False,
    )
    whole = any("image_seconds" in f for row in report["rows"] for f in row["networks"].values())
    table = Table(
        "runtime", "network", "parameters", "ms / window", "10% to 90%", "windows / s", "peak MB", "file MB"
    )
    if whole:
        table.add_column("s / image")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in report["rows"]:
        for name, figures in row["networks"].items():
            cells = [
                f"{row['runtime']} {row['precision']}",
                name,
                f"{report['parameters'][name]:,}",
                f"{figures['ms']:.2f}",
                f"{figures['low_ms']:.2f} to {figures['high_ms']:.2f}",
                f"{figures['windows_per_second']:.1f}",
                f"{figures['peak_megabytes']:.0f}",
                f"{figures['file_bytes'] / 1e6:.2f}",
            ]
            if whole:
                cells.append(f"{figures['image_seconds']:.2f}" if "image_seconds" in figures else "")
            table.add_row(*cells)
    console.print(table)
    for line in report["words"]:
        console.print(escape(line), highlight=False)
    if any(row["precision"] == "int8" for row in report["rows"]):
        console.print("int8 ranges are of noise here: only the time means something", highlight=False)
    if any("dense" in row["networks"] for row in report["rows"]):
        console.print("dense is the same network before any cut, with random weights", highlight=False)
