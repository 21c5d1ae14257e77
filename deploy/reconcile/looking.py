"""Waits until the flow is quiet, looks at everything, and looks again before it complains."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from deploy.local.broker import topics as listed_topics
from deploy.reconcile.comparing import (
    compare_aggregates,
    compare_kpis,
    compare_measures,
    compare_messages,
    compare_transport,
    retention,
)
from deploy.reconcile.differences import Compared, Difference
from deploy.reconcile.kpis import Recount
from deploy.reconcile.mails import mails_by_message
from deploy.reconcile.rules import broken_rules
from deploy.reconcile.schemas import Schemas, read_schemas, unsettled
from deploy.reconcile.topics import Topics, end_offsets, read_topics
from shared.catalogue import NotificationFact, PairFact, ProgrammeFact
from shared.clock import Clock

_PAUSE_SECONDS = 0.3
_BETWEEN_LOOKS_SECONDS = 1.5
_MOST_LOOKS = 5
_GUARD_SECONDS = 5.0
"""Real seconds that news may take to the guard, as the event and its answer cross the broker."""


class Audited(Protocol):
    """A running stack, as far as it is read."""

    @property
    def auditor_dsn(self) -> str:
        """Connection string of the role that may read all schemas."""
        ...

    @property
    def bootstrap_servers(self) -> str:
        """Where the broker is."""
        ...

    @property
    def mails_dir(self) -> Path | None:
        """Where the mail server keeps mails; None where it is not ours to look into."""
        ...

    @property
    def clock(self) -> Clock:
        """The stack's programme time."""
        ...


@dataclass(frozen=True)
class Place:
    """What is read, given by hand."""

    auditor_dsn: str = field(repr=False)
    bootstrap_servers: str
    mails_dir: Path | None = None
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True)
class Report:
    """The last look, and the differences that stayed from one look to the next."""

    compared: Compared
    differences: list[Difference]
    quiet: bool
    """False: events were still on their way when the time to wait was over."""


async def reconcile(where: Audited, *, within_seconds: float = 60.0) -> list[Difference]:
    """The differences between the four schemas, the topics, the mails and the KPIs.

    Waits until nothing is on its way, for at most half of `within_seconds`. A difference counts
    when several looks in a row find it. Raises OSError, KafkaError or PostgresError.
    """
    return (await report(where, within_seconds=within_seconds)).differences


async def report(where: Audited, *, within_seconds: float = 60.0) -> Report:
    """`reconcile` with what was compared."""
    deadline = time.monotonic() + within_seconds
    quiet = await settled(where, within_seconds=within_seconds / 2)
    compared = await look(where)
    lasting = set(compared.differences)
    looks = 1
    # On a fast clock something new happens between two looks: only what stays is a difference.
    while lasting and (looks == 1 or (looks < _MOST_LOOKS and time.monotonic() < deadline)):
        await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
        compared = await look(where)
        lasting &= set(compared.differences)
        looks += 1
    return Report(compared, sorted(one for one in compared.differences if one in lasting), quiet)


async def settled(where: Audited, *, within_seconds: float = 30.0) -> bool:
    """Wait until no event is on its way and every programme is measured; False if time ran out."""
    deadline = time.monotonic() + within_seconds
    before: object = None
    while time.monotonic() < deadline:
        waiting = await unsettled(where.auditor_dsn)
        now = None if waiting else await end_offsets(where.bootstrap_servers)
        if now is not None and now == before:
            return True
        before = now
        await asyncio.sleep(_PAUSE_SECONDS)
    return False


async def look(where: Audited) -> Compared:
    """Compare everything once."""
    schemas = await read_schemas(where.auditor_dsn)
    topics = await read_topics(where.bootstrap_servers)
    folder = where.mails_dir
    mails = None if folder is None else await asyncio.to_thread(mails_by_message, folder)
    grace = timedelta(seconds=_GUARD_SECONDS * where.clock.speed)
    return await asyncio.to_thread(_compare, schemas, topics, mails, grace)


def _compare(
    schemas: Schemas, topics: Topics, mails: dict[str, int] | None, grace: timedelta
) -> Compared:
    compared = Compared()
    compare_transport(schemas, topics, compared)
    compare_aggregates(schemas, topics, compared)
    compare_messages(schemas, topics, mails, compared, told_since=_told_since())
    compare_measures(schemas, topics, compared)
    _compare_programmes(schemas, topics, compared)
    pairs = {one.pair_id for one in topics.of(PairFact) if one.created_at}
    compared.note("rules", "topics", len(pairs), broken_rules(topics, grace))
    return compared


def _compare_programmes(schemas: Schemas, topics: Topics, compared: Compared) -> None:
    for programme_id in {one.programme_id for one in topics.of(ProgrammeFact)}:
        measured_at = schemas.measured_at.get(programme_id)
        if measured_at is None:
            never = Difference("kpis", "topics → metrics", str(programme_id), "was never measured")
            compared.note("kpis", "topics → metrics", 0, [never])
            continue
        recount = Recount(topics, programme_id, measured_at)
        period = f"programme:{recount.rules.starts_on}"
        expected = recount.all()
        keys = {name: f"{programme_id}|{name}|{period}|all|all" for name in expected}
        compare_kpis(keys, expected, schemas, compared)
        ends = recount.early_ends()
        keys = {name: f"{programme_id}|early_end_by_reason|{period}|reason|{name}" for name in ends}
        # A reason that few pairs ended for may go unnamed.
        named = {name: ends[name] for name, key in keys.items() if key in schemas.measures}
        compare_kpis(keys, named, schemas, compared)


def _told_since() -> datetime:
    days = next(
        topic.retention_days for topic in listed_topics() if topic.name == NotificationFact.TOPIC
    )
    if days is None:
        return datetime.min.replace(tzinfo=UTC)
    return datetime.now(UTC) - retention(days)
