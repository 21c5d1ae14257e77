"""A programme by invitation: who is not asked is told so, who is asked joins by one click."""

from __future__ import annotations

import pytest

from tests.e2e.company import Company, Person, cast, wait_until
from tests.e2e.conftest import side_by_side

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.asyncio(loop_scope="session")]


@side_by_side
async def test_only_the_invited_join_and_by_the_link_in_their_mail(company: Company) -> None:
    people = cast("Dan", seniors=1, juniors=3)
    (senior,), (invited, declining, uninvited) = people.seniors, people.juniors
    await company.hire(people.everybody)
    programme = await company.open_programme("By invitation", people, enrolment="invite_only")

    refused = await company.send(
        "POST",
        f"/programmes/{programme}/participants",
        token=company.token("participant", person=uninvited),
        body={"role": "mentor", "agreement_version": "1"},
    )
    assert refused.status_code in (404, 409)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["field"] == "programme_id"
    assert refused.json()["remedy"]

    answer = await company.ask(
        "POST",
        f"/programmes/{programme}/invitations",
        token=company.manager,
        body={
            "role": "mentor",
            "employee_ids": [invited.employee_id, declining.employee_id, people.ceo.employee_id],
        },
    )
    assert {one["employee_id"] for one in answer["invited"]} == {
        invited.employee_id,
        declining.employee_id,
    }
    assert [one["employee_id"] for one in answer["refused"]] == [people.ceo.employee_id]
    await company.ask(
        "POST",
        f"/programmes/{programme}/invitations",
        token=company.manager,
        body={"role": "mentee", "employee_ids": [senior.employee_id]},
    )

    assert await status(company, invited, programme) == "invited"
    for one in (invited, senior):
        await company.click(await company.mail(one, "invitation"), "enrol")
        assert await status(company, one, programme) == "enrolled"
        await company.click(await company.mail(one, "welcome"), "complete_training")
        assert await status(company, one, programme) == "ready"
    no = await company.mail(declining, "invitation")
    await company.click(no, "decline_invitation")
    assert await status(company, declining, programme) == "withdrawn"
    await company.click(no, "enrol", expect=410)

    asked = await company.mail(senior, "proposal")
    assert invited.name in asked.text
    await company.wait_for_kpi(programme, "participation_rate", suppressed=False, numerator=2)
    assert not company.mailbox.find(uninvited.email)
    assert not company.mailbox.find(declining.email, "welcome")


async def status(company: Company, person: Person, programme: str) -> str:
    async def look() -> str | None:
        mine = (await company.me(person))["participants"]
        return next((one["status"] for one in mine if one["programme_id"] == programme), None)

    return await wait_until(look, f"{person.employee_id} to be known in the programme")
