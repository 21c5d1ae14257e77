"""One believable example of every event: how Ada came to teach Bruno, and what was told of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from shared.catalogue import (
    Audience,
    ConcernRaised,
    ConcernResolved,
    ContactUpdated,
    Contribution,
    EmployeeErased,
    EmployeeRecorded,
    EmployeeUpdated,
    Event,
    FeedbackGiven,
    GoalReached,
    GoalSet,
    KpiMeasured,
    MatchRunCompleted,
    NotificationFailed,
    NotificationSent,
    NotificationSuppressed,
    PairCompleted,
    PairCreated,
    PairDeclined,
    PairEnded,
    PairExpired,
    PairPaused,
    PairProposed,
    PairResumed,
    ParticipantEnrolled,
    ParticipantInvited,
    ParticipantPaused,
    ParticipantResumed,
    ParticipantWithdrawn,
    Period,
    ProfileChanged,
    ProgrammeChanged,
    ProgrammeClosed,
    ProgrammeOpened,
    ProposalAccepted,
    ProposalDeclined,
    SessionCancelled,
    SessionConfirmed,
    SessionDisputed,
    SessionLogged,
    SessionScheduled,
    TopicOffered,
    TopicWanted,
    TrainingCompleted,
    Unmatched,
    WorkingHours,
)

_NOW = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)


def _id(number: int) -> UUID:
    return UUID(f"0195506f-7f40-7000-8000-{number:012x}")


def _day(month: int, day: int, hour: int = 9, minute: int = 0) -> datetime:
    return datetime(2027, month, day, hour, minute, tzinfo=UTC)


_PROGRAMME, _MENTOR, _MENTEE, _PAIR, _RUN, _SESSION = map(_id, range(1, 7))
_ADA, _BRUNO = "E17", "E3"

_RULES: dict[str, Any] = {
    "name": "Digital upward 2027",
    "goals": ("Leaders use AI tools in their own work",),
    "kpi_targets": {"match_rate": 0.9},
    "focus_topics": ("Generative AI", "Accessibility"),
    "starts_on": date(2027, 1, 11),
    "audience": Audience(mentor_max_level=4, mentee_min_level=6, min_tenure_days=90),
    "sponsor_employee_id": "E1",
    "manager_employee_id": "E9",
    "programme_id": _PROGRAMME,
}
_TEACHER: dict[str, Any] = {
    "participant_id": _MENTOR,
    "programme_id": _PROGRAMME,
    "employee_id": _ADA,
    "role": "mentor",
    "invited_at": _day(1, 11),
}
_ENROLLED: dict[str, Any] = {
    **_TEACHER,
    "topics_offered": (TopicOffered(topic="Generative AI", proficiency=4),),
    "topics_wanted": (TopicWanted(topic="Negotiation", priority=1),),
    "interests": ("Chess",),
    "languages": ("en", "fr"),
    "timezone": "Europe/Paris",
    "working_hours": WorkingHours(start=time(8, 30), end=time(16, 30)),
    "capacity": 2,
    "agreement_version": "1",
    "enrolled_at": _day(1, 12, 14),
}
_READY: dict[str, Any] = {**_ENROLLED, "trained_at": _day(1, 14), "ready_at": _day(1, 14)}
_PROPOSAL: dict[str, Any] = {
    "pair_id": _PAIR,
    "programme_id": _PROGRAMME,
    "mentor_id": _MENTOR,
    "mentee_id": _MENTEE,
    "mentor_employee_id": _ADA,
    "mentee_employee_id": _BRUNO,
    "score": 71.5,
    "breakdown": (
        Contribution(factor="wants_covered", weight=35, value=1, points=35, detail="Generative AI"),
        Contribution(factor="distance", weight=15, value=1, points=15, detail="Sales, Madrid"),
        Contribution(factor="time_overlap", weight=10, value=0.9, points=9, detail="6 h a day"),
        Contribution(factor="waiting_time", weight=10, value=0.75, points=7.5),
        Contribution(factor="level_gap", weight=5, value=1, points=5, detail="3 levels"),
    ),
    "topics": ("Generative AI",),
    "run_id": _RUN,
    "proposed_at": _day(1, 15, 6),
}
_ASKED: dict[str, Any] = {**_PROPOSAL, "asked_at": _day(1, 15, 6), "expires_at": _day(1, 29, 6)}
_FORMED: dict[str, Any] = {**_PROPOSAL, "created_at": _day(1, 18, 10)}
_MEETING: dict[str, Any] = {
    "session_id": _SESSION,
    "pair_id": _PAIR,
    "programme_id": _PROGRAMME,
    "mentor_employee_id": _ADA,
    "mentee_employee_id": _BRUNO,
    "starts_at": _day(2, 3, 13),
    "minutes": 60,
    "scheduled_by": "mentor",
}
_LOGGED: dict[str, Any] = {
    **_MEETING,
    "logged_by": "mentee",
    "logged_at": _day(2, 3, 15),
    "held": True,
}
_GOAL: dict[str, Any] = {
    "goal_id": _id(7),
    "pair_id": _PAIR,
    "programme_id": _PROGRAMME,
    "set_by": "mentee",
    "topic": "Generative AI",
    "set_at": _day(2, 3, 15),
}
_CONCERN: dict[str, Any] = {
    "concern_id": _id(8),
    "pair_id": _PAIR,
    "programme_id": _PROGRAMME,
    "raised_by": "mentee",
    "category": "no_fit",
    "exit_requested": False,
    "raised_at": _day(2, 20),
}
_MAIL: dict[str, Any] = {
    "notification_id": _id(9),
    "employee_id": _BRUNO,
    "programme_id": _PROGRAMME,
    "pair_id": _PAIR,
    "kind": "session_reminder",
    "idempotency_key": f"session_reminder:{_SESSION}:{_BRUNO}",
    "owed_at": _day(2, 2, 13),
    "attempts": 1,
}

_EXAMPLES: tuple[Event, ...] = (
    EmployeeRecorded.model_validate(
        {
            "recordType": "full",
            "employeeId": _ADA,
            "effectiveDate": "2027-01-01",
            "sequence": 4,
            "name": {"givenName": "Ada", "familyName": "Roy"},
            "displayName": "Ada Roy",
            "emails": [{"value": "ada@example.com", "primary": True, "type": "work"}],
            "status": "active",
            "title": "Engineer",
            "jobLevel": 3,
            "department": "Platform",
            "managerId": "E5",
            "location": "Paris",
            "country": "FR",
            "timezone": "Europe/Paris",
            "locale": "fr-FR",
            "startDate": "2023-05-01",
            "skills": ["Python"],
            "interests": ["Chess"],
        }
    ),
    EmployeeErased.model_validate({"employeeId": "E99", "sequence": 12}),
    EmployeeUpdated(
        employee_id=_ADA,
        version=4,
        status="active",
        job_level=3,
        title="Engineer",
        department="Platform",
        manager_id="E5",
        location="Paris",
        country="FR",
        timezone="Europe/Paris",
        start_date=date(2023, 5, 1),
        effective_from=_day(1, 1, 0),
        received_at=_day(1, 2, 3),
        skills=("Python",),
        interests=("Chess",),
    ),
    ContactUpdated(
        employee_id=_ADA,
        version=4,
        given_name="Ada",
        display_name="Ada Roy",
        email="ada@example.com",
        locale="fr-FR",
        timezone="Europe/Paris",
    ),
    ProgrammeOpened(**_RULES, version=1, status="open", changed_at=_day(1, 4)),
    ProgrammeChanged(**_RULES, mentor_capacity=3, version=2, status="open", changed_at=_day(2, 1)),
    ProgrammeClosed(**_RULES, version=3, status="closed", changed_at=_day(7, 10, 0)),
    ParticipantInvited(**_TEACHER, status="invited", version=1, changed_at=_day(1, 11)),
    ParticipantEnrolled(**_ENROLLED, status="enrolled", version=2, changed_at=_day(1, 12, 14)),
    TrainingCompleted(**_READY, status="ready", version=3, changed_at=_day(1, 14)),
    ProfileChanged(
        **{**_READY, "capacity": 1, "blocks": ("E8",)},
        status="ready",
        version=4,
        changed_at=_day(1, 14, 16),
    ),
    ParticipantPaused(**_READY, status="paused", version=5, changed_at=_day(4, 1)),
    ParticipantResumed(
        **{**_READY, "ready_at": _day(4, 26)}, status="ready", version=6, changed_at=_day(4, 26)
    ),
    ParticipantWithdrawn(
        **_READY,
        status="withdrawn",
        version=7,
        withdrawn_at=_day(6, 1),
        withdrawn_by="participant",
        changed_at=_day(6, 1),
    ),
    ProposalAccepted(
        pair_id=_PAIR, programme_id=_PROGRAMME, by="mentee", answered_at=_day(1, 16, 8)
    ),
    ProposalDeclined(
        pair_id=_id(10), programme_id=_PROGRAMME, by="mentor", answered_at=_day(1, 16, 17)
    ),
    PairProposed(
        **_ASKED, status="proposed", awaiting="mentee", version=1, changed_at=_day(1, 15, 6)
    ),
    PairCreated(**_FORMED, status="active", version=3, changed_at=_day(1, 18, 10)),
    PairDeclined(
        **{**_PROPOSAL, "pair_id": _id(10)},
        status="declined",
        version=2,
        closed_at=_day(1, 16, 17),
        changed_at=_day(1, 16, 17),
    ),
    PairExpired(
        **{**_ASKED, "pair_id": _id(11)},
        status="expired",
        version=2,
        closed_at=_day(1, 29, 6),
        changed_at=_day(1, 29, 6),
    ),
    PairPaused(**_FORMED, status="paused", version=4, paused_at=_day(4, 1), changed_at=_day(4, 1)),
    PairResumed(**_FORMED, status="active", version=5, paused_days=25, changed_at=_day(4, 26)),
    PairCompleted(
        **_FORMED,
        status="completed",
        version=6,
        paused_days=25,
        closed_at=_day(7, 10, 0),
        changed_at=_day(7, 10, 0),
    ),
    PairEnded(
        **_FORMED,
        status="ended",
        version=6,
        paused_days=25,
        closed_at=_day(6, 1),
        reason="withdrawn",
        left_by="mentor",
        changed_at=_day(6, 1),
    ),
    MatchRunCompleted(
        run_id=_RUN,
        programme_id=_PROGRAMME,
        programme_version=1,
        trigger="participant_ready",
        proposed=41,
        mentees_waiting=1,
        mentors_waiting=0,
        objective=2894.5,
        input_hash="9f2c6c1e5ab04d5f8f1b7a62c9f0d3e1",
        gap=0.0,
        covered=41,
        coverable=41,
        unmatched=(
            Unmatched(
                participant_id=_id(12), role="mentee", reasons={"capacity": 38, "level_gap": 3}
            ),
        ),
        started_at=_day(1, 15, 5, 59),
        completed_at=_day(1, 15, 6),
    ),
    SessionScheduled(**_MEETING, status="scheduled", version=1, changed_at=_day(1, 20)),
    SessionLogged(**_LOGGED, status="logged", version=2, changed_at=_day(2, 3, 15)),
    SessionConfirmed(
        **_LOGGED,
        status="confirmed",
        version=3,
        confirmed_at=_day(2, 4),
        changed_at=_day(2, 4),
    ),
    SessionDisputed(
        **_LOGGED,
        status="disputed",
        version=3,
        disputed_at=_day(2, 4),
        changed_at=_day(2, 4),
    ),
    SessionCancelled(
        **_MEETING,
        status="cancelled",
        version=2,
        cancelled_by="mentee",
        cancelled_at=_day(2, 2, 11),
        changed_at=_day(2, 2, 11),
    ),
    FeedbackGiven(
        feedback_id=_id(13),
        pair_id=_PAIR,
        programme_id=_PROGRAMME,
        by="mentee",
        by_employee_id=_BRUNO,
        kind="pulse",
        score=5,
        session_id=_SESSION,
        given_at=_day(2, 4, 10),
    ),
    GoalSet(**_GOAL),
    GoalReached(**_GOAL, reached_at=_day(5, 20)),
    ConcernRaised(**_CONCERN),
    ConcernResolved(**_CONCERN, resolved_at=_day(2, 22)),
    NotificationSent(**_MAIL, sent_at=_day(2, 2, 13, 1)),
    NotificationFailed(
        **{**_MAIL, "attempts": 8}, reason="the mail server refused it: no such mailbox"
    ),
    NotificationSuppressed(**{**_MAIL, "attempts": 0}, reason="unsubscribed"),
    KpiMeasured(
        programme_id=_PROGRAMME,
        kpi="match_rate",
        definition_version=1,
        period=Period(kind="programme", start=date(2027, 1, 11), end=date(2027, 3, 1)),
        dimension="department",
        group="Sales",
        numerator=9,
        denominator=10,
        value=0.9,
        unit="ratio",
        interval_low=0.596,
        interval_high=0.982,
        measured_at=_NOW,
    ),
)


def examples() -> dict[str, Event]:
    """Event type → its example."""
    return {example.TYPE: example for example in _EXAMPLES}
