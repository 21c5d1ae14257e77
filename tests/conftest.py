"""Fixtures for all tests: a broker, and real Postgres with one template database per service."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from deploy.local.postgres import PostgresServer, start_postgres
from shared.database import BACKBONE_MIGRATIONS, Database, migrate
from shared.testing import ManualClock
from tests.kafka import Kafka, kafka_of

SERVICES = Path(__file__).parents[1] / "services"
_numbers = count(1)

DatabaseFor = Callable[[str], Awaitable[Database]]
KafkaOfOnesOwn = Callable[[], AbstractContextManager[Kafka]]

_shared_kafka = pytest.StashKey[Kafka]()
_running = pytest.StashKey[ExitStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kafka",
        default="embedded",
        metavar="embedded|apache|docker|SERVERS",
        help="The broker to test on: the embedded one, Apache Kafka started by Java or by Docker, "
        "or the bootstrap servers of a cluster that is there for tests.",
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the one broker of all workers; the embedded one is small, so that each has its own."""
    config = session.config
    known = getattr(config, "workerinput", {}).get("kafka")
    if known is not None:
        config.stash[_shared_kafka] = Kafka(**known)
    elif not hasattr(config, "workerinput") and config.option.kafka != "embedded":
        running = config.stash[_running] = ExitStack()
        if not config.option.collectonly:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="updraft-")))
            started = kafka_of(config.option.kafka, folder)
            config.stash[_shared_kafka] = running.enter_context(started)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where the broker is."""
    shared = node.config.stash.get(_shared_kafka, None)
    if shared is not None:
        node.workerinput["kafka"] = asdict(shared)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash.get(_running, ExitStack()).close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A Postgres server for the whole test run."""
    server = start_postgres(tmp_path_factory.mktemp("postgres"), durable=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def broker(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kafka]:
    """A broker for the whole test run, with all topics, on which other tests publish too."""
    shared = pytestconfig.stash.get(_shared_kafka, None)
    if shared is not None:
        yield shared
        return
    with kafka_of(pytestconfig.option.kafka, tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture(scope="session")
def kafka_of_ones_own(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> KafkaOfOnesOwn:
    """Starts a broker, with all topics, on which nobody else publishes meanwhile."""
    return lambda: kafka_of(pytestconfig.option.kafka, tmp_path_factory.mktemp("broker"))


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
