"""What is to happen at which programme time, with a bounded number of things in flight."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from shared.clock import Clock

Action = Callable[[], Awaitable[None]]
_LOOK_SECONDS = 0.2


class Agenda:
    """Runs actions when programme time reaches them; a late action runs at once.

    What an action raises is kept in `failures`; it never stops the others.
    """

    def __init__(self, clock: Clock, *, in_flight: int = 8) -> None:
        self._clock = clock
        self._due: list[tuple[datetime, int, Action]] = []
        self._numbers = itertools.count()
        self._slots = asyncio.Semaphore(in_flight)
        self._running: set[asyncio.Task[None]] = set()
        self.failures: list[BaseException] = []
        self.done = 0
        self.latest = timedelta(0)
        """The longest that an action had to wait for its turn, in programme time."""

    def at(self, when: datetime, action: Action) -> None:
        """Run `action` at the given programme time."""
        heapq.heappush(self._due, (when, next(self._numbers), action))

    def after(self, days: float, action: Action) -> None:
        """Run `action` this many programme days from now."""
        self.at(self._clock.now() + timedelta(days=days), action)

    @property
    def waiting(self) -> int:
        """Actions in flight or overdue."""
        now = self._clock.now()
        return len(self._running) + sum(1 for when, _, _ in self._due if when <= now)

    async def run(self, until: datetime, look: Callable[[], Awaitable[None]]) -> None:
        """Act until programme time `until`; `look` is called some times a second."""
        loop = asyncio.get_running_loop()
        look_at = 0.0
        while (now := self._clock.now()) < until:
            if loop.time() >= look_at:
                await look()
                look_at = loop.time() + _LOOK_SECONDS
            while self._due and self._due[0][0] <= now:
                when, _, action = heapq.heappop(self._due)
                await self._slots.acquire()
                self._start(when, action)
            next_due = self._due[0][0] if self._due else until
            wait = self._clock.real_seconds(min(next_due, until) - self._clock.now())
            await asyncio.sleep(max(0.005, min(wait, look_at - loop.time())))

    async def drain(self, real_seconds: float) -> None:
        """Wait for what is in flight, at most this long."""
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=real_seconds)
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def forget_the_rest(self) -> None:
        """Drop what has not started yet."""
        self._due.clear()

    def _start(self, when: datetime, action: Action) -> None:
        self.latest = max(self.latest, self._clock.now() - when)
        task = asyncio.get_running_loop().create_task(self._act(action))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _act(self, action: Action) -> None:
        try:
            await action()
        except Exception as error:
            self.failures.append(error)
        finally:
            self.done += 1
            self._slots.release()
