"""All pairs of an instance: where the search gets its candidates, and its proof.

Few pairs are kept in a table. Many are never kept: they are scored anew whenever they are looked
at, which takes less time than memory would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.matching.domain.market import Edges, Prices, Whole
from services.matching.domain.matrix import ADMISSIBLE, Matrix
from services.matching.domain.rules import RULES

Flags: TypeAlias = NDArray[np.bool_]
Told: TypeAlias = Callable[[str, float], None]
"""Is told what is done now, and which share of it is over."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """For each person the pair outside of the chosen ones that is nearest to gaining."""

    gain: Whole
    """In units; not above 0 once nothing gains."""
    other: Whole
    """Place of the other person; -1 where there is no other pair."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """All pairs outside of the chosen ones, seen by what they would gain at given prices."""

    gaining: Edges
    """Those that gain most, some for each mentee."""
    of_mentees: Nearest
    of_mentors: Nearest

    @property
    def excess(self) -> Whole:
        """By how much a pair of each mentee gains at most."""
        return np.maximum(self.of_mentees.gain, 0)


@dataclass(frozen=True, slots=True)
class Floor:
    """Pairs that score `units` or more are worth `bonus` units more than they score."""

    units: int
    bonus: int


class AllPairs(Protocol):
    """The pairs that may be formed, with their worth."""

    def candidates(self) -> Edges:
        """Good ones for everybody."""

    def price(self, prices: Prices, chosen: Edges) -> Pricing:
        """Look at all of them."""

    def reasons(self, mentees: Flags, mentors: Flags) -> tuple[Whole, Whole]:
        """(people, rules + 1) counterparts that each rule is the first to exclude, 0 is no rule.

        Only of the people named; the others' lines have no meaning.
        """


class TabledPairs:
    """Pairs that are kept in a table."""

    def __init__(self, judged: Matrix, worth: Whole) -> None:
        self._excluded_by, self._worth = judged.excluded_by, worth
        self._admissible = judged.excluded_by == ADMISSIBLE

    def candidates(self) -> Edges:
        """All of them."""
        row, column = np.nonzero(self._admissible)
        return Edges(row, column, self._worth[row, column])

    def price(self, prices: Prices, chosen: Edges) -> Pricing:
        """Look at all of them."""
        others = self._admissible.copy()
        others[chosen.mentee, chosen.mentor] = False
        gain = self._worth - prices.mentee[:, None] - prices.mentor[None, :]
        row, column = np.nonzero(others & (gain > 0))
        return Pricing(
            Edges(row, column, self._worth[row, column]),
            _nearest_in(gain, others),
            _nearest_in(gain.T, others.T),
        )

    def reasons(self, mentees: Flags, mentors: Flags) -> tuple[Whole, Whole]:
        """Counted in the table."""
        return (
            _counted(self._excluded_by, mentees),
            _counted(self._excluded_by.T, mentors),
        )


def _counted(excluded_by: NDArray[np.uint8], left: Flags) -> Whole:
    counts = np.zeros((len(left), len(RULES) + 1), np.int64)
    for rule in range(len(RULES) + 1):
        counts[left, rule] = np.count_nonzero(excluded_by[left] == rule, axis=1)
    return counts


def _nearest_in(gain: Whole, others: Flags) -> Nearest:
    if gain.shape[1] == 0:
        return Nearest(np.zeros(len(gain), np.int64), np.full(len(gain), -1, np.int64))
    low = np.iinfo(np.int64).min
    place = np.where(others, gain, low).argmax(axis=1)
    some = others.any(axis=1)
    best = np.take_along_axis(gain, place[:, None], axis=1)[:, 0]
    return Nearest(np.where(some, best, 0), np.where(some, place, -1))
