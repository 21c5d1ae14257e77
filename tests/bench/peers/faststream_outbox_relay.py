"""faststream-outbox: rows of its table to Kafka by a stacked decorator, as its tutorial shows."""

# Its libraries are in the environment of the peers only.
# mypy: disable-error-code="import-not-found, untyped-decorator"

from __future__ import annotations

import logging
import time
from typing import Any

from faststream.kafka import KafkaBroker, KafkaResponse
from faststream_outbox import OutboxBroker, make_outbox_table
from faststream_outbox.annotations import OutboxMessage
from faststream_outbox.autovacuum import outbox_autovacuum_ddl
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from yardstick import contend, until_empty

_TABLE = "faststream_outbox"


def _engine(task: dict[str, Any]) -> AsyncEngine:
    return create_async_engine(
        task["dsn"].replace("postgresql://", "postgresql+asyncpg://"),
        pool_size=task.get("workers", 1) + 4,
    )


async def prepare(task: dict[str, Any]) -> dict[str, Any]:
    """Make its table, tuned as it recommends."""
    metadata = MetaData()
    make_outbox_table(metadata, table_name=_TABLE)
    engine = _engine(task)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(text(outbox_autovacuum_ddl(_TABLE)))
    await engine.dispose()
    return {}


async def relay(task: dict[str, Any]) -> dict[str, Any]:
    """Publish every row; the table has no key, so it travels in a header."""
    logging.disable(logging.INFO)
    engine = _engine(task)
    table = make_outbox_table(MetaData(), table_name=_TABLE)
    outbox = OutboxBroker(engine, outbox_table=table)
    kafka = KafkaBroker(
        task["bootstrap_servers"],
        acks="all",
        enable_idempotence=task["idempotent"],
        compression_type="zstd",
        linger_ms=0,
    )

    @kafka.publisher(task["topic"])
    @outbox.subscriber(
        "relay",
        max_workers=task["workers"],
        fetch_batch_size=500,
        terminal_flush_batch_size=100,
        min_fetch_interval=0.01,
        max_fetch_interval=0.1,
        decoder=_as_it_is,
    )
    async def forward(body: bytes, message: OutboxMessage) -> KafkaResponse:
        headers = dict(message.headers)
        return KafkaResponse(body, key=headers.pop("key").encode(), headers=headers)

    await kafka.start()
    began = time.perf_counter()
    await outbox.start()
    ended = await until_empty(task["dsn"], _TABLE, "id")
    await outbox.stop()
    await kafka.stop()
    await engine.dispose()
    return {"seconds": ended - began}


async def _as_it_is(message: Any) -> bytes:
    # Left to itself it would parse the JSON, only to write it again.
    body: bytes = message.body
    return body


async def main(task: dict[str, Any]) -> dict[str, Any]:
    """Prepare or relay, as the task says."""
    return await (prepare(task) if task["what"] == "prepare" else relay(task))


if __name__ == "__main__":
    contend(main)
