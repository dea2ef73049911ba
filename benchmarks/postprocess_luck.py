"""How often post-processing that helps nobody is kept by luck (`stampseg.evaluation.evidence`).

    python benchmarks/postprocess_luck.py docs/results/postprocess-luck.json

What a step changes in a person's Dice is drawn around 0: of everybody, or of half of the people, the others' masks
staying as they are. How large changes are says whether the least gain counts. The page lies beside the results.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from stampseg.data.labels.postprocess import LabelSteps
from stampseg.evaluation.evidence import passes, trial_of

PEOPLE = (4, 6, 10, 20, 40)
CHANGED = (1.0, 0.5)  # share of the people whose masks the step changes
SIZES = (0.002, 0.02)  # standard deviation of a change in Dice
STEPS = 5000  # simulated, for each row


def kept(people: int, changed: float, size: float, random: np.random.Generator) -> tuple[float, float]:
    """Share of the steps that are kept, and the mean gain that is shown of those."""
    gains = []
    for _ in range(STEPS):
        change = random.normal(0, size, people) * (random.random(people) < changed)
        trial = trial_of(
            {f"p{k:02d}": [x] for k, x in enumerate(change)}, LabelSteps(label=1, largest=True), ("", "a"), ""
        )
        if passes(trial):
            gains.append(trial.gain)
    return len(gains) / STEPS, float(np.mean(gains)) if gains else 0.0


def page(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "# Post-processing that is kept by luck",
        "",
        f"Steps that help nobody, {STEPS:,} a row, held to the rule by which a step is kept",
        "([cross-validation](../how-to/cross-validation.md)). Made with",
        "",
        "    python benchmarks/postprocess_luck.py docs/results/postprocess-luck.json",
        "",
        "| people | masks changed | a change in Dice, standard deviation | kept | mean gain shown of those |",
        "|---:|---:|---:|---:|---:|",
        *(
            f"| {row['people']} | {row['changed']:.0%} | {row['size']:g} | {row['kept']:.1%} | {row['gain']:+.4f} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate, and write results and page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    given = parser.parse_args()
    random, rows = np.random.default_rng(0), []
    for size in SIZES:
        for changed in CHANGED:
            for people in PEOPLE:
                share, gain = kept(people, changed, size, random)
                rows.append({"people": people, "changed": changed, "size": size, "kept": share, "gain": gain})
    given.results.write_text(json.dumps({"steps": STEPS, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    given.results.with_suffix(".md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
