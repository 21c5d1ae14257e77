"""Records in, once: inbox, parking and bisection on a real database, without a broker."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from uuid import uuid4

import asyncpg
import pytest

from shared.catalogue import ContactUpdated, EmployeeUpdated, Event
from shared.database import Database, OutboxRow, Transaction, forget_what_was_done
from shared.envelope import json_value
from shared.handlers import Handlers, Rejected
from shared.inbound import Inbound
from shared.testing import deliver, deliver_raw, deliver_records, record_of, tombstone_of

DatabaseFor = Callable[[str], Awaitable[Database]]
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def employee(employee_id: str, version: int = 1) -> EmployeeUpdated:
    return EmployeeUpdated(
        employee_id=employee_id,
        version=version,
        status="active",
        job_level=3,
        department="Sales",
        start_date=date(2020, 1, 1),
        effective_from=NOW,
    )


@pytest.fixture
async def database(database_for: DatabaseFor) -> Database:
    database = await database_for("backbone")
    await database.pool.execute("CREATE TABLE seen (employee_id text, version int)")
    return database


def handlers_that_store() -> Handlers:
    handlers = Handlers()

    @handlers.batch(EmployeeUpdated)
    async def store(events: Sequence[EmployeeUpdated], tx: Transaction) -> None:
        for event in events:
            if event.employee_id.startswith("rejected"):
                raise Rejected("employee_id: not wanted here; send another")
            if event.employee_id.startswith("bug"):
                raise KeyError(event.employee_id)
            await tx.connection.execute(
                "INSERT INTO seen VALUES ($1, $2)", event.employee_id, event.version
            )
            tx.publish(event)

    return handlers


async def seen(database: Database) -> list[str]:
    rows = await database.pool.fetch("SELECT employee_id FROM seen ORDER BY ctid")
    return [row["employee_id"] for row in rows]


async def test_an_event_delivered_three_times_takes_effect_once(database: Database) -> None:
    handlers = handlers_that_store()
    record = record_of(employee("a"), now=NOW)
    await deliver_records(handlers, database, [record, record])
    await deliver_records(handlers, database, [record])
    assert await seen(database) == ["a"]
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 1
    assert await database.pool.fetchval("SELECT count(*) FROM parked") == 0


async def test_one_id_with_another_content_is_parked(database: Database) -> None:
    handlers = handlers_that_store()
    event_id = uuid4()
    first = record_of(employee("a"), now=NOW, event_id=event_id)
    other = record_of(employee("b"), now=NOW, event_id=event_id)
    assert await deliver_records(handlers, database, [first]) == []
    [reason] = await deliver_records(handlers, database, [other])
    assert reason.startswith("id: used before")
    assert await seen(database) == ["a"]


async def test_a_rejected_event_is_parked_alone_and_leaves_no_trace_in_the_outbox(
    database: Database,
) -> None:
    names = [f"good-{n}" for n in range(20)]
    names[7] = "rejected-7"
    names[13] = "rejected-13"
    reasons = await deliver(handlers_that_store(), database, *[employee(n) for n in names])
    assert reasons == ["employee_id: not wanted here; send another"] * 2
    assert await seen(database) == [n for n in names if n.startswith("good")]
    published = await database.pool.fetch(
        "SELECT aggregateid FROM outbox WHERE aggregatetype = 'updraft.employees' ORDER BY seq"
    )
    assert [row["aggregateid"] for row in published] == [n for n in names if n.startswith("good")]
    dead = await database.pool.fetch(
        "SELECT aggregateid, headers FROM outbox"
        " WHERE aggregatetype = 'updraft.employees.backbone.dlq'"
    )
    assert {row["aggregateid"] for row in dead} == {"rejected-7", "rejected-13"}
    assert all("updraft-reason" in row["headers"] for row in dead)


async def test_an_unexpected_failure_keeps_nothing_of_the_batch_until_parking_is_asked_for(
    database: Database,
) -> None:
    inbound = Inbound(database, handlers_that_store())
    records = [record_of(employee(n), now=NOW) for n in ("a", "bug", "b")]
    with pytest.raises(KeyError):
        await inbound.apply(records)
    assert await seen(database) == []
    assert await database.pool.fetchval("SELECT count(*) FROM inbox") == 0
    [reason] = await inbound.apply(records, park_failures=True)
    assert "KeyError" in reason
    assert "bug" not in reason
    assert await seen(database) == ["a", "b"]


async def test_a_record_of_an_unknown_type_is_passed_over(database: Database) -> None:
    headers = [
        ("ce_id", b"1"),
        ("ce_source", b"urn:x"),
        ("ce_specversion", b"1.0"),
        ("ce_type", b"updraft.employee.updated.v9"),
    ]
    reasons = await deliver_raw(
        handlers_that_store(), database, "updraft.employees", [(b"a", b"{}", headers)]
    )
    assert reasons == []
    assert await database.pool.fetchval("SELECT count(*) FROM parked") == 0


@pytest.mark.parametrize(
    ("value", "headers", "field"),
    [
        (b"{}", {}, "ce_id"),
        (b"{}", {"ce_specversion": b"0.3"}, "ce_specversion"),
        (b"not json", None, "value"),
        (b"\xff\xfe", None, "value"),
        (b'{"employee_id": "a\\u0000b"}', None, "employee_id"),
        (b"[1]", None, "value"),
        (b"{}", {"ce_source": b"\xff\xff"}, "ce_source"),
        (b"{}", {"ce_time": b"yesterday"}, "ce_time"),
        (b"{}", {"ce_time": b"1700000000"}, "ce_time"),
        (b"{}", {"ce_time": b"0001-01-01T00:00:00+14:00"}, "ce_time"),
        (
            json_value(employee("a")).replace(
                b"2026-01-05T09:00:00Z", b"0001-01-01T00:00:00+14:00"
            ),
            None,
            "effective_from",
        ),
        (b"{}", {"ce_time": b"2026-01-05T09:00:00"}, "ce_time"),
    ],
)
async def test_an_unreadable_record_is_parked_with_the_field_at_fault(
    database: Database, value: bytes, headers: dict[str, bytes] | None, field: str
) -> None:
    whole = {
        "ce_id": b"1",
        "ce_source": b"urn:x",
        "ce_specversion": b"1.0",
        "ce_type": EmployeeUpdated.TYPE.encode(),
    }
    pairs = {} if headers == {} else whole | (headers or {})
    good = record_of(employee("good"), now=NOW)
    [reason] = await deliver_raw(
        handlers_that_store(),
        database,
        "updraft.employees",
        [(b"a", value, list(pairs.items())), (good.key, good.value, good.headers)],
    )
    assert field in reason
    assert await seen(database) == ["good"]
    row = await database.pool.fetchrow("SELECT payload, reason FROM parked")
    assert row is not None
    assert row["payload"] == value


@pytest.mark.parametrize("name", ["ce_correlationid", "traceparent", "ce_subject"])
@pytest.mark.parametrize("value", [b"\x00", b"a" * 100_000, b"00-zz-zz-01"])
async def test_an_unusable_attribute_that_we_would_hand_on_does_not_cost_the_record(
    database: Database, name: str, value: bytes
) -> None:
    record = record_of(employee("a"), now=NOW)
    headers = [(key, kept) for key, kept in record.headers if key != name] + [(name, value)]
    reasons = await deliver_raw(
        handlers_that_store(), database, "updraft.employees", [(record.key, record.value, headers)]
    )
    assert reasons == []
    assert await seen(database) == ["a"]
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_an_event_that_cannot_be_written_is_found_by_halving(database: Database) -> None:
    handlers = Handlers()

    @handlers.each(EmployeeUpdated)
    async def tell(event: EmployeeUpdated, tx: Transaction) -> None:
        key = "a\x00b" if event.employee_id == "bad" else event.employee_id
        tx.append(OutboxRow(uuid4(), "updraft.employees", key, {}, b"{}"))

    inbound = Inbound(database, handlers)
    records = [record_of(employee(n), now=NOW) for n in ("a", "bad", "b")]
    reasons = await inbound.apply(records, park_failures=True)
    assert len(reasons) == 1
    keys = await database.pool.fetch(
        "SELECT aggregateid FROM outbox WHERE aggregatetype NOT LIKE '%.dlq' ORDER BY seq"
    )
    assert [row["aggregateid"] for row in keys] == ["a", "b"]


async def test_a_structured_cloud_event_is_read_like_a_binary_one(database: Database) -> None:
    body = {
        "specversion": "1.0",
        "id": "1",
        "source": "urn:x",
        "type": EmployeeUpdated.TYPE,
        "data": json.loads(employee("a").model_dump_json()),
    }
    content_type = [("content-type", b"application/cloudevents+json; charset=utf-8")]
    reasons = await deliver_raw(
        handlers_that_store(),
        database,
        "updraft.employees",
        [(b"a", json.dumps(body).encode(), content_type)],
    )
    assert reasons == []
    assert await seen(database) == ["a"]


async def test_a_tombstone_reaches_its_handler_with_the_key(database: Database) -> None:
    handlers = Handlers()
    forgotten: list[str] = []

    @handlers.each(ContactUpdated)
    async def remember(event: Event, tx: Transaction) -> None:
        pass

    @handlers.tombstones("updraft.contacts")
    async def forget(keys: Sequence[str], tx: Transaction) -> None:
        forgotten.extend(keys)

    await deliver_records(handlers, database, [tombstone_of(ContactUpdated, "a", now=NOW)])
    assert forgotten == ["a"]


async def test_the_inbox_forgets_only_what_is_older_than_asked(database: Database) -> None:
    handlers = handlers_that_store()
    await deliver(handlers, database, employee("old"))
    await database.pool.execute("UPDATE inbox SET received_at = now() - interval '101 days'")
    record = record_of(employee("new"), now=NOW)
    await deliver_records(handlers, database, [record])
    await forget_what_was_done(database, inbox_days=100, idempotency_days=7)
    assert await database.pool.fetchval("SELECT count(*) FROM inbox") == 1
    await deliver_records(handlers, database, [record])
    assert await seen(database) == ["old", "new"]


async def test_events_leave_only_with_the_commit(database: Database) -> None:
    async def publish_and_fail() -> None:
        async with database.transaction() as tx:
            tx.publish(employee("a"))
            await tx.connection.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(asyncpg.UndefinedTableError):
        await publish_and_fail()
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 0
