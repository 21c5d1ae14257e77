"""Signed links that were used up."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from shared.database import Connection


async def used_action(connection: Connection, group: UUID) -> str | None:
    """Which answer to a mail's question was given by link; None: none yet."""
    action: str | None = await connection.fetchval(
        "SELECT action FROM used_links WHERE link_group = $1", group
    )
    return action


async def use(connection: Connection, group: UUID, action: str, now: datetime) -> bool:
    """Use up all links of a question; False: one of them was used before."""
    # A second click waits here for the first one's transaction, and then finds its row.
    return bool(
        await connection.fetchval(
            """
            INSERT INTO used_links (link_group, action, used_at) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING RETURNING true
            """,
            group,
            action,
            now,
        )
    )
