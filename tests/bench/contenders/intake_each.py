"""The plain design: a FastStream handler with one transaction and one commit per message."""

from __future__ import annotations

from typing import Any

from faststream import AckPolicy
from faststream.kafka import KafkaMessage

from services.registration.handlers import handlers
from shared.clock import Clock
from shared.database import Database
from shared.envelope import Record
from shared.inbound import Inbound
from shared.service import new_broker
from shared.settings import ServiceSettings
from tests.bench.contenders.arrival import until
from tests.bench.peers.yardstick import contend


async def take_in(task: dict[str, Any]) -> dict[str, Any]:
    """Apply so many records with the same handlers as ours, one by one."""
    database = await Database.connect(task["dsn"], service="registration", clock=Clock())
    inbound = Inbound(database, handlers)
    broker = new_broker(ServiceSettings())
    applied = 0

    async def message_itself(message: KafkaMessage) -> KafkaMessage:
        # The handler reads the raw record, so nothing is decoded twice.
        return message

    @broker.subscriber(
        *handlers.topics,
        group_id=f"registration{task['group_suffix']}",
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        decoder=message_itself,
    )
    async def handle(message: KafkaMessage) -> None:
        nonlocal applied
        raw: Any = message.raw_message
        record = Record(
            raw.topic, raw.partition, raw.offset, raw.key, raw.value, tuple(raw.headers)
        )
        if applied < task["records"]:
            await inbound.apply([record])
            await message.ack()
            applied += 1

    await broker.start()
    (subscriber,) = broker.subscribers
    reader: Any = subscriber
    began = await until(lambda: bool(reader.consumer.assignment()))
    # Each record was committed before it was counted.
    ended = await until(lambda: applied >= task["records"])
    await broker.stop()
    await database.close()
    return {"seconds": ended - began}


if __name__ == "__main__":
    contend(take_in)
