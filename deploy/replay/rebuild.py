"""Projections built anew beside the live ones, up to exactly where the service is.

The fresh tables are temporary: they live in one connection and vanish with it, whatever happens.
They take in what the service has taken in, no less and no more: a record that it has yet to apply
must still be news to it, or what it does about such news would not be done.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition

from deploy.dlq.records import Alike
from deploy.local.process import StackError
from deploy.replay.exchange import Difference, difference, exchange, statements
from deploy.replay.history import History
from shared.clock import Clock
from shared.database import BACKBONE_MIGRATIONS, Connection, Database, Transaction, migrate
from shared.envelope import Envelope, Record, UnknownType, Unreadable, decode
from shared.handlers import Handlers
from shared.inbound import Inbound
from shared.projections import Projection, Projections

SERVICES = Path(__file__).parents[2] / "services"
_TIDY_EVERY = 50_000
_LOCK_SECONDS = 30
_SETTLED = 500
_ROUNDS = 20


class _Fresh(Database):
    """Fresh tables of a service in the temporary schema of one connection."""

    def __init__(self, connection: Connection, service: str, clock: Clock) -> None:
        # No pool: what another connection has in its temporary schema is something else.
        super().__init__(None, dsn="", service=service, clock=clock)  # type: ignore[arg-type]
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction, or a savepoint within the one that is open; nothing is published."""
        async with self._connection.transaction():
            tx = Transaction(self._connection, now=self.clock.now(), source=self.source)
            yield tx
            await tx.flush()


class _AsItCame(Handlers):
    """A service's handlers, to which each event comes when it was published, not now."""

    async def dispatch(self, envelopes: Sequence[Envelope], tx: Transaction) -> None:
        """Call the functions for these events."""
        moved = [replace(each, received_at=each.time or each.received_at) for each in envelopes]
        await super().dispatch(moved, tx)


@dataclass
class Told:
    """What a rebuild came upon."""

    applied: int = 0
    set_aside: int = 0
    """Left out because the service itself has them parked, or was told to drop them."""
    unreadable: int = 0
    """Taken by the service once, and readable no more."""
    failed: Sequence[Alike] = ()
    """What today's handlers do not apply, and what waits behind that."""
    differences: Sequence[Difference] = ()


class Rebuild:
    """Fresh tables for some projections of a service."""

    def __init__(
        self,
        connection: asyncpg.Connection[asyncpg.Record],
        service: str,
        handlers: Handlers,
        projections: Sequence[Projection],
        clock: Clock,
        history: History,
    ) -> None:
        self.told = Told()
        self._connection = connection
        self._service = service
        self._projections = projections
        self._clock = clock
        self._history = history
        self._routes = handlers.routes
        fresh = _Fresh(connection, service, clock)
        same = _AsItCame(handlers.routes, handlers.tombstone_routes, handlers.event_types)
        self._inbound = Inbound(fresh, same)
        self._committed: Mapping[TopicPartition, int] = {}
        self._left_out: set[UUID] = set()
        self._untidied = 0

    async def prepare(self) -> None:
        """Make the fresh tables."""
        await self._connection.set_type_codec(
            "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )
        # Nothing but the temporary schema: no statement of a handler can reach a live table.
        await self._connection.execute("SET search_path = pg_temp")
        await migrate(
            self._connection, [BACKBONE_MIGRATIONS, SERVICES / self._service / "migrations"]
        )

    async def follow(self, progress: Callable[[int, int], None]) -> None:
        """Take in what the service has taken in so far; ends a few hundred records behind it."""
        for _ in range(_ROUNDS):
            before = sum(self._history.at.values())
            await self._go_on(progress)
            if sum(self._history.at.values()) - before <= _SETTLED:
                return

    async def _go_on(self, progress: Callable[[int, int], None] | None = None) -> None:
        history = self._history
        self._committed = await history.committed()
        ends = await history.ends()
        begins = sum(history.begins.values())
        async for fetched in history.batches(ends):
            records: list[Record] = []
            for taken in (await self._taken(fetched)).values():
                records += taken
            if progress is not None:
                progress(sum(history.at.values()) - begins, sum(ends.values()) - begins)
            for turn in _turns(records):
                await self._inbound.apply(turn, park_failures=True)
            self.told.applied += len(records)
            self._untidied += len(records)
            if self._untidied >= _TIDY_EVERY and not self._connection.is_in_transaction():
                await self._tidy()
        if progress is not None:
            progress(sum(history.at.values()) - begins, sum(ends.values()) - begins)

    async def _taken(
        self, fetched: Mapping[TopicPartition, Sequence[Record]]
    ) -> dict[TopicPartition, list[Record]]:
        """Of each partition those records that the service has applied; stops where it is."""
        read = {
            tp: [(record, self._identity(record)) for record in records]
            for tp, records in fetched.items()
        }
        seen, parked, dropped = await self._known(
            {name for rows in read.values() for row in rows for name in _names(*row)}
        )
        taken: dict[TopicPartition, list[Record]] = {}
        for tp, rows in read.items():
            taken[tp] = []
            for record, identity in rows:
                names = _names(record, identity)
                if identity is None:
                    if record.offset < self._committed[tp] and not names & (parked | dropped):
                        self.told.unreadable += self._handles(record)
                elif record.offset >= self._committed[tp] and identity not in seen:
                    self._history.stop(tp, record.offset)
                    break
                elif names & (parked | dropped):
                    self.told.set_aside += 1
                    self._left_out |= names & parked
                else:
                    taken[tp].append(record)
        return taken

    def _identity(self, record: Record) -> UUID | None:
        """The id of an event that the service handles; None for all else."""
        try:
            envelope = decode(record, self._clock.now())
        except (UnknownType, Unreadable):
            return None
        return envelope.identity if envelope.type in self._routes else None

    def _handles(self, record: Record) -> bool:
        types = [
            value.decode(errors="replace") for name, value in record.headers if name == "ce_type"
        ]
        return any(name in self._routes for name in types)

    async def _known(self, ids: Iterable[UUID]) -> tuple[set[UUID], set[UUID], set[UUID]]:
        """Which of these the service has seen, has parked, and was told to drop."""
        row = await self._connection.fetchrow(
            _KNOWN.replace("live.", f"{self._service}."), self._service, list(ids)
        )
        assert row is not None
        return set(row["seen"]), set(row["parked"]), set(row["dropped"])

    async def _tidy(self) -> None:
        # Nobody else cleans up and counts temporary tables.
        self._untidied = 0
        await self._connection.execute("VACUUM ANALYZE inbox")
        for projection in self._projections:
            await self._connection.execute(f"VACUUM ANALYZE {projection.table}")

    @asynccontextmanager
    async def standstill(self) -> AsyncIterator[None]:
        """A transaction during which the service applies nothing; it reads and answers as ever."""
        async with self._connection.transaction():
            await self._connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            try:
                # First whoever applies parked records, then whoever is in the middle of a batch;
                # the next one waits before it has touched anything.
                await self._connection.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended($1 || ':parked', 0))",
                    self._service,
                )
                await self._connection.execute(f"LOCK TABLE {self._service}.inbox IN SHARE MODE")
            except asyncpg.LockNotAvailableError:
                raise StackError(
                    f"{self._service} was busy for {_LOCK_SECONDS} s; try again"
                ) from None
            yield

    async def finish(self) -> None:
        """Within a standstill: come to where the service is, and compare."""
        await self._go_on()
        _, parked, _ = await self._known(self._left_out)
        if self._left_out - parked:
            raise StackError(
                "parked records were applied or dropped meanwhile; start the replay once more"
            )
        for projection in self._projections:
            await self._connection.execute(f"ANALYZE {projection.table}")
        rows = await self._connection.fetch(
            "SELECT kind, reason, count(*)::int AS count FROM pg_temp.parked"
            " GROUP BY kind, reason ORDER BY count DESC LIMIT 5"
        )
        self.told.failed = [Alike(**row) for row in rows]
        self.told.differences = [
            await difference(
                self._connection,
                projection,
                await statements(self._connection, self._service, projection),
            )
            for projection in self._projections
        ]

    async def correct(self, projections: Projections, *, remove_unexplained: bool) -> None:
        """Within the same standstill: make the live tables equal to the fresh ones."""
        for projection, found in zip(self._projections, self.told.differences, strict=True):
            if found.total:
                sql = await statements(self._connection, self._service, projection)
                await exchange(
                    self._connection, projection, sql, remove_unexplained=remove_unexplained
                )
        if projections.after and any(found.total for found in self.told.differences):
            await self._connection.execute(f"SET LOCAL search_path = {self._service}, pg_temp")
            tx = Transaction(
                self._connection, now=self._clock.now(), source=f"urn:updraft:{self._service}"
            )
            await projections.after(tx)


def _names(record: Record, identity: UUID | None) -> set[UUID]:
    """The ids under which a record may be parked."""
    return {record.fingerprint} if identity is None else {record.fingerprint, identity}


_KNOWN = """
SELECT
    ARRAY(SELECT event_id FROM live.inbox WHERE consumer = $1 AND event_id = ANY ($2)) AS seen,
    ARRAY(SELECT event_id FROM live.parked WHERE consumer = $1 AND event_id = ANY ($2)) AS parked,
    ARRAY(SELECT event_id FROM live.parked_log
          WHERE consumer = $1 AND event_id = ANY ($2) AND action = 'drop') AS dropped
"""


def _turns(records: Sequence[Record]) -> list[list[Record]]:
    """Batches in which no key occurs twice: what a handler sees does not hang on their size."""
    turns: list[list[Record]] = []
    count: dict[tuple[str, Any], int] = defaultdict(int)
    for record in records:
        place = record.topic, record.key
        if count[place] == len(turns):
            turns.append([])
        turns[count[place]].append(record)
        count[place] += 1
    return turns
