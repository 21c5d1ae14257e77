"""Registration's own consumer, as the service runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.registration.handlers import handlers
from shared.clock import Clock
from shared.consumer import Consumer
from shared.database import Database
from shared.inbound import Inbound, Read
from shared.service import collect_garbage_rarely, new_broker
from shared.settings import ServiceSettings
from tests.bench.contenders.arrival import until, until_committed
from tests.bench.peers.yardstick import contend


class CountingInbound(Inbound):
    """Counts the records applied."""

    applied = 0

    async def apply_read(self, read: Sequence[Read], *args: Any, **kwargs: Any) -> Any:
        """Apply them as always."""
        outcome = await super().apply_read(read, *args, **kwargs)
        self.applied += len(read)
        return outcome


async def take_in(task: dict[str, Any]) -> dict[str, Any]:
    """Read, apply and commit so many records; the clock starts when partitions are assigned."""
    collect_garbage_rarely()
    settings = ServiceSettings()
    database = await Database.connect(task["dsn"], service="registration", clock=Clock())
    broker = new_broker(settings)
    inbound = CountingInbound(database, handlers)
    consumer = Consumer(
        broker,
        inbound,
        max_batch=settings.kafka.max_batch,
        group_suffix=task["group_suffix"],
        session_seconds=settings.kafka.session_seconds,
    )
    await broker.start()
    began = await until(lambda: consumer.assigned)
    await until(lambda: inbound.applied >= task["records"])
    group = f"registration{task['group_suffix']}"
    ended = await until_committed(task["bootstrap_servers"], group, "hr.employees", task["end"])
    await broker.stop()
    await database.close()
    return {"seconds": ended - began}


if __name__ == "__main__":
    contend(take_in)
