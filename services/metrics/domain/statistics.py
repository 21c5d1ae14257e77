"""The statistics behind the KPIs, each with its source."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import ceil, floor, sqrt

Z_95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""


def percentile(counts: Mapping[float, int], share: float) -> float:
    """The value below which `share` of the values lie, interpolated linearly between ranks.

    `counts` says how often each value was seen, at least once. Source: Hyndman & Fan 1996, type 7;
    the same as Postgres' `percentile_cont`.
    """
    ordered = sorted(counts)
    up_to = list(accumulate(counts[value] for value in ordered))
    rank = share * (up_to[-1] - 1)
    below = ordered[bisect_right(up_to, floor(rank))]
    above = ordered[bisect_right(up_to, ceil(rank))]
    return below + (above - below) * (rank - floor(rank))


def wilson_interval(successes: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a proportion, in [0, 1]. Source: Wilson 1927, the score interval."""
    share = successes / n
    spread = Z_95 * sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
    centre = share + Z_95**2 / (2 * n)
    scale = 1 + Z_95**2 / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def stratified_difference(
    strata: Iterable[tuple[int, int, int, int]],
) -> tuple[float, float, float] | None:
    """Difference of two proportions within strata, with its 95 % interval.

    Each stratum is (successes, n) of the one group and (successes, n) of the other; strata without
    both groups compare nothing and are left out. None when nothing is left.

    Source: the Mantel-Haenszel risk difference, with the variance of Greenland & Robins 1985
    (Biometrics 41:55-68), which holds for few large and for many small strata.
    """
    gain = weight = variance = 0.0
    for a, n1, c, n0 in strata:
        if not n1 or not n0:
            continue
        n = n1 + n0
        gain += (a * n0 - c * n1) / n
        weight += n1 * n0 / n
        variance += (a * (n1 - a) * n0**3 + c * (n0 - c) * n1**3) / (n1 * n0 * n**2)
    if not weight:
        return None
    difference = gain / weight
    spread = Z_95 * sqrt(variance) / weight
    return difference, max(-1.0, difference - spread), min(1.0, difference + spread)
