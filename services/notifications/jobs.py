"""Work by the clock: nudges and digests are owed when their moment in programme time comes."""

from __future__ import annotations

from datetime import timedelta

from services.notifications.domain.digest_week import next_monday
from services.notifications.domain.messages import owed_digest
from services.notifications.domain.nudges import due_nudges, next_look
from services.notifications.store import digests, messages, situations
from shared.database import Database

PAIRS_AT_ONCE = 500
ROUNDS_AT_ONCE = 20
"""Bounds one call, so that health sees progress while a backlog is worked off."""


async def owe_nudges(database: Database) -> None:
    """Look at the pairs whose next look is due, and owe what the rules say."""
    for _ in range(ROUNDS_AT_ONCE):
        async with database.transaction() as tx:
            pair_ids = await situations.pairs_to_look_at(tx, PAIRS_AT_ONCE)
            if not pair_ids:
                return
            found = await situations.situations_of(tx, pair_ids)
            owed = [m for situation in found.values() for m in due_nudges(situation, tx.now)]
            await messages.owe(tx, owed)
            looks = {pair_id: next_look(s, tx.now) for pair_id, s in found.items()}
            await situations.set_next_looks(tx, looks)


async def owe_digests(database: Database) -> None:
    """Owe each programme manager the digest of the week that is over."""
    async with database.transaction() as tx:
        due = await digests.digests_due(tx)
        monday = next_monday(tx.now) - timedelta(days=7)
        await messages.owe(
            tx, [owed_digest(programme, manager, monday.date()) for programme, manager in due]
        )
        programme_ids = [programme for programme, _ in due]
        await digests.set_next_digest(tx, programme_ids, next_monday(tx.now))
