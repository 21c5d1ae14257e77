"""The limit of client and database: everything sent pipelined, then one DELETE."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import asyncpg

from shared.envelope import binary_headers
from shared.service import new_producer
from shared.settings import ServiceSettings
from tests.bench.peers.yardstick import contend


async def send(task: dict[str, Any]) -> dict[str, Any]:
    """Send the same bytes by the same producer as our relay, then delete as many rows."""
    connection = await asyncpg.connect(task["dsn"])
    rows = [
        (row["key"].encode(), row["payload"], binary_headers(json.loads(row["headers"])))
        for row in await connection.fetch(
            "SELECT key, payload, headers FROM records ORDER BY position"
        )
    ]
    producer = new_producer(ServiceSettings())
    await producer.start()
    began = time.perf_counter()
    sent = [
        await producer.send(task["topic"], payload, key=key, headers=headers)
        for key, payload, headers in rows
    ]
    await asyncio.gather(*sent)
    await connection.execute(f"DELETE FROM {task['service']}.outbox")
    ended = time.perf_counter()
    await producer.stop()
    await connection.close()
    return {"seconds": ended - began}


if __name__ == "__main__":
    contend(send)
