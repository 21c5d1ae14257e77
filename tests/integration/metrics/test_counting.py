"""People whom a programme does not concern are counted, not read; the figures are the same."""

from dataclasses import replace
from datetime import UTC
from random import Random
from statistics import quantiles

import pytest

from services.metrics.domain.facts import EmployeeRow, Lags, histories
from services.metrics.domain.measuring import measure
from services.metrics.handlers import handlers
from services.metrics.store import PROJECTIONS
from services.metrics.store.recalling import facts_of
from shared.catalogue import Audience, ProgrammeClosed
from shared.testing import deliver
from tests.integration.metrics.programme_events import (
    PROGRAMME,
    created,
    day,
    employee,
    enrolled,
    opened,
    story,
    trained,
)


async def recalled(database):
    async with database.transaction() as tx:
        facts = await facts_of(PROGRAMME, "programme", tx)
        arrivals = await facts_of(PROGRAMME, "arrivals", tx)
    return replace(facts, lags=arrivals.lags)


async def counted_plainly(database, facts):
    """The same facts with everybody by name and nobody in a crowd."""
    names = ", ".join(EmployeeRow.__dataclass_fields__)
    rows = await database.pool.fetch(f"SELECT {names} FROM employee_states")
    arrivals = await database.pool.fetch(
        "SELECT arrived_at, lag_seconds FROM employee_states WHERE lag_seconds IS NOT NULL"
    )
    seconds = {}
    for one in arrivals:
        month = one["arrived_at"].astimezone(UTC).date().replace(day=1)
        for when in (None, month):
            seconds.setdefault(when, []).append(one["lag_seconds"])
    employees = histories(
        EmployeeRow(**{**row, "dotted_line_manager_ids": tuple(row["dotted_line_manager_ids"])})
        for row in rows
    )
    lags = {month: lags_of(found) for month, found in seconds.items()}
    return replace(facts, employees=employees, crowds={}, lags=lags)


def lags_of(seconds):
    taken = [float(f"{one:.2e}") for one in seconds]
    p95 = quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else taken[0]
    return Lags(len(seconds), sum(seconds), p95)


def company(chance, people, last):
    """People of few kinds with disordered, overlapping and announced changes."""
    for n in range(people):
        name = f"p{n}"
        for version in range(1, chance.choice((2, 2, 3, 5))):
            yield person(chance, name, version, people, last)
    for n in range(4):
        for name in (f"junior{n}", f"senior{n}"):
            if chance.random() < 0.5:
                yield person(chance, name, 2, people, last)


def person(chance, name, version, people, last):
    return employee(
        name,
        chance.randint(0, 6),
        chance.choice(("IT", "HR", "Legal", "Sales")),
        version=version,
        status=chance.choice(("active", "active", "active", "on_leave", "left")),
        country=chance.choice(("DE", "FR", None)),
        manager_id=f"p{chance.randrange(people)}" if chance.random() < 0.4 else None,
        dotted_line_manager_ids=(f"p{chance.randrange(people)}",) * chance.choice((0, 0, 0, 1)),
        start_date=(day(chance.choice((last - 30, chance.randint(-4200, 40))))).date(),
        # On the edges of months, of the landmark and of the last moment as well.
        effective_from=day(chance.choice((-500, -4, 27, 90, 455, last, chance.randint(-600, 520)))),
        received_at=chance.choice((None, day(chance.randint(-9, 300)))),
    )


def participations(chance):
    """People of the company in one role or both, and pairs of theirs."""
    for n in range(4):
        for role, name in (("mentor", f"junior{n}"), ("mentee", f"senior{n}")):
            yield enrolled(name, role)
            if chance.random() < 0.8:
                yield trained(name, role, ready_at=day(chance.randint(0, 95)))
        if chance.random() < 0.7:
            yield created(n)
    for n in range(3):
        yield trained(f"p{n}", chance.choice(("mentor", "mentee")))


def programme(chance):
    rules = {
        "length_days": chance.choice((60, 90, 180)),
        "min_group_size": chance.randint(2, 8),
        "audience": Audience(
            departments=chance.choice(((), ("IT", "HR"))),
            countries=chance.choice(((), ("DE",))),
            mentor_max_level=chance.choice((3, 6)),
            mentee_min_level=chance.choice((0, 3)),
            min_tenure_days=chance.choice((0, 30, 400)),
        ),
    }
    yield opened(**rules)
    if chance.random() < 0.3:
        closed = opened(version=2, status="closed", changed_at=day(50), **rules)
        yield ProgrammeClosed(**closed.model_dump())


@pytest.mark.parametrize("seed", range(25))
async def test_counting_people_leads_to_the_figures_of_naming_them(database_for, seed):
    chance = Random(seed)
    database = await database_for("metrics")
    first, last = chance.randint(-5, 20), chance.choice((20, 90, 100, 300, 456, 500))
    database.clock.set(day(first))
    changes = list(company(chance, chance.randint(30, 120), last))
    facts = [*programme(chance), *story()[1:], *participations(chance)]
    await deliver(handlers, database, *facts, *changes[::2])
    database.clock.set(day(last))
    await deliver(handlers, database, *changes[1::2])
    found = await recalled(database)
    plain = await counted_plainly(database, found)
    now = database.clock.now()
    assert len(found.employees) < len(plain.employees)
    assert measure(found, now) == measure(plain, now)


async def test_only_people_concerned_and_those_above_them_are_read(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    above = {"junior0": "chief", "chief": "boss", "boss": "junior0", "stranger": "boss"}
    changes = [employee(name, 3, "IT", version=2, manager_id=top) for name, top in above.items()]
    dotted = employee("senior1", 5, "HR", version=2, dotted_line_manager_ids=("adviser",))
    others = [employee(name, 5, "HR") for name in ("adviser", "passer-by")]
    await deliver(handlers, database, *story(2), *changes, dotted, *others)
    facts = await recalled(database)
    assert {versions[0].employee_id for versions in facts.employees} == {
        *(f"{kind}{n}" for kind in ("junior", "senior") for n in range(2)),
        "chief",
        "boss",
        "adviser",
    }
    [crowds] = facts.crowds.values()
    assert {(one.job_level, one.department, one.count) for one in crowds} == {
        (3, "IT", 1),
        (5, "HR", 1),
    }


async def test_arrivals_are_counted_once_more_after_a_rebuilding(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    await deliver(handlers, database, opened(), employee("old", 1, "IT", received_at=day(10)))
    await database.pool.execute(
        "INSERT INTO employee_states SELECT (jsonb_populate_record(s,"
        ' \'{"employee_id": "lost", "lag_seconds": 5}\')).* FROM employee_states AS s'
    )
    async with database.transaction() as tx:
        await PROJECTIONS.after(tx)
    ever = (await recalled(database)).lags[None]
    assert (ever.changes, ever.seconds) == (2, 10 * 86400 + 5)
