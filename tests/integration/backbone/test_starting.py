"""A service that waits for its surroundings can be told to end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from shared.database import Database


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that is taken and at which nobody answers."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def _told_to_end(word: str, **settings: str) -> tuple[int, str]:
    """Start a service, tell it to end once it says this word; its exit code and log."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.metrics"),
        env={**os.environ, "UPDRAFT_HTTP__PORT": "0", **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(60):
            while word not in said:
                line = await process.stdout.readline()
                assert line, said
                said += line.decode()
            process.send_signal(signal.SIGTERM)
            rest, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said + rest.decode()


async def test_a_service_ends_when_told_to_while_its_database_is_away(nobody: int) -> None:
    dsn = f"postgresql://updraft@127.0.0.1:{nobody}/updraft"
    code, said = await _told_to_end("database_not_reachable", UPDRAFT_POSTGRES__DSN=dsn)
    assert code == -signal.SIGTERM, said
    assert "Traceback" not in said


async def test_a_service_ends_when_told_to_while_its_broker_is_away(
    database_for: object, nobody: int
) -> None:
    database: Database = await database_for("metrics")  # type: ignore[operator]
    code, said = await _told_to_end(
        "broker_not_reachable",
        UPDRAFT_POSTGRES__DSN=database._dsn,
        UPDRAFT_KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{nobody}",
    )
    assert code == -signal.SIGTERM, said
    assert "Traceback" not in said


async def test_a_service_starts_anew_when_its_database_ends_the_connection_meanwhile(
    database_for: object, nobody: int
) -> None:
    database: Database = await database_for("metrics")  # type: ignore[operator]
    async with database.pool.acquire() as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':migrations', 0))"
        )
        starting = asyncio.create_task(
            _told_to_end(
                "broker_not_reachable",
                UPDRAFT_POSTGRES__DSN=database._dsn,
                UPDRAFT_KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{nobody}",
            )
        )
        # Once it waits for the other's lock.
        while not await other.fetchval(
            "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_locks"
            " WHERE locktype = 'advisory' AND NOT granted"
            " AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        ):
            assert not starting.done(), await starting
            await asyncio.sleep(0.05)
        await transaction.rollback()
    _, said = await starting
    assert "database_not_reachable" in said
    assert "Traceback" not in said
