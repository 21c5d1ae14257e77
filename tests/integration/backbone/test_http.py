"""HTTP's backbone: one transaction per request, idempotent POSTs, limits, problem documents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Annotated

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI

from shared.auth import Principal, TokenRefused
from shared.database import Database
from shared.http import (
    BodyLimit,
    TransactionRoute,
    Tx,
    require,
)
from shared.problems import Problem, add_problem_answers

DatabaseFor = Callable[[str], Awaitable[Database]]


class Tokens:
    """Accepts `alice` and `bob` as managers."""

    async def verify(self, token: str) -> Principal:
        if token not in ("alice", "bob"):
            raise TokenRefused("no")
        return Principal(token, frozenset({"programme_manager"}), None)


@pytest.fixture
async def database(database_for: DatabaseFor) -> Database:
    database = await database_for("backbone")
    await database.pool.execute("CREATE TABLE notes (note text)")
    return database


@pytest.fixture
def wanted() -> set[str]:
    """The notes that are not refused."""
    return {"a", "b", "fails"}


@pytest.fixture
async def client(database: Database, wanted: set[str]) -> AsyncIterator[httpx.AsyncClient]:
    router = APIRouter(route_class=TransactionRoute)

    @router.post("/notes", status_code=201)
    async def add(
        body: dict[str, str],
        tx: Tx,
        who: Annotated[Principal, Depends(require("programme_manager"))],
    ) -> dict[str, str]:
        await tx.connection.execute("INSERT INTO notes VALUES ($1)", body["note"])
        if body["note"] == "loses the database":
            with suppress(asyncpg.PostgresError):
                await tx.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        if body["note"] not in wanted:
            raise Problem(409, "note", "Not wanted.", remedy="Send another.")
        if body["note"] == "fails":
            raise Problem(503, None, "Not now.", remedy="Try again later.")
        return {"by": who.subject, "note": body["note"]}

    app = FastAPI()
    app.state.database = database
    app.state.tokens = Tokens()
    app.include_router(router)
    add_problem_answers(app)
    app.add_middleware(BodyLimit)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def post(
    client: httpx.AsyncClient, note: str, key: str | None = None, token: str | None = "alice"
) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return await client.post("/notes", json={"note": note}, headers=headers)


async def notes(database: Database) -> int:
    return int(await database.pool.fetchval("SELECT count(*) FROM notes"))


async def test_an_answer_names_some_of_a_thousand_wrong_fields(client: httpx.AsyncClient) -> None:
    wrong = {f"field{number}": number for number in range(1000)}
    answer = await client.post("/notes", json=wrong, headers={"Authorization": "Bearer alice"})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20


async def test_the_same_post_with_a_key_acts_once_even_at_the_same_time(
    client: httpx.AsyncClient, database: Database
) -> None:
    answers = await asyncio.gather(*[post(client, "a", key="k") for _ in range(5)])
    assert [answer.status_code for answer in answers] == [201] * 5
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 4
    assert await notes(database) == 1


async def test_a_key_belongs_to_one_request_of_one_subject(
    client: httpx.AsyncClient, database: Database
) -> None:
    await post(client, "a", key="k")
    other_body = await post(client, "b", key="k")
    assert other_body.status_code == 422
    assert other_body.json()["field"] == "Idempotency-Key"
    assert (await post(client, "a", key="k", token="bob")).json()["by"] == "bob"
    assert (await post(client, "a", key="k", token=None)).status_code == 401
    assert await notes(database) == 2


async def test_a_refused_request_leaves_nothing_and_its_key_stays_refused(
    client: httpx.AsyncClient, database: Database, wanted: set[str]
) -> None:
    wanted.clear()
    first = await post(client, "a", key="k")
    wanted.add("a")
    again = await post(client, "a", key="k")
    for answer in (first, again):
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["remedy"] == "Send another."
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await notes(database) == 0
    assert (await post(client, "a", key="another")).status_code == 201
    assert await notes(database) == 1


async def test_a_failure_of_ours_leaves_the_key_free(
    client: httpx.AsyncClient, database: Database
) -> None:
    for _ in range(2):
        answer = await post(client, "fails", key="k")
        assert answer.status_code == 503
        assert "idempotency-replayed" not in answer.headers
    assert await database.pool.fetchval("SELECT count(*) FROM idempotency") == 0


@pytest.mark.parametrize("refused", [False, True])
async def test_a_database_that_goes_away_is_no_failure_of_ours(
    client: httpx.AsyncClient, database: Database, wanted: set[str], refused: bool
) -> None:
    if not refused:
        wanted.add("loses the database")
    for key in (None, "k"):
        answer = await post(client, "loses the database", key=key)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
        assert "Idempotency-Key" in answer.json()["remedy"]
    assert await database.pool.fetchval("SELECT count(*) FROM notes") == 0
    assert await database.pool.fetchval("SELECT count(*) FROM idempotency") == 0


async def test_what_is_not_valid_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/notes", content=b"{", headers={"Authorization": "Bearer alice"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    wrong = await client.post("/notes", json={}, headers={"Authorization": "Basic x"})
    assert wrong.status_code == 401
    assert wrong.headers["www-authenticate"] == "Bearer"


async def test_a_body_over_the_limit_is_refused_with_or_without_its_length_said(
    client: httpx.AsyncClient, database: Database
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"note": "'
        for _ in range(2048):
            yield b"x" * 1024
        yield b'"}'

    headers = {"Authorization": "Bearer alice", "Content-Type": "application/json"}
    for content in (endless(), b'{"note": "' + b"x" * 2**21 + b'"}'):
        answer = await client.post("/notes", content=content, headers=headers)
        assert answer.status_code == 413
    assert await notes(database) == 0
