"""Whether everything published has been taken in: outboxes empty, consumers at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from deploy.local.broker import topics
from deploy.reading import end_offsets, security_arguments

_PAUSE_SECONDS = 0.05


async def drained(
    bootstrap_servers: str, dsns: Mapping[str, str], *, within_seconds: float
) -> bool:
    """Wait until no service has anything to publish or to read; False if time ran out.

    `dsns` are the services' connection strings by name, which is also their consumer group.
    """
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient

    read = {
        service: [
            TopicPartition(topic.name, partition)
            for topic in topics()
            if service in topic.readers
            for partition in range(topic.partitions)
        ]
        for service in dsns
    }
    deadline = time.monotonic() + within_seconds
    everything = sorted({tp for tps in read.values() for tp in tps})
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, **security_arguments())
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, **security_arguments(), enable_auto_commit=False
    )
    await admin.start()
    await consumer.start()
    consumer.assign(everything)
    connections = [await asyncpg.connect(dsn) for dsn in dsns.values()]
    try:
        before: object = None
        while time.monotonic() < deadline:
            ends = await end_offsets(consumer, everything)
            idle = not await _unpublished(connections) and not await _unread(admin, read, ends)
            # Twice the same: an event taken in meanwhile may have brought forth another.
            if idle and ends == before:
                return True
            before = ends if idle else None
            await asyncio.sleep(_PAUSE_SECONDS)
        return False
    finally:
        for connection in connections:
            await connection.close(timeout=2)
        await consumer.stop()
        await admin.close()


async def _unpublished(connections: Sequence[asyncpg.Connection[asyncpg.Record]]) -> bool:
    for connection in connections:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
            return True
    return False


async def _unread(admin: Any, read: Mapping[str, Sequence[Any]], ends: Mapping[Any, int]) -> bool:
    for service, partitions in read.items():
        done = await admin.list_consumer_group_offsets(service, partitions=list(partitions))
        for partition in partitions:
            committed = done[partition].offset if partition in done else -1
            if ends[partition] > max(0, committed):
                return True
    return False
