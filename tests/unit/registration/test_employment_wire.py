"""HR's wire format: what is accepted, how each error reads, and what absence means."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from email_validator import EmailNotValidError, validate_email
from pydantic import ValidationError

from services.registration.domain.directory import Person, recorded
from services.registration.handlers.hr import hr_record
from shared.catalogue import ContactUpdated, EmployeeRecorded, EmployeeUpdated
from shared.catalogue.hr import HrEmail
from shared.envelope import describe, json_value

FULL: dict[str, Any] = {
    "employeeId": "e1",
    "sequence": 1,
    "effectiveDate": "2026-01-05",
    "status": "active",
    "jobLevel": 3,
    "department": "IT",
    "startDate": "2020-02-01",
    "managerId": None,
}


def read(**changes: Any) -> EmployeeRecorded:
    return EmployeeRecorded.model_validate_json(json.dumps(FULL | changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "sacked"}, "status: Input should be 'pending', 'active', 'on_leave' or 'left'"),
        ({"jobLevel": -1}, "jobLevel: Input should be greater than or equal to 0"),
        ({"jobLevel": "3"}, "jobLevel: Input should be a valid integer"),
        ({"jobLevel": None}, "jobLevel: missing; a full record must carry it"),
        ({"sequence": True}, "sequence: Input should be a valid integer"),
        ({"startDate": 0}, "startDate: is not a calendar day; send one such as 2026-03-01"),
        ({"startDate": "1"}, "startDate: is not a calendar day; send one such as 2026-03-01"),
        ({"title": "x" * 1_000_000}, "title: String should have at most 300 characters"),
        ({"title": "a\x00b"}, "title: must not contain control characters; remove them"),
        ({"managerId": "e1"}, "managerId: a person cannot be their own manager; send the manager"),
        ({"timezone": "Mars"}, "timezone: is not an IANA time zone; send a name such as"),
        ({"emails": [{"value": "ada"}]}, "emails.0.value: is not an e-mail address; send one"),
        ({"name": "Ada"}, "name: Input should be an object"),
        ({"recordType": "delta"}, "recordType: Input should be 'full', 'patch' or 'cancel'"),
        ({"recordType": "cancel"}, "cancelsSequence: missing; name the sequence of the change"),
        ({"recordType": "patch", "status": None}, "status: must not be null; it can be changed"),
    ],
)
def test_an_error_names_the_field_as_hr_wrote_it(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        read(**changes)

    assert describe(refusal.value).startswith(reason)


def test_every_missing_field_is_named_at_once() -> None:
    with pytest.raises(ValidationError) as refusal:
        EmployeeRecorded.model_validate_json(
            '{"employeeId": "e1", "effectiveDate": "2026-01-05", "sequence": 1}'
        )

    for name in ("status", "jobLevel", "department", "startDate"):
        assert f"{name}: missing; a full record must carry it" in describe(refusal.value)


def test_unknown_fields_are_tolerated() -> None:
    assert read(favouriteColour="blue", name={"middleName": "K"}).employee_id == "e1"


def test_a_full_record_states_every_fact() -> None:
    changes = hr_record(read()).changes

    assert (changes["title"], changes["skills"], changes["email"]) == (None, (), None)


def test_a_patch_states_only_what_is_present_also_after_a_journey() -> None:
    sent = {"recordType": "patch", "employeeId": "e1", "sequence": 2, "title": None}
    sent |= {"effectiveDate": "2026-01-05", "name": {"familyName": "Byron"}}
    event = EmployeeRecorded.model_validate_json(json.dumps(sent))

    assert hr_record(event).changes == {"title": None, "family_name": "Byron"}
    assert json.loads(json_value(event)) == sent


def test_no_known_end_is_no_end() -> None:
    assert hr_record(read(terminationDate="9999-12-31")).changes["termination_date"] is None


@pytest.mark.parametrize(
    ("emails", "chosen"),
    [
        ([], None),
        ([{"value": "a@example.org"}, {"value": "b@example.org"}], "a@example.org"),
        ([{"value": "a@example.org"}, {"value": "b@example.org", "type": "work"}], "b@example.org"),
        (
            [
                {"value": "a@example.org", "type": "work"},
                {"value": "b@example.org", "primary": True},
            ],
            "b@example.org",
        ),
    ],
)
def test_the_main_address_is_the_primary_one_else_the_one_for_work(
    emails: list[dict[str, Any]], chosen: str | None
) -> None:
    assert hr_record(read(emails=emails)).changes["email"] == chosen


@pytest.mark.parametrize(
    "local", ["ada", "Ada.Lovelace+hr", "Postmaster", "INFO", "a..b", ".a", "a.", "", "ä", 'a"b']
)
@pytest.mark.parametrize(
    "domain",
    [
        "example.com",
        "EXAMPLE.com",
        "corp.local",
        "bücher.ch",
        "xn--bcher-kva.ch",
        "xn--a",
        "a.b-.c",
        "x" * 70 + ".com",
        "localhost",
        "example.com>",
        "",
    ],
)
def test_an_address_is_judged_as_the_library_judges_it(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    try:
        expected = validate_email(
            address, check_deliverability=False, globally_deliverable=False
        ).normalized
    except EmailNotValidError:
        with pytest.raises(ValidationError, match="is not an e-mail address"):
            HrEmail(value=address)
    else:
        assert HrEmail(value=address).value == expected


def test_what_is_published_without_being_validated_again_is_valid() -> None:
    names = {"givenName": "x" * 299, "familyName": "cut at the space before it"}
    said = hr_record(read(name=names, emails=[{"value": "e1@Example.org"}], skills=["SQL"]))
    person = recorded(Person("e1"), said, today=date(2026, 1, 5), managers={})
    assert person.employee
    assert person.contact
    employee = EmployeeUpdated.trusted({**person.employee._asdict(), "received_at": None})
    contact = ContactUpdated.trusted(person.contact._asdict())

    assert EmployeeUpdated.model_validate_json(json_value(employee)) == employee
    assert ContactUpdated.model_validate_json(json_value(contact)) == contact
