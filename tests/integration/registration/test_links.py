from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from shared.catalogue import (
    FeedbackGiven,
    PairProposed,
    ParticipantEnrolled,
    ParticipantWithdrawn,
    ProposalAccepted,
    ProposalDeclined,
    SessionCancelled,
    SessionConfirmed,
    SessionDisputed,
    SessionLogged,
    TrainingCompleted,
)

if TYPE_CHECKING:
    from tests.integration.registration.conftest import Company, Front


async def _proposed(front: Front, company: Company, **state: Any) -> Any:
    proposed = front.pair(PairProposed, company.junior, company.senior, **state)
    await front.hear(proposed)
    return proposed.pair_id


async def _changed_nothing(front: Front) -> tuple[int, int, int]:
    counts = [
        await front.database.pool.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("used_links", "outbox", "answers")
    ]
    return counts[0], counts[1], counts[2]


async def test_reading_a_link_changes_nothing_and_one_click_acts(
    front: Front, company: Company
) -> None:
    pair_id = await _proposed(front, company)
    address = front.address(front.link("accept", "senior", pair_id=pair_id))
    before = await _changed_nothing(front)
    for _ in range(3):
        page = await front.http.get(address)
        assert page.status_code == 200
        assert page.text.count("<button") == 1
        assert "Junior" in page.text
    assert await _changed_nothing(front) == before
    done = await front.http.post(address)
    assert done.status_code == 200
    assert "<button" not in done.text
    (accepted,) = await front.facts(ProposalAccepted)
    assert (accepted.pair_id, accepted.by) == (pair_id, "mentee")


async def test_a_page_is_neither_kept_nor_passed_on_nor_scripted(
    front: Front, company: Company
) -> None:
    pair_id = await _proposed(front, company)
    good = front.address(front.link("accept", "senior", pair_id=pair_id))
    for address in (good, "/l/forged"):
        page = await front.http.get(address)
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


async def test_a_link_works_once_and_takes_its_whole_question_with_it(
    front: Front, company: Company
) -> None:
    pair_id = await _proposed(front, company)
    accept = front.link("accept", "senior", pair_id=pair_id)
    decline = replace(accept, action="decline")
    assert (await front.http.post(front.address(accept))).status_code == 200
    before = await _changed_nothing(front)
    for link in (accept, decline):
        assert (await front.http.post(front.address(link))).status_code == 410
        assert (await front.http.get(front.address(link))).status_code == 410
    assert await _changed_nothing(front) == before


async def test_two_clicks_at_once_are_one(front: Front, company: Company) -> None:
    pair_id = await _proposed(front, company)
    accept = front.link("accept", "senior", pair_id=pair_id)
    decline = replace(accept, action="decline")
    answers = await asyncio.gather(
        *(front.http.post(front.address(link)) for link in (accept, decline, accept))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410]
    assert len(await front.facts(ProposalAccepted, ProposalDeclined)) == 1


async def test_an_answer_given_through_another_mail_settles_the_question(
    front: Front, company: Company
) -> None:
    pair_id = await _proposed(front, company)
    await front.http.post(front.address(front.link("accept", "senior", pair_id=pair_id)))
    before = await _changed_nothing(front)
    # The reminder is another question of its own group: its yes is no news, its no comes too late.
    late = await front.http.post(front.address(front.link("decline", "senior", pair_id=pair_id)))
    assert late.status_code == 409
    assert await _changed_nothing(front) == before
    same = await front.http.post(front.address(front.link("accept", "senior", pair_id=pair_id)))
    assert same.status_code == 200
    assert len(await front.facts(ProposalAccepted)) == 1


async def test_an_expired_link_changes_nothing(front: Front, company: Company) -> None:
    pair_id = await _proposed(front, company)
    address = front.address(
        front.link(
            "accept", "senior", pair_id=pair_id, expires_at=front.clock.now() + timedelta(days=1)
        )
    )
    before = await _changed_nothing(front)
    front.clock.advance(days=1, seconds=1)
    for answer in (await front.http.get(address), await front.http.post(address)):
        assert answer.status_code == 410
        assert "expired" in answer.text
    assert await _changed_nothing(front) == before


async def test_a_forged_link_changes_nothing(front: Front, company: Company) -> None:
    pair_id = await _proposed(front, company)
    link = front.link("decline", "senior", pair_id=pair_id)
    good = front.address(link)
    head, claims, signature = good.removeprefix("/l/").split(".")

    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    stretched = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    forged = [
        front.address(link, secret="another secret, just as long as the real one"),
        f"/l/{head}.{part(stretched | {'act': 'accept'})}.{signature}",
        f"/l/{head}.{part(stretched | {'sub': 'junior'})}.{signature}",
        f"/l/{head}.{part(stretched | {'exp': 9999999999})}.{signature}",
        f"/l/{head}.{part(stretched | {'jti': str(uuid4())})}.{signature}",
        f"/l/{part({'alg': 'none', 'typ': 'JWT'})}.{claims}.",
        f"/l/{head}.{claims}.{signature[:-4]}AAAA",
        "/l/x",
        "/l/a.b.c",
        f"/l/{'y' * 3000}",
    ]
    before = await _changed_nothing(front)
    for address in forged:
        for answer in (await front.http.get(address), await front.http.post(address)):
            assert answer.status_code == 403, address
            assert "<h1>" in answer.text
    assert await _changed_nothing(front) == before


async def test_what_a_form_or_an_address_adds_does_not_stretch_a_link(
    front: Front, company: Company
) -> None:
    pair_id = await _proposed(front, company)
    other_id = await _proposed(front, company)
    address = front.address(front.link("decline", "senior", pair_id=pair_id))
    await front.http.post(
        f"{address}?action=accept&pair_id={other_id}",
        data={"action": "accept", "act": "accept", "pair_id": str(other_id), "sub": "junior"},
    )
    assert not await front.facts(ProposalAccepted)
    (declined,) = await front.facts(ProposalDeclined)
    assert declined.pair_id == pair_id


async def test_a_link_that_is_signed_for_an_outsider_is_refused(
    front: Front, company: Company
) -> None:
    pair_id = await _proposed(front, company)
    booking = {"starts_at": (front.clock.now() + timedelta(days=1)).isoformat()}
    session = await front.post("junior", f"/pairs/{company.pair_id}/sessions", booking)
    before = await _changed_nothing(front)
    for link in (
        front.link("accept", "other", pair_id=pair_id),
        front.link("pulse_5", "other", pair_id=company.pair_id),
        front.link("cancel_session", "other", session_id=session["session_id"]),
        front.link("cancel_session", "junior", session_id=session["session_id"], pair_id=pair_id),
        front.link("cancel_session", "junior", session_id=uuid4()),
        front.link("complete_training", "other", participant_id=company.junior["participant_id"]),
        front.link("complete_training", "junior", programme_id=uuid4()),
        front.link("unsubscribe", "junior"),
        front.link("accept", "senior"),
        front.link("pulse_9", "senior", pair_id=company.pair_id),
    ):
        assert (await front.http.post(front.address(link))).status_code == 403, link
    assert await _changed_nothing(front) == before


async def test_a_mail_that_is_faster_than_the_news_asks_for_patience(
    front: Front, company: Company
) -> None:
    unknown = front.address(front.link("accept", "senior", pair_id=uuid4()))
    pair_id = await _proposed(front, company)
    not_asked_yet = front.address(front.link("accept", "junior", pair_id=pair_id))
    before = await _changed_nothing(front)
    for address in (unknown, not_asked_yet):
        answer = await front.http.post(address)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
    assert await _changed_nothing(front) == before
    await front.hear(
        front.pair(PairProposed, company.junior, company.senior, pair_id=pair_id, awaiting="mentor")
    )
    assert (await front.http.post(not_asked_yet)).status_code == 200


async def test_sessions_are_logged_confirmed_disputed_and_cancelled_by_link(
    front: Front, company: Company
) -> None:
    async def book(days: float) -> Any:
        starts_at = front.clock.now() + timedelta(days=days)
        body = {"starts_at": starts_at.isoformat()}
        path = f"/pairs/{company.pair_id}/sessions"
        return (await front.post("junior", path, body))["session_id"]

    first, second, third = [await book(days) for days in (1, 2, 5)]
    front.clock.advance(days=3)
    steps = [
        ("log_session", "junior", first),
        ("confirm_session", "senior", first),
        ("log_session", "senior", second),
        ("dispute_session", "junior", second),
        ("cancel_session", "senior", third),
    ]
    for action, who, session_id in steps:
        address = front.address(front.link(action, who, session_id=session_id))
        page = await front.http.get(address)
        assert "(Europe/Paris)" in page.text
        assert (await front.http.post(address)).status_code == 200, action
    kinds = (SessionLogged, SessionConfirmed, SessionDisputed, SessionCancelled)
    assert len(await front.facts(*kinds)) == len(steps)
    # The one who logged it cannot confirm it, by link no more than by request.
    own = front.address(front.link("confirm_session", "senior", session_id=second))
    assert (await front.http.post(own)).status_code == 409


async def test_a_pulse_is_one_of_five_links(front: Front, company: Company) -> None:
    started_at = front.clock.now()
    front.clock.advance(hours=2)
    session = await front.post(
        "junior",
        f"/pairs/{company.pair_id}/session-logs",
        {"started_at": started_at.isoformat(), "minutes": 60},
    )
    group = uuid4()
    about = {"pair_id": company.pair_id, "session_id": session["session_id"], "group": group}
    answers = [
        (await front.http.post(front.address(front.link(f"pulse_{n}", "senior", **about))))
        for n in (4, 5, 1)
    ]
    assert [answer.status_code for answer in answers] == [200, 410, 410]
    nps = front.link("nps_10", "senior", pair_id=company.pair_id)
    assert (await front.http.post(front.address(nps))).status_code == 200
    facts = await front.facts(FeedbackGiven)
    assert [(fact.kind, fact.score) for fact in facts] == [("pulse", 4), ("nps", 10)]


async def _hire(front: Front, **junior: Any) -> None:
    await front.hire("junior", 2, locale="de-CH", **junior)
    await front.hire("senior", 8)


async def _invited(front: Front, **rules: Any) -> dict[str, Any]:
    await _hire(front, skills=["AI", "Python"])
    programme = await front.open(enrolment="invite_only", **rules)
    await front.post(
        "programme_manager",
        f"/programmes/{programme['programme_id']}/invitations",
        {"role": "mentor", "employee_ids": ["junior"]},
    )
    return programme


async def test_one_click_enrols_an_invited_person_with_what_hr_knows(front: Front) -> None:
    programme = await _invited(front, training_required=True)
    enrol = front.link("enrol", "junior", programme_id=programme["programme_id"])
    page = await front.http.get(front.address(enrol))
    assert '<html lang="de">' in page.text
    assert (await front.http.post(front.address(enrol))).status_code == 200
    (joined,) = await front.facts(ParticipantEnrolled)
    assert (joined.status, joined.version, joined.agreement_version) == ("enrolled", 2, "1")
    assert [offer.topic for offer in joined.topics_offered] == ["AI", "Python"]
    assert (joined.languages, joined.interests, joined.timezone) == (
        ("de",),
        ("Chess",),
        "Europe/Paris",
    )
    again = front.link("enrol", "junior", programme_id=programme["programme_id"])
    assert (await front.http.post(front.address(again))).status_code == 409
    training = front.link("complete_training", "junior", programme_id=programme["programme_id"])
    assert (await front.http.post(front.address(training))).status_code == 200
    (trained,) = await front.facts(TrainingCompleted)
    assert trained.status == "ready"


async def test_one_click_enrols_who_has_no_topics_yet_and_says_what_is_missing(
    front: Front,
) -> None:
    programme = await _invited(front, focus_topics=[], training_required=True)
    await _hire(front, skills=[])
    about = {"programme_id": programme["programme_id"]}
    address = front.address(front.link("enrol", "junior", **about))
    assert "<button" in (await front.http.get(address)).text
    done = await front.http.post(address)
    assert done.status_code == 200
    assert "Ihr Profil nennt kein Thema, das Sie weitergeben können" in done.text
    trained = await front.http.post(
        front.address(front.link("complete_training", "junior", **about))
    )
    assert "Ihr Profil nennt kein Thema" in trained.text
    (joined,) = await front.facts(ParticipantEnrolled)
    (event,) = await front.facts(TrainingCompleted)
    assert (joined.status, joined.agreement_version, event.status) == ("enrolled", "1", "enrolled")
    path = f"/participants/{joined.participant_id}"
    assert (await front.patch("junior", path, {"languages": ["fr"]}))["status"] == "enrolled"
    offer = {"topics_offered": [{"topic": "AI", "proficiency": 3}]}
    assert (await front.patch("junior", path, offer))["status"] == "ready"


async def test_a_page_says_which_rule_refuses_the_click(front: Front) -> None:
    programme = await _invited(front)
    address = front.address(front.link("enrol", "junior", programme_id=programme["programme_id"]))
    await _hire(front, status="on_leave")
    for page in (await front.http.get(address), await front.http.post(address)):
        assert page.status_code == 409
        assert "Das geht jetzt nicht" in page.text
        assert "Only employees in active service can take part." in page.text
        assert "Join after the start of work or after the leave." in page.text
    assert not await front.facts(ParticipantEnrolled)


async def test_an_invitation_is_declined_by_one_click(front: Front) -> None:
    programme = await _invited(front)
    about = {"programme_id": programme["programme_id"], "group": uuid4()}
    decline = front.link("decline_invitation", "junior", **about)
    assert (await front.http.post(front.address(decline))).status_code == 200
    assert len(await front.facts(ParticipantWithdrawn)) == 1
    enrol = front.link("enrol", "junior", **about)
    assert (await front.http.post(front.address(enrol))).status_code == 410


async def test_nobody_consents_to_an_agreement_that_the_page_did_not_show(front: Front) -> None:
    programme = await _invited(front)
    path = f"/programmes/{programme['programme_id']}"
    address = front.address(front.link("enrol", "junior", programme_id=programme["programme_id"]))
    page = await front.http.get(address)
    assert 'name="agreement" value="1"' in page.text
    await front.patch("programme_manager", path, {"agreement_version": "2"})
    stale = await front.http.post(address, data={"agreement": "1"})
    assert stale.status_code == 409
    assert not await front.facts(ParticipantEnrolled)
    assert (await front.http.post(address, data={"agreement": "2"})).status_code == 200


async def test_the_programmes_manager_approves_by_link(front: Front, company: Company) -> None:
    path = f"/programmes/{company.programme['programme_id']}"
    await front.patch("programme_manager", path, {"manager_employee_id": "boss"})
    pair_id = await _proposed(front, company, awaiting="manager")
    outsider = front.link("accept", "other", pair_id=pair_id)
    assert (await front.http.post(front.address(outsider))).status_code == 403
    boss = front.link("accept", "boss", pair_id=pair_id)
    assert (await front.http.post(front.address(boss))).status_code == 200
    (accepted,) = await front.facts(ProposalAccepted)
    assert accepted.by == "manager"


@pytest.mark.parametrize("days", [14, 20])
async def test_a_proposal_that_expired_is_overtaken(
    front: Front, company: Company, days: int
) -> None:
    pair_id = await _proposed(front, company)
    address = front.address(front.link("accept", "senior", pair_id=pair_id))
    front.clock.advance(days=days)
    for answer in (await front.http.get(address), await front.http.post(address)):
        assert answer.status_code == 409
        assert "<button" not in answer.text
    assert not await front.facts(ProposalAccepted)
