"""Fixtures for all tests: real Postgres with one template database per service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from deploy.local.broker import Broker, Topic, create_topics, start_broker, topics
from deploy.local.postgres import PostgresServer, start_postgres
from shared.database import BACKBONE_MIGRATIONS, Database, migrate
from shared.testing import ManualClock

SERVICES = Path(__file__).parents[1] / "services"
# The dead-letter topic of the service that the backbone tests make up.
TEST_TOPICS = [Topic("updraft.employees.backbone.dlq", "", (), (), 1, None, compact=False)]
_numbers = count(1)

DatabaseFor = Callable[[str], Awaitable[Database]]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A Postgres server for the whole test run."""
    server = start_postgres(tmp_path_factory.mktemp("postgres"), durable=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for the whole test run, with all topics."""
    server = start_broker(tmp_path_factory.mktemp("broker"))
    try:
        asyncio.run(create_topics(server.bootstrap_servers, [*topics(), *TEST_TOPICS]))
        yield server
    finally:
        server.stop()


def _dsn(postgres: PostgresServer, name: str) -> str:
    return urlunsplit(urlsplit(postgres.superuser_dsn)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def templates() -> set[str]:
    """The names of the template databases made so far."""
    return set()


async def _make_template(postgres: PostgresServer, service: str) -> None:
    """A migrated schema to clone for each test: cloning takes milliseconds, migrating does not."""
    connection = await asyncpg.connect(postgres.superuser_dsn)
    await connection.execute(f'CREATE DATABASE "template_{service}"')
    await connection.close()
    connection = await asyncpg.connect(_dsn(postgres, f"template_{service}"))
    await connection.execute(f"CREATE SCHEMA {service}")
    await connection.execute(f"SET search_path = {service}")
    await migrate(connection, [BACKBONE_MIGRATIONS, SERVICES / service / "migrations"])
    await connection.close()


@pytest.fixture
async def database_for(postgres: PostgresServer, templates: set[str]) -> AsyncIterator[DatabaseFor]:
    """Makes a fresh database of a service, with a clock to set."""
    made: list[tuple[Database, str]] = []

    async def make(service: str) -> Database:
        if service not in templates:
            await _make_template(postgres, service)
            templates.add(service)
        name = f"test_{service}_{next(_numbers)}"
        connection = await asyncpg.connect(postgres.superuser_dsn)
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "template_{service}"')
        await connection.close()
        database = await Database.connect(
            _dsn(postgres, name), service=service, clock=ManualClock(), size=4
        )
        made.append((database, name))
        return database

    yield make
    connection = await asyncpg.connect(postgres.superuser_dsn)
    for database, name in made:
        await database.close()
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await connection.close()
