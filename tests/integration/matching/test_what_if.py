"""Runs that only say what would be, and two runs side by side."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.matching.coverage import shown
from tests.conftest import DatabaseFor
from tests.integration.matching.http import as_, client_of, manager
from tests.integration.matching.world import PROGRAMME, World, participant_id

URL = f"/programmes/{PROGRAMME}/match-runs"


@pytest.fixture
async def world(database_for: DatabaseFor) -> World:
    return World(await database_for("matching"))


@pytest.fixture
def http(world: World) -> httpx.AsyncClient:
    return client_of(world)


async def _dry(
    http: httpx.AsyncClient, world: World, rules: dict[str, Any] | None = None, **options: bool
) -> dict[str, Any]:
    """Carries out a dry run; returns it as it is shown."""
    answer = await http.post(
        URL, params={"dry_run": True, **options}, json=rules, headers=manager()
    )
    assert answer.status_code == 202, answer.text
    await world.run()
    shown = await http.get(f"/match-runs/{answer.json()['run_id']}", headers=manager())
    run: dict[str, Any] = shown.json()
    return run


async def _pairs_of(http: httpx.AsyncClient, run: dict[str, Any]) -> set[tuple[str, str]]:
    found = await http.get(f"/match-runs/{run['run_id']}/pairs", headers=manager())
    return {(each["mentor_id"], each["mentee_id"]) for each in found.json()}


def _couple(mentor: str, mentee: str) -> tuple[str, str]:
    return str(participant_id(mentor)), str(participant_id(mentee))


async def test_a_dry_run_keeps_its_outcome_and_proposes_nothing(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.run()
    before = await world.pairs()
    await world.tell(world.mentor("another"), world.mentee("late"))
    await world.database.pool.execute("DELETE FROM match_runs WHERE state = 'requested'")
    run = await _dry(http, world)
    assert (run["state"], run["dry_run"], run["proposed"]) == ("completed", True, 0)
    assert run["certificate"]["pairs"] == 1
    assert await _pairs_of(http, run) == {_couple("another", "late")}
    assert await world.pairs() == before
    await world.tell(world.programme())
    await world.run()
    assert len(await world.pairs()) == 2, "what a dry run found is no reason not to propose it"


async def test_a_dry_run_explains_nothing_to_anybody(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"))
    await world.run()
    explained = await world.database.pool.fetch("SELECT * FROM unmatched")
    await _dry(http, world, {"min_level_gap": 9})
    assert await world.database.pool.fetch("SELECT * FROM unmatched") == explained


async def test_a_dry_run_goes_by_other_rules(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(
        world.programme(min_level_gap=6), world.mentor("junior"), world.mentee("senior")
    )
    await world.run()
    assert await world.pairs() == []
    assert (await _dry(http, world))["certificate"]["pairs"] == 0
    weights = {
        "wants_covered": 100, "shared_interests": 0, "distance": 0, "mentor_wants_covered": 0,
        "time_overlap": 0, "waiting_time": 0, "level_gap": 0,
    }  # fmt: skip
    run = await _dry(http, world, {"min_level_gap": 5, "weights": weights})
    assert run["certificate"]["pairs"] == 1
    assert run["changes"] == {"min_level_gap": 5, "weights": weights}
    found = (await http.get(f"/match-runs/{run['run_id']}/pairs", headers=manager())).json()
    points = {part["factor"]: part["points"] for part in found[0]["breakdown"]}
    assert sum(points.values()) == points["wants_covered"] == found[0]["score"]


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"gender": "any"}, "gender"),
        ({"weights": {"age": 100}}, "weights.age"),
        ({"min_level_gap": 0}, "min_level_gap"),
        ({"min_level_gap": None}, "min_level_gap"),
        ({"weights": {"distance": 99}}, "weights"),
        ({"stickiness": 101}, "stickiness"),
        ({"approval": "automatic"}, "approval"),
        ({"half \ud800": 1}, "half ?"),
        ({"weights": {"half \ud800": 1}}, "weights.half ?"),
        ([1], "body"),
    ],
)
async def test_rules_that_cannot_be_are_refused_by_name(
    http: httpx.AsyncClient, world: World, rules: Any, named: str
) -> None:
    await world.tell(world.programme())
    answer = await http.post(
        URL,
        params={"dry_run": True},
        content=json.dumps(rules),
        headers=manager() | {"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert named in answer.text
    assert await world.database.pool.fetchval("SELECT count(*) FROM match_runs WHERE dry_run") == 0


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, {"min_level_gap": 1}),
        ({"replan": True}, None),
        ({"dry_run": True, "review": True}, None),
    ],
)
async def test_only_a_dry_run_may_try_things(
    http: httpx.AsyncClient, world: World, options: dict[str, bool], rules: Any
) -> None:
    await world.tell(world.programme())
    answer = await http.post(URL, params=options, json=rules, headers=manager())
    assert answer.status_code == 422
    assert answer.json()["remedy"]


async def test_dry_runs_do_not_pile_up(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(world.programme())
    answers = [
        (await http.post(URL, params={"dry_run": True}, headers=manager())).status_code
        for _ in range(21)
    ]
    assert answers == [202] * 20 + [409]


async def test_living_pairs_stay_unless_all_is_planned_anew(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.two()
    # Fits the senior better than the living pair does.
    await world.tell(
        world.mentor("expert", topics_offered=({"topic": "AI", "proficiency": 5},), level=4)
    )
    await world.run()
    assert await _pairs_of(http, await _dry(http, world)) == set()
    anew = await _dry(http, world, replan=True)
    assert await _pairs_of(http, anew) == {_couple("expert", "senior")}
    sticky = await _dry(http, world, {"stickiness": 100}, replan=True)
    assert await _pairs_of(http, sticky) == {_couple("junior", "senior")}
    assert [pair.status for pair in await world.pairs()] == ["active"]


async def test_who_is_locked_together_stays_so_when_all_is_planned_anew(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.two()
    await world.tell(
        world.mentor("expert", topics_offered=({"topic": "AI", "proficiency": 5},), level=4)
    )
    mentor, mentee = _couple("junior", "senior")
    locked = await http.put(
        f"/programmes/{PROGRAMME}/pair-locks",
        json={"mentor_id": mentor, "mentee_id": mentee, "kind": "together"},
        headers=manager(),
    )
    assert locked.status_code == 200
    await world.run()
    for rules in (None, {"stickiness": 100}):
        anew = await _dry(http, world, rules, replan=True)
        assert await _pairs_of(http, anew) == {(mentor, mentee)}
        assert anew["refused_locks"] == []
        assert (anew["certificate"]["pairs"], anew["certificate"]["gap"]) == (1, 0)
    plain = await _dry(http, world)
    assert (await _pairs_of(http, plain), plain["refused_locks"]) == (set(), [])


async def test_two_runs_are_compared(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(world.programme())
    for number in range(6):
        await world.tell(
            world.mentor(f"j{number}", level=2 + number % 2), world.mentee(f"s{number}", level=7)
        )
    pool = world.database.pool
    await pool.execute("DELETE FROM match_runs")
    await pool.execute("UPDATE employees SET department = 'one' WHERE job_level = 7")
    left = await _dry(http, world)
    right = await _dry(http, world, {"min_level_gap": 5})
    answer = await http.get(
        "/match-runs/compare",
        params={"left": left["run_id"], "right": right["run_id"]},
        headers=as_("auditor"),
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["left"]["covered"], told["right"]["covered"]) == (6, 3)
    assert (told["left"]["pairs"], told["right"]["pairs"]) == (6, 3)
    assert told["left"]["total_score"] == pytest.approx(left["certificate"]["total_score"])
    assert told["left"]["mean_score"] == pytest.approx(told["left"]["total_score"] / 6)
    assert told["left"]["worst_score"] == left["certificate"]["worst_score"]
    assert told["left"]["worst_score"] <= told["left"]["p5_score"]
    both = await _pairs_of(http, left), await _pairs_of(http, right)
    assert told["churn"] == {
        "common": len(both[0] & both[1]),
        "only_left": len(both[0] - both[1]),
        "only_right": len(both[1] - both[0]),
    }
    assert told["left"]["coverage"]["department"]["mentees"] == {"one": [6, 6]}
    assert told["right"]["coverage"]["department"]["mentees"] == {"one": [6, 3]}
    # Three mentors on each level: no group is large enough to be told alone.
    assert told["right"]["coverage"]["level"]["mentors"] == {"": [6, 3]}


async def test_runs_that_cannot_be_compared_are_refused(
    http: httpx.AsyncClient, world: World
) -> None:
    other = UUID(int=2)
    await world.tell(world.programme(), world.mentor("junior"), world.programme(other))
    await world.run()
    runs = {
        programme_id: str(run_id)
        for programme_id, run_id in await world.database.pool.fetch(
            "SELECT programme_id, run_id FROM match_runs"
        )
    }
    asked = await http.post(URL, params={"dry_run": True}, headers=manager())
    waiting = asked.json()["run_id"]
    for right, status in ((runs[other], 422), (waiting, 409), (str(UUID(int=9)), 404)):
        answer = await http.get(
            "/match-runs/compare",
            params={"left": runs[PROGRAMME], "right": right},
            headers=manager(),
        )
        assert answer.status_code == status


def test_small_groups_are_told_together_so_that_the_total_gives_nobody_away() -> None:
    groups = {"a": [9, 5], "b": [3, 1], "c": [7, 7]}
    assert shown(groups, 5) == {"a": [9, 5], "": [10, 8]}
    assert shown({"a": [9, 5], "b": [2, 1], "c": [4, 2]}, 5) == {"a": [9, 5], "": [6, 3]}
    assert shown({"a": [9, 5], "b": [7, 7]}, 5) == {"a": [9, 5], "b": [7, 7]}
    assert shown({"a": [3, 1]}, 5) == {}
    assert shown({}, 5) == {}


def test_a_department_named_others_is_not_taken_for_the_small_ones() -> None:
    groups = {"others": [9, 5], "a": [3, 1], "b": [4, 2]}
    assert shown(groups, 5) == {"others": [9, 5], "": [7, 3]}
