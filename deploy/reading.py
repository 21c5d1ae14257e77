"""Topics as a reader outside sees them, BI for one: no group, from the beginning."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any
from urllib.parse import unquote

from deploy.local.process import StackError


def security_arguments() -> dict[str, Any]:
    """Who a person's tools are to Kafka: what UPDRAFT_KAFKA__… say, as for a service.

    Raises StackError when the settings do not fit together.
    """
    from pydantic import ValidationError

    from shared.security import client_arguments
    from shared.settings import ServiceSettings, told

    try:
        return client_arguments(ServiceSettings().kafka)
    except ValidationError as error:
        raise StackError("\n".join(told(error))) from None


async def raw_records(
    bootstrap_servers: str, topics: Collection[str], *, follow: bool = False
) -> AsyncIterator[Any]:
    """Each record of these topics as the client gives it; ends where they ended at the start.

    With `follow` it never ends. Topics that do not exist are left out.
    """
    from aiokafka import AIOKafkaConsumer

    from shared import kafka_client

    kafka_client.harden()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        **security_arguments(),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    try:
        partitions = await partitions_of(bootstrap_servers, topics)
        consumer.assign(partitions)
        ends = await end_offsets(consumer, partitions)
        await consumer.seek_to_beginning(*partitions)
        unread = {tp for tp in partitions if await consumer.position(tp) < ends[tp]}
        while follow or unread:
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if follow or record.offset < ends[tp]:
                        yield record
            unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()


async def partitions_of(bootstrap_servers: str, topics: Collection[str]) -> list[Any]:
    """The partitions of those of the topics that exist, topic by topic."""
    from aiokafka import TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, **security_arguments())
    await admin.start()
    try:
        # All of them, for to ask for one that is missing makes some clusters create it.
        described = {topic["topic"]: topic for topic in await admin.describe_topics()}
    finally:
        await admin.close()
    return [
        TopicPartition(topic, number)
        for topic in topics
        if topic in described
        for number in sorted(p["partition"] for p in described[topic]["partitions"])
    ]


async def read_records(
    bootstrap_servers: str, topic: str, *, follow: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """Each record of a topic, decoded; ends with what was there at the start unless `follow`.

    Raises StackError if there is no such topic.
    """
    if topic not in await count_records(bootstrap_servers, [topic]):
        raise StackError(f"there is no topic {topic}; `updraft topics` lists them")
    async for record in raw_records(bootstrap_servers, [topic], follow=follow):
        yield as_json(record)


async def current_ends(bootstrap_servers: str, topics: Collection[str]) -> dict[Any, int]:
    """Where each partition of these topics ends now."""
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, **security_arguments(), enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = await partitions_of(bootstrap_servers, topics)
        consumer.assign(partitions)
        return await end_offsets(consumer, partitions)
    finally:
        await consumer.stop()


async def end_offsets(consumer: Any, partitions: Collection[Any]) -> dict[Any, int]:
    """Where each partition ends now; `consumer` must have been assigned them, and is moved there.

    Looks at the last batch of each: asked for its end alone, the embedded broker names the place
    after the batch's first record.
    """
    ends: dict[Any, int] = await consumer.end_offsets(partitions)
    unsure = {tp for tp in partitions if ends[tp] > (consumer.highwater(tp) or 0)}
    for partition in unsure:
        consumer.seek(partition, ends[partition] - 1)
    while unsure:
        await consumer.getmany(*unsure, timeout_ms=50)
        unsure = {tp for tp in unsure if ends[tp] > (consumer.highwater(tp) or 0)}
    return {tp: max(end, consumer.highwater(tp) or 0) for tp, end in ends.items()}


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
        **_why_parked(headers),
    }


def _why_parked(headers: dict[str, str]) -> dict[str, Any]:
    """On a dead-letter topic: where the record comes from, and why it could not be applied."""
    if "updraft-reason" not in headers:
        return {}
    told = {
        name.removeprefix("updraft-"): unquote(value)
        for name, value in headers.items()
        if name.startswith("updraft-")
    }
    return {"parked": told}


def _data(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value.decode(errors="replace")


async def count_records(bootstrap_servers: str, names: Sequence[str]) -> dict[str, int]:
    """How many records each topic holds, as offsets tell; those that do not exist are left out."""
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, **security_arguments())
    await consumer.start()
    try:
        partitions = await partitions_of(bootstrap_servers, names)
        consumer.assign(partitions)
        starts = await consumer.beginning_offsets(partitions)
        ends = await end_offsets(consumer, partitions)
    finally:
        await consumer.stop()
    counts: dict[str, int] = {}
    for tp in partitions:
        counts[tp.topic] = counts.get(tp.topic, 0) + ends[tp] - starts[tp]
    return counts
