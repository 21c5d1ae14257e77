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


class Databases:
    """The databases of this run: each is a clone of its service's migrated template.

    A clone takes a quarter of a second, so one that a test gives back is emptied and used again.
    """

    def __init__(self, postgres: PostgresServer) -> None:
        self._postgres = postgres
        self._templates: set[str] = set()
        self._free: dict[str, list[str]] = {}

    async def take(self, service: str) -> Database:
        """A database of a service that holds nothing but its schema, with a clock to set."""
        if service not in self._templates:
            await self._make_template(service)
        free = self._free.setdefault(service, [])
        name = free.pop() if free else await self._clone(service)
        dsn = _dsn(self._postgres, name)
        return await Database.connect(dsn, service=service, clock=ManualClock(), size=4)

    async def give_back(self, database: Database) -> None:
        """Close a database and empty it for the next test."""
        name = urlsplit(database._dsn).path.removeprefix("/")
        await database.close()
        connection = await asyncpg.connect(_dsn(self._postgres, name))
        await connection.execute(EMPTY.format(service=database.service))
        await connection.close()
        self._free[database.service].append(name)

    async def _make_template(self, service: str) -> None:
        await self._create(f'CREATE DATABASE "template_{service}"')
        connection = await asyncpg.connect(_dsn(self._postgres, f"template_{service}"))
        await connection.execute(f"CREATE SCHEMA {service}")
        await connection.execute(f"SET search_path = {service}")
        await migrate(connection, [BACKBONE_MIGRATIONS, SERVICES / service / "migrations"])
        await connection.execute(f"CREATE TABLE {service}.made_by_migrations (name text)")
        await connection.execute(
            f"INSERT INTO {service}.made_by_migrations"
            " SELECT tablename FROM pg_tables WHERE schemaname = $1",
            service,
        )
        await connection.close()
        self._templates.add(service)

    async def _clone(self, service: str) -> str:
        name = f"test_{service}_{next(_numbers)}"
        await self._create(f'CREATE DATABASE "{name}" TEMPLATE "template_{service}"')
        return name

    async def _create(self, statement: str) -> None:
        connection = await asyncpg.connect(self._postgres.superuser_dsn)
        await connection.execute(statement)
        await connection.close()


EMPTY = """
DO $$
DECLARE
    one record;
    filled boolean;
BEGIN
    FOR one IN SELECT tablename AS name FROM pg_tables WHERE schemaname = '{service}' LOOP
        IF one.name IN ('migrations', 'made_by_migrations') THEN
            CONTINUE;
        ELSIF one.name NOT IN (SELECT name FROM {service}.made_by_migrations) THEN
            EXECUTE format('DROP TABLE {service}.%I CASCADE', one.name);
        ELSE
            EXECUTE format('SELECT EXISTS (SELECT FROM {service}.%I)', one.name) INTO filled;
            IF filled THEN
                EXECUTE format('TRUNCATE {service}.%I RESTART IDENTITY CASCADE', one.name);
            END IF;
        END IF;
    END LOOP;
END $$
"""


@pytest.fixture(scope="session")
def databases(postgres: PostgresServer) -> Databases:
    """The databases of this run."""
    return Databases(postgres)


@pytest.fixture
async def database_for(databases: Databases) -> AsyncIterator[DatabaseFor]:
    """Gives an empty database of a service, for the time of one test."""
    taken: list[Database] = []

    async def take(service: str) -> Database:
        taken.append(await databases.take(service))
        return taken[-1]

    yield take
    for database in taken:
        await databases.give_back(database)
