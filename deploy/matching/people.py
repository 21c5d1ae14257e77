"""Lines of people become what the engine works on, as the matching service would see them."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from deploy.matching.formats import NamedPair, PersonLine, Rules
from services.matching.domain.hours import Hours, in_utc
from services.matching.domain.instance import Instance, instance
from services.matching.domain.people import Person, Programme, Weights
from services.matching.domain.topics import plain, understood
from services.matching.near import nearness
from shared.catalogue import Role
from shared.catalogue.people import ParticipantStatus

MOST_MANAGERS = 1000
"""The most people above anybody: more is no company, and would fill the memory."""

_TOO_MANY_MANAGERS = (
    f"manager_id: more than {MOST_MANAGERS:,} people are above this one; correct the managers"
)
_PROGRAMME_ID = uuid5(NAMESPACE_URL, "urn:updraft:offline")
_HR_FACTS = (
    "level", "department", "division", "location", "country", "manager_id",
    "dotted_line_manager_ids", "employment", "leaves_on",
)  # fmt: skip
_KEY = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_said_by_hr = attrgetter(*_HR_FACTS)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Named:
    """An instance, and the ids that its people have outside."""

    instance: Instance
    ids: dict[UUID, str]
    employees: int
    """All whom a line describes, managers who do not take part included."""

    def told(self, text: str) -> str:
        """A text of the engine's with the ids that people have outside."""
        return _KEY.sub(lambda key: self.ids.get(UUID(key[0]), key[0]), text)


@contextmanager
def no_collection() -> Iterator[None]:
    """What is read stays: a fifth of the time would go into looking for garbage in it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def participant_id(role: Role, given: str) -> UUID:
    """The key under which the engine knows a participant: the same in every run."""
    return uuid5(_PROGRAMME_ID, f"{role}:{given}")


def programme(rules: Rules, *, departments_known: bool = True) -> Programme:
    """The programme of the rules."""
    crosses = rules.different_department
    return Programme(
        programme_id=_PROGRAMME_ID,
        version=1,
        open=True,
        starts_on=rules.starts_on,
        ends_on=rules.end,
        min_level_gap=rules.min_level_gap,
        target_level_gap=rules.target_level_gap,
        mentor_capacity=rules.mentor_capacity,
        mentee_capacity=rules.mentee_capacity,
        different_department=departments_known if crosses is None else crosses,
        min_overlap_minutes=rules.min_overlap_minutes,
        training_required=rules.training_required,
        score_floor=rules.score_floor,
        stickiness=rules.stickiness,
        weights=Weights(**rules.weights.model_dump()),
    )


def _participants(pairs: Iterable[NamedPair]) -> list[tuple[UUID, UUID]]:
    return [
        (participant_id("mentor", pair.mentor_id), participant_id("mentee", pair.mentee_id))
        for pair in pairs
    ]


@dataclass(slots=True)
class _Team:
    """What everybody with the same managers has in common."""

    direct: frozenset[str]
    above: frozenset[str]
    known: bool


@dataclass(slots=True)
class People:
    """Takes lines one by one, keeps what the engine needs of them, and tells what is wrong."""

    rules: Rules
    wrong: list[tuple[int, str]] = field(default_factory=list)
    """Line number and what is wrong there."""
    strangers: dict[str, int] = field(default_factory=dict)
    """Ids in `blocks` that no line is about → the first line that names them; after `named`."""
    _people: list[Person] = field(default_factory=list)
    _numbers: list[int] = field(default_factory=list)
    _ids: dict[UUID, str] = field(default_factory=dict)
    _lines: dict[tuple[str | None, str], int] = field(default_factory=dict)
    """Role and id, or role and employee, → the line that describes them."""
    _facts: dict[str, tuple[int, tuple[Any, ...]]] = field(default_factory=dict)
    """Employee → the first line about them, and what it says for HR."""
    _programme: Programme = field(init=False)
    _day: date = field(init=False)
    _shared: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._programme = programme(self.rules)
        self._day = max(self.rules.starts_on, self.rules.moment.date())

    def add(self, number: int, line: PersonLine) -> None:
        """Take the line of that number."""
        employee_id = line.employee_id or line.id
        reason = self._contradiction(number, line, employee_id)
        if reason is not None:
            self.wrong.append((number, reason))
        elif line.role is not None:
            person = self._person(line, line.role, employee_id)
            self._people.append(person)
            self._numbers.append(number)
            self._ids[person.participant_id] = line.id

    def named(self) -> Named:
        """Everybody taken, with all managers above them; call it once, after the last line.

        Whose managers are too many is found only now: look into `wrong` again.
        """
        departments = any(person.department is not None for person in self._people)
        return Named(
            instance(
                programme(self.rules, departments_known=departments),
                understood(self._whole(), nearness() if self.rules.near_topics else None),
                self.rules.moment,
                locked=_participants(self.rules.locked),
                previous=_participants(self.rules.previous),
            ),
            self._ids,
            len(self._facts),
        )

    def unknown(self) -> list[str]:
        """Whom the rules lock or keep apart although no line is about them."""
        return [
            f"{name}.{place}.{role}_id: no line of people is about this {role}; correct it"
            for name in ("locked", "apart")
            for place, role, _ in self.absent(name)
        ]

    def absent(self, name: str) -> Iterator[tuple[int, Role, str]]:
        """Place in one of the rules' lists of pairs, role and id of whom no line is about."""
        for place, pair in enumerate(getattr(self.rules, name)):
            if ("mentor", pair.mentor_id) not in self._lines:
                yield place, "mentor", pair.mentor_id
            if ("mentee", pair.mentee_id) not in self._lines:
                yield place, "mentee", pair.mentee_id

    def _whole(self) -> Iterator[Person]:
        """Everybody with what only all lines together say; lets go of each at once."""
        apart = self._apart()
        teams: dict[tuple[str, ...], _Team] = {}
        while self._people:
            person, number = self._people.pop(), self._numbers.pop()
            managers = self._managers(person.employee_id)
            team = teams.get(managers)
            if team is None:
                team = teams[managers] = self._team(managers)
                if len(team.above) > MOST_MANAGERS:
                    self.wrong.append((number, _TOO_MANY_MANAGERS))
            # Lines come from the last to the first.
            for each in person.blocks:
                if each not in self._facts:
                    self.strangers[each] = number
            kept_apart = apart.get(person.participant_id)
            yield _completed(
                person,
                direct_managers=team.direct,
                managers=team.above,
                # In a circle somebody is above themself.
                chain_known=team.known and person.employee_id not in team.above,
                blocks=person.blocks | kept_apart if kept_apart else person.blocks,
            )

    def _apart(self) -> dict[UUID, frozenset[str]]:
        """Mentor → the employees whom the rules keep apart from them."""
        if not self.rules.apart:
            return {}
        employees = {person.participant_id: person.employee_id for person in self._people}
        apart: dict[UUID, frozenset[str]] = {}
        for mentor, mentee in _participants(self.rules.apart):
            if mentee in employees:
                apart[mentor] = apart.get(mentor, frozenset()) | {employees[mentee]}
        return apart

    def _contradiction(self, number: int, line: PersonLine, employee_id: str) -> str | None:
        """Whether an earlier line describes the same participant, or the employee otherwise."""
        # No id has a line end, so that the employees' keys are none of the ids'.
        for name, key in (("id", line.id), ("employee_id", f"\n{employee_id}")):
            earlier = self._lines.setdefault((line.role, key), number)
            if earlier != number:
                role = f" as a {line.role}" if line.role else ""
                return f"{name}: is on line {earlier}{role} already; keep one of the two"
        said = _said_by_hr(line)
        earlier, known = self._facts.setdefault(employee_id, (number, said))
        if known != said:
            name = next(n for n, a, b in zip(_HR_FACTS, known, said, strict=True) if a != b)
            return f"{name}: differs from line {earlier} about the same employee; make them equal"
        return None

    def _person(self, line: PersonLine, role: Role, employee_id: str) -> Person:
        hours = _hours(line.works_from, line.works_until, line.timezone, self._day)
        return Person(
            participant_id=participant_id(role, line.id),
            employee_id=employee_id,
            role=role,
            status=self._status(line),
            consented=line.consented,
            trained=line.trained,
            employment=line.employment,
            leaves_on=line.leaves_on,
            level=line.level,
            department=self._one(line.department),
            division=self._one(line.division),
            location=self._one(line.location),
            country=self._one(line.country),
            languages=self._words(line.languages),
            offers=_merged(line.offers, max),
            wants=_merged(line.wants, min),
            interests=self._words(line.interests),
            midnight=hours.midnight,
            works_from=hours.works_from,
            works_until=hours.works_until,
            seats=min(line.capacity, self._programme.capacity(role)),
            blocks=self._one(frozenset(line.blocks)),
            met=self._one(frozenset(line.met)),
            waiting_since=self._one(line.waiting_since),
            orphaned=line.orphaned,
        )

    def _status(self, line: PersonLine) -> ParticipantStatus:
        trained = line.trained or not self._programme.training_required
        ready = line.status == "enrolled" and line.consented and trained
        return "ready" if ready else line.status

    def _one(self, value: _T) -> _T:
        """The first of all equal values, so that they take memory once."""
        found: _T = self._shared.setdefault(value, value)
        return found

    def _words(self, words: Iterable[str]) -> frozenset[str]:
        return self._one(frozenset(map(_word, words)))

    def _managers(self, employee_id: str) -> tuple[str, ...]:
        """Direct managers; nobody's where no line is about the employee."""
        if employee_id not in self._facts:
            return ()
        said = self._facts[employee_id][1]
        solid, dotted = said[5], said[6]
        return (solid, *dotted) if solid is not None else tuple(dotted)

    def _team(self, managers: tuple[str, ...]) -> _Team:
        above: dict[str, None] = dict.fromkeys(managers)
        waiting = list(above)
        while waiting and len(above) <= MOST_MANAGERS:
            new = [m for m in self._managers(waiting.pop()) if m not in above]
            above.update(dict.fromkeys(new))
            waiting += new
        return _Team(
            self._one(frozenset(managers)),
            self._one(frozenset(above)),
            all(manager in self._facts for manager in above),
        )


def _completed(person: Person, **said: Any) -> Person:
    """The very same person, whom nobody else has seen yet: to make everybody anew takes seconds."""
    for name, value in said.items():
        object.__setattr__(person, name, value)
    return person


_word = lru_cache(maxsize=100_000)(plain)


def _merged(entries: dict[str, int], better: Any) -> dict[str, int]:
    """Two spellings of one topic are one; the better offer and the keener wish count."""
    merged: dict[str, int] = {}
    for topic, number in entries.items():
        word = _word(topic)
        merged[word] = better(number, merged.get(word, number))
    return merged


@lru_cache(maxsize=10_000)
def _hours(start: str, end: str, zone: str, day: date) -> Hours:
    return in_utc(time.fromisoformat(start), time.fromisoformat(end), zone, day)
