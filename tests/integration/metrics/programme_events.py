"""A programme's events as its publishers would send them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from shared.catalogue import (
    EmployeeUpdated,
    Event,
    FeedbackGiven,
    GoalSet,
    MatchRunCompleted,
    NotificationSent,
    PairCreated,
    PairProposed,
    ParticipantEnrolled,
    ProgrammeOpened,
    ProposalAccepted,
    SessionConfirmed,
    SessionScheduled,
    TrainingCompleted,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
PROGRAMME = UUID("00000000-0000-7000-8000-000000000001")


def day(n: float) -> datetime:
    """A moment n days after the programme's start."""
    return START + timedelta(days=n)


def uuid(name: str) -> UUID:
    """An id made of a name."""
    return uuid5(PROGRAMME, name)


def opened(**more: Any) -> ProgrammeOpened:
    """The programme."""
    fields = {
        "programme_id": PROGRAMME,
        "version": 1,
        "status": "open",
        "name": "Reverse",
        "starts_on": START.date(),
        "min_group_size": 2,
        "kpi_targets": {"match_rate": 0.8},
        "changed_at": START,
    }
    return ProgrammeOpened(**{**fields, **more})


def employee(name: str, level: int, department: str, **more: Any) -> EmployeeUpdated:
    """A person."""
    fields = {
        "employee_id": name,
        "version": 1,
        "status": "active",
        "job_level": level,
        "department": department,
        "start_date": date(2020, 1, 1),
        "effective_from": day(-100),
        "received_at": day(0),
    }
    return EmployeeUpdated(**{**fields, **more})


def enrolled(name: str, role: str, version: int = 1, **more: Any) -> ParticipantEnrolled:
    """A participation."""
    fields = {
        "participant_id": uuid(name),
        "programme_id": PROGRAMME,
        "employee_id": name,
        "role": role,
        "status": "enrolled",
        "version": version,
        "languages": ("en",),
        "enrolled_at": day(0),
        "changed_at": day(0),
    }
    return ParticipantEnrolled(**{**fields, **more})


def trained(name: str, role: str, **more: Any) -> TrainingCompleted:
    """A participation that is ready."""
    ready = {"status": "ready", "version": 2, "ready_at": day(1), "changed_at": day(1)}
    return TrainingCompleted(**enrolled(name, role, **{**ready, **more}).model_dump())


def proposed(n: int, **more: Any) -> PairProposed:
    """A proposal for the n-th junior and senior."""
    fields = {
        "pair_id": uuid(f"pair{n}"),
        "programme_id": PROGRAMME,
        "mentor_id": uuid(f"junior{n}"),
        "mentee_id": uuid(f"senior{n}"),
        "mentor_employee_id": f"junior{n}",
        "mentee_employee_id": f"senior{n}",
        "status": "proposed",
        "version": 1,
        "awaiting": "mentee",
        "proposed_at": day(2),
        "asked_at": day(2),
        "changed_at": day(2),
    }
    return PairProposed(**{**fields, **more})


def created(n: int, **more: Any) -> PairCreated:
    """The n-th pair."""
    active = {
        "status": "active",
        "version": 2,
        "awaiting": None,
        "created_at": day(4),
        "changed_at": day(4),
    }
    return PairCreated(**proposed(n, **{**active, **more}).model_dump())


def booked(n: int, at: float, **more: Any) -> SessionScheduled:
    """A session of the n-th pair."""
    fields = {
        "session_id": uuid(f"session{n}-{at}"),
        "pair_id": uuid(f"pair{n}"),
        "programme_id": PROGRAMME,
        "mentor_employee_id": f"junior{n}",
        "mentee_employee_id": f"senior{n}",
        "status": "scheduled",
        "version": 1,
        "starts_at": day(at),
        "minutes": 60,
        "scheduled_by": "mentor",
        "changed_at": day(5),
    }
    return SessionScheduled(**{**fields, **more})


def confirmed(n: int, at: float, **more: Any) -> SessionConfirmed:
    """A session that took place."""
    done = {
        "status": "confirmed",
        "version": 3,
        "held": True,
        "logged_by": "mentor",
        "logged_at": day(at),
        "confirmed_at": day(at),
        "changed_at": day(at),
    }
    return SessionConfirmed(**booked(n, at, **{**done, **more}).model_dump())


def pulse(n: int, score: int, at: float, **more: Any) -> FeedbackGiven:
    """A pulse of the n-th senior."""
    fields = {
        "feedback_id": uuid(f"pulse{n}-{at}"),
        "pair_id": uuid(f"pair{n}"),
        "programme_id": PROGRAMME,
        "by": "mentee",
        "by_employee_id": f"senior{n}",
        "kind": "pulse",
        "score": score,
        "given_at": day(at),
    }
    return FeedbackGiven(**{**fields, **more})


def sent(n: int, at: float, **more: Any) -> NotificationSent:
    """A mail to the n-th junior."""
    fields = {
        "notification_id": uuid(f"mail{n}-{at}"),
        "employee_id": f"junior{n}",
        "programme_id": PROGRAMME,
        "kind": "proposal",
        "idempotency_key": f"{n}-{at}",
        "owed_at": day(at),
        "sent_at": day(at),
        "attempts": 1,
    }
    return NotificationSent(**{**fields, **more})


def story(pairs: int = 4) -> list[Event]:
    """A programme of some pairs, each of which met once and gave a pulse."""
    events: list[Event] = [opened()]
    for n in range(pairs):
        events += [
            employee(f"junior{n}", 1, "IT"),
            employee(f"senior{n}", 5, "HR"),
            enrolled(f"junior{n}", "mentor"),
            enrolled(f"senior{n}", "mentee"),
            trained(f"junior{n}", "mentor"),
            trained(f"senior{n}", "mentee"),
            proposed(n),
            ProposalAccepted(
                pair_id=uuid(f"pair{n}"), programme_id=PROGRAMME, by="mentee", answered_at=day(3)
            ),
            created(n),
            booked(n, 10),
            confirmed(n, 10),
            pulse(n, 4, 11),
            GoalSet(
                goal_id=uuid(f"goal{n}"),
                pair_id=uuid(f"pair{n}"),
                programme_id=PROGRAMME,
                set_by="mentee",
                set_at=day(10),
            ),
            sent(n, 2),
        ]
    events.append(
        MatchRunCompleted(
            run_id=uuid("run"),
            programme_id=PROGRAMME,
            programme_version=1,
            trigger="schedule",
            proposed=pairs,
            mentees_waiting=0,
            mentors_waiting=0,
            objective=1.0,
            input_hash="x",
            started_at=day(2),
            completed_at=day(2),
        )
    )
    return events
