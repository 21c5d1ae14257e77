"""Sessions, feedback, goals and concerns of a pair: facts only, never content."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.catalogue.types import EmployeeId, Event, Moment, Role, Text

SessionStatus = Literal["scheduled", "logged", "confirmed", "disputed", "cancelled"]
Canceller = Literal["mentor", "mentee", "system"]


class SessionFact(Event):
    """Base of all session events: the session's whole state after the fact."""

    TOPIC = "updraft.sessions"
    KEY = "pair_id"

    session_id: UUID
    pair_id: UUID
    programme_id: UUID
    mentor_employee_id: EmployeeId
    mentee_employee_id: EmployeeId
    status: SessionStatus
    version: int
    starts_at: Moment
    minutes: Annotated[int, Field(ge=5, le=480)]
    scheduled_by: Role | None = None
    """None: logged without having been scheduled."""
    logged_by: Role | None = None
    logged_at: Moment | None = None
    held: bool | None = None
    """False: it did not take place although it was booked; see `no_show_by`."""
    no_show_by: Role | None = None
    confirmed_at: Moment | None = None
    disputed_at: Moment | None = None
    cancelled_by: Canceller | None = None
    cancelled_at: Moment | None = None
    changed_at: Moment


class SessionScheduled(SessionFact):
    """A session was booked, or moved (`version` rises)."""

    TYPE = "updraft.session.scheduled.v1"


class SessionLogged(SessionFact):
    """One side says what became of a session; the other side is asked to confirm."""

    TYPE = "updraft.session.logged.v1"


class SessionConfirmed(SessionFact):
    """The other side agrees: the session counts."""

    TYPE = "updraft.session.confirmed.v1"


class SessionDisputed(SessionFact):
    """The other side disagrees: the session does not count."""

    TYPE = "updraft.session.disputed.v1"


class SessionCancelled(SessionFact):
    """A booked session was called off; notice is `starts_at` − `cancelled_at`."""

    TYPE = "updraft.session.cancelled.v1"


class FeedbackGiven(Event):
    """A number that one side gave; the private comment stays in registration."""

    TYPE = "updraft.feedback.given.v1"
    TOPIC = "updraft.feedback"
    KEY = "pair_id"

    feedback_id: UUID
    pair_id: UUID
    programme_id: UUID
    by: Role
    by_employee_id: EmployeeId
    kind: Literal["pulse", "nps", "fit", "skill_before", "skill_after"]
    score: Annotated[int, Field(ge=0, le=10)]
    """pulse, fit and skills 1–5; nps 0–10."""
    session_id: UUID | None = None
    topic: Text | None = None
    """For a skill rating: the topic rated."""
    given_at: Moment


class GoalFact(Event):
    """Base of goal events; the goal's text stays in registration."""

    TOPIC = "updraft.feedback"
    KEY = "pair_id"

    goal_id: UUID
    pair_id: UUID
    programme_id: UUID
    set_by: Role
    topic: Text | None = None
    set_at: Moment
    reached_at: Moment | None = None


class GoalSet(GoalFact):
    """A pair set itself a goal."""

    TYPE = "updraft.goal.set.v1"


class GoalReached(GoalFact):
    """A goal was reached."""

    TYPE = "updraft.goal.reached.v1"


ConcernCategory = Literal["no_fit", "conflict", "safeguard", "other"]


class ConcernFact(Event):
    """Base of concern events; restricted readers, and never any text."""

    TOPIC = "updraft.concerns"
    KEY = "pair_id"

    concern_id: UUID
    pair_id: UUID
    programme_id: UUID
    raised_by: Role
    category: ConcernCategory
    exit_requested: bool
    """True: the pair ends now, without fault, and is never formed again."""
    raised_at: Moment
    resolved_at: Moment | None = None


class ConcernRaised(ConcernFact):
    """Someone asked for help or for a safe exit."""

    TYPE = "updraft.concern.raised.v1"


class ConcernResolved(ConcernFact):
    """A concern was dealt with."""

    TYPE = "updraft.concern.resolved.v1"
