"""The two sides of the market, what an assignment is worth, and how much any could be worth.

In this order: most mentees served (those who lost a partner before others), most mentors given
someone (likewise), highest total worth of the pairs. One sum decides all three: whatever mentees
and whatever mentors can be served at all can be served together (Fulkerson's linking theorem), so
one price that outweighs any sum of pairs serves both sides without setting one against the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Seats:
    """One side of the market: what each person may still take."""

    free: Whole
    served: NDArray[np.bool_]
    """Has a living pair already: another one is welcome, but does not serve them anew."""
    first: NDArray[np.bool_]
    """Comes before others when not all can be served."""

    def at(self, places: Whole) -> Seats:
        """Those of the people at these places."""
        return Seats(self.free[places], self.served[places], self.first[places])


@dataclass(frozen=True, slots=True)
class Edges:
    """Admissible pairs by row (mentee) and column (mentor), with their worth in whole units."""

    mentee: Whole
    mentor: Whole
    units: Whole

    def __len__(self) -> int:
        return len(self.units)

    def at(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Edges:
        """Those at these places."""
        return Edges(self.mentee[places], self.mentor[places], self.units[places])

    def and_more(self, more: Edges) -> Edges:
        """These and others."""
        return Edges(
            np.concatenate((self.mentee, more.mentee)),
            np.concatenate((self.mentor, more.mentor)),
            np.concatenate((self.units, more.units)),
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """What one more seat of each person would bring the programme, in whole units.

    A mentor whom many could take has a high price, a mentee who must be served has a low one; a
    pair gains by being formed only if it is worth more than both prices together.
    """

    mentee: Whole
    mentor: Whole


def seats(free: Sequence[int] | Whole, served: Sequence[bool], first: Sequence[bool]) -> Seats:
    """Seats of plain lists."""
    return Seats(np.array(free, np.int64), np.array(served, np.bool_), np.array(first, np.bool_))


@dataclass(frozen=True, slots=True)
class Market:
    """Everybody's seats; no pair is worth more than `most` units, none less than 0."""

    mentees: Seats
    mentors: Seats
    most: int

    @property
    def alone(self) -> int:
        """The price of leaving somebody alone: more than all pairs together can be worth."""
        most_pairs = int(min(self.mentees.free.sum(), self.mentors.free.sum()))
        return (self.most + 1) * (most_pairs + 1)

    def among(self, rows: Whole, columns: Whole) -> Market:
        """The market of some, where all others have no seat free."""
        return Market(self.mentees.at(rows), self.mentors.at(columns), self.most)

    def bonus(self, side: Seats) -> Whole:
        """What it is worth to serve each person of a side: twice as much for who comes first."""
        return np.where(side.served, 0, np.where(side.first, 2, 1)) * self.alone

    def worth(self, chosen: Edges) -> int:
        """The sum that a best assignment makes as large as can be."""
        return self._served(chosen) + int(chosen.units.sum())

    def _served(self, chosen: Edges) -> int:
        return sum(
            int(self.bonus(side)[np.unique(ends)].sum())
            for side, ends in ((self.mentees, chosen.mentee), (self.mentors, chosen.mentor))
        )

    def bound(self, prices: Prices, chosen: Edges, excess: Whole) -> int:
        """More than this no assignment can be worth, whatever the prices (weak duality).

        `excess` is by how much, for each mentee, any pair outside of `chosen` is worth more than
        its two prices at most, 0 if none is. Raising the mentee's price by it leaves only the
        chosen pairs with something to gain: they count one by one.
        """
        mentee = prices.mentee + excess
        beyond = chosen.units - mentee[chosen.mentee] - prices.mentor[chosen.mentor]
        return (
            int(self._best_use(self.mentees, mentee).sum())
            + int(self._best_use(self.mentors, prices.mentor).sum())
            + int(np.maximum(beyond, 0).sum())
        )

    def _best_use(self, side: Seats, price: Whole) -> Whole:
        """What each person is worth at best if each seat in use earns the price."""
        used = self.bonus(side) + price + np.maximum(price, 0) * (side.free - 1)
        return np.where(side.free > 0, np.maximum(used, 0), 0)


@dataclass(frozen=True, slots=True)
class Proof:
    """How good an assignment is, in units, and how good any could be."""

    covered_mentees: int
    covered_mentors: int
    objective: int
    """The worth of the chosen pairs, without what serving people is worth."""
    bound: int
    """No assignment that serves as many is worth more."""
    unproven: int
    """So many more people could perhaps be served; 0 is a proof that nobody need be left out."""

    @property
    def gap(self) -> float:
        """How far the objective may be from the best, as a share of the bound; 0 is a proof."""
        if self.unproven:
            return 1.0
        return 0.0 if self.bound <= self.objective else 1 - self.objective / self.bound


def proof(market: Market, chosen: Edges, bound: int) -> Proof:
    """What a bound on the whole sum says of people served and of pairs."""
    objective = int(chosen.units.sum())
    rest = bound - market.worth(chosen)
    return Proof(
        covered_mentees=_newly(market.mentees, chosen.mentee),
        covered_mentors=_newly(market.mentors, chosen.mentor),
        objective=objective,
        bound=objective + rest,
        # To serve one more could cost all that the pairs are worth, and pay the rest.
        unproven=max(0, (rest + objective) // market.alone),
    )


def _newly(side: Seats, ends: Whole) -> int:
    people = np.unique(ends)
    return int(np.count_nonzero(~side.served[people]))
