"""Matching's HTTP without a server."""

from __future__ import annotations

import httpx
from fastapi import FastAPI

from services.matching.api import routers
from services.matching.settings import Settings
from shared.auth import Principal, TokenRefused
from shared.problems import add_problem_answers
from tests.integration.matching.world import World


class _Tokens:
    """Takes `role[:employee]` for a token."""

    async def verify(self, token: str) -> Principal:
        role, _, employee_id = token.partition(":")
        if role == "forged":
            raise TokenRefused("The token is not valid; get a new one from the issuer.")
        return Principal(token, frozenset({role}), employee_id or None)


def client_of(world: World) -> httpx.AsyncClient:
    """Asks matching as if it were `http://matching`."""
    app = FastAPI()
    app.state.database = world.database
    app.state.clock = world.database.clock
    app.state.tokens = _Tokens()
    app.state.settings = Settings()
    add_problem_answers(app)
    for router in routers:
        app.include_router(router)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://matching")


def as_(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def manager() -> dict[str, str]:
    return as_("programme_manager")
