"""Events in: one transaction per batch for inbox, handlers and outbox, then the Kafka offsets.

`Handlers` maps event types to functions; `Inbound` applies records to a database through them;
`Consumer` feeds `Inbound` from Kafka. Redeliveries are dropped by the inbox, records that cannot
be handled are parked with their reason, and everything else that fails is tried again.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER

from shared import telemetry
from shared.catalogue import EVENT_TYPES, Event
from shared.database import Database, OutboxRow, Transaction
from shared.envelope import Envelope, Record, UnknownType, Unreadable, decode
from shared.records import tolerate_header_names

log = structlog.get_logger()

E = TypeVar("E", bound=Event)
EachHandler = Callable[[Any, Transaction], Awaitable[None]]
BatchHandler = Callable[[Sequence[Any], Transaction], Awaitable[None]]
TombstoneHandler = Callable[[Sequence[str], Transaction], Awaitable[None]]

# A copy of a parked record must fit the broker even when the original only just did.
_LARGEST_DEAD_LETTER = 900_000
_OUR_TOPICS = "updraft."
# Records of a megabyte each must not be held by the hundreds.
_MOST_BYTES_AT_ONCE = 4_000_000
_ATTEMPTS_BEFORE_PARKING = 4
_LONGEST_BACKOFF_SECONDS = 5.0
TRANSIENT = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What the client raises when the server vanishes in the middle of an answer.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
)
"""Failures of the surroundings, not of a record: tried again for as long as they last."""


class Rejected(Exception):  # noqa: N818 - named by the fact
    """A handler's word that a record can never be applied; says `field: reason; remedy`."""


@dataclass(frozen=True, slots=True)
class _Route:
    """The function for a group of event types, and how it wants to be called."""

    function: Any
    batched: bool


@dataclass
class Handlers:
    """Which function handles which event type."""

    routes: dict[str, _Route] = field(default_factory=dict)
    tombstone_routes: dict[str, TombstoneHandler] = field(default_factory=dict)
    event_types: list[type[Event]] = field(default_factory=list)

    def each(self, *types: type[Event]) -> Callable[[EachHandler], EachHandler]:
        """Register a function that takes one event at a time, in order.

        A base of the catalogue, such as PairFact, stands for all its event types.
        """

        def register(function: EachHandler) -> EachHandler:
            self._add(types, _Route(function, batched=False))
            return function

        return register

    def batch(self, *types: type[Event]) -> Callable[[BatchHandler], BatchHandler]:
        """Register a function that takes consecutive events of these types of one topic.

        A base of the catalogue, such as PairFact, stands for all its event types.
        """

        def register(function: BatchHandler) -> BatchHandler:
            self._add(types, _Route(function, batched=True))
            return function

        return register

    def tombstones(self, topic: str) -> Callable[[TombstoneHandler], TombstoneHandler]:
        """Register a function that takes the keys of which nothing is left on a topic."""

        def register(function: TombstoneHandler) -> TombstoneHandler:
            self.tombstone_routes[topic] = function
            return function

        return register

    def _add(self, types: Sequence[type[Event]], route: _Route) -> None:
        for event_type in EVENT_TYPES:
            if not issubclass(event_type, tuple(types)):
                continue
            if event_type.TYPE in self.routes:
                raise ValueError(f"{event_type.TYPE} has a handler already")
            self.routes[event_type.TYPE] = route
            self.event_types.append(event_type)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics to subscribe to."""
        return tuple(sorted({event.TOPIC for event in self.event_types}))

    async def dispatch(self, envelopes: Sequence[Envelope], tx: Transaction) -> None:
        """Call the functions for these events; the order within a topic is kept."""
        by_topic: dict[str, list[Envelope]] = {}
        for envelope in envelopes:
            by_topic.setdefault(envelope.record.topic, []).append(envelope)
        for run in by_topic.values():
            for function, group in groupby(run, key=self._function_of):
                await self._call(function, list(group), tx)

    def _function_of(self, envelope: Envelope) -> Any:
        if envelope.data is None:
            return self.tombstone_routes.get(envelope.record.topic)
        return self.routes[envelope.type].function

    async def _call(self, function: Any, group: list[Envelope], tx: Transaction) -> None:
        first = group[0]
        if function is None:
            return
        if first.data is None:
            await function([(e.record.key or b"").decode() for e in group], tx)
        elif self.routes[first.type].batched:
            tx.cause = first if len(group) == 1 else None
            await function([e.data for e in group], tx)
        else:
            for envelope in group:
                tx.cause = envelope
                await function(envelope.data, tx)
        tx.cause = None


@dataclass(frozen=True, slots=True)
class _Parked:
    record: Record
    event_id: UUID
    reason: str


class Inbound:
    """Applies batches of records to one service's database."""

    def __init__(self, database: Database, handlers: Handlers) -> None:
        self.database = database
        self.handlers = handlers

    async def apply(self, records: Sequence[Record], *, park_failures: bool = False) -> list[str]:
        """Apply a batch in one transaction; returns the reasons of the records parked.

        With `park_failures`, a record whose handler keeps failing is parked as well; without, any
        failure but Rejected is raised and nothing of the batch is kept.
        """
        envelopes, parked = self._decode(records)
        async with self.database.transaction() as tx:
            fresh, reused = await self._unseen(tx, envelopes)
            parked += reused
            parked += await self._handle(tx, fresh, park_failures=park_failures)
            if parked:
                await self._park(tx, parked)
        service = self.database.service
        for envelope in fresh:
            telemetry.EVENTS.labels(service, envelope.type).inc()
        return [each.reason for each in parked]

    def _decode(self, records: Sequence[Record]) -> tuple[list[Envelope], list[_Parked]]:
        now = self.database.clock.now()
        envelopes: list[Envelope] = []
        parked: list[_Parked] = []
        for record in records:
            try:
                envelope = decode(record, now)
            except UnknownType:
                telemetry.UNKNOWN.labels(self.database.service).inc()
                # Between services a type not known here is one of a newer version. From outside it
                # is somebody's record under a wrong name.
                if not record.topic.startswith(_OUR_TOPICS):
                    parked.append(_Parked(record, record.fingerprint, _unknown_type(record.topic)))
            except Unreadable as error:
                parked.append(_Parked(record, record.fingerprint, str(error)))
            else:
                if envelope.type in self.handlers.routes:
                    envelopes.append(envelope)
        return envelopes, parked

    async def _unseen(
        self, tx: Transaction, envelopes: Sequence[Envelope]
    ) -> tuple[list[Envelope], list[_Parked]]:
        """Record the ids in the inbox; returns the new events, and those whose id was reused."""
        first: dict[UUID, Envelope] = {}
        again = [e for e in envelopes if first.setdefault(e.identity, e) is not e]
        if not first:
            return [], []
        rows = await tx.connection.fetch(
            """
            INSERT INTO inbox (consumer, event_id, digest)
            SELECT $1, event_id, digest
            -- one order for all writers, so that two batches never wait for each other in a circle
            FROM unnest($2::uuid[], $3::bytea[]) AS seen (event_id, digest) ORDER BY event_id
            ON CONFLICT DO NOTHING RETURNING event_id
            """,
            self.database.service,
            list(first),
            [envelope.digest for envelope in first.values()],
        )
        new = {row["event_id"] for row in rows}
        again += [envelope for identity, envelope in first.items() if identity not in new]
        reused = await self._reused(tx, again)
        return [envelope for identity, envelope in first.items() if identity in new], reused

    async def _reused(self, tx: Transaction, again: Sequence[Envelope]) -> list[_Parked]:
        if not again:
            return []
        rows = await tx.connection.fetch(
            "SELECT event_id, digest FROM inbox WHERE consumer = $1 AND event_id = ANY($2)",
            self.database.service,
            [envelope.identity for envelope in again],
        )
        digests = {row["event_id"]: row["digest"] for row in rows}
        other = [e for e in again if digests.get(e.identity) != e.digest]
        telemetry.DUPLICATES.labels(self.database.service).inc(len(again) - len(other))
        reason = "id: used before for another content; give every event an id of its own"
        return [_Parked(e.record, e.record.fingerprint, reason) for e in other]

    async def _handle(
        self, tx: Transaction, envelopes: Sequence[Envelope], *, park_failures: bool
    ) -> list[_Parked]:
        """Dispatch; where that fails for good, halve until the record at fault stands alone."""
        if not envelopes:
            return []
        tolerated: tuple[type[Exception], ...] = (Exception,) if park_failures else (Rejected,)
        try:
            async with tx.savepoint():
                await self.handlers.dispatch(envelopes, tx)
                # Here, so that an event that cannot be written is found by halving as well.
                await tx.flush()
        except TRANSIENT:
            raise
        except tolerated as error:
            tx.cause = None
            if len(envelopes) == 1:
                record = envelopes[0].record
                reason = str(error) if isinstance(error, Rejected) else _failure(error)
                return [_Parked(record, envelopes[0].identity, reason)]
        else:
            return []
        half = len(envelopes) // 2
        left = await self._handle(tx, envelopes[:half], park_failures=park_failures)
        return left + await self._handle(tx, envelopes[half:], park_failures=park_failures)

    async def _park(self, tx: Transaction, parked: Sequence[_Parked]) -> None:
        rows = await tx.connection.fetch(
            """
            INSERT INTO parked (consumer, event_id, topic, part, off, key, headers, payload,
                                reason, parked_at)
            SELECT $1, event_id, topic, part, off, key, headers::jsonb, payload, reason, $10
            FROM unnest($2::uuid[], $3::text[], $4::int[], $5::bigint[], $6::bytea[], $7::text[],
                        $8::bytea[], $9::text[])
                AS row (event_id, topic, part, off, key, headers, payload, reason)
            ON CONFLICT DO NOTHING RETURNING event_id
            """,
            self.database.service,
            [each.event_id for each in parked],
            [each.record.topic for each in parked],
            [each.record.partition for each in parked],
            [each.record.offset for each in parked],
            [each.record.key for each in parked],
            [_headers_as_json(each.record) for each in parked],
            [each.record.value for each in parked],
            [each.reason for each in parked],
            tx.now,
        )
        new = {row["event_id"] for row in rows}
        for each in parked:
            if each.event_id in new:
                new.discard(each.event_id)
                tx.append(_dead_letter(each, self.database.service))
                telemetry.PARKED.labels(self.database.service, each.record.topic).inc()


def _unknown_type(topic: str) -> str:
    known = ", ".join(event.TYPE for event in EVENT_TYPES if topic == event.TOPIC)
    return f"ce_type: not known on this topic; send one of {known}"


def _failure(error: Exception) -> str:
    # The message of a foreign error may quote a value of the record, so only its kind is told.
    return f"handler: failed with {type(error).__name__}; see the service's log, then retry"


def _headers_as_json(record: Record) -> str:
    pairs = [
        (quote(name, safe="-_.~ "), base64.b64encode(value or b"").decode())
        for name, value in record.headers
    ]
    return json.dumps(pairs)


def _dead_letter(parked: _Parked, consumer: str) -> OutboxRow:
    """The original record for the dead-letter topic, its place and reason in headers."""
    record = parked.record
    headers = {
        quote(name, safe="-_.~"): quote(value or b"", safe=" !#$&'()*+,/:;=?@[]{}\"-_.~")
        for name, value in record.headers
    }
    headers |= {
        "updraft-reason": quote(parked.reason, safe=" !#$&'()*+,/:;=?@[]{}\"-_.~"),
        "updraft-topic": record.topic,
        "updraft-partition": str(record.partition),
        "updraft-offset": str(record.offset),
    }
    value = record.value
    if value is not None and len(value) > _LARGEST_DEAD_LETTER:
        headers["updraft-truncated-from"] = str(len(value))
        value = value[:_LARGEST_DEAD_LETTER]
    key = (record.key or b"").decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    return OutboxRow(parked.event_id, f"{record.topic}.{consumer}.dlq", key, headers, value)


class _Gate(ConsumerRebalanceListener):  # type: ignore[misc]
    """Holds a rebalance back until the batch in hand is applied and committed.

    Without it the client gives partitions away while their batch is still being applied.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._held = False

    async def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002 - the client's interface
        if not self._held:
            await self.lock.acquire()
            self._held = True

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
    ) -> None:
        self._inbound = inbound
        self._service = inbound.database.service
        self._gate = _Gate()
        self._failures = 0
        self._last_progress = time.monotonic()
        self._waiting_since: float | None = None
        tolerate_header_names()
        self._subscriber = broker.subscriber(
            *inbound.handlers.topics,
            group_id=self._service + group_suffix,
            batch=True,
            max_records=max_batch,
            batch_timeout_ms=20,
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

    async def _receive(self, message: KafkaMessage) -> None:
        """Take one batch from FastStream. Never raises: FastStream would skip the batch."""
        raw: Any = message.raw_message
        consumer: AIOKafkaConsumer = self._subscriber.consumer
        async with self._gate.lock:
            # A rebalance may have taken partitions away since these records were fetched.
            mine = consumer.assignment()
            taken = [r for r in raw if TopicPartition(r.topic, r.partition) in mine]
            while taken:
                few = taken[: _how_many(taken)]
                try:
                    await self._apply(few)
                except Exception as error:
                    delay = self._rewind(consumer, taken, error)
                    break
                self._failures = 0
                self._last_progress = time.monotonic()
                await self._commit(consumer, few)
                taken = taken[len(few) :]
            else:
                return
        await asyncio.sleep(delay)

    async def _apply(self, raw: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        records = [
            Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers)) for r in raw
        ]
        telemetry.BATCH_SIZE.labels(self._service).observe(len(records))
        with telemetry.BATCH_SECONDS.labels(self._service).time():
            reasons = await self._inbound.apply(
                records, park_failures=self._failures >= _ATTEMPTS_BEFORE_PARKING
            )
        if reasons:
            log.warning("records_parked", count=len(reasons))

    def _rewind(
        self,
        consumer: AIOKafkaConsumer,
        raw: Sequence[ConsumerRecord[bytes, bytes]],
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

    async def _commit(
        self, consumer: AIOKafkaConsumer, raw: Sequence[ConsumerRecord[bytes, bytes]]
    ) -> None:
        offsets = {TopicPartition(r.topic, r.partition): r.offset + 1 for r in raw}
        try:
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


def _how_many(raw: Sequence[ConsumerRecord[bytes, bytes]]) -> int:
    """How many of these records, at least one, may be applied at once."""
    total = 0
    for count, record in enumerate(raw):
        total += len(record.value or b"")
        if count and total > _MOST_BYTES_AT_ONCE:
            return count
    return len(raw)


def _first_offsets(raw: Sequence[ConsumerRecord[bytes, bytes]]) -> dict[TopicPartition, int]:
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
