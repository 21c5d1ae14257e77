"""Broken HR records among good ones, through Kafka, on a company that is at work."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from shared.catalogue import EmployeeErased
from tests.e2e.company import Company, KafkaRecord, Person, hr_record, wait_until
from tests.e2e.conftest import side_by_side

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.asyncio(loop_scope="session")]

GOOD = 60
LONG = "x" * 900_000


def said(**changes: Any) -> Callable[[Person], KafkaRecord]:
    return lambda who: hr_record(who.employee_id, who.record(**changes))


def lacking(name: str) -> Callable[[Person], KafkaRecord]:
    return lambda who: hr_record(
        who.employee_id, {k: v for k, v in who.record().items() if k != name}
    )


def exactly(value: bytes | None) -> Callable[[Person], KafkaRecord]:
    return lambda who: hr_record(who.employee_id, value)


def header(name: str, value: bytes) -> Callable[[Person], KafkaRecord]:
    return lambda who: hr_record(who.employee_id, who.record(), **{name: value})


# (the field that the reason must name, how the record of a person of its own is broken)
BROKEN: list[tuple[str, Callable[[Person], KafkaRecord]]] = [
    ("value", exactly(b"{not json")),
    ("value", exactly(b"")),
    ("value", exactly(b"\xff\xfe\x00")),
    ("value", exactly(b"[]")),
    ("value", exactly(b"null")),
    ("value", exactly(b'"text"')),
    ("value", exactly(None)),
    ("jobLevel", said(jobLevel=-1)),
    ("jobLevel", said(jobLevel="4")),
    ("jobLevel", said(jobLevel=4.5)),
    ("jobLevel", said(jobLevel=10**40)),
    ("jobLevel", lacking("jobLevel")),
    ("status", said(status="sacked")),
    ("status", said(status=None)),
    ("status", lacking("status")),
    ("department", said(department=LONG)),
    ("department", said(department="nul\x00l")),
    ("department", said(department=7)),
    ("department", lacking("department")),
    ("managerId", said(managerId={"id": "x"})),
    ("managerId", said(managerId="m" * 65)),
    ("managerId", lacking("managerId")),
    ("managerId", lambda who: hr_record(who.employee_id, who.record(managerId=who.employee_id))),
    ("startDate", said(startDate="2027-02-30")),
    ("startDate", said(startDate=1_700_000_000)),
    ("startDate", lacking("startDate")),
    ("effectiveDate", said(effectiveDate="01/03/2027")),
    ("effectiveDate", lacking("effectiveDate")),
    ("sequence", said(sequence=-1)),
    ("sequence", said(sequence="1")),
    ("sequence", said(sequence=2**63)),
    ("sequence", lacking("sequence")),
    ("employeeId", said(employeeId="somebody-else")),
    ("employeeId", said(employeeId="  ")),
    ("employeeId", said(employeeId=LONG)),
    ("employeeId", said(recordType="patch")),
    ("recordType", said(recordType="delta")),
    ("cancelsSequence", said(recordType="cancel")),
    ("emails", said(emails="ada@example.org")),
    ("emails.0.value", said(emails=[{"value": "nobody"}])),
    ("emails.0.value", said(emails=[{"value": f"{LONG}@example.org"}])),
    ("name", said(name="Ada Byron")),
    ("name.givenName", said(name={"givenName": "\x00"})),
    ("title", said(title=LONG)),
    ("skills.0", said(skills=[["sql"]])),
    ("timezone", said(timezone="Moon/Crater")),
    ("locale", said(locale="not a locale")),
    ("terminationDate", said(terminationDate="soon")),
    ("ce_source", header("ce_source", b"\xff\xfe")),
    ("ce_id", header("ce_id", b"\xc3\x28")),
    ("ce_type", header("ce_type", b"")),
    ("ce_specversion", header("ce_specversion", b"2.0")),
    ("ce_time", header("ce_time", b"yesterday")),
    (
        "sequence",
        lambda who: hr_record(
            who.employee_id, {"employeeId": who.employee_id}, ce_type=EmployeeErased.TYPE.encode()
        ),
    ),
]


def person(name: str) -> Person:
    return Person(name, 3, "Fin books", None)


def spoiling(number: int) -> tuple[str, KafkaRecord]:
    """A record that is broken only by what the good ones before it said."""
    who = good_person(number)
    if number % 3 == 0:
        return "sequence", hr_record(who.employee_id, who.record(sequence=9, jobLevel=9))
    if number % 3 == 1:
        other = who.record(sequence=11, jobLevel=9)
        return "id", hr_record(who.employee_id, other, event_id=f"once-{who.employee_id}")
    above = good_person(number - 1)
    circle = above.record(sequence=11, managerId=who.employee_id, jobLevel=9)
    return "managerId", hr_record(above.employee_id, circle)


def good_person(number: int) -> Person:
    manager = f"Fin-good{number - 1}" if number % 3 == 2 else None
    return Person(f"Fin-good{number}", 3, "Fin books", manager)


def good_record(number: int) -> KafkaRecord:
    who = good_person(number)
    return hr_record(who.employee_id, who.record(sequence=10), event_id=f"once-{who.employee_id}")


@side_by_side
async def test_every_good_record_takes_effect_and_every_broken_one_is_parked_with_its_field(
    company: Company,
) -> None:
    restarts = company.stack.restarts
    expected: list[tuple[str, str]] = []
    stream = [good_record(number) for number in range(GOOD)]
    for number, (field, broken) in enumerate(BROKEN):
        who = person(f"Fin-bad{number}")
        expected.append((who.employee_id, field))
        stream.append(broken(who))
    random.Random(4).shuffle(stream)
    await company.publish(stream)
    for number in range(GOOD):
        await company.employee(good_person(number).employee_id)
    late = [spoiling(number) for number in range(12)]
    expected += [((record.key or b"").decode(), field) for field, record in late]
    await company.publish(record for _, record in late)

    async def all_parked() -> dict[tuple[str, str], int]:
        listed = await company.ask("GET", "/hr/parked-records?limit=5000", token=company.hr)
        seen: dict[tuple[str, str], int] = {}
        for one in listed:
            if str(one["key"]).startswith("Fin-"):
                place = (one["key"], one["reason"].partition(":")[0])
                seen[place] = seen.get(place, 0) + 1
                assert len(one["reason"]) < 1_000
                assert "xxxx" not in one["reason"]
        return seen if sum(seen.values()) >= len(expected) else {}

    parked = await wait_until(all_parked, f"{len(expected)} parked records")
    assert parked == dict.fromkeys(expected, 1)

    for number in range(GOOD):
        known = await company.employee(good_person(number).employee_id)
        assert (known["job_level"], known["version"]) == (3, 1)
    # The way is free for whoever comes next, also behind a broken record of the same key.
    healed = person("Fin-bad0")
    await company.hire([healed, person("Fin-next")])
    assert company.stack.restarts == restarts
