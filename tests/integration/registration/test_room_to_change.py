"""What a change of a person costs does not grow with the company."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pytest

from services.registration.handlers import handlers
from services.registration.store import directory
from shared.catalogue import EmployeeRecorded
from shared.database import Database, Transaction
from shared.testing import deliver
from tests.conftest import DatabaseFor

PEOPLE = range(600)
CHANGED = range(0, 500, 100)
"""So far apart that no two are on one page, and before the last page, which has room anyhow."""


@pytest.mark.parametrize("table", ["hr_records", "employees", "contacts"])
async def test_a_change_stays_on_its_page_however_many_people_follow(
    table: str, database_for: DatabaseFor
) -> None:
    database = await database_for("registration")
    await deliver(handlers, database, *states(PEOPLE, sequence=1))
    before = await pages(database, table)
    assert len(set(before.values())) > 1

    await deliver(handlers, database, *states(CHANGED, sequence=2))

    assert await pages(database, table) == before


async def test_people_are_looked_up_by_their_key_in_a_company_that_was_small_just_now(
    database_for: DatabaseFor,
) -> None:
    database = await database_for("registration")
    few, many = range(12), range(12, 1000)
    await deliver(handlers, database, *states(few, sequence=1))
    await database.pool.execute("ANALYZE")
    for sequence in range(2, 12):  # until Postgres keeps its plan
        await deliver(handlers, database, *states(few, sequence=sequence))

    await deliver(handlers, database, *states(many, sequence=1))

    async with database.transaction() as tx:
        before = await read_whole(tx)
        await directory.lock_people(tx.connection, ["e003", "e600"])
        assert await read_whole(tx) == before


async def read_whole(tx: Transaction) -> dict[str, int]:
    """How often this connection has lately read each of the tables whole."""
    rows = await tx.connection.fetch(
        "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname = ANY($1)",
        ["hr_records", "employees", "contacts"],
    )
    return {row["relname"]: row["seq_scan"] for row in rows}


def states(numbers: Iterable[int], *, sequence: int) -> list[EmployeeRecorded]:
    """Whole records of these people; all that may change differs from sequence to sequence."""
    return [
        EmployeeRecorded(
            employee_id=f"e{number:03}",
            sequence=sequence,
            effective_date=date(2026, 1, 5),
            status="active",
            job_level=3,
            manager_id=None,
            department=f"Department {sequence}",
            display_name=f"Ada {sequence}",
            start_date=date(2022, 5, 2),
        )
        for number in numbers
    ]


async def pages(database: Database, table: str) -> dict[str, int]:
    """Employee id → number of the table's page that holds the row."""
    rows = await database.pool.fetch(
        f"SELECT employee_id, (ctid::text::point)[0]::int AS page FROM {table}"
    )
    return {row["employee_id"]: row["page"] for row in rows}
