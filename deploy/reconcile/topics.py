"""Everything that was published, read from the beginning by a reader of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.catalogue import (
    EmployeeUpdated,
    Event,
    FeedbackGiven,
    KpiMeasured,
    NotificationFact,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)
from shared.envelope import Record, UnknownType, Unreadable, decode

TOPICS: tuple[str, ...] = tuple(
    sorted(
        fact.TOPIC
        for fact in (
            EmployeeUpdated,
            ProgrammeFact,
            ParticipantFact,
            PairFact,
            SessionFact,
            FeedbackGiven,
            NotificationFact,
            KpiMeasured,
        )
    )
)
_NEVER = datetime.min.replace(tzinfo=UTC)

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and the programme time at which it was told."""

    at: datetime
    event: Event


@dataclass
class Topics:
    """All events, in the order in which each topic's partitions hold them."""

    told: list[Told] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Topic and reason of each record that no service could have read."""

    def of(self, fact: type[E]) -> list[E]:
        """The events of one kind."""
        return [told.event for told in self.told if isinstance(told.event, fact)]

    def add(self, records: Iterable[Record]) -> None:
        """Decode records; types that this version does not know are left out."""
        for record in records:
            try:
                envelope = decode(record, _NEVER)
            except UnknownType:
                continue
            except Unreadable as error:
                self.unreadable.append((record.topic, str(error)))
                continue
            if envelope.data is not None:
                self.told.append(Told(envelope.time or _NEVER, envelope.data))


async def read_topics(bootstrap_servers: str) -> Topics:
    """Read the topics from the beginning to where they end now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    topics = Topics()
    await consumer.start()
    try:
        partitions = await _partitions(consumer)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        unread = set(partitions)
        while unread := {one for one in unread if await consumer.position(one) < ends[one]}:
            for records in (await consumer.getmany(*unread, timeout_ms=200)).values():
                topics.add(
                    Record(
                        one.topic,
                        one.partition,
                        one.offset,
                        one.key,
                        one.value,
                        tuple(one.headers),
                    )
                    for one in records
                )
                # Decoding is work: whoever else runs in this loop must get their turn.
                await asyncio.sleep(0)
    finally:
        await consumer.stop()
    return topics


async def end_offsets(bootstrap_servers: str) -> dict[TopicPartition, int]:
    """Where each partition ends now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(await _partitions(consumer))
    finally:
        await consumer.stop()
    return ends


async def _partitions(consumer: AIOKafkaConsumer) -> Sequence[TopicPartition]:
    there = await consumer.topics()
    return [
        TopicPartition(topic, number)
        for topic in TOPICS
        if topic in there
        for number in sorted(consumer.partitions_for_topic(topic) or ())
    ]
