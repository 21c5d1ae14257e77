"""What a change in the world does to the pairs that live: keep, pause, resume or end them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from services.matching.domain import pairs
from services.matching.domain.pairs import EndReason, Pair
from services.matching.domain.people import Person, Programme, Role
from services.matching.domain.rules import (
    OF_THE_PAIR_ITSELF,
    blocked,
    broken_rule,
    no_common_language,
    reporting_line,
)

TOLERATED_WHILE_PROPOSED = OF_THE_PAIR_ITSELF | {"chain_unknown"}
"""An unknown manager may only be late news; the last acceptance waits for no one."""


def guarded(
    pair: Pair, mentor: Person, mentee: Person, programme: Programme, now: datetime
) -> Pair | None:
    """The pair after a re-check of everything that must hold; None when nothing changes."""
    if programme.over_on(now.date()):
        return pairs.completed(pair, now)
    if pair.status == "proposed":
        rule = broken_rule(mentor, mentee, programme, but=TOLERATED_WHILE_PROPOSED)
        return pairs.expired(pair, now, rule) if rule else None
    reason, left_by = _reason_to_end(mentor, mentee, programme)
    if reason is not None:
        return pairs.ended(pair, reason, now, left_by=left_by)
    if _away(mentor) or _away(mentee):
        return pairs.paused(pair, now)
    return pairs.resumed(pair, now)


def beyond_seats(living: Iterable[Pair], seats: int) -> list[Pair]:
    """The youngest of a person's living pairs that they have no seat for; proposals go first."""
    oldest_first = sorted(
        living,
        key=lambda pair: (not pair.formed, pair.created_at or pair.proposed_at, pair.pair_id),
    )
    return oldest_first[seats:]


def _reason_to_end(
    mentor: Person, mentee: Person, programme: Programme
) -> tuple[EndReason | None, Role | None]:
    for person in (mentor, mentee):
        # The withdrawal that follows from leaving may arrive before the employee's own record.
        if person.left or person.withdrawn_by == "employment":
            return "leaver", person.role
    for person in (mentor, mentee):
        if person.status == "withdrawn":
            return "withdrawn", person.role
    if blocked(mentor, mentee, programme):
        return "blocked", None
    if reporting_line(mentor, mentee, programme):
        return "reporting_line", None
    if mentor.level is not None and mentee.level is not None and mentor.level >= mentee.level:
        return "level_gap", None
    if no_common_language(mentor, mentee, programme):
        return "no_common_language", None
    return None, None


def _away(person: Person) -> bool:
    """On leave, on a break, or with a chain of managers that must be known before going on."""
    return not person.employed or person.status == "paused" or not person.chain_known
