"""A parked record of a person who is erased has no value any more; to retry it does no harm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from deploy.databases import Databases
from deploy.dlq.records import ParkedRecords, Wanted
from services.registration.handlers import handlers
from shared.catalogue import EmployeeErased, EmployeeRecorded
from shared.envelope import Record
from shared.inbound import Inbound
from shared.testing import record_of
from tests.conftest import DatabaseFor

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def recorded(sequence: int) -> Record:
    event = EmployeeRecorded.model_validate(
        {
            "employeeId": "E1",
            "sequence": sequence,
            "effectiveDate": "2026-01-01",
            "status": "active",
            "jobLevel": 2,
            "department": "Law",
            "managerId": None,
            "startDate": "2020-01-01",
            "name": {"givenName": "Ada"},
        }
    )
    return record_of(event, now=NOW)


def structured(record: Record) -> Record:
    return replace(
        record, headers=(("content-type", b"application/cloudevents+json"),), value=b'{"Ada'
    )


@pytest.mark.parametrize("mode", ["binary", "structured"])
async def test_to_retry_what_was_erased_changes_nothing(
    database_for: DatabaseFor, mode: str
) -> None:
    database = await database_for("registration")
    inbound = Inbound(database, handlers)
    broken = replace(recorded(2), value=b'{"name": {"givenName": "Ada"')
    await inbound.apply([recorded(1), structured(broken) if mode == "structured" else broken])
    erased = EmployeeErased(employee_id="E1", sequence=9)
    await inbound.apply([record_of(erased, now=NOW)])
    assert await database.pool.fetchval("SELECT payload IS NULL FROM parked")
    tables = ("hr_records", "employees", "contacts", "scheduled_changes", "outbox")
    before = {table: await database.pool.fetch(f"SELECT * FROM {table}") for table in tables}

    records = await ParkedRecords.of(
        Databases({"registration": database._dsn}, database.clock), "registration"
    )
    marked = await records.retry(
        Wanted(), actor="ada", because=None, at=NOW, progress=lambda count: None
    )
    await inbound.apply_parked()
    outcome = await records.outcome(actor="ada", at=NOW)
    await records.close()

    assert (marked, outcome.applied, len(outcome.failed)) == (1, 0, 1)
    for table in tables:
        assert await database.pool.fetch(f"SELECT * FROM {table}") == before[table], table
