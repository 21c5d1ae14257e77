import random

import httpx
import pytest

from services.metrics.app import create_app
from services.metrics.handlers import handlers
from services.metrics.jobs import measure_programmes
from shared.auth import Principal, TokenRefused
from shared.catalogue import GoalReached, ProgrammeClosed
from shared.testing import deliver, published
from tests.integration.metrics.programme_events import (
    PROGRAMME,
    booked,
    confirmed,
    created,
    day,
    employee,
    opened,
    story,
    uuid,
)


async def measured(database):
    """The newest measure of each key, as a reader of the compacted topic has it."""
    return {event.key: event for event in await published(database)}


def programme_wide(measures, kpi, dimension="all", group="all"):
    return measures[f"{PROGRAMME}|{kpi}|programme:2026-01-05|{dimension}|{group}"]


async def test_events_become_kpis(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    assert await deliver(handlers, database, *story()) == []
    await measure_programmes(database)
    measures = await measured(database)
    match = programme_wide(measures, "match_rate")
    assert (match.numerator, match.denominator, match.value, match.unit) == (8, 8, 1, "ratio")
    assert match.measured_at == day(20)
    assert programme_wide(measures, "time_to_match_p50").value == 3
    assert programme_wide(measures, "satisfaction", "role", "mentee").value == 4
    assert programme_wide(measures, "participation_rate", "department", "IT").denominator == 4
    assert programme_wide(measures, "notification_delivery_rate").numerator == 4
    assert programme_wide(measures, "hr_event_lag_p95").value == 1_730_000  # 20 days
    assert f"{PROGRAMME}|satisfaction|month:2026-01-01|all|all" in measures


async def test_nothing_new_publishes_nothing(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    await deliver(handlers, database, *story())
    await measure_programmes(database)
    before = len(await published(database))
    await measure_programmes(database)
    # The same facts once more, under new ids: nothing about them changed.
    again = [event for event in story() if not event.TYPE.startswith("updraft.employee")]
    await deliver(handlers, database, *again)
    database.clock.advance(hours=1)
    await measure_programmes(database)
    assert len(await published(database)) == before


async def test_late_events_restate_their_month_alone(database_for):
    database = await database_for("metrics")
    database.clock.set(day(50))
    await deliver(handlers, database, *story())
    await measure_programmes(database)
    before = len(await published(database))
    # The fourth pair's session turns out to be disputed, a month later.
    late = booked(3, 10, version=4, status="disputed", held=True)
    await deliver(handlers, database, late)
    await measure_programmes(database)
    restated = (await published(database))[before:]
    kpis = {(event.kpi, str(event.period)) for event in restated}
    assert ("first_session_14d", "month:2026-01-01") in kpis
    assert not any(period == "month:2026-02-01" for _, period in kpis)
    first = next(event for event in restated if event.kpi == "first_session_14d")
    assert (first.numerator, first.denominator) == (3, 4)


async def test_time_alone_restates_what_depends_on_it(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    await deliver(handlers, database, *story())
    await measure_programmes(database)
    assert programme_wide(await measured(database), "stalled_pairs").value == 0
    database.clock.set(day(71))
    await measure_programmes(database)
    assert programme_wide(await measured(database), "stalled_pairs").value == 4


@pytest.mark.parametrize("seed", range(5))
async def test_the_order_and_repetition_of_events_do_not_matter(database_for, seed):
    events = [*story(3), employee("junior0", 1, "Legal", version=2, effective_from=day(12))]
    events += [
        GoalReached(
            goal_id=uuid("goal1"),
            pair_id=uuid("pair1"),
            programme_id=PROGRAMME,
            set_by="mentee",
            set_at=day(10),
            reached_at=day(15),
        ),
        created(
            2, version=3, status="ended", reason="no_fit", closed_at=day(18), changed_at=day(18)
        ),
        confirmed(1, 16),
    ]
    straight, shuffled = [await database_for("metrics") for _ in range(2)]
    for database in (straight, shuffled):
        database.clock.set(day(30))
    await deliver(handlers, straight, *events)
    await measure_programmes(straight)
    chance = random.Random(seed)
    mixed = events * 2
    chance.shuffle(mixed)
    for start in range(0, len(mixed), 7):
        await deliver(handlers, shuffled, *mixed[start : start + 7])
        if chance.random() < 0.4:
            await measure_programmes(shuffled)
    await measure_programmes(shuffled)

    # A passing state may have shown a group that is gone; it is suppressed, and not missed.
    def kept(measures):
        return {key: one for key, one in measures.items() if not one.suppressed}

    assert kept(await measured(straight)) == kept(await measured(shuffled))


async def test_a_programme_that_is_not_known_yet_waits(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    await deliver(handlers, database, *story()[1:])
    await measure_programmes(database)
    assert await published(database) == []
    await deliver(handlers, database, opened())
    await measure_programmes(database)
    assert programme_wide(await measured(database), "match_rate").value == 1


async def test_erased_people_lose_what_tells_them_apart(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    await deliver(
        handlers, database, *story(), employee("senior0", 5, "HR", version=2, manager_id="boss")
    )
    gone = employee("senior0", 0, "erased", version=3, status="left", erased=True)
    await deliver(handlers, database, gone)
    rows = await database.pool.fetch(
        "SELECT department, manager_id FROM employee_states WHERE employee_id = 'senior0'"
    )
    assert {tuple(row) for row in rows} == {("unknown", None)}


async def test_closing_tells_the_end(database_for):
    database = await database_for("metrics")
    database.clock.set(day(60))
    await deliver(handlers, database, *story())
    closed = ProgrammeClosed(**opened(version=2, status="closed", changed_at=day(50)).model_dump())
    await deliver(handlers, database, closed)
    await deliver(
        handlers,
        database,
        *[
            created(
                n,
                version=3,
                status="ended",
                reason="programme_closed",
                closed_at=day(51),
                changed_at=day(51),
            )
            for n in range(4)
        ],
    )
    await measure_programmes(database)
    measures = await measured(database)
    assert programme_wide(measures, "match_rate").value == 1
    reason = programme_wide(measures, "early_end_by_reason", "reason", "programme_closed")
    assert reason.value == 1


class Tokens:
    """Takes the token for the role."""

    async def verify(self, token):
        if token == "bad":
            raise TokenRefused("The token is not valid.")
        return Principal(subject=token, roles=frozenset({token}), employee_id="e1")


@pytest.fixture
async def client(database_for):
    database = await database_for("metrics")
    database.clock.set(day(20))
    await deliver(handlers, database, *story())
    await measure_programmes(database)
    app = create_app()
    app.state.database, app.state.clock, app.state.tokens = database, database.clock, Tokens()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://metrics") as client:
        yield client


async def ask(client, path, token="programme_manager"):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await client.get(path, headers=headers)


async def test_kpis_are_told_with_what_they_mean(client):
    answer = await ask(client, f"/programmes/{PROGRAMME}/kpis?kpi=match_rate&dimension=all")
    assert answer.status_code == 200
    whole, january = answer.json()
    assert whole == january | {"period": whole["period"]}
    assert whole["period"] == {"kind": "programme", "start": "2026-01-05", "end": "2026-07-04"}
    assert (whole["numerator"], whole["denominator"], whole["value"]) == (8, 8, 1)
    assert (whole["target"], whole["unit"], whole["suppressed"]) == (0.8, "ratio", False)
    assert "÷" in whole["definition"]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("period=programme", 1),
        ("period=month", 1),
        ("period=2026-01-01", 1),
        ("period=2026-02-01", 0),
    ],
)
async def test_kpis_can_be_asked_for_by_period(client, query, count):
    path = f"/programmes/{PROGRAMME}/kpis?kpi=nps&dimension=all&{query}"
    assert len((await ask(client, path)).json()) == count


@pytest.mark.parametrize(
    ("path", "token", "status", "field"),
    [
        (f"/programmes/{uuid('other')}/kpis", "auditor", 404, "programme_id"),
        (f"/programmes/{PROGRAMME}/kpis?kpi=luck", "auditor", 404, "kpi"),
        (f"/programmes/{PROGRAMME}/kpis?period=week", "auditor", 422, None),
        (f"/programmes/{PROGRAMME}/kpis", None, 401, "Authorization"),
        (f"/programmes/{PROGRAMME}/kpis", "bad", 401, "Authorization"),
        (f"/programmes/{PROGRAMME}/kpis", "participant", 403, "Authorization"),
        (f"/programmes/{PROGRAMME}/kpis", "hr_system", 403, "Authorization"),
    ],
)
async def test_others_and_unknowns_are_refused_with_a_remedy(client, path, token, status, field):
    answer = await ask(client, path, token)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    if field:
        assert answer.json()["field"] == field
        assert answer.json()["remedy"]
