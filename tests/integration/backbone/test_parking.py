"""Lines behind parked records: who waits, who does not, and how they are released."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from random import Random

import pytest

from shared.catalogue import EmployeeErased, EmployeeRecorded, EmployeeUpdated
from shared.database import Database, Transaction
from shared.envelope import Record
from shared.handlers import Handlers, Rejected
from shared.inbound import Inbound
from shared.testing import record_of

DatabaseFor = Callable[[str], Awaitable[Database]]
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
TODAY = NOW.date()


def employee(employee_id: str, version: int = 1) -> EmployeeUpdated:
    return EmployeeUpdated(
        employee_id=employee_id,
        version=version,
        status="active",
        job_level=3,
        department="Sales",
        start_date=date(2020, 1, 1),
        effective_from=NOW,
    )


class Store:
    """A service that notes what it applies, and fails where it is told to."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.broken: set[tuple[str, int]] = set()
        self.refused: set[tuple[str, int]] = set()
        self.unwanted: set[tuple[str, int]] = set()
        handlers = Handlers()

        @handlers.batch(EmployeeUpdated)
        async def note(events: Sequence[EmployeeUpdated], tx: Transaction) -> None:
            for event in events:
                fact = (event.employee_id, event.version)
                if fact in self.broken:
                    raise KeyError(event.employee_id)
                if fact in self.unwanted:
                    raise Rejected("version: not wanted; send another")
                if fact in self.refused:
                    tx.reject(event, "version: refused; send another")
                    continue
                await tx.connection.execute("INSERT INTO seen VALUES ($1, $2)", *fact)
                tx.publish(event, cause=event)

        @handlers.each(EmployeeRecorded, EmployeeErased)
        async def note_word_of_hr(
            event: EmployeeRecorded | EmployeeErased, tx: Transaction
        ) -> None:
            if (event.employee_id, event.sequence) in self.broken:
                raise KeyError(event.employee_id)
            await tx.connection.execute(
                "INSERT INTO seen VALUES ($1, $2)", event.employee_id, event.sequence
            )

        self.inbound = Inbound(database, handlers)

    async def take(self, *records: Record) -> list[str]:
        return await self.inbound.apply(records, park_failures=True, attempt=5)

    async def seen(self, employee_id: str) -> list[int]:
        rows = await self.database.pool.fetch(
            "SELECT version FROM seen WHERE employee_id = $1 ORDER BY ctid", employee_id
        )
        return [row["version"] for row in rows]

    async def parked(self) -> list[tuple[str, str, str, int]]:
        rows = await self.database.pool.fetch(
            "SELECT convert_from(key, 'UTF8') AS key, kind, state, attempts"
            " FROM parked ORDER BY seq"
        )
        return [tuple(row) for row in rows]

    async def retry(self) -> int:
        await self.database.pool.execute("UPDATE parked SET state = 'retry' WHERE state = 'parked'")
        return await self.inbound.apply_parked()


@pytest.fixture
async def store(database_for: DatabaseFor) -> Store:
    database = await database_for("backbone")
    await database.pool.execute("CREATE TABLE seen (employee_id text, version int)")
    return Store(database)


def facts(employee_id: str, *versions: int) -> list[Record]:
    return [record_of(employee(employee_id, version), now=NOW) for version in versions]


def words_of_hr(employee_id: str, *sequences: int) -> list[Record]:
    words = [
        EmployeeRecorded(
            record_type="patch", employee_id=employee_id, effective_date=TODAY, sequence=number
        )
        for number in sequences
    ]
    return [record_of(word, now=NOW) for word in words]


def erasure(employee_id: str, sequence: int) -> Record:
    return record_of(EmployeeErased(employee_id=employee_id, sequence=sequence), now=NOW)


async def test_a_line_waits_also_where_hundreds_of_others_do(store: Store) -> None:
    names = [f"p{number:03}" for number in range(300)]
    store.broken = {(name, 1) for name in names}
    await store.take(*(fact for name in names for fact in facts(name, 1)))
    store.broken.clear()
    await store.take(*(fact for name in (*names, "free") for fact in facts(name, 2)))

    assert await store.seen("free") == [2]
    states = [state for _, _, state, _ in await store.parked()]
    assert (states.count("parked"), states.count("waiting")) == (300, 300)


async def test_what_follows_a_failed_record_of_its_key_waits_and_others_go_on(store: Store) -> None:
    store.broken = {("a", 2)}
    await store.take(*facts("a", 1, 2, 3), *facts("b", 1))
    await store.take(*facts("b", 2), *facts("a", 4))

    assert await store.seen("a") == [1]
    assert await store.seen("b") == [1, 2]
    assert await store.parked() == [
        ("a", "failed", "parked", 5),
        ("a", "waiting", "waiting", 0),
        ("a", "waiting", "waiting", 0),
    ]


async def test_a_retried_record_is_applied_before_those_that_waited(store: Store) -> None:
    store.broken = {("a", 2)}
    await store.take(*facts("a", 1, 2, 3))
    await store.take(*facts("a", 4))
    assert await store.inbound.apply_parked() == 0, "nobody asked for it yet"

    store.broken = set()
    assert await store.retry() == 3

    assert await store.seen("a") == [1, 2, 3, 4]
    assert await store.parked() == []
    await store.take(*facts("a", 5))
    assert await store.seen("a") == [1, 2, 3, 4, 5]
    actions = await store.database.pool.fetch("SELECT action FROM parked_log")
    assert [row["action"] for row in actions] == ["applied"] * 3


async def test_a_retry_that_fails_again_keeps_the_line_waiting(store: Store) -> None:
    store.broken = {("a", 2)}
    await store.take(*facts("a", 2, 3))

    assert await store.retry() == 0

    assert await store.seen("a") == []
    assert await store.parked() == [
        ("a", "failed", "parked", 6),
        ("a", "waiting", "waiting", 0),
    ]


async def test_one_that_waited_and_fails_in_its_turn_is_parked_itself(store: Store) -> None:
    store.broken = {("a", 2), ("a", 4)}
    await store.take(*facts("a", 2, 3, 4, 5))
    store.broken = {("a", 4)}

    assert await store.retry() == 2

    assert await store.seen("a") == [2, 3]
    assert await store.parked() == [
        ("a", "failed", "parked", 1),
        ("a", "waiting", "waiting", 0),
    ]
    dead = await store.database.pool.fetchval(
        "SELECT count(*) FROM outbox WHERE aggregatetype = 'updraft.employees.backbone.dlq'"
    )
    assert dead == 2, "one copy for each that failed, none for those that wait"


async def test_those_behind_a_dropped_record_are_released(store: Store) -> None:
    store.broken = {("a", 2)}
    await store.take(*facts("a", 2, 3))
    await store.database.pool.execute("DELETE FROM parked WHERE state = 'parked'")

    assert await store.inbound.apply_parked() == 1
    assert await store.seen("a") == [3]


@pytest.mark.parametrize("how", ["raised", "set aside"])
async def test_between_services_a_rejected_record_holds_its_key_too(store: Store, how: str) -> None:
    store.unwanted = {("a", 2)} if how == "raised" else set()
    store.refused = {("a", 2)} if how == "set aside" else set()
    reasons = await store.take(*facts("a", 1, 2, 3), *facts("b", 1))

    assert len(reasons) == 2
    assert await store.seen("a") == [1]
    assert await store.seen("b") == [1]
    assert [kind for _, kind, *_ in await store.parked()] == ["rejected", "waiting"]


async def test_what_is_unreadable_between_services_holds_its_key(store: Store) -> None:
    [first, broken, last] = facts("a", 1, 2, 3)
    unreadable = Record(
        broken.topic, broken.partition, broken.offset, broken.key, b"{", broken.headers
    )
    await store.take(first, unreadable, last)

    assert await store.seen("a") == [1]
    assert [kind for _, kind, *_ in await store.parked()] == ["unreadable", "waiting"]


async def test_hr_is_not_held_by_what_it_sent_wrong_but_by_what_failed_here(store: Store) -> None:
    [first, broken, last] = words_of_hr("a", 1, 2, 3)
    unreadable = Record(
        broken.topic, broken.partition, broken.offset, broken.key, b"{", broken.headers
    )
    store.broken = {("b", 2)}
    await store.take(first, unreadable, last, *words_of_hr("b", 1, 2, 3))

    assert await store.seen("a") == [1, 3]
    assert await store.seen("b") == [1]


async def test_an_erasure_waits_for_nobody_and_what_follows_it_does(store: Store) -> None:
    store.broken = {("a", 2), ("b", 1)}
    await store.take(*words_of_hr("a", 1, 2, 3), erasure("a", 4), *words_of_hr("a", 5))
    await store.take(*words_of_hr("b", 1))
    await store.take(erasure("b", 2))

    assert await store.seen("a") == [1, 4]
    assert await store.seen("b") == [2]
    assert [kind for key, kind, *_ in await store.parked() if key == "a"] == [
        "failed",
        "waiting",
        "waiting",
    ]


async def test_an_erasure_between_services_overtakes_and_empties_what_waits(store: Store) -> None:
    store.broken = {("a", 1)}
    await store.take(*facts("a", 1, 2))
    gone = employee("a", 3).model_copy(update={"erased": True, "status": "left"})
    await store.take(record_of(gone, now=NOW))

    assert await store.seen("a") == [3]
    payloads = await store.database.pool.fetch("SELECT payload FROM parked")
    assert [row["payload"] for row in payloads] == [None, None]


async def test_an_erasure_that_is_refused_empties_nothing(store: Store) -> None:
    store.broken = {("a", 1)}
    store.unwanted = {("a", 2)}
    gone = employee("a", 2).model_copy(update={"erased": True, "status": "left"})
    await store.take(*facts("a", 1), record_of(gone, now=NOW))

    payloads = await store.database.pool.fetch("SELECT payload FROM parked")
    assert all(row["payload"] is not None for row in payloads)


async def test_a_batch_handler_sets_one_event_aside_and_the_rest_takes_effect_at_once(
    store: Store,
) -> None:
    calls = 0
    handlers = Handlers()

    @handlers.batch(EmployeeErased)
    async def note(events: Sequence[EmployeeErased], tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        for event in events:
            if event.sequence % 2:
                tx.reject(event, "sequence: odd; send an even one")

    records = [erasure(f"e-{n}", n) for n in range(20)]
    reasons = await Inbound(store.database, handlers).apply(records)

    assert reasons == ["sequence: odd; send an even one"] * 10
    assert calls == 1


async def test_an_event_says_which_of_a_batch_led_to_it(store: Store) -> None:
    records = [*facts("a", 1), *facts("b", 1)]
    await store.take(*records)

    rows = await store.database.pool.fetch(
        "SELECT causationid, correlationid FROM outbox ORDER BY seq"
    )
    causes = [dict(record.headers)["ce_id"].decode() for record in records]
    assert [row["causationid"] for row in rows] == causes
    assert [row["correlationid"] for row in rows] == causes


@pytest.mark.parametrize("seed", range(8))
async def test_each_key_is_applied_in_order_whatever_fails_and_whenever_it_is_retried(
    store: Store, seed: int
) -> None:
    random = Random(seed)
    keys = ["a", "b", "c"]
    sent = {key: facts(key, *range(1, 16)) for key in keys}
    line = sorted(
        (record for key in keys for record in sent[key]), key=lambda record: random.random()
    )
    # Any mixture of the keys, but each key in its own order.
    turns = [record.key for record in line]
    nexts = {key.encode(): iter(records) for key, records in sent.items()}
    stream = [next(nexts[key]) for key in turns if key is not None]
    store.broken = {(random.choice(keys), random.randint(1, 15)) for _ in range(6)}
    store.refused = {(random.choice(keys), random.randint(1, 15)) for _ in range(3)}
    while stream:
        size = random.randint(1, 12)
        await store.take(*stream[:size])
        stream = stream[size:]
        if random.random() < 0.3:
            store.broken = set(list(store.broken)[1:])
            await store.retry()
        for key in keys:
            seen = await store.seen(key)
            assert seen == list(range(1, len(seen) + 1))

    store.broken, store.refused = set(), set()
    while await store.retry():
        pass
    for key in keys:
        assert await store.seen(key) == list(range(1, 16))
    assert await store.parked() == []
