"""What happens to a message that is due: it goes, it waits, or it is settled without going."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from services.notifications.domain.kinds import ESSENTIAL, Kind
from services.notifications.domain.quiet_hours import (
    QuietHours,
    local_day,
    start_of_next_day,
    zone_of,
)

LOOK_FOR_ADDRESS_EVERY = timedelta(hours=6)
LOOK_FOR_PROGRAMME_EVERY = timedelta(seconds=10)
"""Its rules are on their way: another topic may be ahead of theirs."""
OVER_CAP_LAPSES = timedelta(days=7)
"""A message that the daily cap held back for so long is given up."""


@dataclass(frozen=True)
class Contact:
    """How to reach and address a person."""

    employee_id: str
    name: str | None
    given_name: str | None
    email: str | None
    locale: str = "en"
    timezone: str = "UTC"


@dataclass(frozen=True)
class Candidate:
    """A message that is due, and what decides whether it may go now."""

    kind: Kind
    employee_id: str
    owed_at: datetime
    grounded: bool
    programme_known: bool = True
    """Whether the rules are here by which a mail is written."""
    contact: Contact | None = None
    employee_status: str | None = None
    unsubscribed: bool = False
    quiet_hours: QuietHours = field(default_factory=QuietHours)
    cap: int = 3
    overdue: bool = False
    """What is missing was waited for long enough."""


@dataclass(frozen=True)
class Send:
    """It goes now; `day` is the person's calendar day that it counts for."""

    day: date


@dataclass(frozen=True)
class Defer:
    """It is looked at again at `until`."""

    until: datetime


@dataclass(frozen=True)
class Suppress:
    """It is not sent, on purpose."""

    reason: str


@dataclass(frozen=True)
class Fail:
    """It cannot be sent."""

    reason: str


Verdict = Send | Defer | Suppress | Fail


def verdict(
    candidate: Candidate, now: datetime, sent_on: Mapping[tuple[str, date], int]
) -> Verdict:
    """Decide about one message; `sent_on` counts the mails per person and local day."""
    if candidate.employee_status == "left":
        return Suppress("recipient left")
    if not candidate.grounded:
        return Suppress("overtaken")
    if candidate.unsubscribed and candidate.kind not in ESSENTIAL:
        return Suppress("unsubscribed")
    contact = candidate.contact
    if contact is None or not contact.email:
        if candidate.overdue:
            return Fail("no address")
        return Defer(now + LOOK_FOR_ADDRESS_EVERY)
    if not candidate.programme_known and not candidate.overdue:
        return Defer(now + LOOK_FOR_PROGRAMME_EVERY)
    zone = zone_of(contact.timezone)
    allowed = candidate.quiet_hours.next_allowed(now, zone)
    if allowed > now:
        return Defer(allowed)
    today = local_day(now, zone)
    reached_cap = sent_on.get((candidate.employee_id, today), 0) >= candidate.cap
    if reached_cap and candidate.kind not in ESSENTIAL:
        if now - candidate.owed_at >= OVER_CAP_LAPSES:
            return Suppress("over the daily cap")
        tomorrow = start_of_next_day(now, zone)
        return Defer(candidate.quiet_hours.next_allowed(tomorrow, zone))
    return Send(today)
