"""HR's records become the directory, and clean employee and contact events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import blake2b
from typing import Any

from services.registration.domain.directory import (
    HrRecord,
    Person,
    Refused,
    caught_up,
    erased,
    recorded,
)
from services.registration.domain.employment import FACT_NAMES
from services.registration.handlers.registry import handlers
from services.registration.roster import Roster
from shared.catalogue import EmployeeErased, EmployeeRecorded
from shared.catalogue.hr import HrEmail
from shared.database import Transaction
from shared.handlers import Rejected

_ALIKE = FACT_NAMES & EmployeeRecorded.model_fields.keys()
"""Facts that HR's record names as we do."""
_LISTS = frozenset({"dotted_line_manager_ids", "skills", "interests"})
_NO_END = date(9999, 12, 31)


@handlers.batch(EmployeeRecorded, EmployeeErased)
async def take_the_word_of_hr(
    events: Sequence[EmployeeRecorded | EmployeeErased], tx: Transaction
) -> None:
    """Apply, schedule or cancel changes of people, or erase them; one load and one save."""
    named = [(e.employee_id, e.manager_id) for e in events if isinstance(e, EmployeeRecorded)]
    roster = await Roster.load(tx, {event.employee_id for event in events}, named=named)
    today = tx.now.date()
    for event in events:
        person = roster.people[event.employee_id]
        roster.follow(caught_up(person, today=today, managers=roster.managers))
        roster.follow([_next_state(event, roster, today)], received_at=tx.received_at(event))
    await roster.save(tx)


@handlers.tombstones(EmployeeRecorded.TOPIC)
async def refuse_bare_deletions(keys: Sequence[str], tx: Transaction) -> None:  # noqa: ARG001
    """A record without value says neither that a person left nor that they are to be erased."""
    raise Rejected("value: missing; send status left, or an employee-erased event to erase")


def _next_state(event: EmployeeRecorded | EmployeeErased, roster: Roster, today: date) -> Person:
    person = roster.people[event.employee_id]
    try:
        if isinstance(event, EmployeeErased):
            return erased(person, sequence=event.sequence, digest=_digest(event), today=today)
        return recorded(person, hr_record(event), today=today, managers=roster.managers)
    except Refused as refusal:
        raise Rejected(str(refusal)) from None


def hr_record(event: EmployeeRecorded) -> HrRecord:
    """HR's wire format in the directory's terms."""
    return HrRecord(
        kind=event.record_type,
        sequence=event.sequence,
        digest=_digest(event),
        effective_date=event.effective_date,
        changes=_changes(event),
        cancels_sequence=event.cancels_sequence,
    )


def _changes(event: EmployeeRecorded) -> dict[str, Any]:
    """What a record states: everything if it is full, else what is present, null included."""
    full = event.record_type == "full"
    present = EmployeeRecorded.model_fields.keys() if full else event.model_fields_set
    changes: dict[str, Any] = {name: _fact(event, name) for name in _ALIKE & present}
    if "name" in present:
        parts = {"given_name", "family_name"}
        if event.name is not None and not full:
            parts &= event.name.model_fields_set
        changes |= {part: getattr(event.name, part, None) for part in parts}
    if "emails" in present:
        changes["email"] = _main_address(event.emails or [])
    return changes


def _fact(event: EmployeeRecorded, name: str) -> Any:
    value = getattr(event, name)
    if name in _LISTS:
        return tuple(value or ())
    if name == "locale" and value:
        return value.replace("_", "-")
    if name == "termination_date" and value == _NO_END:
        return None  # how some HR platforms write that no end is known
    return value


def _main_address(emails: Sequence[HrEmail]) -> str | None:
    """The primary address, else the one for work, else the first."""
    ranked = sorted(emails, key=lambda email: (not email.primary, email.type != "work"))
    return ranked[0].value if ranked else None


def _digest(event: EmployeeRecorded | EmployeeErased) -> bytes:
    return blake2b(event.model_dump_json().encode(), digest_size=16).digest()
