"""Sessions of a pair: booked, told by one side, confirmed or disputed by the other.

scheduled → logged → confirmed or disputed; scheduled → cancelled; disputed → confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from services.registration.domain.pairs import Pair, check_formed
from services.registration.domain.programmes import Programme, Role
from services.registration.domain.rules import Invalid, Overtaken, RuleBroken

Status = Literal["scheduled", "logged", "confirmed", "disputed", "cancelled"]
Canceller = Literal["mentor", "mentee", "system"]

LATE_BOOKING = timedelta(days=1)
"""A session that began this long ago may still be booked; later it is logged instead."""
FARTHEST_BOOKING = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Session:
    """The whole state of one session; `version` rises with each change."""

    session_id: UUID
    pair_id: UUID
    programme_id: UUID
    mentor_employee_id: str
    mentee_employee_id: str
    status: Status
    version: int
    starts_at: datetime
    minutes: int
    changed_at: datetime
    scheduled_by: Role | None = None
    logged_by: Role | None = None
    logged_at: datetime | None = None
    held: bool | None = None
    no_show_by: Role | None = None
    confirmed_at: datetime | None = None
    disputed_at: datetime | None = None
    cancelled_by: Canceller | None = None
    cancelled_at: datetime | None = None

    @property
    def ends_at(self) -> datetime:
        """When the session is over."""
        return self.starts_at + timedelta(minutes=self.minutes)

    @property
    def occupies(self) -> bool:
        """Whether its time is taken: booked, or said to have taken place."""
        return self.status == "scheduled" or (
            self.status in ("logged", "confirmed") and self.held is True
        )


def schedule(
    programme: Programme,
    pair: Pair,
    others: Iterable[Session],
    *,
    session_id: UUID,
    by: Role,
    starts_at: datetime,
    minutes: int,
    now: datetime,
) -> Session:
    """A booked session. Raises RuleBroken or Invalid."""
    session = Session(
        session_id=session_id,
        pair_id=pair.pair_id,
        programme_id=pair.programme_id,
        mentor_employee_id=pair.mentor_employee_id,
        mentee_employee_id=pair.mentee_employee_id,
        status="scheduled",
        version=1,
        starts_at=starts_at,
        minutes=minutes,
        changed_at=now,
        scheduled_by=by,
    )
    _check_booking(programme, pair, session, others, now)
    return session


def reschedule(
    programme: Programme,
    pair: Pair,
    session: Session,
    others: Iterable[Session],
    *,
    starts_at: datetime,
    minutes: int | None,
    now: datetime,
) -> Session:
    """The session at another time. The same time once more changes nothing."""
    if session.status != "scheduled":
        raise _not_open(session, "moved")
    moved = replace(session, starts_at=starts_at, minutes=minutes or session.minutes)
    if moved == session:
        return session
    _check_booking(programme, pair, moved, others, now)
    return replace(moved, version=session.version + 1, changed_at=now)


def log(
    session: Session, *, by: Role, held: bool, no_show_by: Role | None, now: datetime
) -> Session:
    """What became of a booked session, as one side tells it after its start."""
    if held and no_show_by is not None:
        raise Invalid(
            "no_show_by", "Nobody was missing from a session that was held.", "Leave it out."
        )
    if session.status != "scheduled":
        raise _not_open(session, "logged")
    if now < session.starts_at:
        raise RuleBroken(
            "held",
            "The session has not begun.",
            "Log it after its start; cancel it if it will not take place.",
        )
    return replace(
        session,
        status="logged",
        version=session.version + 1,
        changed_at=now,
        logged_by=by,
        logged_at=now,
        held=held,
        no_show_by=no_show_by,
    )


def log_unbooked(
    pair: Pair,
    others: Iterable[Session],
    *,
    session_id: UUID,
    by: Role,
    started_at: datetime,
    minutes: int,
    now: datetime,
) -> Session:
    """A session that was held without having been booked."""
    check_formed(pair)
    if started_at > now:
        raise Invalid("started_at", "Lies in the future.", "Book the session instead.")
    if pair.created_at is not None and started_at < pair.created_at:
        raise Invalid(
            "started_at", "Lies before the pair was formed.", "Send the time of a later session."
        )
    if pair.closed_at is not None and started_at >= pair.closed_at:
        raise Invalid(
            "started_at", "Lies after the end of the pair.", "Send the time of an earlier session."
        )
    session = Session(
        session_id=session_id,
        pair_id=pair.pair_id,
        programme_id=pair.programme_id,
        mentor_employee_id=pair.mentor_employee_id,
        mentee_employee_id=pair.mentee_employee_id,
        status="logged",
        version=1,
        starts_at=started_at,
        minutes=minutes,
        changed_at=now,
        logged_by=by,
        logged_at=now,
        held=True,
    )
    _check_free(session, others, "started_at")
    return session


def confirm(session: Session, *, by: Role, now: datetime) -> Session:
    """The other side agrees; also somebody who disputed it by mistake."""
    if session.status == "confirmed":
        raise Overtaken("session_id", "The session is confirmed already.", "Nothing to do.")
    _check_other_side(session, by)
    return replace(
        session,
        status="confirmed",
        version=session.version + 1,
        changed_at=now,
        confirmed_at=now,
        disputed_at=None,
    )


def dispute(session: Session, *, by: Role, now: datetime) -> Session:
    """The other side disagrees: the session does not count."""
    if session.status != "logged":
        raise _not_open(session, "disputed")
    _check_other_side(session, by)
    return replace(
        session, status="disputed", version=session.version + 1, changed_at=now, disputed_at=now
    )


def cancel(session: Session, *, by: Canceller, now: datetime) -> Session:
    """The session is called off before its start; who and when is kept."""
    if session.status != "scheduled":
        raise _not_open(session, "cancelled")
    if now >= session.starts_at:
        raise RuleBroken(
            "session_id",
            "The session has begun.",
            "Log it with held=false if it did not take place.",
        )
    return replace(
        session,
        status="cancelled",
        version=session.version + 1,
        changed_at=now,
        cancelled_by=by,
        cancelled_at=now,
    )


def _check_booking(
    programme: Programme, pair: Pair, session: Session, others: Iterable[Session], now: datetime
) -> None:
    if pair.status != "active":
        raise RuleBroken(
            "pair_id",
            "Sessions are booked for active pairs.",
            "Wait until the pair is formed or resumed.",
        )
    if session.starts_at < now - LATE_BOOKING:
        raise Invalid(
            "starts_at",
            "Lies in the past.",
            "Send a time to come; log a session that was held as a session log.",
        )
    if session.starts_at > now + FARTHEST_BOOKING:
        raise Invalid("starts_at", "Is more than a year away.", "Send an earlier time.")
    if session.starts_at.date() >= programme.ends_on:
        raise Invalid(
            "starts_at",
            f"Lies after the programme, which ends on {programme.ends_on}.",
            "Send an earlier time.",
        )
    _check_free(session, others, "starts_at")


def _check_free(session: Session, others: Iterable[Session], field: str) -> None:
    for other in others:
        if (
            other.session_id != session.session_id
            and other.occupies
            and other.starts_at < session.ends_at
            and session.starts_at < other.ends_at
        ):
            raise RuleBroken(
                field,
                "Overlaps another session of the pair, "
                f"from {other.starts_at.isoformat()} for {other.minutes} minutes.",
                "Choose another time, or move that session.",
            )


def _check_other_side(session: Session, by: Role) -> None:
    if session.status not in ("logged", "disputed"):
        raise _not_open(session, "confirmed")
    if session.logged_by == by:
        raise RuleBroken(
            "session_id",
            "You logged this session yourself.",
            "The other side confirms or disputes it.",
        )


def _not_open(session: Session, verb: str) -> Overtaken:
    return Overtaken(
        "session_id",
        f"The session is {session.status}, so it cannot be {verb}.",
        "Look at its present state.",
    )
