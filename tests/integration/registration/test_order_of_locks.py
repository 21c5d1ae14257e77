"""Two things at the same moment: the second waits for the first and then sees what it did."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from asyncpg import UniqueViolationError

from services.registration import participation
from services.registration.domain.directory import Person, ScheduledChange
from services.registration.domain.participation import default_profile
from services.registration.handlers.pairs import remember_pairs
from services.registration.store import directory
from shared.catalogue import PairEnded

if TYPE_CHECKING:
    from tests.integration.registration.conftest import Company, Front

LONG_ENOUGH_SECONDS = 0.3


async def test_a_departure_waits_for_an_enrolment_and_then_undoes_it(front: Front) -> None:
    await front.hire("junior", 2)
    await front.hire("senior", 8)
    programme = await front.open()
    async with front.database.transaction() as tx:
        await participation.enrol(
            tx,
            UUID(programme["programme_id"]),
            "junior",
            "mentor",
            "1",
            lambda rules, employee, locale: default_profile(rules, employee, locale, "mentor"),
        )
        departure = asyncio.create_task(front.hire("junior", 2, status="left"))
        await asyncio.sleep(LONG_ENOUGH_SECONDS)
        assert not departure.done()
    await departure
    statuses = await front.database.pool.fetch("SELECT status FROM participants")
    assert [row["status"] for row in statuses] == ["withdrawn"]


async def test_a_booking_waits_for_the_end_of_its_pair(front: Front, company: Company) -> None:
    ended = front.pair(
        PairEnded, company.junior, company.senior, pair_id=company.pair_id, reason="leaver"
    )
    body = {"starts_at": (front.clock.now() + timedelta(days=1)).isoformat()}
    async with front.database.transaction() as tx:
        await remember_pairs([ended], tx)
        booking = asyncio.create_task(
            front.ask("junior", "POST", f"/pairs/{company.pair_id}/sessions", body)
        )
        await asyncio.sleep(LONG_ENOUGH_SECONDS)
        assert not booking.done()
    assert (await booking).status_code == 409


async def test_whoever_waited_for_a_person_sees_all_that_was_written_meanwhile(
    front: Front,
) -> None:
    await front.hire("junior", 2)
    await front.hire("senior", 8)
    tomorrow = front.clock.now().date() + timedelta(days=1)
    async with front.database.transaction() as tx:
        await directory.lock_people(tx.connection, ["junior"])
        waiting = asyncio.create_task(locked(front, "senior", "junior"))
        await asyncio.sleep(LONG_ENOUGH_SECONDS)
        assert not waiting.done()
        older = (await directory.lock_people(tx.connection, ["junior"]))["junior"]
        assert older.employee is not None
        assert older.contact is not None
        newer = older._replace(
            sequence=older.sequence + 1,
            employee=older.employee._replace(department="Legal", version=2),
            contact=older.contact._replace(email="junior@example.org", version=2),
            scheduled=(ScheduledChange(7, tomorrow, {"title": "Chief"}),),
        )
        await directory.save_people(tx.connection, [(older, newer)])
    people = await waiting
    assert people["junior"] == newer
    assert list(people) == ["senior", "junior"]


async def locked(front: Front, *employee_ids: str) -> dict[str, Person]:
    """These people as a transaction of its own finds them under its locks."""
    async with front.database.transaction() as tx:
        return await directory.lock_people(tx.connection, employee_ids)


async def test_who_was_unknown_to_two_at_a_time_is_not_written_over(front: Front) -> None:
    async with front.database.transaction() as tx:
        people = await directory.lock_people(tx.connection, ["junior"])
        await front.hire("junior", 2)
        older = people["junior"]._replace(sequence=0)
        with pytest.raises(UniqueViolationError):
            await directory.save_people(tx.connection, [(people["junior"], older)])
    sequence = await front.database.pool.fetchval("SELECT sequence FROM hr_records")
    assert sequence == front.sequence
