"""Counterparts whom one change of a person, or of a rule, would make possible for them.

This is what is meant, by the rules themselves; `opening_kernels` does the same for many people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from services.matching.domain.changes import MOST_MINUTES, STEP_MINUTES
from services.matching.domain.people import Person, Programme, Role
from services.matching.domain.rules import RULES, broken_rule

MOST_STEPS = MOST_MINUTES // STEP_MINUTES
_DAY = 1440


@dataclass(frozen=True, slots=True)
class Openings:
    """So many counterparts lack nothing but one thing."""

    possible: int
    """Lack nothing at all."""
    later: tuple[int, ...]
    """By the number of steps that the person would have to work longer in the evening."""
    earlier: tuple[int, ...]
    """The same in the morning."""
    language: tuple[str, int] | None
    """The one that most of them speak, of equals the first in the alphabet."""
    topic: tuple[str, int] | None
    department: int
    level: int
    """One level more between the two."""


@dataclass(frozen=True, slots=True)
class Side:
    """Some people of one role, and counterparts who lack nothing themselves."""

    programme: Programme
    role: Role
    people: Sequence[Person]
    counterparts: Sequence[Person]

    def pair(self, person: Person, counterpart: Person) -> tuple[Person, Person]:
        """Mentor and mentee."""
        return (person, counterpart) if self.role == "mentor" else (counterpart, person)


def openings(side: Side, left: Collection[int], held: Sequence[Collection[int]]) -> list[Openings]:
    """Of each person who holds no seat, among the counterparts who can be reached.

    `left`: places of counterparts with a seat left, or with one whose holder can do without it;
    `held`: of whom each person holds a seat.
    """
    some = [side.counterparts[place] for place in reachable(side, left, held)]
    return [
        _openings(side, person, some)
        for person, holds in zip(side.people, held, strict=True)
        if not holds
    ]


def reachable(side: Side, left: Collection[int], held: Sequence[Collection[int]]) -> list[int]:
    """Places of counterparts with a seat left, or whose seat's holder can move to one that is."""
    reached = set(left)
    fresh = sorted(reached)
    while fresh:
        found = {
            each
            for person, holds in zip(side.people, held, strict=True)
            if not reached.issuperset(holds)
            and any(place not in holds and _admitted(side, person, place) for place in fresh)
            for each in holds
        }
        fresh = sorted(found - reached)
        reached |= found
    return sorted(reached)


def answering_topics(person: Person) -> Collection[str]:
    """What somebody of the other role may name so that the two have a topic."""
    if person.role == "mentee":
        return person.wants.keys()
    return person.offers.keys() | person.near.keys() if person.near else person.offers.keys()


def steps_needed(person: Person, other: Person, programme: Programme) -> tuple[int, int]:
    """How many steps later, or earlier, the person would have to work; 0: that does not help."""
    least = programme.min_overlap_minutes
    starts, ends = person.works_from, person.works_until
    later = earlier = _DAY
    for days in (-_DAY, 0, _DAY):
        from_, until = other.works_from + days, other.works_until + days
        if until - max(starts, from_) >= least:
            later = min(later, max(starts, from_) + least - ends)
        if min(ends, until) - from_ >= least:
            earlier = min(earlier, starts + least - min(ends, until))
    most = min(MOST_MINUTES, _DAY - (ends - starts))
    return _steps(later, most), _steps(earlier, most)


def _steps(minutes: int, most: int) -> int:
    steps = -(-minutes // STEP_MINUTES)
    return steps if 0 < steps * STEP_MINUTES <= most else 0


def _admitted(side: Side, person: Person, place: int) -> bool:
    return broken_rule(*side.pair(person, side.counterparts[place]), side.programme) is None


def _openings(side: Side, person: Person, counterparts: Iterable[Person]) -> Openings:
    possible = department = level = 0
    later, earlier = [0] * (MOST_STEPS + 1), [0] * (MOST_STEPS + 1)
    languages: Counter[str] = Counter()
    topics: Counter[str] = Counter()
    for other in counterparts:
        mentor, mentee = side.pair(person, other)
        match _broken(mentor, mentee, side.programme):
            case []:
                possible += 1
            case ["time_overlap"]:
                evening, morning = steps_needed(person, other, side.programme)
                later[evening] += 1
                earlier[morning] += 1
            case ["no_common_language"]:
                languages.update(other.languages)
            case ["no_wanted_topic"]:
                topics.update(answering_topics(other))
            case ["same_department"]:
                department += 1
            case ["level_gap"]:
                gap = (mentee.level or 0) - (mentor.level or 0)
                level += gap == side.programme.min_level_gap - 1
    later[0] = earlier[0] = 0
    return Openings(
        possible, tuple(later), tuple(earlier), _most(languages), _most(topics), department, level
    )


def _broken(mentor: Person, mentee: Person, programme: Programme) -> list[str]:
    """The rules that a pair breaks; two stand for more."""
    broken: list[str] = []
    for name, breaks in RULES.items():
        if breaks(mentor, mentee, programme):
            broken.append(name)
            if len(broken) > 1:
                break
    return broken


def _most(counts: Counter[str]) -> tuple[str, int] | None:
    return min(counts.items(), key=lambda item: (-item[1], item[0]), default=None)
