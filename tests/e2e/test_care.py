"""What protects people: the safe exit, the leave of absence, the senior who keeps cancelling."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.company import Cast, Company, Person, cast
from tests.e2e.conftest import side_by_side

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.asyncio(loop_scope="session")]


async def paired(company: Company, prefix: str) -> tuple[Cast, str, Any]:
    """A senior and a junior in an active pair: (people, programme, pair)."""
    people = cast(prefix, seniors=1, juniors=1)
    await company.hire(people.everybody)
    programme = await company.open_programme(
        f"Care {prefix}", people, training_required=False, approval="automatic"
    )
    await company.enrol_all(people, programme)
    return people, programme, await company.pair_of(people.seniors[0], programme, "active")


async def book(company: Company, by: Person, pair: Any, *, days: float) -> str:
    booked = await company.asked_by(
        by,
        "POST",
        f"/pairs/{pair['pair_id']}/sessions",
        body={"starts_at": company.from_now(days=days)},
    )
    return str(booked["session_id"])


@side_by_side
async def test_a_junior_leaves_a_pair_safely_and_the_senior_never_learns_why(
    company: Company,
) -> None:
    people, programme, pair = await paired(company, "Kim")
    (senior,), (junior,) = people.seniors, people.juniors
    words = "He shouts at me in every session."

    concern = await company.asked_by(
        junior,
        "POST",
        f"/pairs/{pair['pair_id']}/concerns",
        body={"category": "conflict", "exit_requested": True, "text": words},
    )
    await company.pair_of(senior, programme, "ended")

    told = await company.mail(senior, "pair_ended")
    for hint in ("concern", "conflict", "shout", "safe", junior.employee_id):
        assert hint not in told.text
    seen = await company.asked_by(senior, "GET", f"/pairs/{pair['pair_id']}")
    assert "conflict" not in str(seen)
    assert "concern" not in str(seen)
    listed = await company.ask("GET", "/concerns?unresolved=true", token=company.manager)
    assert words in [one["text"] for one in listed if one["concern_id"] == concern["concern_id"]]
    await company.ask(
        "POST",
        f"/concerns/{concern['concern_id']}/resolution",
        token=company.manager,
        body={"resolution": "Spoke to both."},
    )
    # The words stay where they were said.
    for topic in ("updraft.concerns", "updraft.pairs"):
        for kind in ("updraft.concern.raised.v1", "updraft.pair.ended.v1"):
            for event in await company.events(topic, kind, pair_id=pair["pair_id"]):
                assert "shout" not in str(event)
    assert "shout" not in "".join(log.read_text() for log in company.stack.logs_dir.glob("*.log"))


@side_by_side
async def test_a_leave_of_absence_pauses_the_pair_and_its_end_resumes_it(company: Company) -> None:
    people, programme, pair = await paired(company, "Leo")
    (senior,), (junior,) = people.seniors, people.juniors
    session_id = await book(company, junior, pair, days=50)

    await company.tell_hr(senior, sequence=2, status="on_leave")
    await company.pair_of(junior, programme, "paused")
    await company.session(junior, session_id, "cancelled")
    refused = await company.send(
        "POST",
        f"/pairs/{pair['pair_id']}/sessions",
        token=company.token("participant", person=junior),
        body={"starts_at": company.from_now(days=40)},
    )
    assert refused.status_code == 409
    assert refused.json()["field"] == "pair_id"

    await company.tell_hr(senior, sequence=3, status="active")
    resumed = await company.pair_of(junior, programme, "active")
    assert resumed["pair_id"] == pair["pair_id"]
    await book(company, junior, pair, days=45)


@side_by_side
async def test_a_senior_who_cancels_twice_is_reminded_and_the_junior_is_not_blamed(
    company: Company,
) -> None:
    people, _, pair = await paired(company, "Mia")
    (senior,), (junior,) = people.seniors, people.juniors
    for days in (50, 55):
        session_id = await book(company, junior, pair, days=days)
        invitation = await company.mail(senior, "session_scheduled", about=session_id)
        await company.click(invitation, "cancel_session")
        cancelled = await company.session(junior, session_id, "cancelled")
        assert cancelled["cancelled_by"] == "mentee"
        await company.mail(junior, "session_cancelled", about=session_id)

    reminder = await company.mail(senior, "two_cancellations")
    assert junior.name in reminder.text
    assert not company.mailbox.find(junior.email, "two_cancellations")
