"""Every SQL statement of metrics: facts in, facts out, measures."""

from services.metrics.store.remembering import count_arrivals, mark_all_stale
from shared.catalogue import (
    AnswerFact,
    EmployeeUpdated,
    FeedbackGiven,
    GoalFact,
    MatchRunCompleted,
    NotificationFact,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)
from shared.database import Transaction
from shared.projections import Projection, Projections


async def _follow(tx: Transaction) -> None:
    await count_arrivals(tx)
    await mark_all_stale(tx)


PROJECTIONS = Projections(
    (
        Projection("programmes", ProgrammeFact.TOPIC),
        Projection(
            "employee_states",
            EmployeeUpdated.TOPIC,
            own=("arrived_at", "lag_seconds"),
            outlives_records=True,
        ),
        Projection("participant_states", ParticipantFact.TOPIC),
        Projection("pair_states", PairFact.TOPIC),
        Projection("answers", AnswerFact.TOPIC),
        Projection("sessions", SessionFact.TOPIC),
        Projection("feedback", FeedbackGiven.TOPIC),
        Projection("goals", GoalFact.TOPIC),
        Projection("match_runs", MatchRunCompleted.TOPIC),
        Projection("notifications", NotificationFact.TOPIC),
    ),
    after=_follow,
)
