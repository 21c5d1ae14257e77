"""A message goes, waits or is settled: never in quiet hours, never over the cap."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.kinds import ESSENTIAL, OPTIONAL, Kind
from services.notifications.domain.quiet_hours import QuietHours, zone_of
from services.notifications.domain.release import (
    Candidate,
    Contact,
    Defer,
    Fail,
    Send,
    Suppress,
    verdict,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ANA = Contact("ana", "Ana Silva", "Ana", "ana@example.org")
REMINDER = Candidate(Kind.STALLED, "ana", NOON, grounded=True, contact=ANA)


def test_a_message_with_ground_and_address_goes_by_day() -> None:
    assert verdict(REMINDER, NOON, {}) == Send(date(2026, 1, 5))


def test_without_its_ground_it_is_overtaken() -> None:
    assert verdict(replace(REMINDER, grounded=False), NOON, {}) == Suppress("overtaken")


def test_who_left_gets_nothing() -> None:
    left = replace(REMINDER, employee_status="left", kind=Kind.PAIR_ENDED)
    assert verdict(left, NOON, {}) == Suppress("recipient left")


def test_unsubscribing_stops_optional_kinds_only() -> None:
    for kind in Kind:
        asked = replace(REMINDER, kind=kind, unsubscribed=True)
        expected = Send if kind in ESSENTIAL else Suppress
        assert isinstance(verdict(asked, NOON, {}), expected)


def test_a_missing_address_is_waited_for_and_then_given_up() -> None:
    nowhere = replace(REMINDER, contact=None)
    waits = verdict(nowhere, NOON, {})
    assert isinstance(waits, Defer)
    assert waits.until > NOON
    assert verdict(replace(nowhere, overdue=True), NOON, {}) == Fail("no address")


def test_a_mail_waits_for_the_rules_of_its_programme_but_not_for_ever() -> None:
    early = replace(REMINDER, programme_known=False)
    assert verdict(early, NOON, {}) == Defer(NOON + timedelta(seconds=10))
    assert isinstance(verdict(replace(early, overdue=True), NOON, {}), Send)


def test_at_the_cap_optional_kinds_wait_for_the_next_morning_and_essential_ones_go() -> None:
    full = {("ana", date(2026, 1, 5)): 3}
    assert verdict(REMINDER, NOON, full) == Defer(datetime(2026, 1, 6, 8, tzinfo=UTC))
    assert isinstance(verdict(replace(REMINDER, kind=Kind.PROPOSAL), NOON, full), Send)


def test_what_the_cap_held_back_for_a_week_is_given_up() -> None:
    old = replace(REMINDER, owed_at=NOON - timedelta(days=7))
    assert verdict(old, NOON, {("ana", date(2026, 1, 5)): 3}) == Suppress("over the daily cap")


@given(
    st.lists(st.tuples(st.sampled_from(sorted(Kind)), st.integers(0, 72)), min_size=1, max_size=25),
    st.sampled_from(["UTC", "Asia/Tokyo", "America/Los_Angeles", "Australia/Lord_Howe"]),
    st.integers(0, 23),
    st.integers(0, 23),
    st.integers(1, 4),
    st.sampled_from([NOON, datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)]),
)
def test_through_any_days_nothing_goes_in_quiet_hours_or_over_the_cap(
    owed: list[tuple[Kind, int]],
    zone_name: str,
    start: int,
    end: int,
    cap: int,
    begin: datetime,
) -> None:
    quiet, zone = QuietHours(start, end), zone_of(zone_name)
    waiting = {
        number: (
            begin + timedelta(hours=hours),
            Candidate(
                kind,
                "ana",
                begin + timedelta(hours=hours),
                grounded=True,
                contact=replace(ANA, timezone=zone_name),
                quiet_hours=quiet,
                cap=cap,
            ),
        )
        for number, (kind, hours) in enumerate(owed)
    }
    sent_on: Counter[tuple[str, date]] = Counter()
    for hour in range(24 * 14):
        now = begin + timedelta(hours=hour)
        for number, (due, candidate) in sorted(waiting.items(), key=lambda item: item[1][0]):
            if due > now:
                continue
            decided = verdict(candidate, now, sent_on)
            if isinstance(decided, Defer):
                assert decided.until > now
                waiting[number] = (decided.until, candidate)
                continue
            del waiting[number]
            if isinstance(decided, Send):
                assert not quiet.covers(now, zone)
                if candidate.kind in OPTIONAL:
                    assert sent_on["ana", decided.day] < cap
                sent_on["ana", decided.day] += 1
    # Everything is settled in the end: nothing waits for ever.
    assert not waiting
