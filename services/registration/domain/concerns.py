"""Concerns: restricted, seen by the programme manager alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.registration.domain.programmes import Role

Category = Literal["no_fit", "conflict", "safeguard", "other"]


@dataclass(frozen=True, slots=True)
class Concern:
    """A request for help or for a safe exit; its texts never leave registration."""

    concern_id: UUID
    pair_id: UUID
    programme_id: UUID
    raised_by: Role
    raised_by_employee_id: str
    category: Category
    exit_requested: bool
    text: str | None
    raised_at: datetime
    resolution: str | None = None
    resolved_at: datetime | None = None


def resolve(concern: Concern, resolution: str | None, now: datetime) -> Concern:
    """The concern, dealt with. Idempotent: the first resolution stays."""
    if concern.resolved_at is not None:
        return concern
    return replace(concern, resolution=resolution, resolved_at=now)
