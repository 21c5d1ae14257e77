"""On real Kafka with its authorizer, each principal may do what topics.yaml says and nothing else.

What is expected is read from the file here once more, not by the code that made the rules; what is
measured is what a client can really do.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InvalidPartitionsError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.fetch import FetchRequest
from rich.console import Console
from rich.table import Table

from deploy.access import Operation, Pattern, Resource, Right, grant, granted_rights, revoke, rights
from deploy.access import apply_to as apply_rights
from deploy.local.broker import TOPICS_FILE, create_topics, topics
from deploy.local.process import StackError
from shared.security import client_arguments
from shared.service import new_producer
from shared.settings import ServiceSettings
from tests.integration.security.cluster import PRINCIPALS, SecuredKafka, log_in

# One cluster for all of them.
pytestmark = pytest.mark.xdist_group("secured kafka")

SERVICES = ("registration", "matching", "notifications", "metrics")
UNLISTED = "updraft.something-else"
REFUSED, EXISTS = 29, 36
Cells = dict[tuple[str, str], str]
"""(principal, topic or group) → the operations allowed, a letter each."""


def expected_of_topics() -> Cells:
    """W(rite), R(ead), C(reate), A(lter), D(elete), S(ee), as the file says."""
    document = yaml.safe_load(TOPICS_FILE.read_text())["topics"]
    allowed: dict[tuple[str, str], set[str]] = {}
    for topic, settings in document.items():
        for writer in settings["writers"]:
            allowed.setdefault((writer, topic), set()).update("WS")
        for reader in settings["readers"]:
            allowed.setdefault((reader, topic), set()).update("RS")
            if reader in SERVICES:
                dead_letters = f"{topic}.{reader}.dlq"
                allowed[(reader, dead_letters)] = set("WS")
                allowed[("operator", dead_letters)] = set("RSCA")
        allowed[("operator", topic)] = set("SCA")
    names = [*document, *(topic for _, topic in allowed if topic.endswith(".dlq"))]
    return {
        (principal, topic): "".join(sorted(allowed.get((principal, topic), ())))
        for principal in ("bi", "hr", "operator", *SERVICES)
        for topic in (*names, UNLISTED)
    }


def expected_of_groups() -> Cells:
    users = ("bi", *SERVICES)
    return {
        (principal, group): "G" if principal in users and group.startswith(principal) else ""
        for principal in ("bi", "hr", "operator", *SERVICES)
        for group in GROUPS
    }


GROUPS = [f"{name}{end}" for name in PRINCIPALS for end in ("", "-replay-2")] + ["elsewhere"]


async def test_no_cell_of_the_matrix_is_wrong(
    secured_kafka: SecuredKafka, caplog: pytest.LogCaptureFixture
) -> None:
    """Seven principals × every topic × write, read, see, create, alter, delete; and groups."""
    caplog.set_level(logging.CRITICAL, "aiokafka")  # It tells each refusal.
    names = [*(topic.name for topic in topics()), UNLISTED]
    await put_a_record_into_each(secured_kafka, names)
    measured: Cells = {}
    for found in await asyncio.gather(
        *(measure(secured_kafka, principal, names) for principal in PRINCIPALS)
    ):
        measured |= found
    expected = {**expected_of_topics(), **expected_of_groups()}
    show(measured, expected)
    assert {cell: may for cell, may in measured.items() if may != expected.get(cell)} == {}
    assert measured.keys() == expected.keys()
    # The matrix must not be empty or full by some mistake of the measurement.
    allowed = Counter(letter for may in measured.values() for letter in may)
    assert {letter: allowed[letter] for letter in "WRCADG"} == {
        "W": 13 + 26,
        "R": 27 + 26,
        "C": 13 + 26,
        "A": 13 + 26,
        "D": 0,
        "G": 2 * 5,
    }


async def put_a_record_into_each(secured_kafka: SecuredKafka, names: Sequence[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=secured_kafka.admin)
    await admin.start()
    await admin.create_topics([NewTopic(UNLISTED, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=secured_kafka.admin)
    await producer.start()
    await asyncio.gather(
        *[await producer.send(name, b"seed", b"key", partition=0) for name in names]
    )
    await producer.stop()


async def measure(secured_kafka: SecuredKafka, principal: str, names: Sequence[str]) -> Cells:
    """What a principal that is logged in by password can do, found out by doing it."""
    settings = secured_kafka.scram(principal)
    client = {
        "bootstrap_servers": settings.bootstrap_servers,
        **client_arguments(settings),
    }
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        created = await admin.create_topics([NewTopic(name, 1, 1) for name in names])
        creates = {name for name, code, *_ in created.topic_errors if allowed(code, EXISTS)}
        seen = set(await admin.list_topics())
        reads = {name for name in names if await reads_seed(admin, name)}
        alters = {name for name in names if await can_alter(admin, name)}
        writes = await writable(secured_kafka, principal, names)
        groups = {group for group in GROUPS if await can_join(client, group, sorted(seen)[0])}
        deleted = await admin.delete_topics(list(names))
        deletes = {name for name, code in deleted.topic_error_codes if allowed(code, 0)}
    finally:
        await admin.close()
    letters = {"A": alters, "C": creates, "D": deletes, "R": reads, "S": seen, "W": writes}
    return {
        **{
            (principal, name): "".join(letter for letter, can in letters.items() if name in can)
            for name in names
        },
        **{(principal, group): "G" if group in groups else "" for group in GROUPS},
    }


def allowed(code: int, yes: int) -> bool:
    assert code in (REFUSED, yes), code
    return code == yes


async def reads_seed(admin: AIOKafkaAdminClient, topic: str) -> bool:
    """Fetch without a group, and without asking first whether the topic is there."""
    request = FetchRequest(500, 1, 65_536, 0, [(topic, [(0, 0, 65_536)])])
    answer = await admin._send_request(request)
    ((_, ((_, code, *_, content),)),) = answer.topics
    assert (b"seed" in content) == allowed(code, 0)
    return code == 0


async def can_alter(admin: AIOKafkaAdminClient, topic: str) -> bool:
    """Ask for a partition more or less, without having it done."""
    try:
        await admin.create_partitions({topic: NewPartitions(1)}, validate_only=True)
    except TopicAuthorizationFailedError:
        return False
    except InvalidPartitionsError:
        return True
    raise AssertionError("a topic cannot have fewer partitions")


async def writable(secured_kafka: SecuredKafka, principal: str, names: Sequence[str]) -> set[str]:
    """Send to each topic with the producer of the services."""
    found = set()
    settings = ServiceSettings(kafka=secured_kafka.scram(principal))
    # Who may write nothing is refused the numbers of an idempotent producer already.
    settings.kafka.idempotent_producer = principal not in ("bi", "operator")
    producer = new_producer(settings)
    await producer.start()
    for name in names:
        try:
            await producer.send_and_wait(name, b"written", b"key")
        except TopicAuthorizationFailedError:
            continue
        found.add(name)
    await producer.stop()
    return found


async def can_join(client: dict[str, object], group: str, topic: str) -> bool:
    """Become a member of a group that reads some topic."""
    consumer = AIOKafkaConsumer(topic, group_id=group, **client)
    try:
        await consumer.start()
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=50)
        # To be its member is one thing, to keep its place another.
        await consumer.commit({TopicPartition(topic, 0): 0})
    except GroupAuthorizationFailedError:
        return False
    except TopicAuthorizationFailedError:
        return True
    finally:
        await consumer.stop()
    return True


def show(measured: Cells, expected: Cells) -> None:
    """Print the matrix as measured, a cell that is wrong with what it should be."""
    principals = sorted({principal for principal, _ in measured})
    table = Table("topic or group", *principals, title="Measured on Apache Kafka")
    for name in dict.fromkeys(name for _, name in expected):
        cells = []
        for principal in principals:
            is_so, should = measured[(principal, name)], expected[(principal, name)]
            cells.append(is_so if is_so == should else f"{is_so} WRONG: {should}")
        table.add_row(name, *cells)
    Console(width=140, emoji=False).print(table)


async def test_rights_beyond_the_list_are_told_and_taken_away(
    secured_kafka: SecuredKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    strays = [
        Right("User:bi", Resource.TOPIC, "updraft.contacts", Pattern.LITERAL, Operation.Read),
        Right("User:*", Resource.TOPIC, "updraft.", Pattern.PREFIXED, Operation.Describe),
    ]
    somebody = Right(
        "User:lake", Resource.TOPIC, "updraft.metrics", Pattern.LITERAL, Operation.Read
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=secured_kafka.admin)
    await admin.start()
    try:
        await grant(admin, [*strays, somebody])
        await eventually(admin, {*strays, somebody}, there=True)
        found = await apply_rights(secured_kafka.admin, rights(), dry_run=True)
        assert set(found.beyond) == set(strays)
        assert found.missing == ()
        await apply_rights(secured_kafka.admin, rights(), revoking=True)
        await eventually(admin, set(strays), there=False)
        assert somebody in await granted_rights(admin)
        await revoke(admin, [somebody])
    finally:
        await admin.close()
    told = capsys.readouterr().err
    assert "User:bi may Read topic updraft.contacts: beyond the list" in told
    assert "User:* may Describe topic updraft. and what begins so: revoked" in told


async def eventually(admin: AIOKafkaAdminClient, some: set[Right], *, there: bool) -> None:
    async with asyncio.timeout(20):
        while (some <= set(await granted_rights(admin))) != there:
            await asyncio.sleep(0.05)


async def test_the_operator_makes_the_topics_of_the_list_but_no_others(
    secured_kafka: SecuredKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=secured_kafka.admin)
    await admin.start()
    lost = topics()[-1]
    await admin.delete_topics([lost.name])
    async with asyncio.timeout(20):
        while lost.name in await admin.list_topics():
            await asyncio.sleep(0.05)
    await admin.close()
    servers = log_in(monkeypatch, secured_kafka.scram("operator"))
    assert await create_topics(servers) == 1
    with pytest.raises(StackError, match=rf"Kafka error {REFUSED}"):
        await create_topics(servers, [replace(lost, name="updraft.mine")])
