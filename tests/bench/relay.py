"""Row `relay`: events per second from a full outbox to the broker, until the outbox is empty.

The outbox holds EmployeeUpdated events with the headers that a service gives them. The raw limit
sends the same bytes by the same producer, all in flight at once, and deletes as many rows with one
statement; it reads nothing, and keeps no order across a failure. faststream-outbox and txoutbox
relay from tables of their own, with the broker settings of our producer and with the settings of
theirs that were fastest here. They are slower, so they get fewer rows; rates are per event.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from deploy.local.process import StackError
from shared.catalogue import EmployeeUpdated
from shared.clock import Clock
from shared.database import Database
from shared.envelope import encode, json_value
from shared.ids import new_id
from tests.bench import jobs, people, tables
from tests.bench.figures import Comparison, Series, at_least
from tests.bench.peer_environment import peers_python
from tests.bench.report import Row
from tests.bench.rounds import Contender, Plan, interleaved
from tests.bench.servers import Servers

SERVICE = "registration"
_TOPIC = EmployeeUpdated.TOPIC
_BATCH = 500

_OURS = "ours"
_RAW = "raw: pipelined send + one DELETE"
_ONE = "faststream-outbox, 1 worker"
_EIGHT = "faststream-outbox, 8 workers (loses order)"
_TX = "txoutbox"


async def measure(plan: Plan) -> Row:
    """Measure the row."""
    plan.says("the libraries to compare with")
    peers = peers_python()
    async with Servers(plan) as servers:
        row = await _Contest(plan, servers, peers).row()
        row.servers = servers.versions
        return row


class _Contest:
    """One outbox and three like it, filled and emptied again and again."""

    def __init__(self, plan: Plan, servers: Servers, peers: Path) -> None:
        self._plan = plan
        self._servers = servers
        self._peers = peers
        self._outbox: Outbox
        self._rows = plan.either(30_000, 5_000)
        self._fewer = {
            _ONE: plan.either(2_000, 400),
            _EIGHT: plan.either(5_000, 800),
            _TX: plan.either(8_000, 1_500),
        }

    async def row(self) -> Row:
        self._outbox = await Outbox.filled(self._servers, "relay", self._rows)
        try:
            await self._make_tables_of_peers()
            series = {name: Series(name, "events/s") for name in (_OURS, _RAW, *self._fewer)}
            contenders: dict[str, Contender] = {
                _OURS: self._ours,
                _ONE: lambda _: self._peer(_ONE, "faststream_outbox_relay", workers=1),
                _EIGHT: lambda _: self._peer(_EIGHT, "faststream_outbox_relay", workers=8),
                _TX: lambda _: self._peer(_TX, "txoutbox_relay", workers=1),
                _RAW: self._raw,
            }
            notes = await interleaved(contenders, series, self._plan)
        finally:
            await self._outbox.close()
        ours = series[_OURS]
        return Row(
            "relay",
            list(series.values()),
            [
                Comparison(ours, series[_ONE], at_least(15)),
                Comparison(ours, series[_EIGHT], at_least(15)),
                Comparison(ours, series[_TX]),
                Comparison(ours, series[_RAW], at_least(0.5)),
            ],
            notes,
            details={"rows": {_OURS: self._rows, _RAW: self._rows, **self._fewer}},
        )

    async def _ours(self, _: int) -> Mapping[str, float]:
        await self._outbox.refill()
        return {_OURS: await self._outbox.relayed(self._servers)}

    async def _raw(self, _: int) -> Mapping[str, float]:
        await self._outbox.refill()
        return {_RAW: await self._rate(self._rows, jobs.done("relay_raw", **self._task()))}

    async def _peer(self, name: str, contender: str, *, workers: int) -> Mapping[str, float]:
        count = self._fewer[name]
        await self._outbox.connection.execute(_FILL[contender], count, _TOPIC)
        await tables.settle(self._outbox.connection)
        work = jobs.done(contender, **self._task(what="relay", workers=workers), peers=self._peers)
        return {name: await self._rate(count, work)}

    async def _rate(self, count: int, work: Awaitable[Mapping[str, float]]) -> float:
        return await rate(self._servers, count, work)

    async def _make_tables_of_peers(self) -> None:
        for contender in _FILL:
            await jobs.done(contender, **self._task(what="prepare"), peers=self._peers)

    def _task(self, **more: Any) -> dict[str, Any]:
        return self._outbox.task(self._servers, **more)


_FILL = {
    "faststream_outbox_relay": """
        INSERT INTO faststream_outbox (queue, payload, headers)
        SELECT 'relay', payload, headers || jsonb_build_object('key', key)
        FROM records WHERE $2 <> '' ORDER BY position LIMIT $1
        """,
    "txoutbox_relay": """
        INSERT INTO txoutbox (topic, key, payload, headers)
        SELECT $2, key, payload, headers FROM records ORDER BY position LIMIT $1
        """,
}


class Outbox:
    """An outbox of a service with so many events, that can be filled again."""

    def __init__(self, dsn: str, connection: tables.Connection, rows: int) -> None:
        self.dsn = dsn
        self.connection = connection
        self.rows = rows

    @classmethod
    async def filled(cls, servers: Servers, name: str, rows: int) -> Outbox:
        """A new database with a full outbox, which is also put aside in two forms."""
        dsn = await servers.create_database(name, SERVICE)
        connection = await asyncpg.connect(dsn)
        await connection.execute(
            "CREATE TABLE records (position bigint, key text, headers jsonb, payload bytea)"
        )
        database = await Database.connect(dsn, service=SERVICE, clock=Clock())
        events = [_event(number) for number in range(rows)]
        for first in range(0, rows, _BATCH):
            async with database.transaction() as tx:
                for event in events[first : first + _BATCH]:
                    tx.publish(event)
        await database.close()
        await connection.copy_records_to_table("records", records=map(_bytes, count(), events))
        await tables.put_aside(connection, SERVICE, "outbox", "aside")
        return cls(dsn, connection, rows)

    async def close(self) -> None:
        """Close the connection."""
        await self.connection.close()

    async def refill(self, *, emptied: bool = True, copies: int = 1) -> None:
        """Fill the outbox; `emptied` forgets first that it ever held anything."""
        if emptied:
            await self.connection.execute(f"TRUNCATE {SERVICE}.outbox")
        await tables.refill(self.connection, SERVICE, "outbox", "aside", copies=copies)
        await tables.settle(self.connection)

    async def relayed(self, servers: Servers, *, copies: int = 1) -> float:
        """Have our relay publish it all; returns the events per second."""
        return await rate(
            servers, self.rows * copies, jobs.done("relay_ours", **self.task(servers))
        )

    def task(self, servers: Servers, **more: Any) -> dict[str, Any]:
        """What a contender has to know."""
        return {
            "task": {
                "dsn": self.dsn,
                "service": SERVICE,
                "topic": _TOPIC,
                "bootstrap_servers": servers.bootstrap_servers,
                "idempotent": servers.idempotent,
                **more,
            },
            "folder": servers.folder,
            "environment": servers.environment,
        }


async def rate(servers: Servers, count: int, work: Awaitable[Mapping[str, float]]) -> float:
    """Events per second of a contender that publishes so many; checks that the broker has them."""
    before = await servers.ends([_TOPIC])
    seconds = (await work)["seconds"]
    published = await servers.ends([_TOPIC]) - before
    if published < count:
        raise StackError(f"{published} of {count} events reached the broker; see the logs")
    return count / seconds


def _event(number: int) -> EmployeeUpdated:
    return EmployeeUpdated(
        employee_id=people.employee_id("R", number),
        version=1 + number % 7,
        status="active",
        job_level=1 + number % 10,
        job_family="Engineering",
        title="Specialist",
        organization="Example Group",
        division=f"Division {number % 5}",
        department="Platform",
        manager_id=people.employee_id("R", number // 8),
        location="Paris",
        country="FR",
        timezone="Europe/Paris",
        start_date=date(2022, 5, 2),
        effective_from=datetime(2026, 1, 5, tzinfo=UTC),
        received_at=datetime(2026, 1, 5, 9, tzinfo=UTC),
        skills=("Python", "SQL"),
        interests=("music", "chess"),
    )


def _bytes(position: int, event: EmployeeUpdated) -> tuple[int, str, str, bytes]:
    """An event as it goes over the wire."""
    now = datetime.now(UTC)
    headers = encode(
        type(event), event_id=new_id(now), source="urn:updraft:bench", subject=event.key, now=now
    )
    return position, event.key, json.dumps(headers), json_value(event)
