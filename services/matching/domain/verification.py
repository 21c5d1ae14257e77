"""A stored result, checked anew from its input: every rule, every score, and the bound.

The bound needs no search: prices prove it (see `market.Market.bound`), whoever found them and
however. One look at all pairs is enough, and no claim of the certificate is taken on trust.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np

from services.matching.domain.all_pairs import Told
from services.matching.domain.certificate import certificate
from services.matching.domain.instance import Instance
from services.matching.domain.market import Edges, Prices, proof
from services.matching.domain.people import Person
from services.matching.domain.problem import (
    all_pairs,
    floor_of,
    market_of,
    places_of,
    with_locks,
)
from services.matching.domain.result import Certificate
from services.matching.domain.result import Prices as StatedPrices
from services.matching.domain.rules import broken_rule
from services.matching.domain.scoring import UNITS_PER_POINT, fit
from services.matching.domain.words import counted

_MOST_IN_SUM = 2**62
"""Half of what 64 bits hold."""


@dataclass(frozen=True, slots=True)
class StatedPair:
    """A pair as a result states it."""

    mentor_id: UUID
    mentee_id: UUID
    score: float


def verify(
    given: Instance,
    pairs: Sequence[StatedPair],
    stated: Certificate,
    prices: StatedPrices,
    told: Told = lambda _, __: None,
) -> list[str]:
    """What is not as the result says, in plain words; empty if all of it holds."""
    found = [
        *_other_input(given, stated),
        *_wrong_pairs(given, pairs),
        *_gaps_in(prices, given),
        *_beyond_sums(prices, given),
    ]
    if found:
        # What follows would only repeat that the pairs or the prices are others.
        return found
    return list(_wrong_claims(stated, _recomputed(given, pairs, stated, prices, told)))


def _other_input(given: Instance, stated: Certificate) -> Iterator[str]:
    if given.input_hash != stated.input_hash:
        yield (
            f"input: its hash is {given.input_hash}, the result was made from {stated.input_hash}"
        )


def _wrong_pairs(given: Instance, pairs: Sequence[StatedPair]) -> Iterator[str]:
    people = {person.participant_id: person for person in (*given.mentors, *given.mentees)}
    seen: set[tuple[UUID, UUID]] = set()
    taken: Counter[UUID] = Counter()
    for pair in pairs:
        name = f"pair {pair.mentor_id} – {pair.mentee_id}"
        mentor, mentee = people.get(pair.mentor_id), people.get(pair.mentee_id)
        if mentor is None or mentee is None or (mentor.role, mentee.role) != ("mentor", "mentee"):
            yield f"{name}: is not a mentor and a mentee of the input"
            continue
        if (pair.mentor_id, pair.mentee_id) in seen:
            yield f"{name}: is there twice"
        seen.add((pair.mentor_id, pair.mentee_id))
        rule = broken_rule(mentor, mentee, given.programme)
        if rule is not None:
            yield f"{name}: breaks the rule {rule}"
        score = fit(mentor, mentee, given.programme, given.now).score
        if pair.score != score:
            yield f"{name}: scores {score}, not {pair.score}"
        taken.update((pair.mentor_id, pair.mentee_id))
    for participant_id, count in taken.items():
        seats = people[participant_id].free_seats
        if count > seats:
            yield (
                f"participant {participant_id}: is in {counted(count, 'pair')} and has "
                f"{counted(seats, 'free seat')}"
            )
    for mentor_id, mentee_id in with_locks(given).formed:
        if (mentor_id, mentee_id) not in seen:
            yield f"pair {mentor_id} – {mentee_id}: is locked and was not formed"


def _gaps_in(prices: StatedPrices, given: Instance) -> Iterator[str]:
    for side, people in (("mentees", given.mentees), ("mentors", given.mentors)):
        stated: Mapping[UUID, int] = getattr(prices, side)
        if stated.keys() != {person.participant_id for person in people}:
            yield f"prices of {side}: are not those of the {side} of the input"


def _beyond_sums(prices: StatedPrices, given: Instance) -> Iterator[str]:
    """Prices so high that a sum of them could run over, and so prove what is not so."""
    market = market_of(given)
    sides = ((given.mentees, prices.mentees), (given.mentors, prices.mentors))
    highest = [max(map(abs, stated.values()), default=0) for _, stated in sides]
    # A bound adds up what each seat earns, and the most by which a pair of each mentee gains.
    earned = sum(
        (2 * market.alone + abs(stated.get(person.participant_id, 0))) * max(1, person.free_seats)
        for people, stated in sides
        for person in people
    )
    gained = (sum(highest) + market.most) * max(1, len(given.mentees))
    if earned + gained >= _MOST_IN_SUM:
        yield (
            f"prices: are larger than any that prove something, up to {max(highest)}; "
            "hand over those that the run found"
        )


def _recomputed(
    given: Instance,
    pairs: Sequence[StatedPair],
    stated: Certificate,
    prices: StatedPrices,
    told: Told,
) -> Certificate:
    locks = with_locks(given)
    rest = locks.rest
    market = market_of(rest)
    chosen = _edges(rest, [p for p in pairs if (p.mentor_id, p.mentee_id) not in locks.formed])
    of_rows = Prices(_array(prices.mentees, rest.mentees), _array(prices.mentors, rest.mentors))
    excess = all_pairs(rest, told).price(of_rows, chosen).excess
    proven = proof(market, chosen, market.bound(of_rows, chosen, excess))
    ends = [(pair.mentor_id, pair.mentee_id, pair.score) for pair in pairs]
    found = certificate(given, ends, locks.formed, proven)
    # How the search went cannot be seen from its result.
    return replace(found, asked_gap=stated.asked_gap, stopped=stated.stopped, passes=stated.passes)


def _edges(given: Instance, pairs: Sequence[StatedPair]) -> Edges:
    floor = floor_of(given)
    kept = round(given.programme.stickiness * UNITS_PER_POINT)
    previous = set(given.previous)
    rows, columns = places_of(given.mentees), places_of(given.mentors)
    units = []
    for pair in pairs:
        worth = round(pair.score * UNITS_PER_POINT)
        worth += floor.bonus if worth >= floor.units else 0
        units.append(worth + (kept if (pair.mentor_id, pair.mentee_id) in previous else 0))
    return Edges(
        np.array([rows[pair.mentee_id] for pair in pairs], np.int64),
        np.array([columns[pair.mentor_id] for pair in pairs], np.int64),
        np.array(units, np.int64),
    )


def _array(prices: Mapping[UUID, int], people: Sequence[Person]) -> np.ndarray:
    return np.array([prices[person.participant_id] for person in people], np.int64)


def _wrong_claims(stated: Certificate, found: Certificate) -> Iterator[str]:
    for name in Certificate.__slots__:
        said, is_so = getattr(stated, name), getattr(found, name)
        if said != is_so:
            yield f"certificate {name}: is {is_so}, not {said}"
    if stated.stopped == "proven" and found.gap > 0:
        yield f"certificate stopped: says proven, but the gap is {found.gap}"
    if stated.stopped == "gap" and found.gap > stated.asked_gap:
        yield f"certificate stopped: the gap is {found.gap}, and {stated.asked_gap} was asked for"
