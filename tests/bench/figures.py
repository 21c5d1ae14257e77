"""Series of figures, what they come to, and how they compare with a target."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Spread:
    """A middle figure between the lowest and the highest."""

    median: float
    lowest: float
    highest: float


def spread(figures: Sequence[float]) -> Spread:
    """The median of some figures, with their extremes. Raises ValueError without any."""
    if not figures:
        raise ValueError("no round was measured")
    return Spread(statistics.median(figures), min(figures), max(figures))


def percentile(figures: Sequence[float], share: float) -> float:
    """The smallest figure that at least `share` of all do not exceed (nearest rank).

    Raises ValueError without any.
    """
    if not figures:
        raise ValueError("nothing was measured")
    ordered = sorted(figures)
    # Rounded, for 0.07 * 100 is a little more than 7.
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[max(1, rank) - 1]


@dataclass(slots=True)
class Series:
    """What one contender did, one figure per round."""

    name: str
    unit: str
    figures: list[float] = field(default_factory=list)

    @property
    def spread(self) -> Spread:
        """Its median and extremes."""
        return spread(self.figures)


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a ratio has to keep."""

    bound: float
    at_least: bool
    """Whether the ratio may not be below the bound; otherwise it may not be above."""

    def met(self, ratio: float) -> bool:
        """Whether a ratio keeps the bound."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


def at_least(bound: float) -> Target:
    """A target for what should be large."""
    return Target(bound, at_least=True)


def at_most(bound: float) -> Target:
    """A target for what should be small."""
    return Target(bound, at_least=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One series as a multiple of another one of the same rounds."""

    ours: Series
    baseline: Series
    target: Target | None = None
    """None: told without a target."""

    @property
    def ratio(self) -> Spread:
        """The ratio of the medians, between the extremes of the rounds' own ratios."""
        rounds = [
            mine / other
            for mine, other in zip(self.ours.figures, self.baseline.figures, strict=False)
        ]
        of_rounds = spread(rounds)
        middle = self.ours.spread.median / self.baseline.spread.median
        return Spread(
            middle,
            # With few or unlike rounds the medians may come from different ones.
            min(middle, of_rounds.lowest),
            max(middle, of_rounds.highest),
        )

    @property
    def met(self) -> bool | None:
        """Whether the ratio keeps its target; None without one."""
        return None if self.target is None else self.target.met(self.ratio.median)
