"""How people reach the services: HTTP that is tried again with the same key, and their mails."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid5

import httpx

from tests.chaos.ground import Ground
from tests.e2e.mailbox import Mail, Mailbox

T = TypeVar("T")
_SPACE = UUID("2d4f6b0a-8c1e-4f53-a7b9-6e0d2c4b8a13")
_PAUSE_SECONDS = 0.4
_REFUSED_PAUSE_SECONDS = 1.0
_LOOK_SECONDS = 0.7


class OutOfTime(Exception):  # noqa: N818 - named by the fact
    """The run ended before the services did what they were asked for."""


@dataclass
class Door:
    """The services' HTTP, as clients use it that never give up before the run ends."""

    ground: Ground
    http: httpx.AsyncClient
    mailbox: Mailbox
    seed: int
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Effect promised by an answer of 2xx → who asked for it."""
    closes_at: float = float("inf")
    """When nobody waits any longer, by the monotonic clock."""
    requests: int = 0
    retried: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    _tokens: dict[tuple[str, str], str] = field(default_factory=dict)

    def visitor(self, name: str) -> Visitor:
        """Somebody whose requests have keys of their own, the same for the same seed."""
        return Visitor(self, name, random.Random(f"{self.seed}/door/{name}"))

    def token(self, role: str, employee_id: str | None = None) -> str:
        """A bearer token of the issuer."""
        who = employee_id or role
        if (role, who) not in self._tokens:
            self._tokens[role, who] = self.ground.stack.token(who, [role], employee_id)
        return self._tokens[role, who]


@dataclass
class Visitor:
    """One who asks, waits and clicks."""

    door: Door
    name: str
    dice: random.Random
    doing: str = ""
    """What is awaited now."""
    _number: int = 0

    async def ask(
        self,
        method: str,
        path: str,
        *,
        role: str = "participant",
        employee_id: str | None = None,
        body: Callable[[], Any] | None = None,
        effects: Callable[[Any], Sequence[str]] = lambda _: (),
    ) -> Any:
        """The answer of 2xx, which is noted with the effects that it promises.

        While no answer comes, the same request is sent again under the same key. After a refusal,
        as news is still on its way, it is made anew.
        """
        door = self.door
        headers = {"Authorization": f"Bearer {door.token(role, employee_id)}"}
        while True:
            self._number += 1
            key = uuid5(_SPACE, f"{door.seed}/{self.name}/{self._number}")
            if method == "POST":
                headers["Idempotency-Key"] = str(key)
            sent = None if body is None else body()
            answer = await self._answer(method, path, json=sent, headers=headers)
            if answer.is_success:
                found = answer.json() if answer.content else None
                self._note(effects(found))
                return found
            door.refused[f"{method} {answer.status_code}"] += 1
            self.doing = f"{method} {path}: {answer.status_code} {answer.text[:200]}"
            await self._pause(_REFUSED_PAUSE_SECONDS)

    async def click(self, mail: Mail, action: str, *, effects: Sequence[str]) -> None:
        """Open the link of a mail and press its button, until it is said that it was done."""
        path = httpx.URL(mail.links[action]).path
        pressed = False
        while True:
            page = await self._answer("GET", path)
            # Used up: an earlier press was taken, and only its answer was lost.
            if page.status_code == 410 and pressed:
                break
            if page.is_success:
                pressed = True
                if (await self._answer("POST", path)).is_success:
                    break
            self.doing = f"the link {action} of {self.name}: {page.status_code}"
            await self._pause(_REFUSED_PAUSE_SECONDS)
        self._note(effects)

    async def until(self, look: Callable[[], Awaitable[T | None]], what: str) -> T:
        """What `look` finds, once it finds something."""
        while (found := await look()) is None:
            self.doing = what
            await self._pause(_LOOK_SECONDS)
        return found

    async def mail(self, to: str, kind: str, *, about: str | None = None) -> Mail:
        """The first mail of a kind to an address, about a pair or session."""

        async def look() -> Mail | None:
            found = self.door.mailbox.find(to, kind)
            return next((m for m in found if about is None or m.is_about(about)), None)

        return await self.until(look, f"a mail {kind}")

    async def _answer(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """The answer to a request, sent again while a service is away or says 5xx."""
        door = self.door
        while True:
            door.requests += 1
            url = door.ground.url("registration", self.dice)
            try:
                answer = await door.http.request(method, f"{url}{path}", **rest)
                if answer.status_code < 500:
                    return answer
                self.doing = f"{method} {path}: {answer.status_code}"
            except httpx.TransportError as error:
                self.doing = f"{method} {path}: {type(error).__name__}"
            door.retried += 1
            await self._pause(_PAUSE_SECONDS)

    def _note(self, effects: Sequence[str]) -> None:
        for effect in effects:
            self.door.acknowledged[effect] = self.name

    async def _pause(self, seconds: float) -> None:
        if time.monotonic() > self.door.closes_at:
            raise OutOfTime(f"{self.name}: {self.doing}")
        await asyncio.sleep(seconds)
