"""A pair from HR's first record to the survivor's next proposal."""

from __future__ import annotations

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.company import Cast, Company, Person, cast
from tests.e2e.conftest import side_by_side
from tests.e2e.mailbox import Mail

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.asyncio(loop_scope="session")]

TELLING_WORDS = ("left the company", "leaver", "resign", "dismiss", "terminat", "quit", "fired")


@side_by_side
async def test_people_join_pair_meet_and_are_paired_again_when_one_leaves(company: Company) -> None:
    people = cast(
        "Ada",
        juniors=3,
        locales=("en", "de-DE", "fr-FR"),
        timezones=("UTC", "Europe/Paris", "America/New_York"),
    )
    mentors, mentees = people.juniors, people.seniors
    await company.hire(people.everybody)
    programme = await company.open_programme(
        "Learning upwards", people, training_required=True, nudges={}
    )

    # Join: consent by the API, training by the link in the welcome mail.
    joined = await company.enrol_all(people, programme)
    await asyncio.gather(*(complete_training(company, one) for one in (*mentors, *mentees)))
    for participant in joined.values():
        state = await company.ask("GET", f"/participants/{participant}", token=company.manager)
        assert state["status"] == "ready"

    # Pair: the senior first, then the junior.
    pairs = await asyncio.gather(*(form_pair(company, one, programme) for one in mentees))
    assert {pair["mentor_employee_id"] for pair in pairs} < {one.employee_id for one in mentors}
    for pair in pairs:
        why = await company.ask(
            "GET",
            f"/pairs/{pair['pair_id']}/explanation",
            service="matching",
            token=company.auditor,
        )
        assert why["topics"] == ["ai"]
        assert sum(part["points"] for part in why["breakdown"]) == pytest.approx(why["score"])

    # Meet: booked, logged by the mentor, confirmed by the mentee, judged by both.
    await asyncio.gather(*(meet_once(company, people, pair) for pair in pairs))
    await company.wait_for_kpi(programme, "match_rate", numerator=4, denominator=5)
    await company.wait_for_kpi(programme, "proposal_acceptance", numerator=2, denominator=2)
    await company.wait_for_kpi(programme, "no_show_rate", numerator=0, denominator=2)
    await company.wait_for_kpi(programme, "satisfaction", numerator=16, denominator=4, value=4)

    # Leave: the pair ends, its booking is called off, the survivor is told and paired anew.
    lost, kept = pairs
    leaver = people.person(lost["mentor_employee_id"])
    survivor = people.person(lost["mentee_employee_id"])
    booked = await company.asked_by(
        leaver,
        "POST",
        f"/pairs/{lost['pair_id']}/sessions",
        body={"starts_at": company.from_now(days=60)},
    )
    for one in (survivor, leaver):
        await company.mail(one, "session_scheduled", about=booked["session_id"])
    last_mail_before = company.mailbox.all()[-1]
    await company.tell_hr(leaver, sequence=2, status="left")

    await company.pair_of(survivor, programme, "ended")
    (ended,) = await company.events(
        "updraft.pairs", "updraft.pair.ended.v1", pair_id=lost["pair_id"]
    )
    assert (ended["reason"], ended["left_by"]) == ("leaver", "mentor")
    session = await company.session(survivor, booked["session_id"], "cancelled")
    assert session["cancelled_by"] == "system"
    called_off = await company.mail(survivor, "session_cancelled", about=booked["session_id"])
    assert "METHOD:CANCEL" in called_off.calendar
    told = await company.mail(survivor, "pair_ended")
    assert not [word for word in TELLING_WORDS if word in told.text.lower()]
    assert leaver.name in told.text
    again = await company.mail(survivor, "proposal", after=last_mail_before)
    await company.click(again, "accept")
    successor = await company.pair_of(survivor, programme, "proposed")
    third = people.person(successor["mentor_employee_id"])
    assert third.employee_id not in {pair["mentor_employee_id"] for pair in pairs}
    await company.click(await company.mail(third, "proposal"), "accept")
    await company.pair_of(survivor, programme, "active")

    assert not company.mailbox.find(leaver.email, after=last_mail_before)
    await company.pair_of(people.person(kept["mentee_employee_id"]), programme, "active")
    await company.wait_for_kpi(programme, "match_rate", numerator=4, denominator=4)
    await company.wait_for_kpi(programme, "guard_violations_open", numerator=0, denominator=2)
    # One pair is too few to tell its fate.
    reason = await company.kpi(programme, "early_end_by_reason", group="leaver")
    assert reason["suppressed"]
    assert reason["numerator"] is reason["value"] is None
    assert_mailed_in_working_hours(company, (*mentors, *mentees))


async def complete_training(company: Company, person: Person) -> None:
    welcome = await company.mail(person, "welcome")
    await company.click(welcome, "complete_training")


async def form_pair(company: Company, senior: Person, programme: str) -> dict[str, str]:
    """Both say yes by mail; the junior knows nothing before the senior has answered."""
    asked = await company.mail(senior, "proposal")
    pair = await company.pair_of(senior, programme, "proposed")
    junior_id = pair["mentor_employee_id"]
    junior = Person(junior_id, 2, "", None)
    early = await company.send(
        "GET", f"/pairs/{pair['pair_id']}", token=company.token("participant", person=junior)
    )
    assert early.status_code == 404
    assert not company.mailbox.find(junior.email, "proposal")

    await company.click(asked, "accept")
    await company.click(await company.mail(junior, "proposal"), "accept")

    formed = await company.pair_of(senior, programme, "active")
    assert formed["pair_id"] == pair["pair_id"]
    for one in (senior, junior):
        mail = await company.mail(one, "pair_created")
        assert not mail.links
    return formed


async def meet_once(company: Company, people: Cast, pair: dict[str, str]) -> None:
    mentor = people.person(pair["mentor_employee_id"])
    mentee = people.person(pair["mentee_employee_id"])
    booked = await company.asked_by(
        mentee,
        "POST",
        f"/pairs/{pair['pair_id']}/sessions",
        body={"starts_at": company.from_now(days=6), "minutes": 45},
    )
    session_id = booked["session_id"]
    for one in (mentor, mentee):
        invitation = await company.mail(one, "session_scheduled", about=session_id)
        assert "METHOD:REQUEST" in invitation.calendar
        starts = datetime.fromisoformat(booked["starts_at"])
        assert f"DTSTART:{starts:%Y%m%dT%H%M%SZ}" in invitation.calendar

    await company.click(await company.mail(mentor, "session_log_request"), "log_session")
    await company.session(mentee, session_id, "logged")
    await company.click(await company.mail(mentee, "session_confirm_request"), "confirm_session")
    await company.session(mentor, session_id, "confirmed")

    for one, score in ((mentor, 5), (mentee, 3)):
        request = await company.mail(one, "feedback_request", about=session_id)
        assert {f"pulse_{n}" for n in range(1, 6)} == request.links.keys()
        await company.click(request, f"pulse_{score}")


def assert_mailed_in_working_hours(company: Company, people: tuple[Person, ...]) -> None:
    """The quiet hours of the programme (20 to 8) hold in each person's own time zone."""
    mails: list[tuple[Person, Mail]] = [
        (one, mail) for one in people for mail in company.mailbox.find(one.email)
    ]
    assert len(mails) >= 30
    for person, mail in mails:
        local = mail.sent_at.astimezone(ZoneInfo(person.timezone))
        assert 8 <= local.hour < 20, f"{mail.kind} to {person.email} at {local}"
        assert mail.message["Content-Language"] == person.locale[:2]
