"""What a few labels give, in the README, from the figures of the study of few labels.

python docs/generate_gain.py
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from stampseg.core.text import counted

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "results" / "few-labels.json"
BEGIN, END = "<!-- made by docs/generate_gain.py -->\n", "<!-- end -->"
OURS, USUAL = "ours", "dense as usual"
CONTROLS = {
    "dense, same recipe": "the uncut network",
    "flat, equal parameters": "a network with as few parameters from the start",
    "flat, equal FLOPs": "one with as few operations from the start",
}
VERDICTS = {"held": "shown", "not shown": "**not shown**", "lost": "**refuted**"}
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
    share = ours["parameters"] / usual["parameters"]
    return (
        f"| {NAMES[pair['task']].format(pair['labels'])} | {len(draws)} | {dice[0]:.3f} | {dice[1]:.3f} | "
        f"{pair['difference']:+.3f} ({interval(pair)}) | {share:.0%} |"
    )


def interval(pair: dict[str, Any]) -> str:
    """Over runs and people: what another draw and other people would give."""
    found = pair["runs_and_people"]
    return f"{found['low']:+.3f} to {found['high']:+.3f}" if found else "one draw: no interval"


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
    """Ours against networks that learnt by the same recipe, a line for each, with what became of its claim."""
    pairs = {
        name: [p for p in figures["differences"] if (p["method"], p["against"]) == (OURS, name)]
        for name in CONTROLS
    }
    lines = [control(figures, name, pairs[name]) for name in CONTROLS if pairs[name]]
    usual = next(claim for claim in figures["claims"] if (claim["method"], claim["against"]) == (OURS, USUAL))
    over_all = f"Over the sets stampseg gains {usual['difference']:+.3f}: {verdict(usual, figures)}."
    return "\n".join(
        [over_all, "", "From networks that learn by the same recipe, its Dice differs", "", *lines]
    )


def control(figures: dict[str, Any], name: str, pairs: list[dict[str, Any]]) -> str:
    """Of one method: the mean over the sets that have both, each of which counts once."""
    tasks = list(dict.fromkeys(pair["task"] for pair in pairs))
    of_task = [[pair for pair in pairs if pair["task"] == task] for task in tasks]
    claim = next((c for c in figures["claims"] if (c["method"], c["against"]) == (OURS, name)), None)
    said = "nothing was claimed of it" if claim is None else verdict(claim, figures)
    cost = over_sets([[flops(figures, p, name) / flops(figures, p, OURS) for p in of] for of in of_task])
    times = "as many operations" if f"{cost:.1f}" == "1.0" else f"{cost:.1f} times the operations"
    draws = (
        sum(len({draw for pair in of for draw in pair["draws"]}) for of in of_task)
        if claim is None
        else claim["sign_flip"]["draws"]  # a draw that lacks some number of labels is not in it
    )
    mean = over_sets([[pair["difference"] for pair in of] for of in of_task])
    difference = mean if claim is None else claim["difference"]
    return (
        f"- by {difference:+.3f} from {CONTROLS[name]} ({times}; {counted(len(tasks), 'set')}, "
        f"{draws} draws): {said}."
    )


def over_sets(values: list[list[float]]) -> float:
    """Each set counts once, whatever its numbers of labels."""
    return fmean(map(fmean, values))


def verdict(claim: dict[str, Any], figures: dict[str, Any]) -> str:
    """What was claimed before the study began, and what became of it."""
    claimed = "better" if claim["kind"] == "superior" else f"not worse by more than {claim['margin']:g}"
    unfinished = any("The study is not whole" in text for text in figures["warnings"])
    return (
        f'claimed was "{claimed}", and that is {VERDICTS[claim["verdict"]]}'
        + (" so far" if unfinished else "")
        + f" ({interval(claim)} over runs and people)"
    )


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
