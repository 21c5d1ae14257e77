"""Answers and pairs: what people say to a proposal, and what matching decides."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.catalogue.types import EmployeeId, Event, Model, Moment, Role, Text

Answerer = Literal["mentor", "mentee", "manager"]


class AnswerFact(Event):
    """Base of answers to a proposal."""

    TOPIC = "updraft.answers"
    KEY = "pair_id"

    pair_id: UUID
    programme_id: UUID
    by: Answerer
    answered_at: Moment


class ProposalAccepted(AnswerFact):
    """One side, or the manager, said yes."""

    TYPE = "updraft.proposal.accepted.v1"


class ProposalDeclined(AnswerFact):
    """One side, or the manager, said no; the counterpart never learns who or why."""

    TYPE = "updraft.proposal.declined.v1"


class Contribution(Model):
    """What one soft factor adds to a pair's score."""

    factor: Text
    weight: float
    value: Annotated[float, Field(ge=0, le=1)]
    points: float
    """weight × value; the points of a pair sum to its score."""
    detail: str = ""
    """Plain words, e.g. the topics covered."""


PairStatus = Literal["proposed", "active", "paused", "completed", "ended", "declined", "expired"]
EndReason = Literal[
    "leaver",
    "withdrawn",
    "reporting_line",
    "level_gap",
    "over_capacity",
    "blocked",
    "no_common_language",
    "conflict",
    "no_fit",
    "inactive",
    "safeguard",
    "programme_closed",
    "admin",
]


class PairFact(Event):
    """Base of all pair events: the pair's whole state after the fact."""

    TOPIC = "updraft.pairs"
    KEY = "pair_id"

    pair_id: UUID
    programme_id: UUID
    mentor_id: UUID
    """Participant id of the mentor (junior)."""
    mentee_id: UUID
    mentor_employee_id: EmployeeId
    mentee_employee_id: EmployeeId
    status: PairStatus
    version: int
    awaiting: Answerer | None = None
    """Whose answer a proposed pair waits for."""
    score: Annotated[float, Field(ge=0, le=100)] = 0
    breakdown: tuple[Contribution, ...] = ()
    topics: tuple[Text, ...] = ()
    """Topics that the mentor offers and the mentee wants."""
    cross_department: bool = True
    run_id: UUID | None = None
    programme_version: int = 1
    proposed_at: Moment
    asked_at: Moment | None = None
    """When the answer that is awaited was asked for."""
    expires_at: Moment | None = None
    created_at: Moment | None = None
    """When the pair became active for the first time."""
    paused_at: Moment | None = None
    paused_days: float = 0
    """Days spent in pauses that are over."""
    closed_at: Moment | None = None
    reason: EndReason | None = None
    left_by: Role | None = None
    """For reason leaver or withdrawn: the role that left."""
    changed_at: Moment


class PairProposed(PairFact):
    """A pair was proposed, or the next person is asked for the answer (`awaiting`)."""

    TYPE = "updraft.pair.proposed.v1"


class PairCreated(PairFact):
    """All needed answers are yes: the pair is active."""

    TYPE = "updraft.pair.created.v1"


class PairDeclined(PairFact):
    """A no; the pair is never proposed again."""

    TYPE = "updraft.pair.declined.v1"


class PairExpired(PairFact):
    """Nobody answered in time, or a side became unavailable while proposed."""

    TYPE = "updraft.pair.expired.v1"


class PairPaused(PairFact):
    """A side is on leave or paused."""

    TYPE = "updraft.pair.paused.v1"


class PairResumed(PairFact):
    """Both sides are back."""

    TYPE = "updraft.pair.resumed.v1"


class PairCompleted(PairFact):
    """The pair reached the end of the programme."""

    TYPE = "updraft.pair.completed.v1"


class PairEnded(PairFact):
    """The pair ended early, with a reason."""

    TYPE = "updraft.pair.ended.v1"


class Unmatched(Model):
    """A person whom a run left without a partner."""

    participant_id: UUID
    role: Role
    reasons: dict[str, int] = Field(default_factory=dict)
    """Rule → number of counterparts that it excludes; each counterpart is counted once, under
    the first rule that excludes it. `capacity`: admissible, but taken by others."""


class MatchRunCompleted(Event):
    """A matching run ended: who was paired, who was not and why."""

    TYPE = "updraft.match-run.completed.v1"
    TOPIC = "updraft.match-runs"
    KEY = "programme_id"

    run_id: UUID
    programme_id: UUID
    programme_version: int
    trigger: Text
    proposed: int
    mentees_waiting: int
    mentors_waiting: int
    objective: float
    """Sum of the proposed pairs' scores."""
    input_hash: str
    unmatched: tuple[Unmatched, ...] = ()
    started_at: Moment
    completed_at: Moment
