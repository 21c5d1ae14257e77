"""Which messages a fact makes us owe, each with the key that lets it be owed only once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from services.notifications.domain.facts import (
    SIDES,
    Pair,
    Participant,
    Recipient,
    Session,
    other_side,
)
from services.notifications.domain.kinds import Kind


@dataclass(frozen=True)
class Owed:
    """One message to one person.

    `key` is the same whenever the same occasion is met again, so repetition owes nothing new; a
    message still has its ground as long as today's facts lead to the same key.
    """

    kind: Kind
    employee_id: str
    recipient: Recipient
    key: str
    programme_id: UUID
    participant_id: UUID | None = None
    pair_id: UUID | None = None
    session_id: UUID | None = None
    about_at: datetime | None = None
    """For a digest: the end of the week that it covers."""


def stamp(moment: datetime) -> str:
    """A moment as it stands in keys."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S")


def question_key(pair_id: UUID, awaiting: str) -> str:
    """The question a proposal puts to one person; its reminders ask the same question."""
    return f"proposal:{pair_id}:{awaiting}"


def owed_for_participant(participant: Participant) -> list[Owed]:
    """An invitation to those invited, a welcome to those who joined."""
    if participant.status == "invited" and participant.invited_at is not None:
        kind, since = Kind.INVITATION, participant.invited_at
    elif participant.status in ("enrolled", "ready") and participant.enrolled_at is not None:
        kind, since = Kind.WELCOME, participant.enrolled_at
    else:
        return []
    return [
        Owed(
            kind=kind,
            employee_id=participant.employee_id,
            recipient=participant.role,
            key=f"{kind}:{participant.participant_id}:{stamp(since)}",
            programme_id=participant.programme_id,
            participant_id=participant.participant_id,
        )
    ]


def owed_for_pair(pair: Pair, manager_employee_id: str | None = None) -> list[Owed]:
    """What the two, or the programme manager, are told about a pair in this state."""
    if pair.status == "proposed":
        return _proposal(pair, manager_employee_id)
    if pair.created_at is None:
        # Declined and expired proposals stay silent: nobody learns who said no.
        return []
    if pair.status in ("active", "paused"):
        return _to_both(pair, Kind.PAIR_CREATED)
    if pair.status == "completed":
        return _to_both(pair, Kind.PROGRAMME_COMPLETED)
    if pair.status == "ended":
        gone = pair.left_by if pair.reason == "leaver" else None
        return [m for m in _to_both(pair, Kind.PAIR_ENDED) if m.recipient != gone]
    return []


def _proposal(pair: Pair, manager_employee_id: str | None) -> list[Owed]:
    awaiting = pair.awaiting
    if awaiting is None:
        return []
    asked = manager_employee_id if awaiting == "manager" else pair.employee(awaiting)
    if asked is None:
        return []
    return [
        Owed(
            kind=Kind.PROPOSAL,
            employee_id=asked,
            recipient=awaiting,
            key=question_key(pair.pair_id, awaiting),
            programme_id=pair.programme_id,
            pair_id=pair.pair_id,
        )
    ]


def _to_both(pair: Pair, kind: Kind) -> list[Owed]:
    return [
        Owed(
            kind=kind,
            employee_id=pair.employee(role),
            recipient=role,
            key=f"{kind}:{pair.pair_id}:{role}",
            programme_id=pair.programme_id,
            pair_id=pair.pair_id,
        )
        for role in SIDES
    ]


def owed_for_session(session: Session, now: datetime) -> list[Owed]:
    """The calendar entry, its withdrawal, or the question whether a log is right.

    Once its time has come, nobody is told any more that a session is, or is not, to take place.
    """
    coming = now < session.starts_at
    if session.status == "scheduled" and coming:
        return [session_message(session, Kind.SESSION_SCHEDULED, role) for role in SIDES]
    if session.status == "cancelled" and coming:
        return [session_message(session, Kind.SESSION_CANCELLED, role) for role in SIDES]
    if session.status == "logged" and session.logged_by is not None:
        role = other_side(session.logged_by)
        return [session_message(session, Kind.SESSION_CONFIRM_REQUEST, role)]
    return []


def session_message(session: Session, kind: Kind, role: Recipient) -> Owed:
    """A message about this state of a session, to the mentor or the mentee."""
    side = "mentor" if role == "mentor" else "mentee"
    return Owed(
        kind=kind,
        employee_id=session.mentor_employee_id if side == "mentor" else session.mentee_employee_id,
        recipient=role,
        key=f"{kind}:{session.session_id}:{session.version}:{role}",
        programme_id=session.programme_id,
        pair_id=session.pair_id,
        session_id=session.session_id,
    )


def owed_digest(programme_id: UUID, manager_employee_id: str, monday: date) -> Owed:
    """The manager's digest of the seven days before a Monday."""
    return Owed(
        kind=Kind.DIGEST,
        employee_id=manager_employee_id,
        recipient="manager",
        key=f"{Kind.DIGEST}:{programme_id}:{monday}",
        programme_id=programme_id,
        about_at=datetime(monday.year, monday.month, monday.day, tzinfo=UTC),
    )
