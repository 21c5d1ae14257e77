"""An instance as the market that the engine clears: seats, worth of pairs, and what is locked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

import numpy as np

from services.matching.domain.all_pairs import AllPairs, Flags, Floor, TabledPairs, Told
from services.matching.domain.features import free_seats
from services.matching.domain.free_pairs import FreePairs
from services.matching.domain.instance import Instance
from services.matching.domain.market import Edges, Market, Seats, Whole, seats
from services.matching.domain.matrix import matrix
from services.matching.domain.people import Person
from services.matching.domain.result import RefusedLock
from services.matching.domain.rules import broken_rule
from services.matching.domain.scoring import UNITS_PER_POINT

MOST_IN_A_TABLE = 250_000
"""Pairs; more than these are never all in memory."""
_FLOOR_BONUS = 100 * UNITS_PER_POINT
"""As much as the best pair scores: one pair above the floor outweighs any other pair's score."""


def market_of(given: Instance) -> Market:
    """The seats of an instance's people, and the most that a pair of theirs can be worth."""
    programme = given.programme
    kept = round(programme.stickiness * UNITS_PER_POINT)
    return Market(
        _seats(given.mentees),
        _seats(given.mentors),
        100 * UNITS_PER_POINT + floor_of(given).bonus + kept,
    )


def all_pairs(given: Instance, told: Told = lambda _, __: None) -> AllPairs:
    """The admissible pairs of an instance with what they are worth."""
    rows, columns = _free(given.mentees), _free(given.mentors)
    if 2 * len(rows) * len(columns) < len(given.mentees) * len(given.mentors):
        return FreePairs(
            given, rows, columns, partial(_all_pairs, told=told), partial(_reasons, given, told)
        )
    return _all_pairs(given, told)


def too_many_for_a_table(given: Instance) -> bool:
    """Whether the compiled loops are worth their start: half a second, a minute the first time."""
    return len(given.mentors) * len(given.mentees) > MOST_IN_A_TABLE


def _free(people: Sequence[Person]) -> Whole:
    return np.flatnonzero(free_seats(people))


def _reasons(given: Instance, told: Told, mentees: Flags, mentors: Flags) -> tuple[Whole, Whole]:
    if too_many_for_a_table(given):
        from services.matching.domain.streamed_pairs import StreamedReasons

        return StreamedReasons(given, told).reasons(mentees, mentors)
    return _all_pairs(given, told).reasons(mentees, mentors)


def _all_pairs(given: Instance, told: Told) -> AllPairs:
    kept, floor = kept_of(given), floor_of(given)
    if too_many_for_a_table(given):
        from services.matching.domain.streamed_pairs import StreamedPairs

        return StreamedPairs(given, kept, floor, told)
    judged = matrix(given)
    worth = judged.units.astype(np.int64)
    worth += np.where(worth >= floor.units, floor.bonus, 0)
    worth[kept.mentee, kept.mentor] += kept.units
    return TabledPairs(judged, worth)


def floor_of(given: Instance) -> Floor:
    """What it is worth that a pair reaches the programme's floor."""
    units = round(given.programme.score_floor * UNITS_PER_POINT)
    return Floor(units, _FLOOR_BONUS if units else 0)


def kept_of(given: Instance) -> Edges:
    """The earlier pairs with what it is worth to keep to them."""
    units = round(given.programme.stickiness * UNITS_PER_POINT)
    previous = given.previous if units else ()
    if not previous:
        nothing = np.zeros(0, np.int64)
        return Edges(nothing, nothing, nothing)
    rows, columns = places_of(given.mentees), places_of(given.mentors)
    places = [
        (rows[mentee_id], columns[mentor_id])
        for mentor_id, mentee_id in previous
        if mentee_id in rows and mentor_id in columns
    ]
    ends = np.array(places, np.int64).reshape(-1, 2)
    return Edges(ends[:, 0], ends[:, 1], np.full(len(ends), units, np.int64))


def places_of(people: Sequence[Person]) -> dict[UUID, int]:
    """Place of each person by id."""
    return {person.participant_id: place for place, person in enumerate(people)}


def _seats(people: Sequence[Person]) -> Seats:
    return seats(
        free_seats(people),
        [person.taken > 0 for person in people],
        [person.orphaned for person in people],
    )


@dataclass(frozen=True, slots=True)
class Locks:
    """What locked pairs come to."""

    rest: Instance
    """What is left to decide once they have their seats."""
    formed: frozenset[tuple[UUID, UUID]]
    refused: tuple[RefusedLock, ...]
    """Those that break a rule."""


def with_locks(given: Instance) -> Locks:
    """Form the locked pairs, one after the other."""
    if not given.locked:
        return Locks(given, frozenset(), ())
    people = {person.participant_id: person for person in (*given.mentors, *given.mentees)}
    formed, refused = set(), []
    for mentor_id, mentee_id in given.locked:
        mentor, mentee = people.get(mentor_id), people.get(mentee_id)
        rule: str | None = "not_ready"
        if mentor is not None and mentee is not None:
            rule = broken_rule(mentor, mentee, given.programme)
        if mentor is None or mentee is None or rule is not None:
            refused.append(RefusedLock(mentor_id, mentee_id, str(rule)))
            continue
        formed.add((mentor_id, mentee_id))
        for one, other in ((mentor, mentee), (mentee, mentor)):
            people[one.participant_id] = replace(
                one, taken=one.taken + 1, met=one.met | {other.employee_id}
            )
    rest = replace(
        given,
        mentors=tuple(people[person.participant_id] for person in given.mentors),
        mentees=tuple(people[person.participant_id] for person in given.mentees),
    )
    return Locks(rest if formed else given, frozenset(formed), tuple(refused))
