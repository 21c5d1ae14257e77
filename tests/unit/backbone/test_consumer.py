"""How the consumer takes records from its client and hands them on: whole, in order, none lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException
from faststream.kafka import KafkaBroker

from shared.catalogue import ContactUpdated
from shared.consumer import Consumer
from shared.envelope import Record
from shared.handlers import Handlers

Answer = list[str] | Exception


class FakeClient:
    """Answers one look after the other, and notes how each was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[bool, int]] = []
        """Whether it might wait, and for how many records at most."""
        self.stopped: set[TopicPartition] = set()
        """Partitions of which it asks the broker for no more."""

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("topic", 0)}

    def paused(self) -> set[TopicPartition]:
        return set(self.stopped)

    def pause(self, *partitions: TopicPartition) -> None:
        self.stopped.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.stopped.difference_update(partitions)

    async def getmany(self, *, timeout_ms: int = 0, max_records: int) -> dict[Any, list[Any]]:
        assert not self.stopped
        self.asked.append((timeout_ms > 0, max_records))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {TopicPartition(name, 0): [name] for name in answer}


@pytest.fixture
def look() -> Callable[[FakeClient], Any]:
    """One look for records, as FastStream has the consumer do it."""
    handlers = Handlers()
    handlers.each(ContactUpdated)(_nothing)
    inbound: Any = SimpleNamespace(database=SimpleNamespace(service="test"), handlers=handlers)
    consumer = Consumer(KafkaBroker(), inbound, max_batch=5)
    return consumer._subscriber.get_msg


async def _nothing(*_: object) -> None:
    return


async def test_records_that_came_meanwhile_are_one_batch_with_those_that_the_client_held(
    look: Callable[[FakeClient], Any],
) -> None:
    client = FakeClient(["a", "b"], ["c"])
    assert await look(client) == ("a", "b", "c")
    assert client.asked == [(False, 20), (True, 18)]


async def test_the_first_record_after_a_pause_is_not_kept_waiting_for_more(
    look: Callable[[FakeClient], Any],
) -> None:
    client = FakeClient([], ["a"])
    assert await look(client) == ("a",)
    assert client.asked == [(False, 20), (True, 20)]


async def test_a_full_look_asks_for_no_more(look: Callable[[FakeClient], Any]) -> None:
    client = FakeClient(list("abcdefghijklmnopqrst"))
    assert await look(client) == tuple("abcdefghijklmnopqrst")
    assert client.stopped == set()


async def test_while_few_records_are_applied_no_single_one_is_fetched_before_the_others(
    look: Callable[[FakeClient], Any],
) -> None:
    client = FakeClient([], ["a"], [], ["b", "c"])
    assert await look(client) == ("a",)
    assert client.stopped == client.assignment()
    assert await look(client) == ("b", "c")


async def test_a_failure_after_records_were_taken_loses_none_of_them(
    look: Callable[[FakeClient], Any],
) -> None:
    assert await look(FakeClient(["a"], CorruptRecordException())) == ("a",)
    with pytest.raises(CorruptRecordException):
        await look(FakeClient(CorruptRecordException()))


class FakeInbound:
    """Notes what is read and applied, and lets one batch fail once."""

    def __init__(self, *, fails_on: int | None = None) -> None:
        self.database = SimpleNamespace(service="test")
        self.handlers = Handlers()
        self.handlers.each(ContactUpdated)(_nothing)
        self.noted: list[tuple[str, list[int]]] = []
        self._fails_on = fails_on

    async def read(self, records: list[Record]) -> list[int]:
        offsets = [record.offset for record in records]
        self.noted.append(("read", offsets))
        return offsets

    async def apply_read(self, read: list[int], **_: object) -> list[str]:
        if self._fails_on in read:
            self._fails_on = None
            raise OSError
        # As long as the database takes, others have their turn.
        await asyncio.sleep(0.01)
        self.noted.append(("apply", read))
        return []


class FakePartition:
    """A client that holds one partition, and notes what is committed and where it goes back to."""

    def __init__(self) -> None:
        self.committed: list[int] = []
        self.sought: list[int] = []

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("topic", 0)}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.committed += offsets.values()

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.sought.append(offset)


async def _handed_on(inbound: Any, sizes: list[int]) -> FakePartition:
    """Give a consumer records of these sizes, in batches of two."""
    consumer = Consumer(KafkaBroker(), inbound, max_batch=2)
    client = FakePartition()
    await _hand_on(consumer, client, sizes)
    return client


async def _hand_on(consumer: Consumer, client: Any, sizes: list[int]) -> None:
    consumer._subscriber.consumer = client
    raw = tuple(
        SimpleNamespace(
            topic="topic",
            partition=0,
            offset=offset,
            key=b"k",
            value=b"x" * size,
            headers=(),
            timestamp=0,
        )
        for offset, size in enumerate(sizes)
    )
    await consumer._receive(SimpleNamespace(raw_message=raw))  # type: ignore[arg-type]


class FakeSubscription(FakeClient, FakePartition):
    """Both."""

    def __init__(self, *answers: Answer) -> None:
        FakeClient.__init__(self, *answers)
        FakePartition.__init__(self)

    assignment = FakePartition.assignment


async def test_the_place_after_few_records_is_committed_when_no_more_come() -> None:
    consumer = Consumer(KafkaBroker(), FakeInbound(), max_batch=500)  # type: ignore[arg-type]
    client: Any = FakeSubscription([], ["a"], [], [])
    await consumer._subscriber.get_msg(client)
    await _hand_on(consumer, client, [1, 1])
    assert client.committed == []
    await consumer._subscriber.get_msg(client)
    assert client.committed == [2]


async def test_the_place_is_committed_before_partitions_go_to_another() -> None:
    consumer = Consumer(KafkaBroker(), FakeInbound(), max_batch=500)  # type: ignore[arg-type]
    client: Any = FakeSubscription()
    await _hand_on(consumer, client, [1, 1])
    await consumer._gate.on_partitions_revoked({TopicPartition("topic", 0)})
    assert client.committed == [2]


async def test_the_next_batch_is_read_while_one_is_applied() -> None:
    inbound = FakeInbound()
    client = await _handed_on(inbound, [1] * 5)
    assert inbound.noted == [
        ("read", [0, 1]),
        ("read", [2, 3]),
        ("apply", [0, 1]),
        ("read", [4]),
        ("apply", [2, 3]),
        ("apply", [4]),
    ]
    assert client.committed == [5]


async def test_what_follows_a_batch_that_failed_is_not_applied_before_it() -> None:
    inbound = FakeInbound(fails_on=3)
    client = await _handed_on(inbound, [1] * 6)
    assert [read for what, read in inbound.noted if what == "apply"] == [[0, 1]]
    assert client.committed == [2]
    assert client.sought == [2]


async def test_large_records_are_applied_few_at_a_time() -> None:
    inbound = FakeInbound()
    await _handed_on(inbound, [3_000_000, 3_000_000, 5_000_000, 1, 1])
    assert [read for what, read in inbound.noted if what == "apply"] == [[0], [1], [2], [3, 4]]
