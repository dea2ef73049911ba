"""docs/results/reliability.md from what the studies wrote: `python docs/generate_reliability.py`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
TARGET = RESULTS / "reliability.md"


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def kills() -> list[str]:
    """Rows of the studies of kills."""
    lines = []
    for name, words in (("kills", "anywhere"), ("kills-in-training", "while training")):
        for kind, row in read(name)["counts"].items():
            moments = f"at random moments, {words}" if kind == "random" else "inside each kind of write"
            lines.append(
                f"| {moments} | {row['runs']} | {row['kills']} | {row['went_on_from_a_checkpoint']} | "
                f"{row['same']} of {row['runs']} |"
            )
    return lines


def writes() -> str:
    """The kinds of write that kills were aimed at."""
    kinds = [row["kind"].split(",")[0] for row in read("kills")["rows"] if row["kind"] != "random"]
    return ", ".join(f"`{kind}`" for kind in dict.fromkeys(kinds))


def reliability_page() -> str:
    """The page."""
    fuzz = read("fuzz")
    inputs = re.search(
        r"^(\d+) broken", (RESULTS / "bad-inputs.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    if inputs is None:
        raise SystemExit("docs/results/bad-inputs.md names no count; run docs/generate_bad_inputs.py")
    bad = sum(sum(kind["found"].values()) for kind in fuzz["kinds"])
    return "\n".join(
        [
            "# Reliability",
            "",
            "Made by `python docs/generate_reliability.py` from the files beside it.",
            "",
            "## Killed runs",
            "",
            "A short real run (hippocampus MRI, four labelled cases, STAMP+ to 30%, four rounds) is killed by SIGKILL, "
            "resumed by `stampseg train --resume` (or by the same command, where there was no folder yet), and "
            "compared with the run that was never stopped: the bytes of every model file, and all JSON and YAML, but "
            "for times. Every third random run is killed twice. The middle column counts the runs that had a "
            "checkpoint to resume from; the others were killed while packages were imported or data were read, which is most of "
            "so short a run.",
            "",
            "| killed | runs | kills | went on from a checkpoint | the same, bit for bit |",
            "|---|---:|---:|---:|---:|",
            *kills(),
            "",
            f"Aimed kills hit each of {writes()}: once with half of the file written, once between the whole file and "
            "its move into place.",
            "",
            f"    {read('kills')['command']}",
            f"    {read('kills-in-training')['command']}",
            "",
            "The tests stop a run in 50 more places (`pytest tests/run/test_resuming.py -m 'slow or not slow'`), with every "
            "method, criterion and target, with a full disk, vanished and changed data, a damaged checkpoint, a second "
            "process, and a loss that is not a number.",
            "",
            "## Bad inputs",
            "",
            f"{inputs.group(1)} broken, odd and hostile inputs, each with the right answer or one line: "
            "[bad-inputs.md](bad-inputs.md). What is refused, and at which limits: "
            "[limits](../reference/limits.md).",
            "",
            "    python docs/generate_bad_inputs.py",
            "",
            "## Fuzzing",
            "",
            f"{fuzz['files']:,} damaged files of {len(fuzz['kinds'])} kinds in {fuzz['minutes']} minutes, each opened as "
            f"the program would; {bad} ended otherwise than in a valid result or an error of ours: [fuzz.md](fuzz.md).",
            "",
            "    python docs/generate_fuzz.py --minutes 10",
            "",
            "## The report",
            "",
            "From a real run on hippocampus MRI; licence and attribution stand in [the report's page](../how-to/report.md).",
            "",
            "![The report, light](report/hippocampus-light.png)",
            "",
            "![A case, dark](report/hippocampus-case-dark.png)",
            "",
            "![On a narrow screen](report/hippocampus-narrow.png)",
        ]
    ) + "\n"  # fmt: skip


if __name__ == "__main__":
    TARGET.write_text(reliability_page(), encoding="utf-8")
