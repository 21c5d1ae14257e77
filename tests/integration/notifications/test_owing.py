"""Facts become mails: once, whatever the order and however often they come."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from services.notifications.handlers import handlers
from shared.catalogue import (
    ContactUpdated,
    FeedbackGiven,
    GoalReached,
    KpiMeasured,
    MatchRunCompleted,
    PairCompleted,
    PairDeclined,
    PairEnded,
    PairPaused,
    ParticipantEnrolled,
    Period,
    ProgrammeClosed,
    SessionCancelled,
    SessionConfirmed,
    SessionLogged,
)
from shared.testing import deliver_records, published, record_of, tombstone_of

from .conftest import (
    PAIR,
    PEOPLE,
    PROGRAMME,
    SESSION,
    START,
    Office,
    contact,
    created,
    employee,
    invited,
    pair,
    programme,
    proposed,
    scheduled,
    session,
)

DAY = timedelta(days=1)


async def test_an_invitation_and_a_welcome_reach_a_new_participant(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, invited(1, "junior"))
    await office.work()
    joined = invited(1, "junior", 2, status="enrolled", enrolled_at=START)
    await office.tell(ParticipantEnrolled(**joined.model_dump()))
    await office.work()
    assert office.server.to("junior@example.org") == ["invitation", "welcome"]


@pytest.mark.parametrize(
    ("status", "says"), [("enrolled", "at least one topic"), ("ready", "now looking for a partner")]
)
async def test_a_welcome_says_whether_something_is_missing(
    office: Office, status: str, says: str
) -> None:
    joined = invited(1, "junior", status=status, enrolled_at=START)
    await office.tell(programme(training_required=False), *PEOPLE)
    await office.tell(ParticipantEnrolled(**joined.model_dump()))
    await office.work()
    (mail,) = office.server.mails
    body = mail.get_body(("plain",))
    assert body is not None
    assert says in " ".join(body.get_content().split())


async def test_a_proposal_goes_from_one_to_the_next_and_becomes_a_pair(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, proposed())
    await office.work()
    await office.tell(proposed("mentor", 2))
    await office.work()
    await office.tell(created())
    await office.work()
    assert office.server.to("senior@example.org") == ["proposal", "pair_created"]
    assert office.server.to("junior@example.org") == ["proposal", "pair_created"]


async def test_the_manager_is_asked_even_when_the_programme_is_known_last(office: Office) -> None:
    await office.tell(*PEOPLE, proposed("manager"))
    await office.work()
    assert office.server.mails == []
    await office.tell(programme())
    await office.work()
    assert office.server.to("boss@example.org") == ["proposal"]


async def test_an_answered_proposal_is_not_mailed_any_more(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, proposed())
    await office.tell(pair(PairDeclined, "declined", 2))
    await office.work()
    assert office.server.mails == []
    assert await office.states() == {f"proposal:{PAIR}:mentee": "suppressed: overtaken"}
    (event,) = await published(office.database)
    assert event.reason == "overtaken"  # type: ignore[attr-defined]


async def test_the_same_facts_in_any_order_and_repeated_mail_once(office: Office) -> None:
    facts = [
        *PEOPLE,
        programme(),
        created(),
        scheduled(),
        scheduled(2, starts_at=START + 6 * DAY),
        invited(7, "boss"),
    ]
    shuffler = random.Random(5)
    for _ in range(4):
        shuffled = facts * 2
        shuffler.shuffle(shuffled)
        for fact in shuffled:
            await office.tell(fact)
    await office.work()
    await office.tell(*facts)
    await office.work()
    assert office.server.kinds == [
        "invitation",
        "pair_created",
        "pair_created",
        "session_scheduled",
        "session_scheduled",
    ]
    keys = [event.idempotency_key for event in await published(office.database)]  # type: ignore[attr-defined]
    assert len(keys) == len(set(keys))


async def test_a_leavers_partner_alone_is_told_that_the_pair_ended(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created())
    await office.work()
    await office.tell(employee("junior", status="left"))
    ended = pair(
        PairEnded, "ended", 4, created_at=START, closed_at=START, reason="leaver", left_by="mentor"
    )
    await office.tell(ended)
    await office.work()
    assert office.server.to("senior@example.org") == ["pair_created", "pair_ended"]
    assert office.server.to("junior@example.org") == ["pair_created"]


async def test_the_life_of_a_session_is_told_to_the_right_side(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created(), scheduled())
    await office.work()
    await office.work(after=4 * DAY + timedelta(minutes=1))
    await office.work(after=DAY + timedelta(hours=1))
    logged = session(
        SessionLogged, "logged", 2, logged_by="mentor", logged_at=office.clock.now(), held=True
    )
    await office.tell(logged)
    await office.work()
    confirmed = logged.model_dump() | {"status": "confirmed", "version": 3}
    await office.tell(SessionConfirmed(**confirmed))
    pulse = FeedbackGiven(
        feedback_id=UUID(int=5),
        pair_id=PAIR,
        programme_id=PROGRAMME,
        by="mentee",
        by_employee_id="senior",
        kind="pulse",
        score=5,
        session_id=SESSION,
        given_at=office.clock.now(),
    )
    await office.tell(pulse)
    await office.work(after=DAY)
    await office.work(after=DAY)
    assert office.server.to("junior@example.org") == [
        "pair_created",
        "session_scheduled",
        "session_reminder",
        "session_log_request",
        "feedback_request",
    ]
    assert office.server.to("senior@example.org") == [
        "pair_created",
        "session_scheduled",
        "session_reminder",
        "session_confirm_request",
    ]


async def test_a_cancelled_session_leaves_the_calendar_of_those_who_had_it(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created(), scheduled())
    await office.work()
    await office.tell(
        session(SessionCancelled, "cancelled", 2, cancelled_by="mentee", cancelled_at=START)
    )
    await office.work(after=timedelta(hours=1))
    entries = [
        part.get_content()
        for mail in office.server.mails
        for part in mail.walk()
        if part.get_content_type() == "text/calendar"
    ]
    assert [("METHOD:CANCEL" in e, f"UID:{SESSION}" in e) for e in entries] == [
        (False, True),
        (False, True),
        (True, True),
        (True, True),
    ]


async def test_a_cancellation_that_comes_after_its_session_is_not_told(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created(), scheduled())
    await office.work()
    before = list(office.server.kinds)
    assert "session_scheduled" in before
    off = session(SessionCancelled, "cancelled", 2, cancelled_by="mentee", cancelled_at=START)
    office.clock.set(off.starts_at)
    await office.tell(off)
    await office.work(after=timedelta(hours=12))
    assert "session_cancelled" not in office.server.kinds


async def test_a_cancellation_that_waits_until_its_session_is_overtaken(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created(), scheduled())
    await office.work()
    off = session(SessionCancelled, "cancelled", 2, cancelled_by="mentee", cancelled_at=START)
    office.clock.set(off.starts_at - timedelta(minutes=1))
    await office.tell(off)
    await office.work(after=timedelta(minutes=1))
    assert "session_cancelled" not in office.server.kinds
    states = await office.states()
    settled = [state for key, state in states.items() if key.startswith("session_cancelled")]
    assert settled == ["suppressed: overtaken"] * 2


async def test_a_session_booked_and_cancelled_overnight_is_never_mentioned(office: Office) -> None:
    office.clock.set(START.replace(hour=22))
    await office.tell(programme(), *PEOPLE, created(), scheduled())
    await office.work()
    await office.tell(
        session(SessionCancelled, "cancelled", 2, cancelled_by="mentor", cancelled_at=START)
    )
    await office.work(after=timedelta(hours=11))
    assert office.server.kinds == ["pair_created", "pair_created"]


async def test_two_cancellations_reach_the_senior_and_the_third_the_sponsor(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created())
    for number in (1, 2, 3):
        off = session(
            SessionCancelled,
            "cancelled",
            2,
            session_id=UUID(int=30 + number),
            starts_at=START + number * DAY,
            cancelled_by="mentor",
            cancelled_at=office.clock.now(),
        )
        await office.tell(off)
        await office.work(after=timedelta(hours=1))
    assert "two_cancellations" not in office.server.to("junior@example.org")
    assert office.server.to("senior@example.org").count("two_cancellations") == 1
    assert office.server.to("sponsor@example.org") == ["two_cancellations"]


async def test_half_a_year_of_silence_brings_each_nudge_once(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created())
    await office.work_through(110 * DAY, DAY)
    for person in ("junior", "senior"):
        assert sorted(office.server.to(f"{person}@example.org")) == [
            "midpoint",
            "no_first_session",
            "pair_created",
            "silence_warning",
            "stalled",
        ]


async def test_pauses_stop_nudges(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created())
    await office.work()
    await office.tell(pair(PairPaused, "paused", 4, created_at=START, paused_at=START))
    await office.work_through(40 * DAY, DAY)
    assert set(office.server.kinds) == {"pair_created", "digest"}


async def test_a_shorter_delay_in_the_rules_takes_effect_on_living_pairs(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created())
    await office.work()
    await office.work(after=4 * DAY)
    assert "no_first_session" not in office.server.kinds
    await office.tell(programme(2, nudges={"no_first_session_days": 3}))
    await office.work()
    assert office.server.kinds.count("no_first_session") == 2


async def test_goals_and_completion_are_celebrated(office: Office) -> None:
    await office.tell(programme(), *PEOPLE, created())
    goal = GoalReached(
        goal_id=UUID(int=8),
        pair_id=PAIR,
        programme_id=PROGRAMME,
        set_by="mentor",
        set_at=START,
        reached_at=START,
    )
    await office.tell(goal)
    await office.work()
    await office.tell(pair(PairCompleted, "completed", 4, created_at=START, closed_at=START))
    await office.work(after=DAY)
    for person in ("junior", "senior"):
        assert set(office.server.to(f"{person}@example.org")) == {
            "pair_created",
            "programme_completed",
            "recognition",
        }


async def test_the_manager_gets_a_digest_each_week_while_the_programme_runs(office: Office) -> None:
    run = MatchRunCompleted(
        run_id=UUID(int=6),
        programme_id=PROGRAMME,
        programme_version=1,
        trigger="manual",
        proposed=1,
        mentees_waiting=4,
        mentors_waiting=2,
        objective=80,
        input_hash="x",
        started_at=START,
        completed_at=START,
    )
    kpi = KpiMeasured(
        programme_id=PROGRAMME,
        kpi="match_rate",
        definition_version=1,
        period=Period(kind="programme", start=START.date(), end=START.date() + 180 * DAY),
        dimension="all",
        group="all",
        numerator=1,
        denominator=2,
        value=0.5,
        unit="ratio",
        measured_at=START,
    )
    month = kpi.model_copy(
        update={"value": 0.9, "period": kpi.period.model_copy(update={"kind": "month"})}
    )
    await office.tell(programme(), *PEOPLE, created(), invited(1, "junior"), run, kpi, month)
    await office.work_through(15 * DAY, timedelta(hours=8))
    digests = [m for m in office.server.mails if m["X-Updraft-Kind"] == "digest"]
    assert len(digests) == 2
    body = digests[0].get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "Participants: 1 invited" in text
    assert "2 mentors, 4 mentees" in text
    assert "Participants with a partner: 50" in text
    closed = programme(2, status="closed").model_dump()
    await office.tell(ProgrammeClosed(**closed))
    await office.work_through(15 * DAY, timedelta(hours=8))
    assert office.server.kinds.count("digest") == 2


async def test_an_address_that_comes_later_is_waited_for(office: Office) -> None:
    await office.tell(programme(), invited(1, "junior"))
    await office.work()
    await office.work(after=2 * DAY)
    await office.tell(contact("junior"))
    await office.work()
    assert office.server.to("junior@example.org") == ["invitation"]


async def test_an_address_that_never_comes_is_given_up_after_a_week(office: Office) -> None:
    await office.tell(programme(manager_employee_id=None), invited(1, "junior"))
    await office.work_through(8 * DAY, timedelta(hours=12))
    assert list((await office.states()).values()) == ["failed: no address"]
    (event,) = await published(office.database)
    assert (event.TYPE, event.reason) == ("updraft.notification.failed.v1", "no address")  # type: ignore[attr-defined]


async def test_a_welcome_that_is_ahead_of_its_programme_waits_for_it(office: Office) -> None:
    joined = invited(1, "junior", 2, status="enrolled", enrolled_at=START)
    await office.tell(*PEOPLE, ParticipantEnrolled(**joined.model_dump()))
    await office.work()
    assert office.server.mails == []

    await office.tell(programme(training_required=True))
    await office.work(after=timedelta(seconds=10))
    body = office.server.mails[0].get_body(("plain",))
    assert body is not None
    assert "I have completed the training" in body.get_content()


async def test_erasure_deletes_the_contact_and_what_was_owed_to_it(office: Office) -> None:
    office.clock.set(START.replace(hour=22))
    await office.tell(programme(), *PEOPLE, invited(1, "junior"))
    now = office.clock.now()
    gone = tombstone_of(ContactUpdated, "junior", now=now)
    assert await deliver_records(handlers, office.database, [gone]) == []
    assert list((await office.states()).values()) == ["suppressed: erased"]
    rows = await office.database.pool.fetch("SELECT employee_id FROM contacts")
    assert "junior" not in {row["employee_id"] for row in rows}
    await office.work(after=DAY)
    assert office.server.mails == []


async def test_erasure_empties_what_is_parked_of_the_contact(office: Office) -> None:
    now = office.clock.now()
    unreadable = replace(record_of(contact("junior"), now=now), value=b'{"email": "a@example.org"')
    await deliver_records(handlers, office.database, [unreadable])
    await deliver_records(
        handlers, office.database, [tombstone_of(ContactUpdated, "junior", now=now)]
    )

    rows = await office.database.pool.fetch("SELECT kind, payload FROM parked")
    assert [tuple(row) for row in rows] == [("unreadable", None)]


@pytest.mark.parametrize("version", [1, 2])
async def test_an_old_contact_never_replaces_a_newer_one(office: Office, version: int) -> None:
    await office.tell(contact("junior", 3, email="new@example.org"))
    await office.tell(contact("junior", version, email="old@example.org"))
    email = await office.database.pool.fetchval("SELECT email FROM contacts")
    assert email == "new@example.org"
