"""Row `flow`: all four services as processes, from `hr.employees` to `updraft.metrics`.

A company-wide programme with active pairs is open, so that each HR record has consequences:

    hr.employees ─▶ registration ─▶ updraft.employees ─▶ matching (guards the pairs)
                                └─▶ updraft.contacts  ─▶ notifications
                                    updraft.employees ─▶ notifications
                                    updraft.employees ─▶ metrics ─▶ updraft.metrics

**Throughput.** A burst of HR records: new people, and the participants of the pairs changing
department. *HR records/s, applied* ends with the last commit of the last of the four services;
*HR records/s, in the KPIs* ends when a record on `updraft.metrics` counts them all (the KPI
`hr_event_lag_p95` of the whole programme has the number of HR changes that arrived as its
denominator). *Events/s* is all that was written to any topic of the catalogue meanwhile, divided by
the longer of the two times.

**Latency.** Changes of known people at a steady quarter of the throughput (of records applied, the
stricter), from the moment that the sender hands a record to its client:

- *to metrics*: to the commit in metrics' database of the state that it led to. Two topics are
  crossed: hr.employees and updraft.employees. The commit's moment is Postgres' own.
- *to updraft.metrics*: to the arrival at a reader of the first KPI record that counts the change:
  the n-th change counted is taken for the n-th sent. Three topics are crossed. The KPI is the one
  about HR's lag, which metrics measures apart from the others because it costs next to nothing. The
  others are measured anew as a whole, for a tenth of the time at most.

What the burst before wrote is brought to disk first, for a steady stream is what is measured.

The raw chain sends the same bytes at the same pace over as many topics: a process between two
topics reads and writes with the client alone (`acks=all`, no database, no commit), and a reader
waits at the second topic and at the third.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local import hr
from deploy.local.hr import HrRecord
from deploy.local.postgres import AUDITOR, DATABASE, SERVICES, create_service_roles
from deploy.local.stack import Stack
from deploy.reading import current_ends
from shared.service import new_producer
from shared.settings import KafkaSettings, ServiceSettings
from tests.bench import jobs, people
from tests.bench.figures import Comparison, Series, at_most, percentile
from tests.bench.report import Row
from tests.bench.rounds import Plan, interleaved
from tests.bench.servers import Servers
from tests.bench.watching import Arrivals, Changes, Reader, send_steadily, wait_for
from tests.e2e.company import Cast, Company, cast
from tests.e2e.mailbox import Mailbox

_HR = "hr.employees"
_EMPLOYEES = "updraft.employees"
_METRICS = "updraft.metrics"
_RAW_TOPICS = ("bench.first", "bench.second", "bench.third")
_PATIENCE_SECONDS = 120.0
_START = datetime(2027, 3, 1, 8, tzinfo=UTC)
"""Programme time, which then goes as real time does: on this day everybody is employed."""

_APPLIED = "HR records applied by all services"
_MEASURED = "HR records in the KPIs"
_EVENTS = "events on all topics"
_LATENCIES = {
    "two": "HR record → committed by metrics (2 topics)",
    "three": "HR record → updraft.metrics (3 topics)",
    "raw two": "raw, 2 topics",
    "raw three": "raw, 3 topics",
}
_PERCENTILES = {"p50": 0.5, "p99": 0.99}


def _latency(what: str, name: str) -> str:
    return f"{_LATENCIES[what]}, {name}"


async def measure(plan: Plan) -> Row:
    """Measure the row."""
    async with Servers(plan) as servers, AsyncExitStack() as stack:
        # Postgres then tells when a row was committed.
        await servers.restart_postgres_with({"track_commit_timestamp": "on"})
        await servers.create_topics(_RAW_TOPICS)
        house = await _House.opened(servers, stack, plan)
        row = await _Contest(plan, servers, house).row()
        row.servers = servers.versions
        return row


class _House:
    """The running services, with a programme and its pairs."""

    def __init__(self, company: Company, dsn: str, producer: AIOKafkaProducer) -> None:
        self.company = company
        self.dsn = dsn
        """Of an administrator, who sees all schemas."""
        self.producer = producer
        self.programme_id = ""
        self.participants: list[str] = []

    @classmethod
    async def opened(cls, servers: Servers, stack: AsyncExitStack, plan: Plan) -> _House:
        passwords = await create_service_roles(servers.superuser_dsn)
        plan.says("starting the services")
        place = urlsplit(servers.superuser_dsn)
        dsns = {
            role: urlunsplit(
                place._replace(
                    netloc=f"{role}:{passwords[role]}@127.0.0.1:{place.port}", path=f"/{DATABASE}"
                )
            )
            for role in (*SERVICES, AUDITOR)
        }
        environment = {f"UPDRAFT_{role.upper()}__DSN": dsn for role, dsn in dsns.items()}
        environment["UPDRAFT_LOG__LEVEL"] = "WARNING"
        running = await stack.enter_async_context(
            Stack(
                servers.folder / "stack",
                start=_START,
                environment=environment | servers.environment,
            )
        )
        producer = new_producer(
            ServiceSettings(
                kafka=KafkaSettings(
                    bootstrap_servers=servers.bootstrap_servers,
                    idempotent_producer=servers.idempotent,
                )
            )
        )
        await producer.start()
        stack.push_async_callback(producer.stop)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=20))
        company = Company(running, http, producer, Mailbox(running.mails_dir))
        house = cls(company, urlunsplit(place._replace(path=f"/{DATABASE}")), producer)
        plan.says("forming pairs")
        await house._form_pairs(cast("Bench", seniors=4, juniors=4))
        return house

    async def _form_pairs(self, who: Cast) -> None:
        company = self.company
        await company.hire(who.everybody)
        self.programme_id = await company.open_programme(
            "Benchmark", who, training_required=False, audience={}
        )
        await company.enrol_all(who, self.programme_id)
        for senior in who.seniors:
            pair = await company.pair_of(senior, self.programme_id, "proposed")
            await self._say_yes(senior, pair["pair_id"])
            junior = who.person(pair["mentor_employee_id"])
            await company.pair_of(junior, self.programme_id, "proposed")
            await self._say_yes(junior, pair["pair_id"])
            await company.pair_of(senior, self.programme_id, "active")
        self.participants = [one.employee_id for one in (*who.seniors, *who.juniors)]

    async def _say_yes(self, person: Any, pair_id: str) -> None:
        await self.company.asked_by(
            person, "POST", f"/pairs/{pair_id}/answers", body={"answer": "accept"}
        )


class _Contest:
    """Bursts, steady streams, and the raw chain at the same pace."""

    def __init__(self, plan: Plan, servers: Servers, house: _House) -> None:
        self._plan = plan
        self._servers = servers
        self._house = house
        self._burst = plan.either(5_000, 600)
        self._steady_seconds = plan.either(8, 4)
        self._pace = 0.0
        self._sequences = count(2)
        self._hired: list[str] = []
        self._chance = Random(1)
        self._changes = Changes(house.programme_id)
        self._hops: list[jobs.Job] = []

    async def row(self) -> Row:
        units = {_APPLIED: "records/s", _MEASURED: "records/s", _EVENTS: "events/s"}
        series = {name: Series(name, unit) for name, unit in units.items()}
        for what in _LATENCIES:
            for name in _PERCENTILES:
                series[_latency(what, name)] = Series(_latency(what, name), "ms")
        bootstrap = self._servers.bootstrap_servers
        self._hops = hops = [self._hop(0), self._hop(1)]
        try:
            async with Reader(bootstrap, [_METRICS], self._changes.take):
                self._plan.says("warming up")
                # Its pace is that of all rounds, so that their latencies can be compared.
                self._pace = (await self._throughput(0))[_APPLIED] / 4
                notes = await interleaved(
                    {"burst": self._throughput, "steady": self._steady, "raw": self._raw},
                    series,
                    self._plan,
                )
        finally:
            for hop in hops:
                hop.stop()
        comparisons = [
            Comparison(
                series[_latency(what, name)],
                series[_latency(f"raw {what}", name)],
                at_most(3) if name == "p99" else None,
            )
            for what in ("two", "three")
            for name in _PERCENTILES
        ]
        notes.append(
            f"latencies at {self._pace:.0f} HR records/s; to updraft.metrics that of"
            " hr_event_lag_p95: metrics measures the other KPIs for a tenth of the time at most"
        )
        return Row(
            "flow",
            list(series.values()),
            comparisons,
            notes,
            details={
                "records per burst": self._burst,
                "steady records/s": self._pace,
                "steady seconds": self._steady_seconds,
            },
        )

    def _hop(self, number: int) -> jobs.Job:
        task = {
            "bootstrap_servers": self._servers.bootstrap_servers,
            "from": _RAW_TOPICS[number],
            "to": _RAW_TOPICS[number + 1],
        }
        return jobs.start("hop", task, self._servers.folder, environment=self._servers.environment)

    # A burst

    async def _throughput(self, _: int) -> Mapping[str, float]:
        sequence = next(self._sequences)
        group = f"H{sequence}"
        records = list(people.hired(group, range(self._burst)))
        moved = list(people.moved(self._house.participants, sequence))
        everyone = len(records) + len(moved)
        records[self._burst // 2 : self._burst // 2] = moved
        before = await self._servers.ends()
        counted = await self._counted()
        began = time.time()
        await hr.publish(self._servers.bootstrap_servers, records, lambda _: None)
        await self._applied()
        applied = await self._last_commit(began)
        await self._measured(counted + everyone)
        measured = self._changes.moment_of(counted + everyone)
        written = await self._servers.ends() - before
        self._hired += [people.employee_id(group, number) for number in range(self._burst)]
        return {
            _APPLIED: everyone / (applied - began),
            _MEASURED: everyone / (measured - began),
            _EVENTS: written / (max(applied, measured) - began),
        }

    async def _applied(self) -> None:
        """Wait until all services have taken in what HR sent and what registration made of it."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers.bootstrap_servers)
        await admin.start()
        try:
            deadline = time.monotonic() + _PATIENCE_SECONDS
            before: object = None
            while time.monotonic() < deadline:
                ends = await current_ends(self._servers.bootstrap_servers, list(_READ))
                # Twice the same: what registration had taken in may still have been in its outbox.
                if await _read_up_to(admin, ends) and ends == before:
                    return
                before = ends
                await asyncio.sleep(0.3)
        finally:
            await admin.close()
        raise TimeoutError(f"the services took more than {_PATIENCE_SECONDS:.0f} s for a burst")

    async def _last_commit(self, since: float) -> float:
        """When a service last committed events that it received after a moment."""
        connection = await asyncpg.connect(self._house.dsn)
        try:
            commits: list[float] = [
                await connection.fetchval(
                    f"SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8"
                    f" FROM {service}.inbox WHERE received_at >= $1",
                    datetime.fromtimestamp(since, UTC),
                )
                for service in SERVICES
            ]
        finally:
            await connection.close()
        return max(commits)

    async def _counted(self) -> int:
        """How many HR changes metrics has ever received: those that the KPI counts or will."""
        connection = await asyncpg.connect(self._house.dsn)
        try:
            number: int = await connection.fetchval(
                "SELECT count(*) FROM metrics.employee_states WHERE lag_seconds IS NOT NULL"
            )
        finally:
            await connection.close()
        return number

    async def _measured(self, changes: int) -> None:
        await wait_for(
            lambda: self._changes.counted >= changes,
            f"a KPI record that counts {changes} HR changes",
            within_seconds=_PATIENCE_SECONDS,
        )

    # A steady stream

    def _stream(self) -> list[HrRecord]:
        number = max(20, int(self._pace * self._steady_seconds))
        chosen = self._chance.sample(self._hired, min(number, len(self._hired)))
        return list(people.moved(chosen, next(self._sequences)))

    async def _steady(self, _: int) -> Mapping[str, float]:
        records = self._stream()
        counted = await self._counted()
        await self._servers.settle()
        began = self._house.company.stack.clock.now()
        sent = await send_steadily(self._house.producer, _HR, records, self._pace)
        await self._applied()
        await self._measured(counted + len(records))
        committed = await self._commits(began)
        in_order = sorted(sent.values())
        return _told("two", [committed[key] - moment for key, moment in sent.items()]) | _told(
            "three",
            [
                self._changes.moment_of(counted + number) - moment
                for number, moment in enumerate(in_order, 1)
            ],
        )

    async def _commits(self, since: datetime) -> dict[str, float]:
        """When metrics committed the state of each person that arrived after a moment."""
        connection = await asyncpg.connect(self._house.dsn)
        try:
            rows = await connection.fetch(
                "SELECT employee_id,"
                " extract(epoch FROM min(pg_xact_commit_timestamp(xmin)))::float8 AS moment"
                " FROM metrics.employee_states WHERE arrived_at >= $1 GROUP BY employee_id",
                since,
            )
        finally:
            await connection.close()
        return {row["employee_id"]: row["moment"] for row in rows}

    async def _raw(self, _: int) -> Mapping[str, float]:
        for hop in self._hops:
            hop.check()
        records = self._stream()
        second, third = Arrivals(_RAW_TOPICS[1]), Arrivals(_RAW_TOPICS[2])

        def take(record: Any, moment: float) -> None:
            second.take(record, moment)
            third.take(record, moment)

        async with Reader(self._servers.bootstrap_servers, _RAW_TOPICS[1:], take):
            sent = await send_steadily(self._house.producer, _RAW_TOPICS[0], records, self._pace)
            await wait_for(
                lambda: sent.keys() <= third.moments.keys(),
                "the raw chain's last record",
                within_seconds=_PATIENCE_SECONDS,
            )
        return _told("raw two", _since(sent, second)) | _told("raw three", _since(sent, third))


_READ = {
    _HR: ("registration",),
    _EMPLOYEES: ("matching", "notifications", "metrics"),
    "updraft.contacts": ("notifications",),
}


async def _read_up_to(admin: Any, ends: Mapping[Any, int]) -> bool:
    for service in SERVICES:
        read = [partition for partition in ends if service in _READ[partition.topic]]
        committed = await admin.list_consumer_group_offsets(service, partitions=read)
        for partition in read:
            at = committed[partition].offset if partition in committed else 0
            if at < ends[partition]:
                return False
    return True


def _since(sent: Mapping[str, float], arrivals: Arrivals) -> list[float]:
    return [arrivals.moments[key] - moment for key, moment in sent.items()]


def _told(what: str, seconds: Sequence[float]) -> dict[str, float]:
    return {
        _latency(what, name): percentile(seconds, share) * 1000
        for name, share in _PERCENTILES.items()
    }
