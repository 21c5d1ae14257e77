"""HR's producers: each record is sent until the broker has acknowledged it, in order per person."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.demo.hr_platform import RawRecord
from tests.chaos.hr_stream import TOPIC, HrStream, Sent

_LANES = 2
_AT_ONCE = 25
_TICK_SECONDS = 0.25
_RETRY_SECONDS = 0.3
_REQUEST_SECONDS = 8.0
_STOP_SECONDS = 5.0


@dataclass
class Acknowledged:
    """What the broker said it has, and what must come of it."""

    people: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By employee: the columns of the directory after the last record that applies."""
    broken: dict[frozenset[UUID], str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    _good: set[UUID] = field(default_factory=set)

    def note(self, sent: Sent) -> None:
        """Remember a record that was acknowledged."""
        self.counts[sent.record.what] += 1
        if sent.fate == "applies" and sent.facts is not None:
            self.people[sent.record.key] = sent.facts
            self._good |= sent.ids
        elif sent.fate == "parked":
            # A reused id is that of a good record, which must not count as the broken one.
            self.broken[sent.ids - self._good] = f"{sent.record.what} of {sent.record.key}"


class HrLane:
    """Several producers side by side; a person's records all go by the same one."""

    def __init__(self, stream: HrStream, bootstrap_servers: str, *, idempotent: bool) -> None:
        self.acknowledged = Acknowledged()
        self.resent = 0
        self._stream = stream
        self._servers = bootstrap_servers
        self._idempotent = idempotent
        self._queues: list[deque[Sent]] = [deque() for _ in range(_LANES)]
        self._tasks = [asyncio.create_task(self._send_for_ever(q)) for q in self._queues]
        self._unsent = 0

    async def load(self, seconds: float, *, rate: float) -> None:
        """Queue `rate` records a second of the stream, for so long."""
        began = time.monotonic()
        queued = 0
        while (passed := time.monotonic() - began) < seconds:
            # Bounded: while the broker is away nothing piles up that would come as a flood.
            while queued < passed * rate and self._unsent < rate * 3:
                self.tell(self._stream.next())
                queued += 1
            queued = max(queued, int(passed * rate))
            await asyncio.sleep(_TICK_SECONDS)

    def tell(self, *records: Sent) -> None:
        """Queue records."""
        for sent in records:
            lane = zlib.crc32(sent.record.key.encode()) % _LANES
            self._queues[lane].append(sent)
            self._unsent += 1

    @property
    def unsent(self) -> int:
        """Records that the broker has not acknowledged yet."""
        return self._unsent

    async def close(self) -> None:
        """Stop sending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send_for_ever(self, queue: deque[Sent]) -> None:
        producer: AIOKafkaProducer | None = None
        try:
            while True:
                chunk = _of_different_people(queue)
                while chunk:
                    try:
                        if producer is None:
                            producer = await self._connect()
                        chunk = await self._send(producer, chunk)
                    except (TimeoutError, KafkaError, OSError):
                        pass
                    if chunk:
                        self.resent += len(chunk)
                        await _stop(producer)
                        producer = None
                        await asyncio.sleep(_RETRY_SECONDS)
                await asyncio.sleep(_TICK_SECONDS / 5)
        finally:
            await _stop(producer)

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",
            enable_idempotence=self._idempotent,
            max_request_size=4 * 1024 * 1024,
            request_timeout_ms=int(_REQUEST_SECONDS * 1000),
        )
        try:
            await producer.start()
        except BaseException:
            await _stop(producer)
            raise
        return producer

    async def _send(self, producer: AIOKafkaProducer, chunk: list[Sent]) -> list[Sent]:
        """Send side by side; returns those that were not acknowledged, in order."""
        answers = await asyncio.gather(
            *(
                asyncio.wait_for(_acknowledged(producer, s.record), 2 * _REQUEST_SECONDS)
                for s in chunk
            ),
            return_exceptions=True,
        )
        left = []
        for sent, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, BaseException):
                left.append(sent)
            else:
                self.acknowledged.note(sent)
                self._unsent -= 1
        return left


async def _acknowledged(producer: AIOKafkaProducer, record: RawRecord) -> None:
    await producer.send_and_wait(
        TOPIC, record.value, key=record.key.encode(), headers=list(record.headers)
    )


def _of_different_people(queue: deque[Sent]) -> list[Sent]:
    """The next records of the queue, at most one per person: the next one waits for its answer."""
    chunk: list[Sent] = []
    people: set[str] = set()
    while queue and len(chunk) < _AT_ONCE and queue[0].record.key not in people:
        sent = queue.popleft()
        people.add(sent.record.key)
        chunk.append(sent)
    return chunk


async def _stop(producer: AIOKafkaProducer | None) -> None:
    if producer is not None:
        with contextlib.suppress(KafkaError, OSError, asyncio.TimeoutError):
            await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
