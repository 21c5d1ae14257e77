"""What this service knows about programmes, people's places in them, pairs and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

Role = Literal["mentor", "mentee"]
Recipient = Literal["mentor", "mentee", "manager", "sponsor"]
Answerer = Literal["mentor", "mentee", "manager"]
SIDES: tuple[Role, Role] = ("mentor", "mentee")


@dataclass(frozen=True)
class Participant:
    """A person's place in one programme."""

    participant_id: UUID
    programme_id: UUID
    employee_id: str
    role: Role
    status: str
    invited_at: datetime | None
    enrolled_at: datetime | None


@dataclass(frozen=True)
class Pair:
    """A mentor and a mentee, proposed or together."""

    pair_id: UUID
    programme_id: UUID
    mentor_employee_id: str
    mentee_employee_id: str
    status: str
    awaiting: Answerer | None = None
    asked_at: datetime | None = None
    created_at: datetime | None = None
    active_since: datetime | None = None
    """When it last became active: the creation, or the end of the latest pause."""
    reason: str | None = None
    left_by: Role | None = None

    def employee(self, role: Role) -> str:
        """The employee who has the role."""
        return self.mentor_employee_id if role == "mentor" else self.mentee_employee_id


@dataclass(frozen=True)
class Session:
    """One booked or logged meeting of a pair."""

    session_id: UUID
    pair_id: UUID
    programme_id: UUID
    mentor_employee_id: str
    mentee_employee_id: str
    version: int
    status: str
    starts_at: datetime
    minutes: int
    booked_at: datetime | None = None
    """When the present time was agreed; None: logged without a booking."""
    logged_by: Role | None = None
    logged_at: datetime | None = None
    held: bool | None = None
    cancelled_by: str | None = None
    cancelled_at: datetime | None = None
    pulses: frozenset[str] = frozenset()
    """The roles that already gave their pulse for it."""

    @property
    def ends_at(self) -> datetime:
        """The booked or logged end."""
        return self.starts_at + timedelta(minutes=self.minutes)

    @property
    def took_place(self) -> bool:
        """At least one side says that it was held and nobody disagrees."""
        return self.status in ("logged", "confirmed") and self.held is not False

    def employee(self, role: Role) -> str:
        """The employee who has the role."""
        return self.mentor_employee_id if role == "mentor" else self.mentee_employee_id


@dataclass(frozen=True)
class Goal:
    """A goal that a pair reached."""

    goal_id: UUID
    reached_at: datetime


@dataclass(frozen=True)
class Rules:
    """When people of a programme are reminded, and who answers for the programme."""

    cadence: timedelta
    midpoint: datetime
    proposal_unanswered: tuple[timedelta, ...] = (timedelta(days=3), timedelta(days=7))
    no_first_session: timedelta = timedelta(days=10)
    reminder_before: timedelta = timedelta(hours=24)
    feedback_after: timedelta = timedelta(days=1)
    silence: timedelta = timedelta(days=90)
    sponsor_employee_id: str | None = None
    manager_employee_id: str | None = None


def other_side(role: Role) -> Role:
    """The counterpart's role."""
    return "mentee" if role == "mentor" else "mentor"
