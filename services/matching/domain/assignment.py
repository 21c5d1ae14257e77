"""Who gets whom: the best assignment within everybody's seats, as a minimum-cost flow.

In this order: most mentees served (those who lost a partner before others), most mentors given
someone (likewise), highest total score. One flow decides all three: whatever mentees and whatever
mentors can be served at all can be served together (Fulkerson's linking theorem), so one price
that outweighs any sum of scores serves both sides without setting one against the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pylmcf import Graph

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Seats:
    """One side of the market: what each person may still take."""

    free: Whole
    served: NDArray[np.bool_]
    """Has a living pair already: another one is welcome, but does not serve them anew."""
    first: NDArray[np.bool_]
    """Comes before others when not all can be served."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Admissible pairs by row (mentee) and column (mentor), with their score in whole units."""

    mentee: Whole
    mentor: Whole
    units: Whole


def seats(free: Sequence[int], served: Sequence[bool], first: Sequence[bool]) -> Seats:
    """Seats of plain lists."""
    return Seats(np.array(free, np.int64), np.array(served, np.bool_), np.array(first, np.bool_))


def assign(edges: Edges, mentees: Seats, mentors: Seats) -> Whole:
    """Positions of the chosen edges, ascending; an optimum, and the same one for the same input.

    Callers sort people by id, so that the choice among equals does not hang on the order of rows.
    """
    order = np.lexsort((edges.mentor, edges.mentee))
    usable = order[
        (mentees.free[edges.mentee[order]] > 0) & (mentors.free[edges.mentor[order]] > 0)
    ]
    if usable.size == 0:
        return np.zeros(0, np.int64)
    network = _Network(
        Edges(edges.mentee[usable], edges.mentor[usable], edges.units[usable]), mentees, mentors
    )
    chosen = usable[network.flow()]
    return np.sort(chosen)


class _Network:
    """Mentees' seats flow over pairs to mentors, or unserved to the sink, at a price.

    No cost is negative: a pair costs what its score lacks to `ceiling`, an unused seat costs
    `ceiling`, so that a seat is worth its score. A mentee without any pair costs `alone` more; a
    mentor's second and later seats cost `alone` more than the first, which every unused seat of a
    mentee makes up for, so that first seats are preferred but none is refused.
    """

    def __init__(self, edges: Edges, mentees: Seats, mentors: Seats) -> None:
        self._edges = edges
        rows, columns = len(mentees.free), len(mentors.free)
        self._sink = rows + columns
        most_pairs = int(min(mentees.free.sum(), mentors.free.sum()))
        ceiling = int(edges.units.max()) + 1
        alone = ceiling * (most_pairs + 1)
        # Twice the price for those who come first; every mentor's further seat costs the most
        # that a first one saves.
        dearest = 2 * alone
        mentee_bonus = np.where(mentees.served, 0, np.where(mentees.first, 2 * alone, alone))
        mentor_bonus = np.where(mentors.served, 0, np.where(mentors.first, 2 * alone, alone))
        row, column = np.arange(rows), np.arange(columns)
        one_row, one_column = np.minimum(mentees.free, 1), np.minimum(mentors.free, 1)
        # Two parallel arcs to the sink each: LEMON takes the cheaper first, since costs rise.
        arcs = (
            (edges.mentee, rows + edges.mentor, np.ones_like(edges.units), ceiling - edges.units),
            (row, self._sink, mentees.free - one_row, np.full(rows, ceiling + dearest)),
            (row, self._sink, one_row, ceiling + dearest + mentee_bonus),
            (rows + column, self._sink, one_column, dearest - mentor_bonus),
            (rows + column, self._sink, mentors.free - one_column, np.full(columns, dearest)),
        )
        self._supply = np.concatenate(
            [mentees.free, np.zeros(columns, np.int64), [-int(mentees.free.sum())]]
        ).astype(np.int64)
        parts = [np.broadcast_arrays(*arc) for arc in arcs]
        self._start, self._end, self._capacity, self._cost = (
            np.concatenate([part[place] for part in parts]).astype(np.int64) for place in range(4)
        )

    def flow(self) -> NDArray[np.bool_]:
        """Which edges carry flow at the minimum cost."""
        # The library keeps arcs sorted by their ends; cost breaks ties so that parallel arcs
        # keep the values meant for them.
        order = np.lexsort((self._cost, self._end, self._start))
        graph = Graph(self._sink + 1, self._start[order], self._end[order])
        graph.set_node_supply(self._supply)
        graph.set_edge_capacities(self._capacity[order])
        graph.set_edge_costs(self._cost[order])
        graph.solve()
        carried = np.empty(len(order), np.int64)
        carried[order] = graph.result()
        chosen: NDArray[np.bool_] = carried[: len(self._edges.units)] > 0
        return chosen
