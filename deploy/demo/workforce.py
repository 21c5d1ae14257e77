"""The people that a demo is played with, whether generated or read from an HR file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from shared.catalogue import EmployeeRecorded

Record = Mapping[str, Any]
"""A full HR record as it goes over the wire: camelCase JSON."""


@dataclass(frozen=True)
class Person:
    """One employee: the HR record, and what they would say of themselves when they enrol."""

    record: Record
    languages: tuple[str, ...] = ("en",)
    timezone: str = "UTC"
    works_from: time = time(9)
    works_until: time = time(17)
    teaches: tuple[str, ...] = ()
    """Topics that the person would offer."""
    leaves_on_day: int | None = None
    """Day of the programme on which the person leaves the company, where the source says so."""

    @property
    def employee_id(self) -> str:
        """HR's key of the person."""
        return str(self.record["employeeId"])

    @property
    def email(self) -> str | None:
        """The address of the first e-mail entry."""
        emails = self.record.get("emails") or ()
        return str(emails[0]["value"]).lower() if emails else None

    @property
    def level(self) -> int:
        """Job level; higher is more senior."""
        return int(self.record["jobLevel"])

    @property
    def department(self) -> str:
        """Department by name."""
        return str(self.record["department"])

    @property
    def manager_id(self) -> str | None:
        """HR's key of the manager."""
        return self.record.get("managerId")


@dataclass(frozen=True)
class Workforce:
    """Everyone of one company, and how to open a programme for them."""

    name: str
    people: tuple[Person, ...]
    mentor_max_level: int
    mentee_min_level: int
    min_level_gap: int
    topics: tuple[str, ...]
    """What juniors teach here: the programme's focus topics."""
    senior_topics: tuple[str, ...]
    """What seniors can teach back."""
    derived: tuple[str, ...] = ()
    """How fields that the source lacks were derived, one sentence each."""
    left_out: tuple[str, ...] = ()
    """HR fields that the source lacks and that nothing derives."""
    never_read: tuple[str, ...] = ()
    """Columns of the source that are protected and are not read."""
    bad_rows: tuple[tuple[str, Record], ...] = ()
    """(where, record) of rows that are not valid HR records; they are sent as they are."""
    warnings: tuple[str, ...] = ()
    """What is odd about the source and what comes of it, one sentence each."""
    interests: tuple[str, ...] = field(default=())
    """Interests that participants pick from."""


def invalid(record: Record) -> str | None:
    """Why a record is not a valid HR record; None: it is."""
    try:
        EmployeeRecorded.model_validate(dict(record))
    except ValueError as error:
        return str(error)
    return None


def on_wire(record: Record, *, sequence: int, effective: date) -> dict[str, Any]:
    """The record as sent: with the sequence and the day from which it holds."""
    return {**record, "sequence": sequence, "effectiveDate": effective.isoformat()}
