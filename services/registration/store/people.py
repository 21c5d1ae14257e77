"""What enrolment and link pages ask of the directory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.database import Connection


async def hold_employment(connection: Connection, employee_ids: Sequence[str]) -> None:
    """Keep these people's employment as it is until the transaction ends."""
    # Without it somebody could join in the moment in which their departure is recorded.
    await connection.execute(
        "SELECT FROM employees WHERE employee_id = ANY ($1) ORDER BY employee_id FOR SHARE",
        list(employee_ids),
    )


async def locale(connection: Connection, employee_id: str) -> str:
    """A person's locale; "en" when it is not known."""
    found = await connection.fetchval(
        "SELECT locale FROM contacts WHERE employee_id = $1", employee_id
    )
    return str(found or "en")


async def names(connection: Connection, employee_ids: Collection[str]) -> dict[str, str]:
    """Display names of those people who have one."""
    rows = await connection.fetch(
        "SELECT employee_id, display_name FROM contacts"
        " WHERE employee_id = ANY ($1) AND display_name IS NOT NULL",
        list(employee_ids),
    )
    return {row["employee_id"]: row["display_name"] for row in rows}


async def unknown_employees(connection: Connection, employee_ids: Collection[str]) -> list[str]:
    """Those ids that belong to nobody."""
    rows = await connection.fetch(
        """
        SELECT id FROM unnest($1::text[]) AS asked (id)
        WHERE NOT EXISTS (SELECT FROM employees WHERE employee_id = id)
        """,
        list(employee_ids),
    )
    return [row["id"] for row in rows]


async def parked_hr_records(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Records of HR that could not be applied, newest first; a key that is no text is escaped."""
    rows = await connection.fetch(
        """
        SELECT event_id, topic, part AS partition, off AS offset, key, reason, parked_at
        FROM parked WHERE topic = 'hr.employees'
        ORDER BY parked_at DESC, event_id DESC LIMIT $1
        """,
        limit,
    )
    return [
        {**row, "key": row["key"] and bytes(row["key"]).decode("utf-8", "backslashreplace")}
        for row in rows
    ]
