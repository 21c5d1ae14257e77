"""What a programme as a whole is short of: topics, languages, common hours, seats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar
from uuid import UUID

from services.matching.domain.hours import overlap_minutes
from services.matching.domain.instance import Instance
from services.matching.domain.openings import answering_topics
from services.matching.domain.people import Person, Programme, Role

Shortage: TypeAlias = Literal["topic", "language", "time", "seats"]

K = TypeVar("K", bound=Hashable)

MOST_STATED = 10
_MOST_GROUPS = 100
"""So many languages or working hours of a side are looked at: those with most people left out."""
_DAY = 1440


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Something that many need of the other side and few there have."""

    kind: Shortage
    name: str
    """The topic; the languages of those concerned, with commas; their working hours in UTC, as
    09:00-17:00; empty for seats."""
    role: Role
    """Of those who need it."""
    people: int
    """Those who need it, and have a seat free before the run."""
    seats: int
    """Their free seats."""
    offered: int
    """Free seats, on the other side, of those who have it."""
    left_out: int
    """Of `people`, those who have no partner after the run."""


@dataclass(slots=True)
class _Group:
    """People of one side who are alike in something."""

    people: int = 0
    seats: int = 0
    left_out: int = 0

    def add(self, seats: int, left_out: int) -> None:
        self.people += 1
        self.seats += seats
        self.left_out += left_out


def bottlenecks(given: Instance, left: Collection[UUID]) -> tuple[Bottleneck, ...]:
    """Where one side has more seats than the other has to offer them, the worst first.

    Worst is what most people are left out of, then what most seats are missing of. `left`:
    everybody whom the run left without a partner. Those who must not be paired with anybody do
    not count. A language or working hours are told only if a part of the other side is cut off
    by them: what all lack is told once, as seats.
    """
    programme = given.programme
    mentors, mentees = _able(given.mentors, programme), _able(given.mentees, programme)
    found = list(_topics(mentees, mentors, left))
    for people, others in ((mentees, mentors), (mentors, mentees)):
        found += _of_side(people, others, left, programme)
    ranked = sorted(
        (each for each in found if each.seats > each.offered),
        key=lambda each: (
            -each.left_out,
            each.offered - each.seats,
            each.kind,
            each.role,
            each.name,
        ),
    )
    return tuple(ranked[:MOST_STATED])


def _able(people: Iterable[Person], programme: Programme) -> list[Person]:
    return [
        person
        for person in people
        if person.free_seats
        and person.ready(programme)
        and person.employed
        and not (person.leaves_on is not None and person.leaves_on < programme.ends_on)
    ]


def _topics(
    mentees: Iterable[Person], mentors: Iterable[Person], left: Collection[UUID]
) -> Iterator[Bottleneck]:
    wanted: dict[str, _Group] = defaultdict(_Group)
    offered: dict[str, int] = defaultdict(int)
    for person in mentees:
        alone = person.participant_id in left
        for topic in person.wants:
            wanted[topic].add(person.free_seats, alone)
    for person in mentors:
        seats = person.free_seats
        for topic in answering_topics(person):
            offered[topic] += seats
    for topic, group in wanted.items():
        yield _bottleneck("topic", topic, "mentee", group, offered[topic])


def _of_side(
    people: Sequence[Person],
    others: Sequence[Person],
    left: Collection[UUID],
    programme: Programme,
) -> Iterator[Bottleneck]:
    if not people:
        return
    role = people[0].role
    everybody = _grouped(people, lambda _: None, left)[None]
    there = sum(person.free_seats for person in others)
    yield _bottleneck("seats", "", role, everybody, there)
    languages = _grouped(people, lambda person: person.languages, left)
    spoken = _grouped(others, lambda person: person.languages, left)
    for some in _worst(languages):
        offered = sum(
            group.seats for theirs, group in spoken.items() if not some.isdisjoint(theirs)
        )
        if offered < there:
            yield _bottleneck("language", ", ".join(sorted(some)), role, languages[some], offered)
    hours = _grouped(people, _hours, left)
    worked = _grouped(others, _hours, left)
    for window in _worst(hours):
        offered = sum(
            group.seats
            for theirs, group in worked.items()
            if overlap_minutes(window, theirs) >= programme.min_overlap_minutes
        )
        if offered < there:
            yield _bottleneck("time", _clock(window), role, hours[window], offered)


def _bottleneck(kind: Shortage, name: str, role: Role, group: _Group, offered: int) -> Bottleneck:
    return Bottleneck(kind, name, role, group.people, group.seats, offered, group.left_out)


def _hours(person: Person) -> tuple[int, int]:
    return person.works_from, person.works_until


def _grouped(
    people: Iterable[Person], key: Callable[[Person], K], left: Collection[UUID]
) -> dict[K, _Group]:
    groups: dict[K, _Group] = defaultdict(_Group)
    for person in people:
        groups[key(person)].add(person.free_seats, person.participant_id in left)
    return groups


def _worst(groups: dict[K, _Group]) -> list[K]:
    """Those with most people left out; of equals those with most seats, else as people came."""
    ranked = sorted(groups, key=lambda key: (-groups[key].left_out, -groups[key].seats))
    return ranked[:_MOST_GROUPS]


def _clock(window: tuple[int, int]) -> str:
    return "-".join(f"{minute % _DAY // 60:02d}:{minute % 60:02d}" for minute in window)
