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
    """The pair proposed."""
    programme_id: UUID
    """The programme that this is part of."""
    by: Answerer
    """Who answered."""
    answered_at: Moment
    """When they answered; matching decides by it whether in time."""


class ProposalAccepted(AnswerFact):
    """One side, or the manager, said yes."""

    TYPE = "updraft.proposal.accepted.v1"


class ProposalDeclined(AnswerFact):
    """One side, or the manager, said no; the counterpart never learns who or why."""

    TYPE = "updraft.proposal.declined.v1"


class Contribution(Model):
    """What one soft factor adds to a pair's score."""

    factor: Text
    """Name of the factor, as in the programme's weights."""
    weight: float
    """Most points that the factor can add."""
    value: Annotated[float, Field(ge=0, le=1)]
    """How well the two fit by this factor, in [0, 1]."""
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
    """The pair, the same through all its events."""
    programme_id: UUID
    """The programme that this is part of."""
    mentor_id: UUID
    """Participant id of the mentor (junior)."""
    mentee_id: UUID
    """Participant id of the mentee (senior)."""
    mentor_employee_id: EmployeeId
    """Employee id of the mentor."""
    mentee_employee_id: EmployeeId
    """Employee id of the mentee."""
    status: PairStatus
    """The state after the fact."""
    version: int
    """Rises with every change of the aggregate; readers keep the highest."""
    awaiting: Answerer | None = None
    """Whose answer a proposed pair waits for."""
    score: Annotated[float, Field(ge=0, le=100)] = 0
    """How well the two fit, 0 to 100."""
    breakdown: tuple[Contribution, ...] = ()
    """What each factor added to the score."""
    topics: tuple[Text, ...] = ()
    """Topics that the mentor offers and the mentee wants."""
    cross_department: bool = True
    """Whether the two work in different departments."""
    run_id: UUID | None = None
    """The match run that proposed the pair."""
    programme_version: int = 1
    """The version of the programme's rules that it was decided by."""
    proposed_at: Moment
    """When it was proposed first."""
    asked_at: Moment | None = None
    """When the answer that is awaited was asked for."""
    expires_at: Moment | None = None
    """When the proposal lapses without an answer."""
    created_at: Moment | None = None
    """When the pair became active for the first time."""
    paused_at: Moment | None = None
    """When the pause that lasts began."""
    paused_days: float = 0
    """Days spent in pauses that are over."""
    closed_at: Moment | None = None
    """When the pair was declined, expired, completed or ended."""
    reason: EndReason | None = None
    """Why the pair ended early, or why a proposal lapsed before its answer."""
    left_by: Role | None = None
    """For reason leaver or withdrawn: the role that left."""
    changed_at: Moment
    """When the fact happened."""


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
    """The person's participation."""
    role: Role
    """What the person would be in a pair."""
    reasons: dict[str, int] = Field(default_factory=dict)
    """Rule → number of counterparts that it excludes; each counterpart is counted once, under
    the first rule that excludes it. `capacity`: admissible, but taken by others."""


class MatchRunCompleted(Event):
    """A matching run ended: who was paired, who was not and why."""

    TYPE = "updraft.match-run.completed.v1"
    TOPIC = "updraft.match-runs"
    KEY = "programme_id"

    run_id: UUID
    """The run."""
    programme_id: UUID
    """The programme matched."""
    programme_version: int
    """The version of the programme's rules that it went by."""
    trigger: Text
    """What asked for the run, such as `participant_ready`."""
    proposed: int
    """Pairs proposed."""
    mentees_waiting: int
    """Mentees left without a partner."""
    mentors_waiting: int
    """Mentors left without a partner."""
    objective: float
    """Sum of the proposed pairs' scores."""
    input_hash: str
    """Digest of everything that the result depends on; the same input gives the same pairs."""
    gap: float | None = None
    """How far from the best the result may be, as a share; 0 is a proof that there is no better."""
    covered: int | None = None
    """Mentees without a partner before for whom the run found one."""
    coverable: int | None = None
    """Mentees without a partner before whom any pairing could serve at most."""
    unmatched: tuple[Unmatched, ...] = ()
    """Who was left without a partner, and why: 2,000 people at most, by participant id."""
    started_at: Moment
    """When the run began."""
    completed_at: Moment
    """When it was stored."""
