"""Quiet hours and days in a person's own time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True)
class QuietHours:
    """No mail from full hour `start` to full hour `end`, local time; equal hours: never quiet."""

    start: int = 20
    end: int = 8

    def covers(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Whether the moment is quiet for a person in the zone."""
        hour = moment.astimezone(zone).hour
        if self.start <= self.end:
            return self.start <= hour < self.end
        return hour >= self.start or hour < self.end

    def next_allowed(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The moment itself, or the end of the quiet hours that it falls into; in UTC."""
        if not self.covers(moment, zone):
            return moment.astimezone(UTC)
        local = moment.astimezone(zone)
        day = local.date() if local.hour < self.end else local.date() + timedelta(days=1)
        ends = datetime.combine(day, time(self.end), zone).astimezone(UTC)
        # Where the clocks go back, the same hour comes twice and may lie behind us already.
        while ends <= moment or self.covers(ends, zone):
            ends += timedelta(minutes=30)
        return ends


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The person's calendar day."""
    return moment.astimezone(zone).date()


def start_of_next_day(moment: datetime, zone: ZoneInfo) -> datetime:
    """The person's next midnight, in UTC."""
    tomorrow = local_day(moment, zone) + timedelta(days=1)
    return datetime.combine(tomorrow, time(0), zone).astimezone(UTC)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The named time zone; UTC for a name that is not one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
