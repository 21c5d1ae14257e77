"""The worker process: what it finds, what it may use, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from services.matching import kernel_cache, runs
from services.matching.runs import MatchRuns
from services.matching.settings import Settings
from services.matching.solver import (
    Assignment,
    Limits,
    SolverFailed,
    Told,
    Workers,
    _give_way,
    solve_in_worker,
    solver,
)
from services.matching.store import runs as run_store
from services.matching.store.runs import Run
from tests.conftest import DatabaseFor
from tests.integration.matching.world import PROGRAMME, World

LIMITS = Limits(timeout_seconds=60, memory_mb=6144)


@pytest.fixture
async def world(database_for: DatabaseFor) -> World:
    world = World(await database_for("matching"))
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    return world


async def _taken(world: World) -> Run:
    async with world.database.transaction() as tx:
        run = await run_store.take_run(tx, PROGRAMME)
    assert run is not None
    return run


def _assignment(world: World, run: Run, limits: Limits = LIMITS) -> Assignment:
    return Assignment(
        world.database._dsn,
        "matching",
        str(run.run_id),
        run.attempts,
        world.now.isoformat(),
        limits,
    )


def _workers() -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if "services.matching.solver" in " ".join(process.cmdline())
    ]


async def _state(world: World) -> str:
    state: str = await world.database.pool.fetchval(
        "SELECT state FROM match_runs ORDER BY requested_at DESC LIMIT 1"
    )
    return state


async def test_the_worker_solves_a_run_and_says_how_far_it_is(world: World) -> None:
    told: list[str] = []
    solve = solver(world.database._dsn, "matching", LIMITS)

    async def watched(run: Run, now: datetime, tell: Told) -> None:
        await solve(run, now, lambda doing, share: told.append(doing))

    await world.run(watched)
    assert len(await world.pairs()) == 1
    assert told[0] == "snapshot"
    assert told[-1] == "storing"
    assert _workers() == []


async def test_the_worker_keeps_nothing_for_an_attempt_that_is_not_its_own(world: World) -> None:
    run = await _taken(world)
    await solve_in_worker(_assignment(world, replace(run, attempts=run.attempts + 1)))
    assert await world.database.pool.fetchval("SELECT certificate FROM match_runs") is None
    await solve_in_worker(_assignment(world, run))
    assert await world.database.pool.fetchval("SELECT certificate FROM match_runs") is not None


async def test_a_worker_that_fails_says_where_and_names_nobody(world: World) -> None:
    run = await _taken(world)
    await world.database.pool.execute("UPDATE programmes SET rules = rules || '{\"Secret\": 1}'")
    with pytest.raises(SolverFailed, match="worker ended with 1: ") as failed:
        await solve_in_worker(_assignment(world, run))
    assert "Secret" not in str(failed.value)
    assert not failed.value.final
    assert _workers() == []


async def test_a_run_that_takes_too_long_fails_with_its_reason(world: World) -> None:
    limits = replace(LIMITS, timeout_seconds=0.01)
    await world.run(solver(world.database._dsn, "matching", limits))
    row = await world.database.pool.fetchrow("SELECT state, failure FROM match_runs")
    assert row is not None
    assert row["state"] == "failed"
    assert "no result within 0.01 s" in row["failure"]
    assert _workers() == []


async def test_a_run_that_needs_more_memory_than_it_may_use_fails_with_its_reason(
    world: World,
) -> None:
    limits = replace(LIMITS, memory_mb=40)
    await world.run(solver(world.database._dsn, "matching", limits))
    row = await world.database.pool.fetchrow("SELECT state, failure FROM match_runs")
    assert row is not None
    assert row["state"] == "failed"
    assert "more than 40 MB" in row["failure"]
    await world.tell(world.mentee("another"))
    await world.run()
    assert len(await world.pairs()) == 1, "the service lives, and the next run works"


async def test_a_cancelled_run_takes_its_worker_along_at_once(world: World) -> None:
    started = asyncio.Event()

    async def hangs(run: Run, now: datetime, told: Told) -> None:
        worker = await asyncio.create_subprocess_exec("sleep", "60")
        started.set()
        try:
            await worker.wait()
        finally:
            worker.kill()
            await worker.wait()

    run = asyncio.create_task(world.run(hangs))
    await started.wait()
    async with world.database.transaction() as tx:
        run_id = await tx.connection.fetchval("SELECT run_id FROM match_runs")
        assert await run_store.cancel_run(tx, run_id)
    await asyncio.wait_for(run, 10)
    assert await _state(world) == "cancelled"
    assert not [p for p in psutil.Process().children() if p.name() == "sleep"]
    assert await world.pairs() == []


async def test_a_job_makes_progress_while_a_run_solves_and_stops_it_when_it_is_stopped(
    world: World,
) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def hangs(run: Run, now: datetime, told: Told) -> None:
        started.set()
        try:
            await asyncio.sleep(600)
        finally:
            stopped.set()

    job = MatchRuns(hangs, most=1, debounce_seconds=0, every_seconds=0.01)
    task = asyncio.create_task(job.run(world.database))
    await started.wait()
    before = job.last_success
    while job.last_success == before:
        await asyncio.sleep(0.01)
    assert not stopped.is_set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert stopped.is_set()
    assert await _state(world) == "running", "the next replica takes it up again"


async def test_a_run_of_another_programme_does_not_wait_for_a_long_one(world: World) -> None:
    other = UUID(int=2)
    await world.tell(world.programme(other), world.participant("junior", programme_id=other))
    solved: set[UUID] = set()

    async def slow_for_one(run: Run, now: datetime, told: Told) -> None:
        if run.programme_id == PROGRAMME:
            await asyncio.sleep(600)
        await world.solve(run, now, told)
        solved.add(run.programme_id)

    job = MatchRuns(slow_for_one, most=2, debounce_seconds=0, every_seconds=0.01)
    task = asyncio.create_task(job.run(world.database))
    async with asyncio.timeout(30):
        while other not in solved:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert solved == {other}


async def test_a_run_that_was_solved_when_its_process_died_goes_on_with_its_pairs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> bool:
        raise ConnectionError

    monkeypatch.setattr(runs, "_propose_some", dies)
    with pytest.raises(ConnectionError):
        await world.run()
    monkeypatch.undo()

    async def solved_already(run: Run, now: datetime, told: Told) -> None:
        raise AssertionError

    await world.run(solved_already)
    assert len(await world.pairs()) == 1


async def test_kernels_are_kept_where_the_process_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert kernel_cache.environment(tmp_path) == {"NUMBA_CACHE_DIR": str(tmp_path)}
    monkeypatch.setattr(kernel_cache, "_BESIDE_SOURCE", tmp_path)
    assert kernel_cache.environment(None) == {}
    monkeypatch.setattr(kernel_cache, "_BESIDE_SOURCE", tmp_path / "file" / "below")
    (tmp_path / "file").touch()
    folder = kernel_cache.environment(None)["NUMBA_CACHE_DIR"]
    assert os.stat(folder).st_mode & 0o077 == 0, "nobody else may put code there"
    monkeypatch.setenv("NUMBA_CACHE_DIR", "chosen")
    assert kernel_cache.environment(None) == {}


def test_a_budget_that_lasts_longer_than_the_timeout_is_refused() -> None:
    with pytest.raises(ValueError, match="solve_budget_seconds"):
        Settings(solve_budget_seconds=10, solve_timeout_seconds=10)


async def test_the_best_found_is_taken_when_the_budget_is_over(world: World) -> None:
    run = await _taken(world)
    began = time.monotonic()
    await solve_in_worker(_assignment(world, run, replace(LIMITS, budget_seconds=1e-9)))
    assert time.monotonic() - began < LIMITS.timeout_seconds
    certificate = await world.database.pool.fetchval("SELECT certificate FROM match_runs")
    assert certificate["stopped"] in ("time", "proven")


async def test_a_worker_ends_with_the_service_that_started_it(world: World) -> None:
    run = await _taken(world)
    given = json.dumps(asdict(_assignment(world, run)))
    async with world.database.transaction() as tx:
        # Holds the worker up, for as long as somebody waits for it.
        await tx.connection.execute("LOCK TABLE participants IN ACCESS EXCLUSIVE MODE")
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.matching.solver",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(given.encode() + b"\n")
        await worker.stdout.readline()
        assert worker.returncode is None
        worker.stdin.close()
        assert await asyncio.wait_for(worker.wait(), 30) == 1


async def test_a_worker_waits_for_the_next_run_and_another_takes_over_when_it_died(
    world: World,
) -> None:
    workers = Workers()
    solve = solver(world.database._dsn, "matching", LIMITS, workers)
    try:
        await world.run(solve)
        (first,) = _workers()
        await world.tell(world.mentor("second junior"), world.mentee("second senior"))
        await world.run(solve)
        assert _workers() == [first]
        assert len(await world.pairs()) == 2
        first.kill()
        first.wait(10)
        await world.tell(world.mentor("third junior"), world.mentee("third senior"))
        while len(await world.pairs()) < 3:
            # It may not have been noticed yet that the worker is gone: the run is tried again.
            with contextlib.suppress(SolverFailed):
                await world.run(solve)
        assert _workers() != [first]
    finally:
        await workers.close()
    assert _workers() == []


def test_a_large_run_gives_way_to_everybody_and_only_its_own_threads_do() -> None:
    found: list[int] = []

    def solve() -> None:
        _give_way()
        child = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
        child.start()
        child.join()

    thread = threading.Thread(target=solve)
    thread.start()
    thread.join()
    assert found == [os.SCHED_IDLE]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
