"""People under change: loaded and locked, followed through their states, saved and told."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import NamedTuple

from asyncpg import SerializationError

from services.registration.domain.directory import Person
from services.registration.domain.employment import Employee
from services.registration.domain.reporting_line import circle
from services.registration.participation import end_participations, ends_participation
from services.registration.store import directory
from shared.catalogue import ContactUpdated, EmployeeUpdated, Event
from shared.database import Transaction

_STEPS_IN_A_ROW = 25
"""Told before the loop may send rows to Postgres and take its answers."""


class _Step(NamedTuple):
    before: Person
    after: Person
    cause: Event | None


class Roster:
    """The people that one transaction changes."""

    def __init__(self, people: dict[str, Person], managers: dict[str, str | None]) -> None:
        self.people = people
        """Each as of the changes made so far."""
        self.managers = managers
        """Employee id → manager id of everyone above, as of the changes made so far."""
        self._loaded = dict(people)
        self._steps: list[_Step] = []

    @classmethod
    async def load(
        cls, tx: Transaction, ids: Collection[str], *, named: Iterable[tuple[str, str | None]] = ()
    ) -> Roster:
        """Lock these people and read the reporting lines that their changes may touch.

        `named`: (employee id, manager id) pairs that the changes to come may ask for. The lines may
        change while the work goes on: `save` looks again.
        """
        people = await directory.lock_people(tx.connection, ids)
        moving = [(each, above) for each, above in named if above and _moves(people[each], above)]
        # Their own lines as well: a later record of the batch may move them back.
        in_question = {each for pair in moving for each in pair}
        for each, person in people.items():
            if announced := person.managers_announced:
                in_question |= {each, *announced}
        if not in_question:
            return cls(people, {})
        return cls(people, await directory.managers_above(tx.connection, in_question))

    def follow(self, states: Iterable[Person], *, cause: Event | None = None) -> None:
        """Take a person's next states, oldest first.

        `cause`: the record of HR that led to them; None where time alone did.
        """
        for state in states:
            before = self.people[state.employee_id]
            if state is before:
                continue
            self._steps.append(_Step(before, state, cause))
            self.people[state.employee_id] = state
            if state.employee is not None:
                self.managers[state.employee_id] = state.employee.manager_id

    async def save(self, tx: Transaction) -> None:
        """Write what changed and publish each new state of an employee or a contact, in order.

        Raises SerializationError where another transaction moved somebody meanwhile so that the two
        together close a circle; done again, this work sees the other.
        """
        # Postgres writes the rows while the events are made.
        saving = asyncio.create_task(self._write(tx))
        try:
            departures = await self._tell(tx)
        finally:
            await saving
        await end_participations(tx, departures)
        await self._look_again(tx)

    async def _look_again(self, tx: Transaction) -> None:
        """Refuse the other half of a circle that another transaction has added since we looked."""
        moved = {
            step.after.employee_id
            for step in self._steps
            if (after := step.after.employee) and after.manager_id
            if _moves(step.before, after.manager_id)
        }
        if not moved:
            return
        # Only now, so that whoever else moves people waits for little more than our commit.
        await tx.lock("reporting lines")
        managers = await directory.managers_above(tx.connection, moved)
        if any(circle(managers, each, managers[each]) for each in moved):
            raise SerializationError("two moves at one time close a circle of managers")

    async def _write(self, tx: Transaction) -> None:
        changed = [
            (loaded, self.people[each])
            for each, loaded in self._loaded.items()
            if self.people[each] is not loaded
        ]
        if changed:
            await directory.save_people(tx.connection, changed)

    async def _tell(self, tx: Transaction) -> list[tuple[Employee, Event | None]]:
        """Publish the steps; returns the states in which somebody left, each with its cause."""
        departures = []
        for position, step in enumerate(self._steps):
            if position % _STEPS_IN_A_ROW == 0:
                await asyncio.sleep(0)
            before, after = step.before.employee, step.after.employee
            _tell_contact(tx, step)
            if after is not None and after is not before:
                tx.publish(_employee_updated(after, tx, step.cause), cause=step.cause)
                if ends_participation(before, after):
                    departures.append((after, step.cause))
        return departures


def _moves(person: Person, manager_id: str | None) -> bool:
    return person.employee is None or person.employee.manager_id != manager_id


def _tell_contact(tx: Transaction, step: _Step) -> None:
    before, after = step.before.contact, step.after.contact
    if after is None and before is not None:
        tx.publish_tombstone(ContactUpdated, before.employee_id, cause=step.cause)
    elif after is not None and after is not before:
        tx.publish(ContactUpdated.trusted(after._asdict()), cause=step.cause)


def _employee_updated(employee: Employee, tx: Transaction, cause: Event | None) -> EmployeeUpdated:
    received_at = tx.received_at(cause) if cause else None
    return EmployeeUpdated.trusted({**employee._asdict(), "received_at": received_at})
