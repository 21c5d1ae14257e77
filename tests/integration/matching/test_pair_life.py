from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.catalogue import (
    ConcernRaised,
    MatchRunCompleted,
    PairCreated,
    PairFact,
    PairProposed,
    ProposalAccepted,
    SessionConfirmed,
    SessionFact,
    SessionScheduled,
)
from shared.testing import published
from tests.conftest import DatabaseFor
from tests.integration.matching.world import PROGRAMME, World, participant_id


@pytest.fixture
async def world(database_for: DatabaseFor) -> World:
    return World(await database_for("matching"))


async def test_a_proposal_goes_to_the_senior_first_then_to_the_junior(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.run()
    asked = await world.pair()
    assert isinstance(asked, PairProposed)
    assert (asked.awaiting, asked.version) == ("mentee", 1)
    assert asked.expires_at == world.now + timedelta(days=14)
    assert asked.score == pytest.approx(sum(part.points for part in asked.breakdown))
    assert asked.topics == ("ai",)
    world.later(days=2)
    await world.answer(asked, "mentee")
    then = await world.pair()
    assert (then.awaiting, then.version, then.asked_at) == ("mentor", 2, world.now)
    await world.answer(then, "mentor")
    created = await world.pair()
    assert isinstance(created, PairCreated)
    assert (created.status, created.created_at, created.awaiting) == ("active", world.now, None)


@pytest.mark.parametrize(("approval", "first"), [("automatic", None), ("manager", "manager")])
async def test_other_approval_modes(world: World, approval: str, first: str | None) -> None:
    await world.tell(
        world.programme(approval=approval), world.mentor("junior"), world.mentee("senior")
    )
    await world.run()
    pair = await world.pair()
    assert pair.awaiting == first
    if first:
        await world.answer(pair, "mentee")
        assert (await world.pair()).status == "proposed"
        await world.answer(pair, first)
    assert (await world.pair()).status == "active"


async def test_answers_that_are_early_double_late_or_unasked_do_nothing(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.tell(
        ProposalAccepted(
            pair_id=UUID(int=5), programme_id=PROGRAMME, by="mentee", answered_at=world.now
        )
    )
    await world.run()
    pair = await world.pair()
    for by in ("mentor", "manager"):
        await world.answer(pair, by)
    await world.answer(pair, "manager", yes=False)
    assert (await world.pair()).version == 1
    for _ in range(2):
        await world.answer(pair, "mentee")
    assert (await world.pair()).version == 2
    await world.answer(pair, "mentor", yes=False)
    assert (await world.pair()).status == "declined"
    for by in ("mentee", "mentor"):
        await world.answer(pair, by)
    assert (await world.pair()).version == 3


async def test_a_declined_or_expired_pair_never_returns(world: World) -> None:
    await world.tell(
        world.programme(), world.mentor("j1"), world.mentor("j2"), world.mentee("senior")
    )
    await world.run()
    await world.answer(await world.pair(), "mentee", yes=False)
    await world.run()
    world.later(days=15)
    await world.tick()
    await world.run()
    pairs = await world.pairs()
    assert [pair.status for pair in pairs] == ["declined", "expired"]
    assert {pair.mentor_employee_id for pair in pairs} == {"j1", "j2"}


async def test_an_answer_given_after_expiry_expires_the_proposal_at_once(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.run()
    world.later(days=15)
    await world.answer(await world.pair(), "mentee")
    assert (await world.pair()).status == "expired"


async def test_an_answer_given_in_time_counts_although_it_arrives_late(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.run()
    in_time = world.now
    world.later(days=15)
    await world.answer(await world.pair(), "mentee", at=in_time)
    assert (await world.pair()).awaiting == "mentor"


async def test_the_last_yes_forms_no_pair_whose_rules_broke_meanwhile(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.run()
    pair = await world.pair()
    await world.answer(pair, "mentee")
    await world.tell(world.employee("junior", manager_id="nobody-knows"))
    assert (await world.pair()).status == "proposed"
    await world.answer(pair, "mentor")
    assert (await world.pair()).status == "expired"


@pytest.mark.parametrize(
    ("change", "reason", "left_by"),
    [
        ({"junior": {"status": "left"}}, "leaver", "mentor"),
        ({"senior": {"status": "left"}}, "leaver", "mentee"),
        ({"senior": {"erased": True}}, "leaver", "mentee"),
        ({"junior": {"manager_id": "senior"}}, "reporting_line", None),
        ({"senior": {"manager_id": "junior"}}, "reporting_line", None),
        ({"junior": {"dotted_line_manager_ids": ("senior",)}}, "reporting_line", None),
        ({"junior": {"job_level": 7}}, "level_gap", None),
    ],
)
async def test_what_hr_says_ends_a_pair(
    world: World, change: dict[str, dict[str, object]], reason: str, left_by: str | None
) -> None:
    await world.two()
    await world.tell([world.employee(name, **values) for name, values in change.items()])
    pair = await world.pair()
    assert (pair.status, pair.reason, pair.left_by) == ("ended", reason, left_by)
    assert pair.closed_at == world.now


async def test_a_manager_far_above_moving_under_the_leader_ends_the_pair(world: World) -> None:
    await world.tell(
        world.employee("vp", job_level=6),
        world.employee("head", job_level=5, manager_id="vp"),
        world.programme(),
        world.mentor("junior"),
        world.mentee("senior"),
    )
    await world.tell(world.employee("junior", manager_id="head"))
    assert (await world.paired()).status == "active"
    await world.tell(world.employee("vp", manager_id="senior"))
    pair = await world.pair()
    assert (pair.status, pair.reason) == ("ended", "reporting_line")


async def test_getting_the_same_manager_ends_the_pair(world: World) -> None:
    await world.two()
    await world.tell(
        world.employee("boss", job_level=9),
        world.employee("junior", manager_id="boss"),
        world.employee("senior", manager_id="boss"),
    )
    assert (await world.pair()).reason == "reporting_line"


async def test_an_unknown_manager_pauses_a_pair_until_the_record_comes(world: World) -> None:
    await world.two()
    await world.tell(world.employee("junior", manager_id="late"))
    assert (await world.pair()).status == "paused"
    world.later(days=1)
    await world.tell(world.employee("late", job_level=4))
    pair = await world.pair()
    assert (pair.status, pair.paused_days) == ("active", 1.0)


async def test_a_move_into_one_department_is_tolerated(world: World) -> None:
    await world.two()
    await world.tell(world.employee("junior", department="dep-senior"))
    assert (await world.pair()).status == "active"


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("junior", {"languages": ("fr",)}, "no_common_language"),
        ("junior", {"blocks": ("senior",)}, "blocked"),
        ("senior", {"blocks": ("junior",)}, "blocked"),
        ("senior", {"status": "withdrawn"}, "withdrawn"),
    ],
)
async def test_what_people_say_ends_a_pair(
    world: World, name: str, change: dict[str, object], reason: str
) -> None:
    await world.two()
    await world.tell(world.participant(name, **change))
    pair = await world.pair()
    assert (pair.status, pair.reason) == ("ended", reason)
    assert pair.left_by == ("mentee" if reason == "withdrawn" else None)


async def test_leave_pauses_and_return_resumes(world: World) -> None:
    await world.two()
    await world.tell(world.employee("senior", status="on_leave"))
    world.later(days=10)
    await world.tell(world.participant("junior", status="paused"))
    world.later(days=10)
    await world.tell(world.employee("senior", status="active"))
    assert (await world.pair()).status == "paused"
    await world.tell(world.participant("junior", status="ready"))
    pair = await world.pair()
    assert (pair.status, pair.paused_days, pair.paused_at) == ("active", 20.0, None)


async def test_a_smaller_capacity_ends_the_youngest_pair(world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior", capacity=2), world.mentee("old"))
    first = await world.paired()
    world.later(days=1)
    await world.tell(world.mentee("new"))
    second = await world.paired()
    assert (first.status, second.status) == ("active", "active")
    await world.tell(world.participant("junior", capacity=1))
    by_id = {pair.pair_id: pair for pair in await world.pairs()}
    assert by_id[first.pair_id].status == "active"
    assert (by_id[second.pair_id].status, by_id[second.pair_id].reason) == (
        "ended",
        "over_capacity",
    )


async def test_capacity_counts_proposals(world: World) -> None:
    await world.tell(world.programme(mentor_capacity=1), world.mentor("junior", capacity=5))
    await world.tell(world.mentee("s1"))
    await world.run()
    await world.tell(world.mentee("s2"))
    await world.run()
    assert len(await world.pairs()) == 1


@pytest.mark.parametrize(
    ("category", "reason"),
    [
        ("no_fit", "no_fit"),
        ("conflict", "conflict"),
        ("safeguard", "safeguard"),
        ("other", "admin"),
    ],
)
async def test_a_request_to_leave_ends_the_pair_for_good(
    world: World, category: str, reason: str
) -> None:
    pair = await world.two()
    concern = {
        "pair_id": pair.pair_id,
        "programme_id": PROGRAMME,
        "raised_by": "mentor",
        "category": category,
        "raised_at": world.now,
    }
    await world.tell(ConcernRaised(concern_id=UUID(int=1), exit_requested=False, **concern))
    assert (await world.pair()).status == "active"
    await world.tell(ConcernRaised(concern_id=UUID(int=2), exit_requested=True, **concern))
    assert (await world.pair()).reason == reason
    await world.run()
    assert len(await world.pairs()) == 1


async def test_closing_completes_active_pairs_and_lapses_proposals(world: World) -> None:
    await world.two()
    await world.tell(world.mentor("j2"), world.mentee("s2"))
    await world.run()
    await world.tell(world.programme(status="closed"))
    assert [pair.status for pair in await world.pairs()] == ["completed", "expired"]
    await world.tell(world.mentor("j3"), world.mentee("s3"))
    await world.run()
    assert len(await world.pairs()) == 2


async def test_the_last_day_completes_pairs(world: World) -> None:
    await world.tell(world.programme(length_days=60))
    await world.tell(world.mentor("junior"), world.mentee("senior"))
    await world.paired()
    world.later(days=59)
    await world.tick()
    assert (await world.pair()).status == "active"
    world.later(days=1)
    await world.tick()
    assert (await world.pair()).status == "completed"


def _session(
    pair: PairFact, world: World, kind: type[SessionFact] = SessionScheduled, **changes: object
) -> SessionFact:
    values: dict[str, Any] = {
        "session_id": UUID(int=3),
        "pair_id": pair.pair_id,
        "programme_id": PROGRAMME,
        "mentor_employee_id": "junior",
        "mentee_employee_id": "senior",
        "status": "scheduled",
        "version": 1,
        "starts_at": world.now,
        "minutes": 60,
        "changed_at": world.now,
    }
    return kind(**values | changes)


async def test_silence_ends_a_pair_a_week_after_the_warning(world: World) -> None:
    pair = await world.two()
    world.later(days=30)
    met = _session(pair, world, SessionConfirmed, status="confirmed", held=True)
    await world.tell(met)
    world.later(days=96)
    await world.tick()
    assert (await world.pair()).status == "active"
    world.later(days=1)
    await world.tick()
    pair = await world.pair()
    assert (pair.status, pair.reason) == ("ended", "inactive")


async def test_a_booked_session_breaks_the_silence(world: World) -> None:
    pair = await world.two()
    world.later(days=98)
    await world.tell(_session(pair, world, starts_at=world.now + timedelta(days=3)))
    await world.tick()
    assert (await world.pair()).status == "active"
    world.later(days=4)
    await world.tick()
    assert (await world.pair()).reason == "inactive"


async def test_the_survivor_of_a_leaver_comes_first_and_is_run_for_at_once(world: World) -> None:
    await world.two()
    world.later(days=40)
    await world.tell(world.mentee("newcomer", topics_offered=({"topic": "golf"},)))
    await world.run()
    await world.tell(world.employee("junior", status="left"))
    ended = await world.pair()
    assert ended.reason == "leaver"
    await world.tell(world.mentor("j2", capacity=1, topics_wanted=({"topic": "golf"},)))
    await world.run()
    assert (await world.pair()).mentee_employee_id == "senior"
    trigger = [
        e.trigger for e in await published(world.database) if isinstance(e, MatchRunCompleted)
    ]
    assert trigger[-1] == "leaver"
    since = await world.database.pool.fetchval("SELECT orphaned_since FROM orphans")
    assert since == ended.closed_at
    for by in ("mentee", "mentor"):
        await world.answer(await world.pair(), by)
    assert await world.database.pool.fetchval("SELECT count(*) FROM orphans") == 0


async def test_events_told_again_change_nothing(world: World) -> None:
    await world.two()
    before = await published(world.database)
    everything = [
        *world.employees.values(),
        *world.participants.values(),
        *world.programmes.values(),
    ]
    await world.tell(everything)
    await world.run()
    assert [e for e in await published(world.database) if not isinstance(e, MatchRunCompleted)] == [
        e for e in before if not isinstance(e, MatchRunCompleted)
    ]


async def test_a_pair_of_two_programmes_is_formed_once(world: World) -> None:
    other = UUID(int=2)
    await world.two()
    await world.tell(
        world.programme(other),
        world.participant("junior", "mentor", programme_id=other),
        world.participant("senior", "mentee", programme_id=other),
    )
    await world.run()
    assert len(await world.pairs()) == 1
    assert participant_id("junior", other) != participant_id("junior")
