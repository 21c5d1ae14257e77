"""Every SQL statement of this service: projections, situations, messages, and what mails say."""

from shared.catalogue import (
    ContactUpdated,
    EmployeeUpdated,
    FeedbackGiven,
    GoalReached,
    KpiMeasured,
    MatchRunCompleted,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)
from shared.projections import Projection, Projections

PROJECTIONS = Projections(
    (
        Projection("contacts", ContactUpdated.TOPIC),
        Projection("employees", EmployeeUpdated.TOPIC),
        Projection("programmes", ProgrammeFact.TOPIC, own=("next_digest_at",)),
        Projection("participants", ParticipantFact.TOPIC),
        Projection("pairs", PairFact.TOPIC, own=("next_look_at",)),
        Projection("sessions", SessionFact.TOPIC),
        Projection("pulses", FeedbackGiven.TOPIC),
        Projection("goals", GoalReached.TOPIC),
        Projection("kpis", KpiMeasured.TOPIC),
        Projection("match_runs", MatchRunCompleted.TOPIC),
    )
)
