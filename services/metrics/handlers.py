"""Events in: every fact is remembered once, and its programme marked as out of date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from services.metrics.domain.definitions import BASES
from services.metrics.store import remembering as store
from shared.catalogue import (
    AnswerFact,
    EmployeeUpdated,
    Event,
    FeedbackGiven,
    GoalFact,
    MatchRunCompleted,
    NotificationFact,
    NotificationFailed,
    NotificationSent,
    NotificationSuppressed,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    ProposalAccepted,
    SessionFact,
)
from shared.database import Transaction
from shared.handlers import Handlers

handlers = Handlers()

_OUTCOMES: dict[type[NotificationFact], str] = {
    NotificationSent: "sent",
    NotificationFailed: "failed",
    NotificationSuppressed: "suppressed",
}


@handlers.batch(EmployeeUpdated)
async def remember_employees(events: Sequence[EmployeeUpdated], tx: Transaction) -> None:
    """Keep people's work attributes; every programme counts who could take part."""
    rows = [
        row | {"arrived_at": tx.received_at(event).isoformat()}
        for event, row in zip(events, _rows(events), strict=True)
    ]
    await store.remember_employees(rows, tx)
    erased = [event.employee_id for event in events if event.erased]
    if erased:
        await store.forget_employees(erased, tx)
    await store.mark_all_stale(tx)


@handlers.batch(ProgrammeFact)
async def remember_programmes(events: Sequence[ProgrammeFact], tx: Transaction) -> None:
    """Keep the rules of programmes."""
    newest = {event.programme_id: event for event in sorted(events, key=_version)}
    await store.remember_programmes(_rows(newest.values()), tx)
    await store.mark_stale(newest, tx, BASES)


@handlers.batch(ParticipantFact)
async def remember_participants(events: Sequence[ParticipantFact], tx: Transaction) -> None:
    """Keep who takes part, and since when they were what."""
    await store.remember_participants(_rows(events), tx)
    await store.mark_stale({event.programme_id for event in events}, tx)


@handlers.batch(AnswerFact)
async def remember_answers(events: Sequence[AnswerFact], tx: Transaction) -> None:
    """Keep the answers to proposals."""
    rows = [
        row | {"accepted": isinstance(event, ProposalAccepted)}
        for event, row in zip(events, _rows(events), strict=True)
    ]
    await store.remember_answers(rows, tx)


@handlers.batch(PairFact)
async def remember_pairs(events: Sequence[PairFact], tx: Transaction) -> None:
    """Keep pairs, and since when they were what."""
    await store.remember_pairs(_rows(events), tx)
    await store.mark_stale({event.programme_id for event in events}, tx)


@handlers.batch(SessionFact)
async def remember_sessions(events: Sequence[SessionFact], tx: Transaction) -> None:
    """Keep sessions as they are known now."""
    newest = {event.session_id: event for event in sorted(events, key=_version)}
    await store.remember_sessions(_rows(newest.values()), tx)
    await store.mark_stale({event.programme_id for event in events}, tx)


@handlers.batch(FeedbackGiven)
async def remember_feedback(events: Sequence[FeedbackGiven], tx: Transaction) -> None:
    """Keep the numbers that people gave."""
    await store.remember_feedback(_rows(events), tx)
    await store.mark_stale({event.programme_id for event in events}, tx)


@handlers.batch(GoalFact)
async def remember_goals(events: Sequence[GoalFact], tx: Transaction) -> None:
    """Keep goals, and when they were reached."""
    # Of one goal in one batch, the event that says that it was reached comes last.
    newest = {event.goal_id: event for event in sorted(events, key=_reached)}
    await store.remember_goals(_rows(newest.values()), tx)
    await store.mark_stale({event.programme_id for event in events}, tx)


@handlers.batch(MatchRunCompleted)
async def remember_match_runs(events: Sequence[MatchRunCompleted], tx: Transaction) -> None:
    """Keep how many a run paired and how many it left waiting."""
    await store.remember_match_runs(_rows(events), tx)


@handlers.batch(NotificationFact)
async def remember_notifications(events: Sequence[NotificationFact], tx: Transaction) -> None:
    """Keep what became of messages."""
    rows = [
        row | {"outcome": _OUTCOMES[type(event)]}
        for event, row in zip(events, _rows(events), strict=True)
    ]
    await store.remember_notifications(rows, tx)
    await store.mark_stale({event.programme_id for event in events if event.programme_id}, tx)


def _rows(events: Iterable[Event]) -> list[dict[str, Any]]:
    return [event.model_dump(mode="json") for event in events]


def _version(event: ProgrammeFact | SessionFact) -> int:
    return event.version


def _reached(event: GoalFact) -> bool:
    return event.reached_at is not None
