"""No pair ever broke a hard rule: the whole history, replayed event by event.

A rule may be broken by news (a transfer, a lower capacity) until the guard has seen them; `grace`
is how much programme time it may take, and also how much older than a decision its facts may be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import UUID

from deploy.reconcile.differences import Difference
from deploy.reconcile.topics import Told, Topics
from shared.catalogue import EmployeeUpdated, PairFact, ParticipantFact

_LIVING = ("active", "paused")
_WHERE = "topics"


class _World:
    """What was known at one moment of the replay."""

    def __init__(self) -> None:
        self.employees: dict[str, EmployeeUpdated] = {}
        self.participants: dict[UUID, ParticipantFact] = {}
        self.living: dict[UUID, PairFact] = {}
        self.seen: dict[UUID, int] = {}
        self.largest_capacity: dict[UUID, int] = {}

    def take(self, event: object) -> list[PairFact] | None:
        """Take an event in; returns the living pairs that it may touch, None if it is old news."""
        if isinstance(event, EmployeeUpdated):
            known = self.employees.get(event.employee_id)
            if known and known.version >= event.version:
                return None
            self.employees[event.employee_id] = event
            # Any person may be in the chain of any pair.
            return list(self.living.values())
        if isinstance(event, ParticipantFact):
            return self._take_participant(event)
        if isinstance(event, PairFact):
            return self._take_pair(event)
        return None

    def _take_participant(self, event: ParticipantFact) -> list[PairFact] | None:
        known = self.participants.get(event.participant_id)
        if known and known.version >= event.version:
            return None
        self.participants[event.participant_id] = event
        largest = self.largest_capacity.get(event.participant_id, 0)
        self.largest_capacity[event.participant_id] = max(largest, event.capacity)
        return self.pairs_of(event.participant_id)

    def _take_pair(self, event: PairFact) -> list[PairFact] | None:
        if self.seen.get(event.pair_id, 0) >= event.version:
            return None
        self.seen[event.pair_id] = event.version
        if event.status in _LIVING:
            self.living[event.pair_id] = event
        else:
            self.living.pop(event.pair_id, None)
        return [*self.pairs_of(event.mentor_id), *self.pairs_of(event.mentee_id)]

    def pairs_of(self, participant_id: UUID) -> list[PairFact]:
        return [
            pair
            for pair in self.living.values()
            if participant_id in (pair.mentor_id, pair.mentee_id)
        ]

    def above(self, employee_id: str) -> tuple[set[str], set[str]]:
        """The direct managers of a person, and everyone above."""
        direct: set[str] = set()
        chain: set[str] = set()
        ahead = [employee_id]
        while ahead:
            person = self.employees.get(ahead.pop())
            if person is None:
                continue
            managers = set(person.dotted_line_manager_ids)
            if person.manager_id:
                managers.add(person.manager_id)
            if person.employee_id == employee_id:
                direct = managers
            ahead += managers - chain
            chain |= managers
        return direct, chain

    def broken(self, pair: PairFact) -> Iterator[str]:
        """The hard rules that a living pair breaks now, as far as is known."""
        a, b = pair.mentor_employee_id, pair.mentee_employee_id
        (direct_a, chain_a), (direct_b, chain_b) = self.above(a), self.above(b)
        if a == b or a in chain_b or b in chain_a or direct_a & direct_b:
            yield "one reporting line"
        junior, senior = self.employees.get(a), self.employees.get(b)
        if junior and senior and junior.job_level >= senior.job_level:
            yield "mentor not junior"
        for one in (pair.mentor_id, pair.mentee_id):
            person = self.participants.get(one)
            if person and len(self.pairs_of(one)) > person.capacity:
                yield "over capacity"
        mentor = self.participants.get(pair.mentor_id)
        mentee = self.participants.get(pair.mentee_id)
        if mentor is None or mentee is None:
            return
        if b in mentor.blocks or a in mentee.blocks:
            yield "blocked"
        if not set(mentor.languages) & set(mentee.languages):
            yield "no common language"


def broken_rules(topics: Topics, grace: timedelta) -> list[Difference]:
    """Every time that a pair broke a hard rule for longer than `grace`, and every repetition."""
    wanted = (EmployeeUpdated, ParticipantFact, PairFact)
    events = sorted(
        (one for one in topics.told if isinstance(one.event, wanted)), key=attrgetter("at")
    )
    return [*_repeated(topics.of(PairFact)), *_replayed(events, grace)]


def _repeated(pairs: Iterable[PairFact]) -> Iterator[Difference]:
    """Two people are brought together once, in whichever roles and programme."""
    together: dict[frozenset[str], set[UUID]] = defaultdict(set)
    for pair in pairs:
        people = frozenset((pair.mentor_employee_id, pair.mentee_employee_id))
        together[people].add(pair.pair_id)
    for ids in together.values():
        if len(ids) > 1:
            first, *rest = sorted(map(str, ids))
            yield Difference("rules", _WHERE, first, f"repeated as {', '.join(rest)}")


def _replayed(events: list[Told], grace: timedelta) -> Iterator[Difference]:
    world = _World()
    since: dict[tuple[UUID, str], datetime] = {}
    for told in events:
        touched = world.take(told.event)
        if touched is None:
            continue
        checked = {pair.pair_id: pair for pair in touched}
        now_broken = {
            (pair.pair_id, rule) for pair in checked.values() for rule in world.broken(pair)
        }
        for key in now_broken - since.keys():
            since[key] = told.at
        over = [
            key
            for key in since
            if key not in now_broken and (key[0] in checked or key[0] not in world.living)
        ]
        for key in over:
            yield from _judged(key, since.pop(key), told.at, grace)
        yield from _too_many(world, checked.values())
    end = events[-1].at if events else None
    for key, begun in since.items():
        if end is not None:
            yield from _judged(key, begun, end, grace)


def _judged(
    key: tuple[UUID, str], begun: datetime, ended: datetime, grace: timedelta
) -> Iterator[Difference]:
    pair_id, rule = key
    if ended - begun > grace:
        yield Difference("rules", _WHERE, str(pair_id), f"{rule} from {begun:%F} to {ended:%F}")


def _too_many(world: _World, pairs: Iterable[PairFact]) -> Iterator[Difference]:
    """More living pairs than a person ever had seats for: no news can excuse that."""
    for one in {side for pair in pairs for side in (pair.mentor_id, pair.mentee_id)}:
        largest = world.largest_capacity.get(one)
        if largest is not None and len(world.pairs_of(one)) > largest:
            yield Difference("rules", _WHERE, str(one), f"more than {largest} pairs at once")
