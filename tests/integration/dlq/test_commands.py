"""`updraft dlq` against real tables: what a person sees, and what becomes of the records."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from shared.database import Database
from tests.integration.dlq.made_up_service import Service, facts

FAILED = "handler: failed with KeyError; see the service's log, then retry"


@pytest.fixture
async def service(database_for: Callable[[str], Awaitable[Database]]) -> Service:
    database = await database_for("matching")
    await database.pool.execute("CREATE TABLE seen (employee_id text, version int)")
    return Service(database)


async def hold(service: Service, *keys: str) -> None:
    """Park version 2 of each key; versions 3 and 4 wait behind it."""
    service.broken = {(key, 2) for key in keys}
    for key in keys:
        await service.take(*facts(key, 1, 2, 3))
        await service.take(*facts(key, 4))


async def test_the_list_fits_80_columns_and_counts_by_reason(service: Service) -> None:
    await hold(service, "a", "b")
    unreadable = replace(facts("c", 1)[0], value=b"{")
    await service.take(unreadable)

    told = await service.updraft("dlq", "list")

    assert told.code == 0
    assert max(map(len, told.out.splitlines())) <= 80
    assert told.out.count("failed, 5 tries, 2 wait behind it") == 2
    assert f"2   failed       {FAILED[:30]}" in told.out
    assert "matching: 3 records" in told.out
    wide = await service.updraft("dlq", "list", width=200)
    assert FAILED in wide.out.splitlines()[1]


async def test_filters_choose_and_json_is_one_object_per_line(service: Service) -> None:
    await hold(service, "a", "b")

    told = await service.updraft("dlq", "list", "--key", "b", "--json")
    waiting = await service.updraft("dlq", "list", "--kind", "waiting", "--key", "a", "--json")
    nothing = await service.updraft("dlq", "list", "--reason", "no such words", "--json")

    [one] = [json.loads(line) for line in told.out.splitlines()]
    assert (one["key"], one["kind"], one["waitingBehind"]) == ("b", "failed", 2)
    assert one["reason"] == FAILED
    states = [json.loads(line)["state"] for line in waiting.out.splitlines()]
    assert states == ["waiting", "waiting"]
    assert nothing.out == ""


async def test_show_tells_everything_but_the_value_unless_asked(service: Service) -> None:
    await hold(service, "a")
    event_id = await service.database.pool.fetchval(
        "SELECT event_id::text FROM parked WHERE state = 'parked'"
    )

    told = await service.updraft("dlq", "show", event_id[:8])
    whole = await service.updraft("dlq", "show", event_id, "--payload")

    for part in (event_id, "updraft.employees, partition 0", FAILED[:40], "ce_type: updraft."):
        assert part in told.out
    assert "wait behind it: 2" in told.out
    assert "Sales" not in told.out
    assert '"department": "Sales"' in whole.out
    unknown = await service.updraft("dlq", "show", "nothing")
    assert (unknown.code, "no parked record" in unknown.err) == (1, True)


async def test_a_retry_applies_the_record_and_those_behind_it_and_logs_who_asked(
    service: Service,
) -> None:
    await hold(service, "a", "b")
    service.broken = set()

    async with service.at_work():
        told = await service.updraft(
            *("dlq", "retry", "--key", "a", "--actor", "ada", "--because", "mended")
        )

    assert told.code == 0, told.err
    assert "1 record retried: 1 applied, 0 failed again" in told.out
    assert await service.seen("a") == [1, 2, 3, 4]
    assert await service.seen("b") == [1]
    assert ("retry", "ada", "mended") in await service.log()
    event_id = await service.database.pool.fetchval(
        "SELECT event_id::text FROM parked_log WHERE action = 'retry'"
    )
    later = await service.updraft("dlq", "show", event_id)
    assert "is parked no more" in later.out
    assert "retry by ada: mended" in later.out
    assert "applied by the service" in later.out


async def test_a_retry_that_fails_again_says_so_and_keeps_the_line(service: Service) -> None:
    await hold(service, "a", "b")
    service.broken = {("a", 2)}

    async with service.at_work():
        told = await service.updraft("dlq", "retry", "--all")

    assert told.code == 1
    assert "2 records retried: 1 applied, 1 failed again" in told.out
    assert f"1  failed: {FAILED}" in told.out
    assert await service.seen("b") == [1, 2, 3, 4]
    assert await service.parked() == [("a", "parked"), ("a", "waiting"), ("a", "waiting")]


async def test_a_retry_without_the_service_marks_and_says_that_it_is_not_running(
    service: Service,
) -> None:
    await hold(service, "a")
    # Its connections are what tells that a service runs.
    await service.database.close()

    told = await service.updraft("dlq", "retry", "--all", "--wait", "30")

    assert told.code == 1
    assert "matching: is not running; 1 record will be applied when it starts" in told.out
    database = service.database
    again = await Database.connect(database._dsn, service="matching", clock=database.clock)
    started = Service(again)
    assert (await started.parked())[0] == ("a", "retry")
    assert await started.inbound.apply_parked() == 3
    assert await started.seen("a") == [1, 2, 3, 4]
    await again.close()


async def test_a_retry_behind_another_parked_record_waits_for_that_one(service: Service) -> None:
    await hold(service, "a")
    broken = replace(facts("a", 5)[0], value=b"{")
    await service.take(broken)

    async with service.at_work():
        told = await service.updraft("dlq", "retry", "--kind", "unreadable")

    assert "behind a parked record of their key" in told.out
    assert await service.seen("a") == [1]


async def test_everything_is_retried_or_dropped_only_on_request(service: Service) -> None:
    await hold(service, "a")

    for command in ("retry", "drop"):
        told = await service.updraft("dlq", command)
        assert (told.code, "or --all" in told.err) == (1, True)
        dry = await service.updraft("dlq", command, "--all", "--dry-run")
        assert (dry.code, "1 record would be" in dry.out) == (0, True)
    unasked = await service.updraft("dlq", "drop", "--all")
    assert unasked.code == 1

    assert await service.parked() == [("a", "parked"), ("a", "waiting"), ("a", "waiting")]
    assert await service.log() == []


async def test_a_drop_releases_those_behind_and_leaves_who_and_why(service: Service) -> None:
    await hold(service, "a")

    async with service.at_work():
        told = await service.updraft(
            *("dlq", "drop", "--key", "a", "--yes", "--actor", "ada", "--because", "sent anew")
        )

    assert told.code == 0, told.err
    assert "1 record dropped" in told.out
    assert await service.seen("a") == [1, 3, 4]
    assert await service.parked() == []
    assert (await service.log())[0] == ("drop", "ada", "sent anew")
