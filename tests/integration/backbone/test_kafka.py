"""The whole backbone on a real broker: outbox to topic to handler, and health."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from asgi_lifespan import LifespanManager
from fastapi import FastAPI

from shared.catalogue import EmployeeUpdated
from shared.database import Database, Transaction
from shared.envelope import binary_headers, encode, json_value
from shared.handlers import Handlers, Rejected
from shared.ids import new_id
from shared.service import create_service
from shared.settings import KafkaSettings, PostgresSettings, ServiceSettings
from tests.kafka import Kafka

DatabaseFor = Callable[[str], Awaitable[Database]]
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def employee(employee_id: str, version: int) -> EmployeeUpdated:
    return EmployeeUpdated(
        employee_id=employee_id,
        version=version,
        status="active",
        job_level=3,
        department="Sales",
        start_date=date(2020, 1, 1),
        effective_from=NOW,
    )


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


def service(
    database: Database, broker: Kafka, handlers: Handlers, *, group: str, journal: bool = False
) -> FastAPI:
    settings = ServiceSettings(
        kafka=KafkaSettings(
            bootstrap_servers=broker.bootstrap_servers,
            idempotent_producer=broker.idempotent_producer,
            group_suffix=f"-{group}",
            session_seconds=broker.session_seconds,
        ),
        postgres=PostgresSettings(dsn=database._dsn),
    )
    settings.outbox.journal = journal
    return create_service(
        name="backbone",
        settings=settings,
        handlers=handlers,
        migrations=Path(__file__).parent / "no-migrations",
    )


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        LifespanManager(app, startup_timeout=30, shutdown_timeout=30),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


def storing_handlers(prefix: str) -> Handlers:
    """Handlers that keep the events whose key starts with a prefix of this test's own."""
    handlers = Handlers()

    @handlers.each(EmployeeUpdated)
    async def store(event: EmployeeUpdated, tx: Transaction) -> None:
        if not event.employee_id.startswith(prefix):
            return
        if event.version == 0:
            raise Rejected("version: must not be 0; count from 1")
        await tx.connection.execute(
            "INSERT INTO seen VALUES ($1, $2)", event.employee_id, event.version
        )

    return handlers


async def publish(broker: Kafka, events: list[EmployeeUpdated]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    await producer.start()
    for event in events:
        headers = encode(
            type(event), event_id=new_id(NOW), source="urn:test", subject=event.key, now=NOW
        )
        await producer.send(
            event.TOPIC,
            json_value(event),
            key=event.key.encode(),
            headers=[*binary_headers(headers), ("note", b"\xff\xfe not UTF-8")],
        )
    await producer.flush()
    await producer.stop()


async def test_events_are_applied_once_in_order_per_key_over_a_restart_and_in_a_fresh_group(
    database_for: DatabaseFor, broker: Kafka
) -> None:
    database = await database_for("backbone")
    await database.pool.execute("CREATE TABLE seen (employee_id text, version int)")
    prefix = uuid4().hex
    events = [employee(f"{prefix}-{n % 7}", n // 7 + 1) for n in range(700)]
    handlers = storing_handlers(prefix)
    await publish(broker, events)

    async def all_seen() -> bool:
        return await database.pool.fetchval("SELECT count(*) FROM seen") >= 700

    async with running(service(database, broker, handlers, group=prefix)) as client:
        await eventually(all_seen)
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        figures = (await client.get("/metrics")).text
        assert "updraft_consumer_lag_records" in figures

    # A fresh group reads everything again; the inbox knows it all.
    last = employee(f"{prefix}-last", 1)
    async with running(service(database, broker, handlers, group=f"{prefix}-again")):
        await publish(broker, [last])

        async def last_seen() -> bool:
            return bool(
                await database.pool.fetchval(
                    "SELECT count(*) FROM seen WHERE employee_id = $1", last.employee_id
                )
            )

        await eventually(last_seen)
    rows = await database.pool.fetch("SELECT employee_id, version FROM seen ORDER BY ctid")
    per_key: dict[str, list[int]] = {}
    for row in rows:
        per_key.setdefault(row["employee_id"], []).append(row["version"])
    assert per_key.pop(last.employee_id) == [1]
    assert len(per_key) == 7
    assert all(versions == list(range(1, 101)) for versions in per_key.values())


PUBLISH_WITH_ODD_NAMES = """
import asyncio, json, sys
from aiokafka import AIOKafkaProducer

class Odd(str):
    def encode(self, *_):
        return b"bad\\xff\\xfe"

async def main():
    producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
    await producer.start()
    for key, value, headers, odd in json.load(sys.stdin):
        pairs = [(name, text.encode()) for name, text in headers.items()]
        pairs += [(Odd("x"), b"1")] * odd
        await producer.send("updraft.employees", value.encode(), key=key.encode(), headers=pairs)
    await producer.stop()

asyncio.run(main())
"""


async def test_a_header_name_that_is_not_utf8_holds_nothing_up(
    database_for: DatabaseFor, broker: Kafka
) -> None:
    database = await database_for("backbone")
    await database.pool.execute("CREATE TABLE seen (employee_id text, version int)")
    prefix = uuid4().hex
    records = []
    for version in range(1, 31):
        event = employee(prefix, version)
        headers = encode(
            type(event), event_id=new_id(NOW), source="urn:test", subject=event.key, now=NOW
        )
        records.append((event.key, json_value(event).decode(), headers, version % 10 == 5))
    # Only the client's pure Python part lets a name through that is not UTF-8.
    publisher = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PUBLISH_WITH_ODD_NAMES, broker.bootstrap_servers),
        stdin=asyncio.subprocess.PIPE,
        env=os.environ | {"AIOKAFKA_NO_EXTENSIONS": "1"},
    )
    await publisher.communicate(json.dumps(records).encode())
    assert publisher.returncode == 0

    async def all_seen() -> bool:
        return bool(await database.pool.fetchval("SELECT count(*) FROM seen") == 30)

    async with running(service(database, broker, storing_handlers(prefix), group=prefix)):
        await eventually(all_seen)
    versions = await database.pool.fetch("SELECT version FROM seen ORDER BY ctid")
    assert [row["version"] for row in versions] == list(range(1, 31))


async def test_the_relay_publishes_the_outbox_and_dead_letters_in_order(
    database_for: DatabaseFor, broker: Kafka
) -> None:
    database = await database_for("backbone")
    await database.pool.execute("CREATE TABLE seen (employee_id text, version int)")
    prefix = uuid4().hex
    async with database.transaction() as tx:
        tx.publish(employee(f"{prefix}-bad", 0))
        for n in range(1, 50):
            tx.publish(employee(prefix, n))
    app = service(database, broker, storing_handlers(prefix), group=prefix, journal=True)
    async with running(app):

        async def done() -> bool:
            seen = await database.pool.fetchval("SELECT count(*) FROM seen")
            waiting = await database.pool.fetchval("SELECT count(*) FROM outbox")
            return bool(seen == 49 and waiting == 0)

        await eventually(done)
    assert await database.pool.fetchval("SELECT count(*) FROM journal") == 51
    consumer = AIOKafkaConsumer(
        "updraft.employees.backbone.dlq",
        bootstrap_servers=broker.bootstrap_servers,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(10):
            async for record in consumer:
                if record.key == f"{prefix}-bad".encode():
                    break
    finally:
        await consumer.stop()
    headers = dict(record.headers)
    assert headers["updraft-reason"].startswith(b"version: must not be 0")
    assert headers["updraft-topic"] == b"updraft.employees"
