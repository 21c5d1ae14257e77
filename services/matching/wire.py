"""From what matching decided to the events that say so."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

from services.matching.domain.pairs import Pair, Status
from services.matching.store.runs import Finding, Run
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
    breakdown = tuple(
        Contribution.model_validate(part, from_attributes=True) for part in after.breakdown
    )
    return event(**values, breakdown=breakdown)


def run_completed(run: Run, found: Finding, completed_at: datetime) -> MatchRunCompleted:
    """The fact that a run ended, with people whom it left without a partner."""
    return MatchRunCompleted(
        run_id=run.run_id,
        programme_id=run.programme_id,
        programme_version=found.programme_version,
        trigger=run.trigger,
        proposed=found.proposed,
        mentees_waiting=found.mentees_waiting,
        mentors_waiting=found.mentors_waiting,
        objective=found.objective,
        input_hash=found.input_hash,
        gap=found.gap,
        covered=found.covered,
        coverable=found.coverable,
        # Not by `asdict`, whose copies of 2,000 people hold up everybody else for a while.
        unmatched=tuple(
            Unmatched(participant_id=each.participant_id, role=each.role, reasons=each.reasons)
            for each in found.unmatched
        ),
        started_at=run.started_at,
        completed_at=completed_at,
    )
