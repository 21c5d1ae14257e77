"""Everything that was published, read from the beginning by a reader of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from aiokafka import TopicPartition

from deploy.reading import current_ends, raw_records
from shared.catalogue import (
    EmployeeRecorded,
    EmployeeUpdated,
    Event,
    FeedbackGiven,
    KpiMeasured,
    NotificationFact,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)
from shared.envelope import Record, UnknownType, Unreadable, decode

_AT_ONCE = 500
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)

TOPICS: tuple[str, ...] = tuple(
    sorted(
        fact.TOPIC
        for fact in (
            EmployeeUpdated,
            ProgrammeFact,
            ParticipantFact,
            PairFact,
            SessionFact,
            FeedbackGiven,
            NotificationFact,
            KpiMeasured,
        )
    )
)
_NEVER = datetime.min.replace(tzinfo=UTC)

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and the programme time at which it was told."""

    at: datetime
    event: Event


@dataclass
class Topics:
    """All events, in the order in which each topic's partitions hold them."""

    told: list[Told] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Topic and reason of each record that no service could have read."""
    from_hr: list[frozenset[UUID]] = field(default_factory=list)
    """Per record on `hr.employees`: the ids under which it may be known."""

    def of(self, fact: type[E]) -> list[E]:
        """The events of one kind."""
        return [told.event for told in self.told if isinstance(told.event, fact)]

    def add(self, records: Iterable[Record]) -> None:
        """Decode records; types that this version does not know are left out."""
        for record in records:
            try:
                envelope = decode(record, _NEVER)
            except UnknownType:
                continue
            except Unreadable as error:
                self.unreadable.append((record.topic, str(error)))
                continue
            if envelope.data is not None:
                self.told.append(Told(envelope.time or _NEVER, envelope.data))


async def read_topics(bootstrap_servers: str) -> Topics:
    """Read the topics from the beginning to where they end now."""
    topics = Topics()
    batch: list[Record] = []
    async for one in raw_records(bootstrap_servers, TOPICS):
        batch.append(
            Record(one.topic, one.partition, one.offset, one.key, one.value, tuple(one.headers))
        )
        if len(batch) == _AT_ONCE:
            topics.add(batch)
            batch = []
            # Decoding is work: whoever else runs in this loop must get their turn.
            await asyncio.sleep(0)
    topics.add(batch)
    async for one in raw_records(bootstrap_servers, [EmployeeRecorded.TOPIC]):
        topics.from_hr.append(
            _ids(
                Record(one.topic, one.partition, one.offset, one.key, one.value, tuple(one.headers))
            )
        )
    return topics


def _ids(record: Record) -> frozenset[UUID]:
    """The ids under which a record may be known to whoever took it in."""
    try:
        return frozenset({record.fingerprint, decode(record, _ANY_TIME).identity})
    except (Unreadable, UnknownType):
        return frozenset({record.fingerprint})


async def end_offsets(bootstrap_servers: str) -> dict[TopicPartition, int]:
    """Where each partition ends now."""
    return await current_ends(bootstrap_servers, TOPICS)
