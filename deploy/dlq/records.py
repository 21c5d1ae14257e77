"""Parked records of one service, as an operator finds, retries and drops them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from deploy.databases import Databases, is_running
from deploy.local.process import StackError
from shared.envelope import Record
from shared.parking import original

_AT_ONCE = 5000


@dataclass(frozen=True)
class Wanted:
    """Which records; None does not choose. Those that wait are left out unless asked for."""

    topic: str | None = None
    key: bytes | None = None
    kind: str | None = None
    reason: str | None = None
    """A part of it, in whichever case."""
    since: datetime | None = None
    until: datetime | None = None
    """Not included."""
    id: str | None = None
    """How it begins."""

    @property
    def everything(self) -> bool:
        """Whether nothing is chosen."""
        return self == Wanted()


@dataclass(frozen=True)
class Parked:
    """A parked record as a list shows it."""

    service: str
    event_id: UUID
    topic: str
    partition: int
    offset: int
    key: bytes | None
    kind: str
    state: str
    reason: str
    attempts: int
    parked_at: datetime
    seq: int
    behind: int
    """How many wait behind it."""


@dataclass(frozen=True)
class Alike:
    """Records of one kind and reason."""

    kind: str
    reason: str
    count: int


@dataclass(frozen=True)
class Action:
    """What somebody, or the service itself (actor None), did with a record."""

    action: str
    actor: str | None
    reason: str
    at: datetime


@dataclass(frozen=True)
class Outcome:
    """What became of records that were to be retried."""

    applied: int
    failed: list[Alike]
    """Parked once more."""
    pending: int
    """Not tried yet."""
    behind_others: int
    """Of the pending: those whose turn comes after a record of their key that is parked."""


# Chooses rows by the eight parameters of `_chosen`; every statement here begins with it.
_SELECTED = """
WITH selected AS (
    SELECT * FROM parked
    WHERE consumer = $1
      AND ($2::text IS NULL OR topic = $2)
      AND ($3::bytea IS NULL OR key = $3)
      -- what waits is told with what it waits for, unless it is asked for
      AND CASE WHEN $4::text IS NOT NULL THEN kind = $4
               WHEN $8::text IS NULL THEN state <> 'waiting' ELSE true END
      AND ($5::text IS NULL OR strpos(lower(reason), lower($5)) > 0)
      AND ($6::timestamptz IS NULL OR parked_at >= $6)
      AND ($7::timestamptz IS NULL OR parked_at < $7)
      AND ($8::text IS NULL OR starts_with(event_id::text, lower($8)))
)
"""
_COUNT = """
SELECT kind, reason, count(*)::int AS count FROM selected
GROUP BY kind, reason ORDER BY count DESC, kind, reason
"""
_LIST = """
SELECT consumer AS service, event_id, topic, part AS partition, off AS offset, key, kind, state,
       reason, attempts, parked_at, seq, (
    SELECT count(*)::int FROM parked AS later
    WHERE later.consumer = one.consumer AND later.topic = one.topic AND later.key = one.key
      AND later.holds AND later.state = 'waiting' AND later.seq > one.seq
      AND one.holds) AS behind
FROM selected AS one ORDER BY seq LIMIT $9
"""
_MARK = """
, chosen AS (
    SELECT event_id FROM selected WHERE state = 'parked' AND seq > $9 ORDER BY seq LIMIT $10
), marked AS (
    UPDATE parked SET state = 'retry' FROM chosen
    WHERE parked.consumer = $1 AND parked.event_id = chosen.event_id AND parked.state = 'parked'
    RETURNING parked.*
), logged AS (
    INSERT INTO parked_log (consumer, event_id, topic, part, off, action, actor, reason, at)
    SELECT consumer, event_id, topic, part, off, 'retry', $11, coalesce($12, reason), $13
    FROM marked
)
SELECT count(*) AS rows, max(seq) AS last FROM marked
"""
_DROP = """
, chosen AS (
    SELECT event_id FROM selected WHERE seq > $9 ORDER BY seq LIMIT $10
), gone AS (
    DELETE FROM parked USING chosen
    WHERE parked.consumer = $1 AND parked.event_id = chosen.event_id RETURNING parked.*
), logged AS (
    INSERT INTO parked_log (consumer, event_id, topic, part, off, action, actor, reason, at)
    SELECT consumer, event_id, topic, part, off, 'drop', $11, coalesce($12, reason), $13 FROM gone
)
SELECT count(*) AS rows, max(seq) AS last FROM gone
"""


class ParkedRecords:
    """The parked records of one service."""

    def __init__(self, service: str, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.service = service
        self._connection = connection

    @classmethod
    async def of(cls, places: Databases, service: str) -> ParkedRecords:
        """Those of a service. Raises StackError when they cannot be reached."""
        connection = await places.connect(service)
        if not await connection.fetchval("SELECT to_regclass('parked_log') IS NOT NULL"):
            await connection.close()
            raise StackError(f"{service} has no tables yet; it makes them when it starts first")
        return cls(service, connection)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close(timeout=2)

    async def counts(self, wanted: Wanted) -> list[Alike]:
        """How many there are by kind and reason, most first."""
        rows = await self._connection.fetch(_SELECTED + _COUNT, *self._chosen(wanted))
        return [Alike(**row) for row in rows]

    async def listed(self, wanted: Wanted, limit: int | None) -> AsyncIterator[Parked]:
        """The records in the order in which they came; None: all of them."""
        async with self._connection.transaction(readonly=True):
            statement = _SELECTED + _LIST
            async for row in self._connection.cursor(
                statement, *self._chosen(wanted), limit, prefetch=500
            ):
                yield Parked(**row)

    async def content(self, parked: Parked) -> Record:
        """The record as it came; its value is gone if its person was erased."""
        row = await self._connection.fetchrow(
            "SELECT topic, part, off, key, headers, payload FROM parked"
            " WHERE consumer = $1 AND event_id = $2",
            self.service,
            parked.event_id,
        )
        if row is None:
            raise StackError(f"{parked.event_id} has just been applied or dropped")
        return original(row)

    async def log(self, event_id: str) -> list[tuple[UUID, Action]]:
        """What was done with the records whose id begins so, oldest first."""
        rows = await self._connection.fetch(
            "SELECT event_id, action, actor, reason, at FROM parked_log"
            " WHERE consumer = $1 AND starts_with(event_id::text, lower($2)) ORDER BY at",
            self.service,
            event_id,
        )
        return [
            (row["event_id"], Action(row["action"], row["actor"], row["reason"], row["at"]))
            for row in rows
        ]

    async def line(self, parked: Parked, limit: int) -> list[Parked]:
        """The other records of its key in line, in order: before it and behind it."""
        rows = await self._connection.fetch(
            """
            SELECT consumer AS service, event_id, topic, part AS partition, off AS offset, key,
                   kind, state, reason, attempts, parked_at, seq, 0 AS behind
            FROM parked WHERE consumer = $1 AND topic = $2 AND key = $3 AND holds
              AND event_id <> $4 AND (seq > $5 OR state <> 'waiting')
            ORDER BY seq LIMIT $6
            """,
            self.service,
            parked.topic,
            parked.key,
            parked.event_id,
            parked.seq,
            limit,
        )
        return [Parked(**row) for row in rows]

    async def retry(
        self,
        wanted: Wanted,
        *,
        actor: str,
        because: str | None,
        at: datetime,
        progress: Callable[[int], None],
    ) -> int:
        """Have the service try the parked ones among these once more; returns how many."""
        return await self._in_steps(_MARK, wanted, actor, because, at, progress)

    async def drop(
        self,
        wanted: Wanted,
        *,
        actor: str,
        because: str | None,
        at: datetime,
        progress: Callable[[int], None],
    ) -> int:
        """Give these up for good; what waits behind them is released. Returns how many."""
        return await self._in_steps(_DROP, wanted, actor, because, at, progress)

    async def _in_steps(
        self,
        statement: str,
        wanted: Wanted,
        actor: str,
        because: str | None,
        at: datetime,
        progress: Callable[[int], None],
    ) -> int:
        total, last = 0, 0
        while True:
            async with self._connection.transaction():
                # The service applies parked records under this lock: one that it has in hand
                # must not be dropped meanwhile.
                await self._connection.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':parked',"
                    " 0))"
                )
                row = await self._connection.fetchrow(
                    _SELECTED + statement,
                    *(*self._chosen(wanted), last, _AT_ONCE, actor, because, at),
                )
            if row is None or not row["rows"]:
                return total
            total, last = total + row["rows"], row["last"]
            progress(row["rows"])

    async def still_to_try(self) -> int:
        """How many of this service can be tried now: marked or released, and held by nobody."""
        found = await self._connection.fetchval(
            """
            SELECT count(*) FROM parked AS one
            WHERE consumer = $1 AND state <> 'parked' AND NOT EXISTS (
                SELECT FROM parked AS ahead
                WHERE ahead.consumer = $1 AND ahead.topic = one.topic AND ahead.key = one.key
                  AND ahead.holds AND ahead.state = 'parked' AND ahead.seq < one.seq)
            """,
            self.service,
        )
        return int(found)

    async def outcome(self, *, actor: str, at: datetime) -> Outcome:
        """What became of those that `actor` marked at that moment."""
        rows = await self._connection.fetch(
            """
            SELECT one.state, one.kind, CASE one.state WHEN 'parked' THEN one.reason END AS reason,
                   count(*)::int AS count,
                   count(*) FILTER (WHERE one.state = 'retry' AND EXISTS (
                       SELECT FROM parked AS ahead
                       WHERE ahead.consumer = $1 AND ahead.topic = one.topic
                         AND ahead.key = one.key AND ahead.holds AND ahead.state = 'parked'
                         AND ahead.seq < one.seq))::int AS behind_others
            FROM parked_log AS log LEFT JOIN parked AS one USING (consumer, event_id)
            WHERE log.consumer = $1 AND log.action = 'retry' AND log.at = $2 AND log.actor = $3
            GROUP BY 1, 2, 3 ORDER BY 4 DESC, 2, 3
            """,
            self.service,
            at,
            actor,
        )
        return Outcome(
            applied=sum(row["count"] for row in rows if row["state"] is None),
            failed=[
                Alike(row["kind"], row["reason"], row["count"])
                for row in rows
                if row["state"] == "parked"
            ],
            pending=sum(row["count"] for row in rows if row["state"] in ("retry", "waiting")),
            behind_others=sum(row["behind_others"] for row in rows),
        )

    async def running(self) -> bool:
        """Whether the service is there to apply what is retried or released."""
        return await is_running(self._connection, self.service)

    def _chosen(self, wanted: Wanted) -> tuple[Any, ...]:
        return (self.service, *astuple(wanted))
