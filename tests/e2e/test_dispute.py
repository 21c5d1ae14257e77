"""A session that one side logs and the other disputes does not count."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.company import Cast, Company, cast
from tests.e2e.conftest import side_by_side

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.asyncio(loop_scope="session")]


@side_by_side
async def test_a_disputed_session_is_taken_out_of_the_kpis(company: Company) -> None:
    people = cast("Eva")
    await company.hire(people.everybody)
    programme = await company.open_programme(
        "Two views", people, training_required=False, approval="automatic"
    )
    await company.enrol_all(people, programme)
    first, second = await asyncio.gather(
        *(company.pair_of(one, programme, "active") for one in people.seniors)
    )
    sessions = [await hold(company, people, pair) for pair in (first, second, second)]
    agreed, also_agreed, doubted = sessions
    await company.wait_for_kpi(programme, "no_show_rate", numerator=0, denominator=3)

    mentee = people.person(second["mentee_employee_id"])
    mentor = people.person(second["mentor_employee_id"])
    question = await company.mail(mentee, "session_confirm_request", about=doubted)
    await company.click(question, "dispute_session")

    disputed = await company.session(mentor, doubted, "disputed")
    assert (disputed["logged_by"], disputed["held"]) == ("mentor", True)
    await company.wait_for_kpi(programme, "no_show_rate", numerator=0, denominator=2)
    # The question is settled: the other button of the mail says so.
    await company.click(question, "confirm_session", expect=410)

    # What is confirmed, or not answered, still counts.
    await company.asked_by(
        people.person(first["mentee_employee_id"]), "POST", f"/sessions/{agreed}/confirmation"
    )
    own = await company.send(
        "POST",
        f"/sessions/{also_agreed}/confirmation",
        token=company.token("participant", person=mentor),
    )
    assert own.status_code == 409
    assert own.json()["field"] == "session_id"
    counted = await company.wait_for_kpi(programme, "no_show_rate", denominator=2)
    assert counted["definition"]


async def hold(company: Company, people: Cast, pair: dict[str, str]) -> str:
    """Book a session for soon, and have the mentor log it when it has begun."""
    mentor = people.person(pair["mentor_employee_id"])
    session_id = await company.meet(mentor, pair["pair_id"], minutes=30)
    await company.asked_by(mentor, "POST", f"/sessions/{session_id}/log", body={"held": True})
    return session_id
