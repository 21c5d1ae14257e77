"""Whether a message still has its ground when its time has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notifications.domain.facts import Pair, Participant, Session
from services.notifications.domain.kinds import Kind
from services.notifications.domain.messages import (
    Owed,
    owed_for_pair,
    owed_for_participant,
    owed_for_session,
)
from services.notifications.domain.nudges import Situation, due_nudges

DIGEST_LAPSES = timedelta(days=7)


@dataclass(frozen=True)
class Known:
    """Today's facts around one message."""

    programme_status: str | None = None
    manager_employee_id: str | None = None
    participant: Participant | None = None
    pair: Pair | None = None
    session: Session | None = None
    situation: Situation | None = None
    calendar_entry_sent: bool = False
    """The person was sent the booking that a cancellation would take back."""


def has_ground(message: Owed, known: Known, now: datetime) -> bool:
    """Whether the facts of today would make us owe the same message."""
    match message.kind:
        case Kind.INVITATION | Kind.WELCOME:
            today = [] if known.participant is None else owed_for_participant(known.participant)
            return known.programme_status != "closed" and _owes(today, message)
        case Kind.PROPOSAL | Kind.PAIR_CREATED | Kind.PAIR_ENDED | Kind.PROGRAMME_COMPLETED:
            pair = known.pair
            today = [] if pair is None else owed_for_pair(pair, known.manager_employee_id)
            return _owes(today, message)
        case Kind.SESSION_SCHEDULED | Kind.SESSION_CANCELLED | Kind.SESSION_CONFIRM_REQUEST:
            return known.session is not None and _session_has_ground(
                message, known.session, now, calendar_entry_sent=known.calendar_entry_sent
            )
        case Kind.DIGEST:
            fresh = message.about_at is not None and now - message.about_at < DIGEST_LAPSES
            return fresh and known.programme_status == "open"
        case _:
            situation = known.situation
            return situation is not None and _owes(due_nudges(situation, now), message)


def _session_has_ground(
    message: Owed, session: Session, now: datetime, *, calendar_entry_sent: bool
) -> bool:
    if message.kind is Kind.SESSION_CANCELLED and not calendar_entry_sent:
        return False
    return _owes(owed_for_session(session, now), message)


def _owes(today: list[Owed], message: Owed) -> bool:
    return any(owed.key == message.key for owed in today)
