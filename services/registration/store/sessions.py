"""Sessions: rows in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from services.registration.domain.sessions import Session

if TYPE_CHECKING:
    import asyncpg

    from shared.database import Connection

_FIELDS = tuple(field.name for field in fields(Session))


async def session(
    connection: Connection, session_id: UUID, *, lock: bool = False
) -> Session | None:
    """The session, if there is one; `lock` keeps others from changing it meanwhile."""
    if lock:
        row = await connection.fetchrow(
            "SELECT * FROM sessions WHERE session_id = $1 FOR UPDATE", session_id
        )
    else:
        row = await connection.fetchrow("SELECT * FROM sessions WHERE session_id = $1", session_id)
    return _session(row) if row else None


async def sessions_of_pairs(connection: Connection, pair_ids: Sequence[UUID]) -> list[Session]:
    """All sessions of these pairs, earliest first."""
    rows = await connection.fetch(
        "SELECT * FROM sessions WHERE pair_id = ANY ($1) ORDER BY starts_at, session_id",
        list(pair_ids),
    )
    return [_session(row) for row in rows]


async def save(connection: Connection, one: Session) -> None:
    """Record the state of a session."""
    await connection.execute(
        """
        INSERT INTO sessions (
            session_id, pair_id, programme_id, mentor_employee_id, mentee_employee_id, status,
            version, starts_at, minutes, changed_at, scheduled_by, logged_by, logged_at, held,
            no_show_by, confirmed_at, disputed_at, cancelled_by, cancelled_at
        ) VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
        )
        ON CONFLICT (session_id) DO UPDATE SET
            status = excluded.status, version = excluded.version, starts_at = excluded.starts_at,
            minutes = excluded.minutes, changed_at = excluded.changed_at,
            logged_by = excluded.logged_by, logged_at = excluded.logged_at, held = excluded.held,
            no_show_by = excluded.no_show_by, confirmed_at = excluded.confirmed_at,
            disputed_at = excluded.disputed_at, cancelled_by = excluded.cancelled_by,
            cancelled_at = excluded.cancelled_at
        """,
        *(getattr(one, name) for name in _FIELDS),
    )


async def cancel_future_sessions(
    connection: Connection, pair_ids: Sequence[UUID], now: datetime
) -> list[Session]:
    """Call off what these pairs have booked from now on; returns those sessions."""
    rows = await connection.fetch(
        """
        UPDATE sessions SET
            status = 'cancelled', version = version + 1, cancelled_by = 'system',
            cancelled_at = $2, changed_at = $2
        WHERE pair_id = ANY ($1) AND status = 'scheduled' AND starts_at > $2
        RETURNING *
        """,
        list(pair_ids),
        now,
    )
    return [_session(row) for row in rows]


def _session(row: asyncpg.Record) -> Session:
    return Session(**{name: row[name] for name in _FIELDS})
