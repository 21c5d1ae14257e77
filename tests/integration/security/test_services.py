"""A real service on a secured Kafka and Postgres takes an event through, or says why not."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.hr import hr_record, publish
from deploy.local.postgres import PostgresServer, create_service_roles, dsn
from deploy.local.process import Child, free_port
from deploy.local.web import http_status
from deploy.reading import raw_records
from shared.settings import KafkaSettings
from tests.integration.security.cluster import SecuredKafka, log_in, variables
from tests.integration.security.tls_door import TlsDoor

# One cluster for all of them.
pytestmark = pytest.mark.xdist_group("secured kafka")

ROOT = Path(__file__).parents[3]


@contextmanager
def service(
    name: str, folder: Path, door: TlsDoor, password: str, kafka: KafkaSettings
) -> Iterator[tuple[Child, int]]:
    """A running service process and its port."""
    port = free_port()
    child = Child.spawn(
        name,
        [sys.executable, "-m", f"services.{name}"],
        log=folder / f"{name}.log",
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            **variables(kafka),
            "UPDRAFT_POSTGRES__DSN": door.dsn(dsn(0, name, password)),
            "UPDRAFT_POSTGRES__SSLMODE": "verify-full",
            "UPDRAFT_POSTGRES__CA_FILE": str(door.ca_file),
            "UPDRAFT_HTTP__PORT": str(port),
            "UPDRAFT_LINKS__SECRET": "a secret of at least thirty-two letters",
        },
    )
    try:
        yield child, port
    finally:
        child.stop()


async def until_told(child: Child, *texts: str) -> None:
    """Wait until the log says all this; it must not end before."""
    async with asyncio.timeout(60):
        while not all(text in child.log.read_text() for text in texts):
            assert child.running, child.log.read_text()
            await asyncio.sleep(0.1)


@pytest.fixture
async def passwords(postgres: PostgresServer) -> dict[str, str]:
    """Roles and schemas for the services."""
    return await create_service_roles(postgres.superuser_dsn)


async def test_a_service_takes_an_event_through(
    secured_kafka: SecuredKafka,
    door: TlsDoor,
    passwords: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HR publishes as hr, registration translates as itself, matching reads what comes of it."""
    employee = f"E-{uuid4()}"
    document = {
        "employeeId": employee,
        "effectiveDate": "2024-01-01",
        "sequence": 1,
        "status": "active",
        "jobLevel": 2,
        "managerId": None,
        "department": "Sales",
        "startDate": "2020-01-01",
    }
    record = hr_record(json.dumps(document).encode(), document, "urn:test")
    with service(
        "registration",
        tmp_path,
        door,
        passwords["registration"],
        secured_kafka.scram("registration"),
    ) as (child, port):
        servers = log_in(monkeypatch, secured_kafka.scram("hr"))
        await publish(servers, [record], lambda _: None)
        async with asyncio.timeout(60):
            while await http_status(port, "/readyz") != 200:
                assert child.running, child.log.read_text()
                await asyncio.sleep(0.1)
        log_in(monkeypatch, secured_kafka.scram("matching"))
        async with asyncio.timeout(60):
            async for found in raw_records(servers, ["updraft.employees"], follow=True):
                if found.key == employee.encode():
                    break
    assert json.loads(found.value)["department"] == "Sales"
    assert "clear" not in door.ways
    log = child.log.read_text()
    assert secured_kafka.passwords["registration"] not in log
    assert passwords["registration"] not in log


async def test_a_service_with_a_wrong_password_says_so_and_goes_on_trying(
    secured_kafka: SecuredKafka, door: TlsDoor, passwords: dict[str, str], tmp_path: Path
) -> None:
    kafka = secured_kafka.scram("metrics", password="quite wrong")
    with service("metrics", tmp_path, door, passwords["metrics"], kafka) as (child, _):
        await until_told(
            child,
            "SaslAuthenticationFailed: Authentication failed",
            "broker_not_reachable",
            "SASL_SSL, SCRAM-SHA-512 as metrics",
        )
    assert "quite wrong" not in child.log.read_text()


async def test_a_service_that_cannot_trust_its_database_says_so(
    secured_kafka: SecuredKafka,
    door: TlsDoor,
    passwords: dict[str, str],
    tmp_path: Path,
) -> None:
    door.ca_file.write_text(secured_kafka.authority.pem)
    kafka = secured_kafka.scram("metrics")
    with service("metrics", tmp_path, door, passwords["metrics"], kafka) as (child, _):
        await until_told(child, "database_not_reachable", "CERTIFICATE_VERIFY_FAILED")


async def test_a_service_without_its_rights_says_which_and_is_not_ready(
    secured_kafka: SecuredKafka, door: TlsDoor, passwords: dict[str, str], tmp_path: Path
) -> None:
    kafka = secured_kafka.scram("hr")
    with service("metrics", tmp_path, door, passwords["metrics"], kafka) as (child, port):
        await until_told(child, "is not authorized for this client")
        assert await http_status(port, "/readyz") != 200


async def test_settings_that_do_not_fit_end_a_service_at_once(
    secured_kafka: SecuredKafka, door: TlsDoor, passwords: dict[str, str], tmp_path: Path
) -> None:
    kafka = secured_kafka.scram("metrics").model_copy(update={"username": ""})
    with service("metrics", tmp_path, door, passwords["metrics"], kafka) as (child, _):
        async with asyncio.timeout(60):
            while child.running:
                await asyncio.sleep(0.05)
    assert child.process.returncode == 1
    assert child.log.read_text() == (
        "UPDRAFT_KAFKA__USERNAME: missing; sasl_mechanism SCRAM-SHA-512 needs it\n"
    )
