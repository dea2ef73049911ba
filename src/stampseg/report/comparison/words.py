"""What a comparison says in words: verdicts, and warnings that keep a reader from saying too much."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from ...core.text import counted, some
from ...evaluation.metrics import FOUND_DICE
from ...evaluation.people import FEW_PEOPLE
from ...evaluation.statistics import ALPHA, Design, Estimate
from .comparing import ClaimResult, Comparison, Pair, Verdict
from .missing import listed, places_text, what_is_missing
from .study import Setting, Study

NONE = "–"
LEAST_DRAWS = 6  # of fewer a sign-flip cannot come below 5%
HOW = {
    Design.ONE: "one draw: the luck of the runs cannot be told",
    Design.NESTED: "nested, other people in each draw: draws are the units",
    Design.CROSSED: "crossed, the same people in every draw: runs and people are both drawn at random",
    Design.PARTLY: "partly crossed, some people are in several draws: draws are the units, and what these "
    "people have in common is added",
}

_DIFFERENCES = (
    "A difference is Dice of the first method minus Dice of the second, on the same person in the same draw. "
    "Each person counts once in a draw, however many slices and labels there are; each draw counts alike, "
    "and each task.",
)
_METHODS = (
    "The interval over runs and people (95%) is about the methods: other trainings and other people would "
    "do. Verdicts rest on it. It is never narrower than the one over people.",
)
_NETWORKS = (
    "The interval over people, given these runs, is about these trained networks alone (t over people: in "
    "simulations it kept its 95% better than bootstraps).",
)
_CLAIMS = (
    "A claim is held where P after Holm is below 0.05: the interval lies wholly above 0, or above minus the "
    "margin, with room for the number of claims. It is lost where the interval "
    "lies wholly below, with the same room. Else it is not shown, which does not say that the contrary is "
    "true.",
    "A sign-flip over draws asks how often the mean would be as far from 0, or from minus the margin, if a "
    "coin gave each draw's difference its sign. It takes the draws of all tasks of a claim together, each "
    "task counting alike, needs no normal means, and at least six draws in all to come below 0.05.",
    "Seconds are those of the clock while each run ran. Where other work shared the machine, or machines "
    "differ, they compare nothing: FLOPs do, or runs that are timed in turns.",
)


def reading(study: Study) -> tuple[str, ...]:
    """How to read what is said; of claims and runs only where there are some."""
    if study.two:
        return (*_DIFFERENCES, *_NETWORKS)
    return (*_DIFFERENCES, *_METHODS, *_NETWORKS, *_CLAIMS)


def signed(value: float) -> str:
    """`+0.120`."""
    return f"{value:+.3f}"


def interval_text(estimate: Estimate | None) -> str:
    """`+0.081 to +0.164`, or a dash."""
    if estimate is None:
        return NONE
    low, high = estimate.interval()
    return f"{signed(low)} to {signed(high)}"


def p_text(value: float) -> str:
    """`0.031`, `below 0.001`."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def claims_head(comparison: Comparison) -> str:
    """How many claims there are, and what that does to each."""
    count = len(comparison.claims)
    if comparison.study.kind == "runs":
        what = "Two runs are compared: what is said is about these two networks."
        return " ".join([what, *_better(comparison)])
    if comparison.study.kind == "masks":
        what = "Two predictions are compared: what is said is about these masks."
        return " ".join([what, *_better(comparison)])
    if not count:
        return "No claim was written into study.yaml: everything below explores, and shows nothing by itself."
    held = sum(result.verdict is Verdict.HELD for result in comparison.claims)
    return (
        f"{counted(count, 'comparison')} {'was' if count == 1 else 'were'} claimed in study.yaml; P is after "
        f"Holm for {'this one' if count == 1 else f'these {count}'}. {held} of {count} held."
    )


def where_text(result: ClaimResult) -> str:
    """`on cardiac`, `over cardiac, nerve`."""
    return f"{'on' if len(result.tasks) == 1 else 'over'} {some(result.tasks, 8)}"


def verdict_text(result: ClaimResult) -> str:
    """Why the verdict is what it is, and what it does not rest on."""
    return " ".join([_why(result), *_parts(result)])


def _parts(result: ClaimResult) -> Iterator[str]:
    """Numbers of labels and draws that a claim does not rest on."""
    for part in result.parts:
        if part.numbers and len(part.numbers) < len(part.planned):
            yield f"{part.task}: of {_numbers(part.planned)} labelled, {_numbers(part.numbers)} alone."
        if part.left:
            draws = "draw" if len(part.left) == 1 else "draws"
            yield (
                f"{part.task}: {draws} {some(part.left)} left out, as not both methods have "
                f"{_numbers(part.numbers)} labelled there."
            )


def _numbers(numbers: Sequence[int | None]) -> str:
    """`5, 10 and 20`."""
    *most, last = ["all" if each is None else f"{each:,}" for each in numbers]
    return f"{', '.join(most)} and {last}" if most else last


def _why(result: ClaimResult) -> str:
    if result.mean is None and any(part.left for part in result.parts):
        return "No draw has all numbers of labels with both methods yet."
    if result.mean is None:
        return "No person was tested with both methods in one draw yet."
    said = f"The difference is {signed(result.mean)} Dice"
    if result.two_way is None:
        return f"{said} so far, but {_why_unsure(result)}."
    said += f", interval over runs and people {interval_text(result.two_way)}"
    low = result.two_way.interval()[0]
    bound = f"{result.claim.bound:+g}" if result.claim.bound else "0"
    if result.verdict is Verdict.HELD:
        return f"{said}: it lies above {bound}, P {p_text(result.p_holm)} after Holm."
    if result.verdict is Verdict.LOST:
        contrary = p_text(result.p_contrary_holm)
        return f"{said}: it lies below {bound}, P {contrary} after Holm: the contrary is shown."
    if low > result.claim.bound:
        return f"{said}: it lies above {bound}, but P is {p_text(result.p_holm)} after Holm for all claims."
    if result.two_way.interval()[1] < result.claim.bound:
        contrary = p_text(result.p_contrary_holm)
        return f"{said}: it lies below {bound}, but P of that is {contrary} after Holm for all claims."
    return f"{said}: it holds {bound}, so that neither this nor the contrary is shown."


def _why_unsure(result: ClaimResult) -> str:
    parts = []
    if result.missing:
        parts.append(f"{some(result.missing)} {_have(result.missing)} no pair yet")
    one = [pair.place for pair in result.pairs if pair.design is Design.ONE]
    if one:
        draws = "one draw" if len(one) == 1 else "one draw each"
        parts.append(
            f"{some(one)} {_have(one)} {draws}, and the luck of one run cannot be told from the method"
        )
    still = [place for place in result.unsure if place not in one]
    if still:
        parts.append(f"on {some(still)} there is one person, or nothing varies")
    return "; ".join(parts)


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def flips_text(result: ClaimResult) -> str:
    """The sign-flip over draws, and what it can say."""
    flips = result.flips
    if flips is None:
        return ""
    tasks = f" of {len(result.pairs)} tasks together" if len(result.pairs) > 1 else ""
    said = f"Sign-flip over {counted(flips.draws, 'draw')}{tasks}: P {p_text(flips.p)}"
    if flips.smallest >= ALPHA:
        said += f" (so few draws cannot have less than {flips.smallest:g})"
    if any(pair.design in (Design.CROSSED, Design.PARTLY) for pair in result.pairs):
        said += "; it takes the people who are in several draws as given"
    return f"{said}."


def designs_text(pairs: Iterable[Pair]) -> Iterator[str]:
    """Which estimate was used where."""
    by_design: dict[Design, list[str]] = {}
    for pair in pairs:
        places = by_design.setdefault(pair.design, [])
        if pair.task not in places:
            places.append(pair.task)
    for design, places in by_design.items():
        yield f"{some(places, 8)}: {HOW[design]}"


def warnings(comparison: Comparison) -> list[str]:
    """What a reader should know before believing anything, one sentence each."""
    found = [*comparison.study.remarks]
    if comparison.study.two:
        found += _of_two(comparison.study)
    found += _nothing_learnt(comparison.study)
    asked = [(where, pair) for where, pair in comparison.pairs if _is_asked(pair, comparison)]
    found += [*_few_draws(asked, comparison), *_few_people([pair for _, pair in asked])]
    found += [*what_is_missing(comparison.study), *_disagreeing(comparison.claims)]
    explored = len(comparison.pairs)
    if comparison.claims and explored > len(comparison.claims):
        found.append(
            f"{counted(explored, 'paired difference')} of single settings are shown below beside the claims: "
            f"they explore; of {explored} intervals of 95% some miss by chance"
        )
    return found


def _is_asked(pair: Pair, comparison: Comparison) -> bool:
    """Whether it is of the reference, or a claim is about it."""
    methods, reference = (pair.method, pair.against), comparison.reference
    claimed = ({result.claim.method, result.claim.against} for result in comparison.claims)
    return reference in methods or {*methods} in claimed


def _nothing_learnt(study: Study) -> Iterator[str]:
    """Networks that find next to nothing: they tell nothing of the methods."""
    of: dict[tuple[str, str], list[bool]] = {}
    for cell in study.cells:
        useless = bool(cell.dice) and fmean(cell.dice.values()) < FOUND_DICE
        of.setdefault((cell.method, cell.setting.task), []).append(useless)
    for (method, task), found in of.items():
        if any(found):
            yield (
                f"{method} on {task}: {sum(found)} of {counted(len(found), 'network')} found next to nothing "
                f"(mean Dice below {FOUND_DICE:g}): they say nothing about the method; give them more "
                "steps or labels"
            )


def _better(comparison: Comparison) -> Iterator[str]:
    """Which of two networks is better on these people, or that this is not shown."""
    for _, pair in comparison.pairs:
        if pair.given_runs is None:
            yield (
                f"{pair.method} or {pair.against}: which of these networks is better cannot be told, as "
                "there is one person, or nothing varies between people."
            )
            continue
        low, high = pair.given_runs.interval()
        if low <= 0 <= high:
            yield (
                f"{pair.method} or {pair.against}: which of these networks is better is not shown, as the "
                f"interval over people, {interval_text(pair.given_runs)}, holds 0."
            )
        else:
            better, other = (pair.method, pair.against) if low > 0 else (pair.against, pair.method)
            by = ", by the Dice of labels that are there" if comparison.study.kind == "masks" else ""
            yield (
                f"{better} is better than {other} on people like these, as far as these two networks go{by}."
            )


def _of_two(study: Study) -> Iterator[str]:
    yield (
        "one run of each: a second run of either with another seed may differ as much; run a study of "
        "several draws before saying that one method is better"
    )
    if study.kind == "runs":
        yield (
            "the cases are those that validated: they chose each run's network, so that both Dice are "
            "flattered; judge on people whom neither run has seen"
        )
    else:
        yield (
            "nobody says here whom the networks have learnt from: these figures hold where neither has seen "
            "these people"
        )


def _few_draws(asked: Sequence[tuple[Setting, Pair]], comparison: Comparison) -> Iterator[str]:
    """Differences of few draws, each named with its own task and methods."""
    study = comparison.study
    groups: dict[tuple[int, str], dict[Setting, list[str]]] = {}  # draws, method -> setting -> against
    for setting, pair in asked:
        of = groups.setdefault((len(pair.differences), pair.method), {})
        of.setdefault(setting, []).append(pair.against)
    for (count, method), group in sorted(groups.items(), key=lambda item: item[0][0]):
        alike: dict[tuple[str, ...], list[Setting]] = {}
        for setting, others in group.items():
            alike.setdefault(tuple(others), []).append(setting)
        first = "" if method == comparison.reference else f"{method} "
        where_all = "; ".join(
            f"on {places_text(study, settings)}, {first}against {listed(others)}"
            for others, settings in alike.items()
        )
        if count == 1 and not study.two:
            yield (
                f"a single draw {where_all}: what differs may be the luck of these runs, and no interval "
                "over runs can be given"
            )
        elif 1 < count < LEAST_DRAWS:
            yield (
                f"{count} draws {where_all}: a sign-flip over {count} cannot have a P below "
                f"{2 / 2**count:g}, and alone proves nothing; the interval over runs and people rests on "
                f"{count} draws whose means are roughly normal"
            )


def _few_people(pairs: Sequence[Pair]) -> Iterator[str]:
    few: dict[str, int] = {}
    for pair in pairs:
        if pair.people < FEW_PEOPLE:
            few[pair.task] = min(pair.people, few.get(pair.task, FEW_PEOPLE))
    if few:
        listed = some([f"{task} ({people})" for task, people in few.items()])
        yield (
            f"few people: {listed}; intervals over fewer than {FEW_PEOPLE} people are too narrow where one "
            "in ten fails altogether"
        )


def _disagreeing(claims: Sequence[ClaimResult]) -> Iterator[str]:
    for number, result in enumerate(claims, 1):
        flips = result.flips
        if result.verdict is Verdict.HELD and flips and flips.smallest < ALPHA <= flips.p:
            yield (
                f"claim {number} is held by the interval over runs and people, but not by the sign-flip over "
                f"{flips.draws} draws (P {p_text(flips.p)}): look at its draws before relying on it"
            )
