"""A change of a person stays on the page where the person is, so that no index has to follow."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pytest

from services.registration.handlers import handlers
from shared.catalogue import EmployeeRecorded
from shared.database import Database
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
