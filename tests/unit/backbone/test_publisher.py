"""Rows as records: same headers, same partitions as other clients, and no record overtaken."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.catalogue import EmployeeUpdated
from shared.database import HEADER_COLUMNS
from shared.envelope import decode, encode, json_value
from shared.ids import new_id
from shared.outbox import OutboxRecord
from shared.publisher import Publisher, SentNoMore, partition_of
from shared.relay import _kind
from shared.testing import record_of

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
SOURCE = "urn:updraft:registration"
EVENT = EmployeeUpdated(
    employee_id="E1",
    version=1,
    status="active",
    job_level=3,
    department="Sales",
    start_date=date(2020, 1, 1),
    effective_from=NOW,
)


def row(seq: int, *, key: str = "k", topic: str = "updraft.pairs", size: int = 10) -> OutboxRecord:
    return OutboxRecord(
        seq, str(UUID(int=seq)), topic, key, None, None, b"x" * size, [""] * len(HEADER_COLUMNS)
    )


class FakeProducer:
    """Takes what it is given by record number; `answers` are its first answers, then it agrees."""

    def __init__(self, *answers: Exception, partitions: int = 1) -> None:
        self.answers = list(answers)
        self.partitions = partitions
        self.taken: list[tuple[str, int, int]] = []
        self.now = self.most_at_once = 0
        self.client = self
        self.away = False

    async def fetch_all_metadata(self) -> ClusterMetadata:
        if self.away:
            raise KafkaConnectionError
        return ClusterMetadata()

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(200, 0)

    async def partitions_for(self, topic: str) -> set[int]:
        if topic == "unknown":
            await asyncio.sleep(3600)
        return set(range(self.partitions))

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> asyncio.Future[None]:
        async def answer() -> None:
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
            await asyncio.sleep(0.001)
            self.now -= 1
            if self.answers:
                raise self.answers.pop(0)
            self.taken.append((topic, partition, batch.record_count()))

        return asyncio.ensure_future(answer())


def publisher(producer: Any, may_send: Callable[[], None] = lambda: None) -> Publisher:
    return Publisher(producer, may_send=may_send)


def test_a_key_has_the_partition_that_other_clients_give_it() -> None:
    rng = random.Random(5)
    keys = ["", "E1", "größe", *(rng.randbytes(n).hex()[:n] for n in range(40) for _ in range(20))]
    theirs = DefaultPartitioner()
    for key in keys:
        for count in (1, 6, 7):
            partitions = list(range(count))
            assert partition_of(key, count) == theirs(key.encode(), partitions, partitions)


@pytest.mark.parametrize("caused", [True, False])
def test_a_row_has_all_headers_that_its_event_was_given(caused: bool) -> None:
    cause = decode(record_of(EVENT, now=NOW), NOW) if caused else None
    event_id = new_id(NOW)
    given = encode(
        EmployeeUpdated, event_id=event_id, source=SOURCE, subject="E1", now=NOW, cause=cause
    )
    stored = [given.get(name) for name in HEADER_COLUMNS]
    kept = OutboxRecord(
        1, str(event_id), EVENT.TOPIC, "E1", EVENT.TYPE, None, json_value(EVENT), stored
    )
    headers = publisher(FakeProducer())._headers(kept)
    assert {name: value.decode() for name, value in headers} == given


async def test_batches_of_a_partition_leave_one_after_the_other() -> None:
    producer = FakeProducer(partitions=1)
    assert await publisher(producer).send([row(n, size=80) for n in range(20)]) == []
    assert len(producer.taken) > 5
    assert sum(count for _, _, count in producer.taken) == 20
    assert producer.most_at_once == 1


async def test_partitions_do_not_wait_for_each_other() -> None:
    producer = FakeProducer(partitions=4)
    await publisher(producer).send([row(n, key=f"k{n}", size=80) for n in range(40)])
    assert producer.most_at_once > 1


async def test_after_a_failed_batch_none_of_its_partition_follows() -> None:
    producer = FakeProducer(KafkaConnectionError())
    with pytest.raises(ExceptionGroup) as failure:
        await publisher(producer).send([row(n, size=80) for n in range(20)])
    assert failure.group_contains(KafkaConnectionError)
    assert producer.taken == []


async def test_what_is_sent_meanwhile_waits_for_what_went_before_on_its_partition() -> None:
    producer = FakeProducer(partitions=1)
    sender = publisher(producer)
    await asyncio.gather(*(sender.send([row(n)] * count) for n, count in enumerate([1, 2, 2, 1])))
    assert [count for _, _, count in producer.taken] == [1, 2, 2, 1]
    assert producer.most_at_once == 1


async def test_after_a_failure_nothing_that_waited_behind_it_is_sent() -> None:
    producer = FakeProducer(KafkaConnectionError())
    sender = publisher(producer)
    ends = await asyncio.gather(*(sender.send([row(n)]) for n in range(3)), return_exceptions=True)
    assert all(isinstance(end, ExceptionGroup) for end in ends)
    assert producer.taken == []


async def test_a_call_that_is_given_up_lets_nothing_behind_it_pass() -> None:
    producer = FakeProducer()
    sender = publisher(producer)
    first = asyncio.create_task(sender.send([row(1, topic="unknown")]))
    second = asyncio.create_task(sender.send([row(2)]))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(ExceptionGroup) as failure:
        await second
    assert failure.group_contains(SentNoMore)
    assert producer.taken == []


async def test_a_topic_that_was_refused_is_refused_to_what_waited_behind() -> None:
    producer = FakeProducer(MessageSizeTooLargeError())
    sender = publisher(producer)
    answers = await asyncio.gather(*(sender.send([row(n)]) for n in range(3)))
    assert [[each.first.seq for each in refused] for refused in answers] == [[0], [1], [2]]
    assert producer.taken == []


async def test_a_topic_that_is_refused_is_told_and_the_others_are_published() -> None:
    producer = FakeProducer(MessageSizeTooLargeError())
    rows = [row(1, topic="small"), row(2, topic="small"), row(3, topic="other")]
    refused = await publisher(producer).send(rows)
    assert [(each.first.seq, str(each)) for each in refused] == [(1, "MessageSizeTooLargeError")]
    assert producer.taken == [("other", 0, 1)]


async def test_a_topic_that_does_not_exist_is_refused_instead_of_awaited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.publisher._METADATA_SECONDS", 0.01)
    producer = FakeProducer()
    refused = await publisher(producer).send([row(1, topic="unknown"), row(2, topic="other")])
    assert [(each.first.topic, str(each)) for each in refused] == [
        ("unknown", "UnknownTopicOrPartitionError")
    ]
    assert producer.taken == [("other", 0, 1)]


async def test_a_broker_that_is_away_has_not_refused_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.publisher._METADATA_SECONDS", 0.01)
    producer = FakeProducer()
    producer.away = True
    with pytest.raises(ExceptionGroup) as failure:
        await publisher(producer).send([row(1, topic="unknown")])
    assert failure.group_contains(KafkaConnectionError)


async def test_nothing_is_sent_by_one_who_may_not() -> None:
    class NotOurs(Exception):  # noqa: N818 - named by the fact
        pass

    def refuse() -> None:
        raise NotOurs

    producer = FakeProducer()
    with pytest.raises(ExceptionGroup) as failure:
        await publisher(producer, refuse).send([row(1)])
    assert failure.group_contains(NotOurs)
    assert producer.taken == []


async def test_a_record_larger_than_a_batch_travels_alone() -> None:
    producer = FakeProducer()
    await publisher(producer).send([row(1), row(2, size=5000), row(3)])
    assert [count for _, _, count in producer.taken] == [1, 1, 1]


def test_what_stopped_the_sending_is_named_not_what_was_stopped() -> None:
    lost = OSError("gone")
    nested = ExceptionGroup("sends", [SentNoMore()])
    assert _kind(ExceptionGroup("relay", [nested, lost])) == "OSError"
    assert _kind(ExceptionGroup("relay", [nested])) == "SentNoMore"
    assert _kind(lost) == "OSError"
