"""How the directory takes HR's word: order, schedule, cancellation, rehire and erasure.

A person moves from one state to the next; each function here returns the next one. What HR
announces for a day to come is kept as the fields it changes against the state expected for that
day, so that a fact learned in between is not undone by an older announcement. Where no state is
known yet, an announced full record is kept whole until the first facts are in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, NamedTuple

from services.registration.domain.employment import (
    FACT_NAMES,
    Changes,
    Contact,
    Employee,
    Facts,
    contact_of,
    differences,
    employee_on,
    erased_employee,
    with_changes,
)
from services.registration.domain.reporting_line import circle, told

Managers = Mapping[str, str | None]
"""Employee id → manager id, of everyone above the people concerned."""


class Refused(ValueError):  # noqa: N818 - named by the fact
    """HR's word cannot be taken; says `field: reason; remedy`."""


class HrRecord(NamedTuple):
    """A record as HR sent it; a full one changes every field, a patch those it names."""

    kind: Literal["full", "patch", "cancel"]
    sequence: int
    digest: bytes
    effective_date: date
    changes: Changes
    cancels_sequence: int | None = None


@dataclass(frozen=True, slots=True)
class ScheduledChange:
    """A change announced for a day; or a due one that is held back, and why."""

    sequence: int
    effective_date: date
    changes: Changes
    held_because: str | None = None

    @property
    def order(self) -> tuple[date, int]:
        """Sorts changes in the order in which they take effect."""
        return self.effective_date, self.sequence

    @property
    def is_whole(self) -> bool:
        """Whether it names every field, so that it can begin a record."""
        return self.changes.keys() >= FACT_NAMES


class Person(NamedTuple):
    """All that the directory holds about one person."""

    employee_id: str
    sequence: int = -1
    """The highest accepted, whether applied or scheduled; -1: none."""
    digest: bytes = b""
    since: date | None = None
    facts: Facts | None = None
    """None: nothing in force yet, or erased."""
    employee: Employee | None = None
    contact: Contact | None = None
    contact_version: int = 0
    scheduled: tuple[ScheduledChange, ...] = ()
    """In the order in which they take effect."""
    erased: bool = False

    @property
    def managers_announced(self) -> set[str]:
        """The managers that the schedule names."""
        named = (change.changes.get("manager_id") for change in self.scheduled)
        return {manager for manager in named if manager}


def caught_up(person: Person, *, today: date, managers: Managers) -> tuple[Person, ...]:
    """The states that time alone has brought, oldest first; the last one holds today.

    Due changes take effect in the order (effective date, sequence), and a last day that passes
    between two of them is seen.
    """
    if not person.scheduled and (person.facts is None or person.facts.termination_date is None):
        return (person,)  # nothing waits for a day
    states = []
    tried: set[int] = set()
    while change := _next_due(person, today, tried):
        tried.add(change.sequence)
        day = today if change.held_because else change.effective_date
        states.append(_on(person, day))
        person = _come_due(states[-1], change, day, managers)
        states.append(person)
    states.append(_on(person, today))
    return tuple(states)


def recorded(person: Person, record: HrRecord, *, today: date, managers: Managers) -> Person:
    """The state after a record of HR; raises Refused. Expects a person caught up with today.

    The same record sent again changes nothing, whatever id its event has.
    """
    if (record.sequence, record.digest) == (person.sequence, person.digest):
        return person
    if record.sequence <= person.sequence:
        raise Refused(
            f"sequence: {record.sequence} is stale, {person.sequence} was accepted before;"
            " send the change with a higher sequence if it still holds"
        )
    person = person._replace(sequence=record.sequence, digest=record.digest)
    if record.kind == "cancel":
        return _cancelled(person, record)
    if record.kind == "patch":
        _refuse_patch_of_nothing(person, record.effective_date)
    if record.effective_date > today:
        return _announced(person, record)
    return _applied(person, record, today, managers)


def erased(person: Person, *, sequence: int, digest: bytes, today: date) -> Person:
    """The state after HR had the person erased; raises Refused for an outdated request.

    Of the employee stays what counting needs; schedule, facts and contact are gone. Only a full
    record with a higher sequence, a rehire, brings the person back.
    """
    if sequence < person.sequence:
        raise Refused(
            f"sequence: {sequence} is stale, {person.sequence} was accepted before;"
            " send the erasure with a higher sequence if it still holds"
        )
    return Person(
        person.employee_id,
        sequence=sequence,
        digest=digest,
        employee=erased_employee(person.employee, today) if person.employee else None,
        contact_version=person.contact_version,
        erased=True,
    )


def _next_due(person: Person, today: date, tried: set[int]) -> ScheduledChange | None:
    for change in person.scheduled:
        if change.effective_date <= today and change.sequence not in tried:
            return change
    return None


def _refuse_patch_of_nothing(person: Person, effective_date: date) -> None:
    announced = any(c.is_whole and c.effective_date <= effective_date for c in person.scheduled)
    if person.facts is not None or announced:
        return
    if person.erased:
        raise Refused(
            "employeeId: this person was erased; send a full record if they were hired again"
        )
    raise Refused("employeeId: unknown, so there is nothing to patch; send a full record first")


def _cancelled(person: Person, record: HrRecord) -> Person:
    wanted = record.cancels_sequence
    rest = tuple(change for change in person.scheduled if change.sequence != wanted)
    if len(rest) == len(person.scheduled):
        raise Refused(
            f"cancelsSequence: no change with sequence {wanted} is scheduled; it may be in force,"
            " cancelled or replaced already, so send the facts that hold instead"
        )
    if person.facts is None and rest and not rest[0].is_whole:
        raise Refused(
            f"cancelsSequence: the change with sequence {rest[0].sequence} builds on {wanted};"
            " cancel that one first"
        )
    return person._replace(scheduled=rest)


def _announced(person: Person, record: HrRecord) -> Person:
    others = person.scheduled
    changes = record.changes
    if record.kind == "full":
        others = tuple(
            c for c in others if c.effective_date != record.effective_date or c.held_because
        )
        if person.facts is not None:
            expected = _expected(person.facts, others, record.effective_date)
            changes = differences(expected, changes)
    change = ScheduledChange(record.sequence, record.effective_date, changes)
    return person._replace(scheduled=_in_order((*others, change)))


def _expected(facts: Facts, scheduled: tuple[ScheduledChange, ...], on: date) -> Facts:
    for change in scheduled:
        if change.effective_date <= on:
            facts = with_changes(facts, change.changes, since=change.effective_date)
    return facts


def _applied(person: Person, record: HrRecord, today: date, managers: Managers) -> Person:
    # A replaced record starts anew: what it does not name is cleared, not carried over.
    before = None if record.kind == "full" else person.facts
    facts = with_changes(before, record.changes, since=record.effective_date)
    chain = _new_circle(person, facts, managers)
    if chain:
        raise Refused(
            f"managerId: would close the circle {told(chain)}; send the manager's own change first"
        )
    return _in_force(person, facts, changed=record.changes, since=record.effective_date, on=today)


def _come_due(person: Person, change: ScheduledChange, day: date, managers: Managers) -> Person:
    """One change less in the schedule, and in force; without its manager if that is a circle."""
    rest = tuple(other for other in person.scheduled if other.sequence != change.sequence)
    person = person._replace(scheduled=rest)
    changes = dict(change.changes)
    facts = with_changes(person.facts, changes, since=change.effective_date)
    chain = _new_circle(person, facts, managers)
    if not chain:
        return _in_force(person, facts, changed=changes, since=day, on=day)
    # Two people who swap places on one day close a circle until both have moved, so the rest of
    # the change takes effect and the manager is tried again with every pass of the job.
    held = ScheduledChange(
        change.sequence,
        change.effective_date,
        {"manager_id": changes.pop("manager_id")},
        f"managerId: would close the circle {told(chain)}",
    )
    stays = person.facts.manager_id if person.facts else None
    facts = facts._replace(manager_id=stays)
    if changes:
        person = _in_force(person, facts, changed=changes, since=day, on=day)
    return person._replace(scheduled=_in_order((*person.scheduled, held)))


def _new_circle(person: Person, facts: Facts, managers: Managers) -> tuple[str, ...]:
    if person.employee and person.employee.manager_id == facts.manager_id:
        return ()
    return circle(managers, person.employee_id, facts.manager_id)


def _in_force(person: Person, facts: Facts, *, changed: Changes, since: date, on: date) -> Person:
    scheduled = person.scheduled
    if "manager_id" in changed:
        # A newer word on the manager settles what was held back.
        scheduled = tuple(change for change in scheduled if not change.held_because)
    if person.facts is None:
        scheduled = _against(facts, scheduled)
    employee, contact = _clean_state(person, facts, since, on)
    return person._replace(
        facts=facts,
        since=since,
        employee=employee,
        contact=contact,
        contact_version=contact.version,
        scheduled=scheduled,
        erased=False,
    )


def _against(facts: Facts, scheduled: tuple[ScheduledChange, ...]) -> tuple[ScheduledChange, ...]:
    """The schedule, each whole record reduced to what it changes now that facts are known."""
    reduced = []
    for change in scheduled:
        if change.is_whole:
            change = replace(change, changes=differences(facts, change.changes))  # noqa: PLW2901
        facts = with_changes(facts, change.changes, since=change.effective_date)
        reduced.append(change)
    return tuple(reduced)


def _on(person: Person, day: date) -> Person:
    """The person with the clean state of a day."""
    if person.facts is None or person.since is None:
        return person
    employee, contact = _clean_state(person, person.facts, person.since, day)
    if employee is person.employee and contact is person.contact:
        return person
    return person._replace(employee=employee, contact=contact, contact_version=contact.version)


def _clean_state(person: Person, facts: Facts, since: date, on: date) -> tuple[Employee, Contact]:
    """What others may know of the person on a day; what they know already where nothing differs."""
    employee = employee_on(
        on, facts, employee_id=person.employee_id, since=since, before=person.employee
    )
    contact = contact_of(
        facts,
        employee_id=person.employee_id,
        version=person.contact_version,
        before=person.contact,
    )
    return employee, contact


def _in_order(changes: tuple[ScheduledChange, ...]) -> tuple[ScheduledChange, ...]:
    return tuple(sorted(changes, key=lambda change: change.order))
