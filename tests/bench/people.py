"""HR records as a platform sends them: whole records of new people, changes of known ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from deploy.local.hr import HrRecord, hr_record

_SOURCE = "urn:hr:bench"
_DEPARTMENTS = ("Platform", "Payments", "Research", "Sales North", "Sales South", "Legal", "People")
_PLACES = (
    ("Paris", "FR", "Europe/Paris"),
    ("Leeds", "GB", "Europe/London"),
    ("Pune", "IN", "Asia/Kolkata"),
)
_SKILLS = ("Python", "SQL", "Rust", "Prompting", "Figma", "Kotlin", "Excel", "Negotiation")
_SPAN_OF_CONTROL = 8


def employee_id(group: str, number: int) -> str:
    """The id of one of the people of a group."""
    return f"{group}-{number:07d}"


def hired(group: str, people: Iterable[int], *, below: str | None = None) -> Iterator[HrRecord]:
    """Whole records of these people of a group; `below` is the group of their managers.

    Within one group everybody but number 0 reports to somebody of a lower number.
    """
    for number in people:
        yield _record(_whole(group, number, below or group))


def moved(ids: Iterable[str], sequence: int) -> Iterator[HrRecord]:
    """Changes of department and title of these people; `sequence` must rise from call to call."""
    for number, each in enumerate(ids):
        yield _record(
            {
                "recordType": "patch",
                "employeeId": each,
                "sequence": sequence,
                "effectiveDate": "2026-01-05",
                "department": _one_of(_DEPARTMENTS, number + sequence),
                "title": f"Specialist {sequence}",
            }
        )


def _record(document: dict[str, Any]) -> HrRecord:
    return hr_record(json.dumps(document).encode(), document, _SOURCE)


def _whole(group: str, number: int, above: str) -> dict[str, Any]:
    each = employee_id(group, number)
    location, country, timezone = _one_of(_PLACES, number)
    manager = employee_id(above, number // _SPAN_OF_CONTROL)
    return {
        "employeeId": each,
        "employeeNumber": f"{number:07d}",
        "sequence": 1,
        "effectiveDate": "2026-01-05",
        "status": "active",
        "name": {"givenName": f"Given{number}", "familyName": f"Family{number}"},
        "displayName": f"Given{number} Family{number}",
        "emails": [{"value": f"{each.lower()}@example.org", "primary": True, "type": "work"}],
        "title": "Specialist",
        "jobLevel": 1 + number % 10,
        "jobFamily": "Engineering",
        "organization": "Example Group",
        "division": f"Division {number % 5}",
        "department": _one_of(_DEPARTMENTS, number),
        "managerId": None if manager == each else manager,
        "location": location,
        "country": country,
        "timezone": timezone,
        "locale": "en",
        "startDate": "2022-05-02",
        "skills": [_one_of(_SKILLS, number), _one_of(_SKILLS, number // 3)],
        "interests": ["music", "chess"],
    }


def _one_of(choices: tuple[Any, ...], number: int) -> Any:
    return choices[number % len(choices)]
