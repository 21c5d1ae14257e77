"""An independent judge of living pairs: plain code over plain events, nothing of matching.

It knows every event that was delivered and every pair event that matching published, and says
what is wrong with the pairs that live.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from shared.catalogue import (
    ConcernFact,
    EmployeeUpdated,
    Event,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
)

LIVING = ("proposed", "active", "paused")


def _newest(events: Iterable[Any], key: str) -> dict[Any, Any]:
    newest: dict[Any, Any] = {}
    for event in events:
        known = newest.get(getattr(event, key))
        if known is None or known.version < event.version:
            newest[getattr(event, key)] = event
    return newest


def violations(delivered: Iterable[Event], decided: Iterable[PairFact]) -> list[str]:
    """What is wrong with the pairs, given all events delivered; empty when nothing is."""
    delivered, decided = list(delivered), list(decided)
    employees = _newest((e for e in delivered if isinstance(e, EmployeeUpdated)), "employee_id")
    people = _newest((e for e in delivered if isinstance(e, ParticipantFact)), "participant_id")
    programmes = _newest((e for e in delivered if isinstance(e, ProgrammeFact)), "programme_id")
    exits = {e.pair_id for e in delivered if isinstance(e, ConcernFact) and e.exit_requested}
    found = [*_history(decided)]
    newest = _newest(decided, "pair_id").values()
    living = [pair for pair in newest if pair.status in LIVING]
    for pair in living:
        mentor, mentee = people[pair.mentor_id], people[pair.mentee_id]
        names = f"{pair.mentor_employee_id}/{pair.mentee_employee_id}"
        found += [f"{names}: {wrong}" for wrong in _of_pair(pair, mentor, mentee, employees)]
        if programmes[pair.programme_id].status == "closed":
            found.append("lives in a closed programme")
        if pair.pair_id in exits:
            found.append("lives although a side asked to leave")
    found += _capacity(living, people, programmes)
    return found


def _history(decided: list[PairFact]) -> Iterator[str]:
    """What must never happen over time: a pair twice, a version left out, a life after death."""
    pair_of: dict[frozenset[str], Any] = {}
    last: dict[Any, PairFact] = {}
    for event in decided:
        both = frozenset((event.mentor_employee_id, event.mentee_employee_id))
        if pair_of.setdefault(both, event.pair_id) != event.pair_id:
            yield f"{sorted(both)} were paired twice"
        before = last.get(event.pair_id)
        if event.version != (before.version + 1 if before else 1):
            yield f"version {event.version} after {before.version if before else 0}"
        if before is not None and before.status not in LIVING:
            yield f"{event.status} after {before.status}"
        last[event.pair_id] = event


def _of_pair(pair: PairFact, mentor: Any, mentee: Any, employees: dict[str, Any]) -> Iterator[str]:
    junior, senior = employees[pair.mentor_employee_id], employees[pair.mentee_employee_id]
    for person, record in ((mentor, junior), (mentee, senior)):
        if record.status == "left" or record.erased:
            yield "somebody left"
        if person.status == "withdrawn":
            yield "somebody withdrew"
        away = record.status != "active" or person.status == "paused"
        if away and pair.status != "paused":
            yield f"{pair.status} although somebody is away"
    if not {x.casefold() for x in mentor.languages} & {x.casefold() for x in mentee.languages}:
        yield "no common language"
    if senior.employee_id in mentor.blocks or junior.employee_id in mentee.blocks:
        yield "blocked"
    if senior.job_level <= junior.job_level:
        yield "the mentor is not junior"
    yield from _chain(pair, junior, senior, employees)


def _above(person: Any) -> set[str]:
    return {m for m in (person.manager_id, *person.dotted_line_manager_ids) if m is not None}


def _chain(pair: PairFact, junior: Any, senior: Any, employees: dict[str, Any]) -> Iterator[str]:
    if _above(junior) & _above(senior):
        yield "the same direct manager"
    for start, other in ((junior, senior), (senior, junior)):
        seen: set[str] = set()
        todo = _above(start)
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            if name == other.employee_id:
                yield "one chain"
            if name in employees and not employees[name].erased:
                todo |= _above(employees[name])
            elif pair.status == "active":
                yield f"active with the unknown manager {name}"


def _capacity(
    living: list[PairFact], people: dict[Any, Any], programmes: dict[Any, Any]
) -> Iterator[str]:
    used = Counter(i for pair in living for i in (pair.mentor_id, pair.mentee_id))
    for participant_id, count in used.items():
        person = people[participant_id]
        programme = programmes[person.programme_id]
        most = programme.mentor_capacity if person.role == "mentor" else programme.mentee_capacity
        if count > min(most, person.capacity):
            yield f"{person.employee_id} has {count} pairs and {min(most, person.capacity)} seats"
