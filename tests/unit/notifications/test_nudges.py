"""Nudges come at their moment, once, to the right person, and only while they make sense."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.facts import Goal, Pair, Rules, Session
from services.notifications.domain.nudges import Situation, due_nudges, next_look, occasions

SPACE = UUID(int=7)
CREATED = datetime(2026, 1, 5, 10, tzinfo=UTC)
DAY = timedelta(days=1)
RULES = Rules(
    cadence=30 * DAY,
    midpoint=CREATED + 90 * DAY,
    sponsor_employee_id="sponsor",
    manager_employee_id="boss",
)
PAIR = Pair(
    pair_id=UUID(int=1),
    programme_id=UUID(int=2),
    mentor_employee_id="junior",
    mentee_employee_id="senior",
    status="active",
    created_at=CREATED,
    active_since=CREATED,
)


def session(number: int, day: float, status: str = "confirmed", **changes: object) -> Session:
    made = Session(
        session_id=uuid5(SPACE, str(number)),
        pair_id=PAIR.pair_id,
        programme_id=PAIR.programme_id,
        mentor_employee_id="junior",
        mentee_employee_id="senior",
        version=1,
        status=status,
        starts_at=CREATED + day * DAY,
        minutes=60,
        booked_at=CREATED,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def cancelled(number: int, day: float, by: str = "mentee") -> Session:
    at = CREATED + (day - 1) * DAY
    return session(number, day, "cancelled", cancelled_by=by, cancelled_at=at)


def kinds(situation: Situation, days: float) -> set[tuple[str, str]]:
    return {(str(m.kind), m.employee_id) for m in due_nudges(situation, CREATED + days * DAY)}


def both(kind: str) -> set[tuple[str, str]]:
    return {(kind, "junior"), (kind, "senior")}


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (9.9, set()),
        (10, both("no_first_session")),
        (59, both("no_first_session")),
        (60, both("stalled")),
        (89, both("stalled")),
        (90, both("silence_warning")),
        (200, both("silence_warning")),
    ],
)
def test_the_longer_a_new_pair_is_silent_the_clearer_the_word(
    days: float, expected: set[tuple[str, str]]
) -> None:
    situation = Situation(replace(PAIR, created_at=CREATED), replace(RULES, midpoint=CREATED))
    assert kinds(situation, days) == expected


def test_after_a_session_the_next_one_is_missed_at_half_the_cadence() -> None:
    situation = Situation(PAIR, RULES, (session(1, 5, pulses=frozenset({"mentor", "mentee"})),))
    assert kinds(situation, 19) == set()
    assert kinds(situation, 5 + 15.1) == both("cadence_missed")


def test_a_booked_session_ends_the_silence() -> None:
    situation = Situation(PAIR, RULES, (session(1, 40, "scheduled"),))
    assert kinds(situation, 20) == set()


def test_a_booked_session_that_nobody_logs_is_no_sign_of_life_for_ever() -> None:
    situation = Situation(PAIR, replace(RULES, midpoint=CREATED), (session(1, 20, "scheduled"),))
    assert both("stalled") <= kinds(situation, 65)


def test_a_pause_starts_the_count_anew() -> None:
    resumed = replace(PAIR, active_since=CREATED + 50 * DAY)
    assert kinds(Situation(resumed, RULES), 55) == set()
    assert kinds(Situation(resumed, RULES), 61) == both("no_first_session")


def test_a_paused_pair_is_left_alone() -> None:
    assert kinds(Situation(replace(PAIR, status="paused"), RULES), 95) == set()


def test_a_proposal_is_recalled_to_the_one_who_is_asked_after_3_and_7_days() -> None:
    asked = replace(PAIR, status="proposed", created_at=None, awaiting="mentee", asked_at=CREATED)
    situation = Situation(asked, RULES)
    assert kinds(situation, 2.9) == set()
    three = due_nudges(situation, CREATED + 3 * DAY)
    seven = due_nudges(situation, CREATED + 7 * DAY)
    assert [m.employee_id for m in three + seven] == ["senior", "senior"]
    assert three[0].key != seven[0].key


def test_the_manager_is_reminded_of_proposals_that_wait_for_approval() -> None:
    asked = replace(PAIR, status="proposed", created_at=None, awaiting="manager", asked_at=CREATED)
    assert kinds(Situation(asked, RULES), 3) == {("proposal_reminder", "boss")}
    without = Situation(asked, replace(RULES, manager_employee_id=None))
    assert kinds(without, 3) == set()


def test_a_session_is_recalled_a_day_before_and_not_after_its_start() -> None:
    situation = Situation(PAIR, RULES, (session(1, 8, "scheduled"),))
    assert kinds(situation, 6.9) == set()
    assert kinds(situation, 7) == both("session_reminder")
    assert kinds(situation, 8) == set()


def test_a_session_booked_at_short_notice_is_not_recalled() -> None:
    late = session(1, 8, "scheduled", booked_at=CREATED + 7.5 * DAY)
    assert kinds(Situation(PAIR, RULES, (late,)), 7.8) == set()


def test_the_mentor_is_asked_to_log_first_and_the_mentee_two_days_later() -> None:
    situation = Situation(PAIR, RULES, (session(1, 8, "scheduled"),))
    assert kinds(situation, 8.1) == {("session_log_request", "junior")}
    assert kinds(situation, 10.1) == both("session_log_request")


def test_both_are_asked_for_feedback_a_day_later_unless_they_gave_it() -> None:
    held = session(1, 5, pulses=frozenset({"mentee"}))
    assert kinds(Situation(PAIR, RULES, (held,)), 6.1) == {("feedback_request", "junior")}


@pytest.mark.parametrize("changes", [{"status": "disputed"}, {"status": "logged", "held": False}])
def test_nobody_is_asked_about_a_session_that_did_not_take_place(
    changes: dict[str, object],
) -> None:
    held = replace(session(1, 5), **changes)  # type: ignore[arg-type]
    assert kinds(Situation(PAIR, RULES, (held,)), 6.1) == set()


def test_two_cancellations_in_a_row_nudge_the_senior_alone_whoever_cancelled() -> None:
    for by in ("mentor", "mentee"):
        row = (cancelled(1, 3, by), cancelled(2, 6, by))
        assert kinds(Situation(PAIR, RULES, row), 7) == {("two_cancellations", "senior")}


def test_the_third_cancellation_in_a_row_nudges_the_sponsor() -> None:
    row = (cancelled(1, 3), cancelled(2, 5), cancelled(3, 8))
    assert ("two_cancellations", "sponsor") in kinds(Situation(PAIR, RULES, row), 8)
    without = Situation(PAIR, replace(RULES, sponsor_employee_id=None), row)
    assert kinds(without, 8) == {("two_cancellations", "senior")}


def test_a_session_held_between_two_cancellations_breaks_the_row() -> None:
    pulses = frozenset({"mentor", "mentee"})
    row = (cancelled(1, 3), session(2, 5, pulses=pulses), cancelled(3, 8))
    assert kinds(Situation(PAIR, RULES, row), 8) == set()


def test_what_the_system_cancelled_counts_for_nobody() -> None:
    row = (cancelled(1, 3, "system"), cancelled(2, 6))
    assert kinds(Situation(PAIR, RULES, row), 7) == set()


def test_midpoint_milestones_and_goals_are_marked() -> None:
    pulses = frozenset({"mentor", "mentee"})
    three = tuple(session(n, 10 * n, pulses=pulses) for n in (1, 2, 3))
    assert both("recognition") <= kinds(Situation(PAIR, RULES, three), 31)
    goal = Goal(UUID(int=9), CREATED + 2 * DAY)
    assert kinds(Situation(PAIR, RULES, (), (goal,)), 3) == both("recognition")
    assert both("midpoint") <= kinds(Situation(PAIR, RULES), 91)


def test_a_pair_that_ended_gets_no_nudge() -> None:
    ended = replace(PAIR, status="ended", reason="no_fit")
    assert list(occasions(Situation(ended, RULES, (session(1, 5), cancelled(2, 6))))) == []


def sessions() -> st.SearchStrategy[tuple[Session, ...]]:
    def build(number: int, day: int, status: str, by: str) -> Session:
        if status == "cancelled":
            return cancelled(number, day, by)
        return session(number, day, status)

    one = st.builds(
        build,
        st.integers(0, 10_000),
        st.integers(0, 150),
        st.sampled_from(["scheduled", "logged", "confirmed", "disputed", "cancelled"]),
        st.sampled_from(["mentor", "mentee", "system"]),
    )
    return st.lists(one, max_size=6, unique_by=lambda s: s.session_id).map(tuple)


@given(sessions(), st.lists(st.floats(0, 200), min_size=1, max_size=20))
def test_looking_more_often_owes_nothing_more(
    some: tuple[Session, ...], looks: list[float]
) -> None:
    """Any rhythm of looks yields a subset of the keys, each for one kind and person."""
    situation = Situation(PAIR, RULES, some)
    possible = {o.message.key: o.message for o in occasions(situation)}
    assert len(possible) == len(list(occasions(situation)))
    for days in looks:
        for message in due_nudges(situation, CREATED + days * DAY):
            assert possible[message.key] == message


@given(sessions())
def test_following_the_next_look_finds_each_nudge_as_soon_as_it_is_due(
    some: tuple[Session, ...],
) -> None:
    situation = Situation(PAIR, RULES, some)
    found: set[str] = set()
    now: datetime | None = CREATED - 10 * DAY
    while now is not None:
        found |= {m.key for m in due_nudges(situation, now)}
        later = next_look(situation, now)
        assert later is None or later > now
        now = later
    assert found == {
        o.message.key for o in occasions(situation) if o.until is None or o.at < o.until
    }


@given(sessions(), st.floats(0, 200))
def test_each_person_hears_at_most_one_word_about_silence_at_a_time(
    some: tuple[Session, ...], days: float
) -> None:
    silence = {"no_first_session", "cadence_missed", "stalled", "silence_warning"}
    due = due_nudges(Situation(PAIR, RULES, some), CREATED + days * DAY)
    for person in ("junior", "senior"):
        assert sum(m.employee_id == person and m.kind in silence for m in due) <= 1
