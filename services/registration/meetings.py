"""What the two sides do to their sessions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from services.registration import facts
from services.registration.answering import own_pair
from services.registration.domain import sessions as rules
from services.registration.domain.programmes import Programme, Role
from services.registration.domain.rules import Unknown
from services.registration.domain.sessions import Session
from services.registration.store import pairs, programmes, sessions
from shared.catalogue import (
    SessionCancelled,
    SessionConfirmed,
    SessionDisputed,
    SessionFact,
    SessionLogged,
    SessionScheduled,
)
from shared.database import Transaction
from shared.ids import new_id


async def own_session(
    tx: Transaction, session_id: UUID, employee_id: str | None, *, lock: bool = True
) -> tuple[Session, Role]:
    """The session of an employee's pair, and their side. Raises Unknown."""
    session = await sessions.session(tx.connection, session_id, lock=lock)
    if session is not None and employee_id is not None:
        if employee_id == session.mentor_employee_id:
            return session, "mentor"
        if employee_id == session.mentee_employee_id:
            return session, "mentee"
    raise Unknown("session")


async def schedule(
    tx: Transaction, pair_id: UUID, employee_id: str, starts_at: datetime, minutes: int | None
) -> Session:
    """Book a session; it lasts as long as the programme says unless `minutes` says otherwise."""
    # The lock on the pair makes bookings of the same hour, and the pair's end, wait in line.
    pair, role = await own_pair(tx, pair_id, employee_id, lock=True)
    programme = await _programme(tx, pair.programme_id)
    session = rules.schedule(
        programme,
        pair,
        await sessions.sessions_of_pairs(tx.connection, [pair_id]),
        session_id=new_id(tx.now),
        by=role,
        starts_at=starts_at,
        minutes=minutes or programme.session_minutes,
        now=tx.now,
    )
    return await _save(tx, SessionScheduled, session)


async def log_unbooked(
    tx: Transaction, pair_id: UUID, employee_id: str, started_at: datetime, minutes: int
) -> Session:
    """Log a session that was held without a booking."""
    pair, role = await own_pair(tx, pair_id, employee_id, lock=True)
    session = rules.log_unbooked(
        pair,
        await sessions.sessions_of_pairs(tx.connection, [pair_id]),
        session_id=new_id(tx.now),
        by=role,
        started_at=started_at,
        minutes=minutes,
        now=tx.now,
    )
    return await _save(tx, SessionLogged, session)


async def reschedule(
    tx: Transaction, session_id: UUID, employee_id: str, starts_at: datetime, minutes: int | None
) -> Session:
    """Move a booked session."""
    known, _ = await own_session(tx, session_id, employee_id, lock=False)
    # The pair before the session: its end locks in this order too.
    pair = await pairs.pair(tx.connection, known.pair_id, lock=True)
    session, _ = await own_session(tx, session_id, employee_id)
    assert pair is not None
    moved = rules.reschedule(
        await _programme(tx, pair.programme_id),
        pair,
        session,
        await sessions.sessions_of_pairs(tx.connection, [pair.pair_id]),
        starts_at=starts_at,
        minutes=minutes,
        now=tx.now,
    )
    return session if moved is session else await _save(tx, SessionScheduled, moved)


async def log(
    tx: Transaction, session_id: UUID, employee_id: str, *, held: bool, no_show_by: Role | None
) -> Session:
    """Say what became of a booked session."""

    def step(session: Session, role: Role) -> Session:
        return rules.log(session, by=role, held=held, no_show_by=no_show_by, now=tx.now)

    return await _change(tx, session_id, employee_id, SessionLogged, step)


async def confirm(tx: Transaction, session_id: UUID, employee_id: str) -> Session:
    """Agree with what the other side logged."""

    def step(session: Session, role: Role) -> Session:
        return rules.confirm(session, by=role, now=tx.now)

    return await _change(tx, session_id, employee_id, SessionConfirmed, step)


async def dispute(tx: Transaction, session_id: UUID, employee_id: str) -> Session:
    """Disagree with what the other side logged."""

    def step(session: Session, role: Role) -> Session:
        return rules.dispute(session, by=role, now=tx.now)

    return await _change(tx, session_id, employee_id, SessionDisputed, step)


async def cancel(tx: Transaction, session_id: UUID, employee_id: str) -> Session:
    """Call off a booked session."""

    def step(session: Session, role: Role) -> Session:
        return rules.cancel(session, by=role, now=tx.now)

    return await _change(tx, session_id, employee_id, SessionCancelled, step)


async def _change(
    tx: Transaction,
    session_id: UUID,
    employee_id: str,
    fact: type[SessionFact],
    step: Callable[[Session, Role], Session],
) -> Session:
    session, role = await own_session(tx, session_id, employee_id)
    return await _save(tx, fact, step(session, role))


async def _save(tx: Transaction, fact: type[SessionFact], session: Session) -> Session:
    await sessions.save(tx.connection, session)
    tx.publish(facts.session_fact(fact, session))
    return session


async def _programme(tx: Transaction, programme_id: UUID) -> Programme:
    stored = await programmes.programme(tx.connection, programme_id)
    if stored is None:
        raise Unknown("programme")
    return stored.programme
