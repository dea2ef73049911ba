"""What the winner of several settings is worth: its own cross-validation says too much.

The best of several means is the best partly by luck. Bootstrap bias-corrected cross-validation (Tsamardinos,
Greasidou & Borboudakis 2018): people are drawn again and again, the setting is chosen by those who were
drawn, and measured on those who were not. Where settings left a race before its end, those who had a part in
that are no judges of the others: what is gained over the default is measured on the people of later folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 2_000
CLEARLY = 2.5  # standard errors


@dataclass(frozen=True)
class Corrected:
    """A choice among settings, the first of which is the default.

    Attributes:
        best: which has the highest mean over people.
        own: that mean, too high as an estimate.
        estimate: of what choosing so is worth on other people; None where all had a part in the race.
        default: mean of the default, which nobody chose: as it is.
        gain: mean over people of the best's Dice less the default's, and its standard error.
        better: share of the people whose Dice is higher than with the default.
    """

    best: int
    own: float
    estimate: float | None
    default: float
    gain: tuple[float, float] = (0.0, 0.0)
    better: float = 0.0

    @property
    def beaten(self) -> bool:
        """Whether the default is given up.

        The estimate must be above it, and the best above it for most people, by more than luck alone gives
        the best of a handful of equal settings.
        """
        mean, error = self.gain
        most = self.better > 0.5 and mean > CLEARLY * error
        return self.best != 0 and self.estimate is not None and self.estimate > self.default and most


def corrected(figures: np.ndarray, judges: np.ndarray | None = None, seed: int = 0) -> Corrected:
    """Choose among settings.

    Args:
        figures: (people, settings) of people who were left out, the default first.
        judges: (people,) whether a person had no part in sending settings out of the race; all by default.
        seed: of the draws.

    Raises:
        ValueError: fewer than two people.
    """
    people = len(figures)
    if people < 2:
        raise ValueError("expected two people or more")
    means = figures.mean(axis=0)
    drawn = np.random.default_rng(seed).integers(0, people, (DRAWS, people))
    counts = np.stack([np.bincount(draw, minlength=people) for draw in drawn])
    left = (counts == 0) & (True if judges is None else judges)
    usable = left.any(axis=1)
    chosen = (counts[usable] @ figures).argmax(axis=1)  # the first of equal ones: the default
    outside = left[usable].astype(float)
    gained = figures - figures[:, :1]
    values = (outside @ gained)[np.arange(len(chosen)), chosen] / outside.sum(axis=1)
    estimate = float(means[0] + values.mean()) if usable.any() else None
    best = int(means.argmax())
    gains = gained[:, best]
    gain = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(people))
    better = float((gains > 0).mean())
    return Corrected(best, float(means[best]), estimate, float(means[0]), gain, better)


def survivors(figures: np.ndarray) -> list[int]:
    """Which settings go on after a fold: the default, and the better half of the others.

    Args:
        figures: (people so far, settings), the default first.
    """
    means = figures.mean(axis=0)
    others = sorted(range(1, figures.shape[1]), key=lambda place: (-means[place], place))
    return [0, *sorted(others[: -(-len(others) // 2)])]
