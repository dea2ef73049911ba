"""Make every bad input, and write docs/results/bad-inputs.md with what came of it: python docs/generate_bad_inputs.py."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
TARGET = ROOT / "docs" / "results" / "bad-inputs.md"


def main() -> None:
    from tests.bad_inputs.bench import Bench, make_clean
    from tests.bad_inputs.corpus import INPUTS
    from tests.bad_inputs.judge import judge

    rows, wrong = [], 0
    with tempfile.TemporaryDirectory() as folder:
        clean = make_clean(Path(folder) / "clean")
        for number, (name, one) in enumerate(INPUTS.items()):
            place = Path(folder) / str(number)
            place.mkdir()
            verdicts = judge(one, Bench(clean, place))
            wrong += any(verdict.wrong for verdict in verdicts)
            commands = ", ".join(dict.fromkeys(verdict.command for verdict in verdicts))
            said = max((verdict.said for verdict in verdicts), key=len) or str(one.expected)
            came = "; ".join(verdict.wrong for verdict in verdicts if verdict.wrong)
            codes = ", ".join(dict.fromkeys(str(verdict.code) for verdict in verdicts))
            rows.append(f"| {cell(name)} | {commands} | {codes} | {cell(came or said)} |")
    TARGET.write_text(page(rows, wrong), encoding="utf-8")
    print(f"{len(rows)} inputs, {wrong} wrong")


def page(rows: list[str], wrong: int) -> str:
    """The page."""
    return "\n".join(
        [
            "# Bad inputs",
            "",
            f"{len(rows)} broken, odd and hostile inputs, made when the tests run, and what the commands make of them: "
            "the right answer (exit code 0), or one line with the file, the finding and what to do (2 options, 3 data "
            "or file). Never a traceback, nothing half-written, and the inputs stay as they were. "
            f"{len(rows) - wrong} of {len(rows)} end as they must.",
            "",
            "Tested by `python -m pytest tests/bad_inputs -q`; this page is made by "
            "`python docs/generate_bad_inputs.py`.",
            "",
            "| input | commands | exit code | what comes of it |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def cell(text: str) -> str:
    """The text in a table, cut where it is long."""
    short = text if len(text) <= 240 else f"{text[:237]}..."
    return short.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


if __name__ == "__main__":
    main()
