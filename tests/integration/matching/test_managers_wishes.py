"""What a manager wants of pairs: locks, and the review of what a run found."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from services.matching import jobs
from shared.catalogue import MatchRunCompleted
from shared.testing import published
from tests.conftest import DatabaseFor
from tests.integration.matching.http import as_, client_of, manager
from tests.integration.matching.world import PROGRAMME, World, participant_id

LOCKS = f"/programmes/{PROGRAMME}/pair-locks"
RUNS = f"/programmes/{PROGRAMME}/match-runs"


@pytest.fixture
async def world(database_for: DatabaseFor) -> World:
    return World(await database_for("matching"))


@pytest.fixture
def http(world: World) -> httpx.AsyncClient:
    return client_of(world)


def _couple(mentor: str, mentee: str) -> dict[str, str]:
    return {
        "mentor_id": str(participant_id(mentor)),
        "mentee_id": str(participant_id(mentee)),
    }


async def _lock(http: httpx.AsyncClient, mentor: str, mentee: str, kind: str) -> httpx.Response:
    return await http.put(LOCKS, json=_couple(mentor, mentee) | {"kind": kind}, headers=manager())


async def _names(world: World) -> set[tuple[str, str]]:
    return {(pair.mentor_employee_id, pair.mentee_employee_id) for pair in await world.pairs()}


async def _two_by_two(world: World) -> None:
    """`good` fits both mentees better than `fair` does; each is to get one of them."""
    expert = ({"topic": "AI", "proficiency": 5},)
    await world.tell(
        world.programme(mentor_capacity=1),
        world.mentor("good", topics_offered=expert, level=4),
        world.mentor("fair"),
        world.mentee("anna", interests=("chess", "tea"), timezone="UTC"),
        world.mentee("bert"),
    )
    await world.tell(world.participant("good", interests=("chess", "tea")))


async def test_two_who_are_locked_together_are_paired_by_the_next_run(
    http: httpx.AsyncClient, world: World
) -> None:
    await _two_by_two(world)
    assert (await _lock(http, "fair", "anna", "together")).status_code == 200
    await world.run()
    assert await _names(world) == {("fair", "anna"), ("good", "bert")}
    run = (await http.get(RUNS, headers=manager())).json()[0]
    assert run["refused_locks"] == []


async def test_a_lock_that_no_rule_allows_is_told_with_the_rule(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("peer", level=2))
    await _lock(http, "junior", "peer", "together")
    await world.run()
    assert await world.pairs() == []
    run = (await http.get(RUNS, headers=manager())).json()[0]
    assert run["refused_locks"] == [_couple("junior", "peer") | {"rule": "level_gap"}]


async def test_a_lock_on_a_living_pair_is_no_complaint_of_each_run(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.two()
    world.later(hours=1)
    await _lock(http, "junior", "senior", "together")
    await world.run()
    run = (await http.get(RUNS, headers=manager())).json()[0]
    assert (run["trigger"], run["refused_locks"]) == ("lock_changed", [])


async def test_two_who_are_locked_apart_are_not_paired_until_it_is_taken_off(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    assert (await _lock(http, "junior", "senior", "apart")).status_code == 200
    await world.run()
    assert await world.pairs() == []
    url = f"/participants/{participant_id('senior')}/explanation"
    told = (await http.get(url, headers=as_("participant:senior"))).json()
    assert told["told"][0] == "1 not possible by other rules of the programme"
    assert told["reasons"] == {}
    gone = await http.delete(LOCKS, params=_couple("junior", "senior"), headers=manager())
    assert gone.status_code == 204
    await world.run()
    assert await _names(world) == {("junior", "senior")}


async def test_a_lock_apart_that_comes_while_a_run_solves_holds(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))

    async def locked_meanwhile(*given: Any) -> None:
        await world.solve(*given)
        await _lock(http, "junior", "senior", "apart")

    await world.run(locked_meanwhile)
    assert await world.pairs() == []
    fate = await world.database.pool.fetchval("SELECT fate FROM run_pairs")
    assert fate == "blocked"


async def test_who_locked_whom_is_kept(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    for kind in ("together", "together", "apart"):
        await _lock(http, "junior", "senior", kind)
    shown = (await http.get(LOCKS, headers=as_("auditor"))).json()
    assert [each["kind"] for each in shown["locks"]] == ["apart"]
    await http.delete(LOCKS, params=_couple("junior", "senior"), headers=manager())
    await http.delete(LOCKS, params=_couple("junior", "senior"), headers=manager())
    shown = (await http.get(LOCKS, headers=as_("auditor"))).json()
    assert shown["locks"] == []
    assert [each["kind"] for each in shown["log"]] == [None, "apart", "together"]
    assert {each["set_by"] for each in shown["log"]} == {"programme_manager"}


async def test_locks_that_make_no_sense_are_refused(http: httpx.AsyncClient, world: World) -> None:
    await world.two()
    assert (await _lock(http, "junior", "senior", "apart")).status_code == 409
    for mentor, mentee, field in (
        ("senior", "junior", "mentor_id"),
        ("junior", "nobody", "mentee_id"),
    ):
        answer = await _lock(http, mentor, mentee, "together")
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert (await _lock(http, "junior", "senior", "married")).status_code == 422
    for token in ("auditor", "participant:junior"):
        answer = await http.put(
            LOCKS, json=_couple("junior", "senior") | {"kind": "together"}, headers=as_(token)
        )
        assert answer.status_code == 403


async def _reviewed(http: httpx.AsyncClient, world: World) -> str:
    asked = await http.post(RUNS, params={"review": True}, headers=manager())
    await world.run()
    run_id: str = asked.json()["run_id"]
    return run_id


async def _approve(http: httpx.AsyncClient, run_id: str, **said: Any) -> httpx.Response:
    return await http.post(f"/match-runs/{run_id}/approval", json=said, headers=manager())


async def _pairs_of(http: httpx.AsyncClient, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        await http.get(f"/match-runs/{run_id}/pairs", headers=manager())
    ).json()
    return found


async def test_pairs_in_review_wait_for_a_manager_who_approves_all(
    http: httpx.AsyncClient, world: World
) -> None:
    await _two_by_two(world)
    run_id = await _reviewed(http, world)
    assert await world.pairs() == []
    drafts = await _pairs_of(http, run_id)
    assert [each["fate"] for each in drafts] == [None, None]
    for each in drafts:
        assert each["score"] == pytest.approx(sum(part["points"] for part in each["breakdown"]))
        assert each["instead_for_mentee"]["cost"] >= 0
    answer = await _approve(http, run_id)
    assert (answer.status_code, answer.json()["rejected"]) == (202, 0)
    await world.run()
    assert len(await world.pairs()) == 2
    drafts = await _pairs_of(http, run_id)
    assert [each["fate"] for each in drafts] == ["proposed", "proposed"]
    assert {each["pair_id"] for each in drafts} == {
        str(pair.pair_id) for pair in await world.pairs()
    }
    (completed,) = [e for e in await published(world.database) if isinstance(e, MatchRunCompleted)]
    assert (completed.proposed, completed.gap) == (2, 0)
    assert (await _approve(http, run_id)).status_code == 409


@pytest.mark.parametrize(
    ("approval", "status", "awaiting"),
    [("manager", "active", None), ("both", "proposed", "mentee"), ("automatic", "active", None)],
)
async def test_a_manager_who_approved_a_draft_is_not_asked_again(
    http: httpx.AsyncClient, world: World, approval: str, status: str, awaiting: str | None
) -> None:
    await world.tell(
        world.programme(approval=approval), world.mentor("junior"), world.mentee("senior")
    )
    run_id = await _reviewed(http, world)
    await _approve(http, run_id)
    await world.run()
    pair = await world.pair()
    assert (pair.status, pair.awaiting) == (status, awaiting)


async def test_some_are_approved_and_the_others_decided_anew_with_other_partners(
    http: httpx.AsyncClient, world: World
) -> None:
    await _two_by_two(world)
    await world.tell(world.mentor("third"))
    run_id = await _reviewed(http, world)
    first, second = await _pairs_of(http, run_id)
    answer = await _approve(
        http,
        run_id,
        approved=[{key: first[key] for key in ("mentor_id", "mentee_id")}],
        again=True,
    )
    assert answer.json()["rejected"] == 1
    await world.run()
    assert len(await world.pairs()) == 1
    await world.run()
    (anew,) = await _pairs_of(http, answer.json()["next_run_id"])
    assert anew["mentee_id"] == second["mentee_id"]
    assert anew["mentor_id"] != second["mentor_id"]
    assert len(await world.pairs()) == 1, "these wait for the manager too"


async def test_what_no_longer_holds_at_approval_is_told_with_its_rule(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    run_id = await _reviewed(http, world)
    await world.tell(world.employee("junior", manager_id="senior"))
    await _approve(http, run_id)
    await world.run()
    assert await world.pairs() == []
    assert [each["fate"] for each in await _pairs_of(http, run_id)] == ["reporting_line"]


async def test_nobody_whose_pair_is_in_review_is_paired_by_another_run(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    run_id = await _reviewed(http, world)
    await world.tell(world.mentor("late"))
    await world.run()
    assert await world.pairs() == []
    cancelled = await http.post(f"/match-runs/{run_id}/cancel", headers=manager())
    assert cancelled.json()["state"] == "cancelled"
    await http.post(RUNS, headers=manager())
    await world.run()
    assert len(await world.pairs()) == 1


async def test_a_review_that_nobody_sees_to_is_over_in_the_end(
    http: httpx.AsyncClient, world: World
) -> None:
    chess = ("chess",)
    await world.tell(
        world.programme(proposal_expiry_days=10),
        world.mentor("junior", interests=chess),
        world.mentee("senior", interests=chess),
    )
    run_id = await _reviewed(http, world)
    world.later(days=9)
    await jobs.cancel_forgotten_reviews(world.database)
    assert (await _approve(http, run_id, approved=[], again=False)).status_code == 202
    await world.tell(world.mentor("other"), world.mentee("guest"))
    await world.run()
    run_id = await _reviewed(http, world)
    drafts = await _pairs_of(http, run_id)
    assert drafts[0].items() >= _couple("junior", "senior").items(), "brought up again"
    world.later(days=11)
    await jobs.cancel_forgotten_reviews(world.database)
    assert (await _approve(http, run_id)).status_code == 409
    await world.run()
    assert await _names(world) == {("other", "senior"), ("junior", "guest")}, "but not approved"


async def test_whom_a_manager_rejected_no_run_pairs_that_nobody_reviews(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    for attempt in range(2):
        # Asked for afresh, a review may bring them up again.
        run_id = await _reviewed(http, world)
        assert len(await _pairs_of(http, run_id)) == 1, f"review {attempt}"
        await _approve(http, run_id, approved=[])
        await world.tell(world.participant("senior", interests=(f"tea {attempt}",)))
        await world.run()
        assert await _proposed_now(http, world) == 0
    assert await world.pairs() == []
    assert await _dry_pairs(http, world) == 0
    assert (await _lock(http, "junior", "senior", "together")).status_code == 200
    await world.run()
    assert await _names(world) == {("junior", "senior")}
    await http.delete(LOCKS, params=_couple("junior", "senior"), headers=manager())
    await world.run()
    assert await _dry_pairs(http, world, replan=True) == 1, "they live: the rejection is over"


async def _proposed_now(http: httpx.AsyncClient, world: World) -> int:
    """How many pairs a run that nobody reviews proposes now."""
    run = await _completed(http, world)
    proposed: int = run["proposed"]
    return proposed


async def _dry_pairs(http: httpx.AsyncClient, world: World, **options: bool) -> int:
    run = await _completed(http, world, dry_run=True, **options)
    return len(await _pairs_of(http, run["run_id"]))


async def _completed(http: httpx.AsyncClient, world: World, **options: bool) -> dict[str, Any]:
    asked = await http.post(RUNS, params=options, headers=manager())
    await world.run()
    shown = await http.get(f"/match-runs/{asked.json()['run_id']}", headers=manager())
    run: dict[str, Any] = shown.json()
    assert run["state"] == "completed"
    return run


async def test_a_couple_that_was_rejected_once_is_free_when_a_later_review_approves_it(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await _approve(http, await _reviewed(http, world), approved=[])
    await world.run()
    world.later(hours=1)
    run_id = await _reviewed(http, world)
    await _approve(http, run_id)
    await world.tell(world.employee("junior", status="on_leave"))
    await world.run()
    assert [each["fate"] for each in await _pairs_of(http, run_id)] == ["not_active"]
    await world.tell(world.employee("junior", status="active"))
    assert await _proposed_now(http, world) == 1


async def test_a_review_again_brings_up_nobody_who_was_rejected_before(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(
        world.programme(),
        world.mentor("junior", level=5),
        world.mentor("other", level=4),
        world.mentee("senior"),
    )
    run_id, seen = await _reviewed(http, world), []
    while drafts := await _pairs_of(http, run_id):
        seen += [draft["mentor_id"] for draft in drafts]
        assert len(seen) <= 2, "a couple is brought up again"
        answer = await _approve(http, run_id, approved=[], again=True)
        await world.run()
        await world.run()
        run_id = answer.json()["next_run_id"]
    assert sorted(seen) == sorted(str(participant_id(name)) for name in ("junior", "other"))


async def test_a_rejection_takes_the_lock_off_that_held_the_two_together(
    http: httpx.AsyncClient, world: World
) -> None:
    await _two_by_two(world)
    await _lock(http, "fair", "anna", "together")
    run_id = await _reviewed(http, world)
    await _lock(http, "good", "bert", "apart")
    await _approve(http, run_id, approved=[])
    await world.run()
    assert await _proposed_now(http, world) == 2
    assert await _names(world) == {("good", "anna"), ("fair", "bert")}
    shown = (await http.get(LOCKS, headers=as_("auditor"))).json()
    assert [each["kind"] for each in shown["locks"]] == ["apart"]
    assert [each["kind"] for each in shown["log"]] == [None, "apart", "together"]
    assert shown["log"][0]["set_by"] == "programme_manager"


async def test_two_who_wait_in_a_review_are_not_paired_by_other_seats_of_theirs(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(
        world.programme(mentor_capacity=2, mentee_capacity=2),
        world.mentor("junior", capacity=2),
        world.mentee("senior", capacity=2),
    )
    run_id = await _reviewed(http, world)
    assert await _proposed_now(http, world) == 0
    await _approve(http, run_id, approved=[])
    await world.run()
    assert await world.pairs() == []


async def test_pairs_that_a_run_did_not_find_cannot_be_approved(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    run_id = await _reviewed(http, world)
    answer = await _approve(http, run_id, approved=[_couple("junior", "nobody")])
    assert answer.status_code == 422
    assert str(participant_id("nobody")) in answer.json()["detail"]
    assert (await _approve(http, str(UUID(int=9)))).status_code == 404
    forbidden = await http.post(f"/match-runs/{run_id}/approval", json={}, headers=as_("auditor"))
    assert forbidden.status_code == 403


async def test_an_approval_sent_twice_acts_once(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    run_id = await _reviewed(http, world)
    key = manager() | {"Idempotency-Key": "once"}
    answers = [
        await http.post(f"/match-runs/{run_id}/approval", json={}, headers=key) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    await world.run()
    assert len(await world.pairs()) == 1
