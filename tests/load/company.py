"""A company of any size as HR would send it: the same one for a size and a seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from deploy.local.hr import HrRecord
from shared.catalogue import EmployeeRecorded

_SPAN = 8
"""Reports per manager."""


def records(people: int, seed: int) -> Iterator[HrRecord]:
    """A full record for each of so many people; a manager's comes before those of the reports."""
    random = Random(seed)
    for number in range(people):
        level = max(1, 9 - _depth(number))
        person = f"P{number:07}"
        document: dict[str, object] = {
            "employeeId": person,
            "recordType": "full",
            "sequence": 1,
            "effectiveDate": "2026-01-01",
            "status": "active",
            "jobLevel": level,
            "jobFamily": random.choice(("Engineering", "Sales", "Finance")),
            "department": f"Department {number % 200}",
            "division": f"Division {number % 20}",
            "managerId": f"P{(number - 1) // _SPAN:07}" if number else None,
            "location": random.choice(("Paris", "Berlin", "Austin", "Pune")),
            "country": random.choice(("FR", "DE", "US", "IN")),
            "timezone": random.choice(("Europe/Paris", "Europe/Berlin", "Asia/Kolkata")),
            "startDate": f"20{random.randint(10, 25)}-0{random.randint(1, 9)}-15",
            "name": {"givenName": "Given", "familyName": f"Family{number}"},
            "displayName": f"Given Family{number}",
            "emails": [{"value": f"p{number}@example.com", "primary": True}],
            "locale": random.choice(("fr", "de", "en")),
            "skills": random.sample(("AI", "Python", "Data", "Video", "Cloud", "Design"), 3),
            "interests": random.sample(("Chess", "Running", "Music", "Food"), 2),
        }
        yield record(person, document, f"{seed}-{number}")


def record(key: str, document: dict[str, object], event_id: str) -> HrRecord:
    """A document as a CloudEvent in binary mode."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": "urn:hr:load",
        "ce_type": EmployeeRecorded.TYPE,
        "ce_time": "2026-01-02T09:00:00Z",
        "content-type": "application/json",
    }
    pairs = tuple((name, value.encode()) for name, value in headers.items())
    return HrRecord(key.encode(), json.dumps(document).encode(), pairs)


def _depth(number: int) -> int:
    depth = 0
    while number:
        number = (number - 1) // _SPAN
        depth += 1
    return depth
