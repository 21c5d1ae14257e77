"""The rules of a programme that decide what registration accepts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from services.registration.domain.rules import Invalid, RuleBroken

Role = Literal["mentor", "mentee"]
_YEARS_AHEAD = 10


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may take part; an empty tuple admits everyone."""

    departments: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    mentor_max_level: int = 100
    mentee_min_level: int = 0
    min_tenure_days: int = 0


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme as far as registration decides by it."""

    programme_id: UUID
    version: int
    status: Literal["open", "closed"]
    name: str
    starts_on: date
    ends_on: date
    """First day after the programme."""
    enrolment: Literal["open", "invite_only"]
    audience: Audience
    min_level_gap: int
    mentor_capacity: int
    mentee_capacity: int
    training_required: bool
    agreement_version: str
    approval: Literal["automatic", "manager", "both"]
    session_minutes: int
    focus_topics: tuple[str, ...]
    manager_employee_id: str | None

    def capacity_limit(self, role: Role) -> int:
        """The most pairs that a participant of this role may have at once."""
        return self.mentor_capacity if role == "mentor" else self.mentee_capacity


def check_runs(programme: Programme, today: date) -> None:
    """Raises RuleBroken unless the programme still accepts what people ask of it."""
    if programme.status == "closed":
        raise RuleBroken(
            "programme_id", "The programme is closed.", "Choose a programme that is open."
        )
    if programme.ends_on <= today:
        raise RuleBroken(
            "programme_id",
            f"The programme ended on {programme.ends_on}.",
            "Choose a programme that still runs.",
        )


def check_start(starts_on: date, today: date) -> None:
    """Raises Invalid for a start that nobody who opens a programme can mean."""
    if starts_on.year > today.year + _YEARS_AHEAD:
        raise Invalid(
            "starts_on", f"Is more than {_YEARS_AHEAD} years away.", "Choose an earlier start."
        )


def check_dates(starts_on: date, ends_on: date, today: date) -> None:
    """Raises Invalid for a programme that would be over before it is known."""
    if ends_on <= today:
        raise Invalid(
            "starts_on",
            f"From {starts_on} with this length the programme would be over by {today}.",
            "Choose a later start or a longer programme.",
        )
