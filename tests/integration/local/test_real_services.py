import asyncio
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import asyncpg
import pytest

from deploy.local.hr import HrRecord, publish, read_lines
from deploy.local.postgres import SERVICES
from deploy.local.stack import Stack

PEOPLE = 60


@pytest.fixture
def folder():
    # Not pytest's own: for root that is closed to the user that Postgres runs as.
    made = Path(tempfile.mkdtemp(prefix="updraft-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def people(folder: Path, sequence: int, *, department: str) -> list[HrRecord]:
    lines = [
        json.dumps(
            {
                "employeeId": f"E{n}",
                "effectiveDate": "2024-01-01",
                "sequence": sequence,
                "status": "active",
                "jobLevel": n % 9,
                "department": department,
                "startDate": "2020-01-01",
                "managerId": None if n == 0 else f"E{(n - 1) // 6}",
                "name": {"givenName": "Ada", "familyName": f"Lovelace {n}"},
                "emails": [{"value": f"e{n}@example.org", "primary": True}],
            }
        )
        for n in range(PEOPLE)
    ]
    file = folder / "people.jsonl"
    file.write_text("\n".join(lines))
    read = read_lines(file, "urn:test")
    assert not read.wrong
    return read.records


async def departments(stack: Stack, service: str) -> dict[str, int]:
    connection = await asyncpg.connect(stack.dsn(service))
    try:
        rows = await connection.fetch(
            "SELECT department, count(*) AS people FROM employees GROUP BY department"
        )
        return {row["department"]: row["people"] for row in rows}
    finally:
        await connection.close()


async def parked(stack: Stack) -> int:
    total = 0
    for service in SERVICES:
        connection = await asyncpg.connect(stack.dsn(service))
        total += await connection.fetchval("SELECT count(*) FROM parked")
        await connection.close()
    return total


async def known_everywhere(stack: Stack, expected: dict[str, int]) -> None:
    deadline = time.monotonic() + 40
    found: list[object] = []
    while True:
        try:
            found = [await departments(stack, service) for service in ("matching", "metrics")]
        except (OSError, asyncpg.PostgresError) as error:
            found = [error]
        if all(one == expected for one in found):
            return
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.2)


async def test_what_happened_outlives_the_stack_the_broker_and_the_database(folder):
    run = folder / "run"
    async with Stack(run, keep=True) as stack:
        await publish(
            stack.bootstrap_servers, people(folder, 1, department="Sales"), lambda _: None
        )
        await known_everywhere(stack, {"Sales": PEOPLE})
        assert all(stack.rss(name) < 150_000_000 for name in SERVICES)

    told = []
    async with Stack(run, keep=True, tell=told.append) as stack:
        # All that was published is published again, and changes nothing.
        assert await stack.drained(30)
        await known_everywhere(stack, {"Sales": PEOPLE})

        os.kill(stack.pid("postgres"), signal.SIGKILL)
        await publish(
            stack.bootstrap_servers, people(folder, 2, department="Legal"), lambda _: None
        )
        await known_everywhere(stack, {"Legal": PEOPLE})
        assert any("postgres was killed" in line for line in told)

        before = {name: stack.pid(name) for name in (*SERVICES, "broker")}
        os.kill(before["broker"], signal.SIGKILL)
        deadline = time.monotonic() + 40
        while any(stack.pid(name) == pid for name, pid in before.items()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)

        await publish(stack.bootstrap_servers, people(folder, 3, department="Lab"), lambda _: None)
        await known_everywhere(stack, {"Lab": PEOPLE})
        assert await stack.drained(30)
        assert await parked(stack) == 0
        assert stack.restarts == dict.fromkeys(SERVICES, 0)
