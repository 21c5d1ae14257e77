"""The unsubscribe pages act on POST alone, and counts are for those who run programmes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from services.notifications.app import create_app
from shared.auth import Principal, TokenRefused

from .conftest import PEOPLE, PROGRAMME, Office, contact, created, invited, programme, proposed


class Tokens:
    """Accepts the name of a role as token."""

    async def verify(self, token: str) -> Principal:
        if token not in ("participant", "programme_manager", "hr_system", "auditor"):
            raise TokenRefused("unknown")
        return Principal(subject="x", roles=frozenset({token}), employee_id="junior")


@pytest.fixture
async def http(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    app: FastAPI = create_app(office.settings)
    app.state.database = office.database
    app.state.clock = office.clock
    app.state.tokens = Tokens()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://n") as client:
        yield client


def unsubscribe_path(office: Office) -> str:
    address = office.server.mails[-1]["List-Unsubscribe"].strip("<>")
    return str(httpx.URL(address).path)


async def mail_again(office: Office) -> list[str]:
    """Invite the person once more, a day later; the kinds that they get."""
    before = len(office.server.mails)
    number = 50 + len(await office.states())
    await office.work(after=timedelta(days=1))
    await office.tell(invited(number, "junior"))
    await office.work()
    return [str(mail["X-Updraft-Kind"]) for mail in office.server.mails[before:]]


@pytest.fixture
async def invited_junior(office: Office) -> Office:
    await office.tell(programme(manager_employee_id=None), *PEOPLE, invited(1, "junior"))
    await office.work()
    return office


async def test_looking_at_the_page_changes_nothing(
    invited_junior: Office, http: httpx.AsyncClient
) -> None:
    page = await http.get(unsubscribe_path(invited_junior))
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-store"
    assert len(re.findall("<form", page.text)) == 2
    assert await mail_again(invited_junior) == ["invitation"]


async def test_one_click_from_the_mail_client_ends_the_kind(
    invited_junior: Office, http: httpx.AsyncClient
) -> None:
    path = unsubscribe_path(invited_junior)
    done = await http.post(path, data={"List-Unsubscribe": "One-Click"})
    assert done.status_code == 200
    assert await mail_again(invited_junior) == []
    assert "suppressed: unsubscribed" in (await invited_junior.states()).values()
    # Clicking again is no error, and what is essential still comes.
    assert (await http.post(path, data={})).status_code == 200
    await invited_junior.tell(proposed("mentor"))
    await invited_junior.work()
    assert invited_junior.server.to("junior@example.org")[-1] == "proposal"


async def test_all_optional_mails_can_be_ended_and_taken_back(
    invited_junior: Office, http: httpx.AsyncClient
) -> None:
    path = unsubscribe_path(invited_junior)
    done = await http.post(path, data={"scope": "all"})
    assert 'name="undo"' in done.text
    assert await mail_again(invited_junior) == []
    await http.post(path, data={"scope": "all", "undo": "1"})
    assert await mail_again(invited_junior) == ["invitation"]


async def test_the_page_speaks_the_persons_language(
    office: Office, http: httpx.AsyncClient
) -> None:
    await office.tell(programme(), contact("junior", locale="de-AT"), invited(1, "junior"))
    await office.work()
    assert "Weniger Mails?" in (await http.get(unsubscribe_path(office))).text


async def test_other_links_and_nonsense_end_nothing(
    office: Office, http: httpx.AsyncClient
) -> None:
    await office.tell(programme(), *PEOPLE, proposed())
    await office.work()
    body = office.server.mails[0].get_body(("plain",))
    assert body is not None
    accept = re.findall(r"/l/(\S+)", body.get_content())[0]
    for token in (accept, accept[:-3], "x", "a.b.c"):
        for answer in (await http.get(f"/u/{token}"), await http.post(f"/u/{token}")):
            assert answer.status_code == 410
    assert await office.database.pool.fetchval("SELECT count(*) FROM unsubscriptions") == 0


async def test_an_old_unsubscribe_link_is_refused(
    invited_junior: Office, http: httpx.AsyncClient
) -> None:
    path = unsubscribe_path(invited_junior)
    invited_junior.clock.advance(days=400)
    assert (await http.post(path)).status_code == 410


@pytest.mark.parametrize("role", ["programme_manager", "auditor"])
async def test_managers_and_auditors_count_mails_by_kind_and_state(
    office: Office, http: httpx.AsyncClient, role: str
) -> None:
    await office.tell(programme(), *PEOPLE, created(), invited(1, "nobody"))
    await office.work()
    path = f"/programmes/{PROGRAMME}/notifications"
    answer = await http.get(path, headers={"Authorization": f"Bearer {role}"})
    assert answer.json() == {
        "programme_id": str(PROGRAMME),
        "total": {"owed": 1, "sent": 2, "failed": 0, "suppressed": 0},
        "kinds": [
            {"kind": "invitation", "state": "owed", "count": 1},
            {"kind": "pair_created", "state": "sent", "count": 2},
        ],
    }


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("forged", 401), ("participant", 403), ("hr_system", 403)]
)
async def test_nobody_else_may_count(
    http: httpx.AsyncClient, token: str | None, status: int
) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = await http.get(f"/programmes/{UUID(int=2)}/notifications", headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
