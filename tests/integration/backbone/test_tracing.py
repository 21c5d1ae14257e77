"""One event followed through all services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.matching.handlers import handlers as matching
from services.metrics.handlers import handlers as metrics
from services.notifications.handlers import handlers as notifications
from services.registration.handlers import handlers as registration
from shared import tracing
from shared.catalogue import BY_TYPE, EmployeeRecorded
from shared.database import Database
from shared.envelope import Record, as_record, encode
from shared.handlers import Rejected
from shared.ids import new_id
from shared.inbound import Inbound

DatabaseFor = Callable[[str], Awaitable[Database]]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.use(None)


def hr_record(database: Database, **changes: Any) -> Record:
    now = database.clock.now()
    event = EmployeeRecorded.model_validate(
        {
            "employeeId": "E1",
            "sequence": 1,
            "effectiveDate": date(2026, 1, 1),
            "status": "active",
            "jobLevel": 3,
            "department": "Sales",
            "managerId": None,
            "startDate": date(2020, 1, 1),
        }
        | changes
    )
    headers = encode(
        EmployeeRecorded,
        event_id=new_id(now),
        source="urn:hr",
        subject="E1",
        now=now,
        traceparent=CALLER,
    )
    return as_record(event, headers)


async def sent(database: Database) -> list[Record]:
    """What the relay would send, as far as the trace goes."""
    rows = await database.pool.fetch("SELECT * FROM outbox WHERE type IS NOT NULL ORDER BY seq")
    records = []
    for row in rows:
        event_type = BY_TYPE[row["type"]]
        headers = encode(
            event_type,
            event_id=row["id"],
            source=database.source,
            subject=row["aggregateid"],
            now=database.clock.now(),
            traceparent=row["traceparent"],
        )
        event = event_type.model_validate_json(row["payload"])
        records.append(as_record(event, headers))
    return records


async def test_an_hr_record_is_followed_into_every_service(
    database_for: DatabaseFor, spans: InMemorySpanExporter
) -> None:
    front = await database_for("registration")
    assert await Inbound(front, registration).apply([hr_record(front)]) == []
    records = await sent(front)
    assert records
    for service, handlers in (
        ("matching", matching),
        ("notifications", notifications),
        ("metrics", metrics),
    ):
        database = await database_for(service)
        wanted = [record for record in records if record.topic in handlers.topics]
        assert await Inbound(database, handlers).apply(wanted) == []

    found = spans.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in found if span.context} == {TRACE}
    services = {span.attributes["updraft.service"] for span in found if span.attributes}
    assert services == {
        "urn:updraft:registration",
        "urn:updraft:matching",
        "urn:updraft:notifications",
        "urn:updraft:metrics",
    }
    by_id = {span.context.span_id: span for span in found if span.context}
    for span in found:
        if span.name == "apply updraft.employee.updated.v1":
            assert span.parent is not None
            publication = by_id[span.parent.span_id]
            assert publication.name == "publish updraft.employee.updated.v1"
            assert publication.parent is not None
            assert by_id[publication.parent.span_id].name == f"apply {EmployeeRecorded.TYPE}"


async def test_what_was_rolled_back_leaves_no_span(
    database_for: DatabaseFor, spans: InMemorySpanExporter
) -> None:
    database = await database_for("registration")

    async def fail() -> None:
        async with database.transaction() as tx:
            tx.span("GET /x", "SERVER", CALLER)
            raise Rejected("x: y; z")

    with pytest.raises(Rejected):
        await fail()
    assert spans.get_finished_spans() == ()


async def test_without_a_tracer_the_trace_is_handed_on_all_the_same(
    database_for: DatabaseFor,
) -> None:
    database = await database_for("registration")
    await Inbound(database, registration).apply([hr_record(database)])

    traces = await database.pool.fetch(
        "SELECT DISTINCT split_part(traceparent, '-', 2) FROM outbox"
    )
    assert [row[0] for row in traces] == [TRACE]


@pytest.mark.parametrize("parent", [None, "", "nonsense", "00-zz-zz-01", CALLER[:-1]])
def test_a_broken_parent_starts_a_new_trace(parent: str | None) -> None:
    header = tracing.traceparent(None, parent)
    assert tracing.readable(header)
    assert TRACE not in header
