from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, time
from uuid import UUID

import asyncpg
import pytest

from services.matching import jobs, runs, store
from services.matching.domain.pairs import Pair
from services.matching.handlers import guard_pairs_of_employees
from services.matching.solver import SolverFailed, Told
from services.matching.store import runs as run_store
from services.matching.store.runs import Run
from shared.catalogue import Event, MatchRunCompleted, PairFact
from shared.database import Transaction
from shared.testing import published
from tests.conftest import DatabaseFor
from tests.integration.matching.pair_checker import violations
from tests.integration.matching.world import PROGRAMME, World, participant_id


@pytest.fixture
async def world(database_for: DatabaseFor) -> World:
    return World(await database_for("matching"))


async def _completed(world: World) -> list[MatchRunCompleted]:
    return [e for e in await published(world.database) if isinstance(e, MatchRunCompleted)]


async def test_a_run_says_what_it_found(world: World) -> None:
    await world.tell(
        world.programme(),
        world.mentor("junior"),
        world.mentee("senior"),
        world.mentee("frank", languages=("fr",)),
        world.mentee("tina", topics_wanted=({"topic": "golf"},)),
    )
    await world.run()
    (run,) = await _completed(world)
    pair = await world.pair()
    assert (run.proposed, run.mentees_waiting, run.mentors_waiting) == (1, 2, 0)
    assert run.objective == pair.score
    assert run.run_id == pair.run_id
    assert len(run.input_hash) == 64
    assert run.trigger == "programme_changed"
    assert {each.participant_id: each.reasons for each in run.unmatched} == {
        participant_id("frank"): {"no_common_language": 1},
        participant_id("tina"): {"no_wanted_topic": 1},
    }


async def test_nothing_new_means_no_run(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"))
    await world.run()
    world.later(days=1)
    for _ in range(3):
        await jobs.schedule_daily_runs(world.database, run_at=time(6))
        await world.run()
    assert len(await _completed(world)) == 1


async def test_the_daily_run_comes_once_a_day_at_its_hour(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"))
    await world.run()
    await jobs.schedule_daily_runs(world.database, run_at=time(6))
    await world.run()
    # Told about the senior in parts, so that nobody seems ready when the participant arrives.
    await world.tell(world.participant("senior", "mentee"))
    await world.run()
    await world.tell(world.employee("senior", job_level=7))
    world.later(hours=20)
    await jobs.schedule_daily_runs(world.database, run_at=time(6))
    await world.run()
    assert await world.pairs() == []
    world.later(hours=2)
    await jobs.schedule_daily_runs(world.database, run_at=time(6))
    await world.run()
    assert len(await world.pairs()) == 1
    assert (await _completed(world))[-1].trigger == "schedule"


async def test_a_wave_of_events_is_one_run(world: World) -> None:
    await world.tell(world.programme())
    await asyncio.gather(*(world.tell(world.mentor(f"j{n}")) for n in range(10)))
    waiting = await world.database.pool.fetchval("SELECT count(*) FROM match_runs")
    assert waiting == 1
    await runs.carry_out_due_runs(world.database, world.solve, debounce_seconds=60)
    assert await _completed(world) == []
    await world.run()
    assert len(await _completed(world)) == 1


async def test_who_has_a_partner_in_another_programme_is_run_for_all_the_same(
    world: World,
) -> None:
    other = UUID(int=2)
    await world.two()
    await world.tell(world.programme(other), world.mentor("third", programme_id=other))
    await world.run()
    await world.tell(world.participant("senior", "mentee", programme_id=other))
    await world.run()
    assert {(pair.programme_id, pair.mentor_employee_id) for pair in await world.pairs()} == {
        (PROGRAMME, "junior"),
        (other, "third"),
    }


async def test_who_has_no_seat_left_is_not_run_for(world: World) -> None:
    await world.two()
    await world.run()
    told = len(await _completed(world))
    await world.tell(world.participant("senior", interests=("tea",)))
    await world.run()
    assert len(await _completed(world)) == told


@pytest.mark.parametrize("what", ["leaver", "line", "block", "withdrawn", "capacity", "closed"])
async def test_what_happens_while_a_run_solves_is_not_overlooked(world: World, what: str) -> None:
    await world.tell(world.programme(), world.mentor("junior", capacity=2), world.mentee("senior"))

    async def slowly(run: Run, now: datetime, told: Told) -> None:
        await world.solve(run, now, told)
        assert await world.database.pool.fetchval("SELECT count(*) FROM run_pairs") == 1
        news: dict[str, list[Event]] = {
            "leaver": [world.employee("junior", status="left")],
            "line": [world.employee("junior", manager_id="senior")],
            "block": [world.participant("senior", blocks=("junior",))],
            "withdrawn": [world.participant("junior", status="withdrawn")],
            "capacity": [],
            "closed": [world.programme(status="closed")],
        }
        if what == "capacity":
            await world.database.pool.execute("UPDATE participants SET capacity = 0")
        await world.tell(news[what])

    await world.run(slowly)
    assert await world.pairs() == []
    (run,) = await _completed(world)
    assert run.proposed == 0
    state = await world.database.pool.fetchrow(
        "SELECT * FROM match_runs WHERE trigger = 'overtaken'"
    )
    assert state is not None or what != "capacity"


async def test_a_run_whose_process_dies_is_taken_up_again(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))

    async def dies(run: Run, now: datetime, told: Told) -> None:
        raise SolverFailed("killed")

    with pytest.raises(SolverFailed):
        await world.run(dies)
    row = await world.database.pool.fetchrow("SELECT state, attempts FROM match_runs")
    assert tuple(row or ()) == ("running", 1)
    await world.run()
    assert len(await world.pairs()) == 1


async def test_a_run_that_never_works_is_given_up(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))

    async def dies(run: Run, now: datetime, told: Told) -> None:
        raise SolverFailed("killed")

    for _ in range(runs.MOST_ATTEMPTS):
        with pytest.raises(SolverFailed):
            await world.run(dies)
    await world.run(dies)
    assert await world.database.pool.fetchval("SELECT state FROM match_runs") == "failed"


async def test_two_replicas_carry_out_a_run_once(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))

    async def slowly(run: Run, now: datetime, told: Told) -> None:
        await asyncio.sleep(0.2)
        await world.solve(run, now, told)

    await asyncio.gather(*(world.run(slowly) for _ in range(2)))
    assert len(await _completed(world)) == 1
    assert len(await world.pairs()) == 1


async def test_the_service_itself_never_loads_the_solver() -> None:
    code = (
        "import sys, services.matching.app;"
        "print([m for m in ('numpy', 'numba', 'pylmcf', 'scipy') if m in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == "[]"


async def test_a_run_waits_for_news_that_is_being_taken_in(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    async with world.database.transaction() as tx:
        await guard_pairs_of_employees([world.employee("junior", manager_id="senior")], tx)
        run = asyncio.create_task(world.run())
        await asyncio.sleep(0.3)
        assert not run.done()
    await run
    assert await world.pairs() == []


async def test_news_waits_for_a_run_that_is_being_stored_and_then_guards_its_pairs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    storing, go_on = asyncio.Event(), asyncio.Event()
    add_pairs = store.add_pairs

    async def slowly(tx: Transaction, new: Sequence[Pair]) -> set[UUID]:
        storing.set()
        await go_on.wait()
        return await add_pairs(tx, new)

    monkeypatch.setattr(store, "add_pairs", slowly)
    run = asyncio.create_task(world.run())
    await storing.wait()
    news = asyncio.create_task(world.tell(world.employee("junior", manager_id="senior")))
    await asyncio.sleep(0.2)
    assert not news.done()
    go_on.set()
    await asyncio.gather(run, news)
    assert [pair.status for pair in await world.pairs()] == ["expired"]


async def test_everything_at_once_breaks_no_rule(world: World) -> None:
    """Consumers, answers, jobs and runs of several replicas, all at the same time."""
    rng = random.Random(4)
    juniors, seniors = [f"j{n}" for n in range(8)], [f"s{n}" for n in range(8)]
    delivered: list[Event] = []

    async def tell(*events: Event) -> None:
        for _ in range(20):
            try:
                await world.tell(*events)
                break
            except asyncpg.TransactionRollbackError:
                await asyncio.sleep(rng.random() / 50)
        delivered.extend(events)

    await tell(world.programme(approval="automatic", mentor_capacity=2))
    for name in juniors:
        await tell(*world.mentor(name, capacity=2))
    for name in seniors:
        await tell(*world.mentee(name))

    def news() -> Event:
        junior, senior = rng.choice(juniors), rng.choice(seniors)
        changes: list[Callable[[], Event]] = [
            lambda: world.employee(junior, manager_id=senior),
            lambda: world.employee(junior, manager_id=None),
            lambda: world.employee(senior, status=rng.choice(("left", "active"))),
            lambda: world.participant(junior, capacity=rng.randint(1, 2)),
            lambda: world.participant(senior, blocks=(junior,)),
        ]
        return rng.choice(changes)()

    async def disturb() -> None:
        for _ in range(25):
            await tell(news())

    async def run_often() -> None:
        for _ in range(15):
            await world.run()
            await world.tick()

    await asyncio.gather(disturb(), disturb(), run_often(), run_often())
    decided = [e for e in await published(world.database) if isinstance(e, PairFact)]
    assert len(decided) > 4, "how many depends on who comes first"
    assert violations(delivered, decided) == []


async def test_a_run_of_an_unknown_programme_waits_for_nobody(world: World) -> None:
    await world.tell(world.participant("junior"))
    await world.run()
    assert await world.database.pool.fetchval("SELECT state FROM match_runs") == "over"
    world.later(days=1)
    await world.tell(world.programme(PROGRAMME), world.employee("junior"), world.mentee("senior"))
    await world.run()
    assert len(await world.pairs()) == 1


async def test_a_wave_of_a_thousand_hr_events_is_one_solve(world: World) -> None:
    await world.tell(world.programme(), *(world.mentor(f"j{n}") for n in range(4)))
    await world.tell(*(world.mentee(f"s{n}") for n in range(4)))
    await world.paired()
    world.later(days=1)
    solved: list[UUID] = []

    async def counted(run: Run, now: datetime, told: Told) -> None:
        solved.append(run.run_id)
        await world.solve(run, now, told)

    async def an_hour_debounced() -> None:
        await runs.carry_out_due_runs(world.database, counted, debounce_seconds=3600)

    for wave in range(10):
        # Two of the four mentors leave in the middle of a reorganisation.
        leavers = [world.employee(f"j{wave}", status="left")] if wave < 2 else []
        others = [world.employee(f"x{wave}-{n}") for n in range(100 - len(leavers))]
        await world.tell(*others, *leavers)
        await an_hour_debounced()
    assert solved == []
    await world.database.pool.execute(
        "UPDATE match_runs SET asked_at = asked_at - interval '1 hour' WHERE state = 'requested'"
    )
    for _ in range(3):
        await an_hour_debounced()
    assert len(solved) == 1


async def test_each_event_of_a_wave_puts_its_run_off_but_not_for_ever(world: World) -> None:
    await world.tell(world.programme())
    pool = world.database.pool

    async def due() -> bool:
        return bool(await run_store.programmes_with_due_runs(world.database, 10))

    await pool.execute("UPDATE match_runs SET asked_at = asked_at - interval '11 seconds'")
    assert await due()
    await world.tell(world.mentor("junior"))
    assert not await due()
    await pool.execute("UPDATE match_runs SET first_asked_at = first_asked_at - interval '51 s'")
    assert await due()


async def test_only_the_people_concerned_move_when_somebody_leaves(world: World) -> None:
    await world.tell(world.programme(), *(world.mentor(f"j{n}") for n in range(5)))
    await world.tell(*(world.mentee(f"s{n}") for n in range(4)))
    await world.paired()
    before = {pair.pair_id: pair for pair in await world.pairs()}
    assert len(before) == 4
    leaver = next(iter(before.values())).mentor_employee_id
    await world.tell(world.employee(leaver, status="left"))
    await world.run()
    for pair in await world.pairs():
        known = before.get(pair.pair_id)
        if known is None:
            assert leaver != pair.mentor_employee_id
            assert pair.mentee_employee_id in {
                each.mentee_employee_id
                for each in before.values()
                if each.mentor_employee_id == leaver
            }
        elif known.mentor_employee_id != leaver:
            assert pair == known
