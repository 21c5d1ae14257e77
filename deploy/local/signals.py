"""Running a coroutine so that Ctrl-C, SIGTERM and SIGHUP end it tidily, whenever they come."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Interrupted(Exception):  # noqa: N818 - named by the fact
    """The work was ended by a signal and has cleaned up after itself."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def run(work: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, but each signal cancels the work, and none cuts its clean-up short.

    A stack that is stopping takes a second signal as a wish to hurry. Raises Interrupted at the
    end if there was a signal.
    """
    first: list[int] = []

    async def main() -> T:
        loop = asyncio.get_running_loop()
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # As nohup has it.
            signals.append(signal.SIGHUP)
        task = asyncio.ensure_future(work)

        def interrupt(number: int) -> None:
            first.append(number)
            task.cancel()

        for number in signals:
            loop.add_signal_handler(number, interrupt, number)
        try:
            return await task
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if first:
            raise Interrupted(first[0]) from None
        raise


async def uninterrupted(work: Coroutine[Any, Any, None], hurry: asyncio.Event) -> None:
    """Finish the work although our task is cancelled meanwhile; that only sets `hurry`."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
            hurry.set()
    task.result()
    if cancelled:
        raise asyncio.CancelledError
