"""The agenda runs things at their programme time, bounded, and survives failures."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from deploy.demo.agenda import Agenda
from shared.clock import Clock

START = datetime(2026, 1, 5, 7, tzinfo=UTC)


def fast() -> Clock:
    return Clock(START, datetime.now(UTC), 100_000)


async def nothing() -> None:
    pass


async def test_actions_run_in_the_order_of_their_time() -> None:
    agenda, said = Agenda(fast()), []

    def say(word: str):  # type: ignore[no-untyped-def]
        async def act() -> None:
            said.append(word)

        return act

    agenda.at(START + timedelta(days=2), say("second"))
    agenda.at(START + timedelta(days=1), say("first"))
    agenda.at(START + timedelta(days=400), say("never"))
    await agenda.run(START + timedelta(days=3), nothing)
    await agenda.drain(1)
    assert said == ["first", "second"]


async def test_no_more_than_the_allowed_number_runs_at_once() -> None:
    agenda = Agenda(fast(), in_flight=3)
    running = highest = 0

    async def act() -> None:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0.01)
        running -= 1

    for _ in range(20):
        agenda.at(START, act)
    await agenda.run(START + timedelta(days=1), nothing)
    await agenda.drain(2)
    assert highest == 3
    assert agenda.done == 20


async def test_a_failing_action_is_kept_and_stops_nobody() -> None:
    agenda = Agenda(fast())

    async def fail() -> None:
        raise RuntimeError("stumbled")

    agenda.at(START, fail)
    agenda.at(START + timedelta(days=1), nothing)
    await agenda.run(START + timedelta(days=2), nothing)
    await agenda.drain(1)
    assert [str(error) for error in agenda.failures] == ["stumbled"]
    assert agenda.done == 2


async def test_an_action_that_hangs_does_not_hold_up_the_end() -> None:
    agenda = Agenda(fast())

    async def hang() -> None:
        await asyncio.sleep(60)

    agenda.at(START, hang)
    await agenda.run(START + timedelta(days=1), nothing)
    await agenda.drain(0.05)
    assert agenda.done == 1
