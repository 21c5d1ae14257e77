"""Test doubles and feeds: a clock to set, and events delivered without Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from shared.catalogue import BY_TYPE, Event
from shared.clock import Clock
from shared.database import Database
from shared.envelope import Record, as_record, encode
from shared.handlers import Handlers
from shared.ids import new_id
from shared.inbound import Inbound

_offsets = count()


@dataclass(frozen=True)
class ManualClock(Clock):
    """A clock that stands until it is set."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_now", datetime(2026, 1, 5, 9, tzinfo=UTC))

    def now(self) -> datetime:
        """The moment last set."""
        moment: datetime = object.__getattribute__(self, "_now")
        return moment

    def set(self, moment: datetime) -> None:
        """Go to a moment, forward or back."""
        object.__setattr__(self, "_now", moment.astimezone(UTC))

    def advance(self, **span: float) -> datetime:
        """Go forward by a `timedelta(**span)`; returns the new moment."""
        self.set(self.now() + timedelta(**span))
        return self.now()


def record_of(
    event: Event, *, now: datetime, source: str = "urn:test", event_id: Any = None
) -> Record:
    """The record that the broker would deliver for an event; a new id each time unless given."""
    headers = encode(
        type(event), event_id=event_id or new_id(now), source=source, subject=event.key, now=now
    )
    return as_record(event, headers, offset=next(_offsets))


def tombstone_of(event_type: type[Event], key: str, *, now: datetime) -> Record:
    """The record that says that nothing is left of a key."""
    headers = encode(event_type, event_id=new_id(now), source="urn:test", subject=key, now=now)
    pairs = tuple((name, value.encode()) for name, value in headers.items())
    return Record(event_type.TOPIC, 0, next(_offsets), key.encode(), None, pairs)


async def deliver(handlers: Handlers, database: Database, *events: Event) -> list[str]:
    """Apply events as one batch through decoding, inbox and handlers; returns parked reasons."""
    now = database.clock.now()
    return await deliver_records(handlers, database, [record_of(e, now=now) for e in events])


async def deliver_raw(
    handlers: Handlers,
    database: Database,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]],
) -> list[str]:
    """Apply records given as (key, value, headers) as one batch; returns parked reasons."""
    return await deliver_records(
        handlers,
        database,
        [
            Record(topic, 0, next(_offsets), key, value, tuple(headers))
            for key, value, headers in records
        ],
    )


async def deliver_records(
    handlers: Handlers, database: Database, records: Sequence[Record]
) -> list[str]:
    """Apply records as one batch; returns parked reasons."""
    return await Inbound(database, handlers).apply(records)


async def published(database: Database) -> list[Event]:
    """The events in the outbox, oldest first; tombstones and dead letters are left out."""
    rows = await database.pool.fetch(
        "SELECT type, payload FROM outbox"
        " WHERE payload IS NOT NULL AND type IS NOT NULL ORDER BY seq"
    )
    return [BY_TYPE[row["type"]].model_validate_json(row["payload"]) for row in rows]


async def tombstones(database: Database) -> list[tuple[str, str]]:
    """(topic, key) of the tombstones in the outbox, oldest first."""
    rows = await database.pool.fetch(
        "SELECT aggregatetype, aggregateid FROM outbox WHERE payload IS NULL ORDER BY seq"
    )
    return [(row["aggregatetype"], row["aggregateid"]) for row in rows]
