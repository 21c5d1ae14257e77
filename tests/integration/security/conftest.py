"""One secured Kafka for all tests of this folder, with the topics and rights of topics.yaml."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.access import apply_to, rights
from deploy.local.broker import create_topics
from deploy.local.postgres import PostgresServer
from tests.integration.security.cluster import SecuredKafka, secured
from tests.integration.security.tls_door import TlsDoor


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """The cluster, running, after `updraft access apply`."""
    made = secured(tmp_path_factory.mktemp("secured"))
    with made.issuer, made.kafka:
        asyncio.run(create_topics(made.admin))
        asyncio.run(apply_to(made.admin, rights()))
        yield made


@pytest.fixture
def door(postgres: PostgresServer, tmp_path: Path) -> Iterator[TlsDoor]:
    """The test run's Postgres behind TLS."""
    with TlsDoor(postgres, tmp_path / "door") as opened:
        yield opened
