"""How the consumer asks its client for records: at once, whole, and losing none."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException
from faststream.kafka import KafkaBroker

from shared.catalogue import ContactUpdated
from shared.consumer import Consumer
from shared.handlers import Handlers

Answer = list[str] | Exception


class FakeClient:
    """Answers one look after the other, and notes how each was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[bool, int]] = []
        """Whether it might wait, and for how many records at most."""

    async def getmany(self, *, timeout_ms: int = 0, max_records: int) -> dict[Any, list[Any]]:
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
    assert client.asked == [(False, 5), (True, 3)]


async def test_the_first_record_after_a_pause_is_not_kept_waiting_for_more(
    look: Callable[[FakeClient], Any],
) -> None:
    client = FakeClient([], ["a"])
    assert await look(client) == ("a",)
    assert client.asked == [(False, 5), (True, 5)]


async def test_a_full_batch_asks_for_no_more(look: Callable[[FakeClient], Any]) -> None:
    client = FakeClient(list("abcde"))
    assert await look(client) == tuple("abcde")


async def test_a_failure_after_records_were_taken_loses_none_of_them(
    look: Callable[[FakeClient], Any],
) -> None:
    assert await look(FakeClient(["a"], CorruptRecordException())) == ("a",)
    with pytest.raises(CorruptRecordException):
        await look(FakeClient(CorruptRecordException()))
