"""HR's records become the directory, and clean employee and contact events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from hashlib import blake2b
from typing import Any

from pydantic_core import to_json

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
_NO_END = date(9999, 12, 31)
"""How some HR platforms write that no end is known."""


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
        try:
            roster.follow([_next_state(event, roster, today)], cause=event)
        except Refused as refusal:
            tx.reject(event, str(refusal))
    await roster.save(tx)


@handlers.tombstones(EmployeeRecorded.TOPIC)
async def refuse_bare_deletions(keys: Sequence[str], tx: Transaction) -> None:  # noqa: ARG001
    """A record without value says neither that a person left nor that they are to be erased."""
    raise Rejected("value: missing; send status left, or an employee-erased event to erase")


def _next_state(event: EmployeeRecorded | EmployeeErased, roster: Roster, today: date) -> Person:
    person = roster.people[event.employee_id]
    if isinstance(event, EmployeeErased):
        return erased(person, sequence=event.sequence, digest=_digest("erased"), today=today)
    return recorded(person, hr_record(event), today=today, managers=roster.managers)


def hr_record(event: EmployeeRecorded) -> HrRecord:
    """HR's wire format in the directory's terms."""
    changes = _changes(event)
    return HrRecord(
        kind=event.record_type,
        sequence=event.sequence,
        digest=_digest(event.record_type, event.effective_date, event.cancels_sequence, changes),
        effective_date=event.effective_date,
        changes=changes,
        cancels_sequence=event.cancels_sequence,
    )


def _changes(event: EmployeeRecorded) -> dict[str, Any]:
    """What a record states: everything if it is full, else what is present, null included."""
    full = event.record_type == "full"
    named = event.model_fields_set
    sent = event.__dict__
    # In an order that the digest can rely on.
    changes: dict[str, Any] = {
        name: sent[name] for name in sorted(_ALIKE if full else _ALIKE & named)
    }
    for name, in_our_words in _IN_OTHER_WORDS.items():
        if name in changes:
            changes[name] = in_our_words(changes[name])
    if full or "name" in named:
        for part in ("given_name", "family_name"):
            if full or event.name is None or part in event.name.model_fields_set:
                changes[part] = getattr(event.name, part, None)
    if full or "emails" in named:
        changes["email"] = _main_address(event.emails or [])
    return changes


def _listed(values: list[str] | None) -> tuple[str, ...]:
    return tuple(values or ())


def _language_tag(locale: str | None) -> str | None:
    return locale and locale.replace("_", "-")


def _known_end(day: date | None) -> date | None:
    return None if day == _NO_END else day


_IN_OTHER_WORDS: dict[str, Callable[[Any], Any]] = {
    "dotted_line_manager_ids": _listed,
    "skills": _listed,
    "interests": _listed,
    "locale": _language_tag,
    "termination_date": _known_end,
}


def _main_address(emails: Sequence[HrEmail]) -> str | None:
    """The primary address, else the one for work, else the first."""
    best = min(emails, key=lambda email: (not email.primary, email.type != "work"), default=None)
    return best.value if best else None


def _digest(*said: object) -> bytes:
    return blake2b(to_json(said), digest_size=16).digest()
