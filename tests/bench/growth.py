"""Row `growth`: cost per event with 1, 10 and 100 times the rows in the tables.

The directory of registration is filled with so many people, their inbox rows included: the first
of them by the service itself, the others as copies with ids of their own. Then the service takes
in as many records of new people, who report to known ones, as changes of people from all over the
table. What a round adds is taken away again. The relay publishes an outbox that was just made, and
one through which a million events have gone (100,000 with --quick).

What is compared is the cost in the middle of long work, so Postgres is set up for it and the first
round does not count:

- Its memory holds the tables, as the local stack's does where the machine has 12 GB or more.
- No checkpoint falls between the rounds. After one, the first change of each page writes the whole
  page to the log. That cost is one of pages, not of events: at this pace a million events come
  between two checkpoints, and share it; the few thousand of a round, from all over a large table,
  would pay for a page each. What that comes to is measured as well, right after a checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local import hr
from deploy.reading import current_ends
from tests.bench import jobs, people, tables
from tests.bench.consumer import SERVICE, TOPIC
from tests.bench.figures import Comparison, Series, at_most
from tests.bench.relay import Outbox
from tests.bench.report import Row
from tests.bench.rounds import Contender, Plan, interleaved
from tests.bench.servers import Servers

_TIMES = (1, 10, 100)
_MARK = "G-"
_UNIT = "µs/event"
_YOUNG = "relay, new outbox"
_OLD = "relay, after very many events"
_SETTINGS = {"max_wal_size": "8GB", "checkpoint_timeout": "1h"}


async def measure(plan: Plan) -> Row:
    """Measure the row."""
    async with Servers(plan) as servers:
        row = await _Contest(plan, servers).row()
        row.servers = servers.versions
        return row


class _Contest:
    def __init__(self, plan: Plan, servers: Servers) -> None:
        self._plan = plan
        self._servers = servers
        self._base = plan.either(10_000, 1_000)
        self._events = plan.either(4_000, 1_000)
        self._sequences = count(2)
        self._directories: dict[int, _Directory] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._gone = 0

    async def row(self) -> Row:
        await self._servers.restart_postgres_with(_SETTINGS)
        await self._prepare_outboxes()
        for times in _TIMES:
            self._plan.says(f"preparing: {self._name(times)}")
            self._directories[times] = await _Directory.of(self._servers, self._base, times)
        names = [self._name(times) for times in _TIMES]
        after = f"HR intake, {_TIMES[-1]}×, after a checkpoint"
        series = {name: Series(name, _UNIT) for name in (*names, after, _YOUNG, _OLD)}
        intakes = {name: self._intake(name, t) for name, t in zip(names, _TIMES, strict=True)}
        for play in intakes.values():
            self._plan.says("a round that does not count")
            await play(0)
        # These come second: each of their rounds begins with a checkpoint.
        others = {
            after: self._intake(after, _TIMES[-1], checkpoint=True),
            _YOUNG: self._relay(_YOUNG),
            _OLD: self._relay(_OLD),
        }
        first, second = self._halves()
        notes = await interleaved(intakes, series, first)
        notes += await interleaved(others, series, second)
        one, ten, hundred = (series[name] for name in names)
        return Row(
            "growth",
            list(series.values()),
            [
                Comparison(ten, one),
                Comparison(hundred, one, at_most(1.2)),
                Comparison(series[after], one),
                Comparison(series[_OLD], series[_YOUNG], at_most(1.2)),
            ],
            [*notes, "Postgres: no checkpoint between the rounds but where it is said"],
            details={
                "people": {name: self._base * t for name, t in zip(names, _TIMES, strict=True)},
                "records per round": self._events,
                "events through the old outbox before": self._gone,
                "settings of Postgres": _SETTINGS,
            },
        )

    def _halves(self) -> tuple[Plan, Plan]:
        """The plan for the first half of the time that is left, and for the rest."""
        plan = self._plan
        middle = (time.monotonic() + plan.deadline) / 2
        return (
            replace(plan, deadline=middle, advance=lambda share: plan.advance(share / 2)),
            replace(plan, advance=lambda share: plan.advance(0.5 + share / 2)),
        )

    def _name(self, times: int) -> str:
        return f"HR intake, {times}×: {self._base * times:,} people known"

    def _intake(self, name: str, times: int, *, checkpoint: bool = False) -> Contender:
        async def play(_: int) -> Mapping[str, float]:
            directory = self._directories[times]
            if checkpoint:
                await directory.checkpoint()
            seconds = await directory.take_in(self._events, next(self._sequences))
            return {name: seconds / self._events * 1e6}

        return play

    async def _prepare_outboxes(self) -> None:
        rows = self._plan.either(20_000, 5_000)
        copies = self._plan.either(50, 20)
        self._outboxes[_YOUNG] = await Outbox.filled(self._servers, "young", rows)
        old = self._outboxes[_OLD] = await Outbox.filled(self._servers, "old", rows)
        self._gone = copies * rows
        self._plan.says(f"{self._gone:,} events go through the relay")
        await old.refill(copies=copies)
        await old.relayed(self._servers, copies=copies)

    def _relay(self, name: str) -> Contender:
        async def play(_: int) -> Mapping[str, float]:
            await self._outboxes[name].refill(emptied=name == _YOUNG)
            return {name: 1e6 / await self._outboxes[name].relayed(self._servers)}

        return play


class _Directory:
    """A directory of so many people in a database of its own."""

    def __init__(self, servers: Servers, dsn: str, base: int, times: int) -> None:
        self._servers = servers
        self._dsn = dsn
        self._base = base
        self._times = times
        self._chance = Random(times)

    @classmethod
    async def of(cls, servers: Servers, base: int, times: int) -> _Directory:
        dsn = await servers.create_database(f"directory_{times}", SERVICE)
        directory = cls(servers, dsn, base, times)
        await directory._run(list(people.hired(_MARK[:-1], range(base))), "first")
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"TRUNCATE {SERVICE}.outbox")
        if times > 1:
            await tables.multiply(connection, SERVICE, _MARK, times - 1)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()
        return directory

    async def checkpoint(self) -> None:
        """Have Postgres write down all that changed."""
        connection = await asyncpg.connect(self._dsn)
        await connection.execute("CHECKPOINT")
        await connection.close()

    async def take_in(self, events: int, sequence: int) -> float:
        """Take in new people and changes, half and half; returns the seconds. Leaves no trace."""
        connection = await asyncpg.connect(self._dsn)
        try:
            before = await connection.fetchval("SELECT clock_timestamp()")
            group = f"N{sequence}"
            records = [
                *people.hired(group, range(events // 2), below=_MARK[:-1]),
                *people.moved(self._somebody(events - events // 2), sequence),
            ]
            self._chance.shuffle(records)
            seconds = await self._run(records, str(sequence))
            for table in await tables.with_column(connection, SERVICE, "employee_id"):
                await connection.execute(
                    f"DELETE FROM {SERVICE}.{table} WHERE employee_id LIKE $1", f"{group}-%"
                )
            await connection.execute(f"DELETE FROM {SERVICE}.inbox WHERE received_at > $1", before)
            await connection.execute(f"TRUNCATE {SERVICE}.outbox")
            await connection.execute("VACUUM")
        finally:
            await connection.close()
        return seconds

    def _somebody(self, number: int) -> list[str]:
        """So many different people, from all over the table."""
        chosen = self._chance.sample(range(self._base * self._times), number)
        return [self._id(*divmod(each, self._base)) for each in chosen]

    def _id(self, copy: int, number: int) -> str:
        return people.employee_id(_MARK[:-1], number).replace(_MARK, f"{_MARK}{copy or ''}")

    async def _run(self, records: list[hr.HrRecord], name: str) -> float:
        group_suffix = f"-growth-{self._times}-{name}"
        before = await start_at_the_end(self._servers.bootstrap_servers, group_suffix)
        await hr.publish(self._servers.bootstrap_servers, records, lambda _: None)
        task: dict[str, Any] = {
            "dsn": self._dsn,
            "bootstrap_servers": self._servers.bootstrap_servers,
            "group_suffix": group_suffix,
            "records": len(records),
            "end": before + len(records),
        }
        answer = await jobs.done(
            "intake_ours", task, self._servers.folder, environment=self._servers.environment
        )
        seconds: float = answer["seconds"]
        return seconds


async def start_at_the_end(bootstrap_servers: str, group_suffix: str) -> int:
    """Have a new group of registration read only what comes; returns how much was there before."""
    ends: dict[TopicPartition, int] = await current_ends(bootstrap_servers, [TOPIC])
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        group_id=f"{SERVICE}{group_suffix}",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.assign(list(ends))
        await consumer.commit(ends)
    finally:
        await consumer.stop()
    return sum(ends.values())
