"""Who is asked, and when two people can meet."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.cast import cast, meeting_time, profile
from deploy.demo.company import company
from deploy.demo.workforce import Person

TODAY = date(2026, 1, 5)


def person(zone: str) -> Person:
    return Person(record={"employeeId": zone}, timezone=zone)


def test_the_same_seed_asks_the_same_people_and_nobody_in_two_roles() -> None:
    workforce = company(400, seed=2, today=TODAY)
    once, again = cast(workforce, seed=2), cast(workforce, seed=2)
    assert [(a.employee_id, a.role, a.asked_in_wave) for a in once] == [
        (a.employee_id, a.role, a.asked_in_wave) for a in again
    ]
    assert len({a.employee_id for a in once}) == len(once)


def test_seniors_are_mentees_and_juniors_mentors() -> None:
    workforce = company(400, seed=2, today=TODAY)
    for one in cast(workforce, seed=2):
        if one.role == "mentee":
            assert one.person.level >= workforce.mentee_min_level
        else:
            assert one.person.level <= workforce.mentor_max_level


def test_a_profile_says_what_its_role_needs() -> None:
    workforce = company(400, seed=2, today=TODAY)
    for one in cast(workforce, seed=2):
        body = profile(one, workforce)
        assert body["languages"]
        assert body["topics_offered"] if one.role == "mentor" else body["topics_wanted"]
        assert all(1 <= wish["priority"] <= 3 for wish in body["topics_wanted"])


@given(
    st.integers(0, 330 * 24 * 60).map(
        lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    st.sampled_from(["Europe/Paris", "America/New_York", "Asia/Kolkata"]),
)
def test_a_meeting_lies_in_the_working_time_of_both_where_that_can_be(
    day: datetime, zone: str
) -> None:
    both = [person("Europe/London"), person(zone)]
    at = meeting_time(day, both, random.Random(1))
    assert at >= day
    assert at.weekday() < 5
    for one in both:
        local = at.astimezone(ZoneInfo(one.timezone)).time()
        assert time(9) <= local <= time(16, 59)


def test_people_without_common_hours_still_get_a_time() -> None:
    day = datetime(2026, 1, 5, 7, 30, tzinfo=UTC)
    both = [person("America/New_York"), person("Asia/Singapore")]
    assert meeting_time(day, both, random.Random(1)) > day
