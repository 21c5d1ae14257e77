"""From observations to figures: how each kind of KPI adds up, and whom a figure shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.metrics.domain.observations import Observation
from services.metrics.domain.statistics import percentile, stratified_difference, wilson_interval


@dataclass(frozen=True, slots=True)
class Figures:
    """A numerator, a denominator, and the value that they lead to; None: not known, or 0 ÷ 0."""

    numerator: float | None
    denominator: float | None
    value: float | None
    interval_low: float | None = None
    interval_high: float | None = None


Combine = Callable[[Sequence[Observation]], Figures]

_NOTHING = Figures(0, 0, None)


def ratio(observations: Sequence[Observation]) -> Figures:
    """Numerator ÷ denominator."""
    numerator, denominator = _sums(observations)
    return Figures(numerator, denominator, numerator / denominator if denominator else None)


def points(observations: Sequence[Observation]) -> Figures:
    """Numerator ÷ denominator × 100."""
    numerator, denominator = _sums(observations)
    return Figures(numerator, denominator, 100 * numerator / denominator if denominator else None)


def count(observations: Sequence[Observation]) -> Figures:
    """The numerator itself; the denominator says out of how many."""
    numerator, denominator = _sums(observations)
    return Figures(numerator, denominator, numerator)


def median(observations: Sequence[Observation]) -> Figures:
    """The 50th percentile; numerator ÷ denominator is the mean."""
    return _percentile(observations, 0.5)


def ninetieth(observations: Sequence[Observation]) -> Figures:
    """The 90th percentile; numerator ÷ denominator is the mean."""
    return _percentile(observations, 0.9)


def proportion(observations: Sequence[Observation]) -> Figures:
    """Numerator ÷ denominator with its 95 % interval; no value while nothing can be known yet."""
    known = settled(observations)
    if known and known[0].numerator is None:
        return Figures(None, len(known), None)
    figures = ratio(known)
    if not figures.denominator or figures.numerator is None:
        return figures
    low, high = wilson_interval(figures.numerator, figures.denominator)
    return Figures(figures.numerator, figures.denominator, figures.value, low, high)


def difference(observations: Sequence[Observation]) -> Figures:
    """Participants' rate − that of comparable others, over strata, with its 95 % interval.

    The denominator is the number of participants who have somebody to compare with, the numerator
    how many more of them that is.
    """
    strata: dict[tuple[object, ...], list[float]] = {}
    for one in observations:
        cell = strata.setdefault(one.stratum, [0, 0, 0, 0])
        side = 0 if one.people[0] is not None else 2
        cell[side] += one.numerator or 0
        cell[side + 1] += one.denominator
    n = sum(cell[1] for cell in strata.values() if cell[3])
    if any(one.numerator is None for one in observations):
        return Figures(None, n, None)
    found = stratified_difference(
        (int(a), int(n1), int(c), int(n0)) for a, n1, c, n0 in strata.values()
    )
    if found is None:
        return _NOTHING
    value, low, high = found
    return Figures(value * n, n, value, low, high)


def given(observations: Sequence[Observation]) -> Figures:
    """The figure as it was counted at its source."""
    if not observations:
        return _NOTHING
    (one,) = observations
    return Figures(one.numerator, one.denominator, one.value)


def settled(observations: Sequence[Observation]) -> Sequence[Observation]:
    """Those that can be known by now, or all of them when none can."""
    return [one for one in observations if one.numerator is not None] or observations


def _sums(observations: Sequence[Observation]) -> tuple[float, float]:
    numerator = sum([one.numerator or 0 for one in observations])
    return float(numerator), float(sum([one.denominator for one in observations]))


def _percentile(observations: Sequence[Observation], share: float) -> Figures:
    if not observations:
        return _NOTHING
    numerator, denominator = _sums(observations)
    values = [one.numerator for one in observations if one.numerator is not None]
    return Figures(numerator, denominator, percentile(Counter(values), share))
