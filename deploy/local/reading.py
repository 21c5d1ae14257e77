"""Topics as a reader outside sees them, BI for one: no group, from the beginning."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from deploy.local.process import StackError


async def read_records(
    bootstrap_servers: str, topic: str, *, follow: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """Each record of a topic, decoded; ends with what was there at the start unless `follow`.

    Raises StackError if there is no such topic.
    """
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    try:
        if topic not in await consumer.topics():
            raise StackError(f"there is no topic {topic}; `updraft topics` lists them")
        numbers = sorted(consumer.partitions_for_topic(topic) or ())
        partitions = [TopicPartition(topic, number) for number in numbers]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        unread = {tp for tp in partitions if await consumer.position(tp) < ends[tp]}
        while follow or unread:
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if follow or record.offset < ends[tp]:
                        yield as_json(record)
            unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()


def as_json(record: Any) -> dict[str, Any]:
    """A record with its CloudEvents attributes; data that is not JSON is shown as text."""
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    return {
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "type": headers.get("ce_type"),
        "time": headers.get("ce_time"),
        "id": headers.get("ce_id"),
        "source": headers.get("ce_source"),
        "partition": record.partition,
        "offset": record.offset,
        "data": _data(record.value),
    }


def _data(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value.decode(errors="replace")


async def count_records(bootstrap_servers: str, names: Sequence[str]) -> dict[str, int]:
    """How many records each topic holds, as offsets tell; those that do not exist are left out."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    await consumer.start()
    try:
        known = await consumer.topics()
        partitions = [
            TopicPartition(name, number)
            for name in names
            if name in known
            for number in consumer.partitions_for_topic(name) or ()
        ]
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    counts: dict[str, int] = {}
    for tp in partitions:
        counts[tp.topic] = counts.get(tp.topic, 0) + ends[tp] - starts[tp]
    return counts
