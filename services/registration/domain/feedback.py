"""What a number that somebody gives may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.registration.domain.pairs import Pair, check_formed
from services.registration.domain.programmes import Role
from services.registration.domain.rules import Invalid, RuleBroken
from services.registration.domain.sessions import Session

Kind = Literal["pulse", "nps", "fit", "skill_before", "skill_after"]
_RANGES: dict[Kind, tuple[int, int]] = {
    "pulse": (1, 5),
    "nps": (0, 10),
    "fit": (1, 5),
    "skill_before": (1, 5),
    "skill_after": (1, 5),
}


@dataclass(frozen=True, slots=True)
class Feedback:
    """One number that one side gave; the comment never leaves registration."""

    feedback_id: UUID
    pair_id: UUID
    programme_id: UUID
    by: Role
    by_employee_id: str
    kind: Kind
    score: int
    session_id: UUID | None
    topic: str | None
    comment: str | None
    given_at: datetime


def check_feedback(
    pair: Pair, session: Session | None, kind: Kind, score: int, topic: str | None
) -> None:
    """Raises Invalid or RuleBroken for a number that means nothing.

    `session` is the one that the feedback names; None: it names none.
    """
    check_formed(pair)
    lowest, highest = _RANGES[kind]
    if not lowest <= score <= highest:
        raise Invalid(
            "score",
            f"Is outside the range of {kind}.",
            f"Send a whole number from {lowest} to {highest}.",
        )
    if kind.startswith("skill_") != (topic is not None):
        raise Invalid(
            "topic", "Belongs to a skill rating, and only there.", "Send the topic that was rated."
        )
    if (kind == "pulse") != (session is not None):
        raise Invalid(
            "session_id",
            "Belongs to a pulse, and only there.",
            "Send the session that the pulse is about.",
        )
    if session is not None and not (
        session.status in ("logged", "confirmed") and session.held is True
    ):
        raise RuleBroken(
            "session_id",
            "The session is not known to have taken place.",
            "Log the session first.",
        )


def already_given(kind: Kind) -> RuleBroken:
    """The rule that is broken by a second number on the same thing."""
    about = {
        "pulse": "session",
        "nps": "pair",
        "fit": "pair",
        "skill_before": "topic",
        "skill_after": "topic",
    }[kind]
    return RuleBroken(
        "kind", f"You gave your {kind} for this {about} already.", "One is enough; it is kept."
    )
