"""HR moves people while they are paired: no pair lives on in one reporting line."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.company import Company, cast, wait_until
from tests.e2e.conftest import side_by_side

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.asyncio(loop_scope="session")]


@side_by_side
async def test_a_transfer_into_the_partners_team_ends_an_active_pair_within_seconds(
    company: Company,
) -> None:
    people = cast("Bea", seniors=1, juniors=1)
    (senior,), (junior,) = people.seniors, people.juniors
    await company.hire(people.everybody)
    programme = await company.open_programme(
        "Moved while paired", people, training_required=False, approval="automatic"
    )
    await company.enrol_all(people, programme)
    pair = await company.pair_of(senior, programme, "active")
    booked = await company.asked_by(
        junior,
        "POST",
        f"/pairs/{pair['pair_id']}/sessions",
        body={"starts_at": company.from_now(days=50)},
    )
    await company.mail(senior, "session_scheduled", about=booked["session_id"])

    # The junior's lead moves, so the junior ends up two levels below the senior.
    moved = time.monotonic()
    await company.tell_hr(people.lead, sequence=2, managerId=senior.employee_id)
    await company.pair_of(senior, programme, "ended")
    took_seconds = time.monotonic() - moved

    assert took_seconds < 20
    (ended,) = await company.events(
        "updraft.pairs", "updraft.pair.ended.v1", pair_id=pair["pair_id"]
    )
    assert ended["reason"] == "reporting_line"
    session = await company.session(junior, booked["session_id"], "cancelled")
    assert session["cancelled_by"] == "system"
    for one in (senior, junior):
        await company.mail(one, "pair_ended")
    await company.wait_for_kpi(programme, "guard_violations_open", numerator=0, denominator=0)
    # They are never brought together again: there is nobody else, and a run proposes nobody.
    run = await company.ask(
        "POST", f"/programmes/{programme}/match-runs", token=company.manager, service="matching"
    )
    assert (await completed_run(company, run["run_id"]))["proposed"] == 0


@side_by_side
async def test_a_transfer_before_the_last_yes_withdraws_the_proposal(company: Company) -> None:
    people = cast("Cem", seniors=1, juniors=1)
    (senior,), (junior,) = people.seniors, people.juniors
    await company.hire(people.everybody)
    programme = await company.open_programme("Moved while asked", people, training_required=False)
    await company.enrol_all(people, programme)
    await company.click(await company.mail(senior, "proposal"), "accept")
    asked = await company.mail(junior, "proposal")
    proposed = await company.pair_of(junior, programme, "proposed")

    await company.tell_hr(junior, sequence=2, managerId=senior.employee_id)

    await company.pair_of(junior, programme, "not_formed")
    seen = await company.ask("GET", f"/pairs/{proposed['pair_id']}", token=company.manager)
    assert seen["status"] == "expired"
    # The junior still has the mail; its button explains instead of acting.
    await company.click(asked, "accept", expect=409)
    await company.pair_of(senior, programme, "not_formed")
    assert not await company.events(
        "updraft.pairs", "updraft.pair.created.v1", pair_id=proposed["pair_id"]
    )
    assert not company.mailbox.find(senior.email, "pair_ended")


async def completed_run(company: Company, run_id: str) -> Any:
    async def look() -> Any:
        run = await company.ask(
            "GET", f"/match-runs/{run_id}", token=company.auditor, service="matching"
        )
        return run if run["state"] == "completed" else None

    return await wait_until(look, f"matching run {run_id} to be completed")
