"""Nobody is mailed in their quiet hours, wherever they live and whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.quiet_hours import (
    QuietHours,
    local_day,
    start_of_next_day,
    zone_of,
)

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
)
moments = st.integers(0, 21 * 366 * 24 * 60).map(
    lambda minutes: datetime(2009, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
hours = st.integers(0, 23)


@given(moments, st.sampled_from(ZONES), hours, hours)
def test_the_moment_allowed_is_never_quiet_and_less_than_two_days_away(
    moment: datetime, zone_name: str, start: int, end: int
) -> None:
    quiet, zone = QuietHours(start, end), ZoneInfo(zone_name)
    allowed = quiet.next_allowed(moment, zone)
    assert not quiet.covers(allowed, zone)
    assert moment <= allowed < moment + timedelta(days=2)


@given(moments, st.sampled_from(ZONES), hours, hours)
def test_a_moment_that_is_not_quiet_stays(
    moment: datetime, zone_name: str, start: int, end: int
) -> None:
    quiet, zone = QuietHours(start, end), ZoneInfo(zone_name)
    allowed = quiet.next_allowed(moment, zone)
    assert (allowed == moment) == (not quiet.covers(moment, zone))


@given(moments, st.sampled_from(ZONES))
def test_the_next_day_starts_later_and_is_another_day(moment: datetime, zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    following = start_of_next_day(moment, zone)
    assert following > moment
    assert local_day(following, zone) > local_day(moment, zone)


def test_the_night_before_the_clocks_go_forward_ends_at_eight_in_summer_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    evening = datetime(2026, 3, 28, 21, tzinfo=berlin)
    assert QuietHours(20, 8).next_allowed(evening, berlin) == datetime(2026, 3, 29, 6, tzinfo=UTC)


def test_the_night_before_the_clocks_go_back_ends_at_eight_in_winter_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    evening = datetime(2026, 10, 24, 21, tzinfo=berlin)
    assert QuietHours(20, 8).next_allowed(evening, berlin) == datetime(2026, 10, 25, 7, tzinfo=UTC)


def test_an_end_in_the_hour_that_spring_skips_falls_after_the_gap() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = datetime(2026, 3, 29, 1, 30, tzinfo=berlin)
    allowed = QuietHours(20, 2).next_allowed(night, berlin)
    assert allowed.astimezone(berlin).hour == 3


def test_equal_hours_mean_that_no_hour_is_quiet() -> None:
    quiet = QuietHours(8, 8)
    assert not any(
        quiet.covers(datetime(2026, 1, 1, h, tzinfo=UTC), zone_of("UTC")) for h in range(24)
    )


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd", "\x00"])
def test_a_name_that_is_no_zone_is_read_as_utc(name: str) -> None:
    assert zone_of(name).key == "UTC"
