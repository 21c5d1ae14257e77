"""The broker that a run of the tests is on, as `--kafka` says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.broker import Topic, create_topics, start_broker, topics
from deploy.local.kafka.cluster import ApacheKafka
from deploy.local.process import StackError

# The dead-letter topic of the service that the backbone tests make up.
TEST_TOPICS = [Topic("updraft.employees.backbone.dlq", "", (), (), 1, None, compact=False)]
# On a cluster that has it, tests may delete Updraft's topics: they have made them.
MARK = Topic("updraft.topics-are-for-tests", "", (), (), 1, None, compact=False)


@dataclass(frozen=True)
class Kafka:
    """A broker with all topics, and what clients must know of it."""

    bootstrap_servers: str
    idempotent_producer: bool = True
    session_seconds: float = 6
    """The shortest that it allows; six where nobody has set anything."""


@contextmanager
def kafka_of(choice: str, folder: Path) -> Iterator[Kafka]:
    """A broker of the kind chosen, whose topics hold nothing; given servers are emptied."""
    if choice == "embedded":
        started = _embedded(folder)
    elif choice == "apache":
        started = _apache(folder)
    elif choice == "docker":
        started = _container()
    else:
        started = _given(choice)
    with started as kafka:
        asyncio.run(create_topics(kafka.bootstrap_servers, [*topics(), *TEST_TOPICS]))
        yield kafka


@contextmanager
def _embedded(folder: Path) -> Iterator[Kafka]:
    server = start_broker(folder)
    try:
        yield Kafka(server.bootstrap_servers, idempotent_producer=False, session_seconds=2)
    finally:
        server.stop()


@contextmanager
def _apache(folder: Path) -> Iterator[Kafka]:
    try:
        cluster = ApacheKafka(folder / "kafka").start()
    except StackError as error:
        raise pytest.UsageError(f"--kafka apache: {error}") from None
    try:
        yield Kafka(cluster.bootstrap_servers, session_seconds=2)
    finally:
        cluster.kill()


@contextmanager
def _container() -> Iterator[Kafka]:
    from docker.errors import DockerException
    from testcontainers.community.kafka import KafkaContainer

    try:
        container = KafkaContainer().with_kraft()
    except DockerException as error:
        raise pytest.UsageError(
            f"--kafka docker: Docker does not answer ({error}). Install or start it, or have "
            "DOCKER_HOST point to it; --kafka apache needs Java only, --kafka embedded nothing"
        ) from None
    with container:
        yield Kafka(container.get_bootstrap_server())


@contextmanager
def _given(servers: str) -> Iterator[Kafka]:
    asyncio.run(_empty(servers, [*topics(), *TEST_TOPICS]))
    yield Kafka(servers)


async def _empty(servers: str, wanted: Sequence[Topic]) -> None:
    """Delete Updraft's topics from a cluster where tests have made them, and only there."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaConnectionError

    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    try:
        await admin.start()
    except (KafkaConnectionError, ValueError) as error:
        raise pytest.UsageError(
            f"--kafka {servers}: no Kafka answers there ({error}); give embedded, apache, docker "
            "or the addresses of a cluster, host:port"
        ) from None
    try:
        there = set(await admin.list_topics())
        ours = {topic.name for topic in wanted} & there
        if ours and MARK.name not in there:
            raise pytest.UsageError(
                f"--kafka {servers}: {len(ours)} topics of Updraft are there that no test has "
                f"made, such as {min(ours)}. Tests delete topics: give them a cluster of their own"
            )
        await create_topics(servers, [MARK])
        if ours:
            await admin.delete_topics(sorted(ours))
        while ours & set(await admin.list_topics()):
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
