"""A matching run from input to result: the best pairs, the proof, and what to say about them.

Candidates → assignment → a look at all pairs by the assignment's prices → those that would gain
are candidates too, and again, until none would gain or the gap that is left is small enough.
Needs numpy, the flow solver and, for many people, compiled kernels, so only workers import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np

from services.matching.domain.all_pairs import (
    AllPairs,
    Flags,
    Floor,
    Nearest,
    Pricing,
    TabledPairs,
    Told,
)
from services.matching.domain.assignment import assign
from services.matching.domain.explanation import Unmatched, reasons_by_number
from services.matching.domain.instance import Instance
from services.matching.domain.market import Edges, Market, Prices, Proof, Seats, proof, seats
from services.matching.domain.matrix import matrix
from services.matching.domain.people import Person
from services.matching.domain.result import (
    Alternative,
    Certificate,
    Match,
    RefusedLock,
    Result,
    Stopped,
)
from services.matching.domain.result import Prices as StatedPrices
from services.matching.domain.rules import broken_rule
from services.matching.domain.scoring import UNITS_PER_POINT, fit

MOST_IN_A_TABLE = 250_000
"""Pairs; more than these are never all in memory."""
_MANY_PEOPLE = 20_000
_GAP_OF_MANY = 0.0005
_FLOOR_BONUS = 100 * UNITS_PER_POINT
"""As much as the best pair scores: one pair above the floor outweighs any other pair's score."""


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
    asked = usual_gap(given) if gap is None else gap
    rest, refused = _with_locks(given)
    market = market_of(rest)
    pairs = all_pairs(rest, told)
    found = _search(pairs, market, asked, enough, told)
    locked = set(given.locked) - {(lock.mentor_id, lock.mentee_id) for lock in refused}
    matches = [*_locked_matches(given, locked), *_matches(rest, market, found)]
    matches.sort(key=lambda match: (-match.fit.score, match.mentor_id, match.mentee_id))
    return Result(
        matches=tuple(matches),
        unmatched=_unmatched(rest, pairs, found.chosen),
        certificate=_certificate(given, matches, locked, found, asked),
        prices=_stated(rest, found.prices),
        refused_locks=tuple(refused),
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
    passes = 1
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
        edges = edges.and_more(pricing.gaining)


def market_of(given: Instance) -> Market:
    """The seats of an instance's people, and the most that a pair of theirs can be worth."""
    programme = given.programme
    kept = round(programme.stickiness * UNITS_PER_POINT)
    return Market(
        _seats(given.mentees),
        _seats(given.mentors),
        100 * UNITS_PER_POINT + _floor(given).bonus + kept,
    )


def all_pairs(given: Instance, told: Told = lambda _, __: None) -> AllPairs:
    """The admissible pairs of an instance with what they are worth."""
    kept, floor = _kept(given), _floor(given)
    if len(given.mentors) * len(given.mentees) > MOST_IN_A_TABLE:
        # Takes half a second to import, and minutes to compile where it never ran.
        from services.matching.domain.streamed_pairs import StreamedPairs

        return StreamedPairs(given, kept, floor, told)
    judged = matrix(given)
    worth = judged.units.astype(np.int64)
    worth += np.where(worth >= floor.units, floor.bonus, 0)
    worth[kept.mentee, kept.mentor] += kept.units
    return TabledPairs(judged, worth)


def _floor(given: Instance) -> Floor:
    units = round(given.programme.score_floor * UNITS_PER_POINT)
    return Floor(units, _FLOOR_BONUS if units else 0)


def _kept(given: Instance) -> Edges:
    """The earlier pairs with what it is worth to keep to them."""
    units = round(given.programme.stickiness * UNITS_PER_POINT)
    rows, columns = _places(given.mentees), _places(given.mentors)
    places = [
        (rows[mentee_id], columns[mentor_id])
        for mentor_id, mentee_id in given.previous
        if units and mentee_id in rows and mentor_id in columns
    ]
    ends = np.array(places, np.int64).reshape(-1, 2)
    return Edges(ends[:, 0], ends[:, 1], np.full(len(ends), units, np.int64))


def _places(people: Sequence[Person]) -> dict[UUID, int]:
    return {person.participant_id: place for place, person in enumerate(people)}


def _seats(people: Sequence[Person]) -> Seats:
    return seats(
        [person.free_seats for person in people],
        [person.taken > 0 for person in people],
        [person.orphaned for person in people],
    )


def _with_locks(given: Instance) -> tuple[Instance, list[RefusedLock]]:
    """What is left to decide once the locked pairs have their seats; locks that break a rule."""
    if not given.locked:
        return given, []
    people = {person.participant_id: person for person in (*given.mentors, *given.mentees)}
    refused = []
    for mentor_id, mentee_id in given.locked:
        mentor, mentee = people.get(mentor_id), people.get(mentee_id)
        rule: str | None = "not_ready"
        if mentor is not None and mentee is not None:
            rule = broken_rule(mentor, mentee, given.programme)
        if mentor is None or mentee is None or rule is not None:
            refused.append(RefusedLock(mentor_id, mentee_id, str(rule)))
            continue
        for one, other in ((mentor, mentee), (mentee, mentor)):
            people[one.participant_id] = replace(
                one, taken=one.taken + 1, met=one.met | {other.employee_id}
            )
    return replace(
        given,
        mentors=tuple(people[person.participant_id] for person in given.mentors),
        mentees=tuple(people[person.participant_id] for person in given.mentees),
    ), refused


def _locked_matches(given: Instance, locked: Iterable[tuple[UUID, UUID]]) -> list[Match]:
    people = {person.participant_id: person for person in (*given.mentors, *given.mentees)}
    return [
        Match(
            mentor_id,
            mentee_id,
            fit(people[mentor_id], people[mentee_id], given.programme, given.now),
        )
        for mentor_id, mentee_id in sorted(locked)
    ]


def _matches(given: Instance, market: Market, found: _Found) -> list[Match]:
    chosen, pricing, prices = found.chosen, found.pricing, found.prices
    floor = _floor(given)

    def alternative(
        place: int, nearest: Nearest, people: Sequence[Person], price: int, others: Sequence[int]
    ) -> Alternative | None:
        other = int(nearest.other[place])
        if other < 0:
            return None
        gain = int(nearest.gain[place])
        worth = gain + price + int(others[other])
        cost = max(0, -gain)
        return Alternative(
            people[other].participant_id,
            (worth - floor.bonus if worth >= floor.units + floor.bonus else worth)
            / UNITS_PER_POINT,
            cost / UNITS_PER_POINT if cost < market.alone else None,
        )

    matches = []
    for row, column in zip(chosen.mentee.tolist(), chosen.mentor.tolist(), strict=True):
        mentor, mentee = given.mentors[column], given.mentees[row]
        matches.append(
            Match(
                mentor.participant_id,
                mentee.participant_id,
                fit(mentor, mentee, given.programme, given.now),
                alternative(
                    row,
                    pricing.of_mentees,
                    given.mentors,
                    int(prices.mentee[row]),
                    prices.mentor,  # type: ignore[arg-type]
                ),
                alternative(
                    column,
                    pricing.of_mentors,
                    given.mentees,
                    int(prices.mentor[column]),
                    prices.mentee,  # type: ignore[arg-type]
                ),
            )
        )
    return matches


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


def _left(people: Sequence[Person], served: Iterable[int], given: Instance) -> Flags:
    left = np.array([person.waits(given.programme) for person in people], np.bool_)
    left[list(served)] = False
    return left


def _certificate(
    given: Instance,
    matches: Sequence[Match],
    locked: Iterable[tuple[UUID, UUID]],
    found: _Found,
    asked: float,
) -> Certificate:
    scores = [match.fit.score for match in matches]
    proven = found.proof
    firm = sum(
        round(match.fit.score * UNITS_PER_POINT)
        for match in matches
        if (match.mentor_id, match.mentee_id) in set(locked)
    )
    covered = _newly(given.mentees, [match.mentee_id for match in matches])
    covered_mentors = _newly(given.mentors, [match.mentor_id for match in matches])
    return Certificate(
        objective=(proven.objective + firm) / UNITS_PER_POINT,
        bound=(proven.bound + firm) / UNITS_PER_POINT,
        gap=proven.gap,
        covered=covered,
        coverable=min(len(given.mentees), covered + proven.unproven),
        covered_mentors=covered_mentors,
        coverable_mentors=min(len(given.mentors), covered_mentors + proven.unproven),
        pairs=len(matches),
        total_score=sum(round(score * UNITS_PER_POINT) for score in scores) / UNITS_PER_POINT,
        worst_score=min(scores, default=None),
        rules_version=given.programme.version,
        input_hash=given.input_hash,
        asked_gap=asked,
        stopped=found.stopped,
        passes=found.passes,
    )


def _newly(people: Sequence[Person], matched: Iterable[UUID]) -> int:
    served = set(matched)
    return sum(person.taken == 0 and person.participant_id in served for person in people)


def _stated(given: Instance, prices: Prices) -> StatedPrices:
    return StatedPrices(
        {p.participant_id: int(c) for p, c in zip(given.mentees, prices.mentee, strict=True)},
        {p.participant_id: int(c) for p, c in zip(given.mentors, prices.mentor, strict=True)},
    )
