"""The local stack on Apache Kafka: what is published stays, whatever dies."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.broker import create_topics
from deploy.local.hr import HrRecord, publish, read_lines
from deploy.local.postgres import SERVICES
from deploy.local.process import StackError
from deploy.local.stack import Stack
from deploy.reading import count_records
from shared.database import BACKBONE_MIGRATIONS, migrate

DUMMY = (sys.executable, str(Path(__file__).parents[1] / "dummy_service.py"))
DUMMIES = dict.fromkeys(SERVICES, DUMMY)
# Half a minute's patience, were it production's, for each service that a test kills.
IMPATIENT = {"UPDRAFT_KAFKA__SESSION_SECONDS": "3"}
PEOPLE = 30


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: for root that is closed to the user that Postgres runs as.
    made = Path(tempfile.mkdtemp(prefix="updraft-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.2)


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
            }
        )
        for n in range(PEOPLE)
    ]
    file = folder / "people.jsonl"
    file.write_text("\n".join(lines))
    return read_lines(file, "urn:test").records


async def all_are_in(stack: Stack, department: str) -> None:
    """Wait until all people are in a department, as the last services of the flow know them."""

    async def known() -> bool:
        for service in ("matching", "metrics"):
            connection = await asyncpg.connect(stack.dsn(service))
            found = await connection.fetchval(
                "SELECT count(*) FROM employees WHERE department = $1", department
            )
            await connection.close()
            if found != PEOPLE:
                return False
        return True

    await eventually(known)


async def send(stack: Stack, records: list[HrRecord]) -> None:
    await publish(stack.bootstrap_servers, records, lambda _: None)


async def test_records_that_nobody_has_read_outlive_kafka_and_the_stack(folder: Path) -> None:
    run = folder / "run"
    async with Stack(run, keep=True, kafka="apache", environment=IMPATIENT) as stack:
        await send(stack, people(folder, 1, department="Sales"))
        await all_are_in(stack, "Sales")
        services = {name: stack.pid(name) for name in SERVICES}

        killed = stack.pid("broker")
        os.kill(killed, signal.SIGKILL)

        async def is_back() -> bool:
            return stack.pid("broker") != killed and await stack.nodes[0].ready()

        await eventually(is_back)
        await send(stack, people(folder, 2, department="Legal"))
        await all_are_in(stack, "Legal")
        assert {name: stack.pid(name) for name in SERVICES} == services

        os.kill(services["registration"], signal.SIGSTOP)
        await send(stack, people(folder, 3, department="Lab"))
        published = await count_records(stack.bootstrap_servers, ["hr.employees"])

    told: list[str] = []
    async with Stack(run, keep=True, environment=IMPATIENT, tell=told.append) as stack:
        assert stack.kafka == "apache"
        await all_are_in(stack, "Lab")
        assert await stack.drained(30)
        assert await count_records(stack.bootstrap_servers, ["hr.employees"]) == published
        assert published == {"hr.employees": 3 * PEOPLE}
        # Each change of a person once: nothing was published again.
        told_on = await count_records(stack.bootstrap_servers, ["updraft.employees"])
        assert told_on == {"updraft.employees": 3 * PEOPLE}
    assert not [line for line in told if "published once more" in line]

    with pytest.raises(StackError, match="in Apache Kafka, which the embedded broker cannot read"):
        await Stack(run, keep=True, kafka="embedded").__aenter__()


async def test_a_folder_of_the_embedded_broker_comes_to_kafka_with_all_that_was_published(
    folder: Path,
) -> None:
    async with Stack(folder, keep=True, services=DUMMIES) as embedded:
        connection = await asyncpg.connect(embedded.dsn("matching"))
        await migrate(connection, [BACKBONE_MIGRATIONS])
        await connection.execute(
            """
            INSERT INTO journal (seq, id, aggregatetype, aggregateid, headers, payload)
            VALUES (1, gen_random_uuid(), 'updraft.pairs', 'p', '{}', 'first')
            """
        )
        await connection.close()

    async with Stack(folder, keep=True, kafka="apache", services=DUMMIES) as apache:
        connection = await asyncpg.connect(apache.dsn("matching"))
        waiting = await connection.fetch("SELECT payload FROM outbox")
        await connection.close()

    assert [row["payload"] for row in waiting] == [b"first"]


async def test_a_stack_on_three_nodes_starts_again_whichever_dies_and_leaves_no_data(
    folder: Path,
) -> None:
    async with Stack(folder, kafka="apache", nodes=3, services=DUMMIES) as stack:
        assert len(stack.bootstrap_servers.split(",")) == 3
        killed = stack.pid("broker-2")
        os.kill(killed, signal.SIGKILL)

        async def is_back() -> bool:
            return stack.pid("broker-2") != killed and await stack.nodes[1].ready()

        await eventually(is_back)
        assert await create_topics(stack.bootstrap_servers) == 0
        started = [node.child for node in stack.nodes]
    assert not [child for child in started if child and child.running]
    assert not (folder / "kafka").exists()


async def test_several_nodes_are_refused_on_the_embedded_broker(folder: Path) -> None:
    with pytest.raises(StackError, match="several nodes need Apache Kafka"):
        async with Stack(folder, nodes=3, services=DUMMIES):
            pass
