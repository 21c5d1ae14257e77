from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from shared.catalogue import (
    ConcernRaised,
    ConcernResolved,
    FeedbackGiven,
    GoalReached,
    GoalSet,
    PairCompleted,
    PairCreated,
    PairDeclined,
    PairEnded,
    PairPaused,
    PairProposed,
    ProposalAccepted,
    ProposalDeclined,
    SessionCancelled,
    SessionConfirmed,
    SessionDisputed,
    SessionFact,
    SessionLogged,
    SessionScheduled,
)

if TYPE_CHECKING:
    from tests.integration.registration.conftest import Company, Front


async def _booked(front: Front, company: Company, who: str = "junior", **span: float) -> Any:
    starts_at = front.clock.now() + timedelta(**(span or {"days": 1}))
    path = f"/pairs/{company.pair_id}/sessions"
    return await front.post(who, path, {"starts_at": starts_at.isoformat()})


async def test_a_session_is_booked_moved_logged_and_confirmed_by_the_other_side(
    front: Front, company: Company
) -> None:
    session = await _booked(front, company)
    assert (session["minutes"], session["scheduled_by"]) == (60, "mentor")
    path = f"/sessions/{session['session_id']}"
    later = front.clock.now() + timedelta(days=2)
    moved = await front.patch("senior", path, {"starts_at": later.isoformat()})
    assert moved["version"] == 2
    front.clock.set(later)
    await front.post("junior", f"{path}/log", {"held": True})
    own = await front.ask("junior", "POST", f"{path}/confirmation")
    assert own.status_code == 409
    confirmed = await front.post("senior", f"{path}/confirmation")
    assert (confirmed["status"], confirmed["version"]) == ("confirmed", 4)
    facts = await front.facts(SessionFact)
    assert [(type(fact), fact.version) for fact in facts] == [
        (SessionScheduled, 1),
        (SessionScheduled, 2),
        (SessionLogged, 3),
        (SessionConfirmed, 4),
    ]


async def test_a_session_that_one_side_disputes_does_not_count(
    front: Front, company: Company
) -> None:
    started_at = front.clock.now().isoformat()
    front.clock.advance(hours=2)
    session = await front.post(
        "senior",
        f"/pairs/{company.pair_id}/session-logs",
        {"started_at": started_at, "minutes": 45},
    )
    path = f"/sessions/{session['session_id']}"
    disputed = await front.post("junior", f"{path}/dispute")
    assert disputed["status"] == "disputed"
    (fact,) = await front.facts(SessionDisputed)
    assert (fact.logged_by, fact.held) == ("mentee", True)


async def test_two_bookings_of_one_hour_make_one_session(front: Front, company: Company) -> None:
    starts_at = (front.clock.now() + timedelta(days=1)).isoformat()
    path = f"/pairs/{company.pair_id}/sessions"
    answers = await asyncio.gather(
        *(front.ask(who, "POST", path, {"starts_at": starts_at}) for who in ("junior", "senior"))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]


@pytest.mark.parametrize("status", [PairEnded, PairCompleted, PairPaused])
async def test_a_pair_that_stands_still_keeps_no_booking(
    front: Front, company: Company, status: type[Any]
) -> None:
    past = await _booked(front, company, hours=-2)
    future = await _booked(front, company)
    states = {
        PairEnded: {"status": "ended", "reason": "conflict"},
        PairCompleted: {"status": "completed"},
        PairPaused: {"status": "paused"},
    }
    event = front.pair(
        status,
        company.junior,
        company.senior,
        pair_id=company.pair_id,
        created_at=front.clock.now(),
        **states[status],
    )
    for _ in range(3):
        await front.hear(event)
    (cancelled,) = await front.facts(SessionCancelled)
    assert str(cancelled.session_id) == future["session_id"]
    assert (cancelled.cancelled_by, cancelled.version) == ("system", 2)
    # What had begun can still be told.
    logged = await front.post("junior", f"/sessions/{past['session_id']}/log", {"held": True})
    assert logged["status"] == "logged"


async def test_an_older_state_of_a_pair_does_not_bring_it_back(
    front: Front, company: Company
) -> None:
    ended = front.pair(
        PairEnded, company.junior, company.senior, pair_id=company.pair_id, reason="leaver"
    )
    await front.hear(ended)
    await front.hear(ended.model_copy(update={"version": 1, "status": "active"}))
    refused = await front.ask(
        "junior",
        "POST",
        f"/pairs/{company.pair_id}/sessions",
        {"starts_at": (front.clock.now() + timedelta(days=1)).isoformat()},
    )
    assert refused.status_code == 409
    assert (await front.get("senior", f"/pairs/{company.pair_id}"))["status"] == "ended"


async def test_the_reason_of_an_end_is_told_to_nobody_of_the_pair(
    front: Front, company: Company
) -> None:
    await front.hear(
        front.pair(
            PairEnded, company.junior, company.senior, pair_id=company.pair_id, reason="safeguard"
        )
    )
    for who in ("junior", "senior"):
        for path in (f"/pairs/{company.pair_id}", "/me"):
            assert "safeguard" not in (await front.ask(who, "GET", path)).text


async def test_a_proposal_is_answered_by_the_awaited_side_and_once(
    front: Front, company: Company
) -> None:
    proposed = front.pair(PairProposed, company.junior, company.senior)
    path = f"/pairs/{proposed.pair_id}"
    await front.hear(proposed)
    # The junior learns of it only when it is their turn.
    assert (await front.ask("junior", "GET", path)).status_code == 404
    no = {"answer": "decline"}
    yes = {"answer": "accept"}
    assert (await front.ask("junior", "POST", f"{path}/answers", yes)).status_code == 404
    first = await front.post("senior", f"{path}/answers", yes)
    front.clock.advance(hours=1)
    assert await front.post("senior", f"{path}/answers", yes) == first
    assert (await front.ask("senior", "POST", f"{path}/answers", no)).status_code == 409
    await front.hear(
        front.pair(
            PairProposed,
            company.junior,
            company.senior,
            pair_id=proposed.pair_id,
            awaiting="mentor",
        )
    )
    await front.post("junior", f"{path}/answers", no)
    facts = await front.facts(ProposalAccepted, ProposalDeclined)
    assert [(type(fact), fact.by) for fact in facts] == [
        (ProposalAccepted, "mentee"),
        (ProposalDeclined, "mentor"),
    ]
    await front.hear(
        front.pair(
            PairDeclined,
            company.junior,
            company.senior,
            pair_id=proposed.pair_id,
            status="declined",
        )
    )
    assert (await front.get("senior", path))["status"] == "not_formed"
    assert (await front.get("programme_manager", path))["status"] == "declined"


async def test_two_answers_at_once_are_one(front: Front, company: Company) -> None:
    proposed = front.pair(PairProposed, company.junior, company.senior)
    await front.hear(proposed)
    path = f"/pairs/{proposed.pair_id}/answers"
    answers = await asyncio.gather(
        *(
            front.ask("senior", "POST", path, {"answer": answer})
            for answer in ("accept", "decline", "accept")
        )
    )
    assert {200, 409} >= {answer.status_code for answer in answers}
    assert len(await front.facts(ProposalAccepted, ProposalDeclined)) == 1


async def test_an_answer_after_the_expiry_is_refused(front: Front, company: Company) -> None:
    proposed = front.pair(PairProposed, company.junior, company.senior)
    await front.hear(proposed)
    front.clock.advance(days=14)
    path = f"/pairs/{proposed.pair_id}/answers"
    refused = await front.ask("senior", "POST", path, {"answer": "accept"})
    assert refused.status_code == 409
    assert not await front.facts(ProposalAccepted)


async def test_a_manager_answers_where_the_rule_asks_the_manager(
    front: Front, company: Company
) -> None:
    proposed = front.pair(PairProposed, company.junior, company.senior, awaiting="manager")
    await front.hear(proposed)
    path = f"/pairs/{proposed.pair_id}"
    for who in ("junior", "senior"):
        assert (await front.ask(who, "GET", path)).status_code == 404
    await front.post("programme_manager", f"{path}/answers", {"answer": "accept"})
    (fact,) = await front.facts(ProposalAccepted)
    assert fact.by == "manager"


async def test_feedback_is_given_once_and_its_comment_stays_here(
    front: Front, company: Company
) -> None:
    session = await _booked(front, company, hours=1)
    front.clock.advance(hours=2)
    await front.post("junior", f"/sessions/{session['session_id']}/log", {"held": True})
    path = f"/pairs/{company.pair_id}/feedback"
    pulse = {"kind": "pulse", "score": 4, "session_id": session["session_id"]}
    for body in (
        pulse | {"comment": "A secret"},
        {"kind": "nps", "score": 0},
        {"kind": "skill_before", "score": 2, "topic": "AI"},
        {"kind": "skill_after", "score": 4, "topic": "AI"},
    ):
        await front.post("senior", path, body)
        assert (await front.ask("senior", "POST", path, body)).status_code == 409
    again = {"kind": "skill_after", "score": 4, "topic": "ai"}
    assert (await front.ask("senior", "POST", path, again)).status_code == 409
    await front.post("junior", path, pulse)
    facts = await front.facts(FeedbackGiven)
    assert [(fact.kind, fact.by) for fact in facts] == [
        ("pulse", "mentee"),
        ("nps", "mentee"),
        ("skill_before", "mentee"),
        ("skill_after", "mentee"),
        ("pulse", "mentor"),
    ]
    outbox = await front.database.pool.fetch("SELECT payload FROM outbox")
    assert not any(b"secret" in row["payload"] for row in outbox)


async def test_another_pairs_session_gets_no_pulse(front: Front, company: Company) -> None:
    await front.hire("third", 2)
    third = await front.enrol("third", company.programme, "mentor")
    other = front.pair(PairCreated, third, company.senior)
    await front.hear(other)
    session = await _booked(front, company)
    body = {"kind": "pulse", "score": 4, "session_id": session["session_id"]}
    refused = await front.ask("third", "POST", f"/pairs/{other.pair_id}/feedback", body)
    missing = body | {"session_id": str(uuid4())}
    unknown = await front.ask("third", "POST", f"/pairs/{other.pair_id}/feedback", missing)
    assert (refused.status_code, refused.json()) == (404, unknown.json())


async def test_goals_are_reached_once_and_their_words_stay_here(
    front: Front, company: Company
) -> None:
    body = {"title": "Stop printing mails", "topic": "AI"}
    goal = await front.post("senior", f"/pairs/{company.pair_id}/goals", body)
    path = f"/goals/{goal['goal_id']}/reached"
    first = await front.post("junior", path)
    front.clock.advance(days=1)
    assert await front.post("senior", path) == first
    facts = await front.facts(GoalSet, GoalReached)
    assert [type(fact) for fact in facts] == [GoalSet, GoalReached]
    assert (await front.get("junior", f"/pairs/{company.pair_id}"))["goals"] == [first]
    assert (await front.get("auditor", f"/pairs/{company.pair_id}"))["goals"] is None
    outbox = await front.database.pool.fetch("SELECT payload FROM outbox")
    assert not any(b"printing" in row["payload"] for row in outbox)


async def test_a_concern_leaves_without_its_words(front: Front, company: Company) -> None:
    body = {"category": "conflict", "exit_requested": True, "text": "A secret"}
    concern = await front.post("junior", f"/pairs/{company.pair_id}/concerns", body)
    path = f"/concerns/{concern['concern_id']}/resolution"
    await front.post("programme_manager", path, {"resolution": "A private remark"})
    raised, resolved = await front.facts(ConcernRaised, ConcernResolved)
    assert (raised.exit_requested, raised.raised_by, raised.resolved_at) == (True, "mentor", None)
    assert resolved.resolved_at is not None
    outbox = await front.database.pool.fetch("SELECT payload FROM outbox")
    assert not any(b"secret" in row["payload"] or b"remark" in row["payload"] for row in outbox)


async def test_me_shows_all_that_is_mine_and_nothing_else(front: Front, company: Company) -> None:
    session = await _booked(front, company)
    mine = await front.get("junior", "/me")
    assert [one["participant_id"] for one in mine["participants"]] == [
        company.junior["participant_id"]
    ]
    (pair,) = mine["pairs"]
    assert (pair["role"], pair["counterpart"]) == (
        "mentor",
        {"employee_id": "senior", "name": "Senior"},
    )
    assert [one["session_id"] for one in mine["sessions"]] == [session["session_id"]]
    assert await front.get("other", "/me") == {
        "employee_id": "other",
        "participants": [],
        "pairs": [],
        "sessions": [],
    }


async def test_a_pair_may_arrive_before_anything_that_it_names(front: Front) -> None:
    stranger = {
        "programme_id": str(uuid4()),
        "participant_id": str(uuid4()),
        "employee_id": "unknown",
    }
    proposed = front.pair(PairProposed, stranger, stranger | {"employee_id": "unheard of"})
    await front.hear(proposed)
    assert (await front.get("unheard of", f"/pairs/{proposed.pair_id}"))["status"] == "proposed"
