"""Outbox rows as Kafka records: their headers, their partitions, and batches in order.

A partition's next batch leaves when the broker has the one before, so that no failure lets a record
be overtaken; partitions go side by side.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.database import HEADER_COLUMNS
from shared.outbox import OutboxRecord

_METADATA_SECONDS = 5.0
_CLOSE_SECONDS = 3.0
_REFUSALS = (
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
"""Answers that sending again does not change; somebody must act."""

Headers = list[tuple[str, bytes]]


class SentNoMore(Exception):  # noqa: N818 - named by the fact
    """Something failed, and what is sent now might overtake it."""


class Refused(Exception):  # noqa: N818 - named by the fact
    """The broker takes no such record, however often it is sent; `first` is the one in front."""

    def __init__(self, first: OutboxRecord, error: KafkaError) -> None:
        super().__init__(type(error).__name__)
        self.first = first


class Publisher:
    """Sends rows through a producer; `may_send` raises when somebody else may be sending."""

    def __init__(self, producer: AIOKafkaProducer, *, may_send: Callable[[], None]) -> None:
        self._producer = producer
        self._may_send = may_send
        self._in_turn = asyncio.Lock()
        self._lanes: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refused: dict[str, KafkaError] = {}
        self._failed = False

    async def start(self) -> None:
        """Connect to the broker; raises KafkaError."""
        await self._producer.start()

    async def send(self, rows: Sequence[OutboxRecord]) -> list[Refused]:
        """Publish rows, in their order per key; returns what the broker refused for good.

        May be called again before it returns: a key's rows follow those of the call before. Of a
        topic that was refused, later rows may not have been sent. Raises whatever else fails; then
        any of the rows may have been published, none been overtaken, and this publisher is done.
        """
        async with asyncio.TaskGroup() as group:
            with self._nothing_after_failure():
                async with self._in_turn:
                    lines, refused = await self._lines(rows)
                    # They queue for their partitions in the order in which they are made.
                    sent = [group.create_task(self._send(*each)) for each in lines.items()]
        return refused + [refusal for task in sent if (refusal := task.result())]

    async def close(self) -> None:
        """Let go of the producer, whatever the broker does: what it holds is in the outbox too.

        Its own `stop` waits for a broker that is away, and leaves a task behind.
        """
        producer = self._producer
        producer._closed = True  # noqa: SLF001
        # First, so that the sender waits for no answer.
        await producer.client.close()
        if producer._sender is not None:  # noqa: SLF001
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await producer._sender.close()  # noqa: SLF001

    async def _lines(
        self, rows: Sequence[OutboxRecord]
    ) -> tuple[dict[tuple[str, int], list[OutboxRecord]], list[Refused]]:
        """The rows by topic and partition, and the topics that cannot be written to."""
        counts: dict[str, int] = {}
        refused: list[Refused] = []
        lines: dict[tuple[str, int], list[OutboxRecord]] = {}
        for row in rows:
            topic = row.topic
            if topic not in counts:
                try:
                    counts[topic] = await self._partitions(topic)
                except _REFUSALS as error:
                    self._refused[topic] = error
                if error_before := self._refused.get(topic):
                    counts[topic] = 0
                    refused.append(Refused(row, error_before))
            if count := counts[topic]:
                lines.setdefault((topic, partition_of(row.key, count)), []).append(row)
        return lines, refused

    async def _partitions(self, topic: str) -> int:
        try:
            known = await asyncio.wait_for(
                self._producer.partitions_for(topic), timeout=_METADATA_SECONDS
            )
        except TimeoutError:
            # A broker that is away says nothing either: only one that answers can deny a topic.
            cluster = await asyncio.wait_for(
                self._producer.client.fetch_all_metadata(), timeout=_METADATA_SECONDS
            )
            if topic in cluster.topics():
                raise
            raise UnknownTopicOrPartitionError(topic) from None
        return len(known)

    async def _send(self, place: tuple[str, int], line: list[OutboxRecord]) -> Refused | None:
        topic, partition = place
        with self._nothing_after_failure():
            async with self._lanes[place]:
                position = 0
                while position < len(line):
                    first = line[position]
                    if topic in self._refused:
                        return Refused(first, self._refused[topic])
                    if self._failed:
                        raise SentNoMore
                    self._may_send()
                    batch = self._producer.create_batch()
                    position = self._fill(batch, line, position)
                    try:
                        await (await self._producer.send_batch(batch, topic, partition=partition))
                    except _REFUSALS as error:
                        self._refused[topic] = error
                        return Refused(first, error)
        return None

    @contextmanager
    def _nothing_after_failure(self) -> Iterator[None]:
        """Whatever ends this early, even a cancellation: what waits behind it is not sent."""
        try:
            yield
        except BaseException:
            self._failed = True
            raise

    def _fill(self, batch: BatchBuilder, line: Sequence[OutboxRecord], position: int) -> int:
        """Add rows while there is room; returns the position of the first one left."""
        now = int(time.time() * 1000)
        for row in line[position:]:
            added = batch.append(
                timestamp=now, key=row.key.encode(), value=row.payload, headers=self._headers(row)
            )
            if added is None:
                break
            position += 1
        return position

    @staticmethod
    def _headers(row: OutboxRecord) -> Headers:
        """The headers that `envelope.encode` gave the event."""
        if row.type is None:
            stored = json.loads(row.headers or "{}")
            return [(name, value.encode()) for name, value in stored.items()]
        headers = [
            ("ce_id", row.id.encode()),
            ("ce_type", row.type.encode()),
            ("ce_subject", row.key.encode()),
        ]
        for name, value in zip(HEADER_COLUMNS, row.attributes, strict=True):
            if value is not None:
                headers.append((name, value.encode()))
        return headers


@lru_cache(maxsize=20_000)
def partition_of(key: str, partitions: int) -> int:
    """The partition of a key by Java's default, murmur2, as Debezium and other clients have it.

    The client's own function takes as long as all the rest of a record's way.
    """
    data = key.encode()
    length = len(data)
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    digest = 0x9747B28C ^ length
    whole = length & ~3
    for word in struct.unpack(f"<{whole // 4}I", data[:whole]):
        mixed = word * factor & mask
        digest = (digest * factor & mask) ^ ((mixed ^ mixed >> 24) * factor & mask)
    if rest := data[whole:]:
        digest = (digest ^ int.from_bytes(rest, "little")) * factor & mask
    digest = (digest ^ digest >> 13) * factor & mask
    return ((digest ^ digest >> 15) & 0x7FFFFFFF) % partitions
