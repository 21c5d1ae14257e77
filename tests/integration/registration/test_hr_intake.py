"""What becomes of HR's records, on a real database."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.registration.directory_jobs import apply_due_changes
from services.registration.handlers import handlers
from services.registration.store import directory
from shared.catalogue import (
    ContactUpdated,
    EmployeeErased,
    EmployeeRecorded,
    EmployeeUpdated,
    Event,
)
from shared.database import Database
from shared.testing import deliver, deliver_records, published, record_of, tombstone_of, tombstones

TODAY = date(2026, 1, 5)


def full(employee_id: str = "e1", sequence: int = 1, **changes: Any) -> EmployeeRecorded:
    values: dict[str, Any] = {
        "employee_id": employee_id,
        "sequence": sequence,
        "effective_date": TODAY,
        "status": "active",
        "job_level": 3,
        "department": "IT",
        "manager_id": None,
        "start_date": date(2020, 2, 1),
    }
    return EmployeeRecorded.model_validate(values | changes)


def patch(employee_id: str = "e1", sequence: int = 2, **changes: Any) -> EmployeeRecorded:
    values = {"employee_id": employee_id, "sequence": sequence, "effective_date": TODAY}
    return EmployeeRecorded.model_validate(values | {"record_type": "patch"} | changes)


def cancel(sequence: int, cancels: int, employee_id: str = "e1") -> EmployeeRecorded:
    return EmployeeRecorded(
        record_type="cancel",
        employee_id=employee_id,
        sequence=sequence,
        effective_date=TODAY,
        cancels_sequence=cancels,
    )


async def told(db: Database, kind: type[Event] = EmployeeUpdated) -> list[Any]:
    return [event for event in await published(db) if isinstance(event, kind)]


async def day_comes(db: Database, day: date) -> None:
    db.clock.set(datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=1))  # type: ignore[attr-defined]
    await apply_due_changes(db)


async def employee(db: Database, employee_id: str = "e1") -> Any:
    async with db.transaction() as tx:
        return await directory.employee(tx.connection, employee_id)


@pytest.fixture
async def db(database_for: Any) -> Database:
    database: Database = await database_for("registration")
    return database


async def test_a_first_record_becomes_an_employee_and_a_contact(db: Database) -> None:
    parked = await deliver(
        handlers,
        db,
        full(
            name={"givenName": "Ada", "familyName": "Byron"},
            emails=[{"value": "home@example.org"}, {"value": "ada@example.org", "primary": True}],
            locale="en_GB",
            timezone="Europe/London",
            skills=["Python"],
        ),
    )

    assert parked == []
    clean, contact = (await told(db))[0], (await told(db, ContactUpdated))[0]
    assert (clean.version, clean.status, clean.skills) == (1, "active", ("Python",))
    assert clean.received_at == db.clock.now()
    assert clean.effective_from == datetime(2026, 1, 5, tzinfo=UTC)
    assert (contact.display_name, contact.email) == ("Ada Byron", "ada@example.org")
    assert (contact.locale, contact.timezone) == ("en-GB", "Europe/London")
    assert "Ada" not in clean.model_dump_json()


async def test_a_full_record_clears_what_it_does_not_name(db: Database) -> None:
    await deliver(handlers, db, full(title="Engineer", skills=["SQL"]), full(sequence=2))

    assert [(e.version, e.title, e.skills) for e in await told(db)] == [
        (1, "Engineer", ("SQL",)),
        (2, None, ()),
    ]


async def test_a_patch_keeps_what_is_absent_and_clears_what_is_null(db: Database) -> None:
    await deliver(
        handlers,
        db,
        full(title="Engineer", location="Paris", name={"givenName": "Ada"}),
        patch(title=None, name={"familyName": "Byron"}),
    )

    after = (await told(db))[-1]
    assert (after.title, after.location, after.job_level) == (None, "Paris", 3)
    assert (await told(db, ContactUpdated))[-1].display_name == "Ada Byron"


async def test_events_are_published_only_for_what_really_changed(db: Database) -> None:
    await deliver(handlers, db, full(), patch(cost_center="42"))
    await deliver(handlers, db, patch(sequence=3, emails=[{"value": "ada@example.org"}]))

    assert [e.version for e in await told(db)] == [1]
    assert [c.version for c in await told(db, ContactUpdated)] == [1, 2]


async def test_a_stale_sequence_is_parked_and_changes_nothing(db: Database) -> None:
    await deliver(handlers, db, full(sequence=5))

    [reason] = await deliver(handlers, db, full(sequence=4, job_level=9))

    assert reason == (
        "sequence: 4 is stale, 5 was accepted before;"
        " send the change with a higher sequence if it still holds"
    )
    assert (await employee(db)).job_level == 3


async def test_the_same_record_under_a_new_id_is_neither_applied_nor_parked(db: Database) -> None:
    assert await deliver(handlers, db, full(), full()) == []
    assert await deliver(handlers, db, full()) == []

    assert len(await told(db)) == 1


async def test_a_redelivered_event_changes_nothing(db: Database) -> None:
    record = record_of(full(), now=db.clock.now())

    for _ in range(3):
        assert await deliver_records(handlers, db, [record, record]) == []

    assert len(await published(db)) == 2


async def test_one_refused_record_leaves_its_neighbours_alone(db: Database) -> None:
    people = [full(f"p{number}") for number in range(20)]

    parked = await deliver(handlers, db, *people[:10], patch("nobody"), *people[10:])

    assert parked == ["employeeId: unknown, so there is nothing to patch; send a full record first"]
    assert len(await told(db)) == 20


async def test_a_future_record_takes_effect_on_its_day_by_itself(db: Database) -> None:
    await deliver(handlers, db, full(), full(sequence=2, job_level=4, effective_date="2026-02-01"))
    assert (await employee(db)).job_level == 3

    await day_comes(db, date(2026, 1, 31))
    assert (await employee(db)).job_level == 3
    await day_comes(db, date(2026, 2, 1))

    after = (await told(db))[-1]
    assert (after.version, after.job_level, after.received_at) == (2, 4, None)
    assert after.effective_from == datetime(2026, 2, 1, tzinfo=UTC)


async def test_a_person_hired_for_a_day_to_come_is_told_on_that_day(db: Database) -> None:
    await deliver(handlers, db, full(effective_date="2026-02-01", start_date="2026-02-01"))
    assert await told(db) == []
    assert await employee(db) is None

    await day_comes(db, date(2026, 2, 1))

    assert [e.version for e in await told(db)] == [1]


async def test_due_changes_take_effect_in_order_even_after_a_long_pause(db: Database) -> None:
    await deliver(
        handlers,
        db,
        full(),
        patch(sequence=2, effective_date="2026-03-01", title="Director"),
        patch(sequence=3, effective_date="2026-02-01", title="Manager"),
    )

    await day_comes(db, date(2026, 6, 1))

    assert [e.title for e in await told(db)] == [None, "Manager", "Director"]


async def test_a_record_waits_for_the_changes_that_are_due_before_it(db: Database) -> None:
    await deliver(handlers, db, full(), patch(effective_date="2026-02-01", title="Manager"))
    db.clock.set(datetime(2026, 2, 2, tzinfo=UTC))  # type: ignore[attr-defined]

    await deliver(handlers, db, patch(sequence=3, effective_date="2026-02-02", location="Rome"))

    assert [(e.title, e.location) for e in await told(db)] == [
        (None, None),
        ("Manager", None),
        ("Manager", "Rome"),
    ]


async def test_a_scheduled_change_can_be_cancelled_once(db: Database) -> None:
    await deliver(handlers, db, full(), patch(effective_date="2026-02-01", job_level=9))

    assert await deliver(handlers, db, cancel(3, cancels=2)) == []
    [reason] = await deliver(handlers, db, cancel(4, cancels=2))

    assert reason.startswith("cancelsSequence: no change with sequence 2 is scheduled;")
    await day_comes(db, date(2026, 2, 2))
    assert (await employee(db)).job_level == 3


async def test_a_newer_full_record_for_the_same_day_replaces_the_scheduled_one(
    db: Database,
) -> None:
    day = "2026-02-01"
    await deliver(
        handlers,
        db,
        full(),
        full(sequence=2, effective_date=day, job_level=9),
        full(sequence=3, effective_date=day, department="HR"),
    )

    await day_comes(db, date(2026, 2, 1))

    after = await employee(db)
    assert (after.job_level, after.department, after.version) == (3, "HR", 2)


async def test_an_older_announcement_does_not_undo_a_newer_fact(db: Database) -> None:
    await deliver(handlers, db, full(), full(sequence=2, effective_date="2026-02-01", job_level=4))
    await deliver(handlers, db, full(sequence=3, department="HR"))

    await day_comes(db, date(2026, 2, 1))

    after = await employee(db)
    assert (after.job_level, after.department) == (4, "HR")


async def test_a_person_leaves_after_the_last_day_without_another_record(db: Database) -> None:
    await deliver(handlers, db, full(termination_date="2026-01-31"))
    assert [(e.status, e.leaves_on) for e in await told(db)] == [("active", date(2026, 1, 31))]

    await day_comes(db, date(2026, 1, 31))
    assert (await employee(db)).status == "active"
    await day_comes(db, date(2026, 2, 1))
    await apply_due_changes(db)

    left = (await told(db))[-1]
    assert (left.status, left.leaves_on, left.version) == ("left", date(2026, 1, 31), 2)
    assert left.effective_from == datetime(2026, 2, 1, tzinfo=UTC)


async def test_a_cancelled_termination_keeps_the_person(db: Database) -> None:
    await deliver(handlers, db, full(termination_date="2026-01-31"))
    await deliver(handlers, db, patch(termination_date=None))

    await day_comes(db, date(2026, 2, 10))

    assert [(e.status, e.leaves_on) for e in await told(db)][-1] == ("active", None)


async def test_someone_who_left_can_be_hired_again(db: Database) -> None:
    await deliver(handlers, db, full(termination_date="2026-01-31"))
    await day_comes(db, date(2026, 2, 1))

    await deliver(handlers, db, patch(effective_date="2026-02-01", status="active"))

    assert [(e.status, e.leaves_on) for e in await told(db)] == [
        ("active", date(2026, 1, 31)),
        ("left", date(2026, 1, 31)),
        ("active", None),
    ]


async def test_leave_of_absence_begins_and_ends_by_its_dates(db: Database) -> None:
    await deliver(
        handlers,
        db,
        full(),
        patch(sequence=2, effective_date="2026-02-01", status="on_leave"),
        patch(sequence=3, effective_date="2026-03-01", status="active"),
    )

    await day_comes(db, date(2026, 2, 1))
    await day_comes(db, date(2026, 3, 1))

    assert [e.status for e in await told(db)] == ["active", "on_leave", "active"]


async def test_a_manager_may_come_before_the_managers_own_record(db: Database) -> None:
    assert await deliver(handlers, db, full("a", manager_id="b"), full("b")) == []
    assert (await employee(db, "a")).manager_id == "b"


@pytest.mark.parametrize("together", [True, False])
async def test_a_circle_of_managers_is_refused(db: Database, together: bool) -> None:
    records = [
        full("a", manager_id="b"),
        full("b", manager_id="c"),
        full("c", manager_id="a"),
        full("d", manager_id="c"),
    ]
    parked: list[str] = []
    for batch in [records] if together else [[record] for record in records]:
        parked += await deliver(handlers, db, *batch)

    assert parked == [
        "managerId: would close the circle c → a → b → c; send the manager's own change first"
    ]
    assert (await employee(db, "d")).manager_id == "c"
    assert await employee(db, "c") is None


async def test_two_people_who_swap_places_on_one_day_both_move(db: Database) -> None:
    await deliver(handlers, db, full("a", manager_id="b"), full("b", manager_id=None))
    await deliver(
        handlers,
        db,
        patch("b", effective_date="2026-02-01", manager_id="a", title="Deputy"),
        patch("a", effective_date="2026-02-01", manager_id=None, title="Head"),
    )

    await day_comes(db, date(2026, 2, 1))
    await apply_due_changes(db)

    a, b = await employee(db, "a"), await employee(db, "b")
    assert (a.manager_id, a.title, b.manager_id, b.title) == (None, "Head", "a", "Deputy")
    async with db.transaction() as tx:
        assert await directory.people_due(tx.connection, date(2026, 2, 1), limit=9) == []


async def test_a_due_change_that_would_close_a_circle_holds_only_its_manager_back(
    db: Database,
) -> None:
    await deliver(handlers, db, full("a", manager_id="b"), full("b"))
    await deliver(
        handlers, db, patch("b", effective_date="2026-02-01", manager_id="a", title="Deputy")
    )

    await day_comes(db, date(2026, 2, 1))
    async with db.transaction() as tx:
        person = (await directory.lock_people(tx.connection, ["b"]))["b"]
    assert person.employee is not None
    assert (person.employee.title, person.employee.manager_id) == ("Deputy", None)
    assert person.scheduled[0].held_because == "managerId: would close the circle b → a → b"

    await deliver(handlers, db, patch("a", manager_id=None))
    await apply_due_changes(db)
    assert (await employee(db, "b")).manager_id == "a"


async def test_erasure_removes_every_private_word(db: Database) -> None:
    await deliver(
        handlers,
        db,
        full(title="Chief", skills=["Go"], emails=[{"value": "ada@example.org"}]),
        patch(effective_date="2026-02-01", name={"givenName": "Ada"}),
    )

    assert await deliver(handlers, db, EmployeeErased(employee_id="e1", sequence=3)) == []

    gone = (await told(db))[-1]
    assert (gone.status, gone.erased, gone.title, gone.skills) == ("left", True, None, ())
    assert ("updraft.contacts", "e1") in await tombstones(db)
    for table in ("hr_records", "employees", "contacts", "scheduled_changes"):
        rows = await db.pool.fetch(f"SELECT t::text FROM {table} t")
        assert not any("ada" in row["t"].lower() for row in rows)


async def test_erasure_empties_what_was_parked_of_the_person(db: Database) -> None:
    await deliver(handlers, db, full(sequence=5), full("e2", sequence=5))
    await deliver(handlers, db, full(sequence=4), full("e2", sequence=4))

    await deliver(handlers, db, EmployeeErased(employee_id="e1", sequence=6))

    rows = await db.pool.fetch("SELECT key, payload IS NULL AS empty FROM parked ORDER BY key")
    assert [(row["key"], row["empty"]) for row in rows] == [(b"e1", True), (b"e2", False)]


async def test_erasure_empties_what_is_parked_in_its_own_batch_too(db: Database) -> None:
    await deliver(handlers, db, full(sequence=5))
    erasure = EmployeeErased(employee_id="e1", sequence=6)
    await deliver(handlers, db, full(sequence=4), erasure)

    assert await db.pool.fetchval("SELECT count(*) FROM parked WHERE payload IS NULL") == 1
    copies = await db.pool.fetch("SELECT payload FROM outbox WHERE type IS NULL")
    assert [row["payload"] for row in copies] == [None]


async def test_a_move_back_is_judged_by_the_moves_since_in_the_same_batch(db: Database) -> None:
    await deliver(handlers, db, full("top"), full("mid", manager_id="top"), full("b"))
    await deliver(handlers, db, full("a", manager_id="mid"))

    parked = await deliver(
        handlers,
        db,
        patch("a", 2, manager_id="b"),
        patch("top", 2, manager_id="a"),
        patch("a", 3, manager_id="mid"),
    )

    assert parked == [
        "managerId: would close the circle a → mid → top → a; send the manager's own change first"
    ]
    assert [(await employee(db, who)).manager_id for who in ("a", "top")] == ["b", "a"]


async def test_two_halves_of_a_circle_at_the_same_moment_never_both_hold(db: Database) -> None:
    for number in range(10):
        a, b = f"a{number}", f"b{number}"
        await deliver(handlers, db, full(a), full(b))
        moves = [patch(a, manager_id=b), patch(b, manager_id=a)]
        outcomes = await asyncio.gather(
            *(deliver(handlers, db, move) for move in moves), return_exceptions=True
        )
        parked = [outcome for outcome in outcomes if isinstance(outcome, list)]
        # Delivered again, as the consumer does with what could not be serialised.
        for move, outcome in zip(moves, outcomes, strict=True):
            if not isinstance(outcome, list):
                assert isinstance(outcome, asyncpg.SerializationError)
                parked.append(await deliver(handlers, db, move))
        assert sorted(len(reasons) for reasons in parked) == [0, 1]


async def test_records_and_the_job_at_the_same_moment_lose_nothing(db: Database) -> None:
    people = [f"p{number}" for number in range(40)]
    await deliver(handlers, db, *(full(who) for who in people))
    due = [patch(who, effective_date="2026-02-01", title="Director") for who in people]
    await deliver(handlers, db, *due)
    db.clock.set(datetime(2026, 2, 1, 1, tzinfo=UTC))  # type: ignore[attr-defined]

    await asyncio.gather(
        apply_due_changes(db),
        apply_due_changes(db),
        *(deliver(handlers, db, patch(who, 3, location="Rome")) for who in people),
    )

    for who in people:
        now = await employee(db, who)
        assert (now.title, now.location, now.version) == ("Director", "Rome", 3)
    versions = Counter((e.employee_id, e.version) for e in await told(db))
    assert set(versions.values()) == {1}
    assert len(versions) == 3 * len(people)


async def test_a_record_without_a_value_is_parked(db: Database) -> None:
    record = tombstone_of(EmployeeRecorded, "e1", now=db.clock.now())

    assert await deliver_records(handlers, db, [record]) == [
        "value: missing; send status left, or an employee-erased event to erase"
    ]


async def test_an_erased_person_returns_only_by_a_newer_full_record(db: Database) -> None:
    await deliver(handlers, db, full(), EmployeeErased(employee_id="e1", sequence=5))

    [unknown] = await deliver(handlers, db, patch(sequence=6, title="Ghost"))
    [stale] = await deliver(handlers, db, full(sequence=4))
    assert unknown.startswith("employeeId: this person was erased;")
    assert stale.startswith("sequence: 4 is stale")

    await deliver(handlers, db, full(sequence=7, name={"givenName": "Ada"}))
    assert [(e.version, e.status, e.erased) for e in await told(db)] == [
        (1, "active", False),
        (2, "left", True),
        (3, "active", False),
    ]
    assert [c.version for c in await told(db, ContactUpdated)] == [1, 2]


async def test_erasing_someone_unknown_keeps_older_records_out(db: Database) -> None:
    await deliver(handlers, db, EmployeeErased(employee_id="e1", sequence=5))

    [reason] = await deliver(handlers, db, full(sequence=4))

    assert reason.startswith("sequence: 4 is stale")
    assert await told(db) == []


async def test_levels_of_active_employees_are_counted_within_the_audience(db: Database) -> None:
    await deliver(
        handlers,
        db,
        full("a", job_level=1),
        full("b", job_level=1, department="HR"),
        full("c", job_level=7, status="on_leave"),
    )
    async with db.transaction() as tx:
        assert await directory.levels_of_active_employees(tx.connection) == {1: 2}
        only_hr = await directory.levels_of_active_employees(tx.connection, departments=["HR"])
        assert only_hr == {1: 1}
