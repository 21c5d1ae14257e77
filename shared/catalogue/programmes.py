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
    """Interests that the two have in common."""
    distance: Annotated[float, Field(ge=0, le=100)] = 15
    """Distance in organisation and location: barriers crossed."""
    mentor_wants_covered: Annotated[float, Field(ge=0, le=100)] = 10
    """Mentor's wants covered by the mentee's offers."""
    time_overlap: Annotated[float, Field(ge=0, le=100)] = 10
    """Working hours that the two have in common."""
    waiting_time: Annotated[float, Field(ge=0, le=100)] = 10
    """How long the two have waited for a partner."""
    level_gap: Annotated[float, Field(ge=0, le=100)] = 5
    """Nearness to the programme's target gap in level."""

    @model_validator(mode="after")
    def _sum_to_100(self) -> MatchingWeights:
        total = sum(self.model_dump().values())
        if abs(total - 100) > 1e-6:
            raise ValueError(f"sum to {total:g}; make them sum to 100")
        return self


class Audience(Model):
    """Who may take part; an empty tuple admits everyone."""

    departments: tuple[Text, ...] = ()
    """Departments that may take part."""
    countries: tuple[Text, ...] = ()
    """Countries that may take part."""
    mentor_max_level: int = 100
    """Most senior level that may mentor."""
    mentee_min_level: int = 0
    """Most junior level that may be mentored."""
    min_tenure_days: Annotated[int, Field(ge=0)] = 0
    """Days of employment before a person may take part."""


class Nudges(Model):
    """When people are reminded; every delay is a default of the PRODUCT rules."""

    proposal_unanswered_days: tuple[int, ...] = (3, 7)
    """Days after a proposal on which a silent person is reminded."""
    no_first_session_days: int = 10
    """Days after the pair was formed without a first session."""
    session_reminder_hours: int = 24
    """Hours before a session."""
    feedback_after_days: int = 1
    """Days after a session until its feedback is asked for."""
    silence_warning_days: int = 90
    """Days without a session until a pair is warned."""
    silence_end_days: int = 7
    """Days between the warning and the end of a silent pair."""
    mails_per_person_per_day: int = 3
    """Most mails that a person gets in a day."""
    quiet_from: Annotated[int, Field(ge=0, le=23)] = 20
    """First quiet hour, in the person's own time zone."""
    quiet_until: Annotated[int, Field(ge=0, le=23)] = 8
    """Quiet hours in the person's own time zone, full hours."""


class ProgrammeRules(Model):
    """What a programme manager decides; the rest of the programme's state is ours."""

    name: Text
    """What people call the programme."""
    goals: tuple[Text, ...] = ()
    """What the organisation wants from it."""
    kpi_targets: dict[str, float] = Field(default_factory=dict)
    """KPI → the value aimed for."""
    focus_topics: tuple[Text, ...] = ()
    """Topics that the programme is about."""
    starts_on: date
    """First day of the programme."""
    length_days: Annotated[int, Field(ge=14, le=1100)] = 180
    """How long it lasts."""
    cadence_days: Annotated[int, Field(ge=7, le=120)] = 30
    """Days between the sessions of a pair."""
    session_minutes: Annotated[int, Field(ge=15, le=240)] = 60
    """Usual length of a session."""
    enrolment: Literal["open", "invite_only"] = "open"
    """Whether people may join unasked."""
    audience: Audience = Audience()
    """Who may take part."""
    min_level_gap: Annotated[int, Field(ge=1, le=50)] = 2
    """Levels by which a mentee must at least be more senior than the mentor."""
    target_level_gap: Annotated[int, Field(ge=1, le=50)] = 3
    """Levels between the two that are best."""
    mentor_capacity: Annotated[int, Field(ge=1, le=10)] = 2
    """Most mentees of one mentor."""
    mentee_capacity: Annotated[int, Field(ge=1, le=10)] = 1
    """Most mentors of one mentee."""
    different_department: bool = True
    """Whether the two must work in different departments."""
    min_overlap_minutes: Annotated[int, Field(ge=0, le=1440)] = 120
    """Minutes of a working day that the two must have in common."""
    training_required: bool = True
    """Whether people must complete the training before they are paired."""
    agreement_version: Text = "1"
    """The agreement text that people consent to."""
    approval: Literal["automatic", "manager", "both"] = "both"
    """Whose yes forms a pair: nobody's, the manager's, or that of both sides."""
    proposal_expiry_days: Annotated[int, Field(ge=1, le=60)] = 14
    """Days that a person has for an answer."""
    score_floor: Annotated[float, Field(ge=0, le=100)] = 0
    """Points from 0 to 100 that as many pairs as can are to reach, if need be at the cost of the
    others: little more than the worst pair has lifts the worst."""
    stickiness: Annotated[float, Field(ge=0, le=100)] = 0
    """Points from 0 to 100 that it is worth to keep to a living pair when all is decided anew."""
    weights: MatchingWeights = MatchingWeights()
    """How the pairing score is made up."""
    nudges: Nudges = Nudges()
    """When people are reminded."""
    min_group_size: Annotated[int, Field(ge=2, le=100)] = 5
    """Smallest group whose figures are shown."""
    sponsor_employee_id: EmployeeId | None = None
    """The executive who stands behind the programme."""
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
    """The programme."""
    version: int
    """Rises with each change; a match run and a pair name the version they were decided by."""
    status: Literal["open", "closed"]
    """Whether it goes on."""
    changed_at: Moment
    """When the fact happened."""


class ProgrammeOpened(ProgrammeFact):
    """A programme accepts participants."""

    TYPE = "updraft.programme.opened.v1"


class ProgrammeChanged(ProgrammeFact):
    """Rules of a programme changed."""

    TYPE = "updraft.programme.changed.v1"


class ProgrammeClosed(ProgrammeFact):
    """A programme is over; its living pairs complete or end."""

    TYPE = "updraft.programme.closed.v1"
