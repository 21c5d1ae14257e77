"""Goals that a pair sets itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.registration.domain.programmes import Role


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal; its title never leaves registration."""

    goal_id: UUID
    pair_id: UUID
    set_by: Role
    set_by_employee_id: str
    title: str
    topic: str | None
    set_at: datetime
    reached_at: datetime | None = None


def reach(goal: Goal, now: datetime) -> Goal:
    """The goal, reached. Idempotent: the first moment stays."""
    return goal if goal.reached_at is not None else replace(goal, reached_at=now)
