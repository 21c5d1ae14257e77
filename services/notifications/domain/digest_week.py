"""The rhythm of the digest: one for each week, Monday to Sunday, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta


def next_monday(now: datetime) -> datetime:
    """The start of next week, in UTC."""
    day = now.astimezone(UTC).date()
    monday = day + timedelta(days=7 - day.weekday())
    return datetime.combine(monday, time(0), UTC)
