"""The pairs of who has a free seat, where most have none: a search among some, not among all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from services.matching.domain.all_pairs import AllPairs, Flags, Nearest, Pricing
from services.matching.domain.instance import Instance
from services.matching.domain.market import Edges, Prices, Whole


class FreePairs:
    """All pairs that can be formed, by the places that people have in the whole instance."""

    def __init__(
        self,
        given: Instance,
        rows: Whole,
        columns: Whole,
        pairs_of: Callable[[Instance], AllPairs],
        reasons: Callable[[Flags, Flags], tuple[Whole, Whole]],
    ) -> None:
        """`rows` and `columns`: places of the mentees and mentors with a free seat, ascending.

        `reasons`: those of the whole instance.
        """
        self._given, self._reasons = given, reasons
        self._rows, self._columns = rows, columns
        self._free = pairs_of(
            replace(
                given,
                mentees=tuple(given.mentees[place] for place in rows.tolist()),
                mentors=tuple(given.mentors[place] for place in columns.tolist()),
            )
        )

    def candidates(self) -> Edges:
        """Good ones for everybody who is free."""
        return self._outside(self._free.candidates())

    def price(self, prices: Prices, chosen: Edges) -> Pricing:
        """Look at all of them."""
        found = self._free.price(
            Prices(prices.mentee[self._rows], prices.mentor[self._columns]),
            Edges(
                np.searchsorted(self._rows, chosen.mentee),
                np.searchsorted(self._columns, chosen.mentor),
                chosen.units,
            ),
        )
        mentees, mentors = len(self._given.mentees), len(self._given.mentors)
        return Pricing(
            self._outside(found.gaining),
            _spread(found.of_mentees, mentees, self._rows, self._columns),
            _spread(found.of_mentors, mentors, self._columns, self._rows),
        )

    def reasons(self, mentees: Flags, mentors: Flags) -> tuple[Whole, Whole]:
        """Counted over everybody, free or not: other rules are looked at before seats."""
        return self._reasons(mentees, mentors)

    def _outside(self, edges: Edges) -> Edges:
        return Edges(self._rows[edges.mentee], self._columns[edges.mentor], edges.units)


def _spread(found: Nearest, count: int, places: Whole, others: Whole) -> Nearest:
    spread = Nearest(np.zeros(count, np.int64), np.full(count, -1, np.int64))
    some = found.other >= 0
    spread.gain[places[some]] = found.gain[some]
    spread.other[places[some]] = others[found.other[some]]
    return spread
