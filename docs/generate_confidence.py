"""docs/results/confidence.md from what the benchmarks wrote: `python docs/generate_confidence.py`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from stampseg.data.calibration import LEAST_PEOPLE, LEVEL
from stampseg.evaluation.calibration import calibrate

RESULTS = Path(__file__).resolve().parent / "results"
ROWS, FRESH, COST, TARGET = (
    RESULTS / f"confidence{end}" for end in (".jsonl", "-fresh.jsonl", "-cost.json", ".md")
)
SETS = ("hippocampus", "cardiac", "fetal", "nerve", "retina")
PEOPLE = 10  # that a calibration is made on
SPLITS = 20  # of the people, for the calibration
FAILED, FIFTH = 0.5, 0.2
PASSES = 3
BARS = {"rho": 0.6, "error": 0.06, "low": 0.80, "high": 0.95, "caught": 0.7, "alarms": 0.05}
FIGURES = {"ours": "certainty", "entropy": "entropy", "volume": "volume alone"}


@dataclass(frozen=True)
class Point:
    """A label of a scan of somebody who tests."""

    case: str
    person: str
    dice: float
    ours: float  # certainty; a label that is nowhere found has 0
    entropy: float  # with a minus, so that more is better
    volume: float


Points = dict[tuple[str, int, int, str], list[Point]]  # of each task, labelled people, draw and label


def read_rows(path: Path = ROWS) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def points(rows: Iterable[dict[str, Any]]) -> Points:
    """Labels that the reference does not hold have no Dice and no point."""
    found: Points = defaultdict(list)
    for row in rows:
        for label, of in row.get("labels", {}).items() if row["kind"] == "test" else ():
            if of["dice"] is not None:
                key = (row["task"], row["labelled"], row["draw"], label)
                values = (of["dice"], of["certainty"] or 0.0, -of["entropy"], of["volume"])
                found[key].append(Point(row["case"], row["person"], *values))
    return dict(found)


def spearman(of: Sequence[Point], figure: str) -> float | None:
    """None where either is the same for all."""
    values = [getattr(point, figure) for point in of], [point.dice for point in of]
    if any(len(set(each)) < 2 for each in values):
        return None
    return float(spearmanr(*values).statistic)


def after_calibration(of: Sequence[Point]) -> dict[str, float] | None:
    """Mean absolute error and coverage on people who took no part in the calibration, over `SPLITS` splits.

    Ten people calibrate, or all but one where there are fewer than twelve; None where these are too few. Of
    masks in which the label was found; where it was not, no Dice is expected.
    """
    of = [point for point in of if point.volume]
    people = sorted({point.person for point in of})
    count = min(PEOPLE, len(people) - 1)
    if count < LEAST_PEOPLE:
        return None
    rng = np.random.default_rng(15)
    errors, inside, low = [], [], []
    for _ in range(SPLITS):
        chosen = set(rng.permutation(people)[:count].tolist())
        theirs: dict[str, list[tuple[float | None, float]]] = defaultdict(list)
        for point in of:
            if point.person in chosen:
                theirs[point.person].append((point.ours, point.dice))
        known = calibrate(theirs)
        assert known is not None
        for point in of:
            if point.person not in chosen:
                expected, least, most = known.expected(point.ours)
                errors.append(abs(expected - point.dice))
                inside.append(least <= point.dice <= most)
                low.append(most - least)
    return {
        "people": count, "level": known.level, "error": float(np.mean(errors)),
        "coverage": float(np.mean(inside)), "width": float(np.mean(low)),
    }  # fmt: skip


def caught(of: Sequence[Point], figure: str = "ours") -> tuple[int, int, int]:
    """Failures among the lowest fifth, all failures, and the most that a fifth could hold."""
    order = sorted(of, key=lambda point: getattr(point, figure))
    fifth = order[: round(FIFTH * len(order))]
    failed = sum(point.dice < FAILED for point in of)
    return sum(point.dice < FAILED for point in fifth), failed, min(failed, len(fifth))


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def shown(value: float | None, style: str = ".2f") -> str:
    return "–" if value is None else format(value, style)


def verdict(value: float | None, met: Callable[[float], bool]) -> str:
    return "not measured" if value is None else "met" if met(value) else "**not met**"


def _sets(found: Points) -> list[tuple[str, int]]:
    known = {key[:2] for key in found}
    return sorted(known, key=lambda one: (SETS.index(one[0]) if one[0] in SETS else len(SETS), one[1]))


def _of(found: Points, task: str, labelled: int) -> list[list[Point]]:
    return [of for key, of in found.items() if key[:2] == (task, labelled)]


def tests_table(found: Points) -> tuple[list[str], dict[str, float | None]]:
    """The table over sets, and the figures that the bars are held against."""
    lines = [
        "| set | people labelled | draws | scans | mean Dice | " + " | ".join(f"ρ {name}" for name in FIGURES.values())
        + " | failures caught | at most | by volume |",
        "|---|" + "---:|" * (7 + len(FIGURES)),
    ]  # fmt: skip
    means: dict[str, list[float | None]] = defaultdict(list)
    sums = np.zeros(4, int)
    for task, labelled in _sets(found):
        parts = _of(found, task, labelled)
        draws = {key[2] for key in found if key[:2] == (task, labelled)}
        scans = {
            (key[2], point.case) for key, of in found.items() if key[:2] == (task, labelled) for point in of
        }
        rhos = {name: mean(spearman(of, name) for of in parts) for name in FIGURES}
        counts = np.sum([caught(of) for of in parts], axis=0)
        by_volume = sum(caught(of, "volume")[0] for of in parts)
        sums += [*counts, by_volume]
        for name, value in rhos.items():
            means[name].append(value)
        dice = mean(point.dice for of in parts for point in of)
        lines.append(
            f"| {task} | {labelled} | {len(draws)} | {len(scans)} | {shown(dice, '.3f')} | "
            + " | ".join(shown(value) for value in rhos.values())
            + f" | {counts[0]} of {counts[1]} | {counts[2]} | {by_volume} |"
        )
    figures = {name: mean(values) for name, values in means.items()}
    return lines, {
        **figures,
        "caught": sums[0] / sums[1] if sums[1] else None,
        "most": sums[2] / sums[1] if sums[1] else None,
    }


def calibration_table(found: Points) -> tuple[list[str], dict[str, float | None]]:
    """Errors and coverage after calibration."""
    lines = [
        "| set | people labelled | calibrated on | stated | mean absolute error | coverage | width | error if the certainty were taken for the Dice |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    means: dict[str, list[float | None]] = defaultdict(list)
    for task, labelled in _sets(found):
        parts = _of(found, task, labelled)
        each = [fit for of in parts if (fit := after_calibration(of)) is not None]
        raw = mean(abs(point.ours - point.dice) for of in parts for point in of if point.volume)
        if not each:
            lines.append(
                f"| {task} | {labelled} | too few people test | – | – | – | – | {shown(raw, '.3f')} |"
            )
            continue
        error, coverage, width, level = (
            mean(fit[name] for fit in each) for name in ("error", "coverage", "width", "level")
        )
        means["error"].append(error)
        people = min(fit["people"] for fit in each)
        if people >= PEOPLE:
            means["coverage"].append(coverage)
        interval = (shown(level, ".0%"), shown(coverage, ".0%"), shown(width))
        stated, held, wide = interval if level >= LEVEL else ("none", "–", "–")
        lines.append(
            f"| {task} | {labelled} | {people:.0f} people | {stated} | {shown(error, '.3f')} | {held} | {wide} | "
            f"{shown(raw, '.3f')} |"
        )
    worst = max((value for value in means["error"] if value is not None), default=None)
    return lines, {**{name: mean(values) for name, values in means.items()}, "worst": worst}


def flags_table(rows: Sequence[dict[str, Any]]) -> tuple[list[str], dict[str, float | None]]:
    """Share flagged of each kind of scan, by task."""
    tasks = dict.fromkeys(row["task"] for row in rows if row["kind"] != "test")
    lines = ["| model | scans | scans seen | flagged |", "|---|---|---:|---:|"]
    good_alarms, strange = [0, 0], [0, 0]
    for task in sorted(tasks):
        for kind in dict.fromkeys(
            row["kind"] for row in rows if row["task"] == task and row["kind"] != "test"
        ):
            flagged = [bool(row["flags"]) for row in rows if (row["task"], row["kind"]) == (task, kind)]
            strange = [strange[0] + sum(flagged), strange[1] + len(flagged)]
            lines.append(f"| {task} | {kind} | {len(flagged)} | {np.mean(flagged):.0%} |")
    for task in dict.fromkeys(row["task"] for row in rows):
        tests = [row for row in rows if (row["task"], row["kind"]) == (task, "test")]
        good = [
            row
            for row in tests
            if min((of["dice"] for of in row["labels"].values() if of["dice"] is not None), default=1)
            >= FAILED
        ]
        flagged = [bool(row["flags"]) for row in good]
        good_alarms = [good_alarms[0] + sum(flagged), good_alarms[1] + len(flagged)]
        bad = [bool(row["flags"]) for row in tests if row not in good]
        lines.append(f"| {task} | people who test, mask all right | {len(good)} | {np.mean(flagged):.1%} |")
        if bad:
            lines.append(
                f"| {task} | people who test, a label below Dice {FAILED:g} | {len(bad)} | {np.mean(bad):.0%} |"
            )
    every = [bool(row["flags"]) for row in rows if row["kind"] == "test"]
    return lines, {
        "flagged": strange[0] / strange[1] if strange[1] else None,
        "alarms": good_alarms[0] / good_alarms[1] if good_alarms[1] else None,
        "all_alarms": mean(every),
    }


def alarms_by_draw(rows: Sequence[dict[str, Any]]) -> str:
    """False alarms on masks that are all right, of each draw."""
    flagged: dict[int, list[bool]] = defaultdict(list)
    for row in (row for row in rows if row["kind"] == "test"):
        known = [label["dice"] for label in row["labels"].values() if label["dice"] is not None]
        if known and min(known) >= FAILED:
            flagged[row["draw"]].append(bool(row["flags"]))
    shares = (f"draw {draw} {np.mean(found):.1%} of {len(found)}" for draw, found in sorted(flagged.items()))
    return f"false alarms: {', '.join(shares)}"


def cost_lines() -> tuple[list[str], str]:
    """What `--confidence` costs, and its row among the bars."""
    if not COST.exists():
        return [
            "Not measured yet: `python benchmarks/confidence_cost.py`."
        ], "| time and memory, as a ratio | at most three passes | not measured | |"
    found = json.loads(COST.read_text(encoding="utf-8"))
    lines = [
        f"`{found['command']}`, on {found['processor']}, {found['threads']} thread(s): plain and confident `predict` take turns, "
        f"{found['repeats']} time(s) each, every time in a process of its own; medians.", "",
        "| scans | plain, s | with confidence, s | time, ratio | plain, MB | with confidence, MB | memory, ratio |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row['name']} | {row['plain_seconds']:.2f} | {row['seconds']:.2f} | {row['time_ratio']:.2f} | "
            f"{row['plain_megabytes']:.0f} | {row['megabytes']:.0f} | {row['memory_ratio']:.2f} |"
            for row in found["rows"]
        ),
        "", "Seconds are the processor's, of the segmentation alone (start of Python and opening of the model left out); memory is the peak of the process,",
        "most of which is PyTorch itself where scans are small.",
    ]  # fmt: skip
    worst, memory = (max(row[name] for row in found["rows"]) for name in ("time_ratio", "memory_ratio"))
    met = verdict(worst, lambda value: value <= PASSES)
    return (
        lines,
        f"| time and memory, as a ratio | at most three passes | {worst:.2f} and {memory:.2f} at the most | {met} |",
    )


def bars(tests: dict, fits: dict, flags: dict, cost: str) -> list[str]:
    """The bars of the task, and what came of them."""
    rho, baseline = tests["ours"], [tests[name] for name in ("entropy", "volume")]
    best = max((value for value in baseline if value is not None), default=None)
    coverage = fits.get("coverage")
    return [
        "| asked | bar | found | |", "|---|---|---|---|",
        f"| Spearman of expected and true Dice, mean over sets | {BARS['rho']:g} | {shown(rho)} | {verdict(rho, lambda v: v >= BARS['rho'])} |",
        f"| the same above the baselines (entropy {shown(baseline[0])}, volume {shown(baseline[1])}) | above | {shown(rho)} | "
        f"{verdict(rho, lambda v: best is not None and v > best)} |",
        f"| mean absolute error after calibration, mean over sets | {BARS['error']:g} | {shown(fits.get('error'), '.3f')} (worst set {shown(fits.get('worst'), '.3f')}) | {verdict(fits.get('error'), lambda v: v <= BARS['error'])} |",
        f"| coverage of the interval of 90% (sets with ten people to calibrate on) | 80 to 95% | {shown(coverage, '.0%')} | "
        f"{verdict(coverage, lambda v: BARS['low'] <= v <= BARS['high'])} |",
        f"| failures (Dice below {FAILED:g}) among the lowest fifth | 70% | {shown(tests['caught'], '.0%')} (at most {shown(tests['most'], '.0%')} could be) | "
        f"{verdict(tests['caught'], lambda v: v >= BARS['caught'])} |",
        f"| scans of other kinds flagged | 100% | {shown(flags['flagged'], '.1%')} | {verdict(flags['flagged'], lambda v: v >= 1)} |",
        f"| false alarms on people who test | 5% | {shown(flags['alarms'], '.1%')} where the mask is all right ({shown(flags['all_alarms'], '.1%')} of all scans) | "
        f"{verdict(flags['alarms'], lambda v: v <= BARS['alarms'])} |",
        cost,
    ]  # fmt: skip


def fresh_lines() -> list[str]:
    """Ranks on draws of people that were not seen when certainty was chosen."""
    if not FRESH.exists():
        return ["not measured yet (`python benchmarks/confidence.py --source default-runs`)."]
    lines, figures = tests_table(points(read_rows(FRESH)))
    means = ", ".join(f"{name} {shown(figures[key])}" for key, name in FIGURES.items())
    made = (
        "python benchmarks/confidence.py --source SOURCE --data DATA WORK docs/results/confidence-fresh.jsonl"
    )
    return [
        *lines,
        "",
        f"Means over these sets: {means}. Made by",
        "",
        f"    {made}",
        "",
        "SOURCE being `folds` or `default-runs`, and WORK the folder of that benchmark (draws from 300 and from 200 on).",
    ]


def changed_lines() -> list[str]:
    """Of changed scans in the later draws: how many masks fail, and how many of those are flagged."""
    rows = [row for row in read_rows(FRESH) if "dice" in row] if FRESH.exists() else []
    lines = [
        "| model | scans | seen | mask fails | of these flagged | mask is right | of these flagged |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for task, kind in sorted({(row["task"], row["kind"]) for row in rows}):
        of = [row for row in rows if (row["task"], row["kind"]) == (task, kind)]
        failed = [
            row for row in of if min((dice for dice in row["dice"] if dice is not None), default=1) < FAILED
        ]
        right = [row for row in of if row not in failed]
        shares = (f"{len(part)} | {sum(bool(row['flags']) for row in part)}" for part in (failed, right))
        lines.append(f"| {task} | {kind} | {len(of)} | {' | '.join(shares)} |")
    return lines


def confidence_page(path: Path = ROWS) -> str:
    """The page."""
    rows = read_rows(path)
    found = points(rows)
    missing = [name for name in SETS if name not in {key[0] for key in found}]
    tests_lines, tests = tests_table(found)
    fit_lines, fits = calibration_table(found)
    flag_lines, flags = flags_table(rows)
    cost, cost_row = cost_lines()
    cells = len({key[:3] for key in found})
    asked = bars(tests, fits, flags, cost_row)
    if missing:
        asked = [line.replace("| met |", "| met so far |") for line in asked]
    so_far = (
        f"**Not whole yet**: no cell of {', '.join(missing)} was done."
        if missing
        else "All five sets are in it."
    )
    return "\n".join([
        "# How far `--confidence` can be trusted", "",
        "Made by `python docs/generate_confidence.py` from `confidence.jsonl` beside it, a row for each scan, which is written by", "",
        "    OMP_NUM_THREADS=1 STAMPSEG_DATA=DATA python benchmarks/confidence.py STUDY docs/results/confidence.jsonl", "",
        f"The models are those of the method `ours` in the study `studies/few-labels.yaml`, {cells} cells: few labelled people, nobody validates, no folds, so that",
        "the model files hold **no calibration** of their own. What is ranked is the certainty that `--confidence` prints for them. Scans are of",
        f"people whom the network has not seen. {so_far}", "",
        "## What was asked", "", *asked, "",
        "## Rank", "",
        "Spearman's ρ of a figure and the true Dice over the scans that test, for each label and draw, then the mean. *Entropy*: of the label's",
        "probabilities, summed over all voxels and divided by the voxels of its mask, with a minus. *Volume alone*: the voxels of its mask, larger is better.",
        f"*Failures caught*: masks of a label with Dice below {FAILED:g} among the fifth of lowest certainty, of all such masks; *at most*: as many as a fifth can hold;",
        "*by volume*: caught if the fifth of smallest masks were looked at instead.", "", *tests_lines, "",
        "Certainty was the mean of two parts when these draws were looked at first (ρ 0.60). That its third part is the entropy, and that all three count alike, was",
        "chosen with these very rows in sight, whose certainty was then computed anew from what they hold. How it ranks the masks of people drawn",
        "afterwards is the figure that counts:", "", *fresh_lines(), "",
        "## Calibrated", "",
        f"Certainty becomes Dice by people who were left out in training. Here they are **{PEOPLE} of the people who test**, and the figures are of the others, over",
        f"{SPLITS} random splits: this is what labels of ten *more* people give, who do not train; they are no part of the few labels. `--folds` makes the same fit on",
        "the labelled people themselves, at the price of one training for each fold; that was not measured here. Where fewer than twelve people test, all but one calibrate, of",
        f"n people no level above n of n + 1 can be had, so that below nine people there is no interval of {LEVEL:.0%}; below {LEAST_PEOPLE} people no Dice is expected. Only masks in",
        "which the label was found are in this table.", "", *fit_lines, "",
        "## Scans of other kinds", "",
        "Changed scans are up to twenty of those that test in each cell. *turned*: by a quarter, while the header says nothing of it; *zoomed*: half as large again in the same field;",
        "*offset*: half of the range of values added; *respaced*: the header tells of voxels of twice the size, or a picture has half the pixels. Any flag counts, and so does a",
        "refusal. How far beyond the training scans' range is unlike them (`data/appearance.py`, `runtime/trust.py`) was chosen on ten other draws of the people of all five",
        "sets, by false alarms and by scans that were turned and zoomed, and with masks of the first study (cardiac and fetal) in sight; so were the rules by which scans that lie",
        "otherwise or are seen nearer are told (`data/pose.py`), of which the rows have their flags by `benchmarks/image_flags.py`: they rest on images alone, not on the networks.",
        "Three rules on masks (stray pieces count from half of what was found, thin labels may break, labels that training cases often lack may be absent) were chosen with draws 15 and 16 of this page in sight, not draw 17:",
        f"{alarms_by_draw(rows)}.", "", *flag_lines, "",
        "A flag on a mask that has failed is no false alarm: those are counted apart. One of the 15 people of cardiac lies otherwise than the others: where that person trains,",
        "some turned scans are passed over, and where that person tests, they are told for nothing.", "",
        "Not every mask of a changed scan is wrong: a network that has seen one person who lies otherwise may segment others who do. In the later draws (above) the label was",
        f"changed with the scan, so that its Dice is known; a mask *fails* where a label is below {FAILED:g}:", "", *changed_lines(), "",
        "## Time and memory", "", *cost, "",
    ])  # fmt: skip


def main() -> None:
    TARGET.write_text(confidence_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
