"""Apache Kafka of one node or three: real processes, with their data on disk.

    with ApacheKafka(folder) as kafka:
        kafka.bootstrap_servers              # for clients: no password, only on this machine
        node = kafka.nodes[0]
        node.kill()                          # SIGKILL; `node.start()` again: same ports, same data
        node.pause(); node.resume()          # SIGSTOP, SIGCONT
        node.stop(); node.start()            # a clean stop; `start` waits until it is ready

In a coroutine, `await kafka.prepare()`, `node.spawn()` and `await node.until_ready()` do what
`start` does.

Listeners of its own kind, with whatever settings of the server they need:

    ApacheKafka(
        folder,
        nodes=3,
        listeners={"SECURE": "SASL_SSL"},
        properties={
            "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": "…",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",  # whoever comes by the listener without a password
        },
        storage_arguments=["--add-scram", "SCRAM-SHA-512=[name=alice,password=…]"],
    ).servers("SECURE")

The listener without a password stays, for the nodes themselves and for whoever prepares a test.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import socket
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from deploy.local.kafka.jars import jars, java
from deploy.local.process import Child, StackError, free_port

_LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")
_INTERNAL = "INTERNAL"
_CONTROLLER = "CONTROLLER"
_READY_SECONDS = 60.0
_PAUSE_SECONDS = 0.1
# Small, and quick to start: the client compiler alone needs a fraction of the other's time.
SMALL_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Node:
    """One server of a cluster, broker and controller at once."""

    def __init__(self, cluster: ApacheKafka, number: int, ports: Mapping[str, int]) -> None:
        self.id = number
        self.ports = ports
        """By listener; `INTERNAL` is the one without a password."""
        self.folder = cluster.folder / f"node-{number}"
        self.log = cluster.logs / (f"kafka-{number}.log" if cluster.size > 1 else "kafka.log")
        self.child: Child | None = None
        self._cluster = cluster

    @property
    def data(self) -> Path:
        """Where its records are."""
        return self.folder / "data"

    @property
    def port(self) -> int:
        """Where it listens for clients without a password."""
        return self.ports[_INTERNAL]

    @property
    def address(self) -> str:
        """The same with its host, as clients want it."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id. Raises StackError if it was never started."""
        return self._known().pid

    @property
    def running(self) -> bool:
        """Whether its process lives, paused or not."""
        return self.child is not None and self.child.running

    def spawn(self) -> Child:
        """Start its process, once the cluster is prepared; call it on the main thread."""
        if self.running:
            raise StackError(f"Kafka node {self.id} runs already")
        self.child = Child.spawn(
            f"Kafka node {self.id}", self._command("kafka.Kafka", str(self.settings)), log=self.log
        )
        return self.child

    async def ready(self) -> bool:
        """Whether it takes requests as a member of the cluster; raises StackError if it died."""
        # A controller has let in whom this names: it is elected, and this node is unfenced.
        return self.id in await self.members()

    async def members(self) -> set[int]:
        """The nodes that are up, as this one sees it: none while it takes no requests.

        Raises StackError if it died.
        """
        from aiokafka.admin import AIOKafkaAdminClient
        from aiokafka.errors import KafkaError

        child = self._known()
        if not child.running:
            raise child.failure("died")
        with socket.socket() as probe:
            probe.settimeout(1)
            # First a look at the port, for the client complains of each refusal in its log.
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return set()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address, request_timeout_ms=2_000)
        try:
            await admin.start()
            return {broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]}
        except (KafkaError, OSError, TimeoutError):
            return set()
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await admin.close()

    async def until_ready(self, within_seconds: float = _READY_SECONDS) -> None:
        """Wait for it. Raises StackError if it dies, or after that time."""
        deadline = time.monotonic() + within_seconds
        while not await self.ready():
            if time.monotonic() > deadline:
                raise self._known().failure(f"was not ready within {within_seconds:.0f} s")
            await asyncio.sleep(_PAUSE_SECONDS)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        _in_a_loop_of_its_own(self._cluster.prepare)
        self.spawn()
        _in_a_loop_of_its_own(self.until_ready)

    def stop(self) -> None:
        """End it cleanly: it hands over what it leads, if there is anybody, and closes its logs."""
        if self.child is not None:
            self.child.stop(signal.SIGTERM, grace_seconds=20)

    def kill(self) -> None:
        """SIGKILL."""
        self._known().kill()

    def pause(self) -> None:
        """SIGSTOP."""
        self._known().send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._known().send(signal.SIGCONT)

    @property
    def settings(self) -> Path:
        """Its `server.properties`."""
        return self.folder / "server.properties"

    def _known(self) -> Child:
        if self.child is None:
            raise StackError(f"Kafka node {self.id} was not started")
        return self.child

    async def prepare(self) -> None:
        """Write its settings, and format its storage if it has none."""
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        properties = self._cluster.properties_of(self)
        self.settings.touch(mode=0o600)
        self.settings.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        if not (self.data / "meta.properties").exists():
            await self._format()

    async def _format(self) -> None:
        arguments = ["format", "--config", str(self.settings), "--ignore-formatted"]
        # In one word, for one id in 64 begins with a dash and would be taken for an option.
        arguments += [f"--cluster-id={self._cluster.id}", *self._cluster.storage_arguments]
        command = self._command("kafka.tools.StorageTool", *arguments)
        log = self.folder / "format.log"
        child = Child.spawn(f"Formatting Kafka node {self.id}", command, log=log)
        try:
            while child.running:
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            child.kill()
        if child.process.returncode != 0:
            raise child.failure("failed")

    def _command(self, main: str, *arguments: str) -> list[str]:
        return [
            *self._cluster.command,
            # Compression unpacks native libraries there, which a kill leaves behind.
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            *(main, *arguments),
        ]


class ApacheKafka:
    """A cluster on 127.0.0.1 that keeps its data, its ports and its id in a folder.

    `listeners` maps the names of further listeners to their protocols; `properties` are settings
    of every server, over the ones here; `storage_arguments` go to `kafka-storage format`;
    `jvm_arguments` replace `SMALL_JVM`. `port` is the one wanted for the first node.
    """

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 1,
        port: int | None = None,
        logs: Path | None = None,
        listeners: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        storage_arguments: Sequence[str] = (),
        jvm_arguments: Sequence[str] = SMALL_JVM,
    ) -> None:
        self.folder = folder.resolve()
        self.logs = (logs or folder).resolve()
        self.size = nodes
        self.listeners = {_INTERNAL: "PLAINTEXT", **(listeners or {})}
        self.properties = dict(properties or {})
        self.storage_arguments = list(storage_arguments)
        self.jvm_arguments = list(jvm_arguments)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.id, ports = self._identity(port)
        self.nodes = [Node(self, number, ports[number - 1]) for number in range(1, nodes + 1)]
        self._command: list[str] | None = None

    @property
    def command(self) -> list[str]:
        """How Java runs a program of Kafka's. Raises StackError before `prepare`."""
        if self._command is None:
            raise StackError("this Kafka is not prepared; call `prepare` or `start` first")
        return self._command

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka clients connect without a password."""
        return self.servers(_INTERNAL)

    def servers(self, listener: str) -> str:
        """Where Kafka clients connect by one of the listeners."""
        return ",".join(f"127.0.0.1:{node.ports[listener]}" for node in self.nodes)

    def start(self) -> ApacheKafka:
        """Start all nodes and wait until they are ready; stops them again if one is not."""
        try:
            _in_a_loop_of_its_own(self.prepare)
            for node in self.nodes:
                # Side by side, for they need one another to elect a controller.
                node.spawn()
            _in_a_loop_of_its_own(self.until_ready)
        except BaseException:
            self.kill()
            raise
        return self

    async def prepare(self) -> None:
        """Have all that a start needs: Java, the jars, settings, formatted storage."""
        self._command = [
            java(),
            *self.jvm_arguments,
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={_LOG_SETTINGS}",
            # Else the last words of a stop, each time, are that it could not be set.
            "-Dlog4j2.shutdownHookEnabled=false",
            *("-cp", f"{await jars()}/*"),
        ]
        await asyncio.gather(*(node.prepare() for node in self.nodes))

    async def until_ready(self) -> None:
        """Wait until all nodes are ready, know of one another, and take groups of consumers."""
        for node in self.nodes:
            await node.until_ready()
            while len(await node.members()) < self.size:
                await asyncio.sleep(_PAUSE_SECONDS)
        await self._until_groups_may_join()

    async def _until_groups_may_join(self) -> None:
        """Have Kafka make the topic of its groups, which it else does while the first one waits."""
        from aiokafka.admin import AIOKafkaAdminClient
        from aiokafka.errors import GroupCoordinatorNotAvailableError

        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            while True:
                with contextlib.suppress(GroupCoordinatorNotAvailableError):
                    await admin.find_coordinator("any")
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            await admin.close()

    def stop(self) -> None:
        """End all nodes cleanly, side by side: the last of a quorum cannot do it alone."""
        for node in self.nodes:
            if node.child is not None:
                node.resume()
                node.child.send(signal.SIGTERM)
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """SIGKILL for all nodes."""
        for node in self.nodes:
            if node.child is not None:
                node.kill()

    def __enter__(self) -> ApacheKafka:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def _identity(self, port: int | None) -> tuple[str, list[dict[str, int]]]:
        """The id of the cluster and the ports of its nodes: those of the last run, if it can be."""
        file = self.folder / "cluster.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        if known and len(known["ports"]) != self.size:
            raise StackError(
                f"{self.folder} holds a Kafka cluster of {len(known['ports'])} nodes, not of "
                f"{self.size}; use another folder"
            )
        before: list[dict[str, int]] = known.get("ports") or [{} for _ in range(self.size)]
        if port is not None:
            before[0][_INTERNAL] = port
        names = [*self.listeners, _CONTROLLER]
        ports = [{name: free_port(node.get(name)) for name in names} for node in before]
        identity = known.get("id") or base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
        file.write_text(json.dumps({"id": identity, "ports": ports}, indent=2) + "\n")
        return identity, ports

    def properties_of(self, node: Node) -> dict[str, str]:
        """The settings of one server."""
        copies = min(3, self.size)
        protocols = {**self.listeners, _CONTROLLER: "PLAINTEXT"}
        addresses = {name: f"{name}://127.0.0.1:{node.ports[name]}" for name in protocols}
        voters = [f"{one.id}@127.0.0.1:{one.ports[_CONTROLLER]}" for one in self.nodes]
        return {
            "process.roles": "broker,controller",
            "node.id": str(node.id),
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": _CONTROLLER,
            "inter.broker.listener.name": _INTERNAL,
            "listeners": ",".join(addresses.values()),
            "advertised.listeners": ",".join(addresses[name] for name in self.listeners),
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in protocols.items()
            ),
            "log.dirs": str(node.data),
            **_copies(copies),
            **_SMALL,
            **self.properties,
        }


def _copies(copies: int) -> dict[str, str]:
    """Settings by which an acknowledged write survives one node of three."""
    enough = str(min(2, copies))
    return {
        "default.replication.factor": str(copies),
        "min.insync.replicas": enough,
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": enough,
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": enough,
    }


_SMALL = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    # Tests shorten sessions to see a takeover soon.
    "group.min.session.timeout.ms": "1000",
    "message.max.bytes": str(16 * 1024 * 1024),
    "replica.fetch.max.bytes": str(16 * 1024 * 1024),
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "background.threads": "2",
    # Of its kind the largest block of the heap; half a million keys still fit in.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "log.index.size.max.bytes": str(1024 * 1024),
    # A node that was killed is let in again only when its old session has ended.
    "broker.session.timeout.ms": "5000",
    "broker.heartbeat.interval.ms": "1000",
}


def _in_a_loop_of_its_own(work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run a coroutine to its end, whether or not this thread has a running loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()
