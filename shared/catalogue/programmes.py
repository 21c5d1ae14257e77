"""Programmes: the rules of one reverse-mentoring programme, whole in every event."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, model_validator

from shared.catalogue.types import EmployeeId, Event, Model, Moment, Text


class MatchingWeights(Model):
    """Soft factors of the pairing score; they sum to 100 (source: PRODUCT rules)."""

    wants_covered: Annotated[float, Field(ge=0, le=100)] = 35
    """Mentee's wants covered by the mentor's offers."""
    shared_interests: Annotated[float, Field(ge=0, le=100)] = 15
    distance: Annotated[float, Field(ge=0, le=100)] = 15
    """Distance in organisation and location: barriers crossed."""
    mentor_wants_covered: Annotated[float, Field(ge=0, le=100)] = 10
    time_overlap: Annotated[float, Field(ge=0, le=100)] = 10
    waiting_time: Annotated[float, Field(ge=0, le=100)] = 10
    level_gap: Annotated[float, Field(ge=0, le=100)] = 5

    @model_validator(mode="after")
    def _sum_to_100(self) -> MatchingWeights:
        total = sum(self.model_dump().values())
        if abs(total - 100) > 1e-6:
            raise ValueError(f"weights: sum to {total:g}; make them sum to 100")
        return self


class Audience(Model):
    """Who may take part; an empty tuple admits everyone."""

    departments: tuple[Text, ...] = ()
    countries: tuple[Text, ...] = ()
    mentor_max_level: int = 100
    """Most senior level that may mentor."""
    mentee_min_level: int = 0
    """Most junior level that may be mentored."""
    min_tenure_days: Annotated[int, Field(ge=0)] = 0


class Nudges(Model):
    """When people are reminded; every delay is a default of the PRODUCT rules."""

    proposal_unanswered_days: tuple[int, ...] = (3, 7)
    no_first_session_days: int = 10
    session_reminder_hours: int = 24
    feedback_after_days: int = 1
    silence_warning_days: int = 90
    silence_end_days: int = 7
    """Days between the warning and the end of a silent pair."""
    mails_per_person_per_day: int = 3
    quiet_from: Annotated[int, Field(ge=0, le=23)] = 20
    quiet_until: Annotated[int, Field(ge=0, le=23)] = 8
    """Quiet hours in the person's own time zone, full hours."""


class ProgrammeRules(Model):
    """What a programme manager decides; the rest of the programme's state is ours."""

    name: Text
    goals: tuple[Text, ...] = ()
    kpi_targets: dict[str, float] = Field(default_factory=dict)
    focus_topics: tuple[Text, ...] = ()
    starts_on: date
    length_days: Annotated[int, Field(ge=14, le=1100)] = 180
    cadence_days: Annotated[int, Field(ge=7, le=120)] = 30
    session_minutes: Annotated[int, Field(ge=15, le=240)] = 60
    enrolment: Literal["open", "invite_only"] = "open"
    audience: Audience = Audience()
    min_level_gap: Annotated[int, Field(ge=1, le=50)] = 2
    target_level_gap: Annotated[int, Field(ge=1, le=50)] = 3
    mentor_capacity: Annotated[int, Field(ge=1, le=10)] = 2
    mentee_capacity: Annotated[int, Field(ge=1, le=10)] = 1
    different_department: bool = True
    min_overlap_minutes: Annotated[int, Field(ge=0, le=1440)] = 120
    training_required: bool = True
    agreement_version: Text = "1"
    approval: Literal["automatic", "manager", "both"] = "both"
    proposal_expiry_days: Annotated[int, Field(ge=1, le=60)] = 14
    weights: MatchingWeights = MatchingWeights()
    nudges: Nudges = Nudges()
    min_group_size: Annotated[int, Field(ge=2, le=100)] = 5
    sponsor_employee_id: EmployeeId | None = None
    manager_employee_id: EmployeeId | None = None
    """The programme manager, who gets the digest."""

    @property
    def ends_on(self) -> date:
        """First day after the programme."""
        return self.starts_on + timedelta(days=self.length_days)


class ProgrammeFact(Event, ProgrammeRules):
    """Base of all programme events: the whole programme after the fact."""

    TOPIC = "updraft.programmes"
    KEY = "programme_id"

    programme_id: UUID
    version: int
    """Rises with each change; a match run and a pair name the version they were decided by."""
    status: Literal["open", "closed"]
    changed_at: Moment


class ProgrammeOpened(ProgrammeFact):
    """A programme accepts participants."""

    TYPE = "updraft.programme.opened.v1"


class ProgrammeChanged(ProgrammeFact):
    """Rules of a programme changed."""

    TYPE = "updraft.programme.changed.v1"


class ProgrammeClosed(ProgrammeFact):
    """A programme is over; its living pairs complete or end."""

    TYPE = "updraft.programme.closed.v1"
