"""The limit of client and database: batches read, the rows copied that they lead to, committed."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.bench.contenders.arrival import until
from tests.bench.outcome import TableOutcome, read_outcome
from tests.bench.peers.yardstick import contend


async def take_in(task: dict[str, Any]) -> dict[str, Any]:
    """Copy, for each record, the rows that registration would have written for it."""
    outcome = read_outcome(Path(task["outcome"]))
    connection = await asyncpg.connect(task["dsn"])
    consumer = AIOKafkaConsumer(
        "hr.employees",
        bootstrap_servers=task["bootstrap_servers"],
        group_id=f"registration{task['group_suffix']}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    began = await until(lambda: bool(consumer.assignment()))
    taken = 0
    while taken < task["records"]:
        batch = await consumer.getmany(max_records=500, timeout_ms=1000)
        keys = [record.key.decode() for records in batch.values() for record in records]
        async with connection.transaction():
            for table in outcome:
                await _copy(connection, table, keys)
        await consumer.commit(
            {TopicPartition(tp.topic, tp.partition): r[-1].offset + 1 for tp, r in batch.items()}
        )
        taken += len(keys)
    ended = time.perf_counter()
    await consumer.stop()
    await connection.close()
    return {"seconds": ended - began}


async def _copy(connection: Any, table: TableOutcome, keys: list[str]) -> None:
    lines = b"".join(table.lines.get(key, b"") for key in keys)
    if lines:
        await connection.copy_to_table(
            table.name,
            schema_name="registration",
            columns=table.columns,
            source=io.BytesIO(lines),
        )


if __name__ == "__main__":
    contend(take_in)
