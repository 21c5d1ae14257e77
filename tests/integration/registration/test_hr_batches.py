"""However HR's records are cut into batches, the same becomes of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.registration.directory_jobs import apply_due_changes
from services.registration.domain.participation import Participant
from services.registration.handlers import handlers
from services.registration.store import participants
from shared.catalogue import EmployeeErased, EmployeeRecorded
from shared.database import Database
from shared.testing import deliver_records, record_of
from tests.conftest import EMPTY, DatabaseFor

TODAY = date(2026, 1, 5)
NOW = datetime.combine(TODAY, time(9), UTC)
PROGRAMME = UUID(int=1)
PEOPLE = ("e1", "e2", "e3")
TABLES = {
    "hr_records": "employee_id",
    "employees": "employee_id",
    "contacts": "employee_id",
    "scheduled_changes": "employee_id, sequence",
    "participants": "participant_id",
}

people = st.sampled_from(PEOPLE)
days = st.sampled_from([TODAY - timedelta(days=9), TODAY, TODAY, TODAY + timedelta(days=9)])
changes = st.fixed_dictionaries(
    {},
    optional={
        "department": st.sampled_from(["IT", "Sales"]),
        "manager_id": st.sampled_from([None, *PEOPLE, "unknown"]),
        "status": st.sampled_from(["active", "left"]),
        "termination_date": st.sampled_from([None, TODAY - timedelta(days=1), TODAY]),
        "display_name": st.sampled_from(["Ada", "Grace"]),
        "skills": st.sampled_from([[], ["Python"], ['a "b", \\c', "{d}", "NULL"]]),
    },
)


@st.composite
def words_of_hr(draw: st.DrawFn, position: int) -> EmployeeRecorded | EmployeeErased:
    stale = draw(st.sampled_from([0, 0, 0, 0, 3]))
    values: dict[str, Any] = {"employee_id": draw(people), "sequence": max(0, position - stale)}
    kind = draw(st.sampled_from(["full", "full", "full", "patch", "patch", "cancel", "erased"]))
    if kind == "erased":
        return EmployeeErased.model_validate(values)
    values |= {"record_type": kind, "effective_date": draw(days)}
    if kind == "cancel":
        earlier = draw(st.integers(0, position))
        return EmployeeRecorded.model_validate(values | {"cancels_sequence": earlier})
    named = draw(changes)
    if named.get("manager_id") == values["employee_id"]:
        named["manager_id"] = None
    if kind == "full":
        values |= {"status": "active", "job_level": 3, "department": "IT", "manager_id": None}
        values["start_date"] = date(2020, 2, 1)
    return EmployeeRecorded.model_validate(values | named)


@st.composite
def streams(draw: st.DrawFn) -> list[EmployeeRecorded | EmployeeErased]:
    return [draw(words_of_hr(position)) for position in range(draw(st.integers(8, 24)))]


@dataclass(frozen=True)
class Outcome:
    """What a stream of records led to."""

    tables: dict[str, list[tuple[Any, ...]]]
    events: dict[tuple[str, str], list[tuple[Any, ...]]]
    """By topic and key: type, payload and causing record of each, in order."""
    parked: list[tuple[Any, ...]]


async def everybody_takes_part(db: Database) -> None:
    await db.pool.execute(
        "INSERT INTO programmes VALUES ($1, 1, 'open', '2027-01-01', '{}', now())", PROGRAMME
    )
    async with db.transaction() as tx:
        await participants.save(
            tx.connection,
            [
                Participant(UUID(int=number), PROGRAMME, who, "mentor", "enrolled", 1, NOW)
                for number, who in enumerate(PEOPLE)
            ],
        )


async def outcome(db: Database, batches: list[list[Any]]) -> Outcome:
    """Apply batches to an empty database, then let the announced days come."""
    await db.pool.execute(EMPTY.format(service="registration"))
    db.clock.set(NOW)  # type: ignore[attr-defined]
    await everybody_takes_part(db)
    for batch in batches:
        await deliver_records(handlers, db, batch)
    db.clock.set(NOW + timedelta(days=30))  # type: ignore[attr-defined]
    await apply_due_changes(db)
    tables = {
        name: [tuple(row) for row in await db.pool.fetch(f"SELECT * FROM {name} ORDER BY {key}")]
        for name, key in TABLES.items()
    }
    events = defaultdict(list)
    for row in await db.pool.fetch(
        "SELECT aggregatetype, aggregateid, type, payload, causationid"
        " FROM outbox WHERE aggregatetype NOT LIKE '%.dlq' ORDER BY seq"
    ):
        events[row["aggregatetype"], row["aggregateid"]].append(tuple(row)[2:])
    parked = await db.pool.fetch("SELECT event_id, kind, reason FROM parked ORDER BY event_id")
    return Outcome(tables, dict(events), [tuple(row) for row in parked])


@given(words=streams(), cuts=st.sets(st.integers(1, 23)))
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
async def test_batches_cut_anywhere_lead_to_the_same_tables_and_events(
    database_for: DatabaseFor, words: list[Any], cuts: set[int]
) -> None:
    db = await database_for("registration")
    records = [
        record_of(word, now=NOW, event_id=UUID(int=number)) for number, word in enumerate(words)
    ]
    edges = [0, *sorted(cuts), len(records)]
    pieces = [records[start:end] for start, end in pairwise(edges) if records[start:end]]

    whole = await outcome(db, [records])

    assert await outcome(db, pieces) == whole
    assert await outcome(db, [[record] for record in records]) == whole
