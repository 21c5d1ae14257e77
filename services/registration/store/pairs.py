"""Pairs as matching published them, and the answers given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from services.registration.domain.pairs import Answerer, Pair

if TYPE_CHECKING:
    import asyncpg

    from shared.database import Connection


async def remember(connection: Connection, pairs: Sequence[Pair]) -> list[Pair]:
    """Keep the newest version of each pair; returns those that were news, each pair once.

    `pairs` holds each pair at most once.
    """
    if not pairs:
        return []
    rows = await connection.fetch(
        """
        INSERT INTO pairs AS known (
            pair_id, programme_id, mentor_id, mentee_id, mentor_employee_id, mentee_employee_id,
            status, version, awaiting, asked, topics, proposed_at, expires_at, created_at,
            closed_at
        )
        SELECT pair_id, programme_id, mentor_id, mentee_id, mentor_employee_id,
               mentee_employee_id, status, version, awaiting,
               -- unnest takes arrays of arrays apart, so lists travel as text.
               string_to_array(asked, ','), ARRAY(SELECT jsonb_array_elements_text(topics::jsonb)),
               proposed_at, expires_at, created_at, closed_at
        FROM unnest(
            $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],
            $8::integer[], $9::text[], $10::text[], $11::text[], $12::timestamptz[],
            $13::timestamptz[], $14::timestamptz[], $15::timestamptz[]
        ) AS news (
            pair_id, programme_id, mentor_id, mentee_id, mentor_employee_id, mentee_employee_id,
            status, version, awaiting, asked, topics, proposed_at, expires_at, created_at,
            closed_at
        )
        -- In one order everywhere, so that two consumers cannot block each other.
        ORDER BY pair_id
        ON CONFLICT (pair_id) DO UPDATE SET
            status = excluded.status, version = excluded.version, awaiting = excluded.awaiting,
            asked = ARRAY(SELECT DISTINCT unnest(known.asked || excluded.asked)),
            topics = excluded.topics, expires_at = excluded.expires_at,
            created_at = excluded.created_at, closed_at = excluded.closed_at
        WHERE known.version < excluded.version
        RETURNING *
        """,
        *_columns(pairs),
    )
    return [_pair(row) for row in rows]


def _columns(pairs: Sequence[Pair]) -> list[list[object]]:
    import json

    rows = [
        (
            one.pair_id,
            one.programme_id,
            one.mentor_id,
            one.mentee_id,
            one.mentor_employee_id,
            one.mentee_employee_id,
            one.status,
            one.version,
            one.awaiting,
            ",".join(sorted(one.asked)),
            json.dumps(one.topics),
            one.proposed_at,
            one.expires_at,
            one.created_at,
            one.closed_at,
        )
        for one in pairs
    ]
    return [list(column) for column in zip(*rows, strict=True)]


async def pair(connection: Connection, pair_id: UUID, *, lock: bool = False) -> Pair | None:
    """The pair, if it is known; `lock` keeps it from ending meanwhile."""
    if lock:
        row = await connection.fetchrow(
            "SELECT * FROM pairs WHERE pair_id = $1 FOR UPDATE", pair_id
        )
    else:
        row = await connection.fetchrow("SELECT * FROM pairs WHERE pair_id = $1", pair_id)
    return _pair(row) if row else None


async def pairs_of_employee(connection: Connection, employee_id: str) -> list[Pair]:
    """All pairs of a person on either side, newest first."""
    rows = await connection.fetch(
        """
        SELECT * FROM pairs WHERE mentor_employee_id = $1
        UNION
        SELECT * FROM pairs WHERE mentee_employee_id = $1
        ORDER BY pair_id DESC
        """,
        employee_id,
    )
    return [_pair(row) for row in rows]


async def answer(
    connection: Connection, pair_id: UUID, by: Answerer
) -> tuple[str, datetime] | None:
    """What a side said to a proposal, and when; None: nothing yet."""
    row = await connection.fetchrow(
        "SELECT answer, answered_at FROM answers WHERE pair_id = $1 AND by = $2", pair_id, by
    )
    return (row["answer"], row["answered_at"]) if row else None


async def record_answer(
    connection: Connection, pair_id: UUID, by: Answerer, answer: str, now: datetime
) -> None:
    """Keep what a side said. Raises UniqueViolationError when it said something before."""
    await connection.execute(
        "INSERT INTO answers (pair_id, by, answer, answered_at) VALUES ($1, $2, $3, $4)",
        pair_id,
        by,
        answer,
        now,
    )


def _pair(row: asyncpg.Record) -> Pair:
    return Pair(
        pair_id=row["pair_id"],
        programme_id=row["programme_id"],
        mentor_id=row["mentor_id"],
        mentee_id=row["mentee_id"],
        mentor_employee_id=row["mentor_employee_id"],
        mentee_employee_id=row["mentee_employee_id"],
        status=row["status"],
        version=row["version"],
        awaiting=row["awaiting"],
        asked=frozenset(row["asked"]),
        topics=tuple(row["topics"]),
        proposed_at=row["proposed_at"],
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        closed_at=row["closed_at"],
    )
