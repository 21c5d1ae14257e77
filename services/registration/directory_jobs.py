"""What time changes in the directory without a new record of HR."""

from __future__ import annotations

from services.registration.domain.directory import caught_up
from services.registration.roster import Roster
from services.registration.store import directory
from shared.database import Database

_PEOPLE_PER_RUN = 500


async def apply_due_changes(database: Database) -> None:
    """Bring announced changes into force on their day, and let people leave after their last.

    One replica at a time; what is left over waits for the next run.
    """
    async with database.transaction() as tx:
        if not await tx.try_lock("due changes"):
            return
        today = tx.now.date()
        due = await directory.people_due(tx.connection, today, limit=_PEOPLE_PER_RUN)
        if not due:
            return
        roster = await Roster.load(tx, due)
        for each in due:
            roster.follow(caught_up(roster.people[each], today=today, managers=roster.managers))
        await roster.save(tx)
