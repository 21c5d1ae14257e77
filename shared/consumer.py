"""Kafka in: polls one subscription, applies its batches, then commits their offsets.

A batch that fails is delivered again, after a pause with backoff and jitter that stays far below
the time after which the broker would give its partitions to another.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER

from shared import kafka_client, telemetry
from shared.database import TRANSIENT
from shared.envelope import Record
from shared.inbound import Inbound, Read

log = structlog.get_logger()

# Records of a megabyte each must not be held by the hundreds.
_MOST_BYTES_AT_ONCE = 4_000_000
_LOOK_MS = 1000
_SOON_MS = 50
_REST_MS = 5
_COMMIT_SECONDS = 0.1
_BATCHES_AT_A_LOOK = 4
"""While one is applied the next is decoded, so there should be a next."""
# A few records cost nearly as much as many. Resting after them leaves the processors to others and
# makes more of the next: records then take less time from end to end.
_FEW = 0.25
_REST_PER_WORK = 4
LONGEST_REST_SECONDS = 0.008
_ATTEMPTS_BEFORE_PARKING = 4
_LONGEST_BACKOFF_SECONDS = 5.0


_Record: TypeAlias = ConsumerRecord[bytes, bytes]
_Raw: TypeAlias = Sequence[_Record]


class _Gate(ConsumerRebalanceListener):  # type: ignore[misc]
    """Holds a rebalance back until the batch in hand is applied and committed.

    Without it the client gives partitions away while their batch is still being applied.
    """

    def __init__(self, leave: Callable[[], Awaitable[None]]) -> None:
        self.lock = asyncio.Lock()
        self._leave = leave
        self._held = False

    async def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002 - the client's interface
        if not self._held:
            await self.lock.acquire()
            self._held = True
            await self._leave()

    async def on_partitions_assigned(self, assigned: object) -> None:  # noqa: ARG002
        if self._held:
            self._held = False
            self.lock.release()


class Consumer:
    """A service's one Kafka subscription."""

    def __init__(
        self,
        broker: KafkaBroker,
        inbound: Inbound,
        *,
        max_batch: int = 500,
        group_suffix: str = "",
        session_seconds: float = 15,
        longest_rest_seconds: float = LONGEST_REST_SECONDS,
    ) -> None:
        self._inbound = inbound
        self._service = inbound.database.service
        self._gate = _Gate(self._commit)
        self._max_batch = max_batch
        self._longest_rest_seconds = longest_rest_seconds
        self._failures = 0
        self._applied: dict[TopicPartition, int] = {}
        """Offsets to commit."""
        self._last_commit = 0.0
        self._last_progress = time.monotonic()
        self._waiting_since: float | None = None
        self._oldest_in_hand = 0.0
        kafka_client.harden()
        self._subscriber = broker.subscriber(
            *inbound.handlers.topics,
            group_id=self._service + group_suffix,
            batch=True,
            max_records=max_batch,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            session_timeout_ms=int(session_seconds * 1000),
            # Must exceed the longest batch, which a rebalance waits for.
            rebalance_timeout_ms=60_000,
            heartbeat_interval_ms=int(session_seconds * 1000 / 5),
            listener=self._gate,
            parser=_raw_message,
            decoder=_itself,
            title=f"{self._service} reads",
        )
        self._subscriber(self._receive)
        # FastStream's own sleeps after each look that found nothing.
        self._subscriber.get_msg = self._next  # type: ignore[method-assign]

    async def _next(self, consumer: AIOKafkaConsumer) -> tuple[_Record, ...]:
        """What has come since the last look, or else what comes first within a while."""
        most = _BATCHES_AT_A_LOOK * self._max_batch
        consumer.resume(*consumer.paused())
        records = _in_line(await consumer.getmany(max_records=most))
        if not records:
            records = await self._wait(consumer, most)
        elif room := most - len(records):
            # While the client holds records it asks the broker for none: more may have come. What
            # fails here does so again at the next look, and must not take these records with it.
            with contextlib.suppress(KafkaError):
                records += _in_line(await consumer.getmany(timeout_ms=_REST_MS, max_records=room))
        if records and self._few(len(records)):
            # Else the client asks at once for more and gets the one record that comes next, which
            # keeps it from asking again before the next look.
            consumer.pause(*consumer.assignment())
        return records

    async def _wait(self, consumer: AIOKafkaConsumer, most: int) -> tuple[_Record, ...]:
        # Not after each few records, which would take a good part of the time that they take.
        if time.monotonic() - self._last_commit > _COMMIT_SECONDS:
            await self._commit()
        wait_ms = _SOON_MS if self._applied else _LOOK_MS
        records = _in_line(await consumer.getmany(timeout_ms=wait_ms, max_records=most))
        if not records:
            await self._commit()
        return records

    def _few(self, records: int) -> bool:
        return records < _FEW * self._max_batch

    async def _receive(self, message: KafkaMessage) -> None:
        """Take records from FastStream. Never raises: FastStream would skip the batch."""
        raw: Any = message.raw_message
        consumer: AIOKafkaConsumer = self._subscriber.consumer
        began = time.monotonic()
        async with self._gate.lock:
            # A rebalance may have taken partitions away since these records were fetched.
            mine = consumer.assignment()
            taken = [r for r in raw if TopicPartition(r.topic, r.partition) in mine]
            if taken:
                self._oldest_in_hand = min(r.timestamp for r in taken) / 1000
            rest = await self._apply_all(consumer, list(_batches(taken, self._max_batch)))
        if not rest and self._few(len(taken)):
            rest = min(_REST_PER_WORK * (time.monotonic() - began), self._longest_rest_seconds)
        await asyncio.sleep(rest)

    async def _apply_all(self, consumer: AIOKafkaConsumer, batches: Sequence[_Raw]) -> float:
        """Apply batches in turn, up to one that fails; returns the seconds to rest after that."""
        ahead: asyncio.Task[list[Read]] | None = None
        done, rest = 0, 0.0
        try:
            for batch in batches:
                read = await ahead if ahead else await self._read(batch)
                following = batches[done + 1 : done + 2]
                # Decoded while the database is at work on this one.
                ahead = asyncio.create_task(self._read(*following)) if following else None
                await self._apply(len(batch), read)
                self._failures = 0
                self._last_progress = time.monotonic()
                done += 1
        except Exception as error:
            rest = self._rewind(consumer, list(chain.from_iterable(batches[done:])), error)
        finally:
            if ahead:
                ahead.cancel()
        applied = list(chain.from_iterable(batches[:done]))
        self._applied |= {TopicPartition(r.topic, r.partition): r.offset + 1 for r in applied}
        if not self._few(len(applied)):
            await self._commit()
        return rest

    async def _read(self, raw: _Raw) -> list[Read]:
        return await self._inbound.read(
            [Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers)) for r in raw]
        )

    async def _apply(self, size: int, read: Sequence[Read]) -> None:
        telemetry.BATCH_SIZE.labels(self._service).observe(size)
        with telemetry.BATCH_SECONDS.labels(self._service).time():
            reasons = await self._inbound.apply_read(
                read,
                park_failures=self._failures >= _ATTEMPTS_BEFORE_PARKING,
                attempt=self._failures + 1,
            )
        if reasons:
            log.warning("records_parked", count=len(reasons))

    def _rewind(
        self,
        consumer: AIOKafkaConsumer,
        raw: _Raw,
        error: Exception,
    ) -> float:
        """Have the batch delivered again; returns the seconds to wait before."""
        if not isinstance(error, TRANSIENT):
            self._failures += 1
        log.warning(
            "batch_failed",
            error=type(error).__name__,
            attempts=self._failures,
            exc_info=not isinstance(error, TRANSIENT),
        )
        for partition, offset in _first_offsets(raw).items():
            consumer.seek(partition, offset)
        longest = min(_LONGEST_BACKOFF_SECONDS, 0.1 * 2 ** min(self._failures, 8))
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter

    async def _commit(self) -> None:
        offsets, self._applied = self._applied, {}
        self._last_commit = time.monotonic()
        if not offsets:
            return
        try:
            consumer: AIOKafkaConsumer = self._subscriber.consumer
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError, KafkaError) as error:
            # The work is done; whoever gets these records again drops them by the inbox.
            log.warning("commit_failed", error=type(error).__name__)

    def lag(self) -> int:
        """Records delivered by the broker's word but not yet applied."""
        consumer = self._subscriber.consumer
        if consumer is None:
            return 0
        lag = 0
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            at = consumer._subscription.subscription.assignment.state_value(partition)  # noqa: SLF001 - the public position() is a coroutine that may wait for the broker
            if end is not None and at is not None and at.has_valid_position:
                lag += max(0, end - at.position)
        return lag

    def lag_seconds(self) -> float:
        """Real seconds since the oldest record in hand was written; 0 when none waits."""
        return max(0.0, time.time() - self._oldest_in_hand) if self.lag() else 0.0

    def stuck_seconds(self) -> float:
        """How long records have waited without any being applied; 0 when none waits."""
        now = time.monotonic()
        if self.lag() == 0:
            self._waiting_since = None
            return 0.0
        if self._waiting_since is None:
            self._waiting_since = now
        return now - max(self._waiting_since, self._last_progress)

    @property
    def assigned(self) -> bool:
        """Whether the broker gave this consumer its share of partitions."""
        consumer = self._subscriber.consumer
        return consumer is not None and bool(consumer.assignment())


def _in_line(
    found: Mapping[TopicPartition, _Raw],
) -> tuple[_Record, ...]:
    return tuple(chain.from_iterable(found.values()))


def _batches(raw: _Raw, most: int) -> Iterator[_Raw]:
    """These records in their order, at least one and at most so many at a time."""
    first, total = 0, 0
    for at, record in enumerate(raw):
        size = len(record.value or b"")
        if at > first and (at - first == most or total + size > _MOST_BYTES_AT_ONCE):
            yield raw[first:at]
            first, total = at, 0
        total += size
    if raw:
        yield raw[first:]


def _first_offsets(raw: _Raw) -> dict[TopicPartition, int]:
    first: dict[TopicPartition, int] = {}
    for record in raw:
        first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
    return first


async def _raw_message(raw: Any) -> KafkaMessage:
    # FastStream's own parser decodes header values and drops the batch when one is not UTF-8.
    return KafkaMessage(body=b"", raw_message=raw, headers={}, consumer=FAKE_CONSUMER)


async def _itself(message: KafkaMessage) -> KafkaMessage:
    # What a decoder returns is what the handler gets: here the raw records.
    return message
