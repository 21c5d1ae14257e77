"""Events out: moves the outbox to Kafka, in order, by one owner per schema.

The owner holds an advisory lock on a connection of its own. It sends a batch pipelined, and deletes
the rows only when the broker has all of them; on any failure it sends the whole batch again, so a
record may be published twice but never lost or overtaken.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import TypeAlias

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer

from shared import telemetry
from shared.database import Connection, Database
from shared.envelope import binary_headers

log = structlog.get_logger()

_SHORTEST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.2
_RETRY_SECONDS = 1.0

ProducerFactory: TypeAlias = Callable[[], AIOKafkaProducer]


class OwnershipLost(Exception):  # noqa: N818 - named by the fact
    """The connection that holds the owner's lock is gone."""


async def restore_journal(connection: Connection) -> int:
    """Put everything published back into the outbox, for a broker that has forgotten it.

    Keeps ids and order, so that consumers drop what they have applied. Returns the number of rows.
    """
    done = await connection.execute(
        """
        WITH gone AS (DELETE FROM journal RETURNING *)
        INSERT INTO outbox OVERRIDING SYSTEM VALUE SELECT * FROM gone ORDER BY seq
        """
    )
    return int(done.split()[-1])


class Relay:
    """Publishes one service's outbox; call `run` in a task of its own."""

    def __init__(
        self,
        database: Database,
        *,
        producer: ProducerFactory,
        batch: int = 500,
        journal: bool = False,
    ) -> None:
        self._database = database
        self._service = database.service
        self._new_producer = producer
        self._batch = batch
        self._remove = _MOVE_TO_JOURNAL if journal else _DELETE
        self._last_progress = time.monotonic()
        self._stopping = False

    def stuck_seconds(self) -> float:
        """Seconds since the relay last published, found nothing to do, or found another owner."""
        return time.monotonic() - self._last_progress

    def stop(self) -> None:
        """Have `run` return once the outbox is empty or unreachable."""
        self._stopping = True

    async def run(self) -> None:
        """Own the outbox or wait for it, until `stop`; whatever fails is tried again."""
        while not self._stopping:
            try:
                await self._own()
            except Exception as error:
                log.warning("relay_interrupted", error=type(error).__name__, exc_info=True)
            else:
                continue
            if not self._stopping:
                await asyncio.sleep(_RETRY_SECONDS)

    async def _own(self) -> None:
        """Publish for as long as the lock is ours; returns when stopped or when another owns it."""
        connection = await self._database.connect_alone(f"{self._service}-relay")
        try:
            if not await connection.fetchval(
                "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ':relay', 0))"
            ):
                self._last_progress = time.monotonic()
                await asyncio.sleep(_RETRY_SECONDS)
                return
            producer = self._new_producer()
            await producer.start()
            try:
                await self._publish_until_stopped(connection, producer)
            finally:
                await producer.stop()
        finally:
            await connection.close(timeout=2)

    async def _publish_until_stopped(
        self, connection: asyncpg.Connection[asyncpg.Record], producer: AIOKafkaProducer
    ) -> None:
        pause = _SHORTEST_PAUSE_SECONDS
        while True:
            if connection.is_closed():
                raise OwnershipLost
            published = await self._publish_batch(connection, producer)
            self._last_progress = time.monotonic()
            if published:
                pause = _SHORTEST_PAUSE_SECONDS
                telemetry.PUBLISHED.labels(self._service).inc(published)
            elif self._stopping:
                return
            else:
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.5)

    async def _publish_batch(
        self, connection: asyncpg.Connection[asyncpg.Record], producer: AIOKafkaProducer
    ) -> int:
        rows = await connection.fetch(
            "SELECT seq, topic, key, headers, payload FROM outbox ORDER BY seq LIMIT $1",
            self._batch,
        )
        if not rows:
            return 0
        sent = [
            await producer.send(
                row["topic"],
                row["payload"],
                key=row["key"].encode(),
                headers=binary_headers(json.loads(row["headers"])),
            )
            for row in rows
        ]
        await asyncio.gather(*sent)
        await connection.execute(self._remove, [row["seq"] for row in rows])
        return len(rows)


_DELETE = "DELETE FROM outbox WHERE seq = ANY($1)"
_MOVE_TO_JOURNAL = """
    WITH gone AS (DELETE FROM outbox WHERE seq = ANY($1) RETURNING *)
    INSERT INTO journal SELECT * FROM gone ON CONFLICT DO NOTHING
"""
