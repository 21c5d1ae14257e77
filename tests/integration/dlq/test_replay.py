"""`updraft replay`: damaged projections come back from the topics, and nothing else happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from asgi_lifespan import LifespanManager

from deploy.databases import Databases
from deploy.local.process import StackError
from deploy.reading import raw_records
from deploy.replay.command import rebuilt
from deploy.replay.history import History
from deploy.replay.rebuild import Rebuild, Told
from services.metrics.jobs import measure_programmes
from shared.catalogue import ConcernRaised, ContactUpdated, Event, GoalReached, Period
from shared.catalogue import KpiMeasured as Kpi
from shared.database import Database, Transaction
from shared.envelope import Record, binary_headers, encode, json_value
from shared.handlers import Handlers
from shared.ids import new_id
from shared.inbound import Inbound
from shared.projections import Projections
from shared.service import create_service
from shared.settings import ClockSettings, KafkaSettings, PostgresSettings, ServiceSettings
from tests.conftest import DatabaseFor, KafkaOfOnesOwn
from tests.integration.metrics.programme_events import (
    PROGRAMME,
    booked,
    created,
    day,
    employee,
    pulse,
    story,
    uuid,
)
from tests.kafka import Kafka

SERVICES = Path(__file__).parents[3] / "services"
NAMES = ("registration", "matching", "notifications", "metrics")
# What a service decides and does: no replay may touch it.
DOINGS = {
    "registration": ("answers", "sessions"),
    "matching": ("pairs", "match_runs", "unmatched", "orphans"),
    "notifications": ("messages", "unsubscriptions"),
    "metrics": ("measures", "measured"),
}
BACKBONE = ("outbox", "journal", "inbox", "parked", "parked_log")
DAMAGE = {"text": "'damaged'", "integer": "17", "bigint": "17", "boolean": "NOT {column}"}


@pytest.fixture
def kafka(kafka_of_ones_own: KafkaOfOnesOwn) -> Iterator[Kafka]:
    with kafka_of_ones_own() as started:
        yield started


class Live:
    """A service whose database we damage, and the topics that it reads."""

    def __init__(self, database: Database, kafka: Kafka) -> None:
        self.database = database
        self.kafka = kafka
        self.name = database.service
        self.handlers: Handlers = import_module(f"services.{self.name}.handlers").handlers
        self.projections: Projections = import_module(f"services.{self.name}.store").PROJECTIONS
        self.settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)

    async def publish(self, *events: Event | tuple[type[Event], str]) -> None:
        """Publish events, and tombstones given as (type, key), in this order per key."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers)
        await producer.start()
        now = self.database.clock.now()
        for each in events:
            event_type, key = each if isinstance(each, tuple) else (type(each), each.key)
            value = None if isinstance(each, tuple) else json_value(each)
            headers = encode(
                event_type, event_id=new_id(now), source="urn:test", subject=key, now=now
            )
            await producer.send(
                event_type.TOPIC, value, key=key.encode(), headers=binary_headers(headers)
            )
        await producer.stop()

    async def take(self, share: float = 1.0) -> None:
        """Apply what is in the topics: of each partition only the first part."""
        partitions: dict[tuple[str, int], list[Record]] = {}
        topics = self.handlers.topics
        async for r in raw_records(self.kafka.bootstrap_servers, topics):
            record = Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers))
            partitions.setdefault((r.topic, r.partition), []).append(record)
        inbound = Inbound(self.database, self.handlers)
        for records in partitions.values():
            await inbound.apply(records[: round(len(records) * share)], park_failures=True)

    async def rows(self, tables: Sequence[str]) -> dict[str, list[str]]:
        """All rows of these tables."""
        return {
            table: sorted(
                row["text"]
                for row in await self.database.pool.fetch(f"SELECT t::text AS text FROM {table} t")
            )
            for table in tables
        }

    @property
    def tables(self) -> list[str]:
        return [each.table for each in self.projections.tables]

    async def replay(self, *names: str, **how: Any) -> Told:
        return await rebuilt(
            Databases({self.name: self.database._dsn}, self.database.clock),
            self.settings,
            self.name,
            self.handlers,
            self.projections,
            [each for each in self.projections.tables if not names or each.table in names],
            **how,
        )

    async def damage(self) -> None:
        """Take half of the rows of each projection away and falsify the others."""
        for projection in self.projections.tables:
            await self.database.pool.execute(
                f"DELETE FROM {projection.table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM"
                f" {projection.table} ORDER BY ctid LIMIT"
                f" (SELECT (count(*) + 1) / 2 FROM {projection.table})))"
            )
            columns = await self.database.pool.fetch(
                """
                SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
                JOIN pg_index ON indrelid = attrelid AND indisprimary
                WHERE attrelid = $1::regclass AND attnum > 0 AND attnum <> ALL (indkey)
                  AND attname <> ALL ($2) AND format_type(atttypid, NULL) = ANY ($3)
                """,
                projection.table,
                ["version", *projection.own],
                list(DAMAGE),
            )
            for column in columns:
                value = DAMAGE[column["type"]].format(column=column["name"])
                await self.database.pool.execute(
                    f"UPDATE {projection.table} SET {column['name']} = {value}"
                )


@pytest.fixture
async def live(request: pytest.FixtureRequest, database_for: DatabaseFor, kafka: Kafka) -> Live:
    database = await database_for(request.param)
    database.clock.set(day(20))
    return Live(database, kafka)


def of(*names: str) -> Any:
    return pytest.mark.parametrize("live", names, indirect=True)


def contact(employee_id: str, version: int = 1) -> ContactUpdated:
    return ContactUpdated(
        employee_id=employee_id,
        version=version,
        given_name="Ada",
        display_name="Ada L.",
        email=f"{employee_id}@example.com",
        locale="en",
        timezone="UTC",
    )


def whole_story() -> list[Any]:
    kpi = Kpi(
        programme_id=PROGRAMME,
        kpi="match_rate",
        definition_version=1,
        period=Period(kind="programme", start=day(0).date(), end=day(180).date()),
        dimension="all",
        group="all",
        numerator=8,
        denominator=8,
        value=1,
        unit="ratio",
        suppressed=False,
        measured_at=day(12),
    )
    goal = GoalReached(
        goal_id=uuid("goal1"),
        pair_id=uuid("pair1"),
        programme_id=PROGRAMME,
        set_by="mentee",
        set_at=day(10),
        reached_at=day(15),
    )
    concern = ConcernRaised(
        concern_id=uuid("concern"),
        pair_id=uuid("pair0"),
        programme_id=PROGRAMME,
        raised_by="mentee",
        raised_by_employee_id="senior0",
        category="no_fit",
        exit_requested=False,
        raised_at=day(16),
    )
    felt = pulse(1, 5, 12, session_id=uuid("session1-10"))
    moved = [employee(f"junior{n}", 2, "Law", version=2, manager_id="senior1") for n in range(4)]
    contacts = [contact(f"junior{n}") for n in range(4)]
    gone: list[Any] = [(ContactUpdated, "junior2")]
    erased = employee("senior3", 5, "unknown", version=3, erased=True)
    return [
        *contacts,
        *story(),
        *moved,
        goal,
        kpi,
        concern,
        felt,
        *gone,
        erased,
        contact("junior1", 2),
    ]


@of(*NAMES)
async def test_damaged_projections_come_back_exactly_and_nothing_is_published_or_sent(
    live: Live,
) -> None:
    await live.publish(*whole_story())
    await live.take()
    if live.name == "metrics":
        await measure_programmes(live.database)
    before = await live.rows(live.tables)
    doings = await live.rows((*DOINGS[live.name], *BACKBONE))
    assert all(before.values()), "every projection holds something to damage"
    await live.damage()
    assert await live.rows(live.tables) != before

    dry = await live.replay(dry_run=True)
    assert await live.rows(live.tables) != before
    assert sum(each.missing for each in dry.differences) >= len(live.tables)
    assert sum(each.unexplained for each in dry.differences) == 0
    await live.replay()

    assert await live.rows(live.tables) == before
    assert await live.rows((*DOINGS[live.name], *BACKBONE)) == doings
    again = await live.replay(dry_run=True)
    assert [each.total for each in again.differences] == [0] * len(live.tables)


@of("metrics")
async def test_after_a_replay_the_next_measuring_publishes_nothing(live: Live) -> None:
    await live.publish(*whole_story())
    await live.take()
    await measure_programmes(live.database)
    before = await live.rows(("measures", "outbox"))
    await live.damage()
    await live.replay()

    assert await live.rows(("stale",)) != {"stale": []}, "what was wrong is measured once more"
    await measure_programmes(live.database)

    assert await live.rows(("measures", "outbox")) == before


@of("notifications")
async def test_what_the_service_keeps_in_a_projection_stays_as_it_is(live: Live) -> None:
    await live.publish(*whole_story())
    await live.take()
    pool = live.database.pool
    await pool.execute("UPDATE pairs SET next_look_at = $1", day(100))
    await pool.execute("UPDATE programmes SET next_digest_at = $1", day(101))
    before = await live.rows(live.tables)
    await pool.execute("UPDATE pairs SET status = 'damaged'")
    await pool.execute("UPDATE programmes SET name = 'damaged'")

    await live.replay()

    assert await live.rows(live.tables) == before


@of("notifications")
async def test_what_the_service_has_not_read_yet_is_still_news_to_it(live: Live) -> None:
    await live.publish(*whole_story())
    await live.take(share=0.5)
    await live.damage()
    await live.replay()
    owed = await live.database.pool.fetchval("SELECT count(*) FROM messages")
    await live.take()
    healed = await live.rows(live.tables)
    kinds = "SELECT kind, count(*)::int AS count FROM messages GROUP BY 1 ORDER BY 1"
    told = [tuple(row) for row in await live.database.pool.fetch(kinds)]

    await live.database.pool.execute("TRUNCATE inbox, messages")
    for table in live.tables:
        await live.database.pool.execute(f"TRUNCATE {table}")
    await live.take(share=0.5)
    assert await live.database.pool.fetchval("SELECT count(*) FROM messages") == owed
    await live.take()

    assert await live.rows(live.tables) == healed
    assert [tuple(row) for row in await live.database.pool.fetch(kinds)] == told


@of("metrics")
async def test_what_is_parked_or_was_dropped_is_left_out(live: Live) -> None:
    await live.publish(*whole_story())
    pool = live.database.pool
    await pool.execute("ALTER TABLE feedback ADD CONSTRAINT refuse CHECK (score > 100)")
    await live.take()
    await pool.execute("ALTER TABLE feedback DROP CONSTRAINT refuse")
    parked = await pool.fetchval("SELECT count(*) FROM parked WHERE topic = 'updraft.feedback'")
    assert parked >= 4
    await pool.execute(
        "WITH gone AS (DELETE FROM parked WHERE seq = (SELECT min(seq) FROM parked) RETURNING *)"
        " INSERT INTO parked_log SELECT consumer, event_id, topic, part, off, 'drop', 'ada', 'no',"
        " parked_at FROM gone"
    )

    found = await live.replay()

    assert found.set_aside == parked
    assert [each.total for each in found.differences] == [0] * len(live.tables)
    assert await pool.fetchval("SELECT count(*) FROM feedback") == 0


@of("matching")
async def test_rows_that_no_record_accounts_for_stay_unless_they_are_to_go(live: Live) -> None:
    await live.publish(*whole_story())
    await live.take()
    before = await live.rows(live.tables)
    pool = live.database.pool
    await pool.execute("INSERT INTO reporting VALUES ('junior1', 'nobody')")
    await pool.execute("UPDATE employees SET version = 99, department = 'damaged'")
    damaged = await live.rows(live.tables)

    found = await live.replay()
    assert {e.table: e.unexplained for e in found.differences if e.unexplained} == {
        "reporting": 1,
        "employees": 8,
    }
    assert await live.rows(live.tables) == damaged

    await live.replay("reporting", "employees", remove_unexplained=True)
    assert await live.rows(live.tables) == before


@of("metrics")
async def test_every_version_stays_although_the_topic_keeps_only_the_newest(live: Live) -> None:
    await live.publish(employee("a", 2, "IT", version=2))
    await live.take()
    pool = live.database.pool
    await pool.execute(
        "INSERT INTO employee_states SELECT (jsonb_populate_record(s, '{\"version\": 1}')).*"
        " FROM employee_states AS s"
    )

    found = await live.replay(remove_unexplained=True)

    assert [each.total for each in found.differences] == [0] * len(live.tables)
    assert await pool.fetchval("SELECT count(*) FROM employee_states") == 2


@of("notifications")
async def test_a_service_that_runs_meanwhile_loses_nothing(live: Live) -> None:
    await live.publish(*whole_story())
    await live.take()
    await live.damage()
    settings = ServiceSettings(
        kafka=KafkaSettings(
            bootstrap_servers=live.kafka.bootstrap_servers,
            idempotent_producer=live.kafka.idempotent_producer,
            session_seconds=live.kafka.session_seconds,
        ),
        postgres=PostgresSettings(dsn=live.database._dsn),
        clock=ClockSettings(start=day(20), origin=datetime.now(UTC)),
    )
    app = create_service(
        name=live.name,
        settings=settings,
        handlers=live.handlers,
        migrations=SERVICES / live.name / "migrations",
    )

    async def go_on(first: int) -> None:
        for n in range(first, first + 40, 2):
            await live.publish(
                *(created(i, version=3 + i) for i in (n, n + 1)), booked(n, 30), booked(n + 1, 31)
            )

    async with LifespanManager(app, startup_timeout=30, shutdown_timeout=30):
        publishing = asyncio.create_task(go_on(100))
        await asyncio.sleep(0.3)
        await live.replay()
        await publishing
        await go_on(200)
        async with asyncio.timeout(30):
            while await live.database.pool.fetchval("SELECT count(*) FROM sessions") < 84:
                await asyncio.sleep(0.1)
    after = await live.replay(dry_run=True)

    assert [each.total for each in after.differences] == [0] * len(live.tables)
    messages = await live.database.pool.fetchval(
        "SELECT count(*) FROM messages WHERE kind = 'session_scheduled' AND pair_id <> ALL ($1)",
        [uuid(f"pair{n}") for n in range(4)],
    )
    assert messages == 160, "both sides of each session booked meanwhile are told, once"


@of("matching")
async def test_while_tables_are_compared_the_service_reads_but_applies_nothing(live: Live) -> None:
    await live.publish(employee("a", 2, "IT"))
    await live.take()
    places = Databases({live.name: live.database._dsn}, live.database.clock)
    connection = await places.connect(live.name)
    async with History.of(live.settings, ["updraft.employees"], live.name) as history:
        rebuild = Rebuild(
            connection,
            live.name,
            live.handlers,
            live.projections.tables[:1],
            live.database.clock,
            history,
        )
        await rebuild.prepare()
        await rebuild.follow(lambda done, total: None)
        async with rebuild.standstill(), live.database.pool.acquire() as other:
            await other.execute("SET lock_timeout = '1ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute(
                    "INSERT INTO inbox (consumer, event_id, digest)"
                    " VALUES ('matching', gen_random_uuid(), '')"
                )
            async with other.transaction():
                tx = Transaction(other, now=day(0), source="urn:test")
                assert not await tx.try_lock("parked"), "nor does the job for parked records"
            assert await other.fetchval("SELECT count(*) FROM employees") == 1
    await connection.close()


@of("metrics")
async def test_a_missing_topic_is_told(live: Live) -> None:
    live.projections = Projections(
        tuple(
            type(each)(each.table, "updraft.nowhere", each.own)
            for each in live.projections.tables[:1]
        )
    )
    with pytest.raises(StackError, match=r"no topic updraft\.nowhere"):
        await live.replay()
