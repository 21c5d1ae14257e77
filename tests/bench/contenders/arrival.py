"""When a contender has its partitions, and when all that it read is committed to Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.broker import topics

_LOOK_EVERY_SECONDS = 0.002
_ASK_EVERY_SECONDS = 0.01


async def until(holds: Callable[[], bool]) -> float:
    """The moment (`time.perf_counter`) since which this holds."""
    while not holds():
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
    return time.perf_counter()


async def until_committed(bootstrap_servers: str, group: str, topic: str, end: int) -> float:
    """The moment at which the group's offsets of a topic add up to `end`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    (known,) = (one for one in topics() if one.name == topic)
    # Named, for the embedded broker does not tell of all.
    partitions = [TopicPartition(topic, number) for number in range(known.partitions)]
    try:
        while True:
            offsets = await admin.list_consumer_group_offsets(group, partitions=partitions)
            if sum(max(0, at.offset) for at in offsets.values()) >= end:
                return time.perf_counter()
            await asyncio.sleep(_ASK_EVERY_SECONDS)
    finally:
        await admin.close()
