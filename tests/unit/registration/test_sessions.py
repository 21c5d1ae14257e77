from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.domain import sessions
from services.registration.domain.pairs import Pair
from services.registration.domain.programmes import Audience, Programme
from services.registration.domain.rules import Invalid, Overtaken, RuleBroken
from services.registration.domain.sessions import Session

NOW = datetime(2026, 2, 2, 9, tzinfo=UTC)
PROGRAMME = Programme(
    programme_id=UUID(int=1),
    version=1,
    status="open",
    name="Upside down",
    starts_on=date(2026, 1, 1),
    ends_on=date(2026, 6, 30),
    enrolment="open",
    audience=Audience(),
    min_level_gap=2,
    mentor_capacity=2,
    mentee_capacity=1,
    training_required=True,
    agreement_version="1",
    approval="both",
    session_minutes=60,
    focus_topics=("AI",),
    manager_employee_id=None,
)
PAIR = Pair(
    pair_id=UUID(int=2),
    programme_id=PROGRAMME.programme_id,
    mentor_id=UUID(int=3),
    mentee_id=UUID(int=4),
    mentor_employee_id="junior",
    mentee_employee_id="senior",
    status="active",
    version=3,
    awaiting=None,
    asked=frozenset({"mentor", "mentee"}),
    topics=("AI",),
    proposed_at=NOW - timedelta(days=12),
    expires_at=None,
    created_at=NOW - timedelta(days=10),
    closed_at=None,
)


def booked(*, starts_at: datetime = NOW + timedelta(days=1), minutes: int = 60) -> Session:
    return sessions.schedule(
        PROGRAMME,
        PAIR,
        [],
        session_id=uuid4(),
        by="mentor",
        starts_at=starts_at,
        minutes=minutes,
        now=NOW,
    )


def logged(by: str = "mentor") -> Session:
    session = booked()
    return sessions.log(
        session,
        by=by,  # type: ignore[arg-type]
        held=True,
        no_show_by=None,
        now=session.starts_at,
    )


@pytest.mark.parametrize("status", ["proposed", "paused", "completed", "ended", "declined"])
def test_only_an_active_pair_books(status: str) -> None:
    with pytest.raises(RuleBroken, match="pair_id"):
        sessions.schedule(
            PROGRAMME,
            replace(PAIR, status=status),  # type: ignore[arg-type]
            [],
            session_id=uuid4(),
            by="mentor",
            starts_at=NOW,
            minutes=60,
            now=NOW,
        )


@pytest.mark.parametrize(
    "starts_at",
    [
        NOW - timedelta(days=1, seconds=1),
        NOW + timedelta(days=367),
        datetime(2026, 6, 30, tzinfo=UTC),
    ],
)
def test_a_booking_far_back_far_ahead_or_after_the_programme_is_refused(
    starts_at: datetime,
) -> None:
    with pytest.raises(Invalid, match="starts_at"):
        booked(starts_at=starts_at)


def test_a_session_is_not_logged_before_it_begins() -> None:
    session = booked()
    with pytest.raises(RuleBroken, match="has not begun"):
        sessions.log(
            session,
            by="mentor",
            held=True,
            no_show_by=None,
            now=session.starts_at - timedelta(seconds=1),
        )


def test_nobody_is_missing_from_a_session_that_was_held() -> None:
    session = booked()
    with pytest.raises(Invalid, match="no_show_by"):
        sessions.log(session, by="mentor", held=True, no_show_by="mentee", now=session.starts_at)


@pytest.mark.parametrize("step", [sessions.confirm, sessions.dispute])
@pytest.mark.parametrize("side", ["mentor", "mentee"])
def test_who_logged_a_session_neither_confirms_nor_disputes_it(step, side) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RuleBroken, match="logged this session yourself"):
        step(logged(side), by=side, now=NOW + timedelta(days=2))


def test_a_dispute_by_mistake_can_be_turned_into_a_confirmation_but_not_back() -> None:
    later = NOW + timedelta(days=2)
    disputed = sessions.dispute(logged(), by="mentee", now=later)
    confirmed = sessions.confirm(disputed, by="mentee", now=later)
    assert confirmed.status == "confirmed"
    assert confirmed.disputed_at is None
    with pytest.raises(Overtaken):
        sessions.dispute(confirmed, by="mentee", now=later)


def test_a_session_that_has_begun_is_not_cancelled_any_more() -> None:
    session = booked()
    with pytest.raises(RuleBroken, match="has begun"):
        sessions.cancel(session, by="mentee", now=session.starts_at)


def test_a_cancellation_keeps_who_and_when() -> None:
    cancelled = sessions.cancel(booked(), by="mentee", now=NOW)
    assert (cancelled.status, cancelled.cancelled_by, cancelled.cancelled_at) == (
        "cancelled",
        "mentee",
        NOW,
    )


def test_an_unbooked_session_lies_in_the_life_of_the_pair() -> None:
    ended = replace(PAIR, status="ended", closed_at=NOW - timedelta(days=2))
    for pair, started_at in (
        (PAIR, NOW + timedelta(seconds=1)),
        (PAIR, NOW - timedelta(days=11)),
        (ended, NOW - timedelta(days=1)),
    ):
        with pytest.raises(Invalid, match="started_at"):
            sessions.log_unbooked(
                pair,
                [],
                session_id=uuid4(),
                by="mentee",
                started_at=started_at,
                minutes=30,
                now=NOW,
            )


def test_moving_to_the_same_time_is_no_change() -> None:
    session = booked()
    same = sessions.reschedule(
        PROGRAMME, PAIR, session, [session], starts_at=session.starts_at, minutes=None, now=NOW
    )
    assert same is session


hours = st.integers(min_value=0, max_value=96).map(lambda hour: NOW + timedelta(hours=hour))


@given(st.lists(st.tuples(hours, st.integers(5, 480)), max_size=15))
def test_booked_sessions_of_a_pair_never_overlap(wishes: list[tuple[datetime, int]]) -> None:
    taken: list[Session] = []
    for starts_at, minutes in wishes:
        try:
            taken.append(
                sessions.schedule(
                    PROGRAMME,
                    PAIR,
                    taken,
                    session_id=uuid4(),
                    by="mentee",
                    starts_at=starts_at,
                    minutes=minutes,
                    now=NOW,
                )
            )
        except RuleBroken:
            continue
    taken.sort(key=lambda one: one.starts_at)
    assert all(a.ends_at <= b.starts_at for a, b in pairwise(taken))


steps = st.lists(
    st.tuples(
        st.sampled_from(["log", "confirm", "dispute", "cancel", "system", "move"]),
        st.sampled_from(["mentor", "mentee"]),
        st.booleans(),
        st.integers(min_value=0, max_value=72),
    ),
    max_size=12,
)


@given(steps)
def test_no_order_of_steps_breaks_a_session(orders: list[tuple[str, str, bool, int]]) -> None:
    session = booked()
    now = NOW
    for name, by, held, hours_later in orders:
        now += timedelta(hours=hours_later)
        before = session
        try:
            session = _step(session, name, by, held, now)
        except RuleBroken:
            assert session is before
            continue
        assert session.version in (before.version, before.version + 1)
        assert (session.version == before.version) == (session is before)
        if before.status in ("confirmed", "cancelled"):
            assert session is before
    if session.status in ("confirmed", "disputed"):
        assert session.logged_by is not None
    assert (session.status == "cancelled") == (session.cancelled_by is not None)
    assert (session.held is None) == (session.logged_at is None)
    assert (session.status == "confirmed") == (session.confirmed_at is not None)
    assert not (session.held and session.no_show_by)


def _step(session: Session, name: str, by: str, held: bool, now: datetime) -> Session:
    role = by  # type: ignore[assignment]
    match name:
        case "log":
            return sessions.log(session, by=role, held=held, no_show_by=None, now=now)  # type: ignore[arg-type]
        case "confirm":
            return sessions.confirm(session, by=role, now=now)  # type: ignore[arg-type]
        case "dispute":
            return sessions.dispute(session, by=role, now=now)  # type: ignore[arg-type]
        case "cancel":
            return sessions.cancel(session, by=role, now=now)  # type: ignore[arg-type]
        case "system":
            return sessions.cancel(session, by="system", now=now)
        case _:
            return sessions.reschedule(
                PROGRAMME,
                PAIR,
                session,
                [session],
                starts_at=now + timedelta(hours=5),
                minutes=None,
                now=now,
            )
