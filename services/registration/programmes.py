"""What programme managers and time do to programmes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from uuid import UUID

from services.registration import facts, participation
from services.registration.domain.programmes import check_dates, check_runs, check_start
from services.registration.domain.rules import Unknown
from services.registration.store import programmes
from services.registration.store.programmes import StoredProgramme
from shared.catalogue import ProgrammeChanged, ProgrammeClosed, ProgrammeOpened, ProgrammeRules
from shared.database import Database, Transaction
from shared.ids import new_id


async def open_programme(tx: Transaction, rules: ProgrammeRules) -> StoredProgramme:
    """Open a programme."""
    _check_dates(rules, tx.now.date())
    stored = await programmes.save(tx.connection, new_id(tx.now), 1, "open", rules, tx.now)
    tx.publish(facts.programme_fact(ProgrammeOpened, stored))
    return stored


async def change_programme(
    tx: Transaction, programme_id: UUID, change: Callable[[ProgrammeRules], ProgrammeRules]
) -> StoredProgramme:
    """Change the rules of a programme that still runs; its participants follow them."""
    stored = await programmes.programme_to_change(tx.connection, programme_id)
    if stored is None:
        raise Unknown("programme")
    check_runs(stored.programme, tx.now.date())
    rules = change(stored.rules)
    if rules == stored.rules:
        return stored
    _check_dates(rules, tx.now.date())
    version = stored.programme.version + 1
    changed = await programmes.save(tx.connection, programme_id, version, "open", rules, tx.now)
    tx.publish(facts.programme_fact(ProgrammeChanged, changed))
    await participation.programme_changed(tx, changed.programme)
    return changed


async def close_programme(tx: Transaction, programme_id: UUID) -> StoredProgramme:
    """Close a programme; a closed one stays as it is."""
    stored = await programmes.programme_to_change(tx.connection, programme_id)
    if stored is None:
        raise Unknown("programme")
    if stored.programme.status == "closed":
        return stored
    return await _close(tx, stored)


async def close_programmes_that_are_over(database: Database) -> None:
    """Close every programme whose last day has passed."""
    async with database.transaction() as tx:
        for stored in await programmes.programmes_over(tx.connection, tx.now.date()):
            await _close(tx, stored)


def _check_dates(rules: ProgrammeRules, today: date) -> None:
    check_start(rules.starts_on, today)
    check_dates(rules.starts_on, rules.ends_on, today)


async def _close(tx: Transaction, stored: StoredProgramme) -> StoredProgramme:
    programme = stored.programme
    closed = await programmes.save(
        tx.connection,
        programme.programme_id,
        programme.version + 1,
        "closed",
        stored.rules,
        tx.now,
    )
    tx.publish(facts.programme_fact(ProgrammeClosed, closed))
    return closed
