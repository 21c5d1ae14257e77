"""SQL about what a manager wants of two people, and about the pairs that a snapshot must know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias
from uuid import UUID

import asyncpg

from services.matching.domain.people import Person
from services.matching.store.runs import Couple
from shared.database import Transaction

LockKind: TypeAlias = Literal["together", "apart"]


async def put_lock(
    tx: Transaction, programme_id: UUID, couple: Couple, kind: LockKind | None, set_by: str
) -> bool:
    """Lock two people together or apart, or take their lock off; False where nothing changes."""
    if kind is None:
        changed = await tx.connection.fetchval(
            "DELETE FROM pair_locks WHERE programme_id = $1 AND mentor_id = $2 AND mentee_id = $3"
            " RETURNING true",
            programme_id,
            *couple,
        )
    else:
        changed = await tx.connection.fetchval(
            """
            INSERT INTO pair_locks AS known VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (programme_id, mentor_id, mentee_id) DO UPDATE SET
                kind = excluded.kind, set_by = excluded.set_by, set_at = excluded.set_at
            WHERE known.kind <> excluded.kind
            RETURNING true
            """,
            programme_id,
            *couple,
            kind,
            set_by,
            tx.now,
        )
    if changed:
        await tx.connection.execute(
            "INSERT INTO pair_lock_log (programme_id, mentor_id, mentee_id, kind, set_by, set_at)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            programme_id,
            *couple,
            kind,
            set_by,
            tx.now,
        )
    return bool(changed)


async def lock_rows(tx: Transaction, programme_id: UUID) -> list[asyncpg.Record]:
    """A programme's locks, newest first."""
    return await tx.connection.fetch(
        "SELECT * FROM pair_locks WHERE programme_id = $1 ORDER BY set_at DESC, mentor_id,"
        " mentee_id",
        programme_id,
    )


async def lock_log_rows(tx: Transaction, programme_id: UUID, limit: int) -> list[asyncpg.Record]:
    """Who locked whom and took locks off, newest first."""
    return await tx.connection.fetch(
        "SELECT * FROM pair_lock_log WHERE programme_id = $1 ORDER BY number DESC LIMIT $2",
        programme_id,
        limit,
    )


async def roles_of(tx: Transaction, programme_id: UUID, couple: Couple) -> dict[UUID, str]:
    """The roles that these two have in the programme, as far as they take part in it."""
    rows = await tx.connection.fetch(
        "SELECT participant_id, role FROM participants"
        " WHERE programme_id = $1 AND participant_id = ANY($2)",
        programme_id,
        list(couple),
    )
    return {row["participant_id"]: row["role"] for row in rows}


async def are_paired(tx: Transaction, couple: Couple) -> bool:
    """Whether the two are a living pair."""
    found = await tx.connection.fetchval(
        "SELECT EXISTS (SELECT FROM pairs WHERE mentor_id = $1 AND mentee_id = $2"
        " AND status IN ('proposed', 'active', 'paused'))",
        *couple,
    )
    return bool(found)


async def couples_locked(
    tx: Transaction, programme_id: UUID, kind: LockKind, *, living: bool = False
) -> list[Couple]:
    """The couples of a programme that are locked this way; living pairs only where asked for."""
    rows = await tx.connection.fetch(
        """
        SELECT mentor_id, mentee_id FROM pair_locks AS locked
        WHERE programme_id = $1 AND kind = $2 AND ($3 OR NOT EXISTS (
            SELECT FROM pairs WHERE pairs.mentor_id = locked.mentor_id
            AND pairs.mentee_id = locked.mentee_id AND status IN ('proposed', 'active', 'paused')))
        """,
        programme_id,
        kind,
        living,
    )
    return _couples(rows)


async def couples_rejected(tx: Transaction, programme_id: UUID) -> list[Couple]:
    """The couples that a manager rejected when last asked, and has not locked together since."""
    rows = await tx.connection.fetch(
        """
        SELECT mentor_id, mentee_id FROM (
            SELECT DISTINCT ON (mentor_id, mentee_id) mentor_id, mentee_id, fate
            FROM match_runs JOIN run_pairs USING (run_id)
            -- without a fate: nobody has looked at it
            WHERE programme_id = $1 AND review AND fate IS NOT NULL
            ORDER BY mentor_id, mentee_id, requested_at DESC, run_id DESC) AS last
        WHERE fate = 'rejected'
        EXCEPT SELECT mentor_id, mentee_id FROM pair_locks
            WHERE programme_id = $1 AND kind = 'together'
        EXCEPT SELECT mentor_id, mentee_id FROM pairs
            WHERE programme_id = $1 AND status IN ('proposed', 'active', 'paused')
        """,
        programme_id,
    )
    return _couples(rows)


async def couples_in_review(tx: Transaction, programme_id: UUID) -> list[Couple]:
    """Drafts that wait for a manager: their seats are held for them."""
    rows = await tx.connection.fetch(
        """
        SELECT mentor_id, mentee_id FROM match_runs JOIN run_pairs USING (run_id)
        WHERE programme_id = $1 AND state IN ('review', 'approved')
          AND (fate IS NULL OR fate = 'approved')
        """,
        programme_id,
    )
    return _couples(rows)


async def living_couples(tx: Transaction, programme_id: UUID) -> list[Couple]:
    """The living pairs of a programme."""
    rows = await tx.connection.fetch(
        "SELECT mentor_id, mentee_id FROM pairs"
        " WHERE programme_id = $1 AND status IN ('proposed', 'active', 'paused')",
        programme_id,
    )
    return _couples(rows)


def kept_apart(people: Mapping[UUID, Person], couples: Iterable[Couple]) -> dict[UUID, Person]:
    """The people, each with the other one of their couples among those they block."""
    told = dict(people)
    for mentor_id, mentee_id in couples:
        mentor, mentee = told.get(mentor_id), told.get(mentee_id)
        if mentor is not None and mentee is not None:
            told[mentor_id] = replace(mentor, blocks=mentor.blocks | {mentee.employee_id})
            told[mentee_id] = replace(mentee, blocks=mentee.blocks | {mentor.employee_id})
    return told


def _couples(rows: Iterable[asyncpg.Record]) -> list[Couple]:
    return [(row["mentor_id"], row["mentee_id"]) for row in rows]
