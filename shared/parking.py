"""Records set aside: whole, with the reason, and what came after them in line.

A record that cannot be applied is parked in the transaction of its batch. Where its key holds, all
later records of that key wait behind it, in order. Somebody then retries or drops it; the service
applies what is to be retried, and after it those that waited.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, unquote
from uuid import UUID

import asyncpg

from shared import telemetry
from shared.database import Connection, OutboxRow, Transaction
from shared.envelope import Record

Kind: TypeAlias = Literal[
    "unreadable", "unknown_type", "reused_id", "rejected", "failed", "waiting"
]
"""Why a record is set aside, in one word."""
Place: TypeAlias = tuple[str, bytes | None]
"""A line of records that keep their order: topic and key."""

OUR_TOPICS = "updraft."
# A copy of a parked record must fit the broker even when the original only just did.
_LARGEST_DEAD_LETTER = 800_000
_LARGEST_HEADERS = 100_000
_RETRIED_AT_ONCE = 100
_FEW_HELD = 200
_MOST_BYTES_AT_ONCE = 4_000_000
_WAITS = "waits behind an earlier record of its key; retry or drop that one"


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that is set aside, or that waits behind one (kind `waiting`)."""

    record: Record
    event_id: UUID
    kind: Kind
    reason: str
    attempts: int = 1

    @property
    def holds(self) -> bool:
        """Whether later records of its key must wait.

        What HR sent wrong, HR sends again, corrected: that must take effect. What we failed to
        apply, and anything wrong between our own services, is made good here, in order.
        """
        if self.record.key is None:
            return False
        return self.kind in ("failed", "waiting") or self.record.topic.startswith(OUR_TOPICS)


def place_of(record: Record) -> Place:
    """The line in which a record stands."""
    return record.topic, record.key


def waiting(record: Record, event_id: UUID) -> Parked:
    """A record whose turn has not come."""
    return Parked(record, event_id, "waiting", _WAITS, attempts=0)


async def held_places(
    connection: Connection, consumer: str, records: Iterable[Record]
) -> set[Place]:
    """Lines in which an earlier record is parked: all of those of these records, perhaps others."""
    # Nearly always there are few or none: to read them takes less than to ask for each record.
    rows = await connection.fetch(
        "SELECT topic, key FROM parked WHERE consumer = $1 AND holds LIMIT $2", consumer, _FEW_HELD
    )
    if len(rows) == _FEW_HELD:
        rows = await _held_of(connection, consumer, records)
    return {(row["topic"], row["key"]) for row in rows}


async def _held_of(
    connection: Connection, consumer: str, records: Iterable[Record]
) -> list[asyncpg.Record]:
    places = {place_of(record) for record in records if record.key is not None}
    return await connection.fetch(
        """
        SELECT topic, key FROM parked
        WHERE consumer = $1 AND holds AND (topic, key) IN (
            SELECT topic, key FROM unnest($2::text[], $3::bytea[]) AS line (topic, key)
        )
        """,
        consumer,
        [topic for topic, _ in places],
        [key for _, key in places],
    )


async def forget(tx: Transaction, topic: str, keys: Collection[str]) -> None:
    """Empty the parked records of erased keys: that they came and why they failed stays.

    Holds for those too that this transaction has yet to park.
    """
    places = [key.encode() for key in keys]
    tx.erased.update((topic, key) for key in places)
    await tx.connection.execute(
        "UPDATE parked SET payload = NULL"
        " WHERE topic = $1 AND key = ANY($2) AND payload IS NOT NULL",
        topic,
        places,
    )


async def park(tx: Transaction, consumer: str, parked: Sequence[Parked]) -> None:
    """Set records aside; those that are already are left as they are."""
    if not parked:
        return
    parked = [_emptied(each) if place_of(each.record) in tx.erased else each for each in parked]
    rows = await tx.connection.fetch(
        """
        INSERT INTO parked (consumer, event_id, topic, part, off, key, headers, payload, kind,
                            reason, attempts, holds, state, parked_at)
        SELECT $1, event_id, topic, part, off, key, headers::jsonb, payload, kind,
               reason, attempts, holds, CASE kind WHEN 'waiting' THEN kind ELSE 'parked' END, $2
        FROM unnest($3::uuid[], $4::text[], $5::int[], $6::bigint[], $7::bytea[], $8::text[],
                    $9::bytea[], $10::text[], $11::text[], $12::int[], $13::bool[])
            WITH ORDINALITY AS row (event_id, topic, part, off, key, headers, payload, kind,
                                    reason, attempts, holds, position)
        -- the order in which they came is the order in which they are applied
        ORDER BY topic, part, off, position
        ON CONFLICT DO NOTHING RETURNING event_id
        """,
        consumer,
        tx.now,
        [each.event_id for each in parked],
        [each.record.topic for each in parked],
        [each.record.partition for each in parked],
        [each.record.offset for each in parked],
        [each.record.key for each in parked],
        [_headers_as_json(each.record) for each in parked],
        [each.record.value for each in parked],
        [each.kind for each in parked],
        [each.reason for each in parked],
        [each.attempts for each in parked],
        [each.holds for each in parked],
    )
    new = {row["event_id"] for row in rows}
    for each in parked:
        if each.event_id in new:
            new.discard(each.event_id)
            _tell(tx, consumer, each)


@dataclass(frozen=True, slots=True)
class Due:
    """A parked record whose turn has come."""

    event_id: UUID
    record: Record
    waited: bool
    attempts: int


async def due(connection: Connection, consumer: str) -> list[Due]:
    """The records to be applied now, in order: the retried, and those nobody holds any more."""
    rows = await connection.fetch(
        """
        SELECT event_id, topic, part, off, key, headers, payload, state, attempts FROM (
            SELECT *, sum(coalesce(length(payload), 0)) OVER (ORDER BY seq) AS bytes
            FROM parked AS one
            WHERE consumer = $1 AND state <> 'parked' AND NOT EXISTS (
                SELECT FROM parked AS ahead
                WHERE ahead.consumer = $1 AND ahead.topic = one.topic AND ahead.key = one.key
                  AND ahead.holds AND ahead.state = 'parked' AND ahead.seq < one.seq
            )
            ORDER BY seq LIMIT $2
        ) AS candidates
        -- a retried record must not be held by the hundreds when each has a megabyte
        WHERE bytes - coalesce(length(payload), 0) < $3 ORDER BY seq
        """,
        consumer,
        _RETRIED_AT_ONCE,
        _MOST_BYTES_AT_ONCE,
    )
    return [
        Due(row["event_id"], original(row), row["state"] == "waiting", row["attempts"])
        for row in rows
    ]


async def release(tx: Transaction, consumer: str, done: Collection[Due]) -> None:
    """Forget records that have been applied; the log keeps that they were."""
    if not done:
        return
    await tx.connection.execute(
        """
        WITH gone AS (
            DELETE FROM parked WHERE consumer = $1 AND event_id = ANY($2) RETURNING *
        )
        INSERT INTO parked_log (consumer, event_id, topic, part, off, action, reason, at)
        SELECT consumer, event_id, topic, part, off, 'applied', reason, $3 FROM gone
        """,
        consumer,
        [each.event_id for each in done],
        tx.now,
    )


async def park_again(tx: Transaction, consumer: str, failed: Sequence[tuple[Due, Parked]]) -> None:
    """Take note of records that failed once more; one that only waited is now parked itself."""
    if not failed:
        return
    await tx.connection.execute(
        """
        WITH again AS (
            UPDATE parked SET state = 'parked', kind = one.kind, reason = one.reason,
                              holds = one.holds, attempts = parked.attempts + 1
            FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bool[])
                AS one (event_id, kind, reason, holds)
            WHERE parked.consumer = $1 AND parked.event_id = one.event_id RETURNING parked.*
        )
        INSERT INTO parked_log (consumer, event_id, topic, part, off, action, reason, at)
        SELECT consumer, event_id, topic, part, off, 'failed', reason, $6 FROM again
        """,
        consumer,
        [each.event_id for each, _ in failed],
        [parked.kind for _, parked in failed],
        [parked.reason for _, parked in failed],
        [parked.holds for _, parked in failed],
        tx.now,
    )
    for each, parked in failed:
        if each.waited:
            _tell(tx, consumer, parked)


def _emptied(parked: Parked) -> Parked:
    return replace(parked, record=replace(parked.record, value=None))


def _tell(tx: Transaction, consumer: str, parked: Parked) -> None:
    telemetry.PARKED.labels(consumer, parked.record.topic, parked.kind).inc()
    if parked.kind != "waiting":
        tx.append(_dead_letter(parked, consumer))


def _headers_as_json(record: Record) -> str:
    pairs = [
        (quote(name, safe="-_.~ "), base64.b64encode(value or b"").decode())
        for name, value in record.headers
    ]
    return json.dumps(pairs)


def original(row: Any) -> Record:
    """The record of a row of `parked`, as it came."""
    headers = row["headers"]
    pairs = json.loads(headers) if isinstance(headers, str) else headers
    return Record(
        row["topic"],
        row["part"],
        row["off"],
        row["key"],
        row["payload"],
        tuple((unquote(name), base64.b64decode(value)) for name, value in pairs),
    )


def _dead_letter(parked: Parked, consumer: str) -> OutboxRow:
    """The original record for the dead-letter topic, its place and reason in headers."""
    record = parked.record
    headers = {
        quote(name, safe="-_.~"): quote(value or b"", safe=" !#$&'()*+,/:;=?@[]{}\"-_.~")
        for name, value in record.headers
    }
    if sum(len(name) + len(value) for name, value in headers.items()) > _LARGEST_HEADERS:
        headers = {"updraft-headers-left-out": str(len(headers))}
    headers |= {
        "updraft-reason": quote(parked.reason, safe=" !#$&'()*+,/:;=?@[]{}\"-_.~"),
        "updraft-kind": parked.kind,
        "updraft-attempts": str(parked.attempts),
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
