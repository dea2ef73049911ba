"""What a few labels give, in the README, from the figures of the study of few labels.

python docs/generate_gain.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stampseg.core.text import counted

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "results" / "few-labels" / "few-labels.json"
BEGIN, END = "<!-- made by docs/generate_gain.py -->\n", "<!-- end -->"
OURS, USUAL = "ours", "dense as usual"
CONTROLS = {
    "dense, same recipe": "the uncut network",
    "flat, equal parameters": "a network with as few parameters from the start",
    "flat, equal FLOPs": "one with as few operations from the start",
}
NAMES = {
    "cardiac": "heart chamber, MRI; {} people, five slices each",
    "fetal": "fetal head, ultrasound; {} pictures",
    "hippocampus": "hippocampus, two parts, MRI; {} scans",
    "retina": "retinal vessels, photographs; {} pictures",
    "nerve": "nerve and vessel, ultrasound; {} pictures",
}


def row(pair: dict[str, Any], methods: list[dict[str, Any]]) -> str:
    """Of one set: means over the draws that both have, and the difference of the same people."""
    draws, setting = sorted(pair["draws"]), (pair["task"], pair["labels"])
    ours, usual = (
        next(m for m in methods if (m["task"], m["labels"]) == setting and m["method"] == name)
        for name in (OURS, USUAL)
    )
    dice = [sum(m["dice_of_draws"][draw] for draw in draws) / len(draws) for m in (usual, ours)]
    low, high = pair["people_given_runs"]["low"], pair["people_given_runs"]["high"]
    share = ours["parameters"] / usual["parameters"]
    return (
        f"| {NAMES[pair['task']].format(pair['labels'])} | {len(draws)} | {dice[0]:.3f} | {dice[1]:.3f} | "
        f"{pair['difference']:+.3f} ({low:+.3f} to {high:+.3f}) | {share:.0%} |"
    )


def table(figures: dict[str, Any]) -> str:
    """Markdown: one line a set."""
    pairs = [pair for pair in figures["differences"] if (pair["method"], pair["against"]) == (OURS, USUAL)]
    return "\n".join(
        [
            "| labelled | draws | usual U-Net, Dice | stampseg, Dice | difference, same people | parameters |",
            "|---|---:|---:|---:|---:|---:|",
            *(row(pair, figures["methods"]) for pair in pairs),
        ]
    )


def controls(figures: dict[str, Any]) -> str:
    """Of ours against networks that learnt by the same recipe: means over the sets that have both."""
    said = []
    for name, words in CONTROLS.items():
        pairs = [p for p in figures["differences"] if (p["method"], p["against"]) == (OURS, name)]
        if pairs:
            mean = sum(pair["difference"] for pair in pairs) / len(pairs)
            draws = sum(len(pair["draws"]) for pair in pairs)
            cost = sum(flops(figures, pair, name) / flops(figures, pair, OURS) for pair in pairs) / len(pairs)
            sets = counted(len(pairs), "set")
            said.append(f"{mean:+.3f} from {words} ({cost:.1f} times the operations; {sets}, {draws} draws)")
    listed = f"{', '.join(said[:-1])} and by {said[-1]}" if len(said) > 1 else "".join(said)
    return f"With the same recipe, stampseg's Dice differs so far by {listed}. {verdicts(figures)}"


def verdicts(figures: dict[str, Any]) -> str:
    """Which claims about these networks the study has shown."""
    claims = [claim for claim in figures["claims"] if claim["against"] in CONTROLS]
    held = [CONTROLS[claim["against"]] for claim in claims if claim["verdict"] == "held"]
    if not held:
        return "What was claimed of these before the study began is not shown."
    unfinished = any("The study is not whole" in text for text in figures["warnings"])
    when = ", by a look before the study's end, which later cells may undo" if unfinished else ""
    return f"Shown of what was claimed of these: that about {' and '.join(held)}{when}."


def flops(figures: dict[str, Any], pair: dict[str, Any], name: str) -> float:
    """Of a method's networks in the setting of a pair."""
    of = (pair["task"], pair["labels"], name)
    return next(m["flops"] for m in figures["methods"] if (m["task"], m["labels"], m["method"]) == of)


def page(text: str) -> str:
    """The README with the table of now."""
    before, rest = text.split(BEGIN)
    figures = json.loads(FIGURES.read_text())
    return f"{before}{BEGIN}\n{table(figures)}\n\n{controls(figures)}\n\n{END}{rest.split(END, 1)[1]}"


def main() -> None:
    """Write it."""
    readme = ROOT / "README.md"
    readme.write_text(page(readme.read_text()))


if __name__ == "__main__":
    main()
