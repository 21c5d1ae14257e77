"""A matching run from input to result: the best pairs, the proof, and what to say about them.

Candidates → assignment → a look at all pairs by the assignment's prices → those that would gain
are candidates too, and again, until none would gain or the gap that is left is small enough.
Needs numpy, the flow solver and, for many people, compiled kernels, so only workers import it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import get_args
from uuid import UUID

import numpy as np

from services.matching.domain.all_pairs import (
    AllPairs,
    Flags,
    Pricing,
    Told,
)
from services.matching.domain.assignment import assign
from services.matching.domain.bottlenecks import bottlenecks
from services.matching.domain.certificate import certificate
from services.matching.domain.changes import Change, Kind, Remedy, changed
from services.matching.domain.explanation import Unmatched, reasons_by_number
from services.matching.domain.instance import Instance
from services.matching.domain.market import Edges, Market, Prices, Proof, proof
from services.matching.domain.people import Person
from services.matching.domain.problem import (
    Locks,
    all_pairs,
    floor_of,
    kept_of,
    market_of,
    too_many_for_a_table,
    with_locks,
)
from services.matching.domain.remedies import (
    further_seats,
    remedies,
    seats_of_the_full,
    without_changes,
)
from services.matching.domain.result import Alternative, Match, Result, Stopped
from services.matching.domain.result import Prices as StatedPrices
from services.matching.domain.scoring import UNITS_PER_POINT, fit

_WORTH_A_LOOK = 5 * UNITS_PER_POINT
"""Candidates that lose more than this at the prices are let go: the search is twice as quick with
the rest, and whoever is let go in error gains at later prices, and is seen."""
_MANY_PEOPLE = 20_000
_GAP_OF_MANY = 0.0005


def usual_gap(given: Instance) -> float:
    """The gap that is good enough if nobody says otherwise."""
    return 0.0 if len(given.mentors) + len(given.mentees) <= _MANY_PEOPLE else _GAP_OF_MANY


def solve(
    given: Instance,
    *,
    gap: float | None = None,
    enough: Callable[[], bool] = lambda: False,
    told: Told = lambda _, __: None,
) -> Result:
    """The best pairs of an instance, best score first, and why the others were left out.

    Stops once the result is proven to be within `gap` of the best, or `enough` says so after a
    proof of some gap. `told` hears what is done and which share of it is over.
    """
    with _no_garbage_collection():
        return _solve(given, usual_gap(given) if gap is None else gap, enough, told)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Nothing here refers to itself, and going through 100,000 people again and again takes half
    of the time of laying them out."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _solve(given: Instance, asked: float, enough: Callable[[], bool], told: Told) -> Result:
    locks = with_locks(given)
    rest = locks.rest
    market = market_of(rest)
    pairs = all_pairs(rest, told)
    found = _search(pairs, market, asked, enough, told)
    matches = [*_locked_matches(given, locks.formed), *_matches(rest, found)]
    matches.sort(key=lambda match: (-match.fit.score, match.mentor_id, match.mentee_id))
    unmatched = _unmatched(rest, pairs, found.chosen)
    told("changes", 0.0)
    outlook = _outlook(given, locks, market, pairs, found, asked, unmatched)
    return Result(
        matches=tuple(matches),
        unmatched=unmatched,
        certificate=replace(
            certificate(
                given,
                [(match.mentor_id, match.mentee_id, match.fit.score) for match in matches],
                locks.formed,
                found.proof,
            ),
            asked_gap=asked,
            stopped=found.stopped,
            passes=found.passes,
        ),
        prices=_stated(rest, found.prices),
        refused_locks=locks.refused,
        remedies=outlook.remedies,
        not_examined=outlook.not_examined,
        bottlenecks=bottlenecks(rest, {each.participant_id for each in unmatched}),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """The best found and what is known of it."""

    chosen: Edges
    prices: Prices
    pricing: Pricing
    proof: Proof
    stopped: Stopped
    passes: int


def _search(
    pairs: AllPairs, market: Market, gap: float, enough: Callable[[], bool], told: Told
) -> _Found:
    edges = pairs.candidates()
    passes, worth = 1, -1
    while True:
        told("assignment", 0.0)
        chosen, prices = assign(edges, market)
        pricing = pairs.price(prices, chosen)
        passes += 1
        proven = proof(market, chosen, market.bound(prices, chosen, pricing.excess))
        stopped: Stopped | None = (
            "proven"
            if proven.gap == 0
            else "gap"
            if proven.gap <= gap
            else "time"
            if enough()
            else None
        )
        if stopped is not None:
            return _Found(chosen, prices, pricing, proven, stopped, passes)
        before, worth = worth, market.worth(chosen)
        if worth > before:  # else what is let go could come back for ever
            lost = prices.mentee[edges.mentee] + prices.mentor[edges.mentor] - edges.units
            edges = edges.at(lost <= _WORTH_A_LOOK)
        edges = edges.and_more(pricing.gaining)


def _locked_matches(given: Instance, locked: Collection[tuple[UUID, UUID]]) -> list[Match]:
    if not locked:
        return []
    people = {person.participant_id: person for person in (*given.mentors, *given.mentees)}
    return [
        Match(
            mentor_id,
            mentee_id,
            fit(people[mentor_id], people[mentee_id], given.programme, given.now),
        )
        for mentor_id, mentee_id in sorted(locked)
    ]


def _matches(given: Instance, found: _Found) -> list[Match]:
    chosen, pricing, prices = found.chosen, found.pricing, found.prices
    floor, kept = floor_of(given), kept_of(given)
    excess, unproven = pricing.excess, found.proof.bound - found.proof.objective
    bonus = {
        (row, column): units
        for row, column, units in zip(
            kept.mentee.tolist(), kept.mentor.tolist(), kept.units.tolist(), strict=True
        )
    }

    def instead(person: Person, row: int, column: int, gain: int) -> Alternative:
        worth = gain + int(prices.mentee[row]) + int(prices.mentor[column])
        worth -= bonus.get((row, column), 0)
        units = worth - floor.bonus if worth >= floor.units + floor.bonus else worth
        # No pairs with this one are worth more than the bound less what it loses at the prices.
        cost = max(0, int(excess[row]) - gain - unproven)
        return Alternative(
            person.participant_id,
            units / UNITS_PER_POINT,
            # Whoever loses more than all pairs are worth loses somebody's partner.
            cost / UNITS_PER_POINT if cost <= found.proof.objective else None,
        )

    def for_mentee(row: int) -> Alternative | None:
        column = int(pricing.of_mentees.other[row])
        gain = int(pricing.of_mentees.gain[row])
        return instead(given.mentors[column], row, column, gain) if column >= 0 else None

    def for_mentor(column: int) -> Alternative | None:
        row = int(pricing.of_mentors.other[column])
        gain = int(pricing.of_mentors.gain[column])
        return instead(given.mentees[row], row, column, gain) if row >= 0 else None

    return [
        Match(
            given.mentors[column].participant_id,
            given.mentees[row].participant_id,
            fit(given.mentors[column], given.mentees[row], given.programme, given.now),
            for_mentee(row),
            for_mentor(column),
        )
        for row, column in zip(chosen.mentee.tolist(), chosen.mentor.tolist(), strict=True)
    ]


def _unmatched(given: Instance, pairs: AllPairs, chosen: Edges) -> tuple[Unmatched, ...]:
    mentees = _left(given.mentees, chosen.mentee.tolist(), given)
    mentors = _left(given.mentors, chosen.mentor.tolist(), given)
    of_mentees, of_mentors = pairs.reasons(mentees, mentors)
    return tuple(
        Unmatched(
            people[place].participant_id,
            people[place].role,
            reasons_by_number(counts[place].tolist()),
        )
        for people, left, counts in (
            (given.mentees, mentees, of_mentees),
            (given.mentors, mentors, of_mentors),
        )
        for place in np.flatnonzero(left).tolist()
    )


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What would serve those left out, as far as it was looked for."""

    remedies: tuple[Remedy, ...]
    not_examined: tuple[Kind, ...]


def _outlook(
    given: Instance,
    locks: Locks,
    market: Market,
    pairs: AllPairs,
    found: _Found,
    asked: float,
    unmatched: tuple[Unmatched, ...],
) -> _Outlook:
    if found.proof.unproven or asked >= 1:
        return _Outlook(without_changes(unmatched), get_args(Kind))

    def served_under(change: Change) -> frozenset[UUID]:
        return _served(changed(given, change), asked)

    many = too_many_for_a_table(given)
    not_examined: tuple[Kind, ...] = ("department", "level") if many else ()
    seats: dict[UUID, Change] = {}
    # Who gets a seat is a question of scores: only a new run that is the best gives it surely.
    if asked == 0 and not found.pricing.excess.any():
        seats = further_seats(
            locks.rest, pairs, market, found.chosen, found.prices, found.pricing, unmatched
        )
        if not many:
            seats |= seats_of_the_full(locks.rest, unmatched, seats, served_under)
    else:
        not_examined = ("seat", *not_examined)
    return _Outlook(
        remedies(
            locks.rest, unmatched, found.chosen, seats, None if many else served_under, many=many
        ),
        not_examined,
    )


def _served(given: Instance, gap: float) -> frozenset[UUID]:
    """Everybody to whom a run gives somebody."""
    locks = with_locks(given)
    rest, pairs = locks.rest, all_pairs(locks.rest)
    chosen = _search(pairs, market_of(rest), gap, lambda: False, lambda _, __: None).chosen
    ids = {each for pair in locks.formed for each in pair}
    ids.update(rest.mentees[row].participant_id for row in chosen.mentee.tolist())
    ids.update(rest.mentors[column].participant_id for column in chosen.mentor.tolist())
    return frozenset(ids)


def _left(people: Sequence[Person], served: Iterable[int], given: Instance) -> Flags:
    left = np.array([person.waits(given.programme) for person in people], np.bool_)
    left[list(served)] = False
    return left


def _stated(given: Instance, prices: Prices) -> StatedPrices:
    return StatedPrices(
        {p.participant_id: int(c) for p, c in zip(given.mentees, prices.mentee, strict=True)},
        {p.participant_id: int(c) for p, c in zip(given.mentors, prices.mentor, strict=True)},
    )
