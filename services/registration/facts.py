"""Domain state as the events that other services read, and pair events as domain state."""

from __future__ import annotations

from typing import TypeVar

from services.registration.domain.concerns import Concern
from services.registration.domain.feedback import Feedback
from services.registration.domain.goals import Goal
from services.registration.domain.pairs import Pair
from services.registration.domain.participation import Participant
from services.registration.domain.sessions import Session
from services.registration.store.programmes import StoredProgramme
from shared.catalogue import (
    ConcernFact,
    FeedbackGiven,
    GoalFact,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
    TopicOffered,
    TopicWanted,
    WorkingHours,
)

P = TypeVar("P", bound=ProgrammeFact)
M = TypeVar("M", bound=ParticipantFact)
S = TypeVar("S", bound=SessionFact)
G = TypeVar("G", bound=GoalFact)
C = TypeVar("C", bound=ConcernFact)


def programme_fact(fact: type[P], stored: StoredProgramme) -> P:
    """The programme's whole state as an event."""
    programme = stored.programme
    return fact(
        **dict(stored.rules),
        programme_id=programme.programme_id,
        version=programme.version,
        status=programme.status,
        changed_at=stored.changed_at,
    )


def participant_fact(fact: type[M], one: Participant) -> M:
    """The participant's whole state as an event."""
    profile = one.profile
    return fact(
        participant_id=one.participant_id,
        programme_id=one.programme_id,
        employee_id=one.employee_id,
        role=one.role,
        status=one.status,
        version=one.version,
        topics_offered=tuple(
            TopicOffered(topic=offer.topic, proficiency=offer.proficiency)
            for offer in profile.topics_offered
        ),
        topics_wanted=tuple(
            TopicWanted(topic=want.topic, priority=want.priority) for want in profile.topics_wanted
        ),
        interests=profile.interests,
        languages=profile.languages,
        timezone=profile.timezone,
        working_hours=WorkingHours(start=profile.works_from, end=profile.works_until),
        capacity=profile.capacity,
        blocks=profile.blocks,
        agreement_version=one.agreement_version,
        invited_at=one.invited_at,
        enrolled_at=one.enrolled_at,
        trained_at=one.trained_at,
        ready_at=one.ready_at,
        withdrawn_at=one.withdrawn_at,
        withdrawn_by=one.withdrawn_by,
        changed_at=one.changed_at,
    )


def session_fact(fact: type[S], one: Session) -> S:
    """The session's whole state as an event."""
    return fact(
        session_id=one.session_id,
        pair_id=one.pair_id,
        programme_id=one.programme_id,
        mentor_employee_id=one.mentor_employee_id,
        mentee_employee_id=one.mentee_employee_id,
        status=one.status,
        version=one.version,
        starts_at=one.starts_at,
        minutes=one.minutes,
        scheduled_by=one.scheduled_by,
        logged_by=one.logged_by,
        logged_at=one.logged_at,
        held=one.held,
        no_show_by=one.no_show_by,
        confirmed_at=one.confirmed_at,
        disputed_at=one.disputed_at,
        cancelled_by=one.cancelled_by,
        cancelled_at=one.cancelled_at,
        changed_at=one.changed_at,
    )


def feedback_fact(one: Feedback) -> FeedbackGiven:
    """The number as an event, without the comment."""
    return FeedbackGiven(
        feedback_id=one.feedback_id,
        pair_id=one.pair_id,
        programme_id=one.programme_id,
        by=one.by,
        by_employee_id=one.by_employee_id,
        kind=one.kind,
        score=one.score,
        session_id=one.session_id,
        topic=one.topic,
        given_at=one.given_at,
    )


def goal_fact(fact: type[G], one: Goal, pair: Pair) -> G:
    """The goal as an event, without its title."""
    return fact(
        goal_id=one.goal_id,
        pair_id=one.pair_id,
        programme_id=pair.programme_id,
        set_by=one.set_by,
        topic=one.topic,
        set_at=one.set_at,
        reached_at=one.reached_at,
    )


def concern_fact(fact: type[C], one: Concern) -> C:
    """The concern as an event, without a word of text."""
    return fact(
        concern_id=one.concern_id,
        pair_id=one.pair_id,
        programme_id=one.programme_id,
        raised_by=one.raised_by,
        category=one.category,
        exit_requested=one.exit_requested,
        raised_at=one.raised_at,
        resolved_at=one.resolved_at,
    )


def pair_of(fact: PairFact) -> Pair:
    """The pair as registration keeps it."""
    return Pair(
        pair_id=fact.pair_id,
        programme_id=fact.programme_id,
        mentor_id=fact.mentor_id,
        mentee_id=fact.mentee_id,
        mentor_employee_id=fact.mentor_employee_id,
        mentee_employee_id=fact.mentee_employee_id,
        status=fact.status,
        version=fact.version,
        awaiting=fact.awaiting,
        asked=frozenset(() if fact.awaiting is None else (fact.awaiting,)),
        topics=fact.topics,
        proposed_at=fact.proposed_at,
        expires_at=fact.expires_at,
        created_at=fact.created_at,
        closed_at=fact.closed_at,
    )
