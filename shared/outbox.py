"""The outbox table as the relay uses it: locks on its slots, the oldest rows, and their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import asyncpg

from shared.database import HEADER_COLUMNS, Connection

SLOTS = 16
"""Keys are spread over so many slots, and these over the shards: each slot has its own lock, so
that replicas with another number of shards can run at the same time."""

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class OutboxRecord(NamedTuple):
    """A row of the outbox as the relay reads it."""

    seq: int
    id: str
    topic: str
    key: str
    type: str | None
    headers: str | None
    payload: bytes | None
    attributes: Sequence[str | None]
    """In the order of HEADER_COLUMNS."""


async def take_slots(session: Session, slots: Sequence[int]) -> bool:
    """Lock the slots for as long as the session lives; none is held if one is another's."""
    taken = await session.fetchval(
        """
        SELECT bool_and(pg_try_advisory_lock(
            hashtextextended(current_schema() || ':relay:' || slot, 0)))
        FROM unnest($1::int[]) AS slot
        """,
        slots,
    )
    if not taken:
        await session.execute("SELECT pg_advisory_unlock_all()")
    return bool(taken)


async def sessions_of(session: Session, application: str) -> int:
    """How many sessions of this name there are in the database, this one included."""
    count: int = await session.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = $1 AND datname = current_database()",
        application,
    )
    return count


async def oldest(
    session: Session,
    slots: Sequence[int],
    *,
    busy: Sequence[int],
    held: Sequence[str],
    limit: int,
    limit_bytes: int,
) -> list[OutboxRecord]:
    """The oldest rows of the slots, without the numbers `busy` and the topics `held`.

    Not simply those after the last one read: a number that was taken early may be committed late.
    At least one row, if there is any, then as many as fit `limit_bytes` but for the last.
    """
    if len(slots) == SLOTS:
        rows = await session.fetch(_OLDEST, limit, limit_bytes, busy, held)
    else:
        rows = await session.fetch(_OLDEST_OF_SLOTS, limit, limit_bytes, busy, held, slots)
    return [OutboxRecord._make([*row[:7], row[7:]]) for row in rows]


async def remove(connection: Connection, seqs: Sequence[int], *, journal: bool) -> None:
    """Delete rows, or move them to the journal."""
    await connection.execute(_MOVE_TO_JOURNAL if journal else _DELETE, seqs)


async def vacuum(connection: Connection) -> None:
    """Make the room of deleted rows free, and the way to the oldest one short."""
    await connection.execute("VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF) outbox")


async def restore_journal(connection: Connection) -> int:
    """Put everything published back into the outbox, for a broker that has forgotten it.

    Keeps ids and order, so that consumers drop what they have applied. Returns the number of rows.
    """
    done = await connection.execute(
        """
        WITH gone AS (DELETE FROM journal RETURNING *)
        INSERT INTO outbox OVERRIDING SYSTEM VALUE SELECT * FROM gone ORDER BY seq
        """
    )
    return int(done.split()[-1])


_ATTRIBUTES = ", ".join(HEADER_COLUMNS.values())
_READ = """
    SELECT seq, id::text, aggregatetype, aggregateid, type, headers::text, payload, {attributes}
    FROM (
        SELECT *, sum(octet_length(payload)) OVER (ORDER BY seq) - octet_length(payload) AS before
        FROM ({rows}) AS oldest
    ) AS summed
    WHERE before IS NULL OR before < $2
    ORDER BY seq
"""
_OLDEST = _READ.format(
    attributes=_ATTRIBUTES,
    rows="""
        SELECT * FROM outbox
        WHERE seq <> ALL($3::bigint[]) AND aggregatetype <> ALL($4::text[])
        ORDER BY seq LIMIT $1
    """,
)
_OLDEST_OF_SLOTS = _READ.format(
    attributes=_ATTRIBUTES,
    rows="""
        SELECT own.* FROM unnest($5::bigint[]) AS slots (slot), LATERAL (
            -- as the index outbox_by_slot has it
            SELECT * FROM outbox
            WHERE hashtextextended(aggregateid, 0) & 15 = slot
                AND seq <> ALL($3::bigint[]) AND aggregatetype <> ALL($4::text[])
            ORDER BY seq LIMIT $1
        ) AS own
        ORDER BY seq LIMIT $1
    """,
)
_DELETE = "DELETE FROM outbox WHERE seq = ANY($1)"
_MOVE_TO_JOURNAL = """
    WITH gone AS (DELETE FROM outbox WHERE seq = ANY($1) RETURNING *)
    INSERT INTO journal SELECT * FROM gone ON CONFLICT DO NOTHING
"""
