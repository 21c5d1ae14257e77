"""Pairs that are never all in memory: scored anew whenever they are looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.matching.domain import kernels
from services.matching.domain.all_pairs import Flags, Floor, Nearest, Pricing, Told
from services.matching.domain.features import Lists, features
from services.matching.domain.instance import Instance
from services.matching.domain.market import Edges, Prices, Whole
from services.matching.domain.people import Person
from services.matching.domain.rules import RULES

_CANDIDATES = 24
"""So many of the best of each person are looked at first: more make each assignment slower, fewer
make it take more of them."""
_GAINING = 16
"""So many that gain are added for each mentee."""
_ROWS_AT_ONCE = 256
_REASONS_AT_ONCE = 32


class StreamedReasons:
    """Who is kept apart by which rule, looked at by as many threads as there are cores."""

    def __init__(self, given: Instance, told: Told) -> None:
        self._given, self._told = given, told
        self._rules = kernels.rules_of(given.programme)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        self._threads = range(cores)

    def reasons(self, mentees: Flags, mentors: Flags) -> tuple[Whole, Whole]:
        """Counted side by side: those asked for are few, and their counterparts are all others."""
        given = self._given
        return (
            self._counted(given.mentees, mentees, given.mentors, sense=1),
            self._counted(given.mentors, mentors, given.mentees, sense=-1),
        )

    def _counted(
        self, people: Sequence[Person], left: Flags, others: tuple[Person, ...], *, sense: int
    ) -> Whole:
        counts = kernels.counts(len(people))
        some = tuple(people[place] for place in np.flatnonzero(left).tolist())
        if some and others:
            self._told("reasons", 0.0)
            f = features(replace(self._given, mentors=others, mentees=some), scored=False)
            own_rule, department = kernels.own_rules(f), f.places[f.place_of_column, 0]
            counted = kernels.counts(len(some))

            def look(_: int, start: int, stop: int) -> None:
                kernels.count_reasons(
                    f, self._rules, sense, own_rule, department, counted, start, stop
                )

            self._over_rows(len(some), _REASONS_AT_ONCE, "reasons", look)
            counts[left] = counted
        return counts[:, : len(RULES) + 1]

    def _over_rows(
        self, rows: int, at_once: int, doing: str, look: Callable[[int, int, int], None]
    ) -> None:
        """Have each thread take some rows after the other until none is left."""
        starts = iter(range(0, rows, at_once))

        def work(thread: int) -> Iterator[int]:
            # The interpreter's lock makes `next` safe.
            for start in starts:
                stop = min(start + at_once, rows)
                look(thread, start, stop)
                yield stop

        def run(thread: int) -> None:
            for stop in work(thread):
                self._told(doing, stop / rows)

        with ThreadPoolExecutor(len(self._threads)) as threads:
            list(threads.map(run, self._threads))


class StreamedPairs(StreamedReasons):
    """Pairs that are scored whenever they are looked at."""

    def __init__(self, given: Instance, kept: Edges, floor: Floor, told: Told) -> None:
        super().__init__(given, told)
        self._features = features(given)
        self._rows, self._columns = len(given.mentees), len(given.mentors)
        self._case = kernels.Case(
            self._features,
            self._rules,
            kernels.tables(self._features, self._rules),
            kernels.Favour(self._by_row(kept), floor.units, floor.bonus),
        )
        self._scratch = [kernels.scratch(self._features, self._case.tables) for _ in self._threads]

    def candidates(self) -> Edges:
        """The best of each mentee and the best of each mentor."""
        of_rows = kernels.best(self._rows, _CANDIDATES)
        of_columns = [kernels.best(self._columns, _CANDIDATES) for _ in self._threads]

        def look(thread: int, start: int, stop: int) -> None:
            kernels.find_candidates(
                self._case, start, stop, self._scratch[thread], of_rows, of_columns[thread]
            )

        self._over_all_rows("candidates", look)
        by_row = self._edges(of_rows)
        by_column = self._edges(_merged(of_columns), turned=True)
        both = by_row.and_more(by_column)
        _, places = np.unique(both.mentee * self._columns + both.mentor, return_index=True)
        return both.at(places)

    def price(self, prices: Prices, chosen: Edges) -> Pricing:
        """Look at all of them."""
        column_price = prices.mentor[self._features.column_of]
        gains, of_rows = kernels.best(self._rows, _GAINING), kernels.best(self._rows, 1)
        of_columns = [kernels.best(self._columns, 1) for _ in self._threads]
        chosen_columns = self._by_row(chosen)

        def look(thread: int, start: int, stop: int) -> None:
            kernels.price_rows(
                self._case,
                start,
                stop,
                self._scratch[thread],
                prices.mentee,
                column_price,
                chosen_columns,
                gains,
                of_rows,
                of_columns[thread],
            )

        self._over_all_rows("proof", look)
        gaining = self._edges(gains)
        price = prices.mentee[gaining.mentee] + prices.mentor[gaining.mentor]
        column_of = self._features.column_of
        by_column = _nearest(_merged(of_columns), np.arange(self._rows))
        of_mentors = Nearest(np.empty_like(by_column.gain), np.empty_like(by_column.other))
        of_mentors.gain[column_of], of_mentors.other[column_of] = by_column.gain, by_column.other
        return Pricing(
            Edges(gaining.mentee, gaining.mentor, gaining.units + price),
            _nearest(of_rows, column_of),
            of_mentors,
        )

    def _over_all_rows(self, doing: str, look: Callable[[int, int, int], None]) -> None:
        self._told(doing, 0.0)
        self._over_rows(self._rows, _ROWS_AT_ONCE, doing, look)

    def _edges(self, found: kernels.Best, *, turned: bool = False) -> Edges:
        place, slot = np.nonzero(np.arange(found.value.shape[1]) < found.held[:, None])
        other = found.other[place, slot].astype(np.int64)
        row, column = (other, place) if turned else (place, other)
        return Edges(row, self._features.column_of[column], found.value[place, slot])

    def _by_row(self, chosen: Edges) -> Lists:
        column_at = np.argsort(self._features.column_of)
        order = np.argsort(chosen.mentee, kind="stable")
        start = np.searchsorted(chosen.mentee[order], np.arange(self._rows + 1))
        columns = column_at[chosen.mentor[order]].astype(np.int32)
        return Lists(start, columns, chosen.units[order].astype(np.int32))


def _merged(some: Sequence[kernels.Best]) -> kernels.Best:
    for more in some[1:]:
        kernels.merge_best(some[0], more)
    return some[0]


def _nearest(found: kernels.Best, names: NDArray[np.int64]) -> Nearest:
    some = found.held > 0
    gain, other = np.zeros(len(some), np.int64), np.full(len(some), -1, np.int64)
    gain[some] = found.value[some, 0]
    other[some] = names[found.other[some, 0]]
    return Nearest(gain, other)
