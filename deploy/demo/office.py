"""The front doors as the demo's people use them: HTTP with their own tokens, and mail links."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid5

import httpx

from deploy.demo.mailbox import MailLink

TokenMaker = Callable[[str, Sequence[str], str | None], str]
_SPACE = UUID("0c6f0f57-0b3c-4c0e-8d0e-6f1a9a4a7d02")
_TRIES = 6
_TITLE = re.compile(r"<title>([^<]*)</title>")


class Refused(Exception):  # noqa: N818 - named by the fact
    """The service said no; a play goes on after it."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('field') or ''} {problem.get('detail', problem)}")
        self.status = status
        self.problem = problem


class Office:
    """One HTTP client per service; a transient failure is tried again with the same key."""

    def __init__(self, urls: dict[str, str], token: TokenMaker, *, seed: int) -> None:
        self._token = token
        self._seed = seed
        self._numbers = Counter[str]()
        self._tokens: dict[str, str] = {}
        self._clients = {
            name: httpx.AsyncClient(
                base_url=url, timeout=20, limits=httpx.Limits(max_connections=10), trust_env=False
            )
            for name, url in urls.items()
        }
        self.refusals: Counter[tuple[str, int]] = Counter()
        self.first_refusal: dict[tuple[str, int], str] = {}
        self.requests = 0
        self.retried = 0

    async def __aenter__(self) -> Office:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def as_employee(self, employee_id: str, method: str, path: str, body: Any = None) -> Any:
        """A participant's request to registration."""
        return await self._call("registration", method, path, body, employee_id, "participant")

    async def as_manager(
        self, method: str, path: str, body: Any = None, *, service: str = "registration"
    ) -> Any:
        """The programme manager's request."""
        return await self._call(service, method, path, body, None, "programme_manager")

    async def as_auditor(self, path: str, *, service: str) -> Any:
        """The auditor's question."""
        return await self._call(service, "GET", path, None, None, "auditor")

    async def as_hr(self, method: str, path: str) -> Any:
        """The HR system's request to registration."""
        return await self._call("registration", method, path, None, None, "hr_system")

    async def click(self, link: MailLink) -> bool:
        """Open a mail's link and press its button; whether the service acted."""
        client = self._clients["registration"]
        page = await self._send(client, httpx.Request("GET", link.url))
        if page.status_code >= 400:
            self._refused(f"GET /l {link.action}", page)
            return False
        answer = await self._send(client, httpx.Request("POST", link.url))
        if answer.status_code >= 400:
            self._refused(f"POST /l {link.action}", answer)
            return False
        return True

    async def _call(
        self,
        service: str,
        method: str,
        path: str,
        body: Any,
        employee_id: str | None,
        role: str,
    ) -> Any:
        client = self._clients[service]
        who = employee_id or role
        if who not in self._tokens:
            self._tokens[who] = self._token(who, (role,), employee_id)
        headers = {"Authorization": f"Bearer {self._tokens[who]}"}
        if method == "POST":
            self._numbers[who] += 1
            key = uuid5(_SPACE, f"{self._seed}/{who}/{self._numbers[who]}")
            headers["Idempotency-Key"] = str(key)
        request = client.build_request(method, path, json=body, headers=headers)
        response = await self._send(client, request)
        if response.status_code >= 400:
            raise self._refused(f"{method} {_shape(path)}", response)
        return response.json() if response.content else None

    async def _send(self, client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        for attempt in range(_TRIES):
            self.requests += 1
            try:
                response = await client.send(request)
                if response.status_code < 500:
                    return response
                error: Exception | None = None
            except httpx.TransportError as failed:
                error = failed
            if attempt + 1 < _TRIES:
                self.retried += 1
                await asyncio.sleep(0.2 * 2**attempt)
        if error is not None:
            raise error
        return response

    def _refused(self, what: str, response: httpx.Response) -> Refused:
        try:
            problem = response.json()
        except ValueError:
            title = _TITLE.search(response.text)
            problem = {"detail": title[1].strip() if title else response.text[:80]}
        refusal = Refused(response.status_code, problem)
        self.refusals[what, response.status_code] += 1
        self.first_refusal.setdefault((what, response.status_code), str(refusal))
        return refusal


def _shape(path: str) -> str:
    """The path with its ids replaced, to count refusals by endpoint."""
    parts = path.split("?")[0].split("/")
    return "/".join("{id}" if len(part) > 30 or part.isdigit() else part for part in parts)
