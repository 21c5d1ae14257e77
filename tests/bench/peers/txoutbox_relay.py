"""txoutbox: its Postgres storage and its relay, with one function that publishes to Kafka."""

# Its libraries are in the environment of the peers only.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import time
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from txoutbox import OutboxMessage, Relay, RelayConfig
from txoutbox.adapters.postgres import PostgresStorage
from yardstick import contend, until_empty

_TABLE = "txoutbox"


async def prepare(task: dict[str, Any]) -> dict[str, Any]:
    """Make its table."""
    async with asyncpg.create_pool(task["dsn"], min_size=1, max_size=2) as pool:
        await PostgresStorage(pool, table=_TABLE, delete_on_ack=True).create_schema()
    return {}


async def relay(task: dict[str, Any]) -> dict[str, Any]:
    """Publish every row, in order per key."""
    producer = AIOKafkaProducer(
        bootstrap_servers=task["bootstrap_servers"],
        acks="all",
        enable_idempotence=task["idempotent"],
        compression_type="zstd",
        linger_ms=0,
    )

    async def publish(message: OutboxMessage) -> None:
        await producer.send_and_wait(
            message.topic,
            message.payload,
            key=(message.key or "").encode(),
            headers=[(name, value.encode()) for name, value in message.headers.items()],
        )

    async with asyncpg.create_pool(task["dsn"], min_size=2, max_size=4) as pool:
        # Rows that were published go, as with the others.
        storage = PostgresStorage(pool, table=_TABLE, delete_on_ack=True)
        config = RelayConfig(batch_size=500, concurrency=100, poll_min=0.02, poll_max=0.2)
        await producer.start()
        began = time.perf_counter()
        async with Relay(storage, publish, config=config):
            ended = await until_empty(task["dsn"], _TABLE, "id")
        await producer.stop()
    return {"seconds": ended - began}


async def main(task: dict[str, Any]) -> dict[str, Any]:
    """Prepare or relay, as the task says."""
    return await (prepare(task) if task["what"] == "prepare" else relay(task))


if __name__ == "__main__":
    contend(main)
