"""Requests carry the right person's token, are tried again safely, and a no is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deploy.demo import office as module
from deploy.demo.mailbox import MailLink
from deploy.demo.office import Office, Refused

LINK = MailLink("http://registration/l/token", "accept")


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Office]:
    def make(answer: Callable[[httpx.Request], httpx.Response]) -> Office:
        def client(**settings: Any) -> httpx.AsyncClient:
            del settings["limits"]
            return real(**settings, transport=httpx.MockTransport(answer))

        real = httpx.AsyncClient
        monkeypatch.setattr(module.httpx, "AsyncClient", client)

        async def at_once(_: float) -> None:
            pass

        monkeypatch.setattr(module.asyncio, "sleep", at_once)
        urls = {"registration": "http://registration", "matching": "http://matching"}
        return Office(urls, lambda who, roles, _: f"{who}/{'+'.join(roles)}", seed=1)

    return make


async def test_a_participant_speaks_with_their_own_token(office: Any) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"ok": True})

    assert await office(answer).as_employee("A1", "POST", "/x", {"a": 1}) == {"ok": True}
    assert seen[0].headers["authorization"] == "Bearer A1/participant"
    assert seen[0].headers["idempotency-key"]


async def test_a_failed_request_is_sent_again_with_the_same_key(office: Any) -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx.ConnectError("down")
        return httpx.Response(503 if len(keys) == 2 else 200, json={})

    await office(answer).as_manager("POST", "/programmes", {}, service="matching")
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_no_is_raised_and_counted_by_endpoint(office: Any) -> None:
    asked = office(lambda _: httpx.Response(409, json={"field": "pair_id", "detail": "Over."}))
    path = "/pairs/018f0000-0000-7000-8000-000000000001/sessions"
    with pytest.raises(Refused, match="409 pair_id Over"):
        await asked.as_employee("A1", "POST", path, {})
    assert asked.refusals == {("POST /pairs/{id}/sessions", 409): 1}


async def test_a_link_is_looked_at_before_its_button_is_pressed(office: Any) -> None:
    methods: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        methods.append(request.method)
        return httpx.Response(200, text="done")

    assert await office(answer).click(LINK)
    assert methods == ["GET", "POST"]


async def test_an_expired_link_is_not_pressed(office: Any) -> None:
    asked = office(lambda _: httpx.Response(410, text="<title>Too late</title>"))
    assert not await asked.click(LINK)
    assert asked.requests == 1
    assert asked.first_refusal["GET /l accept", 410] == "410  Too late"
