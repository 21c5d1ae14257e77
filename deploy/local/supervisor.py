"""Keeps parts of the stack running: starts them, tells of deaths, restarts with backoff."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from deploy.local.process import Child, StackError, last_lines

Tell = Callable[[str], None]
_POLL_SECONDS = 0.05
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_HEALTHY_AFTER_SECONDS = 30.0


@dataclass
class Part:
    """A process of the stack: how it is started, and how one sees that it works."""

    name: str
    spawn: Callable[[], Child]
    ready: Callable[[], Awaitable[bool]]
    ready_within_seconds: float = 60.0
    revive: Callable[[], Awaitable[None]] | None = None
    """What to do when it died; None: start it again."""
    child: Child | None = field(default=None, repr=False)
    restarts: int = 0


class Supervisor:
    """Watches the parts handed to it until they are stopped."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._watches: dict[str, asyncio.Task[None]] = {}
        self.parts: dict[str, Part] = {}
        self.hurry = asyncio.Event()

    async def start(self, part: Part) -> None:
        """Start the part, wait until it is ready and watch it from then on.

        Raises StackError with the last log lines if it dies first or never becomes ready.
        """
        self.parts[part.name] = part
        await self.launch(part)
        self.watch(part)

    def watch(self, part: Part) -> None:
        """Restart the part whenever it dies, from now on."""
        self._watches[part.name] = asyncio.create_task(self._watch(part), name=f"watch {part.name}")

    async def launch(self, part: Part) -> None:
        """Start the part's process and wait until it is ready, without watching it."""
        part.child = child = part.spawn()
        deadline = time.monotonic() + part.ready_within_seconds
        while not await part.ready():
            if not child.running:
                raise child.failure("died before it was ready")
            if time.monotonic() > deadline:
                raise child.failure(f"was not ready within {part.ready_within_seconds:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def _watch(self, part: Part) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            while part.child is not None and part.child.running:
                await asyncio.sleep(_POLL_SECONDS)
            if time.monotonic() - started > _HEALTHY_AFTER_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._report(part, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            part.restarts += 1
            with contextlib.suppress(StackError):
                # A part that dies again at once is met, and told, by the next round.
                await (part.revive() if part.revive else self.launch(part))

    def _report(self, part: Part, pause: float) -> None:
        if part.child is None:
            return
        code = part.child.process.returncode
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
        self._tell(
            f"{part.name} {how}; starting it again in {pause:g} s. "
            f"End of {part.child.log}:\n{last_lines(part.child.log)}"
        )

    async def unwatch(self, *names: str) -> None:
        """Stop restarting these parts."""
        tasks = [task for name in names if (task := self._watches.pop(name, None))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(
        self, *names: str, signal_number: int, grace_seconds: float, patient: bool = False
    ) -> None:
        """End these parts side by side; returns when their processes are gone.

        A patient stop gives the whole grace even in a hurry.
        """
        await self.unwatch(*names)
        hurry = None if patient else self.hurry
        children = [p.child for n in names if (p := self.parts.get(n)) and p.child is not None]
        await asyncio.gather(
            *(
                child.stopping(signal_number, grace_seconds=grace_seconds, hurry=hurry)
                for child in children
            )
        )

    def kill(self) -> None:
        """SIGKILL for whatever still runs."""
        for part in self.parts.values():
            if part.child is not None:
                part.child.kill()
