"""A service put together: settings, pool, migrations, relay, consumer, jobs, HTTP and health."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import structlog
import uvicorn
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse
from faststream.kafka import KafkaBroker
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

from shared import kafka_client, telemetry, tracing
from shared.auth import TokenVerifier
from shared.clock import Clock
from shared.consumer import LONGEST_REST_SECONDS, Consumer
from shared.database import (
    BACKBONE_MIGRATIONS,
    TRANSIENT,
    Database,
    forget_what_was_done,
    migrate,
)
from shared.handlers import Handlers
from shared.http import BodyLimit
from shared.inbound import Inbound
from shared.problems import add_problem_answers
from shared.relay import Relay
from shared.security import broker_arguments, client_arguments, described
from shared.settings import ServiceSettings, TraceSettings, told

log = structlog.get_logger()

_STUCK_AFTER_SECONDS = 60.0
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 0.2
_SWITCH_SECONDS = 0.0005
_START_FAILED = 3
_STOP_SECONDS = 5.0
_OBJECTS_BEFORE_A_LOOK = 5_000
_LONGEST_BACKOFF_SECONDS = 30.0
_FORGET_EVERY_SECONDS = 3600.0
_LARGEST_RECORD = 8 * 1024 * 1024


@dataclass
class Job:
    """Work that a service does by the clock: called again and again, `every_seconds` of real time.

    The function must be safe to run in several replicas at once (see `Transaction.try_lock`).
    """

    name: str
    function: Callable[[Database], Awaitable[None]]
    every_seconds: float
    last_success: float = field(default_factory=time.monotonic, init=False)

    async def run(self, database: Database) -> None:
        """Call the function for ever; a failure is logged and tried again with backoff."""
        failures = 0
        while True:
            try:
                await self.function(database)
            except Exception as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    # Its rollback failed, on a connection that was lost, and this error took the
                    # place of the cancellation: to go on would keep the service from ending.
                    raise asyncio.CancelledError from error
                failures += 1
                surroundings = isinstance(error, TRANSIENT)
                log.warning(
                    "job_failed",
                    job=self.name,
                    error=type(error).__name__,
                    exc_info=not surroundings,
                )
            else:
                failures = 0
                self.last_success = time.monotonic()
            longest = max(_LONGEST_BACKOFF_SECONDS, self.every_seconds)
            await asyncio.sleep(min(longest, self.every_seconds * 2 ** min(failures, 10)))

    def stuck_seconds(self) -> float:
        """Seconds over its rhythm since the last success."""
        return max(0.0, time.monotonic() - self.last_success - self.every_seconds)


@dataclass
class _Running:
    """The parts that health asks about; `ready` when all are up."""

    database: Database
    consumer: Consumer | None
    relay: Relay | None
    jobs: Sequence[Job]

    def stuck(self) -> dict[str, float]:
        ages = {"relay": self.relay.stuck_seconds()} if self.relay else {}
        if self.consumer is not None:
            ages["consumer"] = self.consumer.stuck_seconds()
        ages |= {f"job {job.name}": job.stuck_seconds() for job in self.jobs}
        return {name: age for name, age in ages.items() if age > _STUCK_AFTER_SECONDS}


def create_service(
    *,
    name: str,
    settings: ServiceSettings,
    handlers: Handlers,
    routers: Sequence[APIRouter] = (),
    jobs: Sequence[Job] = (),
    migrations: Path,
    title: str | None = None,
    longest_rest_seconds: float = LONGEST_REST_SECONDS,
) -> FastAPI:
    """The ASGI app of a service; its parts start and stop with the app's lifespan.

    `longest_rest_seconds` is for its consumer, after few records: longer than usual where nobody
    waits for what they lead to, so that those have the processors for whom somebody does.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        telemetry.configure_logs(level=settings.log.level, format=settings.log.format, service=name)
        async with AsyncExitStack() as stack:
            starting = asyncio.create_task(
                _start(
                    stack,
                    app,
                    name=name,
                    settings=settings,
                    handlers=handlers,
                    jobs=jobs,
                    migrations=migrations,
                    longest_rest_seconds=longest_rest_seconds,
                )
            )
            while not (starting.done() or app.state.told_to_end()):
                await asyncio.wait({starting}, timeout=_LOOK_SECONDS)
            if starting.done():
                app.state.running = starting.result()
                log.info("service_started")
            else:
                # It may wait for a database or a broker that is away for long.
                await _cancel(starting)
            yield
            log.info("service_stopping")
            app.state.running = None

    app = FastAPI(
        title=title or f"Updraft {name}",
        version="1",
        lifespan=lifespan,
        # The usual page loads its scripts from a third party; the description itself needs none.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.clock = settings.clock.clock()
    app.state.tokens = TokenVerifier(settings.auth)
    app.state.running = None
    app.state.told_to_end = lambda: False
    add_problem_answers(app)
    app.add_middleware(BodyLimit)
    app.include_router(_health_router(app, name))
    for router in routers:
        app.include_router(router)
    return app


async def _start(
    stack: AsyncExitStack,
    app: FastAPI,
    *,
    name: str,
    settings: ServiceSettings,
    handlers: Handlers,
    jobs: Sequence[Job],
    migrations: Path,
    longest_rest_seconds: float,
) -> _Running:
    """Start the parts in the order of their needs; the stack stops them in the reverse one."""
    if settings.traces.endpoint is not None:
        _trace(stack, settings.traces, name)
    database = await _connect(name, settings, app.state.clock, migrations)
    stack.push_async_callback(database.close)
    app.state.database = database
    database.largest_event = settings.outbox.largest_event
    relay = None
    if settings.outbox.relay:
        relay = Relay(
            database,
            producer=lambda: new_producer(settings),
            batch=settings.outbox.batch,
            journal=settings.outbox.journal,
            shards=settings.outbox.shards,
            silence_seconds=settings.outbox.silence_seconds,
        )
        relay_task = asyncio.create_task(relay.run(), name="relay")
        stack.push_async_callback(_stop_relay, relay, relay_task)
    forget = partial(forget_what_was_done, **settings.memory.model_dump())
    jobs = [*jobs, Job("forget", forget, every_seconds=_FORGET_EVERY_SECONDS)]
    inbound = Inbound(database, handlers)
    if handlers.topics:
        jobs.append(Job("parked", partial(_apply_parked, inbound), every_seconds=1))
    for job in jobs:
        task = asyncio.create_task(job.run(database), name=job.name)
        stack.push_async_callback(_cancel, task)
    consumer = None
    if handlers.topics:
        broker = new_broker(settings)
        consumer = Consumer(
            broker,
            inbound,
            max_batch=settings.kafka.max_batch,
            group_suffix=settings.kafka.group_suffix,
            session_seconds=settings.kafka.session_seconds,
            longest_rest_seconds=longest_rest_seconds,
        )
        stack.push_async_callback(broker.stop)
        await _start_broker(broker, login=described(settings.kafka))
    return _Running(database, consumer, relay, jobs)


def _trace(stack: AsyncExitStack, settings: TraceSettings, service: str) -> None:
    endpoint = settings.endpoint
    assert endpoint is not None
    provider = tracing.export_to(endpoint, service=service, share=settings.share)
    tracing.use(provider)
    stack.push_async_callback(asyncio.to_thread, provider.shutdown)


async def _apply_parked(inbound: Inbound, _: Database) -> None:
    """Apply what somebody wants retried and what waited behind it, until there is no more."""
    while await inbound.apply_parked():
        pass


async def _connect(
    name: str, settings: ServiceSettings, clock: Clock, migrations: Path
) -> Database:
    """The service's database with its newest tables, however long it is away."""
    while True:
        database = None
        try:
            database = await Database.connect(
                settings.postgres.full_dsn(),
                service=name,
                clock=clock,
                size=settings.postgres.pool_size,
                idle_transaction_seconds=settings.postgres.idle_transaction_seconds,
            )
            async with database.pool.acquire() as connection:
                for file in await migrate(connection, [BACKBONE_MIGRATIONS, migrations]):
                    log.info("migration_applied", file=file)
        except TRANSIENT as error:
            if database is not None:
                database.pool.terminate()
            # A connection string that makes no sense, which no waiting mends.
            if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
                raise
            log.warning("database_not_reachable", error=type(error).__name__, reason=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return database


async def _start_broker(broker: KafkaBroker, *, login: str) -> None:
    while True:
        try:
            await broker.start()
        except (OSError, KafkaError) as error:
            # What the client says of a broker that hangs up is no more than that.
            log.warning(
                "broker_not_reachable",
                error=type(error).__name__,
                reason=str(error),
                login=login,
            )
            # Lets go of the clients that it made before it failed.
            await broker.stop()
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


def new_broker(settings: ServiceSettings) -> KafkaBroker:
    """FastStream's broker: the shell around the consumer."""
    return KafkaBroker(
        # FastStream takes a text for one server.
        settings.kafka.bootstrap_servers.split(","),
        # The relay has a producer of its own.
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=_STOP_SECONDS,
        logger=None,
        apply_types=False,
        **broker_arguments(settings.kafka),
    )


def new_producer(settings: ServiceSettings) -> AIOKafkaProducer:
    """The relay's producer: waits for all replicas, keeps order per key."""
    kafka_client.harden()
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        **client_arguments(settings.kafka),
        acks="all",
        enable_idempotence=settings.kafka.idempotent_producer,
        compression_type="zstd",
        max_batch_size=256 * 1024,
        max_request_size=_LARGEST_RECORD,
        linger_ms=0,
    )


async def _stop_relay(relay: Relay, task: asyncio.Task[None]) -> None:
    """Let the relay empty the outbox, for a bounded time: what is left waits in Postgres."""
    relay.stop()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), _STOP_SECONDS)
    await _cancel(task)


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _health_router(app: FastAPI, name: str) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/livez")
    async def livez() -> Response:
        """Whether relay, consumer and jobs make progress; 503 names those that do not."""
        running: _Running | None = app.state.running
        stuck = running.stuck() if running else {}
        return JSONResponse({"stuck": sorted(stuck)}, 503 if stuck else 200)

    @router.get("/readyz")
    async def readyz() -> Response:
        """Whether Postgres answers and the broker has given this replica its partitions."""
        running: _Running | None = app.state.running
        missing = [] if running else ["start"]
        if running is not None:
            try:
                await running.database.pool.fetchval("SELECT 1", timeout=2)
            except (*TRANSIENT, asyncpg.PostgresError):
                missing.append("postgres")
            if running.consumer is not None and not running.consumer.assigned:
                missing.append("kafka")
        return JSONResponse({"missing": missing}, 503 if missing else 200)

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        running: _Running | None = app.state.running
        if running is not None:
            if running.consumer is not None:
                telemetry.LAG.labels(name).set(running.consumer.lag())
                telemetry.LAG_AGE.labels(name).set(running.consumer.lag_seconds())
            row = await running.database.pool.fetchrow(
                "SELECT count(*) AS depth, coalesce(extract(epoch FROM"
                " clock_timestamp() - min(created_at)), 0) AS age FROM outbox"
            )
            if row is not None:
                telemetry.OUTBOX_DEPTH.labels(name).set(row["depth"])
                telemetry.OUTBOX_AGE.labels(name).set(float(row["age"]))
            parked = await running.database.pool.fetch(
                "SELECT kind, count(*) AS records FROM parked GROUP BY kind"
            )
            telemetry.PARKED_NOW.clear()
            for row in parked:
                telemetry.PARKED_NOW.labels(name, row["kind"]).set(row["records"])
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def collect_garbage_rarely() -> None:
    """Have Python look for circular garbage seldom, and never among what lives as long as we do.

    A batch makes and drops a hundred objects per record, nearly none of them in a circle; by the
    default, Python looks through them all dozens of times per batch, a tenth of the batch's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_A_LOOK, 10, 10)


def run(create_app: Callable[[], FastAPI]) -> None:
    """Serve the app until SIGTERM or SIGINT; work in hand is finished first.

    Settings that cannot be right end it at once, with the variables at fault on standard error.
    """
    try:
        app = create_app()
    except ValidationError as error:
        sys.exit("\n".join(told(error)))
    settings: ServiceSettings = app.state.settings
    collect_garbage_rarely()
    # A thread that counts would keep each answer of the database waiting for ten times as long.
    sys.setswitchinterval(_SWITCH_SECONDS)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.http.host,
            port=settings.http.port,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=5,
        )
    )
    # The server itself heeds a signal only once the app has started.
    app.state.told_to_end = lambda: server.should_exit
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(_START_FAILED)
