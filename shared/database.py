"""Postgres: the pool of one service's schema, its migrations, and the unit of work."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pydantic_core import to_json

from shared import tracing
from shared.catalogue import Event
from shared.clock import Clock
from shared.envelope import Envelope, encode, json_value
from shared.ids import new_id

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""A connection, pooled or not."""

HEADER_COLUMNS = {
    "ce_specversion": "specversion",
    "ce_source": "source",
    "ce_time": "time",
    "ce_dataschema": "dataschema",
    "content-type": "contenttype",
    "traceparent": "traceparent",
    "ce_correlationid": "correlationid",
    "ce_causationid": "causationid",
    "ce_origintime": "origintime",
}
"""Columns of the outbox for an event's headers, but for those that say its id, type and key."""

LARGEST_EVENT = 1_000_000
"""Bytes of an event's data that fit a broker's default of a MiB, with key and headers."""

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
"""Failures of the surroundings, not of the work: it may succeed when they are over."""

BACKBONE_MIGRATIONS = Path(__file__).parent / "migrations"


class OutboxRow(NamedTuple):
    """A record to be published; `payload` None is a tombstone, `type` None no event of ours."""

    event_id: UUID
    topic: str
    key: str
    headers: dict[str, str]
    payload: bytes | None
    type: str | None = None


class TooLarge(Exception):  # noqa: N818 - named by the fact
    """An event that no broker would take; the work that leads to it must not take effect."""

    def __init__(self, event_type: str, size: int, largest: int) -> None:
        super().__init__(
            f"value: leads to {event_type} of {size} bytes, more than {largest};"
            " shorten what it repeats"
        )


class Transaction:
    """One unit of work: the caller's statements and the events they lead to, all or nothing."""

    def __init__(
        self,
        connection: Connection,
        *,
        now: datetime,
        source: str,
        largest_event: int = LARGEST_EVENT,
    ) -> None:
        self.largest_event = largest_event
        self.connection = connection
        self.now = now
        self.source = source
        self.traceparent: str | None = None
        """The trace that this work belongs to, where no event is its cause."""
        self.wrote_events = False
        self.refused: list[tuple[Envelope, str]] = []
        """Events that a handler set aside, with their reasons."""
        self.erased: set[tuple[str, bytes]] = set()
        """Topics and keys of which no copy may stay."""
        self._handled: dict[int, Envelope] = {}
        self._outbox: list[OutboxRow] = []
        self._spans: list[tracing.Span] = []

    def publish(self, event: Event, *, cause: Event | None = None) -> None:
        """Append an event to the outbox; it leaves with the commit, in this order per key.

        `cause` is the one of the events being handled that led to it, where there are several.
        """
        self._append(type(event), event.key, json_value(event), cause)

    def publish_tombstone(
        self, event_type: type[Event], key: str, *, cause: Event | None = None
    ) -> None:
        """Say that nothing is left of `key` on the type's compacted topic."""
        self._append(event_type, key, None, cause)

    def handle(self, envelopes: Sequence[Envelope]) -> None:
        """Take note of which events the statements that follow apply."""
        self._handled = {id(envelope.data): envelope for envelope in envelopes}

    def reject(self, event: Event, reason: str) -> None:
        """Set one of the events being handled aside, for good; the others take effect.

        Its handler must leave no trace of it. `reason` says `field: reason; remedy`.
        """
        self.refused.append((self._handled[id(event)], reason))

    def received_at(self, event: Event) -> datetime:
        """When an event came: its own moment if it is being handled, else that of this work."""
        envelope = self._handled.get(id(event))
        return envelope.received_at if envelope else self.now

    def append(self, row: OutboxRow) -> None:
        """Append a record as it is, such as a dead letter."""
        self._outbox.append(row)

    def _append(
        self, event_type: type[Event], key: str, payload: bytes | None, cause: Event | None
    ) -> None:
        if payload is not None and len(payload) > self.largest_event:
            raise TooLarge(event_type.TYPE, len(payload), self.largest_event)
        event_id = new_id(self.now)
        handled = self._handled
        if cause is not None:
            origin = handled.get(id(cause))
        else:
            origin = next(iter(handled.values())) if len(handled) == 1 else None
        parent = origin.traceparent if origin else self.traceparent
        span = self.span(f"publish {event_type.TYPE}", "PRODUCER", parent)
        headers = encode(
            event_type,
            event_id=event_id,
            source=self.source,
            subject=key,
            now=self.now,
            cause=origin,
            traceparent=tracing.traceparent(span, parent),
        )
        self._outbox.append(
            OutboxRow(event_id, event_type.TOPIC, key, headers, payload, event_type.TYPE)
        )

    async def try_lock(self, name: str) -> bool:
        """Whether this transaction is the only one that holds `name` in this schema; no waiting."""
        taken = await self.connection.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ':' || $1, 0))",
            name,
        )
        return bool(taken)

    async def lock(self, name: str) -> None:
        """Wait until this transaction is the only one that holds `name` in this schema."""
        await self.connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':' || $1, 0))",
            name,
        )

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that may fail alone: its statements and its events go, the rest stays."""
        events, refused, spans = len(self._outbox), len(self.refused), len(self._spans)
        erased = set(self.erased)
        try:
            async with self.connection.transaction():
                yield
        except BaseException:
            del self._outbox[events:]
            del self.refused[refused:]
            del self._spans[spans:]
            self.erased = erased
            raise

    def span(self, name: str, kind: tracing.Kind, parent: str | None) -> tracing.Span | None:
        """A span that is sent when this transaction has committed."""
        if not tracing.recording():
            return None
        span = tracing.start(name, kind, parent, **{"updraft.service": self.source})
        if span is not None:
            self._spans.append(span)
        return span

    def committed(self) -> None:
        """Send the spans of what this transaction did."""
        for span in self._spans:
            span.end()

    async def flush(self) -> None:
        """Write the appended events; called at the end of a savepoint or right before the commit.

        Writing after the row locks of the work makes the outbox order per key the commit order.
        """
        rows = self._outbox
        if not rows:
            return
        await self.connection.copy_records_to_table(
            "outbox",
            columns=_EVENT_COLUMNS,
            records=[
                (
                    *(row.event_id, row.topic, row.key, row.type, row.payload),
                    *map(row.headers.get, HEADER_COLUMNS),
                )
                for row in rows
                if row.type is not None
            ],
        )
        others = [row for row in rows if row.type is None]
        if others:
            await self.connection.executemany(
                "INSERT INTO outbox (id, aggregatetype, aggregateid, payload, headers)"
                " VALUES ($1, $2, $3, $4, $5)",
                [(row.event_id, row.topic, row.key, row.payload, row.headers) for row in others],
            )
        self.wrote_events = True
        # Only now: what was appended before a savepoint must outlive a failure inside it.
        self._outbox = []


_EVENT_COLUMNS = [
    "id",
    "aggregatetype",
    "aggregateid",
    "type",
    "payload",
    *HEADER_COLUMNS.values(),
]


class Database:
    """A service's schema: connection pool, clock and name."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], *, dsn: str, service: str, clock: Clock
    ) -> None:
        self.pool = pool
        self._dsn = dsn
        self.service = service
        self.clock = clock
        self.source = f"urn:updraft:{service}"
        self.largest_event = LARGEST_EVENT
        self.on_events: list[Callable[[], None]] = []
        """Called after each commit that wrote events: the relay need not wait for its next look."""

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        service: str,
        clock: Clock,
        size: int = 8,
        idle_transaction_seconds: float = 60,
    ) -> Database:
        """Open a pool on the service's schema. Raises OSError or PostgresError."""
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            init=_use_json,
            reset=_leave_as_it_is,
            server_settings={
                "search_path": service,
                "application_name": service,
                # A process that hangs in the middle of its work must not hold its locks for ever.
                "idle_in_transaction_session_timeout": _milliseconds(idle_transaction_seconds),
            },
        )
        return cls(pool, dsn=dsn, service=service, clock=clock)

    async def connect_alone(
        self, application: str, *, silence_seconds: float
    ) -> asyncpg.Connection[asyncpg.Record]:
        """A connection outside the pool, for a lock that lasts; the caller closes it.

        Postgres ends it, and its locks, when nothing was asked on it for `silence_seconds`.
        """
        return await asyncpg.connect(
            self._dsn,
            server_settings={
                "search_path": self.service,
                "application_name": application,
                "idle_session_timeout": _milliseconds(silence_seconds),
                # Lists of thousands of numbers are quick to compare with only if they are known
                # when the statement is planned.
                "plan_cache_mode": "force_custom_plan",
                # A machine that vanishes must not hold its locks for the default two hours.
                "tcp_keepalives_idle": "5",
                "tcp_keepalives_interval": "2",
                "tcp_keepalives_count": "3",
            },
        )

    async def close(self) -> None:
        """Close the pool; waits for connections in use."""
        await self.pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that commits on exit, events included, or rolls back on an exception."""
        async with self.pool.acquire() as connection:
            async with connection.transaction():
                tx = Transaction(
                    connection,
                    now=self.clock.now(),
                    source=self.source,
                    largest_event=self.largest_event,
                )
                yield tx
                await tx.flush()
            if tx.wrote_events:
                for tell in self.on_events:
                    tell()
        tx.committed()


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


async def _leave_as_it_is(connection: Connection) -> None:
    """The client has rolled back what was open; to ask Postgres for more costs each batch a while.

    Whoever sets more than that for a session undoes it.
    """


async def _use_json(connection: asyncpg.Connection[Any]) -> None:
    await connection.set_type_codec(
        "jsonb",
        # In binary, for COPY knows nothing else; so it begins with the number of the format.
        encoder=lambda value: b"\x01" + to_json(value),
        decoder=lambda stored: json.loads(stored[1:]),
        schema="pg_catalog",
        format="binary",
    )


async def forget_what_was_done(
    database: Database, *, inbox_days: int, idempotency_days: int
) -> None:
    """Delete the inbox and idempotency rows that are older than so many real days."""
    async with database.transaction() as tx:
        if await tx.try_lock("forget"):
            await tx.connection.execute(
                "DELETE FROM inbox"
                " WHERE received_at < clock_timestamp() - make_interval(days => $1)",
                inbox_days,
            )
            await tx.connection.execute(
                "DELETE FROM idempotency"
                " WHERE created_at < clock_timestamp() - make_interval(days => $1)",
                idempotency_days,
            )


class MigrationChanged(RuntimeError):  # noqa: N818 - named by the fact
    """A migration that was applied has another text now; add a new file instead."""


async def migrate(connection: Connection, folders: Iterable[Path]) -> list[str]:
    """Apply the SQL files that are new, in the order of their names; returns those names.

    Forward only. Raises MigrationChanged when an applied file was edited.
    """
    files = sorted((file for folder in folders for file in folder.glob("*.sql")), key=_name)
    async with connection.transaction():
        # Replicas start at the same time; one applies, the others wait and find it done.
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':migrations', 0))"
        )
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, digest text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        rows = await connection.fetch("SELECT name, digest FROM migrations")
        applied = {row["name"]: row["digest"] for row in rows}
        new = []
        for file in files:
            sql = await asyncio.to_thread(file.read_text, encoding="utf-8")
            digest = hashlib.sha256(sql.encode()).hexdigest()
            if file.name not in applied:
                await connection.execute(sql)
                await connection.execute(
                    "INSERT INTO migrations (name, digest) VALUES ($1, $2)", file.name, digest
                )
                new.append(file.name)
            elif applied[file.name] != digest:
                raise MigrationChanged(f"{file.name}: was applied with another text; add a file")
    return new


def _name(file: Path) -> str:
    return file.name
