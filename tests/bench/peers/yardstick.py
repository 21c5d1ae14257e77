"""What all contenders share, ours and others': task in, answer out, the same loop, the same end.

It runs in the peers' own environment as well, so it may import nothing of the project.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

_LOOK_EVERY_SECONDS = 0.01


def contend(main: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
    """Run a contender as `script <task file> <answer file>`."""
    task = json.loads(Path(sys.argv[1]).read_text())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def whole() -> dict[str, Any]:
            return await main(task)

        answer = runner.run(whole())
    Path(sys.argv[2]).write_text(json.dumps(answer))


async def until_empty(dsn: str, table: str, key: str) -> float:
    """The moment (`time.perf_counter`) at which the table was first seen without a row."""
    connection = await asyncpg.connect(dsn)
    try:
        # By the key's index, so that the look costs little however many rows have gone.
        look = await connection.prepare(f"SELECT {key} FROM {table} ORDER BY {key} LIMIT 1")
        while await look.fetchval() is not None:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        return time.perf_counter()
    finally:
        await connection.close()
