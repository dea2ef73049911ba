"""No cut loses a structure: a look before each cut, and the same figures after it."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field

from ..channels.graph import ChannelGraph, Cut
from ..evaluation.metrics import FOUND_DICE
from .round import Fit

Channel = tuple[str, int]  # group, index in the network as first traced
Foresee = Callable[[ChannelGraph, Cut], Fit]

HARMED = 0.5  # a label that keeps less than this share of its Dice, before any recovery, may not come back
TRIES = 4  # choices that are looked at before the best of them is taken


@dataclass(frozen=True)
class ForeseenCut:
    """A cut that was looked at before it is made."""

    cut: Cut
    spared: Cut = field(default_factory=lambda: Cut({}))
    fit: Fit | None = None  # with the cut's channels silenced


class Guard:
    """Watches the Dice of each label on training windows through the cuts of a run.

    Args:
        max_drop: Dice that a label may lose for good.
        foresee: the figures with a cut's channels silenced; None: cuts are made unseen.
    """

    def __init__(self, max_drop: float, foresee: Foresee | None) -> None:
        self.max_drop, self.foresee = max_drop, foresee
        self.best: dict[str, float] = {}
        self.now: Fit | None = None

    def remember(self, fit: Fit | None) -> None:
        """Take these figures as those that later ones are measured by."""
        self.now = fit
        for name, dice in (fit.per_label if fit is not None else {}).items():
            self.best[name] = max(dice, self.best.get(name, 0.0))

    def lost(self, fit: Fit | None) -> list[str]:
        """Labels whose Dice has stayed too far below the best so far.

        An average needs longer than a round to recover from a cut; it will be where the network it is of has
        come to, so the better of both counts.
        """
        found = fit.per_label if fit is not None else {}
        student = fit.student if fit is not None else {}
        return [
            name
            for name, dice in found.items()
            if max(dice, student.get(name, 0.0)) < self.best.get(name, 0.0) - self.max_drop
        ]

    def choose(self, pick: Callable[..., Cut], graph: ChannelGraph, protected: Set[Channel]) -> ForeseenCut:
        """The cut, what was ranked for it but spared, and what is to come of it.

        The channels that were picked are silenced together. Where a label suffers, the channels of each layer
        are silenced alone, those of the layers that hurt are spared in this round, and others are picked;
        where that does not help, half as many.

        Args:
            pick: chooses channels, none of those that it is given as `protected`, and not more than `most`.
            graph: of the network as it is now.
            protected: not to be picked in any case.
        """
        spared, looks = frozenset[Channel](), list[ForeseenCut]()
        while True:
            fewer = {"most": max(1, looks[-1].cut.count // 2)} if len(looks) > 1 else {}
            cut = pick(protected=protected | spared, **fewer)
            if self.foresee is None or self.now is None or not cut.removed:
                looks.append(ForeseenCut(cut))
                break
            looks.append(ForeseenCut(cut, _as_cut(graph, spared), self.foresee(graph, cut)))
            if self.kept(looks[-1].fit) >= HARMED or len(looks) == TRIES:
                break
            spared |= self._harmful(graph, cut)
        return max(looks, key=lambda look: self.kept(look.fit))

    def kept(self, fit: Fit | None) -> float:
        """Share of its Dice that the label keeps which suffers most; 0 where nothing was looked at."""
        if fit is None or self.now is None:
            return 0.0
        found = {name: dice for name, dice in self.now.per_label.items() if dice >= FOUND_DICE}
        return min((fit.per_label[name] / dice for name, dice in found.items()), default=1.0)

    def _harmful(self, graph: ChannelGraph, cut: Cut) -> set[Channel]:
        """Channels of the layers that hurt by themselves; if none does, of the one that hurts most."""
        assert self.foresee is not None
        alone = {
            name: self.kept(self.foresee(graph, Cut.of({name: gone}))) for name, gone in cut.removed.items()
        }
        worst = min(alone.values())
        return {
            (name, graph.kept[name][index])
            for name, kept in alone.items()
            if kept < HARMED or kept == worst
            for index in cut.removed[name]
        }


def _as_cut(graph: ChannelGraph, channels: Set[Channel]) -> Cut:
    """By group and index in the network as it is now."""
    found: dict[str, list[int]] = {}
    for name, first in sorted(channels):
        found.setdefault(name, []).append(graph.kept[name].index(first))
    return Cut.of(found)
