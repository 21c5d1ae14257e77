"""Which single changes would serve those who were left out, each of them proven.

The proof of a person's own change: the run has shown that no more people can be served than it
serves. Without the person the input is as it was, so nothing better is possible; with a counterpart
who becomes possible and has a seat left, one more person is served. So every best result serves the
person. A seat is as good as left if whoever holds it is served by another pair as well, or can move
on to a seat that is left.

A rule of the programme changes everybody's chances, so the changed programme is solved. A further
seat of a counterpart goes to whoever bids most for it: what it is worth to serve them, less what
the seats that they hold are worth by the prices that prove the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate, chain
from typing import TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.matching.domain.all_pairs import AllPairs, Nearest, Pricing
from services.matching.domain.changes import (
    LAST_MINUTE,
    STEP_MINUTES,
    Change,
    Kind,
    Remedy,
    Value,
    changed_person,
    smallest_first,
)
from services.matching.domain.explanation import TAKEN, Unmatched
from services.matching.domain.features import free_seats
from services.matching.domain.instance import Instance
from services.matching.domain.market import Edges, Market, Prices, Whole
from services.matching.domain.openings import Openings, Side, openings
from services.matching.domain.people import Person, Programme, Role
from services.matching.domain.rules import RULES, broken_rule
from services.matching.domain.scoring import fit

ServedUnder: TypeAlias = Callable[[Change], Collection[UUID]]
"""Whom a new run over the changed input serves."""

_LOWEST_GAP = 1
_MOST_TRIED = 12
"""Seats; each takes as long as the run itself."""
_ORDER = {name: place for place, name in enumerate(RULES)}


@dataclass(frozen=True, slots=True)
class _People:
    """One side after the run."""

    role: Role
    people: Sequence[Person]
    counterparts: Sequence[Person]
    held: Mapping[int, Sequence[int]]
    """Place of each person served → places of the counterparts."""
    seats_left: NDArray[np.int64]
    """Of each counterpart."""


def remedies(
    given: Instance,
    unmatched: Iterable[Unmatched],
    chosen: Edges,
    seats: Mapping[UUID, Change],
    served_under: ServedUnder | None,
    *,
    many: bool,
) -> tuple[Remedy, ...]:
    """What would serve each of the unmatched, and who would be served if they were ready.

    True only if it is proven that no pairs serve more people than `chosen` do. `seats`: whom a
    further seat of a counterpart would serve. `many`: use compiled loops.
    """
    left = {each.participant_id: each for each in unmatched}
    rules = _Rules(given.programme, served_under)
    mentees, mentors = _free(given.mentees, chosen.mentee), _free(given.mentors, chosen.mentor)
    sides = (
        _People("mentee", given.mentees, given.mentors, _held(chosen), mentors),
        _People("mentor", given.mentors, given.mentees, _held(_turned(chosen)), mentees),
    )
    return tuple(chain.from_iterable(_of(side, left, seats, rules, many=many) for side in sides))


def without_changes(unmatched: Iterable[Unmatched]) -> tuple[Remedy, ...]:
    """What keeps the unmatched apart from their nearest counterparts, and nothing else."""
    return tuple(
        Remedy(each.participant_id, each.role, (), *nearest(each.reasons)) for each in unmatched
    )


def nearest(reasons: Mapping[str, int]) -> tuple[str | None, int]:
    """The rule at which the counterparts fail who pass most of the rules, and their number."""
    last = max(reasons, key=_ORDER.__getitem__, default=None)
    return last, reasons[last] if last is not None else 0


def _free(people: Sequence[Person], ends: Whole) -> NDArray[np.int64]:
    left: NDArray[np.int64] = free_seats(people) - np.bincount(ends, minlength=len(people))
    return left


def _turned(chosen: Edges) -> Edges:
    return Edges(chosen.mentor, chosen.mentee, chosen.units)


def _held(chosen: Edges) -> dict[int, list[int]]:
    held: dict[int, list[int]] = {}
    for person, counterpart in zip(chosen.mentee.tolist(), chosen.mentor.tolist(), strict=True):
        held.setdefault(person, []).append(counterpart)
    return held


@dataclass(slots=True)
class _Rules:
    """Changes of the programme's rules, each solved when it is first asked for."""

    programme: Programme
    served_under: ServedUnder | None
    _served: dict[Kind, Collection[UUID]] = field(default_factory=dict)

    def changes(self, person: Person, found: Openings) -> Iterator[Change]:
        """Those that serve the person."""
        programme = self.programme
        for change in (
            Change("department", "different_department", True, False, found.department, None),
            Change(
                "level",
                "min_level_gap",
                programme.min_level_gap,
                max(_LOWEST_GAP, programme.min_level_gap - 1),
                found.level,
                None,
            ),
        ):
            if change.via and change.before != change.after and self._serves(person, change):
                yield change

    def _serves(self, person: Person, change: Change) -> bool:
        if self.served_under is None:
            return False
        if change.kind not in self._served:
            self._served[change.kind] = self.served_under(change)
        return person.participant_id in self._served[change.kind]


def _of(
    side: _People,
    left: Mapping[UUID, Unmatched],
    seats: Mapping[UUID, Change],
    rules: _Rules,
    *,
    many: bool,
) -> Iterator[Remedy]:
    """What would serve the people of one side, in their order."""
    programme = rules.programme
    lacking: dict[int, list[Change | None]] = {}
    for place, person in enumerate(side.people):
        if place not in side.held and person.taken == 0:
            lacks = _lacks(person, programme)
            if person.participant_id in left or (len(lacks) == 1 and lacks[0]):
                lacking[place] = lacks
    hopeful = [place for place, lacks in lacking.items() if len(lacks) < 2 and None not in lacks]
    mended = [_mended(side.people[place], lacking[place]) for place in hopeful]
    found = dict(zip(hopeful, _found(side, mended, programme, many=many), strict=True))
    for place, lacks in lacking.items():
        person = side.people[place]
        changes: list[Change] = []
        if place in found:
            changes += _changes(person, lacks, found[place], rules)
        if person.participant_id in seats:
            changes.append(seats[person.participant_id])
        reasons = left.get(person.participant_id)
        if reasons is not None:
            about = nearest(reasons.reasons)
        elif changes:
            rule = "not_active" if person.ready(programme) else "not_ready"
            about = (rule, len(side.counterparts))
        else:
            continue
        yield Remedy(person.participant_id, person.role, smallest_first(changes), *about)


def _lacks(person: Person, programme: Programme) -> list[Change | None]:
    """What keeps a person from everybody; None for what no change of their own mends."""

    def own(kind: Kind, name: str, after: Value) -> Change:
        return Change(kind, name, getattr(person, name), after, 0, person.participant_id)

    lacks: list[Change | None] = []
    if not person.consented:
        lacks.append(own("consent", "consented", True))
    if programme.training_required and not person.trained:
        lacks.append(own("training", "trained", True))
    if person.status == "paused":
        lacks.append(own("break", "status", "ready"))
    elif person.status != "ready" and not (person.status == "enrolled" and lacks):
        lacks.append(None)
    if person.employment == "on_leave":
        lacks.append(own("break", "employment", "active"))
    elif not person.employed:
        lacks.append(None)
    leaves = person.leaves_on is not None and person.leaves_on < programme.ends_on
    if leaves or person.level is None or not person.chain_known or person.free_seats == 0:
        lacks.append(None)
    return lacks


def _mended(person: Person, lacks: Iterable[Change | None]) -> Person:
    for change in lacks:
        if change is not None:
            person = changed_person(person, change)
    return person


def _found(
    side: _People, people: Sequence[Person], programme: Programme, *, many: bool
) -> Iterable[Openings]:
    """What each of some people would need to be possible for counterparts with a seat left."""
    held = {place for holds in side.held.values() for place in holds}
    spared = {
        counterpart
        for place, holds in side.held.items()
        if len(holds) > 1 or side.people[place].taken > 0
        for counterpart in holds
    }
    able = [
        place
        for place, (each, left) in enumerate(
            zip(side.counterparts, side.seats_left.tolist(), strict=True)
        )
        # Who is full by pairs that live already is out of reach.
        if (left > 0 or place in held) and not _lacks(each, programme)
    ]
    places = {place: number for number, place in enumerate(able)}
    left = [places[place] for place in able if side.seats_left[place] > 0 or place in spared]
    if not (people and left):
        return openings(Side(programme, side.role, people, ()), (), [()] * len(people))
    look = openings
    if many:
        # As with all pairs: slow to import, and slower to compile where it never ran.
        from services.matching.domain.opening_kernels import openings as look
    return look(
        Side(
            programme,
            side.role,
            [*people, *(side.people[place] for place in side.held)],
            [side.counterparts[place] for place in able],
        ),
        left,
        [
            *([()] * len(people)),
            *([places[each] for each in holds] for holds in side.held.values()),
        ],
    )


def _changes(
    person: Person, lacks: Sequence[Change | None], found: Openings, rules: _Rules
) -> Iterator[Change]:
    """Those of the person or of the programme that serve the person."""
    if lacks:
        if found.possible and lacks[0] is not None:
            yield replace(lacks[0], via=found.possible)
        return
    own = person.participant_id
    longer = _longer(person, found)
    if longer is not None:
        yield longer
    if found.language is not None:
        yield Change("language", "languages", None, *found.language, own)
    if found.topic is not None:
        named = "wants" if person.role == "mentee" else "offers"
        yield Change("topic", named, None, *found.topic, own)
    yield from rules.changes(person, found)


def _longer(person: Person, found: Openings) -> Change | None:
    """The fewest steps later or earlier within the person's own day; of equals what makes more
    possible."""
    options = [
        (steps, -via, name, sign)
        for name, sign, counts, room in (
            ("works_until", 1, found.later, person.midnight + LAST_MINUTE - person.works_until),
            ("works_from", -1, found.earlier, person.works_from - person.midnight),
        )
        for steps, (count, via) in enumerate(zip(counts, accumulate(counts), strict=True))
        if count and steps * STEP_MINUTES <= room
    ]
    if not options:
        return None
    steps, via, name, sign = min(options)
    before = getattr(person, name)
    after = before + sign * steps * STEP_MINUTES
    return Change("time", name, before, after, -via, person.participant_id)


def further_seats(
    given: Instance,
    pairs: AllPairs,
    market: Market,
    chosen: Edges,
    prices: Prices,
    pricing: Pricing,
    unmatched: Iterable[Unmatched],
) -> dict[UUID, Change]:
    """Whom a further seat of a counterpart would serve, if the prices prove the result the best."""
    left = {each.participant_id for each in unmatched}
    of_mentors = _Auction(
        given.mentors,
        given.mentees,
        prices.mentor,
        prices.mentee + market.bonus(market.mentees),
        pricing.of_mentors,
    )
    of_mentees = _Auction(
        given.mentees,
        given.mentors,
        prices.mentee,
        prices.mentor + market.bonus(market.mentors),
        pricing.of_mentees,
    )
    columns, rows = (each.places(left, given.programme) for each in (of_mentors, of_mentees))
    if not len(columns) + len(rows):
        return {}
    claims = Edges(
        np.concatenate((of_mentors.bids.other[columns], rows)),
        np.concatenate((columns, of_mentees.bids.other[rows])),
        np.zeros(len(columns) + len(rows), np.int64),
    )
    rivals = pairs.price(prices, chosen.and_more(claims))
    return dict(
        chain(of_mentors.won(columns, rivals.of_mentors), of_mentees.won(rows, rivals.of_mentees))
    )


def seats_of_the_full(
    given: Instance,
    unmatched: Iterable[Unmatched],
    seats: Mapping[UUID, Change],
    served_under: ServedUnder,
) -> dict[UUID, Change]:
    """Whom a further seat of somebody would serve all of whose seats are taken by pairs that stay.

    Nobody bids for these seats, so that a new run with each has to tell; those are tried whose
    seat is the best for most people of `unmatched` who are not in `seats`.
    """
    # Whom a rule keeps from everybody no seat serves.
    left = {each.participant_id for each in unmatched if TAKEN in each.reasons} - seats.keys()
    owners: dict[UUID, Person] = {}
    wanted: Counter[UUID] = Counter()
    sides: tuple[tuple[Role, Sequence[Person], Sequence[Person]], ...] = (
        ("mentee", given.mentees, given.mentors),
        ("mentor", given.mentors, given.mentees),
    )
    for role, people, others in sides:
        full = [other for other in others if _may_take_one_more(other, given.programme)]
        side = Side(given.programme, role, people, full)
        for person in people if full else ():
            if person.participant_id in left and (owner := _best_of(side, person, given.now)):
                owners[owner.participant_id] = owner
                wanted[owner.participant_id] += 1
    found: dict[UUID, Change] = {}
    for owner_id in sorted(wanted, key=lambda each: (-wanted[each], each))[:_MOST_TRIED]:
        if not left:
            break
        change = _one_more_seat(owners[owner_id])
        served = left & frozenset(served_under(change))
        found |= dict.fromkeys(served, change)
        left -= served
    return found


def _may_take_one_more(owner: Person, programme: Programme) -> bool:
    more = changed_person(owner, _one_more_seat(owner))
    fits = more.seats <= programme.capacity(owner.role)
    return owner.free_seats == 0 and fits and not _lacks(more, programme)


def _one_more_seat(owner: Person) -> Change:
    return Change("seat", "seats", owner.seats, owner.seats + 1, 1, owner.participant_id)


def _best_of(side: Side, person: Person, now: datetime) -> Person | None:
    """The counterpart with whom a person may be paired at the best score, but for the seats."""
    possible = []
    for other in side.counterparts:
        couple = side.pair(person, other)
        if broken_rule(*couple, side.programme, but=(TAKEN,)) is None:
            score = fit(*couple, side.programme, now).score
            possible.append((-score, other.participant_id, other))
    return min(possible)[2] if possible else None


@dataclass(frozen=True, slots=True)
class _Auction:
    """A further seat of each owner, and who would bid most for it."""

    owners: Sequence[Person]
    bidders: Sequence[Person]
    price: Whole
    """Of the owners."""
    served: Whole
    """What it is worth to serve each bidder, and the price of their own seat."""
    bids: Nearest

    def places(self, left: Collection[UUID], programme: Programme) -> NDArray[np.int64]:
        """Owners whose best bidder is left out, and who may have a further seat."""
        return np.array(
            [
                place
                for place, other in enumerate(self.bids.other.tolist())
                if other >= 0
                and self.bidders[other].participant_id in left
                and self.owners[place].seats < programme.capacity(self.owners[place].role)
            ],
            np.int64,
        )

    def won(self, places: NDArray[np.int64], rivals: Nearest) -> Iterator[tuple[UUID, Change]]:
        """Bidders who outbid everybody else; `rivals` are the bids without theirs."""
        for place in places.tolist():
            owner, other = self.owners[place], int(self.bids.other[place])
            bid = int(self.bids.gain[place] + self.price[place] + self.served[other])
            rival = int(rivals.gain[place] + self.price[place]) if rivals.other[place] >= 0 else 0
            if bid > max(rival, 0):
                yield self.bidders[other].participant_id, _one_more_seat(owner)
