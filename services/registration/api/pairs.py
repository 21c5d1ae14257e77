"""Pairs: answers to proposals, bookings, feedback, goals and concerns."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.registration import answering, exchange, meetings
from services.registration.api.answers import (
    Manager,
    Participant,
    ParticipantOrManager,
    ParticipantOrOverseer,
    oversees,
    participant_id_of,
    person,
)
from services.registration.api.views import (
    AnswerBody,
    AnswerView,
    Booking,
    ConcernBody,
    ConcernView,
    FeedbackBody,
    FeedbackView,
    GoalBody,
    GoalView,
    OwnConcernView,
    PairDetailView,
    PairView,
    ResolutionBody,
    SessionView,
    UnbookedSession,
)
from services.registration.domain.pairs import Pair
from services.registration.domain.programmes import Role
from services.registration.domain.rules import Unknown
from services.registration.store import feedback, people, sessions
from services.registration.store import pairs as pair_rows
from shared.database import Transaction
from shared.http import Principal, Tx, new_router

router = new_router("pairs")


async def _seen_pair(
    tx: Transaction, pair_id: UUID, who: Principal, *, lock: bool = False
) -> tuple[Pair, Role | None]:
    """The pair and the principal's side; None for an overseer. Raises Unknown."""
    try:
        return await answering.own_pair(tx, pair_id, person(who), lock=lock)
    except Unknown:
        pair = await pair_rows.pair(tx.connection, pair_id, lock=lock)
        # Who belongs to a pair and does not know of it yet learns nothing as an overseer either.
        if pair is None or not oversees(who) or pair.role_of(person(who) or ""):
            raise
        return pair, None


@router.get("/pairs/{pair_id}", summary="Show a pair")
async def show_pair(pair_id: UUID, tx: Tx, who: ParticipantOrOverseer) -> PairDetailView:
    """The pair with its sessions; its own sides also see its goals."""
    pair, role = await _seen_pair(tx, pair_id, who)
    names = await people.names(tx.connection, [pair.counterpart_of(role)] if role else [])
    goals = await feedback.goals_of_pair(tx.connection, pair_id) if role else None
    return PairDetailView(
        **dict(PairView.of(pair, role, names)),
        sessions=[
            SessionView.of(session)
            for session in await sessions.sessions_of_pairs(tx.connection, [pair_id])
        ],
        goals=None if goals is None else [GoalView.of(goal) for goal in goals],
    )


@router.post("/pairs/{pair_id}/answers", summary="Answer a proposal")
async def answer(pair_id: UUID, body: AnswerBody, tx: Tx, who: ParticipantOrManager) -> AnswerView:
    """Only whoever is awaited may answer, in time and once; the same answer again is no news."""
    pair, role = await _seen_pair(tx, pair_id, who, lock=True)
    said = await answering.answer(tx, pair, role or "manager", body.answer)
    return AnswerView.model_validate(said)


@router.post("/pairs/{pair_id}/sessions", status_code=201, summary="Book a session")
async def schedule(pair_id: UUID, body: Booking, tx: Tx, who: Participant) -> SessionView:
    """Books a session of an active pair; sessions of a pair never overlap."""
    return SessionView.of(
        await meetings.schedule(tx, pair_id, participant_id_of(who), body.starts_at, body.minutes)
    )


@router.post("/pairs/{pair_id}/session-logs", status_code=201, summary="Log an unbooked session")
async def log_unbooked(
    pair_id: UUID, body: UnbookedSession, tx: Tx, who: Participant
) -> SessionView:
    """Logs a session that was held without a booking; the other side is asked to confirm."""
    return SessionView.of(
        await meetings.log_unbooked(
            tx, pair_id, participant_id_of(who), body.started_at, body.minutes
        )
    )


@router.post("/pairs/{pair_id}/feedback", status_code=201, summary="Give feedback")
async def give_feedback(
    pair_id: UUID, body: FeedbackBody, tx: Tx, who: Participant
) -> FeedbackView:
    """One pulse per session, one nps and fit per pair, one skill rating per topic, each before
    and after. The comment is never passed on."""
    return FeedbackView.of(
        await exchange.give_feedback(
            tx,
            pair_id,
            participant_id_of(who),
            kind=body.kind,
            score=body.score,
            session_id=body.session_id,
            topic=body.topic,
            comment=body.comment,
        )
    )


@router.post("/pairs/{pair_id}/goals", status_code=201, summary="Set a goal")
async def set_goal(pair_id: UUID, body: GoalBody, tx: Tx, who: Participant) -> GoalView:
    """Sets a goal that only the pair reads."""
    return GoalView.of(
        await exchange.set_goal(tx, pair_id, participant_id_of(who), body.title, body.topic)
    )


@router.post("/goals/{goal_id}/reached", summary="Reach a goal")
async def reach_goal(goal_id: UUID, tx: Tx, who: Participant) -> GoalView:
    """Either side may say so. Twice is once."""
    return GoalView.of(await exchange.reach_goal(tx, goal_id, participant_id_of(who)))


@router.post("/pairs/{pair_id}/concerns", status_code=201, summary="Raise a concern")
async def raise_concern(
    pair_id: UUID, body: ConcernBody, tx: Tx, who: Participant
) -> OwnConcernView:
    """Asks for help or for a safe exit. Only a programme manager sees it, never the other side."""
    return OwnConcernView.of(
        await exchange.raise_concern(
            tx,
            pair_id,
            participant_id_of(who),
            category=body.category,
            exit_requested=body.exit_requested,
            text=body.text,
        )
    )


@router.get("/concerns", summary="List concerns")
async def list_concerns(
    tx: Tx,
    who: Manager,
    unresolved: Annotated[bool, Query(description="Only those that wait for somebody.")] = False,
) -> list[ConcernView]:
    """Oldest first. A programme manager does not see those about a pair of their own."""
    found = await feedback.concerns(tx.connection, unresolved_only=unresolved)
    about_me = await _own_pairs(tx, who)
    return [ConcernView.of(one) for one in found if one.pair_id not in about_me]


@router.post("/concerns/{concern_id}/resolution", summary="Resolve a concern")
async def resolve_concern(
    concern_id: UUID, body: ResolutionBody, tx: Tx, who: Manager
) -> ConcernView:
    """Records that a concern was dealt with; the first resolution stays."""
    concern = await feedback.concern(tx.connection, concern_id)
    if concern is None or concern.pair_id in await _own_pairs(tx, who):
        raise Unknown("concern")
    return ConcernView.of(await exchange.resolve_concern(tx, concern_id, body.resolution))


async def _own_pairs(tx: Transaction, who: Principal) -> set[UUID]:
    if who.employee_id is None:
        return set()
    return {
        one.pair_id for one in await pair_rows.pairs_of_employee(tx.connection, who.employee_id)
    }
