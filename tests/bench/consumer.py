"""Row `consumer`: HR records per second, from `hr.employees` to committed tables and offsets.

The records are of people who are new, as in a first import. Ours is registration's consumer with
its handlers: inbox, directory and outbox in one transaction per batch, then the offsets. The plain
design is a FastStream handler that does the same work, by the same handlers, in one transaction
per message, and commits the offset after each. The raw limit reads batches of 500 with the client
alone and copies, for each record, the very rows that registration wrote for it: no validation, no
lookup, no decision. The clock runs from the assignment of the partitions to the last commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg

from deploy.local import hr
from deploy.local.process import StackError
from shared.envelope import Record, decode
from tests.bench import jobs, people, tables
from tests.bench.figures import Comparison, Series, at_least
from tests.bench.outcome import keep_outcome, outcome_of
from tests.bench.report import Row
from tests.bench.rounds import Contender, Plan, interleaved
from tests.bench.servers import Servers

SERVICE = "registration"
TOPIC = "hr.employees"
_OURS = "ours"
_EACH = "one transaction per message (FastStream)"
_RAW = "raw: getmany(500) + COPY of the same rows"


async def measure(plan: Plan) -> Row:
    """Measure the row."""
    async with Servers(plan) as servers:
        row = await _Contest(plan, servers).row()
        row.servers = servers.versions
        return row


class _Contest:
    """One directory that is filled from the same records again and again."""

    def __init__(self, plan: Plan, servers: Servers) -> None:
        self._plan = plan
        self._servers = servers
        self._records = plan.either(20_000, 3_000)
        self._fewer = plan.either(800, 150)
        self._outcome = servers.folder / "outcome"
        self._dsn = ""
        self._connection: tables.Connection

    async def row(self) -> Row:
        self._dsn = await self._servers.create_database("intake", SERVICE)
        self._connection = await asyncpg.connect(self._dsn)
        try:
            await self._prime()
            series = {name: Series(name, "records/s") for name in (_OURS, _EACH, _RAW)}
            contenders: dict[str, Contender] = {
                _OURS: lambda number: self._rate(_OURS, "intake_ours", number),
                _EACH: lambda number: self._rate(_EACH, "intake_each", number),
                _RAW: lambda number: self._rate(_RAW, "intake_raw", number),
            }
            notes = await interleaved(contenders, series, self._plan)
        finally:
            await self._connection.close()
        ours = series[_OURS]
        return Row(
            "consumer",
            list(series.values()),
            [
                Comparison(ours, series[_EACH], at_least(20)),
                Comparison(ours, series[_RAW], at_least(0.35)),
            ],
            notes,
            details={
                "records": {_OURS: self._records, _EACH: self._fewer, _RAW: self._records},
                "tables written": self._tables,
            },
        )

    async def _prime(self) -> None:
        """Publish the records, take them in once, and keep what they came to."""
        records = list(people.hired("P", range(self._records)))
        self._plan.says(f"publishing {len(records):,} HR records")
        await hr.publish(self._servers.bootstrap_servers, records, lambda _: None)
        self._plan.says("what they come to")
        await self._take_in("intake_ours", self._records, "-prime")
        self._tables = await tables.filled(self._connection, SERVICE)
        outcome = await outcome_of(self._connection, SERVICE, dict(map(_event_and_person, records)))
        keep_outcome(outcome, self._outcome)

    async def _rate(self, name: str, contender: str, number: int) -> Mapping[str, float]:
        await tables.empty(self._connection, SERVICE)
        await tables.settle(self._connection)
        count = self._fewer if name == _EACH else self._records
        seconds = await self._take_in(contender, count, f"-{contender}-{number}")
        return {name: count / seconds}

    async def _take_in(self, contender: str, count: int, group_suffix: str) -> float:
        task: dict[str, Any] = {
            "dsn": self._dsn,
            "bootstrap_servers": self._servers.bootstrap_servers,
            "group_suffix": group_suffix,
            "records": count,
            "end": count,
            "outcome": str(self._outcome),
        }
        answer = await jobs.done(
            contender, task, self._servers.folder, environment=self._servers.environment
        )
        known = await self._connection.fetchval(f"SELECT count(*) FROM {SERVICE}.employees")
        if known < count:
            raise StackError(f"{contender}: {known} of {count} people are in the directory")
        seconds: float = answer["seconds"]
        return seconds


def _event_and_person(record: hr.HrRecord) -> tuple[str, str]:
    """The inbox's id of a record, and whom it is about."""
    raw = Record(TOPIC, 0, 0, record.key, record.value, record.headers)
    return str(decode(raw, datetime.now(UTC)).identity), (record.key or b"").decode()
