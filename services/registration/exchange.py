"""What people tell about a pair: feedback, goals and concerns."""

from __future__ import annotations

from uuid import UUID

from services.registration import facts
from services.registration.answering import own_pair
from services.registration.domain import concerns, goals
from services.registration.domain.concerns import Category, Concern
from services.registration.domain.feedback import Feedback, Kind, already_given, check_feedback
from services.registration.domain.goals import Goal
from services.registration.domain.pairs import check_formed
from services.registration.domain.rules import Unknown
from services.registration.store import feedback, sessions
from shared.catalogue import ConcernRaised, ConcernResolved, GoalReached, GoalSet
from shared.database import Transaction
from shared.ids import new_id


async def give_feedback(
    tx: Transaction,
    pair_id: UUID,
    employee_id: str,
    *,
    kind: Kind,
    score: int,
    session_id: UUID | None = None,
    topic: str | None = None,
    comment: str | None = None,
) -> Feedback:
    """Record a number; the comment stays here."""
    pair, role = await own_pair(tx, pair_id, employee_id)
    session = None
    if session_id is not None:
        session = await sessions.session(tx.connection, session_id)
        if session is None or session.pair_id != pair_id:
            raise Unknown("session")
    check_feedback(pair, session, kind, score, topic)
    given = Feedback(
        feedback_id=new_id(tx.now),
        pair_id=pair_id,
        programme_id=pair.programme_id,
        by=role,
        by_employee_id=employee_id,
        kind=kind,
        score=score,
        session_id=session_id,
        topic=topic,
        comment=comment,
        given_at=tx.now,
    )
    if not await feedback.record_feedback(tx.connection, given):
        raise already_given(kind)
    tx.publish(facts.feedback_fact(given))
    return given


async def set_goal(
    tx: Transaction, pair_id: UUID, employee_id: str, title: str, topic: str | None
) -> Goal:
    """Set a goal for the pair."""
    pair, role = await own_pair(tx, pair_id, employee_id)
    check_formed(pair)
    goal = Goal(
        goal_id=new_id(tx.now),
        pair_id=pair_id,
        set_by=role,
        set_by_employee_id=employee_id,
        title=title,
        topic=topic,
        set_at=tx.now,
    )
    await feedback.save_goal(tx.connection, goal)
    tx.publish(facts.goal_fact(GoalSet, goal, pair))
    return goal


async def reach_goal(tx: Transaction, goal_id: UUID, employee_id: str | None) -> Goal:
    """Record that a goal was reached, as either side may say."""
    goal = await feedback.goal(tx.connection, goal_id)
    if goal is None:
        raise Unknown("goal")
    try:
        pair, _ = await own_pair(tx, goal.pair_id, employee_id)
    except Unknown:
        raise Unknown("goal") from None
    reached = goals.reach(goal, tx.now)
    if reached is not goal:
        await feedback.save_goal(tx.connection, reached)
        tx.publish(facts.goal_fact(GoalReached, reached, pair))
    return reached


async def raise_concern(
    tx: Transaction,
    pair_id: UUID,
    employee_id: str,
    *,
    category: Category,
    exit_requested: bool,
    text: str | None,
) -> Concern:
    """Ask for help or for a safe exit; only a programme manager ever sees it."""
    pair, role = await own_pair(tx, pair_id, employee_id)
    concern = Concern(
        concern_id=new_id(tx.now),
        pair_id=pair_id,
        programme_id=pair.programme_id,
        raised_by=role,
        raised_by_employee_id=employee_id,
        category=category,
        exit_requested=exit_requested,
        text=text,
        raised_at=tx.now,
    )
    await feedback.save_concern(tx.connection, concern)
    tx.publish(facts.concern_fact(ConcernRaised, concern))
    return concern


async def resolve_concern(tx: Transaction, concern_id: UUID, resolution: str | None) -> Concern:
    """Record that a concern was dealt with."""
    concern = await feedback.concern(tx.connection, concern_id)
    if concern is None:
        raise Unknown("concern")
    resolved = concerns.resolve(concern, resolution, tx.now)
    if resolved is not concern:
        await feedback.save_concern(tx.connection, resolved)
        tx.publish(facts.concern_fact(ConcernResolved, resolved))
    return resolved
