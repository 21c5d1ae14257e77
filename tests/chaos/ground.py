"""What the chaos happens to: the stack, its broker, and more replicas of its services."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil

from deploy.local.kafka.cluster import ApacheKafka, Node
from deploy.local.postgres import SERVICES
from deploy.local.process import Child, free_port
from deploy.local.stack import Stack
from deploy.local.web import http_status

Broker = Literal["apache", "embedded"]

START = datetime(2027, 3, 1, 8, tzinfo=UTC)
SECONDS_PER_DAY = 5.0
SESSION_SECONDS = 6.0
_SETTINGS = {
    "UPDRAFT_KAFKA__SESSION_SECONDS": str(int(SESSION_SECONDS)),
    "UPDRAFT_DEBOUNCE_SECONDS": "1",
    "UPDRAFT_MEASURE_EVERY_SECONDS": "2",
}
_READY_SECONDS = 90.0
_REPLICA_READY_SECONDS = 20.0
_STOP_SECONDS = 20.0
_ENDED = re.compile(r"^(\w+) (was killed by signal|ended with code)")


@dataclass
class Replica:
    """One more process of a service, in the same consumer group."""

    service: str
    child: Child
    url: str


@dataclass
class Ground:
    """A running stack that may be hurt."""

    stack: Stack
    kafka: ApacheKafka | None
    deaths: Counter[str]
    """Ends of the stack's own processes, as the supervisor saw them."""
    tell: Callable[[str], None]
    replicas: list[Replica] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    """Ends that nobody caused."""
    _ways: dict[str, tuple[list[str], dict[str, str], str]] = field(default_factory=dict)
    _numbers: Counter[str] = field(default_factory=Counter)

    def remember_how_services_are_run(self) -> None:
        """Note command and environment of each, while all of them run."""
        for service in SERVICES:
            first = psutil.Process(self.stack.pid(service))
            self._ways[service] = (first.cmdline(), first.environ(), first.cwd())

    def url(self, service: str, dice: random.Random) -> str:
        """The address of one of a service's processes, whichever a balancer would pick."""
        more = [one.url for one in self.replicas if one.service == service]
        return dice.choice([self.stack.url(service), *more])

    async def add_replica(self, service: str) -> Replica | None:
        """Start one more process of a service and wait until it reads; None if it cannot start."""
        command, environment, folder = self._ways[service]
        port = free_port()
        self._numbers[service] += 1
        name = f"{service}-replica{self._numbers[service]}"
        child = Child.spawn(
            name,
            command,
            log=self.stack.logs_dir / f"{name}.log",
            env=environment | {"UPDRAFT_HTTP__PORT": str(port)},
            cwd=Path(folder),
        )
        replica = Replica(service, child, f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + _REPLICA_READY_SECONDS
        while time.monotonic() < deadline and child.running:
            if await http_status(port, "/readyz") == 200:
                break
            await asyncio.sleep(0.2)
        # Ready or not, it is a member: what is not up after an outage comes up in its own time.
        self.replicas.append(replica)
        if child.running:
            return replica
        self._gone_unasked(replica)
        return None

    async def remove_replica(self, replica: Replica, *, gently: bool) -> None:
        """End it, by SIGTERM or by SIGKILL."""
        if not replica.child.running:
            self._gone_unasked(replica)
            return
        self.replicas.remove(replica)
        if not gently:
            replica.child.kill()
            return
        await replica.child.stopping(signal.SIGTERM, grace_seconds=_STOP_SECONDS)
        code = replica.child.process.returncode
        # The web server ends itself by the signal that it was sent, once all is stopped.
        if code not in (0, -signal.SIGTERM):
            self.unexpected.append(f"{replica.child.name} ended with code {code} on SIGTERM")

    def _gone_unasked(self, replica: Replica) -> None:
        self.replicas.remove(replica)
        code = replica.child.process.returncode
        self.unexpected.append(f"{replica.child.name} ended by itself with code {code}")

    def signal(self, part: str, number: int) -> bool:
        """Send a signal to all processes of a part of the stack; False if it is down anyway."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.stack.pid(part), number)
            return True
        return False

    def node(self, number: int) -> Node:
        """A node of the broker, counted from 1."""
        assert self.kafka is not None, "the embedded broker forgets, so it is left alone"
        return self.kafka.nodes[number - 1]

    async def heal(self) -> list[str]:
        """Have everything run again, without replicas; returns what does not."""
        for service in SERVICES:
            self.signal(service, signal.SIGCONT)
        for replica in list(self.replicas):
            self.signal_replica(replica, signal.SIGCONT)
        if self.kafka is not None:
            for node in self.kafka.nodes:
                if not node.running:
                    node.spawn()
            await self.kafka.until_ready()
        await asyncio.gather(*(self.remove_replica(r, gently=True) for r in list(self.replicas)))
        deadline = time.monotonic() + _READY_SECONDS
        down = list(SERVICES)
        while down and time.monotonic() < deadline:
            ports = self.stack.endpoints.ports
            down = [s for s in SERVICES if await http_status(ports[s], "/readyz") != 200]
            await asyncio.sleep(0.2)
        return down

    def signal_replica(self, replica: Replica, number: int) -> None:
        """Send a signal to all processes of a replica."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(replica.child.pid, number)


def _forget_data(folder: Path) -> None:
    """Remove what the database and the broker kept; logs, mails and the report stay."""
    data = folder / "postgres" / "data"
    if data.is_symlink():
        # Where root's database had to go, so that its own user can reach it.
        shutil.rmtree(data.resolve().parent, ignore_errors=True)
    for kept in ("postgres", "kafka"):
        shutil.rmtree(folder / kept, ignore_errors=True)


@asynccontextmanager
async def ground(
    broker: Broker, nodes: int, folder: Path, tell: Callable[[str], None]
) -> AsyncIterator[Ground]:
    """A stack whose data outlives every kill; gone at the end, but for logs and mails."""
    deaths: Counter[str] = Counter()

    def told(line: str) -> None:
        match = _ENDED.match(line)
        if match:
            deaths[match[1]] += 1
        tell(line.split(". End of ")[0])

    async with AsyncExitStack() as exits:
        exits.callback(_forget_data, folder)
        kafka = None
        settings = dict(_SETTINGS)
        if broker == "apache":
            kafka = ApacheKafka(folder / "kafka", nodes=nodes, logs=folder / "logs")
            exits.callback(kafka.kill)
            kafka.start()
            settings["UPDRAFT_KAFKA__BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
            tell(f"Apache Kafka with {nodes} node{'s' if nodes > 1 else ''} is ready")
        stack = await exits.enter_async_context(
            Stack(
                folder,
                # For a database that survives a crash.
                keep=True,
                start=START,
                speed=86_400 / SECONDS_PER_DAY,
                environment=settings,
                tell=told,
            )
        )
        found = Ground(stack, kafka, deaths, tell)
        found.remember_how_services_are_run()
        yield found
