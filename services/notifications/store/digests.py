"""Which programmes' managers get a digest, and when."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.database import Transaction


async def digests_due(tx: Transaction) -> list[tuple[UUID, str]]:
    """(programme, manager) whose digest is due, locked."""
    rows = await tx.connection.fetch(
        """
        SELECT programme_id, manager_employee_id FROM programmes
        WHERE status = 'open' AND manager_employee_id IS NOT NULL AND next_digest_at <= $1
        ORDER BY programme_id LIMIT 500
        FOR UPDATE SKIP LOCKED
        """,
        tx.now,
    )
    return [(row["programme_id"], row["manager_employee_id"]) for row in rows]


async def set_next_digest(tx: Transaction, programme_ids: list[UUID], at: datetime) -> None:
    """Keep when these programmes' next digest is due."""
    await tx.connection.execute(
        "UPDATE programmes SET next_digest_at = $2 WHERE programme_id = ANY($1)", programme_ids, at
    )
