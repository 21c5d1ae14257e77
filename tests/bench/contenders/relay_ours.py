"""Our relay, as a service runs it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaProducer

from shared.clock import Clock
from shared.database import Database
from shared.relay import Relay
from shared.service import collect_garbage_rarely, new_producer
from shared.settings import ServiceSettings
from tests.bench.peers.yardstick import contend, until_empty


async def relay(task: dict[str, Any]) -> dict[str, Any]:
    """Publish every row of the outbox."""
    collect_garbage_rarely()
    settings = ServiceSettings()
    database = await Database.connect(task["dsn"], service=task["service"], clock=Clock())
    began = 0.0

    def producer() -> AIOKafkaProducer:
        nonlocal began
        # Asked for when the relay owns the outbox, and is about to connect to the broker.
        began = began or time.perf_counter()
        return new_producer(settings)

    ours = Relay(
        database,
        producer=producer,
        batch=settings.outbox.batch,
        shards=settings.outbox.shards,
        silence_seconds=settings.outbox.silence_seconds,
    )
    running = asyncio.create_task(ours.run())
    ended = await until_empty(task["dsn"], f"{task['service']}.outbox", "seq")
    ours.stop()
    await running
    await database.close()
    return {"seconds": ended - began}


if __name__ == "__main__":
    contend(relay)
