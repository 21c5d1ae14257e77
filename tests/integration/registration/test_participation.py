from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.registration.programmes import close_programmes_that_are_over
from shared.catalogue import (
    PairCreated,
    ParticipantEnrolled,
    ParticipantFact,
    ParticipantInvited,
    ParticipantWithdrawn,
    ProfileChanged,
    ProgrammeChanged,
    ProgrammeClosed,
    ProgrammeOpened,
)
from tests.integration.registration.conftest import Company, Front


async def test_a_programme_is_opened_changed_and_closed_in_rising_versions(front: Front) -> None:
    programme = await front.open(name="One")
    path = f"/programmes/{programme['programme_id']}"
    await front.patch("programme_manager", path, {"name": "Two", "cadence_days": 14})
    await front.patch("programme_manager", path, {"name": "Two"})
    closed = await front.post("programme_manager", f"{path}/close")
    assert (closed["status"], closed["version"], closed["name"]) == ("closed", 3, "Two")
    facts = await front.facts(ProgrammeOpened, ProgrammeChanged, ProgrammeClosed)
    assert [(type(fact), fact.version) for fact in facts] == [
        (ProgrammeOpened, 1),
        (ProgrammeChanged, 2),
        (ProgrammeClosed, 3),
    ]
    refused = await front.ask("programme_manager", "PATCH", path, {"name": "Three"})
    assert refused.status_code == 409
    assert refused.json()["remedy"]


async def test_a_programme_that_would_be_over_is_not_opened(front: Front) -> None:
    body = {"name": "Late", "starts_on": "2020-01-01"}
    refused = await front.ask("programme_manager", "POST", "/programmes", body)
    assert (refused.status_code, refused.json()["field"]) == (422, "starts_on")


async def test_time_closes_a_programme_once(front: Front) -> None:
    programme = await front.open(length_days=30)
    await close_programmes_that_are_over(front.database)
    front.clock.advance(days=30)
    for _ in range(3):
        await close_programmes_that_are_over(front.database)
    (closed,) = await front.facts(ProgrammeClosed)
    assert str(closed.programme_id) == programme["programme_id"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cadence_days": 1}, "cadence_days"),
        ({"nmae": "typo"}, "nmae"),
        ({"name": None}, "name"),
        ({"weights": {"wants_covered": 90}}, "weights"),
        ({"score_floor": 101}, "score_floor"),
        ({"stickiness": -1}, "stickiness"),
    ],
)
async def test_a_wrong_rule_is_refused_by_its_name(
    front: Front, change: dict[str, Any], field: str
) -> None:
    programme = await front.open()
    path = f"/programmes/{programme['programme_id']}"
    refused = await front.ask("programme_manager", "PATCH", path, change)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["field"].startswith(field)
    assert refused.json()["remedy"]


@pytest.mark.parametrize("part", ["weights", "audience", "nudges", None])
async def test_a_protected_attribute_is_no_rule(front: Front, part: str | None) -> None:
    programme = await front.open()
    change = {part: {"gender": 0}} if part else {"gender": 0}
    field = f"{part}.gender" if part else "gender"
    path = f"/programmes/{programme['programme_id']}"
    opening = {"name": "Two", "starts_on": "2026-02-01"}
    for method, target, sent in (("PATCH", path, {}), ("POST", "/programmes", opening)):
        refused = await front.ask("programme_manager", method, target, sent | change)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
        assert "protected attributes" in refused.json()["detail"]


@pytest.mark.parametrize("rule", ["score_floor", "stickiness"])
async def test_what_pairs_are_worth_is_the_programmes_to_say(front: Front, rule: str) -> None:
    programme = await front.open()
    assert programme[rule] == 0
    path = f"/programmes/{programme['programme_id']}"
    await front.patch("programme_manager", path, {rule: 22.5})
    (_, changed) = await front.facts(ProgrammeOpened, ProgrammeChanged)
    assert getattr(changed, rule) == 22.5


async def test_what_is_left_out_at_enrolment_comes_from_the_directory(front: Front) -> None:
    await front.hire("junior", 2, locale="fr-FR", skills=["AI", "Python"])
    await front.hire("senior", 8)
    joined = await front.enrol("junior", await front.open(), "mentor")
    assert joined["status"] == "ready"
    assert joined["languages"] == ["fr"]
    assert joined["timezone"] == "Europe/Paris"
    assert [offer["topic"] for offer in joined["topics_offered"]] == ["AI", "Python"]
    (fact,) = await front.facts(ParticipantEnrolled)
    assert (fact.status, fact.version, fact.agreement_version) == ("ready", 1, "1")


async def test_without_anybody_far_enough_above_there_is_no_mentor(front: Front) -> None:
    await front.hire("junior", 2)
    await front.hire("peer", 3)
    programme = await front.open()
    path = f"/programmes/{programme['programme_id']}/participants"
    body = {"role": "mentor", "agreement_version": "1"}
    refused = await front.ask("junior", "POST", path, body)
    assert (refused.status_code, refused.json()["field"]) == (409, "role")
    await front.hire("boss", 4)
    assert (await front.ask("junior", "POST", path, body)).status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"agreement_version": "0"}, 422, "agreement_version"),
        ({"capacity": 9}, 422, "capacity"),
        ({"capacity": 99}, 422, "capacity"),
        ({"languages": ["English"]}, 422, "languages.0"),
        ({"timezone": "Mars/Olympus"}, 422, "timezone"),
        ({"blocks": ["junior"]}, 422, "blocks"),
        ({"blocks": ["nobody"]}, 422, "blocks"),
        ({"topics_offered": []}, 422, "topics_offered"),
        ({"role": "boss"}, 422, "role"),
        ({"surprise": 1}, 422, "surprise"),
        ({"interests": ["a\u0000b"]}, 422, "interests.0"),
    ],
)
async def test_a_wrong_enrolment_is_refused_by_the_name_of_the_field(
    front: Front, body: dict[str, Any], status: int, field: str
) -> None:
    await front.hire("junior", 2)
    await front.hire("senior", 8)
    programme = await front.open()
    path = f"/programmes/{programme['programme_id']}/participants"
    refused = await front.ask(
        "junior", "POST", path, {"role": "mentor", "agreement_version": "1"} | body
    )
    assert refused.status_code == status, refused.text
    assert refused.json()["field"] == field
    assert refused.json()["remedy"]


async def test_two_enrolments_at_once_make_one_participant(front: Front) -> None:
    await front.hire("junior", 2)
    await front.hire("senior", 8)
    programme = await front.open()
    path = f"/programmes/{programme['programme_id']}/participants"
    body = {"role": "mentor", "agreement_version": "1"}
    answers = await asyncio.gather(*(front.ask("junior", "POST", path, body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(await front.facts(ParticipantEnrolled)) == 1


async def test_an_enrolment_with_a_key_is_answered_the_same_again(front: Front) -> None:
    await front.hire("junior", 2)
    await front.hire("senior", 8)
    programme = await front.open()
    path = f"/programmes/{programme['programme_id']}/participants"
    body = {"role": "mentor", "agreement_version": "1"}
    key = {"Idempotency-Key": "once"}
    first = await front.ask("junior", "POST", path, body, **key)
    again = await front.ask("junior", "POST", path, body, **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert len(await front.facts(ParticipantEnrolled)) == 1


async def test_invitations_name_whom_they_left_out_and_why(front: Front) -> None:
    await front.hire("junior", 2)
    await front.hire("senior", 8)
    await front.hire("away", 2, status="on_leave")
    programme = await front.open(enrolment="invite_only")
    path = f"/programmes/{programme['programme_id']}/invitations"
    body = {"role": "mentor", "employee_ids": ["junior", "away", "nobody", "senior", "junior"]}
    answer = await front.post("programme_manager", path, body)
    assert [one["employee_id"] for one in answer["invited"]] == ["junior"]
    assert {one["employee_id"] for one in answer["refused"]} == {"away", "nobody", "senior"}
    again = await front.post("programme_manager", path, body)
    assert again["invited"] == []
    assert len(await front.facts(ParticipantInvited)) == 1


async def test_an_invite_only_programme_does_not_exist_for_the_others(front: Front) -> None:
    await front.hire("junior", 2)
    await front.hire("other", 2)
    await front.hire("senior", 8)
    programme = await front.open(enrolment="invite_only")
    path = f"/programmes/{programme['programme_id']}"
    invitation = {"role": "mentor", "employee_ids": ["junior"]}
    await front.post("programme_manager", f"{path}/invitations", invitation)
    assert (await front.ask("other", "GET", path)).status_code == 404
    assert await front.get("other", "/programmes") == []
    body = {"role": "mentor", "agreement_version": "1"}
    assert (await front.ask("other", "POST", f"{path}/participants", body)).status_code == 404
    assert (await front.get("junior", path))["name"] == "Upside down"
    joined = await front.enrol("junior", programme, "mentor")
    assert (joined["version"], joined["status"]) == (2, "ready")


async def test_training_pause_and_resume_move_the_status(front: Front) -> None:
    await front.hire("junior", 2)
    await front.hire("senior", 8)
    joined = await front.enrol("junior", await front.open(training_required=True), "mentor")
    path = f"/participants/{joined['participant_id']}"
    seen = [joined["status"]]
    for step in ("training-completion", "pause", "pause", "resume", "withdrawal", "withdrawal"):
        front.clock.advance(days=1)
        seen.append((await front.post("junior", f"{path}/{step}"))["status"])
    assert seen == [
        "enrolled", "ready", "paused", "paused", "ready", "withdrawn", "withdrawn",
    ]  # fmt: skip
    facts = await front.facts(ParticipantFact)
    assert [fact.version for fact in facts] == [1, 2, 3, 4, 5]
    assert (await front.ask("junior", "POST", f"{path}/resume")).status_code == 409


async def test_capacity_stays_above_the_living_pairs(front: Front, company: Company) -> None:
    path = f"/participants/{company.junior['participant_id']}"
    await front.patch("junior", path, {"capacity": 2})
    await front.hear(front.pair(PairCreated, company.junior, company.senior))
    refused = await front.ask("junior", "PATCH", path, {"capacity": 1})
    assert (refused.status_code, refused.json()["field"]) == (409, "capacity")


async def test_who_leaves_the_company_leaves_every_programme(
    front: Front, company: Company
) -> None:
    await front.hire("junior", 2, status="left")
    (gone,) = await front.facts(ParticipantWithdrawn)
    assert (gone.employee_id, gone.status, gone.version) == ("junior", "withdrawn", 2)
    await front.hire("junior", 2, status="left", title="Nothing new")
    assert len(await front.facts(ParticipantWithdrawn)) == 1


async def test_an_erased_person_leaves_no_word_behind(front: Front, company: Company) -> None:
    pair = f"/pairs/{company.pair_id}"
    await front.post("junior", f"{pair}/goals", {"title": "A private goal"})
    body = {"kind": "fit", "score": 4, "comment": "A private comment"}
    await front.post("junior", f"{pair}/feedback", body)
    concern = {"category": "other", "exit_requested": False, "text": "A private fear"}
    await front.post("junior", f"{pair}/concerns", concern)
    await front.erase("junior")
    (gone,) = await front.facts(ParticipantWithdrawn)
    assert (gone.interests, gone.topics_offered, gone.languages) == ((), (), ())
    rows = await front.database.pool.fetch(
        "SELECT to_jsonb(t)::text AS row FROM feedback t UNION ALL"
        " SELECT to_jsonb(t)::text FROM goals t UNION ALL"
        " SELECT to_jsonb(t)::text FROM concerns t"
    )
    assert len(rows) == 3
    assert not any("private" in row["row"] for row in rows)


async def test_changed_rules_reach_the_participants(front: Front, company: Company) -> None:
    path = f"/programmes/{company.programme['programme_id']}"
    await front.patch("programme_manager", path, {"agreement_version": "2"})
    assert {fact.status for fact in await front.facts(ProfileChanged)} == {"enrolled"}
    mine = f"/participants/{company.junior['participant_id']}"
    again = await front.patch("junior", mine, {"agreement_version": "2"})
    assert again["status"] == "ready"


async def test_pages_of_participants_name_the_next_page(front: Front, company: Company) -> None:
    path = f"/programmes/{company.programme['programme_id']}/participants"
    first = await front.ask("auditor", "GET", f"{path}?limit=1")
    following = first.headers["link"].split(">")[0].removeprefix("<")
    rest = await front.get("auditor", following)
    ids = [first.json()[0]["participant_id"], rest[0]["participant_id"]]
    assert set(ids) == {company.junior["participant_id"], company.senior["participant_id"]}
    assert await front.get("auditor", f"{path}?status=withdrawn") == []


async def test_a_person_on_the_way_out_cannot_slip_in(front: Front) -> None:
    await front.hire("junior", 2)
    await front.hire("senior", 8)
    programme = await front.open()
    path = f"/programmes/{programme['programme_id']}/participants"
    body = {"role": "mentor", "agreement_version": "1"}
    await asyncio.gather(
        front.hire("junior", 2, status="left"), front.ask("junior", "POST", path, body)
    )
    living = await front.database.pool.fetchval(
        "SELECT count(*) FROM participants WHERE status <> 'withdrawn'"
    )
    assert living == 0


async def test_blocks_are_shown_to_nobody_else(front: Front, company: Company) -> None:
    path = f"/participants/{company.junior['participant_id']}"
    await front.patch("junior", path, {"blocks": ["boss"]})
    assert (await front.get("junior", path))["blocks"] == ["boss"]
    assert (await front.get("programme_manager", path))["blocks"] is None
    assert (await front.get("auditor", path))["blocks"] is None


async def test_enrolment_stops_with_the_programme(front: Front) -> None:
    await front.hire("junior", 2)
    await front.hire("senior", 8)
    programme = await front.open(length_days=30)
    front.clock.set(front.clock.now() + timedelta(days=31))
    path = f"/programmes/{programme['programme_id']}/participants"
    body = {"role": "mentor", "agreement_version": "1"}
    refused = await front.ask("junior", "POST", path, body)
    assert (refused.status_code, refused.json()["field"]) == (409, "programme_id")
