"""Pairs as matching decides them: who belongs to one, who sees it, and who may answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.registration.domain.programmes import Role
from services.registration.domain.rules import Overtaken, RuleBroken

PairStatus = Literal["proposed", "active", "paused", "completed", "ended", "declined", "expired"]
Answerer = Literal["mentor", "mentee", "manager"]
LIVING: tuple[PairStatus, ...] = ("proposed", "active", "paused")


@dataclass(frozen=True, slots=True)
class Pair:
    """The newest state of a pair that reached us."""

    pair_id: UUID
    programme_id: UUID
    mentor_id: UUID
    mentee_id: UUID
    mentor_employee_id: str
    mentee_employee_id: str
    status: PairStatus
    version: int
    awaiting: Answerer | None
    asked: frozenset[Answerer]
    """Everybody who was asked so far."""
    topics: tuple[str, ...]
    proposed_at: datetime
    expires_at: datetime | None
    created_at: datetime | None
    closed_at: datetime | None

    def role_of(self, employee_id: str) -> Role | None:
        """The side of an employee; None for outsiders."""
        if employee_id == self.mentor_employee_id:
            return "mentor"
        return "mentee" if employee_id == self.mentee_employee_id else None

    def counterpart_of(self, role: Role) -> str:
        """Employee id of the other side."""
        return self.mentee_employee_id if role == "mentor" else self.mentor_employee_id

    def shown_to(self, role: Role) -> bool:
        """Whether a side knows of the pair: a no of the first asked stays unknown to the other."""
        return self.created_at is not None or role in self.asked

    def status_for_members(self) -> str:
        """The status in words that never tell who said no."""
        return "not_formed" if self.status in ("declined", "expired") else self.status


def check_answerable(pair: Pair, by: Answerer, now: datetime) -> None:
    """Raises Overtaken or RuleBroken unless the pair waits for just this answer."""
    if pair.status != "proposed":
        raise Overtaken(
            "answer", "This proposal is not open any more.", "Nothing is left to be done."
        )
    if pair.expires_at is not None and now >= pair.expires_at:
        raise Overtaken(
            "answer",
            "The time to answer this proposal is over.",
            "Wait for the next proposal; it comes by itself.",
        )
    if pair.awaiting != by:
        raise RuleBroken(
            "answer",
            "It is somebody else's turn to answer.",
            "Wait until you are asked.",
        )


def check_formed(pair: Pair) -> None:
    """Raises RuleBroken for a pair that never became active."""
    if pair.created_at is None:
        raise RuleBroken(
            "pair_id", "The pair is not formed yet.", "Wait until both sides have accepted."
        )
