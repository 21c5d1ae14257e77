"""What matching does by the clock: expiry, the programme's end, silence, and the daily run."""

from __future__ import annotations

from datetime import time, timedelta

from services.matching import store
from services.matching.decisions import ask_for_run, recheck, settle
from services.matching.domain import pairs as life
from services.matching.store import runs as run_store
from shared.database import Database


async def expire_proposals(database: Database) -> None:
    """Expire the proposals that nobody answered in time."""
    async with database.transaction() as tx:
        due = await store.programmes_of_expired_proposals(tx)
    for programme_id in due:
        async with database.transaction() as tx:
            await store.lock_programmes(tx, [programme_id])
            late = await store.expired_proposals(tx, programme_id)
            await settle(tx, [(pair, life.expired(pair, tx.now)) for pair in late])


async def complete_programmes(database: Database) -> None:
    """Complete the pairs of programmes whose last day is over."""
    async with database.transaction() as tx:
        due = await store.programmes_over_with_living_pairs(tx)
    for programme_id in due:
        async with database.transaction() as tx:
            await store.lock_programmes(tx, [programme_id])
            await recheck(tx, await store.living_pairs_of_programmes(tx, [programme_id]))


async def end_silent_pairs(database: Database) -> None:
    """End the pairs that have not met for as long as the warning and its grace allow."""
    async with database.transaction() as tx:
        due = {pair.programme_id for pair in await store.silent_pairs(tx)}
    for programme_id in sorted(due):
        async with database.transaction() as tx:
            await store.lock_programmes(tx, [programme_id])
            silent = await store.silent_pairs(tx, programme_id)
            await settle(tx, [(pair, life.ended(pair, "inactive", tx.now)) for pair in silent])


async def schedule_daily_runs(database: Database, *, run_at: time) -> None:
    """Ask for each running programme's daily run once its hour (UTC) has come."""
    async with database.transaction() as tx:
        day = (tx.now - timedelta(hours=run_at.hour, minutes=run_at.minute)).date()
        due = await store.programmes_to_schedule(tx, day)
        await ask_for_run(tx, due, "schedule")


async def cancel_forgotten_reviews(database: Database) -> None:
    """Let the people of drafts that no manager looked at be paired by the next run."""
    async with database.transaction() as tx:
        await ask_for_run(tx, await run_store.cancel_forgotten_reviews(tx), "review_expired")
