"""A programme's history as events, grown step by step."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from deploy.reconcile.topics import Told, Topics
from shared.catalogue import (
    EmployeeUpdated,
    Event,
    FeedbackGiven,
    GoalSet,
    NotificationFailed,
    NotificationSent,
    PairCreated,
    ParticipantEnrolled,
    ProgrammeOpened,
    SessionScheduled,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
PROGRAMME = UUID("00000000-0000-7000-8000-000000000002")


def day(n: float) -> datetime:
    """A moment n days after the programme's start."""
    return START + timedelta(days=n)


def uuid(name: str) -> UUID:
    """An id made of a name."""
    return uuid5(PROGRAMME, name)


class History:
    """Events in the order in which they were told; each call is the next version of its thing."""

    def __init__(self, **rules: Any) -> None:
        self.topics = Topics()
        self.newest: dict[object, Event] = {}
        fields = {
            "programme_id": PROGRAMME,
            "version": 1,
            "status": "open",
            "name": "Reverse",
            "starts_on": START.date(),
            "min_group_size": 2,
            "changed_at": START,
        }
        self._tell(0, PROGRAMME, ProgrammeOpened(**{**fields, **rules}))

    def _tell(self, at: float, key: object, event: Event) -> None:
        self.newest[key] = event
        self.topics.told.append(Told(day(at), event))

    def _next(self, key: object, defaults: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        known = self.newest.get(key)
        base = {**defaults, "version": 1}
        if known is not None:
            base = {**known.model_dump(), "version": known.version + 1}  # type: ignore[attr-defined]
        return {**base, **more}

    def employee(self, name: str, at: float = 0, **more: Any) -> None:
        """A person."""
        defaults = {
            "employee_id": name,
            "status": "active",
            "job_level": 1,
            "department": "IT",
            "start_date": date(2020, 1, 1),
        }
        fields = self._next(name, defaults, {"effective_from": day(at), **more})
        self._tell(at, name, EmployeeUpdated(**fields))

    def participant(self, name: str, at: float = 0, **more: Any) -> None:
        """A participation, ready unless told otherwise."""
        key = uuid(name)
        defaults = {
            "participant_id": key,
            "programme_id": PROGRAMME,
            "employee_id": name,
            "role": "mentor",
            "status": "ready",
            "languages": ("en",),
            "ready_at": day(at),
        }
        fields = self._next(key, defaults, {"changed_at": day(at), **more})
        self._tell(at, key, ParticipantEnrolled(**fields))

    def couple(self, mentor: str, mentee: str, **more: Any) -> None:
        """Two people who may be paired."""
        self.employee(mentor, job_level=1, department="IT", **more)
        self.employee(mentee, job_level=5, department="HR", **more)
        self.participant(mentor, role="mentor")
        self.participant(mentee, role="mentee")

    def pair(self, mentor: str, mentee: str, at: float = 1, name: str = "", **more: Any) -> UUID:
        """A pair, created active unless told otherwise."""
        key = uuid(f"{mentor}-{mentee}{name}")
        defaults = {
            "pair_id": key,
            "programme_id": PROGRAMME,
            "mentor_id": uuid(mentor),
            "mentee_id": uuid(mentee),
            "mentor_employee_id": mentor,
            "mentee_employee_id": mentee,
            "status": "active",
            "proposed_at": day(at),
            "created_at": day(at),
        }
        fields = self._next(key, defaults, {"changed_at": day(at), **more})
        self._tell(at, key, PairCreated(**fields))
        return key

    def session(self, pair: UUID, at: float, **more: Any) -> UUID:
        """A session, confirmed as held unless told otherwise."""
        key = uuid(f"{pair}-{at}")
        formed = self.newest[pair]
        defaults = {
            "session_id": key,
            "pair_id": pair,
            "programme_id": PROGRAMME,
            "mentor_employee_id": formed.mentor_employee_id,  # type: ignore[attr-defined]
            "mentee_employee_id": formed.mentee_employee_id,  # type: ignore[attr-defined]
            "status": "confirmed",
            "held": True,
            "starts_at": day(at),
            "minutes": 60,
            "scheduled_by": "mentor",
        }
        fields = self._next(key, defaults, {"changed_at": day(at), **more})
        self._tell(at, key, SessionScheduled(**fields))
        return key

    def feedback(self, pair: UUID, kind: str, score: int, at: float) -> None:
        """A number that the mentee gave."""
        formed = self.newest[pair]
        event = FeedbackGiven(
            feedback_id=uuid(f"{pair}-{kind}-{at}"),
            pair_id=pair,
            programme_id=PROGRAMME,
            by="mentee",
            by_employee_id=formed.mentee_employee_id,  # type: ignore[attr-defined]
            kind=kind,
            score=score,
            given_at=day(at),
        )
        self._tell(at, event.feedback_id, event)

    def goal(self, pair: UUID, at: float, reached: float | None) -> None:
        """A goal."""
        event = GoalSet(
            goal_id=uuid(f"{pair}-goal-{at}"),
            pair_id=pair,
            programme_id=PROGRAMME,
            set_by="mentee",
            set_at=day(at),
            reached_at=None if reached is None else day(reached),
        )
        self._tell(at, event.goal_id, event)

    def mail(self, name: str, at: float, *, sent: bool) -> None:
        """A message that was taken by the mail server, or given up."""
        fields = {
            "notification_id": uuid(f"mail-{name}-{at}"),
            "employee_id": name,
            "programme_id": PROGRAMME,
            "kind": "proposal",
            "idempotency_key": f"{name}-{at}",
            "owed_at": day(at),
        }
        event: Event = (
            NotificationSent(**fields, sent_at=day(at))
            if sent
            else NotificationFailed(**fields, reason="refused")
        )
        self._tell(at, fields["notification_id"], event)
