"""Readers outside that note when records arrive, and a sender that keeps a steady pace."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from deploy.local.hr import HrRecord


class Reader:
    """Follows topics from now on, and hands over each record with the moment of its arrival."""

    def __init__(
        self, bootstrap_servers: str, topics: Sequence[str], take: Callable[[Any, float], None]
    ) -> None:
        self._consumer = AIOKafkaConsumer(
            *topics, bootstrap_servers=bootstrap_servers, enable_auto_commit=False
        )
        self._take = take
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Reader:
        await self._consumer.start()
        # So that the position is that of now, not of the first look some time later.
        for partition in self._consumer.assignment():
            await self._consumer.position(partition)
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._consumer.stop()

    async def _read(self) -> None:
        while True:
            batch = await self._consumer.getmany(timeout_ms=1000)
            now = time.time()
            for records in batch.values():
                for record in records:
                    self._take(record, now)


class Arrivals:
    """When the first record of each key came on a topic."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.moments: dict[str, float] = {}

    def take(self, record: ConsumerRecord[bytes, bytes], moment: float) -> None:
        """Note a record, if it is of this topic."""
        if record.topic == self._topic and record.key is not None:
            self.moments.setdefault(record.key.decode(), moment)


class Changes:
    """How many HR changes the KPIs of a programme have counted, and since when."""

    def __init__(self, programme_id: str) -> None:
        self._programme_id = programme_id
        self.seen: list[tuple[float, int]] = []
        """(moment, changes counted until then), oldest first."""

    def take(self, record: ConsumerRecord[bytes, bytes], moment: float) -> None:
        """Note a KpiMeasured record that tells how many changes arrived so far."""
        if record.topic != "updraft.metrics" or record.value is None:
            return
        kpi = json.loads(record.value)
        if (
            kpi["programme_id"] == self._programme_id
            and kpi["kpi"] == "hr_event_lag_p95"
            and kpi["period"]["kind"] == "programme"
        ):
            self.seen.append((moment, int(kpi["denominator"])))

    @property
    def counted(self) -> int:
        """How many changes the newest record counts."""
        return self.seen[-1][1] if self.seen else 0

    def moment_of(self, change: int) -> float:
        """When a record first counted so many changes. Raises ValueError if none did."""
        for moment, counted in self.seen:
            if counted >= change:
                return moment
        raise ValueError(f"change {change} was never measured; {self.counted} were")


async def send_steadily(
    producer: AIOKafkaProducer, topic: str, records: Sequence[HrRecord], per_second: float
) -> dict[str, float]:
    """Send the records at an even pace; returns when each key's was handed to the client."""
    sent: dict[str, float] = {}
    waiting = []
    began = time.perf_counter()
    for number, record in enumerate(records):
        pause = began + number / per_second - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        sent[(record.key or b"").decode()] = time.time()
        waiting.append(
            await producer.send(topic, record.value, key=record.key, headers=list(record.headers))
        )
    await asyncio.gather(*waiting)
    return sent


async def wait_for(
    holds: Callable[[], bool], what: str, *, within_seconds: float, every_seconds: float = 0.02
) -> None:
    """Wait until something holds. Raises TimeoutError that names it."""
    deadline = time.monotonic() + within_seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_seconds:.0f} s in vain for: {what}")
        await asyncio.sleep(every_seconds)
