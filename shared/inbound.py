"""Records into a service's database: one transaction per batch for inbox, handlers and outbox.

Redeliveries are dropped by the inbox, records that cannot be applied are parked with their reason,
and whatever else fails undoes the whole batch, to be tried again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias
from uuid import UUID

from shared import telemetry, tracing
from shared.catalogue import EVENT_TYPES
from shared.database import TRANSIENT, Database, TooLarge, Transaction
from shared.envelope import Envelope, Record, UnknownType, Unreadable, decode
from shared.handlers import Handlers, Rejected
from shared.parking import (
    OUR_TOPICS,
    Parked,
    Place,
    due,
    forget,
    held_places,
    park,
    park_again,
    place_of,
    release,
    waiting,
)

Read: TypeAlias = Envelope | Parked
"""A record decoded, or with the reason why it cannot be."""

_READ_AT_A_TIME = 16


class Inbound:
    """Applies batches of records to one service's database."""

    def __init__(self, database: Database, handlers: Handlers) -> None:
        self.database = database
        self.handlers = handlers
        self._service = database.service
        for counted in (telemetry.DUPLICATES, telemetry.UNKNOWN):
            counted.labels(self._service)  # at 0, so that an alert sees the first one

    async def apply(
        self, records: Sequence[Record], *, park_failures: bool = False, attempt: int = 1
    ) -> list[str]:
        """Read a batch and apply it; see `apply_read`."""
        read = await self.read(records)
        return await self.apply_read(read, park_failures=park_failures, attempt=attempt)

    async def apply_read(
        self, read: Sequence[Read], *, park_failures: bool = False, attempt: int = 1
    ) -> list[str]:
        """Apply a batch in one transaction; returns the reasons of the records parked.

        With `park_failures`, a record whose handler keeps failing is parked as well; without, any
        failure but Rejected is raised and nothing of the batch is kept.
        """
        failures = _Failures(park_failures, attempt)
        try:
            return await self._apply(read, failures, halving=False)
        except TRANSIENT:
            raise
        except failures.worth_halving:
            # Only now, for each savepoint costs two more round trips.
            return await self._apply(read, failures, halving=True)

    async def _apply(
        self, read: Sequence[Read], failures: _Failures, *, halving: bool
    ) -> list[str]:
        async with self.database.transaction() as tx:
            new = await self._unseen(tx, read)
            held = await held_places(tx.connection, self._service, (each.record for each in new))
            todo, parked = _in_turn(new, held)
            traced = _traced(tx, todo)
            if halving:
                parked += await self._handle(tx, traced, set(), failures)
            else:
                parked += await self._dispatch(tx, traced)
            await _erase(tx, todo, parked)
            await park(tx, self._service, parked)
        self._count(todo, parked)
        return [each.reason for each in parked]

    async def apply_parked(self) -> int:
        """Apply parked records whose turn has come, in one transaction; returns how many."""
        async with self.database.transaction() as tx:
            if not await tx.try_lock("parked"):
                return 0
            rows = await due(tx.connection, self._service)
            if not rows:
                return 0
            by_record = {id(row.record): row for row in rows}
            read = await self.read([row.record for row in rows])
            todo, parked = _in_turn(read, set())
            failures = _Failures(park=True, attempt=1)
            parked += await self._handle(tx, _traced(tx, todo), set(), failures)
            await _erase(tx, todo, parked)
            stay = {id(each.record): each for each in parked}
            done = [row for row in rows if id(row.record) not in stay]
            await release(tx, self._service, done)
            # One that was unreadable until now has no id in the inbox yet.
            new = [each for each in todo if id(each.record) not in stay]
            await self._remember(tx, {each.identity: each for each in new})
            failed = [(by_record[key], each) for key, each in stay.items()]
            await park_again(
                tx, self._service, [each for each in failed if each[1].kind != "waiting"]
            )
        self._count(todo, parked)
        return len(done)

    async def read(self, records: Sequence[Record]) -> list[Read]:
        """What this service handles, in order, decoded or with the reason why it cannot be.

        Gives way again and again, so that it goes on while another batch waits for the database.
        """
        now = self.database.clock.now()
        read: list[Read] = []
        for number, record in enumerate(records, 1):
            if number % _READ_AT_A_TIME == 0:
                await asyncio.sleep(0)
            try:
                envelope = decode(record, now)
            except UnknownType:
                telemetry.UNKNOWN.labels(self._service).inc()
                # Between services a type not known here is one of a newer version. From outside it
                # is somebody's record under a wrong name.
                if not record.topic.startswith(OUR_TOPICS):
                    reason = _unknown_type(record.topic)
                    read.append(Parked(record, record.fingerprint, "unknown_type", reason))
            except Unreadable as error:
                read.append(Parked(record, record.fingerprint, "unreadable", str(error)))
            else:
                if envelope.type in self.handlers.routes:
                    read.append(envelope)
        return read

    async def _unseen(self, tx: Transaction, read: Sequence[Read]) -> list[Read]:
        """Record the ids in the inbox; returns what is new, and those whose id was reused."""
        first: dict[UUID, Envelope] = {}
        for each in read:
            if isinstance(each, Envelope):
                first.setdefault(each.identity, each)
        if not first:
            return list(read)
        new = await self._remember(tx, first)
        fresh = {id(first[identity]) for identity in new}
        again = [e for e in read if isinstance(e, Envelope) and id(e) not in fresh]
        if not again:
            return list(read)
        reused = await self._reused(tx, again)
        kept: list[Read] = []
        for each in read:
            if isinstance(each, Parked) or id(each) in fresh:
                kept.append(each)
            elif id(each) in reused:
                kept.append(reused[id(each)])
        return kept

    async def _remember(self, tx: Transaction, envelopes: Mapping[UUID, Envelope]) -> set[UUID]:
        """Record ids in the inbox, given by identity; returns those that were not there."""
        rows = await tx.connection.fetch(
            """
            INSERT INTO inbox (consumer, event_id, digest)
            SELECT $1, event_id, digest
            -- one order for all writers, so that two batches never wait for each other in a circle
            FROM unnest($2::uuid[], $3::bytea[]) AS seen (event_id, digest) ORDER BY event_id
            ON CONFLICT DO NOTHING RETURNING event_id
            """,
            self._service,
            list(envelopes),
            [envelope.digest for envelope in envelopes.values()],
        )
        return {row["event_id"] for row in rows}

    async def _reused(self, tx: Transaction, again: Sequence[Envelope]) -> dict[int, Parked]:
        rows = await tx.connection.fetch(
            "SELECT event_id, digest FROM inbox WHERE consumer = $1 AND event_id = ANY($2)",
            self._service,
            [envelope.identity for envelope in again],
        )
        digests = {row["event_id"]: row["digest"] for row in rows}
        other = [e for e in again if digests.get(e.identity) != e.digest]
        telemetry.DUPLICATES.labels(self._service).inc(len(again) - len(other))
        reason = "id: used before for another content; give every event an id of its own"
        return {id(e): Parked(e.record, e.record.fingerprint, "reused_id", reason) for e in other}

    async def _handle(
        self,
        tx: Transaction,
        envelopes: Sequence[Envelope],
        held: set[Place],
        failures: _Failures,
    ) -> list[Parked]:
        """Dispatch; where that fails for good, halve until the record at fault stands alone.

        `held` grows by the lines of those that are parked here and must be waited for.
        """
        ready, parked = _in_turn(envelopes, held)
        if not ready:
            return parked
        try:
            async with tx.savepoint():
                refused = await self._dispatch(tx, ready)
        except TRANSIENT:
            raise
        except _Overtaken as overtaken:
            at = overtaken.position
            before = await self._handle(tx, ready[:at], held, failures)
            held.add(place_of(overtaken.parked.record))
            rest = await self._handle(tx, ready[at + 1 :], held, failures)
            return [*parked, *before, overtaken.parked, *rest]
        except failures.tolerated as error:
            tx.handle([])
            if len(ready) == 1:
                refused = [failures.parked(ready[0], error)]
            else:
                half = len(ready) // 2
                parked += await self._handle(tx, ready[:half], held, failures)
                return parked + await self._handle(tx, ready[half:], held, failures)
        held |= {place_of(each.record) for each in refused if each.holds}
        return parked + refused

    async def _dispatch(self, tx: Transaction, envelopes: Sequence[Envelope]) -> list[Parked]:
        """Have all of them take effect but those that their handlers refuse, which are returned."""
        await self.handlers.dispatch(envelopes, tx)
        refused = _refused(tx)
        _check_order(envelopes, refused)
        # Here, so that an event that cannot be written is found by halving as well.
        await tx.flush()
        return refused

    def _count(self, handled: Sequence[Envelope], parked: Sequence[Parked]) -> None:
        """Count what took effect, by type and by age since its first cause."""
        now = self.database.clock.now()
        aside = {id(each.record) for each in parked}
        done = [each for each in handled if id(each.record) not in aside]
        for name, count in Counter(each.type for each in done).items():
            telemetry.EVENTS.labels(self._service, name).inc(count)
        ages = telemetry.EVENT_AGE.labels(self._service)
        for each in done:
            if each.origin_time is not None:
                ages.observe(max(0.0, (now - each.origin_time).total_seconds()))


_FOR_GOOD = (Rejected, TooLarge)


class _Failures:
    """What becomes of a record whose handler fails."""

    def __init__(self, park: bool, attempt: int) -> None:
        self.tolerated: tuple[type[Exception], ...] = (Exception,) if park else _FOR_GOOD
        self.worth_halving: tuple[type[Exception], ...] = (_Overtaken, *self.tolerated)
        self._attempt = attempt

    def parked(self, envelope: Envelope, error: Exception) -> Parked:
        if isinstance(error, _FOR_GOOD):
            return _rejected(envelope, str(error))
        # The message of a foreign error may quote a value of the record, so only its kind is told.
        kind = type(error).__name__
        reason = f"handler: failed with {kind}; see the service's log, then retry"
        return Parked(envelope.record, envelope.identity, "failed", reason, self._attempt)


class _Overtaken(Exception):  # noqa: N818 - named by the fact
    """A handler refused an event, and applied a later one of the same line that must wait."""

    def __init__(self, position: int, parked: Parked) -> None:
        self.position = position
        self.parked = parked


async def _erase(tx: Transaction, handled: Sequence[Envelope], parked: Sequence[Parked]) -> None:
    """Empty what is parked of those whom these events erased."""
    aside = {id(each.record) for each in parked}
    keys: dict[str, list[str]] = {}
    for each in handled:
        if each.erases and id(each.record) not in aside:
            key = each.data.key if each.data else (each.record.key or b"").decode()
            keys.setdefault(each.record.topic, []).append(key)
    for topic, erased in keys.items():
        await forget(tx, topic, erased)


def _traced(tx: Transaction, envelopes: list[Envelope]) -> list[Envelope]:
    """These events, each within a span of its own where spans are recorded."""
    if not tracing.recording():
        return envelopes
    spans = [tx.span(f"apply {each.type}", "CONSUMER", each.traceparent) for each in envelopes]
    return [
        replace(each, traceparent=tracing.traceparent(span, None)) if span is not None else each
        for each, span in zip(envelopes, spans, strict=True)
    ]


def _rejected(envelope: Envelope, reason: str) -> Parked:
    return Parked(envelope.record, envelope.identity, "rejected", reason)


def _refused(tx: Transaction) -> list[Parked]:
    """Those that the handlers set aside by name."""
    refused = [_rejected(envelope, reason) for envelope, reason in tx.refused]
    tx.refused.clear()
    return refused


def _check_order(applied: Sequence[Envelope], refused: Sequence[Parked]) -> None:
    holding = {id(each.record): each for each in refused if each.holds}
    if not holding:
        return
    last = {place_of(envelope.record): envelope for envelope in applied}
    for position, envelope in enumerate(applied):
        parked = holding.get(id(envelope.record))
        if parked and last[place_of(envelope.record)] is not envelope:
            raise _Overtaken(position, parked)


def _in_turn(read: Iterable[Read], held: set[Place]) -> tuple[list[Envelope], list[Parked]]:
    """Those to be handled, and those parked or waiting; `held` grows by the lines that now wait."""
    todo: list[Envelope] = []
    parked: list[Parked] = []
    for each in read:
        if isinstance(each, Parked):
            parked.append(each)
            if each.holds:
                held.add(place_of(each.record))
        # An erasure must not wait for an operator, and what it would wait for it makes void.
        elif held and place_of(each.record) in held and not each.erases:
            parked.append(waiting(each.record, each.identity))
        else:
            todo.append(each)
    return todo, parked


def _unknown_type(topic: str) -> str:
    known = ", ".join(event.TYPE for event in EVENT_TYPES if topic == event.TOPIC)
    return f"ce_type: not known on this topic; send one of {known}"
