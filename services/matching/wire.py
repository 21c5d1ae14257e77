"""From what matching decided to the events that say so."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime

from services.matching.domain.pairs import Pair, Status
from services.matching.domain.result import Result
from shared.catalogue import (
    Contribution,
    MatchRunCompleted,
    PairCompleted,
    PairCreated,
    PairDeclined,
    PairEnded,
    PairExpired,
    PairFact,
    PairPaused,
    PairProposed,
    PairResumed,
    Unmatched,
)

_EVENTS: dict[Status, type[PairFact]] = {
    "proposed": PairProposed,
    "active": PairCreated,
    "paused": PairPaused,
    "completed": PairCompleted,
    "ended": PairEnded,
    "declined": PairDeclined,
    "expired": PairExpired,
}
_OURS_ALONE = {"broken_rule", "active_since", "breakdown"}


def pair_event(before: Pair | None, after: Pair) -> PairFact:
    """The fact that a pair went from one state to the next; `before` None: it is new."""
    resumed = before is not None and before.status == "paused" and after.status == "active"
    event = PairResumed if resumed else _EVENTS[after.status]
    values = {
        field.name: getattr(after, field.name)
        for field in fields(after)
        if field.name not in _OURS_ALONE
    }
    breakdown = tuple(Contribution(**asdict(part)) for part in after.breakdown)
    return event(**values, breakdown=breakdown)


def run_completed(
    result: Result,
    *,
    run_id: object,
    programme_id: object,
    programme_version: int,
    trigger: str,
    proposed: int,
    mentees_waiting: int,
    mentors_waiting: int,
    objective: float,
    input_hash: str,
    started_at: datetime,
    completed_at: datetime,
) -> MatchRunCompleted:
    """The fact that a run ended, with everybody whom it left without a partner."""
    return MatchRunCompleted.model_validate(
        {
            "run_id": run_id,
            "programme_id": programme_id,
            "programme_version": programme_version,
            "trigger": trigger,
            "proposed": proposed,
            "mentees_waiting": mentees_waiting,
            "mentors_waiting": mentors_waiting,
            "objective": objective,
            "input_hash": input_hash,
            "unmatched": tuple(Unmatched(**asdict(each)) for each in result.unmatched),
            "started_at": started_at,
            "completed_at": completed_at,
        }
    )
