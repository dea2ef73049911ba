"""Is the estimate of a search right on average, and how often is the default given up for nothing? Simulated.

    python benchmarks/search_estimate.py docs/results/search-estimate.json

Six settings race over three folds as in `run/search/race.py`, with Dice around .8 that differs by people and, for
each person, by setting. Bias is that of the estimate against the true mean of what was chosen; `all` is the estimate
where those who helped to send settings out judge the others too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from stampseg.evaluation import corrected_estimate
from stampseg.evaluation.corrected_estimate import corrected, survivors

RACES, SETTINGS, FOLDS = 1_000, 6, 3
OF_PEOPLE, OF_SETTINGS = 0.10, 0.04  # deviations
PEOPLE, GAINS = (6, 10, 20), (0.0, 0.06)  # of the second setting


def race(rng: np.random.Generator, people: int, gain: float) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Figures of the settings that are left, which they are, and who had no part in sending others out."""
    figures = 0.8 + rng.normal(0, OF_PEOPLE, (people, 1)) + rng.normal(0, OF_SETTINGS, (people, SETTINGS))
    figures[:, 1] += gain
    fold, running, gone = np.arange(people) % FOLDS, list(range(SETTINGS)), 0
    for number in range(FOLDS - 1):
        if len(running) < 3:
            break
        left = [running[place] for place in survivors(figures[fold <= number][:, running])]
        gone = number + 1 if len(left) < len(running) else gone
        running = left
    return figures[:, running], running, fold >= gone


def simulated(people: int, gain: float) -> dict:
    """Over many races."""
    rng, late, every, kept = np.random.default_rng(0), [], [], []
    for seed in range(RACES):
        figures, running, judges = race(rng, people, gain)
        found, naive = corrected(figures, judges, seed), corrected(figures, seed=seed)
        assert found.estimate is not None and naive.estimate is not None
        truth = 0.8 + (gain if running[found.best] == 1 else 0.0)
        late.append(found.estimate - truth)
        every.append(naive.estimate - truth)
        kept.append(not found.beaten)
    error = float(np.std(late, ddof=1) / np.sqrt(RACES))
    return {
        "people": people, "gain": gain, "races": RACES, "bias": round(float(np.mean(late)), 5),
        "standard_error": round(error, 5), "bias_all": round(float(np.mean(every)), 5),
        "default_kept": round(float(np.mean(kept)), 4),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    given = parser.parse_args()
    corrected_estimate.DRAWS = 500
    rows = [simulated(people, gain) for gain in GAINS for people in PEOPLE]
    for row in rows:
        print(row, flush=True)
    given.results.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
