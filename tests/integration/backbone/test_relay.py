"""The relay on a real broker and database: order, owners that die or hang, shards, refusals."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError
from prometheus_client import REGISTRY

from shared import outbox
from shared.catalogue import ContactUpdated
from shared.database import TRANSIENT, Database, OutboxRow, TooLarge, Transaction
from shared.envelope import Record, decode, json_value
from shared.handlers import Handlers
from shared.outbox import SLOTS, OutboxRecord
from shared.publisher import Publisher
from shared.relay import Relay
from shared.service import new_producer
from shared.settings import KafkaSettings, ServiceSettings
from shared.testing import deliver, published
from tests.kafka import Kafka

DatabaseFor = Callable[[str], Awaitable[Database]]
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
TOPIC = "updraft.feedback"
MISSING = "updraft.nowhere"


@pytest.fixture
async def database(database_for: DatabaseFor) -> Database:
    return await database_for("backbone")


def factory(broker: Kafka) -> Callable[[], AIOKafkaProducer]:
    kafka = KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers, idempotent_producer=broker.idempotent_producer
    )
    return lambda: new_producer(ServiceSettings(kafka=kafka))


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def write(
    database: Database, key: str, *values: str, topic: str = TOPIC, size: int = 0
) -> None:
    async with database.transaction() as tx:
        for value in values:
            payload = value.encode().ljust(size)
            tx.append(OutboxRow(uuid4(), topic, key, {"note": value}, payload))


async def left(database: Database) -> int:
    count: int = await database.pool.fetchval("SELECT count(*) FROM outbox")
    return count


async def emptied(database: Database) -> None:
    async def is_empty() -> bool:
        return await left(database) == 0

    await until(is_empty)


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await asyncio.wait_for(task, 20)


async def records_of(broker: Kafka, prefix: str, topic: str = TOPIC) -> list[Any]:
    """Everything that is on a topic now under keys of this test, in the order per partition."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found = []
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                for some in (await consumer.getmany(timeout_ms=500)).values():
                    found += some
        return [record for record in found if record.key.decode().startswith(prefix)]
    finally:
        await consumer.stop()


def check_order(records: Sequence[Any], expected: dict[str, int]) -> int:
    """Nothing missing and no first delivery overtaken; returns the number of duplicates."""
    first: dict[str, list[int]] = {}
    for record in records:
        seen = first.setdefault(record.key.decode(), [])
        number = int(record.value)
        if number not in seen:
            seen.append(number)
    assert first == {key: list(range(count)) for key, count in expected.items()}
    return len(records) - sum(expected.values())


def contact(employee_id: str, name: str = "Ada") -> ContactUpdated:
    return ContactUpdated(
        employee_id=employee_id,
        version=1,
        display_name=name,
        email="ada@example.com",
        locale="en",
        timezone="Europe/Paris",
    )


async def test_events_tombstones_and_other_records_arrive_as_they_were_written(
    database: Database, broker: Kafka
) -> None:
    key = uuid4().hex
    async with database.transaction() as tx:
        tx.publish(contact(key))
        tx.publish_tombstone(ContactUpdated, key)
        tx.append(OutboxRow(uuid4(), ContactUpdated.TOPIC, key, {"updraft-reason": "x"}, b"\xff"))
    async with relaying(Relay(database, producer=factory(broker))):
        await emptied(database)
    event, tombstone, other = await records_of(broker, key, ContactUpdated.TOPIC)
    read = decode(
        Record(event.topic, 0, 0, event.key, event.value, tuple(event.headers)), received_at=NOW
    )
    assert (read.data, read.source) == (contact(key), "urn:updraft:backbone")
    assert tombstone.value is None
    assert dict(tombstone.headers)["ce_type"] == ContactUpdated.TYPE.encode()
    assert (other.value, other.headers) == (b"\xff", (("updraft-reason", b"x"),))


async def test_the_relay_wakes_when_this_process_commits_events(
    database: Database, broker: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.relay._SHORTEST_PAUSE_SECONDS", 3600)
    monkeypatch.setattr("shared.relay._LONGEST_PAUSE_SECONDS", 3600)
    async with relaying(Relay(database, producer=factory(broker))) as relay:
        for number in range(5):
            await write(database, "woken", str(number))
            await emptied(database)
        relay.stop()
        # A sleeping relay hears of the end only with the next commit.
        await write(database, "woken", "last")


async def test_events_do_not_wait_for_those_on_their_way_to_other_partitions(
    database: Database, broker: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Publisher.send
    under_way, arrived = asyncio.Event(), asyncio.Event()

    async def send_slowly(self: Publisher, rows: Sequence[OutboxRecord]) -> Any:
        if rows[0].key == slow:
            under_way.set()
            await arrived.wait()
        return await send(self, rows)

    monkeypatch.setattr(Publisher, "send", send_slowly)
    slow, quick = uuid4().hex, uuid4().hex
    async with relaying(Relay(database, producer=factory(broker))):
        await write(database, slow, "0")
        await under_way.wait()
        await write(database, quick, "0")

        async def is_out() -> bool:
            return len(await records_of(broker, quick)) == 1

        await until(is_out)
        assert await left(database) == 2
        arrived.set()
        await emptied(database)
    check_order(await records_of(broker, slow), {slow: 1})


async def test_a_number_that_is_committed_late_is_published_and_overtakes_nothing(
    database: Database, broker: Kafka
) -> None:
    prefix = uuid4().hex
    async with relaying(Relay(database, producer=factory(broker), batch=2)):
        async with database.transaction() as late:
            late.append(OutboxRow(uuid4(), TOPIC, f"{prefix}-late", {}, b"0"))
            await late.flush()
            await write(database, f"{prefix}-early", *map(str, range(50)))
            await emptied(database)
        await write(database, f"{prefix}-late", "1")
        await emptied(database)
    check_order(await records_of(broker, prefix), {f"{prefix}-early": 50, f"{prefix}-late": 2})


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL])
async def test_an_owner_that_dies_or_hangs_is_replaced_and_does_no_harm_when_it_wakes(
    database: Database, broker: Kafka, end: signal.Signals
) -> None:
    prefix = uuid4().hex
    keys = [f"{prefix}-{n}" for n in range(6)]
    written = dict.fromkeys(keys, 0)

    async def write_more(times: int) -> None:
        for _ in range(times):
            for key in keys:
                numbers = range(written[key], written[key] + 5)
                await write(database, key, *map(str, numbers))
                written[key] += 5

    async def is_publishing() -> bool:
        before = await left(database)
        await asyncio.sleep(0.02)
        return 0 < await left(database) < before

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.backbone.relay_process"),
        *(database._dsn, broker.bootstrap_servers, str(broker.idempotent_producer)),
        cwd=Path(__file__).parents[3],
    )
    try:
        await write_more(60)
        await until(is_publishing)
        process.send_signal(end)
        successor = Relay(database, producer=factory(broker), batch=20, silence_seconds=2)
        async with relaying(successor):
            await write_more(5)
            await emptied(database)
            if end == signal.SIGSTOP:
                process.send_signal(signal.SIGCONT)
            await write_more(20)
            await emptied(database)
    finally:
        if end == signal.SIGSTOP:
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()
    check_order(await records_of(broker, prefix), written)


async def test_a_session_that_falls_silent_loses_its_slots(database: Database) -> None:
    first = await database.connect_alone("first", silence_seconds=0.2)
    second = await database.connect_alone("second", silence_seconds=60)
    try:
        assert await outbox.take_slots(first, [3])
        assert not await outbox.take_slots(second, [2, 3])

        async def passed_on() -> bool:
            return await outbox.take_slots(second, [2, 3])

        await until(passed_on)
        with pytest.raises(
            (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
        ):
            await first.execute("SELECT")
    finally:
        await first.close()
        await second.close()


async def test_shards_are_shared_by_replicas_and_keep_the_order_per_key(
    database: Database, broker: Kafka
) -> None:
    prefix = uuid4().hex
    expected = {f"{prefix}-{n}": 20 for n in range(30)}
    first = Relay(database, producer=factory(broker), batch=10, shards=4)
    second = Relay(database, producer=factory(broker), batch=10, shards=4)

    async def shared_out() -> bool:
        return [sum(owner.owns for owner in each.owners) for each in (first, second)] == [2, 2]

    async with relaying(first):
        await until(lambda: _true(all(owner.owns for owner in first.owners)))
        async with relaying(second):
            await until(shared_out)
            for number in range(20):
                for key in expected:
                    await write(database, key, str(number))
            await emptied(database)
        await until(lambda: _true(all(owner.owns for owner in first.owners)))
    check_order(await records_of(broker, prefix), expected)


async def _true(fact: bool) -> bool:
    return fact


async def test_replicas_with_another_number_of_shards_do_not_publish_the_same_keys(
    database: Database, broker: Kafka
) -> None:
    old = Relay(database, producer=factory(broker), shards=2)
    new = Relay(database, producer=factory(broker), shards=1)
    async with AsyncExitStack() as newer:
        async with relaying(old):
            await until(lambda: _true(all(owner.owns for owner in old.owners)))
            await newer.enter_async_context(relaying(new))
            await write(database, uuid4().hex, "0")
            await emptied(database)
            assert not new.owners[0].owns
        await until(lambda: _true(new.owners[0].owns))


async def test_slots_together_hold_each_row_once(database: Database) -> None:
    for n in range(200):
        await write(database, f"key-{n}", "0")
    found: list[int] = []
    async with database.pool.acquire() as connection:
        for shards in (1, 3, 16):
            found.clear()
            for number in range(shards):
                slots = [slot for slot in range(SLOTS) if slot % shards == number]
                found += [row.seq for row in await _oldest(connection, slots)]
            assert sorted(found) == [row.seq for row in await _oldest(connection, range(SLOTS))]
            assert len(found) == 200


async def _oldest(connection: Any, slots: Sequence[int], **limits: Any) -> list[OutboxRecord]:
    wanted: dict[str, Any] = {"busy": [], "held": [], "limit": 1000, "limit_bytes": 10**9}
    return await outbox.oldest(connection, slots, **(wanted | limits))


async def test_a_batch_is_bounded_in_rows_and_in_bytes(database: Database) -> None:
    await write(database, "k", *map(str, range(20)), size=1000)
    async with database.pool.acquire() as connection:
        slot = await connection.fetchval("SELECT hashtextextended('k', 0) & 15")
        for slots in (range(SLOTS), [slot, (slot + 1) % SLOTS]):
            whole = await _oldest(connection, slots)
            assert len(whole) == 20
            seqs = [row.seq for row in whole]
            assert [row.seq for row in await _oldest(connection, slots, limit=7)] == seqs[:7]
            assert len(await _oldest(connection, slots, limit_bytes=3500)) == 4
            assert len(await _oldest(connection, slots, limit_bytes=1)) == 1
            rest = await _oldest(connection, slots, busy=[*seqs[:2], seqs[4]], limit=4)
            assert [row.seq for row in rest] == [*seqs[2:4], *seqs[5:7]]
            assert await _oldest(connection, slots, held=[TOPIC]) == []


async def test_a_topic_that_the_broker_refuses_holds_up_no_other_and_is_told(
    database: Database, broker: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.relay._RETRY_SECONDS", 0.1)
    partitions = Publisher._partitions

    async def partitions_of_known(self: Publisher, topic: str) -> int:
        # The embedded broker makes any topic that it is asked for.
        if topic == MISSING:
            raise UnknownTopicOrPartitionError
        return await partitions(self, topic)

    monkeypatch.setattr(Publisher, "_partitions", partitions_of_known)
    prefix = uuid4().hex
    await write(database, prefix, "0", topic=MISSING)
    await write(database, prefix, "0")
    with structlog.testing.capture_logs() as logs:
        async with relaying(Relay(database, producer=factory(broker))):
            await write(database, prefix, "1")
            await until(lambda: _is(database, 1))
            await write(database, prefix, "2")
            await until(lambda: _is(database, 1))
    check_order(await records_of(broker, prefix), {prefix: 3})
    kept = await database.pool.fetchval("SELECT aggregatetype FROM outbox")
    assert kept == MISSING
    told = [entry for entry in logs if entry["event"] == "topic_refused"]
    assert [entry["topic"] for entry in told] == [MISSING]
    labels = {
        "service": "backbone",
        "topic": MISSING,
        "error": "UnknownTopicOrPartitionError",
    }
    assert REGISTRY.get_sample_value("updraft_refused_total", labels) == 1


async def _is(database: Database, count: int) -> bool:
    return await left(database) == count


async def test_a_failed_batch_is_sent_again_from_its_first_row(
    database: Database, broker: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.relay._RETRY_SECONDS", 0.01)
    send = AIOKafkaProducer.send_batch
    lost = [True, False, True]

    async def send_and_hear_nothing(*batch: Any, partition: int) -> Any:
        answer = await send(*batch, partition=partition)
        if lost and lost.pop():
            await answer
            raise ConnectionError
        return answer

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", send_and_hear_nothing)
    prefix = uuid4().hex
    await write(database, prefix, *map(str, range(30)))
    async with relaying(Relay(database, producer=factory(broker), batch=10)):
        await emptied(database)
    assert check_order(await records_of(broker, prefix), {prefix: 30}) > 0


async def test_an_event_that_no_broker_would_take_is_refused_before_it_is_written(
    database: Database,
) -> None:
    database.largest_event = 200
    with pytest.raises(TooLarge, match=rf"value: leads to {ContactUpdated.TYPE} of \d+ bytes"):
        async with database.transaction() as tx:
            tx.publish(contact("k", name="x" * 200))
    assert await left(database) == 0


async def test_a_record_that_leads_to_too_large_an_event_is_parked_with_the_reason(
    database: Database,
) -> None:
    handlers = Handlers()

    @handlers.each(ContactUpdated)
    async def repeat(event: ContactUpdated, tx: Transaction) -> None:
        tx.publish(event)

    database.largest_event = 300
    events = [contact("a"), contact("b", name="x" * 200), contact("c")]
    reasons = await deliver(handlers, database, *events)
    assert [reason.split(",")[0] for reason in reasons] == [
        f"value: leads to {ContactUpdated.TYPE} of {len(json_value(events[1]))} bytes"
    ]
    assert [event.key for event in await published(database)] == ["a", "c"]


async def test_the_table_stays_small_however_many_events_pass(database: Database) -> None:
    sizes = []
    async with database.pool.acquire() as connection:
        for _ in range(6):
            await write(database, "k", *map(str, range(2000)))
            rows = await _oldest(connection, range(SLOTS), limit=2000)
            await outbox.remove(connection, [row.seq for row in rows], journal=False)
            await outbox.vacuum(connection)
            sizes.append(await connection.fetchval("SELECT pg_total_relation_size('outbox')"))
    assert sizes[-1] <= sizes[1]


async def test_work_that_hangs_in_its_transaction_is_rolled_back_by_postgres(
    database: Database,
) -> None:
    impatient = await Database.connect(
        database._dsn, service="backbone", clock=database.clock, idle_transaction_seconds=0.1
    )

    async def hang() -> None:
        async with impatient.transaction() as tx:
            tx.append(OutboxRow(uuid4(), TOPIC, "k", {}, b""))
            await tx.flush()
            await asyncio.sleep(1)
            await tx.connection.execute("SELECT")

    with pytest.raises(TRANSIENT):
        await hang()
    await impatient.close()
    assert await left(database) == 0
