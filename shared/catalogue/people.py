"""Employees, contacts and participants: whole current state in every event, with a version.

A reader keeps the highest version per id, so any repetition or order across topics is harmless.
"""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.catalogue.types import EmployeeId, Event, Model, Moment, Role, Text

EmploymentStatus = Literal["pending", "active", "on_leave", "left"]


class EmployeeUpdated(Event):
    """The current record of a person: work attributes only, no name and no address."""

    TYPE = "updraft.employee.updated.v1"
    TOPIC = "updraft.employees"
    KEY = "employee_id"

    employee_id: EmployeeId
    """The person, by the HR platform's key."""
    version: int
    """Rises with every change of the aggregate; readers keep the highest."""
    status: EmploymentStatus
    """Where employment stands."""
    job_level: int
    """Seniority from 0, higher is more senior."""
    job_family: Text | None = None
    """Kind of work across departments."""
    title: Text | None = None
    """Job title."""
    organization: Text | None = None
    """Legal entity or company."""
    division: Text | None = None
    """Part of the organisation above the department."""
    department: Text
    """Where the person works."""
    manager_id: EmployeeId | None = None
    """Employee id of the manager; null: none."""
    dotted_line_manager_ids: tuple[EmployeeId, ...] = ()
    """Employee ids of further managers."""
    location: Text | None = None
    """Site or city."""
    country: Text | None = None
    """Country of work."""
    timezone: Text = "UTC"
    """IANA time zone."""
    start_date: date
    """First day of employment."""
    leaves_on: date | None = None
    """The known last day, whether past or to come."""
    effective_from: Moment
    """When this state took effect for HR."""
    received_at: Moment | None = None
    """When the HR record that caused it reached us; `hr_event_lag` is measured from it."""
    skills: tuple[Text, ...] = ()
    """What the person can do."""
    interests: tuple[Text, ...] = ()
    """What the person likes."""
    erased: bool = False
    """True: the person was erased; what is left of them serves counting only."""

    @property
    def erases(self) -> bool:
        """Whether this state is what an erasure left."""
        return self.erased


class ContactUpdated(Event):
    """How to reach a person; only notifications may read it. Erasure is a tombstone."""

    TYPE = "updraft.contact.updated.v1"
    TOPIC = "updraft.contacts"
    KEY = "employee_id"

    employee_id: EmployeeId
    """The person, by the HR platform's key."""
    version: int
    """Rises with every change of the aggregate; readers keep the highest."""
    given_name: Text | None = None
    """First name, for salutations."""
    display_name: Text | None = None
    """The name as the person wants it shown."""
    email: str | None = None
    """Where mail goes; null: nowhere."""
    locale: str = "en"
    """Language and region that mails are written in."""
    timezone: Text = "UTC"
    """IANA time zone, for quiet hours and times in mails."""


class TopicOffered(Model):
    """A topic that a participant can teach; proficiency 1 (basic) to 5 (expert)."""

    topic: Text
    """The topic."""
    proficiency: Annotated[int, Field(ge=1, le=5)] = 3
    """1 (basic) to 5 (expert)."""


class TopicWanted(Model):
    """A topic that a participant wants to learn; priority 1 (first) to 3."""

    topic: Text
    """The topic."""
    priority: Annotated[int, Field(ge=1, le=3)] = 2
    """1 (first) to 3."""


class WorkingHours(Model):
    """Local working time on weekdays, `start` before `end`."""

    start: time = time(9)
    """Local time at which work begins."""
    end: time = time(17)
    """Local time at which work ends."""


ParticipantStatus = Literal["invited", "enrolled", "ready", "paused", "withdrawn"]


class ParticipantFact(Event):
    """Base of all participant events: the participant's whole state after the fact."""

    TOPIC = "updraft.participants"
    KEY = "participant_id"

    participant_id: UUID
    """The participation of one person in one programme and role."""
    programme_id: UUID
    """The programme that this is part of."""
    employee_id: EmployeeId
    """Who takes part."""
    role: Role
    """Mentor (junior, teaches) or mentee (senior, learns)."""
    status: ParticipantStatus
    """The state after the fact."""
    version: int
    """Rises with every change of the aggregate; readers keep the highest."""
    topics_offered: tuple[TopicOffered, ...] = ()
    """What a mentor can teach."""
    topics_wanted: tuple[TopicWanted, ...] = ()
    """What a mentee, or a mentor in return, wants to learn."""
    interests: tuple[Text, ...] = ()
    """What the person likes."""
    languages: tuple[str, ...] = ()
    """Lower-case ISO 639 codes, e.g. ("en", "fr")."""
    timezone: Text = "UTC"
    """IANA time zone that the working hours are in."""
    working_hours: WorkingHours = WorkingHours()
    """When the person can meet."""
    capacity: Annotated[int, Field(ge=1, le=10)] = 1
    """How many pairs the person takes at once."""
    blocks: tuple[EmployeeId, ...] = ()
    """Employees that this participant must never be paired with."""
    agreement_version: str | None = None
    """The agreement text consented to; None: no consent."""
    invited_at: Moment | None = None
    """When the person was asked; null: joined unasked."""
    enrolled_at: Moment | None = None
    """When the person joined."""
    trained_at: Moment | None = None
    """When the training was completed."""
    ready_at: Moment | None = None
    """The latest moment at which the participant became ready for a pair."""
    withdrawn_at: Moment | None = None
    """When the participation ended."""
    withdrawn_by: Literal["participant", "manager", "employment"] | None = None
    """Who ended the participation; `employment`: the person left the company."""
    changed_at: Moment
    """When the fact happened."""


class ParticipantInvited(ParticipantFact):
    """A person was asked to take part."""

    TYPE = "updraft.participant.invited.v1"


class ParticipantEnrolled(ParticipantFact):
    """A person joined and consented."""

    TYPE = "updraft.participant.enrolled.v1"


class ProfileChanged(ParticipantFact):
    """Topics, languages, hours, capacity or blocks changed."""

    TYPE = "updraft.participant.profile-changed.v1"


class TrainingCompleted(ParticipantFact):
    """The programme's training was completed."""

    TYPE = "updraft.participant.training-completed.v1"


class ParticipantPaused(ParticipantFact):
    """The participant takes a break; living pairs pause."""

    TYPE = "updraft.participant.paused.v1"


class ParticipantResumed(ParticipantFact):
    """The break is over."""

    TYPE = "updraft.participant.resumed.v1"


class ParticipantWithdrawn(ParticipantFact):
    """The participant left the programme, by own will or because employment ended."""

    TYPE = "updraft.participant.withdrawn.v1"
