"""People under change: loaded and locked, followed through their states, saved and told."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from services.registration.domain.directory import Person
from services.registration.domain.employment import Contact, Employee
from services.registration.participation import employment_changed
from services.registration.store import directory
from shared.catalogue import ContactUpdated, EmployeeUpdated
from shared.database import Transaction


@dataclass(frozen=True, slots=True)
class _Step:
    before: Person
    after: Person
    received_at: datetime | None


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

        `named`: (employee id, manager id) pairs that the changes to come may ask for.
        """
        people = await directory.lock_people(tx.connection, ids)
        in_question = {above for each, above in named if above and _moves(people[each], above)}
        for person in people.values():
            in_question |= person.managers_announced
        if not in_question:
            return cls(people, {})
        # Two transactions could each add one half of a circle that neither of them sees.
        await tx.lock("reporting lines")
        in_question |= people.keys()
        return cls(people, await directory.managers_above(tx.connection, in_question))

    def follow(self, states: Iterable[Person], *, received_at: datetime | None = None) -> None:
        """Take a person's next states, oldest first.

        `received_at`: when the record reached us that led to them; None where time alone did.
        """
        for state in states:
            before = self.people[state.employee_id]
            self._steps.append(_Step(before, state, received_at))
            self.people[state.employee_id] = state
            if state.employee is not None:
                self.managers[state.employee_id] = state.employee.manager_id

    async def save(self, tx: Transaction) -> None:
        """Write what changed and publish each new state of an employee or a contact, in order."""
        changed = [
            (loaded, self.people[each])
            for each, loaded in self._loaded.items()
            if self.people[each] != loaded
        ]
        if changed:
            await directory.save_people(tx.connection, changed)
        erased = [new.employee_id for _, new in changed if new.erased]
        if erased:
            await directory.forget_parked_records(tx.connection, erased)
        for step in self._steps:
            before, after = step.before.employee, step.after.employee
            _tell_contact(tx, step)
            if after is not None and after != before:
                tx.publish(_employee_updated(after, step.received_at))
                await employment_changed(tx, before, after)


def _moves(person: Person, manager_id: str | None) -> bool:
    return person.employee is None or person.employee.manager_id != manager_id


def _tell_contact(tx: Transaction, step: _Step) -> None:
    before, after = step.before.contact, step.after.contact
    if after is None and before is not None:
        tx.publish_tombstone(ContactUpdated, before.employee_id)
    elif after is not None and after != before:
        tx.publish(_contact_updated(after))


def _employee_updated(employee: Employee, received_at: datetime | None) -> EmployeeUpdated:
    return EmployeeUpdated(received_at=received_at, **asdict(employee))


def _contact_updated(contact: Contact) -> ContactUpdated:
    return ContactUpdated(**asdict(contact))
