"""The whole of Updraft on one machine: Postgres, broker, mail, issuer and the four services."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

import asyncpg

from deploy.local.broker import Broker, create_topics, topics
from deploy.local.drain import drained
from deploy.local.endpoints import Endpoints, credentials, external_dsns
from deploy.local.folder import RunFolder
from deploy.local.issuer import AUDIENCE, SigningKey
from deploy.local.kafka.cluster import ApacheKafka, Node
from deploy.local.postgres import SERVICES, PostgresServer, create_service_roles
from deploy.local.process import Child, StackError, free_port
from deploy.local.signals import uninterrupted
from deploy.local.supervisor import Part, Supervisor, Tell
from deploy.local.web import http_status
from shared.clock import Clock

_ROOT = Path(__file__).resolve().parents[2]
_HELPERS = ("mail", "issuer")
_DRAIN_SECONDS = 5.0
_NOTE_TIME_EVERY_SECONDS = 5.0

Kafka = Literal["embedded", "apache"]
KAFKAS: tuple[Kafka, ...] = get_args(Kafka)


class Stack:
    """Starts everything on entry and stops it on exit; nothing outlives it.

    `keep` is for a folder that is used again: its data is crash-safe. Otherwise the database is
    fast, and removed at the end; logs and mails stay in the folder, which is a new temporary one
    unless given.

    `kafka` says which broker. The embedded one starts at once and forgets everything when it stops,
    so that what was published is kept in Postgres too; Apache Kafka, of `nodes` nodes, needs Java
    and keeps its records in the folder. None: what the folder has, embedded for a new one.

    `services` maps the name of each service to the command that runs it.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        keep: bool = False,
        kafka: Kafka | None = None,
        nodes: int = 1,
        start: datetime | None = None,
        speed: float = 1.0,
        services: Mapping[str, Sequence[str]] | None = None,
        environment: Mapping[str, str] | None = None,
        tell: Tell = lambda _: None,
    ) -> None:
        self.keep = keep
        self.folder = RunFolder(folder)
        self._wanted_kafka = kafka
        self._known_kafka: Kafka | None = None
        self._nodes = nodes
        self._tell = tell
        self._start_at = start
        self._speed = speed
        self._commands = dict(
            services or {name: (sys.executable, "-m", f"services.{name}") for name in SERVICES}
        )
        self._environment = {**os.environ, **(environment or {})}
        self._supervisor = Supervisor(tell)
        self._postgres: PostgresServer | None = None
        self._broker: Broker | None = None
        self._apache: ApacheKafka | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._timekeeper: asyncio.Task[None] | None = None
        self._endpoints: Endpoints | None = None
        self._up = False

    # What a running stack offers

    @property
    def endpoints(self) -> Endpoints:
        """All addresses and credentials; known once the stack has started."""
        if self._endpoints is None:
            raise StackError("the stack has not started")
        return self._endpoints

    @property
    def run_dir(self) -> Path:
        """The folder of everything that this stack writes."""
        return self.folder.path

    @property
    def mails_dir(self) -> Path:
        """Each mail sent, as `NNNNNN-<kind>.eml`."""
        return self.folder.mails

    @property
    def logs_dir(self) -> Path:
        """One log per process."""
        return self.folder.logs

    @property
    def data_dir(self) -> Path | None:
        """Where Postgres keeps its data; None where it is not ours."""
        return self._postgres.data if self._postgres is not None else None

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka clients connect."""
        return self.endpoints.bootstrap_servers

    @property
    def kafka(self) -> Kafka | None:
        """Which broker runs; None where it is not ours."""
        if self._apache is not None:
            return "apache"
        return "embedded" if self._broker is not None else None

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes of Apache Kafka; the stack starts again whichever dies."""
        if self._apache is None:
            raise StackError("this stack does not run Apache Kafka; start it with kafka='apache'")
        return self._apache.nodes

    @property
    def clock(self) -> Clock:
        """Programme time, as all services see it."""
        return self.endpoints.clock

    @property
    def auditor_dsn(self) -> str:
        """A connection that may read all four schemas and change nothing."""
        return self.endpoints.dsn("auditor")

    @property
    def superuser_dsn(self) -> str:
        """The administrator's connection; only where Postgres is ours."""
        if self.endpoints.superuser_dsn is None:
            raise StackError("Postgres is not ours; its administrator's DSN is not known")
        return self.endpoints.superuser_dsn

    @property
    def issuer_url(self) -> str:
        """The local OIDC issuer."""
        return self.endpoints.url("issuer")

    @property
    def mail_url(self) -> str:
        """The page that shows the mails."""
        return self.endpoints.url("mail")

    @property
    def restarts(self) -> dict[str, int]:
        """How often each service had to be started again."""
        return {name: self._supervisor.parts[name].restarts for name in self._commands}

    def dsn(self, service: str) -> str:
        """The connection string of a service's own role."""
        return self.endpoints.dsn(service)

    def url(self, service: str) -> str:
        """The HTTP address of a service."""
        return self.endpoints.url(service)

    def token(self, subject: str, roles: Sequence[str] = (), employee_id: str | None = None) -> str:
        """A bearer token of the local issuer, valid for some hours of real time."""
        return self.endpoints.token(subject, roles, employee_id)

    def pid(self, part: str) -> int:
        """The process id of a service, or of `postgres`, `broker`, `mail` or `issuer`.

        Of several nodes of Kafka, the first is `broker-1`.
        """
        known = self._supervisor.parts.get(part)
        if known is None or known.child is None:
            raise StackError(f"{part} is not running")
        return known.child.pid

    def rss(self, service: str) -> int:
        """Resident bytes of a service now, its worker processes included."""
        return resident_bytes(self.pid(service))

    async def drained(self, within_seconds: float = 30.0) -> bool:
        """Wait until all that was published has been taken in by all; False if time ran out."""
        dsns = {service: self.dsn(service) for service in self._commands}
        return await drained(self.bootstrap_servers, dsns, within_seconds=within_seconds)

    # Start

    async def __aenter__(self) -> Stack:
        """Start everything; if that fails or is cancelled, nothing is left running."""
        try:
            await self._start()
        except BaseException as error:
            await uninterrupted(self._stop(), self._supervisor.hurry)
            if isinstance(error, BaseExceptionGroup):
                raise _first(error) from None
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop everything; being cancelled meanwhile only makes it hurry."""
        await uninterrupted(self._stop(), self._supervisor.hurry)

    async def _start(self) -> None:
        began = time.monotonic()
        self.folder.lock()
        known = self.folder.state()
        self._known_kafka = known.get("kafka")
        secrets = self.folder.secrets()
        clock = self._clock(known)
        ports = self._ports(known.get("ports", {}))
        SigningKey.kept_in(self.folder.issuer_key)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_postgres(secrets, ports))
            group.create_task(self._start_kafka(ports))
            group.create_task(self._start_mail(ports))
            group.create_task(self._start_issuer(ports))
        self._endpoints = Endpoints(
            run_dir=self.run_dir,
            bootstrap_servers=self._environment.get("UPDRAFT_KAFKA__BOOTSTRAP_SERVERS")
            or (self._apache.bootstrap_servers if self._apache else f"127.0.0.1:{ports['broker']}"),
            ports=ports,
            clock=clock if clock is not None else Clock(),
            **credentials(secrets, ports, self._environment),
        )
        await self._restore_topics()
        if clock is not None:
            # Only now, so that programme time does not run while nobody is there.
            self._endpoints = _with_clock(self._endpoints, clock)
        await self._start_services(secrets)
        self._up = True
        self._note()
        self._timekeeper = asyncio.create_task(self._keep_noting(), name="timekeeper")
        self._tell(f"everything is ready after {time.monotonic() - began:.1f} s")

    def _clock(self, known: dict[str, Any]) -> Clock | None:
        """Programme time goes on where it stopped; None is the real clock."""
        noted = known.get("clock", {"real": True})
        stopped = None if noted["real"] else datetime.fromisoformat(noted["now"])
        if stopped is not None and known.get("running"):
            # It was killed, some time after it last wrote down what time it was.
            stopped += timedelta(seconds=_NOTE_TIME_EVERY_SECONDS) * noted["speed"]
        start = self._start_at or stopped
        if start is None and self._speed == 1:
            return None
        now = datetime.now(UTC)
        if stopped is not None and start is not None and start < stopped:
            raise StackError(
                f"the data in {self.run_dir} has come to {stopped:%Y-%m-%d %H:%M}; time cannot go "
                "back: leave out --start, give a later one, or use another folder"
            )
        return Clock(start or now, now, self._speed)

    def _ports(self, known: Mapping[str, int]) -> dict[str, int]:
        """A free port for each part: those of the last run where possible, as links hold them."""
        wanted = (*self._commands, "mail", "smtp", "issuer", "postgres", "broker")
        chosen: dict[str, int] = {}
        for part in wanted:
            port = free_port(known.get(part))
            while port in chosen.values():
                port = free_port()
            chosen[part] = port
        return chosen

    async def _start_postgres(self, secrets: Mapping[str, str], ports: dict[str, int]) -> None:
        if external_dsns(self._environment):
            self._tell("Postgres: yours, as the DSNs in the environment say")
            return
        began = time.monotonic()
        server = PostgresServer(
            self.run_dir / "postgres",
            secrets["postgres"],
            durable=self.keep,
            port=ports["postgres"],
            log=self.folder.logs / "postgres.log",
        )
        self._postgres = server
        # Shielded, for a thread cannot be cancelled: stopping waits for it.
        self._preparing = asyncio.create_task(asyncio.to_thread(server.prepare))
        await asyncio.shield(self._preparing)
        await self._supervisor.start(Part("postgres", server.spawn, _asking(server)))
        ports["postgres"] = server.port
        await create_service_roles(server.superuser_dsn, passwords=secrets)
        self._tell(f"Postgres is ready ({time.monotonic() - began:.1f} s)")

    async def _start_kafka(self, ports: dict[str, int]) -> None:
        known = self._known_kafka
        external = self._environment.get("UPDRAFT_KAFKA__BOOTSTRAP_SERVERS")
        if external:
            created = await create_topics(external)
            self._tell(f"broker: yours at {external}; {created} topics created")
            return
        if known == "apache" and self._wanted_kafka == "embedded":
            raise StackError(
                f"the records of {self.run_dir} are in Apache Kafka, which the embedded broker "
                "cannot read; start it with --kafka apache, or use another folder"
            )
        began = time.monotonic()
        kind = self._wanted_kafka or known or "embedded"
        servers = await (self._start_apache(ports) if kind == "apache" else self._embed(ports))
        await create_topics(servers)
        seconds = time.monotonic() - began
        name = "Apache Kafka" if kind == "apache" else "broker"
        self._tell(f"{name} is ready with {len(topics())} topics ({seconds:.1f} s)")

    async def _embed(self, ports: dict[str, int]) -> str:
        if self._nodes != 1:
            raise StackError("the embedded broker is a single one; several nodes need Apache Kafka")
        self._broker = broker = Broker(self.folder.logs / "broker.log", ports["broker"])
        part = Part("broker", broker.spawn, _asking(broker), revive=self._revive_broker)
        await self._supervisor.start(part)
        ports["broker"] = broker.port
        return broker.bootstrap_servers

    async def _start_apache(self, ports: dict[str, int]) -> str:
        self._apache = kafka = ApacheKafka(
            self.run_dir / "kafka",
            nodes=self._nodes,
            port=ports["broker"],
            logs=self.folder.logs,
        )
        await kafka.prepare()
        parts = zip(self._brokers, kafka.nodes, strict=True)
        async with asyncio.TaskGroup() as group:
            for name, node in parts:
                group.create_task(self._supervisor.start(Part(name, node.spawn, node.ready)))
        await kafka.until_ready()
        ports["broker"] = kafka.nodes[0].port
        return kafka.bootstrap_servers

    @property
    def _brokers(self) -> list[str]:
        return [f"broker-{n + 1}" for n in range(self._nodes)] if self._nodes > 1 else ["broker"]

    async def _start_mail(self, ports: Mapping[str, int]) -> None:
        arguments = ["--smtp-port", str(ports["smtp"]), "--http-port", str(ports["mail"])]
        await self._start_helper("mail", [*arguments, "--folder", str(self.mails_dir)], ports)

    async def _start_issuer(self, ports: Mapping[str, int]) -> None:
        key = str(self.folder.issuer_key)
        await self._start_helper("issuer", ["--port", str(ports["issuer"]), "--key", key], ports)

    async def _start_helper(
        self, name: str, arguments: Sequence[str], ports: Mapping[str, int]
    ) -> None:
        command = (sys.executable, "-m", f"deploy.local.{name}", *arguments)
        await self._supervisor.start(
            Part(
                name,
                lambda: self._spawn(name, command, _bare(self._environment)),
                lambda: _answers(ports[name], "/"),
            )
        )

    def _spawn(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Child:
        log = self.folder.logs / f"{name}.log"
        return Child.spawn(name, command, log=log, env=env, cwd=_ROOT)

    async def _start_services(self, secrets: Mapping[str, str]) -> None:
        began = time.monotonic()
        parts = [self._service(name, secrets) for name in self._commands]
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(self._supervisor.start(part))
        names = ", ".join(self._commands)
        self._tell(f"services are ready: {names} ({time.monotonic() - began:.1f} s)")

    def _service(self, name: str, secrets: Mapping[str, str]) -> Part:
        env = self._service_environment(name, secrets)
        port = self.endpoints.ports[name]
        return Part(
            name,
            lambda: self._spawn(name, self._commands[name], env),
            lambda: _answers(port, "/readyz"),
        )

    def _service_environment(self, name: str, secrets: Mapping[str, str]) -> dict[str, str]:
        """All of a service's settings; its secrets go by files."""
        clock = self.clock
        ends = self.endpoints
        folder = self.folder.hand_over(
            name,
            {"UPDRAFT_POSTGRES__DSN": ends.dsn(name)}
            # Those who write links and those who read them; nobody else may forge one.
            | (
                {"UPDRAFT_LINKS__SECRET": secrets["links"]}
                if name in ("registration", "notifications")
                else {}
            ),
        )
        ours = {
            "UPDRAFT_SECRETS_DIR": str(folder),
            "UPDRAFT_KAFKA__BOOTSTRAP_SERVERS": ends.bootstrap_servers,
            "UPDRAFT_CLOCK__START": clock.start.isoformat(),
            "UPDRAFT_CLOCK__ORIGIN": clock.origin.isoformat(),
            "UPDRAFT_CLOCK__SPEED": repr(clock.speed),
            "UPDRAFT_HTTP__HOST": "127.0.0.1",
            "UPDRAFT_HTTP__PORT": str(ends.ports[name]),
            "UPDRAFT_AUTH__ISSUER": ends.url("issuer"),
            "UPDRAFT_AUTH__AUDIENCE": AUDIENCE,
            "UPDRAFT_AUTH__JWKS_URL": f"{ends.url('issuer')}/jwks.json",
            # Large records must not leave the allocator's arenas large for good.
            "MALLOC_TRIM_THRESHOLD_": "131072",
            "MALLOC_MMAP_THRESHOLD_": "131072",
            "MALLOC_ARENA_MAX": "2",
            # A retry after 30 real seconds would be weeks of a fast programme.
            "UPDRAFT_SMTP__RETRY_SECONDS": "0.5",
            "UPDRAFT_SMTP__CLAIM_SECONDS": "15",
            "UPDRAFT_SMTP__HOST": "127.0.0.1",
            "UPDRAFT_SMTP__PORT": str(ends.ports["smtp"]),
        }
        if "registration" in ends.ports:
            ours["UPDRAFT_LINKS__BASE_URL"] = ends.url("registration")
        if self._broker is not None:
            ours["UPDRAFT_KAFKA__IDEMPOTENT_PRODUCER"] = "false"
            # The embedded broker makes a consumer wait for half of its session before it may join.
            ours["UPDRAFT_KAFKA__SESSION_SECONDS"] = "3"
            ours["UPDRAFT_OUTBOX__JOURNAL"] = "true" if self.keep else "false"
        if self._apache is not None:
            ours["UPDRAFT_OUTBOX__JOURNAL"] = "false"
        return {**_bare(self._environment), **ours}

    # What the broker forgets

    async def _restore_topics(self) -> None:
        """Have the services publish again what the broker that stopped has forgotten."""
        # A folder may come from the embedded broker to Kafka: its journal is all that there is.
        forgot = self._broker is not None or (self._apache and self._known_kafka != "apache")
        if not (forgot and self.keep):
            return
        restored = 0
        for service in self._commands:
            restored += await _restore(self.dsn(service))
        if restored:
            self._tell(f"the broker was empty: {restored} events are published once more")

    async def _revive_broker(self) -> None:
        """Start the broker again with all that it forgot; the services start over with it."""
        broker = self._broker
        if broker is None:
            return
        services = [self._supervisor.parts[n] for n in self._commands if self._is_known(n)]
        names = [part.name for part in services]
        await self._supervisor.stop(*names, signal_number=signal.SIGTERM, grace_seconds=8)
        await self._supervisor.launch(self._supervisor.parts["broker"])
        await create_topics(broker.bootstrap_servers)
        if self.keep:
            await self._restore_topics()
        else:
            self._tell("what the broker held and nobody had read is lost: this stack keeps nothing")
        for part in services:
            try:
                await self._supervisor.start(part)
            except StackError as error:
                self._tell(str(error))
                self._supervisor.watch(part)

    def _is_known(self, name: str) -> bool:
        return name in self._supervisor.parts

    # While it runs

    async def _keep_noting(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_TIME_EVERY_SECONDS)
            with contextlib.suppress(OSError):
                self._note()

    def _note(self, *, running: bool = True) -> None:
        """Write down where everything is and what time it is there, for the next run too."""
        ends, clock = self.endpoints, self.clock
        processes = {
            name: part.child.pid
            for name, part in self._supervisor.parts.items()
            if part.child is not None
        }
        self.folder.write(
            "stack.json",
            {
                "running": running,
                "pid": os.getpid(),
                "processes": processes if running else {},
                "ports": dict(ends.ports),
                "bootstrap_servers": ends.bootstrap_servers,
                "kafka": self.kafka or self._known_kafka,
                "urls": {part: ends.url(part) for part in (*self._commands, *_HELPERS)},
                "mails": str(self.mails_dir),
                "clock": {
                    "real": clock == Clock(),
                    "start": clock.start.isoformat(),
                    "origin": clock.origin.isoformat(),
                    "speed": clock.speed,
                    "now": clock.now().isoformat(),
                },
            },
        )

    # Stop

    async def _stop(self) -> None:
        supervisor = self._supervisor
        try:
            if self._timekeeper is not None:
                self._timekeeper.cancel()
            await supervisor.unwatch(*self._brokers, "postgres")
            await self._drain()
            await supervisor.stop(*self._commands, signal_number=signal.SIGTERM, grace_seconds=8)
            await supervisor.stop(*_HELPERS, signal_number=signal.SIGTERM, grace_seconds=2)
            await self._stop_brokers()
            # Patient, for a fast shutdown is quick, and spares the next start a recovery.
            await supervisor.stop(
                "postgres", signal_number=signal.SIGINT, grace_seconds=10, patient=True
            )
        finally:
            supervisor.kill()
            if self._up:
                self._note(running=False)
            if self._preparing is not None:
                await asyncio.wait({self._preparing})
            if self._postgres is not None:
                self._postgres.discard()
            self.folder.unlock()

    async def _stop_brokers(self) -> None:
        saves = self._apache is not None and self.keep
        await self._supervisor.stop(
            *self._brokers,
            signal_number=signal.SIGTERM if saves else signal.SIGKILL,
            grace_seconds=15,
            # A clean stop spares the next start a recovery.
            patient=saves,
        )
        if self._apache is not None and not self.keep:
            shutil.rmtree(self._apache.folder, ignore_errors=True)

    async def _drain(self) -> None:
        """Let the services take in what the memory-only broker still holds."""
        if not (self._up and self.keep and self._broker is not None):
            return
        waiting = asyncio.create_task(self.drained(_DRAIN_SECONDS))
        hurry = asyncio.create_task(self._supervisor.hurry.wait())
        await asyncio.wait(
            {waiting, hurry}, return_when=asyncio.FIRST_COMPLETED, timeout=_DRAIN_SECONDS + 1
        )
        done = waiting.done() and not waiting.exception() and waiting.result()
        for task in (waiting, hurry):
            task.cancel()
        await asyncio.gather(waiting, hurry, return_exceptions=True)
        if not done:
            self._tell(
                "some events were still on their way; the services' own are published again at "
                "the next start, HR records that registration had not read must be sent again"
            )


def _asking(server: PostgresServer | Broker) -> Any:
    async def ready() -> bool:
        return server.ready

    return ready


async def _answers(port: int, path: str) -> bool:
    return await http_status(port, path) == 200


def _bare(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what only one service may know or what the stack itself decides."""
    kept = {
        name: value
        for name, value in environment.items()
        if not (name.startswith("UPDRAFT_") and name.endswith("DSN"))
    }
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _with_clock(endpoints: Endpoints, clock: Clock) -> Endpoints:
    from dataclasses import replace

    return replace(endpoints, clock=replace(clock, origin=datetime.now(UTC)))


def _first(error: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = error.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


async def _restore(dsn: str) -> int:
    from shared.outbox import restore_journal

    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("SELECT to_regclass('journal') IS NOT NULL"):
            return 0
        async with connection.transaction():
            # As a compacted topic does: of each key the newest record is enough.
            await connection.execute(
                """
                DELETE FROM journal AS old USING (
                    SELECT aggregatetype, aggregateid, max(seq) AS seq FROM journal
                    WHERE aggregatetype = ANY($1) GROUP BY aggregatetype, aggregateid
                ) AS newest
                WHERE old.aggregatetype = newest.aggregatetype
                    AND old.aggregateid = newest.aggregateid AND old.seq < newest.seq
                """,
                [topic.name for topic in topics() if topic.compact],
            )
            return await restore_journal(connection)
    finally:
        await connection.close()


def resident_bytes(group: int) -> int:
    """Resident memory of all processes of a process group, from /proc; 0 where there is none."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # The name, in brackets, may hold spaces; the group is the third field after it.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                pages = int((entry / "statm").read_text().split()[1])
                total += pages * os.sysconf("SC_PAGE_SIZE")
    return total
