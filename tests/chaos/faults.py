"""Does to the ground what the schedule says, and notes what it did."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from tests.chaos.ground import Ground
from tests.chaos.schedule import Fault

_LOOK_SECONDS = 0.01
_PATIENCE_SECONDS = 2.0
"""How long one waits for a service to be in the middle of a transaction."""


@dataclass
class Faults:
    """The faults of one run."""

    ground: Ground
    tell: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    """What found its target down already."""
    killed: Counter[str] = field(default_factory=Counter)
    """How often each of the stack's processes was ended by us."""
    connections_cut: int = 0
    caught_in_transaction: int = 0
    _ends_at: float = float("inf")
    _frozen: set[str] = field(default_factory=set)
    _broker: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, schedule: Sequence[Fault], *, seconds: float) -> None:
        """Let each fault strike at its time; returns when the last one is over.

        What would only live on, such as a replica, ends with the run.
        """
        began = time.monotonic()
        self._ends_at = began + seconds
        async with asyncio.TaskGroup() as group:
            for fault in schedule:
                await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
                group.create_task(self._strike(fault), name=str(fault))

    async def _strike(self, fault: Fault) -> None:
        strikes: dict[str, Callable[[Fault], Awaitable[bool]]] = {
            "kill": self._kill,
            "scale": self._scale,
            "cut": self._cut,
            "freeze": self._freeze,
            "postgres restart": self._restart_postgres,
            "postgres crash": self._crash_postgres,
            "broker kill": self._kill_broker,
            "broker stop": self._stop_broker,
        }
        struck = await strikes[fault.kind](fault)
        (self.done if struck else self.skipped)[fault.kind] += 1
        if not struck:
            self.tell(f"skipped, as it was down already: {fault}")

    # Services

    async def _kill(self, fault: Fault) -> bool:
        return self._end(fault.target, signal.SIGKILL)

    def _end(self, part: str, number: int) -> bool:
        if not self.ground.signal(part, number):
            return False
        self.killed[part] += 1
        return True

    async def _scale(self, fault: Fault) -> bool:
        ground = self.ground
        added = await asyncio.gather(
            *(ground.add_replica(fault.target) for _ in range(fault.count))
        )
        await self._live_on(fault.seconds)
        for replica in added:
            if replica in ground.replicas:
                await ground.remove_replica(replica, gently=fault.gentle)
        return True

    async def _freeze(self, fault: Fault) -> bool:
        """Stop a service's process, caught in a transaction, while a replica takes over."""
        ground, service = self.ground, fault.target
        if service in self._frozen:
            return False
        self._frozen.add(service)
        try:
            replica = await ground.add_replica(service)
            if await self._in_transaction(service):
                self.caught_in_transaction += 1
            if not ground.signal(service, signal.SIGSTOP):
                return False
            await asyncio.sleep(fault.seconds)
            ground.signal(service, signal.SIGCONT)
            # Both work side by side for a while: the one that woke must do no harm.
            await self._live_on(fault.seconds / 2)
            if replica in ground.replicas:
                await ground.remove_replica(replica, gently=True)
            return True
        finally:
            self._frozen.discard(service)

    async def _live_on(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, min(seconds, self._ends_at - time.monotonic())))

    # Postgres

    async def _restart_postgres(self, _: Fault) -> bool:
        return self._end_postgres(signal.SIGINT)

    async def _crash_postgres(self, _: Fault) -> bool:
        return self._end_postgres(signal.SIGQUIT)

    def _end_postgres(self, number: int) -> bool:
        try:
            # The first process alone: it ends its own.
            os.kill(self.ground.stack.pid("postgres"), number)
        except ProcessLookupError:
            return False
        self.killed["postgres"] += 1
        return True

    async def _cut(self, fault: Fault) -> bool:
        """End a service's connections, those in the middle of a transaction if there are any."""
        try:
            connection = await asyncpg.connect(self.ground.stack.superuser_dsn, timeout=5)
        except (TimeoutError, OSError, asyncpg.PostgresError):
            return False
        try:
            busy = await _busy(connection, fault.target)
            rows = await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = $1 AND (pid = ANY($2) OR $2 = '{}')",
                fault.target,
                busy,
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        finally:
            await connection.close(timeout=2)
        self.connections_cut += len(rows)
        self.caught_in_transaction += bool(busy)
        return bool(rows)

    async def _in_transaction(self, service: str) -> bool:
        """Wait, but not long, until a service is in the middle of a transaction."""
        try:
            connection = await asyncpg.connect(self.ground.stack.superuser_dsn, timeout=5)
        except (TimeoutError, OSError, asyncpg.PostgresError):
            return False
        try:
            return bool(await _busy(connection, service))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        finally:
            await connection.close(timeout=2)

    # The broker

    async def _kill_broker(self, fault: Fault) -> bool:
        return await self._broker_down(fault, kill=True)

    async def _stop_broker(self, fault: Fault) -> bool:
        return await self._broker_down(fault, kill=False)

    async def _broker_down(self, fault: Fault, *, kill: bool) -> bool:
        """End a node, and start it again on its data; never two at once."""
        async with self._broker:
            node = self.ground.node(int(fault.target))
            if not node.running:
                return False
            if kill:
                node.kill()
            else:
                assert node.child is not None
                await node.child.stopping(signal.SIGTERM, grace_seconds=20)
            await asyncio.sleep(fault.seconds)
            node.spawn()
            await node.until_ready()
        return True


async def _busy(connection: asyncpg.Connection[asyncpg.Record], service: str) -> list[int]:
    """The backends of a service that are in a transaction that has written; none after a while."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE usename = $1 AND backend_xid IS NOT NULL",
            service,
        )
        if rows:
            return [row["pid"] for row in rows]
        await asyncio.sleep(_LOOK_SECONDS)
    return []
