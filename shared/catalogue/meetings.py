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
    """The session, the same through all its events."""
    pair_id: UUID
    """The pair that this is about."""
    programme_id: UUID
    """The programme that this is part of."""
    mentor_employee_id: EmployeeId
    """The junior who teaches."""
    mentee_employee_id: EmployeeId
    """The senior who learns."""
    status: SessionStatus
    """The state after the fact."""
    version: int
    """Rises with every change of the aggregate; readers keep the highest."""
    starts_at: Moment
    """When the session begins or began."""
    minutes: Annotated[int, Field(ge=5, le=480)]
    """Planned or actual length."""
    scheduled_by: Role | None = None
    """None: logged without having been scheduled."""
    logged_by: Role | None = None
    """Who said what became of the session."""
    logged_at: Moment | None = None
    """When they said so."""
    held: bool | None = None
    """False: it did not take place although it was booked; see `no_show_by`."""
    no_show_by: Role | None = None
    """Who did not come, for a session that was booked and not held."""
    confirmed_at: Moment | None = None
    """When the other side agreed."""
    disputed_at: Moment | None = None
    """When the other side disagreed."""
    cancelled_by: Canceller | None = None
    """Who called it off; `system`: the pair stood still or ended."""
    cancelled_at: Moment | None = None
    """When it was called off."""
    changed_at: Moment
    """When the fact happened."""


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
    """This rating."""
    pair_id: UUID
    """The pair that this is about."""
    programme_id: UUID
    """The programme that this is part of."""
    by: Role
    """The role that gave it."""
    by_employee_id: EmployeeId
    """The person who gave it."""
    kind: Literal["pulse", "nps", "fit", "skill_before", "skill_after"]
    """What is rated: a session (pulse), recommendation (nps), the partner (fit) or a skill."""
    score: Annotated[int, Field(ge=0, le=10)]
    """pulse, fit and skills 1–5; nps 0–10."""
    session_id: UUID | None = None
    """For a pulse: the session rated."""
    topic: Text | None = None
    """For a skill rating: the topic rated."""
    given_at: Moment
    """When it was given."""


class GoalFact(Event):
    """Base of goal events; the goal's text stays in registration."""

    TOPIC = "updraft.feedback"
    KEY = "pair_id"

    goal_id: UUID
    """The goal, the same through all its events."""
    pair_id: UUID
    """The pair that this is about."""
    programme_id: UUID
    """The programme that this is part of."""
    set_by: Role
    """The role that set it."""
    topic: Text | None = None
    """The topic that the goal is about, where it names one."""
    set_at: Moment
    """When it was set."""
    reached_at: Moment | None = None
    """When it was reached; null while it is open."""


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
    """The concern, the same through all its events."""
    pair_id: UUID
    """The pair that this is about."""
    programme_id: UUID
    """The programme that this is part of."""
    raised_by: Role
    """The role that raised it."""
    category: ConcernCategory
    """What it is about."""
    exit_requested: bool
    """True: the pair ends now, without fault, and is never formed again."""
    raised_at: Moment
    """When it was raised."""
    resolved_at: Moment | None = None
    """When it was dealt with; null while it is open."""


class ConcernRaised(ConcernFact):
    """Someone asked for help or for a safe exit."""

    TYPE = "updraft.concern.raised.v1"


class ConcernResolved(ConcernFact):
    """A concern was dealt with."""

    TYPE = "updraft.concern.resolved.v1"
