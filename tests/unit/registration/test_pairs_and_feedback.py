from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.registration.domain.feedback import check_feedback
from services.registration.domain.pairs import Pair, check_answerable
from services.registration.domain.rules import Invalid, Overtaken, RuleBroken
from services.registration.domain.sessions import Session

NOW = datetime(2026, 2, 2, 9, tzinfo=UTC)
PROPOSED = Pair(
    pair_id=UUID(int=2),
    programme_id=UUID(int=1),
    mentor_id=UUID(int=3),
    mentee_id=UUID(int=4),
    mentor_employee_id="junior",
    mentee_employee_id="senior",
    status="proposed",
    version=1,
    awaiting="mentee",
    asked=frozenset({"mentee"}),
    topics=(),
    proposed_at=NOW,
    expires_at=NOW + timedelta(days=14),
    created_at=None,
    closed_at=None,
)
ACTIVE = replace(PROPOSED, status="active", awaiting=None, created_at=NOW)
HELD = Session(
    session_id=UUID(int=9),
    pair_id=ACTIVE.pair_id,
    programme_id=ACTIVE.programme_id,
    mentor_employee_id="junior",
    mentee_employee_id="senior",
    status="logged",
    version=2,
    starts_at=NOW,
    minutes=60,
    changed_at=NOW,
    logged_by="mentor",
    logged_at=NOW,
    held=True,
)


def test_only_the_awaited_side_answers() -> None:
    check_answerable(PROPOSED, "mentee", NOW)
    with pytest.raises(RuleBroken, match="turn"):
        check_answerable(PROPOSED, "mentor", NOW)


def test_an_answer_at_the_expiry_comes_too_late() -> None:
    assert PROPOSED.expires_at is not None
    check_answerable(PROPOSED, "mentee", PROPOSED.expires_at - timedelta(seconds=1))
    with pytest.raises(Overtaken, match="time to answer"):
        check_answerable(PROPOSED, "mentee", PROPOSED.expires_at)


@pytest.mark.parametrize("status", ["active", "paused", "ended", "declined", "expired"])
def test_only_a_proposal_is_answered(status: str) -> None:
    with pytest.raises(Overtaken):
        check_answerable(replace(PROPOSED, status=status), "mentee", NOW)  # type: ignore[arg-type]


def test_the_side_asked_second_does_not_learn_of_a_no_of_the_first() -> None:
    declined = replace(PROPOSED, status="declined")
    assert declined.shown_to("mentee")
    assert not declined.shown_to("mentor")


def test_a_side_is_not_told_whether_a_proposal_was_declined_or_expired() -> None:
    words = {
        replace(PROPOSED, status=status).status_for_members()  # type: ignore[arg-type]
        for status in ("declined", "expired")
    }
    assert words == {"not_formed"}


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"), [("pulse", 1, 5), ("nps", 0, 10), ("fit", 1, 5)]
)
def test_each_kind_has_its_range(kind: str, lowest: int, highest: int) -> None:
    session = HELD if kind == "pulse" else None
    for score in (lowest, highest):
        check_feedback(ACTIVE, session, kind, score, None)  # type: ignore[arg-type]
    for score in (lowest - 1, highest + 1):
        with pytest.raises(Invalid, match="score"):
            check_feedback(ACTIVE, session, kind, score, None)  # type: ignore[arg-type]


def test_a_skill_rating_names_its_topic_and_a_pulse_its_session() -> None:
    check_feedback(ACTIVE, None, "skill_before", 3, "AI")
    with pytest.raises(Invalid, match="topic"):
        check_feedback(ACTIVE, None, "skill_after", 3, None)
    with pytest.raises(Invalid, match="topic"):
        check_feedback(ACTIVE, None, "nps", 3, "AI")
    with pytest.raises(Invalid, match="session_id"):
        check_feedback(ACTIVE, None, "pulse", 3, None)


def test_there_is_no_pulse_of_a_session_that_did_not_take_place() -> None:
    for session in (
        replace(HELD, held=False),
        replace(HELD, status="disputed"),
        replace(HELD, status="scheduled", held=None, logged_at=None),
    ):
        with pytest.raises(RuleBroken, match="session"):
            check_feedback(ACTIVE, session, "pulse", 5, None)


def test_a_pair_that_was_never_formed_gets_no_feedback() -> None:
    with pytest.raises(RuleBroken, match="not formed"):
        check_feedback(PROPOSED, None, "fit", 3, None)
