"""Row `solving`: how long matching's events and `/livez` take while a run solves. Only by its name.

The service, as a process, has a programme of 10,000 mentors and 10,000 mentees. HR changes of these
people, and of their managers, go to it at a steady pace: no run follows from them, but the pairs
that live are guarded. *An event* lasts from the moment that it is handed to Kafka's client to its
commit, by Postgres' own clock; *`/livez`* from the moment that it is asked, whatever was answered
before. The run itself goes through two phases:

- *solving*: the worker reads the people, pairs them, and stores what it found;
- *proposing*: the service writes the pairs, and publishes them.

How long the service's main thread was ready to go on, while others had the processors, is told too:
on a machine that others use, that part of the figures is theirs.

*Idle* is the same service some time before the run and some time after it, when its pairs live. A
round of the plan is a company: the first is a plain one, the second hardened, and so on.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer

from deploy.local.process import Child, StackError, free_port
from deploy.matching.company import plan as company_plan
from services.matching.handlers import handlers
from services.matching.solver import warm
from shared.catalogue import EmployeeUpdated
from shared.clock import Clock
from shared.database import Database
from shared.envelope import decode
from shared.inbound import Inbound
from shared.testing import record_of
from tests.bench import tables
from tests.bench.figures import Comparison, Series, at_most, percentile
from tests.bench.report import Row
from tests.bench.rounds import Plan
from tests.bench.servers import Servers
from tests.bench.solving_company import PROGRAMME, again, events_of

_SERVICE = "matching"
_PHASES = ("idle", "solving", "proposing")
_WHAT = ("event", "/livez")
_PERCENTILES = {"p50": 0.5, "p99": 0.99}
_EVENTS_PER_SECOND = 50
_ASKED_PER_SECOND = 20
_AT_ONCE = 500
_PATIENCE_SECONDS = 900.0
_LOOK_SECONDS = 0.05
_WORST = 20


async def measure(plan: Plan) -> Row:
    """Measure the row."""
    async with Servers(plan) as servers:
        # Postgres then tells when a row was committed.
        await servers.restart_postgres_with({"track_commit_timestamp": "on"})
        plan.says("compiling, unless that was done before")
        await warm(None)
        row = await _Measurement(plan, servers).row()
        row.servers = servers.versions
        return row


@dataclass
class _Seen:
    """What was asked and sent, and how long each took: (moment, seconds)."""

    sent: dict[UUID, float] = field(default_factory=dict)
    answers: list[tuple[float, float]] = field(default_factory=list)
    events: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Begin:
    """The beginning of a part: when, and what the service's main thread had had until then."""

    moment: float
    processor_seconds: float
    waited_seconds: float
    """Ready to go on, while others had the processors: what is not the service's own doing."""


class _Measurement:
    """One company after the other, each with a database and a service of its own."""

    def __init__(self, plan: Plan, servers: Servers) -> None:
        self._plan = plan
        self._servers = servers
        self._idle_seconds = plan.either(20, 3)
        self._side = plan.either(10_000, 600)
        self._details: list[dict[str, Any]] = []

    async def row(self) -> Row:
        series = {
            (what, phase, name): Series(f"{what}, {phase}, {name}", "ms")
            for what in _WHAT
            for phase in _PHASES
            for name in _PERCENTILES
        }
        notes = []
        for number in range(min(self._plan.rounds, 2)):
            hardened = bool(number % 2)
            figures, note = await self._round(number, hardened=hardened)
            for key, value in figures.items():
                series[key].figures.append(value)
            notes.append(note)
        comparisons = [
            Comparison(
                series[what, phase, name],
                series[what, "idle", name],
                at_most(3) if name == "p99" else None,
            )
            for what in _WHAT
            for phase in _PHASES[1:]
            for name in _PERCENTILES
        ]
        return Row(
            "solving",
            list(series.values()),
            comparisons,
            notes,
            details={"runs": self._details, "events/s": _EVENTS_PER_SECOND},
        )

    async def _round(
        self, number: int, *, hardened: bool
    ) -> tuple[dict[tuple[str, str, str], float], str]:
        dsn = await self._servers.create_database(f"solving{number}", _SERVICE)
        people = await self._settled(dsn, hardened=hardened)
        connection = await asyncpg.connect(dsn, server_settings={"search_path": _SERVICE})
        port = free_port()
        service = self._spawn(dsn, port, number)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                await _ready(service, http)
                seen = _Seen()
                tasks = [
                    asyncio.create_task(self._send(people, seen)),
                    asyncio.create_task(_ask(http, seen)),
                ]
                try:
                    begins = await self._phases(connection, service)
                    for task in tasks:
                        if task.done():
                            await task
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
                await _committed(connection, seen)
                run = await connection.fetchrow(
                    "SELECT state, proposed, dropped, seconds, peak_memory_mb FROM match_runs"
                    " WHERE at_once"
                )
        finally:
            service.stop()
            await connection.close()
        return self._told(seen, begins, dict(run or {}), hardened=hardened)

    async def _settled(self, dsn: str, *, hardened: bool) -> list[EmployeeUpdated]:
        """Have matching know the company; returns the newest records of its employees."""
        given = company_plan(mentors=self._side, mentees=self._side, hardened=hardened)
        self._plan.says(f"a company of {self._side:,} × {self._side:,}")
        database = await Database.connect(dsn, service=_SERVICE, clock=Clock(), size=1)
        try:
            inbound = Inbound(database, handlers)
            now = database.clock.now()
            employees: list[EmployeeUpdated] = []
            batch = []
            for event in events_of(given, now):
                batch.append(record_of(event, now=now))
                if isinstance(event, EmployeeUpdated):
                    employees.append(event)
                if len(batch) == _AT_ONCE:
                    await inbound.apply(batch)
                    batch = []
            await inbound.apply(batch)
        finally:
            await database.close()
        connection = await asyncpg.connect(dsn)
        await tables.settle(connection)
        await connection.close()
        return employees

    def _spawn(self, dsn: str, port: int, number: int) -> Child:
        return Child.spawn(
            _SERVICE,
            [sys.executable, "-m", "services.matching"],
            log=self._servers.folder / f"service-{number}.log",
            env={
                **os.environ,
                **self._servers.environment,
                "UPDRAFT_POSTGRES__DSN": dsn,
                "UPDRAFT_HTTP__HOST": "127.0.0.1",
                "UPDRAFT_HTTP__PORT": str(port),
                "UPDRAFT_LOG__LEVEL": "WARNING",
                # The run begins when it is told to, not when the events cease.
                "UPDRAFT_DEBOUNCE_SECONDS": "36000",
                "UPDRAFT_KAFKA__GROUP_SUFFIX": f"-{number}",
            },
        )

    async def _phases(
        self, connection: asyncpg.Connection[Any], service: Child
    ) -> dict[str, _Begin]:
        """Idle, a run, and idle again; returns how each part began."""
        begins: dict[str, _Begin] = {}

        def begin(part: str) -> None:
            begins[part] = _Begin(time.time(), *_processor_seconds(service.pid))
            self._plan.says(part)

        begin("warming up")
        await asyncio.sleep(self._idle_seconds / 4)
        begin("idle")
        await asyncio.sleep(self._idle_seconds)
        begin("solving")
        await connection.execute("UPDATE match_runs SET at_once = true WHERE state = 'requested'")
        await _until(connection, "programme_version IS NOT NULL")
        begin("proposing")
        await _until(connection, "state <> 'running'")
        begin("idle again")
        await asyncio.sleep(self._idle_seconds)
        begin("end")
        return begins

    async def _send(self, people: Sequence[EmployeeUpdated], seen: _Seen) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers.bootstrap_servers,
            acks="all",
            enable_idempotence=self._servers.idempotent,
        )
        await producer.start()
        try:
            chance = Random(1)
            known = list(people)
            began = time.perf_counter()
            for number in count():
                await asyncio.sleep(began + number / _EVENTS_PER_SECOND - time.perf_counter())
                place = chance.randrange(len(known))
                known[place] = event = again(known[place])
                record = record_of(event, now=Clock().now())
                headers = list(record.headers)
                seen.sent[decode(record, Clock().now()).identity] = time.time()
                await producer.send(event.TOPIC, record.value, key=record.key, headers=headers)
        finally:
            await producer.stop()

    def _told(
        self, seen: _Seen, begins: Mapping[str, _Begin], run: Mapping[str, Any], *, hardened: bool
    ) -> tuple[dict[tuple[str, str, str], float], str]:
        if run["state"] != "completed":
            raise StackError(f"the run came to {run['state']}")
        figures = {}
        details: dict[str, Any] = {"hardened": hardened, **run}
        for phase in _PHASES:
            parts = list(_parts(phase, begins))
            details[phase] = told = {
                name: round(
                    sum(getattr(end, name) - getattr(begin, name) for begin, end in parts), 2
                )
                for name in _Begin.__slots__
            }
            for what, taken in zip(_WHAT, (seen.events, seen.answers), strict=True):
                within = [
                    (seconds, moment - begin.moment)
                    for begin, end in parts
                    for moment, seconds in taken
                    if begin.moment <= moment < end.moment
                ]
                told[f"{what}, number"] = len(within)
                told[f"{what}, worst and when"] = sorted(within, reverse=True)[:_WORST]
                for name, share in _PERCENTILES.items():
                    seconds = percentile([seconds for seconds, _ in within], share)
                    figures[what, phase, name] = 1000 * seconds
        self._details.append(details)
        took = {phase: details[phase]["moment"] for phase in _PHASES}
        waited = ", ".join(
            f"{phase} {details[phase]['waited_seconds'] / took[phase]:.0%}" for phase in _PHASES
        )
        return figures, (
            f"{'hardened' if hardened else 'plain'}, {self._side:,} × {self._side:,}: solving "
            f"{took['solving']:.0f} s, proposing {run['proposed']:,} pairs "
            f"{took['proposing']:.0f} s; the worker's peak {run['peak_memory_mb']:,.0f} MB; "
            f"the service waited for a processor: {waited}"
        )


def _parts(phase: str, begins: Mapping[str, _Begin]) -> Iterator[tuple[_Begin, _Begin]]:
    order = list(begins)
    for name in ("idle", "idle again") if phase == "idle" else (phase,):
        yield begins[name], begins[order[order.index(name) + 1]]


def _processor_seconds(pid: int) -> tuple[float, float]:
    """What a process' main thread has had, and waited for; zeros where Linux does not tell."""
    try:
        had, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except OSError:
        return 0.0, 0.0
    return int(had) / 1e9, int(waited) / 1e9


async def _ready(service: Child, http: httpx.AsyncClient) -> None:
    """Wait until the service is ready. Raises StackError or TimeoutError."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not service.running:
            raise service.failure("died")
        try:
            if (await http.get("/readyz")).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(_LOOK_SECONDS)
    raise service.failure("is not ready")


async def _ask(http: httpx.AsyncClient, seen: _Seen) -> None:
    """Ask for `/livez` at an even pace, whether or not earlier questions were answered."""

    async def once() -> None:
        moment, began = time.time(), time.perf_counter()
        answer = await http.get("/livez")
        seen.answers.append((moment, time.perf_counter() - began))
        if answer.status_code != httpx.codes.OK:
            raise StackError(f"/livez says {answer.text}")

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in count():
            await asyncio.sleep(began + number / _ASKED_PER_SECOND - time.perf_counter())
            group.create_task(once())


async def _until(connection: asyncpg.Connection[Any], condition: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if await connection.fetchval(
            f"SELECT {condition} FROM match_runs WHERE at_once AND programme_id = $1", PROGRAMME
        ):
            return
        await asyncio.sleep(_LOOK_SECONDS)
    raise TimeoutError(f"waited {_PATIENCE_SECONDS:.0f} s in vain for: {condition}")


async def _committed(connection: asyncpg.Connection[Any], seen: _Seen) -> None:
    """Note how long each event took."""
    for _ in range(200):
        rows = await connection.fetch(
            "SELECT event_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS moment"
            " FROM inbox WHERE event_id = ANY($1)",
            list(seen.sent),
        )
        if len(rows) == len(seen.sent):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    else:
        raise StackError(f"{len(seen.sent) - len(rows)} events were not applied")
    seen.events = [
        (seen.sent[row["event_id"]], row["moment"] - seen.sent[row["event_id"]]) for row in rows
    ]
