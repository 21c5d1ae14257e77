"""What the four schemas hold, read in one snapshot by the auditor, who may only read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

SERVICES = ("registration", "matching", "notifications", "metrics")
# What is compared, under which key, and who decides it.
AGGREGATES: dict[str, tuple[str, str]] = {
    "employees": ("employee_id", "registration"),
    "programmes": ("programme_id", "registration"),
    "participants": ("participant_id", "registration"),
    "pairs": ("pair_id", "matching"),
    "sessions": ("session_id", "registration"),
}

Copy: TypeAlias = dict[str, tuple[int, str]]
"""Version and status by id."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A message that notifications owes or owed."""

    state: str
    kind: str
    recorded_at: datetime
    unanswered: bool
    """It may have arrived: the mail server's answer to an attempt was lost."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A measure as metrics keeps it."""

    numerator: float | None
    denominator: float | None
    value: float | None
    suppressed: bool


@dataclass
class Schemas:
    """The contents of the four schemas that are compared."""

    copies: dict[tuple[str, str], Copy] = field(default_factory=dict)
    """By service and aggregate."""
    outboxes: dict[str, int] = field(default_factory=dict)
    taken_in: set[UUID] = field(default_factory=set)
    """The ids of records that registration applied or parked."""
    parked: list[tuple[str, str, str, int]] = field(default_factory=list)
    """Service, topic, reason, and how many."""
    owed: dict[str, Owed] = field(default_factory=dict)
    counted: dict[str, str] = field(default_factory=dict)
    """Outcome of each message, as metrics counts it."""
    measures: dict[str, Figures] = field(default_factory=dict)
    """By the key of `updraft.metrics`."""
    measured_at: dict[UUID, datetime] = field(default_factory=dict)
    """When each programme was measured last."""
    stale: int = 0
    """Programmes with facts that metrics has not measured yet."""


async def read_schemas(dsn: str) -> Schemas:
    """Read all that is compared, as of one moment. Raises OSError or PostgresError."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _read(connection)
    finally:
        await connection.close()


async def unsettled(dsn: str) -> int:
    """How many events wait in outboxes and programmes wait to be measured."""
    connection = await asyncpg.connect(dsn)
    try:
        waiting = await _stale(connection)
        for service in SERVICES:
            count = await connection.fetchval(f"SELECT count(*) FROM {service}.outbox")  # noqa: S608
            waiting += int(count)
        return waiting
    finally:
        await connection.close()


async def _read(connection: asyncpg.Connection[asyncpg.Record]) -> Schemas:
    found = Schemas()
    # Names of schemas, tables and columns come from the constants above.
    for service in SERVICES:
        for table, (key, _) in AGGREGATES.items():
            rows = await connection.fetch(
                f"SELECT {key}::text AS id, version, status FROM {service}.{table}"  # noqa: S608
            )
            found.copies[service, table] = {
                row["id"]: (row["version"], row["status"]) for row in rows
            }
        found.outboxes[service] = await connection.fetchval(
            f"SELECT count(*) FROM {service}.outbox"  # noqa: S608
        )
        parked = await connection.fetch(
            f"SELECT topic, reason, count(*) FROM {service}.parked GROUP BY 1, 2"  # noqa: S608
        )
        found.parked += [(service, *row) for row in parked]
    for row in await connection.fetch(
        "SELECT event_id FROM registration.inbox UNION SELECT event_id FROM registration.parked"
    ):
        found.taken_in.add(row["event_id"])
    for row in await connection.fetch(
        "SELECT notification_id::text AS id, state, kind, recorded_at, unanswered"
        " FROM notifications.messages"
    ):
        found.owed[row["id"]] = Owed(
            row["state"], row["kind"], row["recorded_at"], row["unanswered"]
        )
    for row in await connection.fetch(
        "SELECT notification_id::text AS id, outcome FROM metrics.notifications"
    ):
        found.counted[row["id"]] = row["outcome"]
    await _read_measures(connection, found)
    return found


async def _read_measures(connection: asyncpg.Connection[asyncpg.Record], found: Schemas) -> None:
    rows = await connection.fetch(
        """
        SELECT concat_ws('|', programme_id, kpi, period_kind || ':' || period_start, dimension,
                         group_name) AS key,
               numerator, denominator, value, suppressed
        FROM metrics.measures
        """
    )
    for row in rows:
        found.measures[row["key"]] = Figures(
            row["numerator"], row["denominator"], row["value"], row["suppressed"]
        )
    measured: Any = await connection.fetch(
        "SELECT programme_id, measured_at FROM metrics.measured WHERE basis = 'programme'"
    )
    found.measured_at = {row["programme_id"]: row["measured_at"] for row in measured}
    found.stale = await _stale(connection)


async def _stale(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    return int(
        await connection.fetchval(
            "SELECT count(DISTINCT programme_id)"
            " FROM metrics.stale JOIN metrics.programmes USING (programme_id)"
        )
    )
