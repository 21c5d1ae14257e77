"""The life of a pair: proposed, active, paused, and closed for one of several reasons.

Each step is a function from a pair to the pair after it, or None where the step has no effect:
an answer from the wrong side, a second answer, anything that comes after the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from services.matching.domain.people import Approval, Role
from services.matching.domain.scoring import Contribution

Status: TypeAlias = Literal[
    "proposed", "active", "paused", "completed", "ended", "declined", "expired"
]
Answerer: TypeAlias = Literal["mentor", "mentee", "manager"]
EndReason: TypeAlias = Literal[
    "leaver",
    "withdrawn",
    "reporting_line",
    "level_gap",
    "over_capacity",
    "blocked",
    "no_common_language",
    "conflict",
    "no_fit",
    "inactive",
    "safeguard",
    "programme_closed",
    "admin",
]

LIVING: frozenset[Status] = frozenset({"proposed", "active", "paused"})

_FIRST_ASKED: dict[Approval, Answerer | None] = {
    "both": "mentee",
    "manager": "manager",
    "automatic": None,
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people and what has become of them; `version` rises with every step."""

    pair_id: UUID
    programme_id: UUID
    mentor_id: UUID
    mentee_id: UUID
    mentor_employee_id: str
    mentee_employee_id: str
    status: Status
    version: int
    proposed_at: datetime
    changed_at: datetime
    awaiting: Answerer | None = None
    score: float = 0.0
    breakdown: tuple[Contribution, ...] = ()
    topics: tuple[str, ...] = ()
    cross_department: bool = True
    run_id: UUID | None = None
    programme_version: int = 1
    asked_at: datetime | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None
    paused_at: datetime | None = None
    paused_days: float = 0.0
    closed_at: datetime | None = None
    reason: EndReason | None = None
    left_by: Role | None = None
    broken_rule: str | None = None
    """Ours alone: the rule that ended or expired the pair."""
    active_since: datetime | None = None
    """When it became active or was last resumed; silence is counted from here."""

    @property
    def living(self) -> bool:
        """Whether the pair occupies its seats."""
        return self.status in LIVING

    @property
    def formed(self) -> bool:
        """Whether the pair is past its proposal and not over."""
        return self.status in ("active", "paused")


def proposed(draft: Pair, approval: Approval, expiry: timedelta) -> Pair:
    """The first state of a pair: asks whom the programme's rule names, or is active at once."""
    first = _FIRST_ASKED[approval]
    if first is None:
        now = draft.changed_at
        return replace(draft, status="active", created_at=now, active_since=now)
    return _asking(draft, first, draft.changed_at, expiry)


def is_last_answer(pair: Pair, by: Answerer) -> bool:
    """Whether a yes from `by` now would form the pair."""
    return pair.status == "proposed" and pair.awaiting == by and by in ("mentor", "manager")


def accepted(pair: Pair, by: Answerer, now: datetime, expiry: timedelta) -> Pair | None:
    """A yes of the one who was asked: the next is asked, or the pair is formed."""
    if pair.status != "proposed" or pair.awaiting != by:
        return None
    if is_last_answer(pair, by):
        return _after(
            pair, now, status="active", awaiting=None, expires_at=None, created_at=now,
            active_since=now,
        )  # fmt: skip
    return _asking(replace(pair, version=pair.version + 1), "mentor", now, expiry)


def declined(pair: Pair, by: Answerer, approval: Approval, now: datetime) -> Pair | None:
    """A no: of either person at any time while proposed, of the manager where they decide."""
    if pair.status != "proposed" or (by == "manager" and approval != "manager"):
        return None
    return _closed(pair, now, "declined")


def in_time(pair: Pair, answered_at: datetime) -> bool:
    """Whether an answer was given before the proposal expired."""
    return pair.expires_at is None or answered_at <= pair.expires_at


def expired(pair: Pair, now: datetime, broken_rule: str | None = None) -> Pair | None:
    """Nobody answered in time, or a rule broke while proposed."""
    if pair.status != "proposed":
        return None
    return replace(_closed(pair, now, "expired"), broken_rule=broken_rule)


def paused(pair: Pair, now: datetime) -> Pair | None:
    """A side is away."""
    if pair.status != "active":
        return None
    return _after(pair, now, status="paused", paused_at=now)


def resumed(pair: Pair, now: datetime) -> Pair | None:
    """Both sides are back."""
    if pair.status != "paused":
        return None
    return replace(_out_of_pause(pair, now), status="active", active_since=now)


def completed(pair: Pair, now: datetime) -> Pair | None:
    """The programme is over: a formed pair has reached its end, a proposal lapses."""
    if not pair.formed:
        return expired(pair, now)
    return _closed(_without_pause(pair, now), now, "completed")


def ended(
    pair: Pair, reason: EndReason, now: datetime, *, left_by: Role | None = None
) -> Pair | None:
    """The pair is over early; a proposal lapses instead."""
    if not pair.formed:
        return expired(pair, now, reason)
    closed = _closed(_without_pause(pair, now), now, "ended")
    return replace(closed, reason=reason, left_by=left_by, broken_rule=reason)


def _asking(pair: Pair, whom: Answerer, now: datetime, expiry: timedelta) -> Pair:
    return replace(
        pair,
        status="proposed",
        awaiting=whom,
        asked_at=now,
        expires_at=now + expiry,
        changed_at=now,
    )


def _after(pair: Pair, now: datetime, **changes: object) -> Pair:
    return replace(pair, version=pair.version + 1, changed_at=now, **changes)  # type: ignore[arg-type]


def _out_of_pause(pair: Pair, now: datetime) -> Pair:
    return replace(_without_pause(pair, now), version=pair.version + 1, changed_at=now)


def _without_pause(pair: Pair, now: datetime) -> Pair:
    """The pause, if any, added to the days paused."""
    if pair.paused_at is None:
        return pair
    days = max(0.0, (now - pair.paused_at).total_seconds() / 86_400)
    return replace(pair, paused_at=None, paused_days=pair.paused_days + days)


def _closed(pair: Pair, now: datetime, status: Status) -> Pair:
    return _after(pair, now, status=status, awaiting=None, expires_at=None, closed_at=now)
