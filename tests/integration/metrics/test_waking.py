"""Programmes are measured when facts are committed, and rest follows on work."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from services.metrics import jobs
from services.metrics.domain.definitions import BASES
from services.metrics.handlers import handlers
from services.metrics.store import measures
from services.metrics.store.remembering import mark_all_stale, news_of_facts
from shared.testing import deliver, published
from tests.integration.metrics.programme_events import PROGRAMME, day, employee, opened, story

LONG = 3600
PATIENCE = 20


@asynccontextmanager
async def measuring(database):
    """The work of one replica, with no look by the clock for an hour."""

    async def for_ever():
        while True:
            async with asyncio.TaskGroup() as group:
                for basis in BASES:
                    group.create_task(jobs.measure_when_told(database, basis, at_most_seconds=LONG))

    task = asyncio.create_task(for_ever())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def told(database, at_least):
    """Wait for so many published measures."""
    async with asyncio.timeout(PATIENCE):
        while len(await published(database)) < at_least:
            await asyncio.sleep(0.02)


async def rested(database):
    """Wait until nothing is left to measure."""
    async with asyncio.timeout(PATIENCE):
        while await database.pool.fetchval("SELECT count(*) FROM stale"):
            await asyncio.sleep(0.02)


async def test_a_commit_of_facts_is_measured_without_a_look_by_the_clock(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    async with measuring(database):
        await deliver(handlers, database, *story())
        await told(database, 1)
        await rested(database)
        before = len(await published(database))
        await deliver(handlers, database, employee("new", 1, "IT"))
        await told(database, before + 1)


async def test_facts_that_came_before_the_start_are_measured(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    await deliver(handlers, database, *story())
    async with measuring(database):
        await told(database, 1)


async def test_facts_that_come_in_the_middle_of_a_measuring_are_measured_after_it(
    database_for, monkeypatch
):
    database = await database_for("metrics")
    database.clock.set(day(20))
    await deliver(handlers, database, *story())
    real, late = measures.keep_measures, [employee("late", 1, "IT")]

    async def keep_measures(*args):
        if late:
            await deliver(handlers, database, late.pop())
        await real(*args)

    monkeypatch.setattr(measures, "keep_measures", keep_measures)
    async with measuring(database):
        await told(database, 1)
        await rested(database)
    key = f"{PROGRAMME}|participation_rate|programme:2026-01-05|all|all"
    newest = {one.key: one for one in await published(database)}[key]
    assert newest.denominator == 9


async def mark_and_fail(database):
    async with database.transaction() as tx:
        await mark_all_stale(tx)
        raise RuntimeError


@pytest.mark.parametrize("basis", BASES)
async def test_a_replica_hears_of_what_another_commits_and_not_of_what_is_rolled_back(
    database_for, basis
):
    database = await database_for("metrics")
    await deliver(handlers, database, opened())
    async with news_of_facts(database, basis) as news:
        with pytest.raises(RuntimeError):
            await mark_and_fail(database)
        async with database.transaction() as tx:
            await tx.connection.execute("SELECT 1")
        assert not news.is_set()
        await deliver(handlers, database, employee("new", 1, "IT"))
        async with asyncio.timeout(PATIENCE):
            await news.wait()


@pytest.mark.parametrize("basis", BASES)
def test_the_longer_the_work_the_smaller_its_share_and_the_rest_has_an_end(basis):
    shares = [work / (work + jobs._rest_seconds(basis, work)) for work in (0.001, 0.01, 0.03, 1)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(0.1)
    assert jobs._rest_seconds(basis, 100) == jobs._LONGEST_REST_SECONDS


async def test_what_takes_too_long_waits_for_the_next_time_and_comes_first_then(
    database_for, monkeypatch
):
    database = await database_for("metrics")
    database.clock.set(day(20))
    second = opened(programme_id="00000000-0000-7000-8000-000000000002")
    await deliver(handlers, database, *story(), second)
    monkeypatch.setattr(jobs, "_LONGEST_WORK_SECONDS", 0)
    measured = []
    for _ in range(2):
        await jobs.measure_programmes(database)
        rows = await database.pool.fetch("SELECT programme_id FROM measured")
        measured.append({row["programme_id"] for row in rows})
    assert [len(found) for found in measured] == [1, 2]
