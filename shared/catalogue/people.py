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
    version: int
    status: EmploymentStatus
    job_level: int
    job_family: Text | None = None
    title: Text | None = None
    organization: Text | None = None
    division: Text | None = None
    department: Text
    manager_id: EmployeeId | None = None
    dotted_line_manager_ids: tuple[EmployeeId, ...] = ()
    location: Text | None = None
    country: Text | None = None
    timezone: Text = "UTC"
    start_date: date
    leaves_on: date | None = None
    """The known last day, whether past or to come."""
    effective_from: Moment
    """When this state took effect for HR."""
    received_at: Moment | None = None
    """When the HR record that caused it reached us; `hr_event_lag` is measured from it."""
    skills: tuple[Text, ...] = ()
    interests: tuple[Text, ...] = ()
    erased: bool = False


class ContactUpdated(Event):
    """How to reach a person; only notifications may read it. Erasure is a tombstone."""

    TYPE = "updraft.contact.updated.v1"
    TOPIC = "updraft.contacts"
    KEY = "employee_id"

    employee_id: EmployeeId
    version: int
    given_name: Text | None = None
    display_name: Text | None = None
    email: str | None = None
    locale: str = "en"
    timezone: Text = "UTC"


class TopicOffered(Model):
    """A topic that a participant can teach; proficiency 1 (basic) to 5 (expert)."""

    topic: Text
    proficiency: Annotated[int, Field(ge=1, le=5)] = 3


class TopicWanted(Model):
    """A topic that a participant wants to learn; priority 1 (first) to 3."""

    topic: Text
    priority: Annotated[int, Field(ge=1, le=3)] = 2


class WorkingHours(Model):
    """Local working time on weekdays, `start` before `end`."""

    start: time = time(9)
    end: time = time(17)


ParticipantStatus = Literal["invited", "enrolled", "ready", "paused", "withdrawn"]


class ParticipantFact(Event):
    """Base of all participant events: the participant's whole state after the fact."""

    TOPIC = "updraft.participants"
    KEY = "participant_id"

    participant_id: UUID
    programme_id: UUID
    employee_id: EmployeeId
    role: Role
    status: ParticipantStatus
    version: int
    topics_offered: tuple[TopicOffered, ...] = ()
    topics_wanted: tuple[TopicWanted, ...] = ()
    interests: tuple[Text, ...] = ()
    languages: tuple[str, ...] = ()
    """Lower-case ISO 639 codes, e.g. ("en", "fr")."""
    timezone: Text = "UTC"
    working_hours: WorkingHours = WorkingHours()
    capacity: Annotated[int, Field(ge=1, le=10)] = 1
    blocks: tuple[EmployeeId, ...] = ()
    """Employees that this participant must never be paired with."""
    agreement_version: str | None = None
    """The agreement text consented to; None: no consent."""
    invited_at: Moment | None = None
    enrolled_at: Moment | None = None
    trained_at: Moment | None = None
    ready_at: Moment | None = None
    """The latest moment at which the participant became ready for a pair."""
    withdrawn_at: Moment | None = None
    withdrawn_by: Literal["participant", "manager", "employment"] | None = None
    """Who ended the participation; `employment`: the person left the company."""
    changed_at: Moment


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
