"""A registration service over a fresh database, without a broker, and a small company."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.registration.app import create_app
from services.registration.handlers import handlers
from services.registration.settings import Settings
from shared.auth import Principal, TokenRefused
from shared.catalogue import (
    EmployeeErased,
    EmployeeRecorded,
    Event,
    PairCreated,
    PairEnded,
    PairFact,
    PairProposed,
)
from shared.database import Database
from shared.links import Link, LinkSigner
from shared.testing import ManualClock, deliver, published

SECRET = "a secret of the tests, long enough to sign"


class NamedTokens:
    """Takes `role+role:employee` for a token, so that a test reads who asks."""

    async def verify(self, token: str) -> Principal:
        """The principal that the token spells out."""
        roles, _, employee_id = token.partition(":")
        if not roles or roles == "broken":
            raise TokenRefused("The token is not valid; get a new one from the issuer.")
        return Principal(token, frozenset(roles.split("+")), employee_id or None)


@dataclass
class Front:
    """Registration as its users see it, with hands for what HR and matching do."""

    app: FastAPI
    database: Database
    http: httpx.AsyncClient
    sequence: int = 0
    versions: dict[UUID, int] = field(default_factory=dict)

    @property
    def clock(self) -> ManualClock:
        """The clock of programme time."""
        assert isinstance(self.database.clock, ManualClock)
        return self.database.clock

    async def ask(
        self, who: str, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """A request; `who` is an employee id, or roles such as `programme_manager`."""
        roles = {"programme_manager", "hr_system", "auditor"}
        token = who if set(who.split("+")) & roles else f"participant:{who}"
        return await self.http.request(
            method, path, json=body, headers={"Authorization": f"Bearer {token}"} | headers
        )

    async def get(self, who: str, path: str) -> Any:
        """What a GET that must succeed shows."""
        return self._shown(await self.ask(who, "GET", path))

    async def post(self, who: str, path: str, body: Any = None) -> Any:
        """What a POST that must succeed shows."""
        return self._shown(await self.ask(who, "POST", path, body))

    async def patch(self, who: str, path: str, body: Any) -> Any:
        """What a PATCH that must succeed shows."""
        return self._shown(await self.ask(who, "PATCH", path, body))

    @staticmethod
    def _shown(response: httpx.Response) -> Any:
        assert response.is_success, response.text
        return response.json()

    async def hear(self, *events: Event) -> None:
        """Deliver events as the broker would; none may be parked."""
        assert await deliver(handlers, self.database, *events) == []

    async def hire(self, employee_id: str, level: int, **fields: Any) -> None:
        """HR sends a full record."""
        self.sequence += 1
        record: dict[str, Any] = {
            "employeeId": employee_id,
            "sequence": self.sequence,
            "effectiveDate": self.clock.now().date(),
            "status": "active",
            "jobLevel": level,
            "department": "Sales",
            "managerId": None,
            "startDate": date(2020, 1, 1),
            "displayName": employee_id.title(),
            "locale": "en",
            "timezone": "Europe/Paris",
            "skills": ["AI"],
            "interests": ["Chess"],
        }
        await self.hear(EmployeeRecorded.model_validate(record | fields))

    async def erase(self, employee_id: str) -> None:
        """HR asks for erasure."""
        self.sequence += 1
        await self.hear(EmployeeErased(employee_id=employee_id, sequence=self.sequence))

    async def open(self, **rules: Any) -> dict[str, Any]:
        """A programme that starts today, without training unless told."""
        body = {
            "name": "Upside down",
            "starts_on": self.clock.now().date().isoformat(),
            "training_required": False,
            "focus_topics": ["AI"],
        }
        opened: dict[str, Any] = await self.post("programme_manager", "/programmes", body | rules)
        return opened

    async def enrol(self, who: str, programme: dict[str, Any], role: str, **body: Any) -> Any:
        """A participation that must succeed."""
        return await self.post(
            who,
            f"/programmes/{programme['programme_id']}/participants",
            {"role": role, "agreement_version": "1"} | body,
        )

    async def facts(self, *types: type[Event]) -> list[Any]:
        """The events of these types in the outbox, oldest first."""
        return [event for event in await published(self.database) if isinstance(event, types)]

    def pair(
        self, fact: type[PairFact], mentor: dict[str, Any], mentee: dict[str, Any], **state: Any
    ) -> PairFact:
        """The next event that matching publishes of a pair."""
        pair_id = state.pop("pair_id", None) or uuid4()
        self.versions[pair_id] = self.versions.get(pair_id, 0) + 1
        now = self.clock.now()
        whole: dict[str, Any] = {
            "pair_id": pair_id,
            "programme_id": mentor["programme_id"],
            "mentor_id": mentor["participant_id"],
            "mentee_id": mentee["participant_id"],
            "mentor_employee_id": mentor["employee_id"],
            "mentee_employee_id": mentee["employee_id"],
            "version": self.versions[pair_id],
            "topics": ("AI",),
            "proposed_at": now,
            "expires_at": now + timedelta(days=14),
            "changed_at": now,
        }
        states: dict[type[PairFact], dict[str, Any]] = {
            PairProposed: {"status": "proposed", "awaiting": "mentee"},
            PairCreated: {"status": "active", "created_at": now},
            PairEnded: {"status": "ended", "created_at": now, "closed_at": now},
        }
        return fact.model_validate(whole | states.get(fact, {}) | state)

    def link(self, action: str, employee_id: str, **about: Any) -> Link:
        """A link as a mail would hold it."""
        about = {"group": uuid4(), "expires_at": self.clock.now() + timedelta(days=30)} | about
        return Link(action, employee_id, **about)

    @staticmethod
    def address(link: Link, secret: str = SECRET) -> str:
        """The path of a link."""
        return f"/l/{LinkSigner(secret).sign(link)}"


@dataclass
class Company:
    """Two juniors, two seniors, an open programme, and an active pair of the first of each."""

    programme: dict[str, Any]
    junior: dict[str, Any]
    senior: dict[str, Any]
    pair_id: UUID


@pytest.fixture
async def front(
    database_for: Callable[[str], Awaitable[Database]],
) -> AsyncIterator[Front]:
    """Registration with nobody in it."""
    database = await database_for("registration")
    app = create_app(Settings.model_validate({"links": {"secret": SECRET}}))
    app.state.database = database
    app.state.clock = database.clock
    app.state.tokens = NamedTokens()
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://registration") as http:
        yield Front(app, database, http)


@pytest.fixture
async def company(front: Front) -> Company:
    """A company with a living pair."""
    for employee_id, level in (("junior", 2), ("other", 2), ("senior", 8), ("boss", 9)):
        await front.hire(employee_id, level)
    programme = await front.open()
    junior = await front.enrol("junior", programme, "mentor")
    senior = await front.enrol("senior", programme, "mentee", topics_wanted=[{"topic": "AI"}])
    created = front.pair(PairCreated, junior, senior)
    await front.hear(created)
    return Company(programme, junior, senior, created.pair_id)
