"""A made-up service on matching's tables, whose parked records the command line looks after."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from shared.catalogue import EmployeeUpdated
from shared.database import Database, Transaction
from shared.envelope import Record
from shared.handlers import Handlers
from shared.inbound import Inbound
from shared.testing import record_of

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


@dataclass
class Told:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


class Service:
    """Notes what it applies, and fails where it is told to."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.broken: set[tuple[str, int]] = set()
        handlers = Handlers()

        @handlers.batch(EmployeeUpdated)
        async def note(events: Sequence[EmployeeUpdated], tx: Transaction) -> None:
            for event in events:
                if (event.employee_id, event.version) in self.broken:
                    raise KeyError(event.employee_id)
                await tx.connection.execute(
                    "INSERT INTO seen VALUES ($1, $2)", event.employee_id, event.version
                )

        self.inbound = Inbound(database, handlers)

    async def take(self, *records: Record) -> None:
        """Apply records; those whose handler fails are parked."""
        await self.inbound.apply(records, park_failures=True, attempt=5)

    async def seen(self, employee_id: str) -> list[int]:
        """The versions applied, in the order in which that happened."""
        rows = await self.database.pool.fetch(
            "SELECT version FROM seen WHERE employee_id = $1 ORDER BY ctid", employee_id
        )
        return [row["version"] for row in rows]

    async def parked(self) -> list[tuple[str, str]]:
        """(key, state) of what is parked, in order."""
        rows = await self.database.pool.fetch(
            "SELECT convert_from(key, 'UTF8') AS key, state FROM parked ORDER BY seq"
        )
        return [(row["key"], row["state"]) for row in rows]

    async def log(self) -> list[tuple[str, str | None, str]]:
        """(action, actor, reason) of all that was done, in order."""
        rows = await self.database.pool.fetch(
            "SELECT action, actor, reason FROM parked_log ORDER BY ctid"
        )
        return [(row["action"], row["actor"], row["reason"]) for row in rows]

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """The service's job runs meanwhile."""

        async def work() -> None:
            while True:
                while await self.inbound.apply_parked():
                    pass
                await asyncio.sleep(0.05)

        task = asyncio.create_task(work())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def updraft(self, *arguments: str, width: int = 80) -> Told:
        """Run the command line against this database."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli", *arguments),
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "COLUMNS": str(width),
                "UPDRAFT_MATCHING__DSN": self.database._dsn,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Told(process.returncode or 0, out.decode(), err.decode())


def facts(employee_id: str, *versions: int) -> list[Record]:
    """Records of one person."""
    return [
        record_of(
            EmployeeUpdated(
                employee_id=employee_id,
                version=version,
                status="active",
                job_level=3,
                department="Sales",
                start_date=date(2020, 1, 1),
                effective_from=NOW,
            ),
            now=NOW,
        )
        for version in versions
    ]
