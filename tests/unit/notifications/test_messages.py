"""Facts lead to messages with keys that say the occasion, and to nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.notifications.domain.facts import Pair, Participant, Session
from services.notifications.domain.ground import Known, has_ground
from services.notifications.domain.kinds import Kind
from services.notifications.domain.messages import (
    owed_digest,
    owed_for_pair,
    owed_for_participant,
    owed_for_session,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
PAIR = Pair(UUID(int=1), UUID(int=2), "junior", "senior", "proposed", "mentee", NOW)
SESSION = Session(
    UUID(int=3), UUID(int=1), UUID(int=2), "junior", "senior", 1, "scheduled",
    NOW + timedelta(days=3), 60,
)  # fmt: skip
PERSON = Participant(UUID(int=4), UUID(int=2), "ana", "mentor", "invited", NOW, None)


def test_each_answer_is_asked_of_one_person() -> None:
    assert [m.employee_id for m in owed_for_pair(PAIR)] == ["senior"]
    assert [m.employee_id for m in owed_for_pair(replace(PAIR, awaiting="mentor"))] == ["junior"]
    manager = owed_for_pair(replace(PAIR, awaiting="manager"), "boss")
    assert [m.employee_id for m in manager] == ["boss"]
    assert owed_for_pair(replace(PAIR, awaiting="manager"), None) == []


@pytest.mark.parametrize("status", ["declined", "expired"])
def test_nobody_is_told_that_a_proposal_came_to_nothing(status: str) -> None:
    assert owed_for_pair(replace(PAIR, status=status, awaiting=None)) == []


def test_the_survivor_alone_is_told_when_a_partner_leaves_the_company() -> None:
    ended = replace(PAIR, status="ended", created_at=NOW, reason="leaver", left_by="mentor")
    assert [m.employee_id for m in owed_for_pair(ended)] == ["senior"]
    unfit = replace(ended, reason="no_fit", left_by=None)
    assert {m.employee_id for m in owed_for_pair(unfit)} == {"junior", "senior"}


def test_a_proposal_answered_meanwhile_has_lost_its_ground() -> None:
    (message,) = owed_for_pair(PAIR)
    assert has_ground(message, Known(pair=PAIR), NOW)
    for later in (
        replace(PAIR, awaiting="mentor"),
        replace(PAIR, status="declined", awaiting=None),
        replace(PAIR, status="active", created_at=NOW),
    ):
        assert not has_ground(message, Known(pair=later), NOW)


def test_a_moved_session_makes_the_earlier_calendar_entry_pointless() -> None:
    first = owed_for_session(SESSION, NOW)[0]
    moved = replace(SESSION, version=2, starts_at=NOW + timedelta(days=5))
    assert has_ground(first, Known(session=SESSION), NOW)
    assert not has_ground(first, Known(session=moved), NOW)
    assert has_ground(owed_for_session(moved, NOW)[0], Known(session=moved), NOW)


@pytest.mark.parametrize("status", ["scheduled", "cancelled"])
def test_once_its_time_has_come_a_session_is_neither_announced_nor_called_off(status: str) -> None:
    session = replace(SESSION, status=status)
    messages = owed_for_session(session, session.starts_at - timedelta(seconds=1))
    assert {m.recipient for m in messages} == {"mentor", "mentee"}
    known = Known(session=session, calendar_entry_sent=True)
    for message in messages:
        assert has_ground(message, known, session.starts_at - timedelta(seconds=1))
        assert not has_ground(message, known, session.starts_at)
    assert owed_for_session(session, session.starts_at) == []


def test_a_cancellation_is_told_only_to_those_who_had_the_date() -> None:
    off = replace(SESSION, version=2, status="cancelled", cancelled_by="mentee", cancelled_at=NOW)
    message = owed_for_session(off, NOW)[0]
    assert not has_ground(message, Known(session=off), NOW)
    assert has_ground(message, Known(session=off, calendar_entry_sent=True), NOW)


def test_the_side_that_did_not_log_is_asked_to_confirm() -> None:
    logged = replace(SESSION, version=2, status="logged", logged_by="mentor", logged_at=NOW)
    (message,) = owed_for_session(logged, NOW)
    assert (message.kind, message.employee_id) == (Kind.SESSION_CONFIRM_REQUEST, "senior")
    confirmed = replace(logged, version=3, status="confirmed")
    assert not has_ground(message, Known(session=confirmed), NOW)


def test_an_invitation_ends_with_the_answer_or_the_programme() -> None:
    (message,) = owed_for_participant(PERSON)
    assert has_ground(message, Known(participant=PERSON), NOW)
    assert not has_ground(message, Known("closed", participant=PERSON), NOW)
    joined = replace(PERSON, status="ready", enrolled_at=NOW)
    assert not has_ground(message, Known("open", participant=joined), NOW)
    assert owed_for_participant(joined)[0].kind is Kind.WELCOME


def test_a_second_invitation_is_another_occasion() -> None:
    again = replace(PERSON, invited_at=NOW + timedelta(days=30))
    assert owed_for_participant(PERSON)[0].key != owed_for_participant(again)[0].key


def test_an_old_digest_is_pointless() -> None:
    digest = owed_digest(UUID(int=2), "boss", NOW.date())
    assert has_ground(digest, Known("open"), NOW)
    assert not has_ground(digest, Known("open"), NOW + timedelta(days=8))
    assert not has_ground(digest, Known("closed"), NOW)


def test_a_message_about_something_unknown_has_no_ground() -> None:
    for message in (
        *owed_for_pair(PAIR),
        *owed_for_session(SESSION, NOW),
        *owed_for_participant(PERSON),
    ):
        assert not has_ground(message, Known(), NOW)
