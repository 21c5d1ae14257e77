"""A relay in a process of its own, for tests that stop or kill it: DSN, servers, idempotence."""

from __future__ import annotations

import asyncio
import sys

from shared.database import Database
from shared.relay import Relay
from shared.service import new_producer
from shared.settings import KafkaSettings, ServiceSettings
from shared.testing import ManualClock


async def main(dsn: str, servers: str, idempotent: str) -> None:
    kafka = KafkaSettings(bootstrap_servers=servers, idempotent_producer=idempotent == "True")
    database = await Database.connect(dsn, service="backbone", clock=ManualClock(), size=2)
    relay = Relay(
        database,
        producer=lambda: new_producer(ServiceSettings(kafka=kafka)),
        batch=20,
        silence_seconds=2,
    )
    await relay.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
