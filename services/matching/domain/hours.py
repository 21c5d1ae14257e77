"""Working hours on one time line, so that people of different zones can be compared."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAY = 1440


class Hours(NamedTuple):
    """A working day, in minutes after midnight UTC; they may lie outside [0, 1440)."""

    midnight: int
    """When the day begins where the person works."""
    works_from: int
    works_until: int


def in_utc(start: time, end: time, zone: str, day: date) -> Hours:
    """Working hours of a zone on a day; a zone that nobody knows has none."""
    try:
        offset = datetime.combine(day, time(12), ZoneInfo(zone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return Hours(0, 0, 0)
    shift = int((offset or timedelta()).total_seconds() // 60)
    return Hours(-shift, _minutes(start) - shift, _minutes(end) - shift)


def overlap_minutes(a: tuple[int, int], b: tuple[int, int]) -> int:
    """The longest stretch of a weekday in which both work.

    One person's Tuesday may meet the other's Monday, so neighbouring days are compared too; all
    work Monday to Friday, so four common days are left then.
    """
    return max(0, *(min(a[1], b[1] + days) - max(a[0], b[0] + days) for days in (-_DAY, 0, _DAY)))


def _minutes(moment: time) -> int:
    return moment.hour * 60 + moment.minute
