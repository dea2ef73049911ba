"""False alarms, coverage and power of `stampseg compare`, on simulated studies where the truth is known.

    OMP_NUM_THREADS=1 python benchmarks/false_alarms.py [--studies 2500] [--out docs/results/false-alarms.json]

Dice of both methods: a person's own level, luck of a training, chance, and failures (none, or 8% of the masks, some
people more often than others). Where nothing differs, both are drawn alike, so that their expected difference is 0. The page lies
beside the file.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from scipy import stats

from stampseg.evaluation.statistics import (
    ALPHA,
    averaged,
    holm,
    people_given_runs,
    runs_and_people,
    sign_flip,
)

FAILURES = 0.08  # share of the masks, where masks fail
MARGIN = 0.01
MOST = 0.08  # of false alarms at 5%


@dataclass(frozen=True)
class Plan:
    """How one set of a study is drawn; `pool` people to draw from, None for people never seen twice."""

    design: str
    draws: int
    people: int  # of a draw
    luck: float  # standard deviation of a method's mean between trainings
    pool: int | None = None
    failures: float = FAILURES


PLANS = (
    *(
        Plan("crossed", draws, 30, luck, None, 0.0)
        for draws in (3, 10)
        for luck in (0.002, 0.005, 0.012, 0.02)
    ),
    *(Plan("crossed", draws, 30, luck) for draws in (3, 10) for luck in (0.005, 0.03)),
    *(Plan("crossed", 2, 30, luck, None, 0.0) for luck in (0.005, 0.02)),
    Plan("crossed", 4, 6, 0.005, None, 0.0),
    Plan("crossed", 4, 6, 0.005),
    Plan("crossed", 4, 6, 0.02),
    Plan("nested", 4, 6, 0.005, None, 0.0),
    Plan("nested", 4, 6, 0.005),
    Plan("nested", 4, 6, 0.02),
    *(Plan("nested", draws, 40, 0.007, None, 0.0) for draws in (2, 3, 4)),
    Plan("nested", 4, 40, 0.005),
    Plan("nested", 8, 10, 0.02),
    Plan("partly crossed", 4, 6, 0.005, 25, 0.0),
    Plan("partly crossed", 4, 6, 0.02, 25),
    Plan("partly crossed", 8, 10, 0.005, 20, 0.0),
    Plan("partly crossed", 8, 10, 0.005, 20),
)
STUDIES = {
    "one set, crossed: 3 draws, 30 people": (Plan("crossed", 3, 30, 0.01),),
    "one set, nested: 4 draws of 6 people": (Plan("nested", 4, 6, 0.01),),
    "one set, nested: 4 draws of 40 people": (Plan("nested", 4, 40, 0.01),),
    "four sets: 4 draws of 6, 6, 40 and 40 people": (
        Plan("partly crossed", 4, 6, 0.01, 25), Plan("nested", 4, 6, 0.01),
        Plan("nested", 4, 40, 0.01), Plan("crossed", 4, 40, 0.01),
    ),
}  # fmt: skip
EFFECTS = (0.01, 0.02, 0.05, 0.1)


def differences(plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A table (draws, people) where nothing differs, and the mean difference of these very trainings."""
    shape = (plan.draws, plan.people)
    if plan.design == "crossed":
        who = np.tile(np.arange(plan.people), (plan.draws, 1))
    elif plan.pool is None:
        who = np.arange(plan.draws * plan.people).reshape(shape)
    else:
        who = np.array([rng.permutation(plan.pool)[: plan.people] for _ in range(plan.draws)])
    count = int(who.max()) + 1
    level, difficulty = rng.normal(0.85, 0.06, count), np.zeros(count)
    if plan.failures:
        difficulty = rng.beta(0.5, 0.5 / plan.failures - 0.5, count)
    dice, lucks = [], []
    for _ in "AB":
        taste, luck = rng.normal(0, 0.02, count), rng.normal(0, plan.luck, (plan.draws, 1))
        values = level[who] + taste[who] + luck + rng.normal(0, 0.02, shape)
        failed = rng.random(shape) < difficulty[who]
        dice.append(np.where(failed, values * rng.uniform(0, 0.6, shape), values))
        lucks.append(float(luck.mean()) * (1 - plan.failures * 0.7))  # a failed mask keeps .3 of it
    table = np.full((plan.draws, count), np.nan)
    np.put_along_axis(table, who, dice[0] - dice[1], axis=1)
    return table[:, ~np.isnan(table).all(axis=0)], lucks[0] - lucks[1]


def alarms(plan: Plan, studies: int, rng: np.random.Generator) -> dict[str, Any]:
    """Share of the studies in which each test says that the methods differ, and how often intervals hold."""
    tables, truths = zip(*(differences(plan, rng) for _ in range(studies)), strict=True)
    ours = [runs_and_people(table) for table in tables]
    given = [people_given_runs(table) for table in tables]
    people = [np.nanmean(table, axis=0) for table in tables]
    draws = np.array([np.nanmean(table, axis=1) for table in tables])
    found = {
        **asdict(plan),
        "two_way": np.mean([each is not None and _outside(each.interval(), 0) for each in ours]),
        "sign_flip": np.mean([sign_flip([each]).p < ALPHA for each in draws[: studies // 4]]),
        "draws_t": np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < ALPHA),
        "people_wilcoxon": np.mean([stats.wilcoxon(each).pvalue < ALPHA for each in people[: studies // 4]]),
        "given_covered": np.mean(
            [not _outside(each.interval(), truth) for each, truth in zip(given, truths, strict=True) if each]
        ),
    }
    found["two_way_covered"] = 1 - found["two_way"]
    if plan.design == "crossed":
        for method in ("percentile", "BCa"):
            few = slice(0, studies // 4)
            made = stats.bootstrap(
                (np.array(people[few]),), np.mean, axis=-1, n_resamples=999, batch=100, method=method, rng=rng
            ).confidence_interval
            inside = (made.low <= truths[few]) & (truths[few] <= made.high)
            found[f"given_{method.lower()}"] = np.mean(inside)
    return {name: round(float(v), 3) if isinstance(v, float) else v for name, v in found.items()}


def _outside(interval: tuple[float, float], value: float) -> bool:
    return not interval[0] <= value <= interval[1]


def claim_p(sets: Sequence[Plan], shift: float, bound: float, rng: np.random.Generator) -> float:
    """P of the claim that A is better than `bound`, over a study of some sets; A is better by `shift`."""
    made = [runs_and_people(differences(plan, rng)[0] + shift) for plan in sets]
    return averaged([each for each in made if each is not None]).p_above(bound)


def verdicts(name: str, failures: float, studies: int, rng: np.random.Generator) -> dict[str, Any]:
    """A whole study: its false claims, and its power."""
    sets = [replace(plan, failures=failures) for plan in STUDIES[name]]
    one = np.array([claim_p(sets, 0.0, 0.0, rng) for _ in range(3 * studies)])
    three = [min(holm(list(each))) for each in one.reshape(studies, 3)]
    worse = [claim_p(sets, -MARGIN, -MARGIN, rng) for _ in range(studies)]
    row = {
        "study": name,
        "failures": failures,
        "superior": float(np.mean(one < ALPHA)),
        "any_of_three": float(np.mean(np.array(three) < ALPHA)),
        "noninferior": float(np.mean(np.array(worse) < ALPHA)),
        "power_noninferior": float(
            np.mean([claim_p(sets, 0.0, -MARGIN, rng) < ALPHA for _ in range(studies // 2)])
        ),
        "power": {
            str(effect): float(
                np.mean([claim_p(sets, effect, 0.0, rng) < ALPHA for _ in range(studies // 2)])
            )
            for effect in EFFECTS
        },
    }
    return row


def page(found: dict[str, Any]) -> str:
    """The page."""
    slack = 2 * math.sqrt(ALPHA * (1 - ALPHA) / found["studies"])
    lines = [
        "# False alarms of `stampseg compare`", "",
        "`OMP_NUM_THREADS=1 python benchmarks/false_alarms.py`: simulated studies in which the truth is known. Two methods that do not",
        "differ are compared; a test at 5% may say otherwise in 5 of 100 studies. Dice are like Dice: people differ, trainings",
        f"have luck, and in some rows {FAILURES:.0%} of the masks fail. {found['studies']:,} studies a row (a quarter of them for the sign-flip,",
        f"Wilcoxon and the bootstraps), so that figures near .05 are known to about {slack:.2f}; {found['seconds']:.0f} s of one core.", "",
        "## Does method A differ from method B?", "",
        "False alarms at 5%. **Two-way** is what the verdicts of `compare` rest on: another training and other people would do.",
        "The others are what is often done instead. *luck* is the standard deviation of a method's mean between trainings.", "",
        "| design | draws | people a draw | luck | failures | **two-way** | t over draws | sign-flip over draws | Wilcoxon over people |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in found["alarms"]:
        design = row["design"] + (f" (pool of {row['pool']})" if row["pool"] else "")
        lines.append(
            f"| {design} | {row['draws']} | {row['people']} | {row['luck']:g} | {row['failures']:.0%} | **{row['two_way']:.3f}** | "
            f"{row['draws_t']:.3f} | {row['sign_flip']:.3f} | {row['people_wilcoxon']:.3f} |"
        )
    worst = max(row["two_way"] for row in found["alarms"])
    lines += [
        "", f"The most of the two-way estimate is {worst:.3f}; at most {MOST:.2f} was asked. Where people are nested in draws, draws are",
        "the units, and the two-way estimate is the t over draws, but never narrower than the interval over people. Wilcoxon over",
        "people takes the luck of these trainings for the method. The sign-flip cannot reach 5% with fewer than 6 draws; over draws",
        "that share their people, it and the t over draws speak of these people alone.", "",
        "## Coverage of the intervals of 95%", "",
        "*Runs and people*: how often the interval holds the difference of the methods. *People, given these runs*: of these trained",
        "networks. For the latter t over people, and bootstraps over people, were tried: t is used.", "",
        "| design | draws | people a draw | luck | failures | runs and people | people: **t** | percentile bootstrap | BCa bootstrap |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in found["alarms"]:
        boots = [f"{row[key]:.3f}" if key in row else "" for key in ("given_percentile", "given_bca")]
        lines.append(
            f"| {row['design']} | {row['draws']} | {row['people']} | {row['luck']:g} | {row['failures']:.0%} | {row['two_way_covered']:.3f} | "
            f"**{row['given_covered']:.3f}** | {' | '.join(boots)} |"
        )
    lines += [
        "", "## Whole studies", "",
        "Claims as they are written before a study, over all its sets; luck .01. A claim has a direction, so a false one is held in",
        "2.5 of 100 studies where the test keeps exactly to its 5%. *Any of three*: three false claims, after Holm. *Not inferior*: A is worse by",
        f"exactly the margin of {MARGIN:g}. Power: how often a true claim is held, if it is the only one.", "",
        "| study | failures | false: superior | any of three | not inferior | "
        + " | ".join(f"power: better by {effect:g}" for effect in EFFECTS) + " | power: equal, not inferior |",
        "|---|" + "---:|" * (5 + len(EFFECTS)),
    ]  # fmt: skip
    for row in found["studies_of_claims"]:
        cells = [row["superior"], row["any_of_three"], row["noninferior"], *row["power"].values()]
        cells.append(row["power_noninferior"])
        lines.append(
            f"| {row['study']} | {row['failures']:.0%} | {' | '.join(f'{cell:.3f}' for cell in cells)} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=2500)
    parser.add_argument("--out", type=Path, default=Path("docs/results/false-alarms.json"))
    options = parser.parse_args()
    rng, start = np.random.default_rng(20), process_time()
    found = {
        "studies": options.studies,
        "alarms": [alarms(plan, options.studies, rng) for plan in PLANS],
        "studies_of_claims": [
            verdicts(name, failures, options.studies, rng) for failures in (0.0, FAILURES) for name in STUDIES
        ],
    }
    found["seconds"] = round(process_time() - start)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(page(found))


if __name__ == "__main__":
    main()
