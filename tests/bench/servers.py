"""The servers of one row: a Postgres with fsync and a Kafka, fresh, and gone afterwards."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.broker import Topic, create_topics, start_broker, topics
from deploy.local.kafka.cluster import ApacheKafka
from deploy.local.kafka.jars import POM
from deploy.local.postgres import PostgresServer, start_postgres
from deploy.reading import current_ends
from shared.database import BACKBONE_MIGRATIONS, migrate
from tests.bench import tables
from tests.bench.rounds import Plan

_SERVICES = Path(__file__).parents[2] / "services"


class Servers:
    """Postgres and Kafka for the time of a row; `environment` tells a service where they are.

    The kind of Kafka is `apache`, `embedded`, or the bootstrap servers of a running one, whose
    topics must be empty.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.folder = Path(tempfile.mkdtemp(prefix="updraft-bench-"))
        self.bootstrap_servers = ""
        self.versions: dict[str, str] = {}
        self._stack = ExitStack()
        self._postgres: PostgresServer | None = None

    async def __aenter__(self) -> Servers:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._plan.says("starting Postgres")
            self._start_postgres()
            self._plan.says("starting Kafka")
            self.bootstrap_servers = self._start_kafka()
            await create_topics(self.bootstrap_servers)
            connection = await asyncpg.connect(self.superuser_dsn)
            self.versions["Postgres"] = await connection.fetchval("SHOW server_version")
            await connection.close()
        except BaseException:
            self._stack.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._plan.says("stopping the servers")
        self._stack.close()

    def _start_postgres(self) -> None:
        server = start_postgres(self.folder / "postgres", durable=True)
        self._postgres = server

        def stop() -> None:
            server.stop()
            # Durable while it runs; nobody needs the data any more.
            server.durable = False
            server.discard()

        self._stack.callback(stop)

    def _start_kafka(self) -> str:
        kind = self._plan.kafka
        if kind == "apache":
            found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
            self.versions["Apache Kafka"] = found[1] if found else "of pom.xml"
            return self._stack.enter_context(ApacheKafka(self.folder / "kafka")).bootstrap_servers
        if kind == "embedded":
            self.versions["Kafka"] = "embedded (Tansu, memory only)"
            broker = start_broker(self.folder)
            self._stack.callback(broker.stop)
            return broker.bootstrap_servers
        self.versions["Kafka"] = f"yours at {kind}"
        return kind

    @property
    def superuser_dsn(self) -> str:
        """The administrator's connection to Postgres."""
        assert self._postgres is not None
        return self._postgres.superuser_dsn

    @property
    def environment(self) -> dict[str, str]:
        """Where Kafka is, as a service's settings."""
        return {
            "UPDRAFT_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "UPDRAFT_KAFKA__IDEMPOTENT_PRODUCER": "true" if self.idempotent else "false",
            **({} if self.idempotent else {"UPDRAFT_KAFKA__SESSION_SECONDS": "3"}),
        }

    @property
    def idempotent(self) -> bool:
        """Whether the broker takes the client's idempotent handshake: the embedded one does not."""
        return self._plan.kafka != "embedded"

    async def restart_postgres_with(self, settings: Mapping[str, str]) -> None:
        """Change settings of Postgres that it reads when it starts."""
        server = self._postgres
        assert server is not None
        connection = await asyncpg.connect(server.superuser_dsn)
        for name, value in settings.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await connection.close()
        assert server.child is not None
        server.child.stop(2, grace_seconds=15)  # SIGINT: a fast shutdown
        started = start_postgres(server.folder, durable=True, password=server.password)
        # Whoever stops the old one stops the new one.
        server.port, server.child = started.port, started.child

    async def settle(self) -> None:
        """Have everything written so far brought to disk."""
        connection = await asyncpg.connect(self.superuser_dsn)
        await tables.write_out(connection)
        await connection.close()

    async def create_database(self, name: str, service: str) -> str:
        """A database with the schema of one service; returns its connection string."""
        admin = await asyncpg.connect(self.superuser_dsn)
        await admin.execute(f'CREATE DATABASE "{name}"')
        await admin.close()
        dsn = urlunsplit(urlsplit(self.superuser_dsn)._replace(path=f"/{name}"))
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"CREATE SCHEMA {service}")
        await connection.execute(f"SET search_path = {service}")
        await migrate(connection, [BACKBONE_MIGRATIONS, _SERVICES / service / "migrations"])
        await connection.close()
        return dsn

    async def create_topics(self, names: Sequence[str], partitions: int = 6) -> None:
        """Topics besides those of the catalogue."""
        wanted = [Topic(name, "", (), (), partitions, 1, compact=False) for name in names]
        await create_topics(self.bootstrap_servers, wanted)

    async def ends(self, names: Sequence[str] = ()) -> int:
        """How many records these topics, or all of the catalogue, have taken so far."""
        ends = await current_ends(
            self.bootstrap_servers, list(names) or [topic.name for topic in topics()]
        )
        return sum(ends.values())
