"""Apache Kafka as the project starts it: one node or three, killed, paused and started again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local.broker import create_topics
from deploy.local.kafka.cluster import ApacheKafka
from deploy.local.process import StackError
from deploy.reading import count_records
from shared.publisher import Publisher
from shared.service import new_producer
from shared.settings import KafkaSettings, ServiceSettings


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="updraft-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """One node, with a second listener and a setting of a test's own."""
    cluster = ApacheKafka(
        tmp_path_factory.mktemp("kafka"),
        listeners={"SECOND": "PLAINTEXT"},
        properties={"log.retention.hours": "77"},
    )
    with cluster:
        yield cluster


async def a_topic(servers: str, *, partitions: int = 1, copies: int = 1) -> str:
    name = f"test-{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, partitions, copies)])
    await admin.close()
    return name


async def write(servers: str, topic: str, numbers: range) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, request_timeout_ms=10_000
    )
    await producer.start()
    try:
        for n in numbers:
            await producer.send_and_wait(topic, str(n).encode(), key=b"k")
    finally:
        await producer.stop()


async def read(servers: str, topic: str, count: int, group: str | None = None) -> list[int]:
    """The next numbers of a topic; a group goes on where it was."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            found = [int((await consumer.getone()).value) for _ in range(count)]
        if group is not None:
            await consumer.commit()
        return found
    finally:
        await consumer.stop()


async def setting(servers: str, kind: ConfigResourceType, of: str, name: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        while True:
            (answer,) = await admin.describe_configs([ConfigResource(kind, of)])
            known = {found[0]: found[1] for found in answer.resources[0][4]}
            # Another node may not have heard of a new topic yet.
            if known:
                return known[name]
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def test_records_and_the_places_of_groups_outlive_a_kill_and_a_stop(
    kafka: ApacheKafka,
) -> None:
    servers, (node,) = kafka.bootstrap_servers, kafka.nodes
    topic = await a_topic(servers)
    await write(servers, topic, range(100))
    assert await read(servers, topic, 40, "readers") == list(range(40))
    killed = node.pid

    node.kill()
    assert not node.running
    node.start()

    assert (kafka.bootstrap_servers, node.pid != killed) == (servers, True)
    await write(servers, topic, range(100, 150))
    assert await read(servers, topic, 60, "readers") == list(range(40, 100))

    node.stop()
    node.start()

    assert await read(servers, topic, 50, "readers") == list(range(100, 150))
    assert await read(servers, topic, 150) == list(range(150))


async def test_a_folder_that_is_opened_again_holds_the_same_cluster(folder: Path) -> None:
    with ApacheKafka(folder) as first:
        topic = await a_topic(first.bootstrap_servers)
        await write(first.bootstrap_servers, topic, range(10))
    assert not first.nodes[0].running

    with ApacheKafka(folder) as again:
        assert (again.id, again.bootstrap_servers) == (first.id, first.bootstrap_servers)
        assert await read(again.bootstrap_servers, topic, 10) == list(range(10))
        with pytest.raises(StackError, match="runs already"):
            again.nodes[0].spawn()
    with pytest.raises(StackError, match="a Kafka cluster of 1 nodes, not of 3"):
        ApacheKafka(folder, nodes=3)


async def test_an_id_that_begins_with_a_dash_is_an_id(folder: Path) -> None:
    identity = "-" + "a" * 20 + "A"
    (folder / "cluster.json").write_text(json.dumps({"id": identity, "ports": [{}]}))

    with ApacheKafka(folder) as cluster:
        assert cluster.id == identity
        assert "error" not in (cluster.nodes[0].folder / "format.log").read_text()


async def test_a_paused_node_does_not_answer_and_a_resumed_one_goes_on(kafka: ApacheKafka) -> None:
    (node,) = kafka.nodes
    topic = await a_topic(kafka.bootstrap_servers)

    node.pause()
    assert node.running
    async with asyncio.timeout(30):
        # The signal reaches one thread after the other: what was asked before may be answered.
        while await node.ready():
            await asyncio.sleep(0.05)
    node.resume()

    await node.until_ready()
    await write(kafka.bootstrap_servers, topic, range(3))
    assert await read(kafka.bootstrap_servers, topic, 3) == [0, 1, 2]


async def test_a_publisher_lets_go_of_a_broker_that_does_not_answer(kafka: ApacheKafka) -> None:
    (node,) = kafka.nodes
    topic = await a_topic(kafka.bootstrap_servers)
    producer = new_producer(
        ServiceSettings(kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap_servers))
    )
    publisher = Publisher(producer, may_send=lambda: None)
    await publisher.start()
    await producer.partitions_for(topic)
    mine = asyncio.all_tasks()
    node.pause()
    try:
        sending = await producer.send(topic, b"never answered")
        async with asyncio.timeout(30):
            await publisher.close()
    finally:
        node.resume()
    await asyncio.sleep(0)

    assert not sending.done()
    assert asyncio.all_tasks() <= mine


async def test_further_listeners_and_settings_are_the_callers(kafka: ApacheKafka) -> None:
    second = kafka.servers("SECOND")
    assert second != kafka.bootstrap_servers
    topic = await a_topic(second)
    await write(second, topic, range(3))

    assert await read(kafka.bootstrap_servers, topic, 3) == [0, 1, 2]
    hours = await setting(second, ConfigResourceType.BROKER, "1", "log.retention.hours")
    assert hours == "77"


async def test_records_are_counted_where_older_ones_were_deleted(kafka: ApacheKafka) -> None:
    servers = kafka.bootstrap_servers
    topic, emptied = await a_topic(servers, partitions=3), await a_topic(servers)
    await write(servers, topic, range(20))
    await write(servers, emptied, range(5))
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    place = TopicPartition(emptied, 0)
    await admin.delete_records({place: RecordsToDelete(before_offset=5)})
    await admin.close()

    counts = await count_records(servers, [topic, emptied, "no-such-topic"])

    assert counts == {topic: 20, emptied: 0}


async def test_the_largest_record_that_a_service_sends_is_taken(kafka: ApacheKafka) -> None:
    await create_topics(kafka.bootstrap_servers)
    settings = ServiceSettings(kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap_servers))
    producer = new_producer(settings)
    await producer.start()
    try:
        # Just within the client's own limit; random, so that it cannot be made smaller.
        largest = os.urandom(8 * 1024 * 1024 - 1024)
        written = await producer.send_and_wait("updraft.employees", largest, key=b"k")
    finally:
        await producer.stop()
    assert written.topic == "updraft.employees"


async def test_a_node_that_cannot_start_is_told_with_its_last_lines(folder: Path) -> None:
    broken = ApacheKafka(folder, properties={"num.io.threads": "none"})

    with pytest.raises(StackError, match=r"(?s)Kafka node 1.*num.io.threads"):
        broken.start()

    assert not broken.nodes[0].running


async def test_of_three_nodes_one_may_be_killed_at_any_time(folder: Path) -> None:
    with ApacheKafka(folder, nodes=3) as kafka:
        servers = kafka.bootstrap_servers
        await create_topics(servers)
        safe = await setting(
            servers, ConfigResourceType.TOPIC, "hr.employees", "min.insync.replicas"
        )
        assert safe == "2"
        topic = await a_topic(servers, copies=3)
        writing = asyncio.create_task(write(servers, topic, range(2_000)))
        await asyncio.sleep(0.2)

        kafka.nodes[await leader(servers, topic) - 1].kill()
        await writing
        (dead,) = [node for node in kafka.nodes if not node.running]
        await write(servers, topic, range(2_000, 2_100))
        dead.start()
        # Another one now: the first must have caught up with what it missed.
        await in_sync(servers, topic, 3)
        kafka.nodes[dead.id % 3].kill()

        assert await read(servers, topic, 2_100) == list(range(2_100))
        await write(servers, topic, range(2_100, 2_101))


async def partition(servers: str, topic: str) -> dict[str, Any]:
    """How a topic's first partition is, once the node that is asked knows of it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        async with asyncio.timeout(30):
            while True:
                (found,) = await admin.describe_topics([topic])
                if found["partitions"] and found["partitions"][0]["leader"] > 0:
                    return dict(found["partitions"][0])
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def leader(servers: str, topic: str) -> int:
    return int((await partition(servers, topic))["leader"])


async def in_sync(servers: str, topic: str, copies: int) -> None:
    async with asyncio.timeout(60):
        while len((await partition(servers, topic))["isr"]) < copies:
            await asyncio.sleep(0.2)
