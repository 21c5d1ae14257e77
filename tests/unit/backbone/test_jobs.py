"""A job is tried again after a failure, and ends when it is told to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.service import Job


async def test_a_failed_job_is_tried_again() -> None:
    tries = 0
    enough = asyncio.Event()

    async def fail(_: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            enough.set()
        raise OSError

    task = asyncio.create_task(Job("fails", fail, every_seconds=0.001).run(None))  # type: ignore[arg-type]
    await asyncio.wait_for(enough.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_job_whose_clearing_up_fails_ends_all_the_same() -> None:
    at_work = asyncio.Event()

    async def lose_the_connection(_: Any) -> None:
        at_work.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise OSError("the rollback met a lost connection")

    task = asyncio.create_task(Job("works", lose_the_connection, every_seconds=60).run(None))  # type: ignore[arg-type]
    await at_work.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done == {task}
    assert task.cancelled()
