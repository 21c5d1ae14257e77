"""Programmes: rows in and out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from services.registration.domain.programmes import Audience, Programme
from shared.catalogue import ProgrammeRules

if TYPE_CHECKING:
    import asyncpg

    from shared.database import Connection


@dataclass(frozen=True, slots=True)
class StoredProgramme:
    """A programme with all that its manager decided, as events and answers show it."""

    programme: Programme
    rules: ProgrammeRules
    changed_at: datetime


async def programme(connection: Connection, programme_id: UUID) -> StoredProgramme | None:
    """The programme, if there is one."""
    row = await connection.fetchrow(
        "SELECT * FROM programmes WHERE programme_id = $1", programme_id
    )
    return _stored(row) if row else None


async def programme_in_force(connection: Connection, programme_id: UUID) -> StoredProgramme | None:
    """The programme, if there is one; its rules stay as they are until the transaction ends."""
    row = await connection.fetchrow(
        "SELECT * FROM programmes WHERE programme_id = $1 FOR SHARE", programme_id
    )
    return _stored(row) if row else None


async def programme_to_change(connection: Connection, programme_id: UUID) -> StoredProgramme | None:
    """The programme, if there is one, locked."""
    row = await connection.fetchrow(
        "SELECT * FROM programmes WHERE programme_id = $1 FOR UPDATE", programme_id
    )
    return _stored(row) if row else None


async def programmes(connection: Connection) -> list[StoredProgramme]:
    """All programmes, newest first."""
    rows = await connection.fetch("SELECT * FROM programmes ORDER BY programme_id DESC")
    return [_stored(row) for row in rows]


async def visible_programmes(connection: Connection, employee_id: str) -> list[StoredProgramme]:
    """Programmes that an employee may know of: open to all, or theirs; newest first."""
    rows = await connection.fetch(
        """
        SELECT * FROM programmes p
        WHERE rules ->> 'enrolment' = 'open'
           OR EXISTS (SELECT FROM participants
                      WHERE employee_id = $1 AND programme_id = p.programme_id)
        ORDER BY programme_id DESC
        """,
        employee_id,
    )
    return [_stored(row) for row in rows]


async def programmes_over(connection: Connection, today: date) -> list[StoredProgramme]:
    """Open programmes whose last day has passed, locked."""
    rows = await connection.fetch(
        "SELECT * FROM programmes WHERE status = 'open' AND ends_on <= $1 FOR UPDATE SKIP LOCKED",
        today,
    )
    return [_stored(row) for row in rows]


async def save(
    connection: Connection,
    programme_id: UUID,
    version: int,
    status: str,
    rules: ProgrammeRules,
    now: datetime,
) -> StoredProgramme:
    """Record a programme's state and return it."""
    row = await connection.fetchrow(
        """
        INSERT INTO programmes (programme_id, version, status, ends_on, rules, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (programme_id) DO UPDATE SET
            version = excluded.version, status = excluded.status, ends_on = excluded.ends_on,
            rules = excluded.rules, changed_at = excluded.changed_at
        RETURNING *
        """,
        programme_id,
        version,
        status,
        rules.ends_on,
        rules.model_dump(mode="json"),
        now,
    )
    assert row is not None
    return _stored(row)


def _stored(row: asyncpg.Record) -> StoredProgramme:
    rules = ProgrammeRules.model_validate(row["rules"])
    programme = Programme(
        programme_id=row["programme_id"],
        version=row["version"],
        status=row["status"],
        name=rules.name,
        starts_on=rules.starts_on,
        ends_on=rules.ends_on,
        enrolment=rules.enrolment,
        audience=Audience(**rules.audience.model_dump()),
        min_level_gap=rules.min_level_gap,
        mentor_capacity=rules.mentor_capacity,
        mentee_capacity=rules.mentee_capacity,
        training_required=rules.training_required,
        agreement_version=rules.agreement_version,
        approval=rules.approval,
        session_minutes=rules.session_minutes,
        focus_topics=rules.focus_topics,
        manager_employee_id=rules.manager_employee_id,
    )
    return StoredProgramme(programme, rules, row["changed_at"])
