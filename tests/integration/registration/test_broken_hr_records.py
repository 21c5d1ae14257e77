"""A thousand broken HR records of many kinds among a thousand good ones."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any, TypeAlias

import pytest

from services.registration.handlers import handlers
from shared.catalogue import EmployeeErased, EmployeeRecorded, EmployeeUpdated
from shared.database import Database
from shared.testing import deliver_raw, published

Raw: TypeAlias = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]

TOPIC = EmployeeRecorded.TOPIC
EACH = 1_000
EACH_EARLY = 600
BATCH = 250


def record(employee_id: str, **changes: Any) -> dict[str, Any]:
    values = {
        "employeeId": employee_id,
        "sequence": 10,
        "effectiveDate": "2026-01-05",
        "status": "active",
        "jobLevel": 3,
        "department": "IT",
        "startDate": "2020-02-01",
        "managerId": None,
        "name": {"givenName": "Ada", "familyName": employee_id},
        "emails": [{"value": f"{employee_id}@example.org", "primary": True}],
    }
    return values | changes


def without(name: str, employee_id: str) -> dict[str, Any]:
    return {key: value for key, value in record(employee_id).items() if key != name}


def headers(event_id: str, **changes: bytes) -> list[tuple[str, bytes]]:
    values = {
        "ce_specversion": b"1.0",
        "ce_id": event_id.encode(),
        "ce_source": b"urn:hr:test",
        "ce_type": EmployeeRecorded.TYPE.encode(),
    }
    return list((values | changes).items())


def raw(employee_id: str, value: Any, *, event_id: str = "", **changed_headers: bytes) -> Raw:
    body = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return employee_id.encode(), body, headers(event_id or f"id-{employee_id}", **changed_headers)


def stating(**changes: Any) -> Callable[[str], Raw]:
    return lambda who: raw(who, record(who, **changes))


def lacking(name: str) -> Callable[[str], Raw]:
    return lambda who: raw(who, without(name, who))


def bytes_of(value: bytes) -> Callable[[str], Raw]:
    return lambda who: raw(who, value)


def header(name: str, value: bytes) -> Callable[[str], Raw]:
    return lambda who: raw(who, record(who), **{name: value})


LONG = "x" * 1_000_000

# (how the reason must begin, how to break the record of a person of its own)
KINDS: list[tuple[str, Callable[[str], Raw]]] = [
    ("value", bytes_of(b"{not json")),
    ("value", bytes_of(b"")),
    ("value", bytes_of(b"\xff\xfe\x00garbage")),
    ("value", bytes_of(b"[1, 2]")),
    ("value", bytes_of(b"null")),
    ("value", bytes_of(b'{"employeeId": "\\ud800"}')),
    ("value", lambda who: raw(who, None)),
    ("jobLevel", stating(jobLevel=-1)),
    ("jobLevel", stating(jobLevel="3")),
    ("jobLevel", stating(jobLevel=3.5)),
    ("jobLevel", stating(jobLevel=10**30)),
    ("jobLevel", stating(jobLevel=None)),
    ("status", stating(status="sacked")),
    ("status", stating(status=1)),
    ("status", lacking("status")),
    ("department", lacking("department")),
    ("department", stating(department="")),
    ("department", stating(department=LONG)),
    ("startDate", lacking("startDate")),
    ("startDate", stating(startDate="2026-02-30")),
    ("startDate", stating(startDate=0)),
    ("terminationDate", stating(terminationDate="tomorrow")),
    ("managerId", lacking("managerId")),
    ("managerId", stating(managerId=["m"])),
    ("managerId", lambda who: raw(who, record(who, managerId=who))),
    ("managerId", stating(managerId="m" * 65)),
    ("dottedLineManagerIds", lambda who: raw(who, record(who, dottedLineManagerIds=[who]))),
    ("sequence", lacking("sequence")),
    ("sequence", stating(sequence=-1)),
    ("sequence", stating(sequence="10")),
    ("sequence", stating(sequence=2**63)),
    ("effectiveDate", lacking("effectiveDate")),
    ("effectiveDate", stating(effectiveDate="05/01/2026")),
    ("employeeId", lacking("employeeId")),
    ("employeeId", stating(employeeId=" ")),
    ("employeeId", stating(employeeId=LONG)),
    ("employeeId", stating(employeeId="someone-else")),
    ("employeeId", stating(recordType="patch")),
    ("recordType", stating(recordType="delta")),
    ("cancelsSequence", stating(recordType="cancel")),
    ("cancelsSequence", stating(recordType="cancel", cancelsSequence=3)),
    ("title", stating(title=LONG)),
    ("title", stating(title="null\x00byte")),
    ("name.givenName", stating(name={"givenName": "\x00"})),
    ("name", stating(name="Ada Byron")),
    ("emails", stating(emails="ada@example.org")),
    ("emails.0.value", stating(emails=[{"value": LONG + "@example.org"}])),
    ("emails.0.value", stating(emails=[{"value": "a\x00b@example.org"}])),
    ("timezone", stating(timezone="Mars/Olympus")),
    ("locale", stating(locale="english please")),
    ("skills.1", stating(skills=["SQL", {"name": "Go"}])),
    ("skills", stating(skills=["SQL"] * 201)),
    ("ce_source", header("ce_source", b"\xff\xfe")),
    ("ce_id", header("ce_id", b"\xc3\x28")),
    ("ce_type", header("ce_type", b"")),
    ("ce_specversion", header("ce_specversion", b"0.3")),
    ("ce_time", header("ce_time", b"yesterday")),
    ("sequence", lambda who: raw(who, {"employeeId": who}, ce_type=EmployeeErased.TYPE.encode())),
]


def of_their_own() -> Iterator[tuple[str, Raw]]:
    """Broken records of people whose every record is broken."""
    for number, (field, broken) in enumerate(cycle(KINDS)):
        yield field, broken(f"bad-{number}")


def after_good(number: int) -> tuple[str, Raw]:
    """A record that is broken only by what a good one before it said."""
    who = f"good-{number}"
    if number % 3 == 0:
        return "sequence", raw(who, record(who, sequence=9, jobLevel=9), event_id=f"stale-{who}")
    if number % 3 == 1:
        return "id", raw(who, record(who, sequence=11, jobLevel=9))
    # Good records of these people name the next one as manager.
    below, above = f"good-{number}", f"good-{number + 1}"
    circle = record(above, sequence=11, managerId=below, jobLevel=9)
    return "managerId", raw(above, circle, event_id=f"circle-{above}")


def good(number: int) -> Raw:
    who = f"good-{number}"
    manager = f"good-{number + 1}" if number % 3 == 2 else None
    return raw(who, record(who, managerId=manager))


@pytest.fixture
async def db(database_for: Any) -> Database:
    database: Database = await database_for("registration")
    return database


async def test_every_good_record_takes_effect_and_every_broken_one_is_parked_with_its_field(
    db: Database,
) -> None:
    goods = [good(number) for number in range(EACH)]
    late = [after_good(number) for number in range(240)]
    broken = [*islice(of_their_own(), EACH - len(late)), *late]
    mixed = goods[:EACH_EARLY] + [each for _, each in broken[: EACH - len(late)]]
    random.Random(7).shuffle(mixed)
    # What only an earlier record makes broken comes after it, among good ones still to come.
    tail = goods[EACH_EARLY:] + [each for _, each in late]
    random.Random(8).shuffle(tail)
    stream = mixed + tail

    reasons: list[str] = []
    for start in range(0, len(stream), BATCH):
        reasons += await deliver_raw(handlers, db, TOPIC, stream[start : start + BATCH])

    levels = {
        event.employee_id: (event.job_level, event.version)
        for event in await published(db)
        if isinstance(event, EmployeeUpdated)
    }
    assert levels == {f"good-{number}": (3, 1) for number in range(EACH)}
    assert len(reasons) == EACH
    wanted = Counter(field for field, _ in broken)
    assert Counter(reason.split(":")[0] for reason in reasons) == wanted
    # The reason is told beside the very record that it is about.
    fields = {(key, value): field for field, (key, value, _) in broken}
    parked = await db.pool.fetch("SELECT key, payload, reason FROM parked")
    assert len(parked) == EACH
    for row in parked:
        assert row["reason"].startswith(fields[row["key"], row["payload"]] + ":"), row["reason"]
        assert len(row["reason"]) < 1_000


async def test_the_same_stream_again_changes_nothing(db: Database) -> None:
    stream = [good(number) for number in range(30)]
    stream += [broken for _, broken in islice(of_their_own(), 60)]

    first = await deliver_raw(handlers, db, TOPIC, stream)
    before = await db.pool.fetchval("SELECT count(*) FROM outbox")
    await deliver_raw(handlers, db, TOPIC, list(reversed(stream)))

    assert len(first) == 60
    assert await db.pool.fetchval("SELECT count(*) FROM outbox") == before
    assert await db.pool.fetchval("SELECT count(*) FROM parked") == 60


async def test_a_record_under_an_unknown_type_is_parked_with_the_types_to_send(
    db: Database,
) -> None:
    unknown = raw("e1", record("e1"), ce_type=b"hr.payroll.run.v9")
    [reason] = await deliver_raw(handlers, db, TOPIC, [unknown, good(0)])
    assert reason.startswith("ce_type: not known on this topic; send one of updraft.hr.")
    assert await db.pool.fetchval("SELECT count(*) FROM employees") == 1
