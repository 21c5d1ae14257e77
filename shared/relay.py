"""Events out: moves the outbox to Kafka, in order, by one owner of each of its shards.

The owner holds locks on a session of its own. It sends what was committed in the order of `seq`,
and deletes rows when the broker has them; on any failure it begins anew at the oldest row left. A
record may therefore be published twice, but is never lost, and before it first reaches its topic
all earlier ones of its key have reached it: whoever sends a row has the broker's word for those, or
read the outbox when they were gone. That holds even while two owners send, as after one of them was
stopped and woke again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeAlias

import structlog
from aiokafka import AIOKafkaProducer

from shared import outbox, telemetry
from shared.database import Database
from shared.outbox import SLOTS, OutboxRecord, Session
from shared.publisher import Publisher, Refused, SentNoMore

log = structlog.get_logger()

_SHORTEST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.2
_LOCK_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_HOLD_SECONDS = 30.0
_TIDY_SECONDS = 1.0
_TIDY_ROWS = 10_000
_MOST_BYTES_AT_ONCE = 4_000_000
_BATCHES_AHEAD = 2

ProducerFactory: TypeAlias = Callable[[], AIOKafkaProducer]


class OwnershipLost(Exception):  # noqa: N818 - named by the fact
    """Nothing was heard for so long from the session with the locks that they may be another's."""


class Relay:
    """Publishes one service's outbox; call `run` in a task of its own."""

    def __init__(
        self,
        database: Database,
        *,
        producer: ProducerFactory,
        batch: int = 1000,
        journal: bool = False,
        shards: int = 1,
        silence_seconds: float = 10,
    ) -> None:
        self.database = database
        self.new_producer = producer
        self.batch = batch
        self.journal = journal
        self.shards = shards
        self.silence_seconds = silence_seconds
        self.stopping = False
        self.owners = [_Owner(self, number) for number in range(shards)]

    def stuck_seconds(self) -> float:
        """Seconds since a shard last published, had nothing to do, or had another owner."""
        return time.monotonic() - min(owner.last_progress for owner in self.owners)

    def stop(self) -> None:
        """Have `run` return once the outbox is empty or unreachable."""
        self.stopping = True

    async def run(self) -> None:
        """Own shards or wait for them, until `stop`; whatever fails is tried again."""
        wakers = [owner.wake for owner in self.owners]
        self.database.on_events += wakers
        try:
            async with asyncio.TaskGroup() as group:
                for owner in self.owners:
                    group.create_task(owner.run())
        finally:
            for waker in wakers:
                self.database.on_events.remove(waker)


class _Owner:
    """Publishes one shard for as long as its locks are ours."""

    def __init__(self, relay: Relay, number: int) -> None:
        self.owns = False
        self.last_progress = self._last_word = time.monotonic()
        self._relay = relay
        self._database = relay.database
        self._application = f"{relay.database.service}-relay"
        self._slots = [slot for slot in range(SLOTS) if slot % relay.shards == number]
        self._held: dict[str, float] = {}
        self._removed = 0
        self._awake = asyncio.Event()
        self._news = False
        self._sends: dict[asyncio.Task[list[Refused]], list[OutboxRecord]] = {}
        """Rows on their way, oldest first."""

    def wake(self) -> None:
        """Say that there are rows to publish."""
        self._news = True
        self._awake.set()

    async def run(self) -> None:
        while not self._relay.stopping:
            try:
                await self._own()
            except Exception as error:
                log.warning("relay_interrupted", error=_kind(error), exc_info=True)
                if not self._relay.stopping:
                    await asyncio.sleep(_RETRY_SECONDS)
            finally:
                self.owns = False

    async def _own(self) -> None:
        session = await self._database.connect_alone(
            self._application, silence_seconds=self._relay.silence_seconds
        )
        try:
            if not await self._take(session):
                return
            # A deletion that a crash of Postgres undoes is one more record on the wire, which
            # whoever reads it drops; not to wait for the disk brings the next ones out earlier.
            await session.execute("SET synchronous_commit = off")
            self._sends.clear()
            publisher = Publisher(
                self._relay.new_producer(),
                may_send=self._check_ownership,
            )
            try:
                await publisher.start()
                async with asyncio.TaskGroup() as group:
                    tidying = group.create_task(self._tidy())
                    await self._publish(session, publisher, group)
                    tidying.cancel()
            finally:
                await publisher.close()
        finally:
            await session.close(timeout=2)

    async def _take(self, session: Session) -> bool:
        """Wait for the shard; False when stopped before."""
        while not self._relay.stopping:
            self.last_progress = self._last_word = time.monotonic()
            if not await self._has_enough(session) and await outbox.take_slots(
                session, self._slots
            ):
                self.owns = True
                return True
            # Two that try at the same moment must not do so again and again.
            await asyncio.sleep(_LOCK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
        return False

    async def _has_enough(self, session: Session) -> bool:
        """Whether the other shards that this replica owns are its share already."""
        if self._relay.shards == 1:
            return False
        sessions = await outbox.sessions_of(session, self._application)
        replicas = max(1, sessions // self._relay.shards)
        share = -(-self._relay.shards // replicas)
        return sum(owner.owns for owner in self._relay.owners if owner is not self) >= share

    def _check_ownership(self) -> None:
        """Raise before Postgres would give the locks to another, whatever held us up."""
        if time.monotonic() - self._last_word > 0.8 * self._relay.silence_seconds:
            raise OwnershipLost

    async def _publish(
        self, session: Session, publisher: Publisher, group: asyncio.TaskGroup
    ) -> None:
        """Send rows while those before are on their way, and delete what the broker has."""
        pause = _SHORTEST_PAUSE_SECONDS
        look = True
        while True:
            self._awake.clear()
            arrived = await self._arrived(session)
            crowded = sum(map(len, self._sends.values())) > _BATCHES_AHEAD * self._relay.batch
            found: list[OutboxRecord] = []
            if look:
                # Even for no row: a session that falls silent loses its locks.
                found = await self._read(session, arrived, 0 if crowded else self._relay.batch)
            if found:
                sending = group.create_task(publisher.send(found))
                sending.add_done_callback(lambda _: self._awake.set())
                self._sends[sending] = found
                pause = _SHORTEST_PAUSE_SECONDS
            # Only now, so that it holds up no row that could be sent.
            await self._remove(session, arrived)
            if look and not self._sends:
                self.last_progress = time.monotonic()
                if self._relay.stopping or await self._has_enough(session):
                    return
            if len(found) == self._relay.batch:
                continue
            try:
                await asyncio.wait_for(self._awake.wait(), pause)
                look = self._news or crowded or self._relay.stopping
            except TimeoutError:
                look = True
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.5)

    async def _arrived(self, session: Session) -> list[OutboxRecord]:
        """The rows that the broker has by now, in the order in which they were sent."""
        arrived: list[OutboxRecord] = []
        while self._sends and (sending := next(iter(self._sends))).done():
            rows = self._sends.pop(sending)
            if refused := sending.result():
                await self._remove(session, arrived)
                await self._hold(session, refused, rows)
            arrived += rows
        return arrived

    async def _read(
        self, session: Session, arrived: Sequence[OutboxRecord], limit: int
    ) -> list[OutboxRecord]:
        """The oldest rows that were not sent yet."""
        self._news = False
        now = time.monotonic()
        self._held = {topic: until for topic, until in self._held.items() if until > now}
        rows = await outbox.oldest(
            session,
            self._slots,
            busy=[row.seq for row in chain(arrived, *self._sends.values())],
            held=list(self._held),
            limit=limit,
            limit_bytes=_MOST_BYTES_AT_ONCE,
        )
        self._last_word = now
        return rows

    async def _remove(self, session: Session, rows: Sequence[OutboxRecord]) -> None:
        if rows:
            await outbox.remove(session, [row.seq for row in rows], journal=self._relay.journal)
            self.last_progress = time.monotonic()
            self._removed += len(rows)
            telemetry.PUBLISHED.labels(self._database.service).inc(len(rows))

    async def _hold(
        self, session: Session, refused: Sequence[Refused], batch: Sequence[OutboxRecord]
    ) -> None:
        """Leave the topics that the broker refuses alone for a while, tell of them, and raise."""
        for each in refused:
            first = each.first
            self._held[first.topic] = time.monotonic() + _HOLD_SECONDS
            telemetry.REFUSED.labels(self._database.service, first.topic, str(each)).inc()
            log.error(
                "topic_refused",
                topic=first.topic,
                error=str(each),
                event_type=first.type,
                seq=first.seq,
                bytes=len(first.payload or b""),
                retry_seconds=_HOLD_SECONDS,
            )
        await self._remove(session, [row for row in batch if row.topic not in self._held])
        # A producer goes on counting after a refusal, and the broker would miss a number.
        raise refused[0]

    async def _tidy(self) -> None:
        """Vacuum after every so many rows: each read begins where those were that are gone."""
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            if self._removed >= _TIDY_ROWS:
                self._removed = 0
                async with self._database.pool.acquire() as connection:
                    await outbox.vacuum(connection)


def _kind(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        # What failed first, not what was not sent any more because of it.
        error = error.split(SentNoMore)[1] or error
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
