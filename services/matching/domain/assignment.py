"""The best assignment within everybody's seats over given edges, as a minimum-cost flow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pylmcf import Graph

from services.matching.domain.market import Edges, Market, Prices


def assign(edges: Edges, market: Market) -> tuple[Edges, Prices]:
    """The chosen edges, and prices that prove that no others of these edges are better.

    The same for the same input; callers sort people by id, so that the choice among equals does
    not hang on the order of rows.
    """
    has_row, has_column = market.mentees.free > 0, market.mentors.free > 0
    rows, columns = np.flatnonzero(has_row), np.flatnonzero(has_column)
    row_at, column_at = np.cumsum(has_row) - 1, np.cumsum(has_column) - 1
    usable = np.flatnonzero(has_row[edges.mentee] & has_column[edges.mentor])
    network = _Network(
        Edges(row_at[edges.mentee[usable]], column_at[edges.mentor[usable]], edges.units[usable]),
        market.among(rows, columns),
    )
    chosen, of_some = network.flow()
    # Whoever has no seat free is in nobody's way at any price: this is what the flow would say.
    prices = Prices(
        np.full(len(market.mentees.free), market.most + 2 * market.alone),
        np.full(len(market.mentors.free), -2 * market.alone),
    )
    prices.mentee[rows], prices.mentor[columns] = of_some.mentee, of_some.mentor
    return edges.at(usable[chosen]), prices


class _Network:
    """Mentees' seats flow over pairs to mentors, or unserved to the sink, at a price.

    No cost is negative: a pair costs what its worth lacks to `most`, an unused seat costs `most`,
    so that a seat is worth its pair. A mentee without any pair costs `alone` more; a mentor's
    second and later seats cost `alone` more than the first, which every unused seat of a mentee
    makes up for, so that first seats are preferred but none is refused.
    """

    def __init__(self, edges: Edges, market: Market) -> None:
        mentees, mentors = market.mentees, market.mentors
        rows, columns = len(mentees.free), len(mentors.free)
        self._rows, self._sink = rows, rows + columns
        self._most = market.most
        # Every mentor's further seat costs the most that a first one saves.
        self._dearest = 2 * market.alone
        unused = self._most + self._dearest
        row, column = np.arange(rows), rows + np.arange(columns)
        one_row, one_column = np.minimum(mentees.free, 1), np.minimum(mentors.free, 1)
        # The library wants arcs in the order of their ends. Two arcs each lead from a person to
        # the sink, the cheaper first: the order that the library keeps and fills them in.
        order = np.lexsort((edges.mentor, edges.mentee))
        self._order = order.astype(np.int32)
        arcs = (
            (edges.mentee[order], rows + edges.mentor[order], 1, self._most - edges.units[order]),
            (row, self._sink, mentees.free - one_row, unused),
            (row, self._sink, one_row, unused + market.bonus(mentees)),
            (column, self._sink, one_column, self._dearest - market.bonus(mentors)),
            (column, self._sink, mentors.free - one_column, self._dearest),
        )
        parts = [np.broadcast_arrays(*arc) for arc in arcs]
        # As narrow as can be, and gone once the library has its copy: this is a run's largest.
        start, end, capacity, cost = (
            np.concatenate([part[place] for part in parts], dtype=kind)
            for place, kind in enumerate((np.int32, np.int32, np.int64, np.int64))
        )
        self._places = np.argsort(start, kind="stable").astype(np.int32)
        self._graph = Graph(self._sink + 1, start[self._places], end[self._places])
        self._graph.set_node_supply(
            np.concatenate(
                [mentees.free, np.zeros(columns, np.int64), [-int(mentees.free.sum())]]
            ).astype(np.int64)
        )
        self._graph.set_edge_capacities(capacity[self._places])
        self._graph.set_edge_costs(cost[self._places])

    def flow(self) -> tuple[NDArray[np.int64], Prices]:
        """Which edges carry flow at the minimum cost, ascending, and the prices that prove it."""
        graph = self._graph
        graph.solve()
        carried = np.empty(len(self._places), np.int64)
        carried[self._places] = graph.result()
        chosen = self._order[np.flatnonzero(carried[: len(self._order)])]
        potentials = graph.potentials() - graph.potentials()[self._sink]
        return np.sort(chosen), Prices(
            mentee=potentials[: self._rows] + self._most + self._dearest,
            mentor=-potentials[self._rows : self._sink] - self._dearest,
        )
