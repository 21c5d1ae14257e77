"""`python -m tests.load import|fuzz`: the whole stack under a bounded load, and what became of it.

Ends with exit code 1 if anything was lost, stuck, restarted, or differs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.local.hr import HrRecord
from deploy.local.postgres import SERVICES
from deploy.local.stack import Stack
from deploy.reconcile.command import show
from deploy.reconcile.looking import report
from shared.catalogue import EmployeeRecorded
from tests.load import company, fuzz

_BATCH = 1_000
_out = Console(emoji=False)


class Load:
    """One load on one stack, with what was measured meanwhile."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.peaks = dict.fromkeys(SERVICES, 0)
        self.faults: list[str] = []

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Take note of the services' memory, every second."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()

    async def _watch(self) -> None:
        while True:
            for service in SERVICES:
                # A killed or restarting one counts among the restarts.
                self.peaks[service] = max(self.peaks[service], self.stack.rss(service))
            await asyncio.sleep(1)

    async def send(self, records: Iterable[HrRecord], total: int) -> list[tuple[int, int]]:
        """Publish all; returns partition and offset of each."""
        places: list[tuple[int, int]] = []
        producer = AIOKafkaProducer(
            bootstrap_servers=self.stack.bootstrap_servers,
            acks="all",
            enable_idempotence=self.stack.kafka == "apache",
            max_request_size=8 * 1024 * 1024,
            linger_ms=5,
        )
        await producer.start()
        try:
            with _progress() as progress:
                task = progress.add_task("published", total=total)
                for batch in _batches(records):
                    waiting = [
                        await producer.send(
                            EmployeeRecorded.TOPIC, r.value, key=r.key, headers=list(r.headers)
                        )
                        for r in batch
                    ]
                    sent = await asyncio.gather(*waiting)
                    places += [(one.partition, one.offset) for one in sent]
                    progress.advance(task, len(batch))
        finally:
            await producer.stop()
        return places

    async def until_drained(self, within_seconds: float) -> float:
        """Wait for the end of the flow; returns the seconds that it took."""
        began = time.monotonic()
        if not await self.stack.drained(within_seconds):
            self.faults.append(f"not drained within {within_seconds:.0f} s")
        return time.monotonic() - began

    async def reconcile(self) -> None:
        """Compare tables and topics of all services."""
        found = await report(self.stack, within_seconds=120)
        show(found, _out)
        # What was broken on purpose is parked, which reconciliation tells as a difference.
        expected = [one for one in found.differences if one.what == "parked"]
        if len(expected) != len(found.differences):
            self.faults.append(f"{len(found.differences) - len(expected)} differences")

    def judge(self, most_megabytes: float | None) -> None:
        """Look at restarts and memory."""
        restarts = {name: count for name, count in self.stack.restarts.items() if count}
        if restarts:
            self.faults.append(f"restarts: {restarts}")
        table = Table("service", "peak memory", title="Services")
        for service, peak in self.peaks.items():
            table.add_row(service, f"{peak / 1e6:,.0f} MB")
            if most_megabytes is not None and peak > most_megabytes * 1e6:
                self.faults.append(f"{service} took more than {most_megabytes:.0f} MB")
        _out.print(table)


async def import_company(load: Load, people: int, seed: int) -> None:
    """A whole company at once, from hr.employees to all services."""
    async with load.watched():
        began = time.monotonic()
        await load.send(company.records(people, seed), people)
        published = time.monotonic() - began
        await load.until_drained(3_600)
        done = time.monotonic() - began
    _out.print(
        f"{people:,} employees: published in {published:.0f} s, known to all services after "
        f"{done:.0f} s ({people / done:,.0f} a second)",
        highlight=False,
    )
    for service in SERVICES:
        known = await _value(load.stack, f"SELECT count(*) FROM {service}.employees")
        if known != people:
            load.faults.append(f"{service} knows {known:,} of {people:,} employees")
    await load.reconcile()
    load.judge(300)


async def send_broken(load: Load, broken: int, good: int, seed: int) -> None:
    """Broken records among good ones."""
    sent = list(fuzz.stream(broken, good, seed))
    async with load.watched():
        places = await load.send((one.record for one in sent), len(sent))
        seconds = await load.until_drained(1_800)
    _out.print(f"taken in {seconds:.0f} s after the last was sent", highlight=False)
    parked = {
        (row["part"], row["off"])
        for row in await _rows(load.stack, "SELECT part, off FROM registration.parked")
    }
    table = Table("kind", "sent", "parked", title="What became of the records")
    kinds: dict[str, Counter[bool]] = {}
    for one, place in zip(sent, places, strict=True):
        kinds.setdefault(one.kind, Counter())[place in parked] += 1
        if one.verdict == "good" and place in parked:
            load.faults.append(f"a good record was parked: {place}")
        if one.verdict == "bad" and place not in parked:
            load.faults.append(f"a broken record was not parked: {one.kind} at {place}")
    for kind, counted in sorted(kinds.items()):
        table.add_row(kind, f"{counted.total():,}", f"{counted[True]:,}")
    _out.print(table)
    await _check_effects(load, [one.record for one in sent if one.verdict == "good"])
    await load.reconcile()
    load.judge(None)


async def _check_effects(load: Load, good: list[HrRecord]) -> None:
    rows = await _rows(load.stack, "SELECT employee_id FROM registration.employees")
    known = {row["employee_id"] for row in rows}
    missing = [one.key for one in good if one.key is not None and one.key.decode() not in known]
    if missing:
        load.faults.append(f"{len(missing):,} good records without effect, such as {missing[0]!r}")


async def _value(stack: Stack, query: str) -> int:
    [row] = await _rows(stack, query)
    return int(row[0])


async def _rows(stack: Stack, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(stack.auditor_dsn)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


def _batches(records: Iterable[HrRecord]) -> Iterator[list[HrRecord]]:
    batch: list[HrRecord] = []
    for one in records:
        batch.append(one)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )


async def _run(options: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix="updraft-load-"))
    try:
        async with Stack(folder, keep=True, kafka=options.kafka, tell=_out.print) as stack:
            load = Load(stack)
            if options.what == "import":
                await import_company(load, options.people, options.seed)
            else:
                await send_broken(load, options.records, options.good, options.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for fault in load.faults[:20]:
        _out.print(f"[red]✗[/red] {fault}", highlight=False)
    if len(load.faults) > 20:
        _out.print(f"[red]✗[/red] and {len(load.faults) - 20:,} more")
    if not load.faults:
        _out.print("[green]✓[/green] Nothing lost, nothing stuck, nothing restarted.")
    return 1 if load.faults else 0


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("what", choices=("import", "fuzz"))
    parser.add_argument("--people", type=int, default=1_000_000, help="employees to import")
    parser.add_argument("--records", type=int, default=100_000, help="broken records to send")
    parser.add_argument("--good", type=int, default=20_000, help="good records among them")
    parser.add_argument("--kafka", choices=("apache", "embedded"), default="apache")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    options = parser.parse_args()
    _out.print(f"seed {options.seed}", highlight=False)
    return asyncio.run(_run(options))


if __name__ == "__main__":
    sys.exit(main())
