"""One hop of the raw chain: what comes on one topic goes out on the next, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer

from shared.service import new_producer
from shared.settings import ServiceSettings
from tests.bench.peers.yardstick import contend


async def pass_on(task: dict[str, Any]) -> dict[str, Any]:
    """Consume and produce until killed, by the client alone and with our producer's settings."""
    consumer = AIOKafkaConsumer(
        task["from"], bootstrap_servers=task["bootstrap_servers"], enable_auto_commit=False
    )
    producer = new_producer(ServiceSettings())
    await consumer.start()
    await producer.start()
    while True:
        batch = await consumer.getmany(timeout_ms=1000)
        sent = [
            await producer.send(
                task["to"], record.value, key=record.key, headers=list(record.headers)
            )
            for records in batch.values()
            for record in records
        ]
        await asyncio.gather(*sent)


if __name__ == "__main__":
    contend(pass_on)
