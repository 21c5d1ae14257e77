"""What each may hear of a pair, of being left out, and of what a programme is short of."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.catalogue import MatchRunCompleted, PairFact, ParticipantFact
from shared.testing import published
from tests.conftest import DatabaseFor
from tests.integration.matching.http import as_, client_of, manager
from tests.integration.matching.world import PROGRAMME, World, participant_id


@pytest.fixture
async def world(database_for: DatabaseFor) -> World:
    return World(await database_for("matching"))


@pytest.fixture
def http(world: World) -> httpx.AsyncClient:
    return client_of(world)


async def _of_pair(http: httpx.AsyncClient, pair: PairFact, token: str) -> dict[str, Any]:
    answer = await http.get(f"/pairs/{pair.pair_id}/explanation", headers=as_(token))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def _of(
    http: httpx.AsyncClient, employee_id: str, token: str | None = None
) -> dict[str, Any]:
    url = f"/participants/{participant_id(employee_id)}/explanation"
    answer = await http.get(url, headers=as_(token or f"participant:{employee_id}"))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def _three(world: World) -> PairFact:
    """The pair of the junior and the senior, who could have had another mentor."""
    await world.tell(
        world.programme(),
        world.mentor("junior", interests=("chess",)),
        world.mentor("other"),
        world.mentee("senior", interests=("chess",)),
    )
    return await world.paired()


@pytest.mark.parametrize("token", ["programme_manager", "auditor"])
async def test_a_manager_hears_all_of_a_pair_and_what_else_was_possible(
    http: httpx.AsyncClient, world: World, token: str
) -> None:
    pair = await _three(world)
    told = await _of_pair(http, pair, token)
    assert told["score"] == pytest.approx(sum(part["points"] for part in told["breakdown"]))
    assert told["told"][0] == f"{pair.score:.4f} of 100 points:"
    other = told["instead_for_mentee"]
    assert other["participant_id"] == str(participant_id("other"))
    assert 0 <= other["cost"] <= pair.score - other["score"], "a bound from below"
    assert told["told"][-2].startswith(f"Next best for the mentee: {participant_id('other')}, ")
    assert told["instead_for_mentor"] is None
    assert told["told"][-1] == "No other pair is possible for the mentor."


@pytest.mark.parametrize(
    ("who", "line"),
    [
        ("junior", "What your mentee wants to learn: a strong point"),
        ("senior", "What you want to learn: a strong point"),
    ],
)
async def test_either_of_a_pair_hears_it_in_their_own_words_without_points(
    http: httpx.AsyncClient, world: World, who: str, line: str
) -> None:
    told = await _of_pair(http, await _three(world), f"participant:{who}")
    assert told["told"][0].startswith(line)
    assert told["topics"] == ["ai"]
    kept_back = ("score", "breakdown", "instead_for_mentee", "instead_for_mentor")
    assert [told[name] for name in kept_back] == [None, [], None, None]
    assert str(participant_id("other")) not in str(told)
    assert "points" not in str(told)


async def test_nobody_else_hears_of_a_pair(http: httpx.AsyncClient, world: World) -> None:
    pair = await _three(world)
    url = f"/pairs/{pair.pair_id}/explanation"
    assert (await http.get(url, headers=as_("participant:other"))).status_code == 404


async def test_when_what_a_run_found_is_no_longer_kept_a_pair_is_explained_without_it(
    http: httpx.AsyncClient, world: World
) -> None:
    pair = await _three(world)
    await world.database.pool.execute("DELETE FROM run_pairs")
    told = await _of_pair(http, pair, "programme_manager")
    assert told["told"][-1] == "Who else was possible is no longer kept."
    assert not any("No other pair" in line for line in told["told"])
    assert len(told["breakdown"]) + 2 == len(told["told"])


async def test_who_is_left_out_hears_what_of_their_own_would_serve_them(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(
        world.programme(),
        world.mentor("french", languages=("fr",)),
        world.mentee("senior"),
    )
    await world.run()
    own = await _of(http, "senior")
    assert (own["waiting"], own["living_pairs"], own["reasons"]) == (True, 0, {})
    assert own["told"] == [
        "1 without a common language",
        "With fr as one more of your languages, you would have a partner then, by way of 1 mentor.",
    ]
    (change,) = own["changes"]
    assert (change["kind"], change["after"], change["told"]) == ("language", "fr", own["told"][1])
    assert change["participant_id"] == str(participant_id("senior"))
    full = await _of(http, "senior", "programme_manager")
    assert full["reasons"] == {"no_common_language": 1}
    assert full["told"][1].startswith("With fr as one more of their languages, they would")
    answer = await http.get(
        f"/participants/{participant_id('senior')}/explanation", headers=as_("participant:french")
    )
    assert answer.status_code == 404


async def test_a_participant_hears_neither_that_they_are_blocked_nor_of_others_seats(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(
        world.programme(mentor_capacity=3),
        world.mentor("junior", capacity=1),
        world.mentor("unfriendly", blocks=("senior", "second")),
        world.mentee("senior"),
        world.mentee("second"),
    )
    await world.run()
    (pair,) = await world.pairs()
    left = {"senior", "second"} - {pair.mentee_employee_id}
    own = await _of(http, *left)
    assert "1 not possible by other rules of the programme" in own["told"]
    assert own["changes"] == []
    assert str(participant_id("junior")) not in str(own)
    full = await _of(http, *left, "programme_manager")
    assert full["reasons"] == {"blocked": 1, "capacity": 1}
    seat = full["changes"][0]
    assert (seat["kind"], seat["participant_id"]) == ("seat", str(participant_id("junior")))
    assert seat["told"].startswith(
        f"If mentor {participant_id('junior')} had 2 seats instead of 1, this mentee would have"
    )


async def test_nobody_learns_that_they_were_proposed_to_somebody_who_said_no(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"))
    await world.run()
    await world.tell(world.mentee("senior"))
    before = await _of(http, "junior")
    assert (before["waiting"], len(before["told"])) == (True, 1)
    await world.run()
    pair = await world.pair()
    assert pair.awaiting == "mentee"
    for who, living in (("junior", 0), ("senior", 1)):
        told = await _of(http, who)
        assert (told["living_pairs"], told["waiting"]) == (living, living == 0)
        told = await _of(http, who, "auditor")
        assert (told["living_pairs"], told["waiting"]) == (1, False)
    assert await _of(http, "junior") == before
    await world.answer(pair, "mentee", yes=False)
    assert await _of(http, "junior") == before


async def test_who_was_told_of_a_proposal_sees_it_counted(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.run()
    await world.answer(await world.pair(), "mentee")
    told = await _of(http, "junior")
    assert (told["living_pairs"], told["waiting"]) == (1, False)


async def test_whom_only_a_rule_of_the_programme_would_serve_hears_that_it_is_not_up_to_them(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.tell(world.employee("senior", department="dep-junior"))
    await world.run()
    assert (await _of(http, "senior"))["told"] == [
        "1 in the same department",
        "No change that you alone could make is known that would surely lead to a partner now.",
    ]
    full = await _of(http, "senior", "programme_manager")
    assert full["told"][1].startswith("If the programme allowed pairs within one department, ")


async def test_a_change_is_described_by_the_fields_of_the_profile(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    fields = document["components"]["schemas"]["ChangeTold"]["properties"]
    for name in ("working_hours", "topics_wanted", "topics_offered", "languages", "capacity"):
        assert name in ParticipantFact.model_fields
        assert f"`{name}`" in fields["field"]["description"]
    assert "midnight UTC" in fields["after"]["description"]


async def test_who_is_not_ready_hears_what_would_serve_them_until_they_are(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(
        world.programme(),
        world.mentor("junior"),
        world.mentee("senior", status="enrolled", trained_at=None, ready_at=None),
    )
    await world.run()
    own = await _of(http, "senior")
    assert (own["waiting"], [change["kind"] for change in own["changes"]]) == (False, ["training"])
    assert own["told"][0].startswith("If your training were done, you would have a partner then")
    completed = [each for each in await published(world.database)
                 if isinstance(each, MatchRunCompleted)]  # fmt: skip
    told_of = [each.participant_id for each in completed[-1].unmatched]
    assert told_of == [participant_id("junior")], "who is not ready does not wait"
    await world.tell(
        world.participant("senior", status="ready", trained_at=world.now, ready_at=world.now)
    )
    assert (await _of(http, "senior"))["changes"] == []


async def test_what_was_said_of_who_is_not_ready_is_forgotten_when_it_no_longer_holds(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(
        world.programme(),
        world.mentor("junior"),
        world.mentee("senior", status="enrolled", trained_at=None, ready_at=None),
    )
    await world.run()
    await world.tell(world.employee("junior", status="on_leave"), world.programme())
    await world.run()
    assert (await _of(http, "senior"))["changes"] == []


async def test_whoever_has_a_partner_is_told_no_reasons(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentee("senior"))
    await world.run()
    await world.tell(world.mentor("junior"))
    await world.run()
    own = await _of(http, "senior", "programme_manager")
    assert (own["waiting"], own["living_pairs"], own["reasons"]) == (False, 1, {})
    assert (own["told"], own["changes"]) == ([], [])


async def test_an_explanation_goes_with_whom_it_is_of(world: World) -> None:
    await world.tell(
        world.programme(), world.mentor("french", languages=("fr",)), world.mentee("senior")
    )
    await world.run()
    pool = world.database.pool
    assert await pool.fetchval("SELECT count(*) FROM unmatched") == 2
    await world.tell(world.employee("senior", status="left", erased=True))
    left = await pool.fetchval("SELECT array_agg(participant_id) FROM unmatched")
    assert left == [participant_id("french")]


async def test_a_run_says_what_its_programme_is_short_of(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior", capacity=1))
    for number in range(3):
        await world.tell(world.mentee(f"s{number}"))
    await world.run()
    url = f"/programmes/{PROGRAMME}/match-runs"
    (run,) = (await http.get(url, headers=manager())).json()
    topic = next(each for each in run["bottlenecks"] if each["kind"] == "topic")
    assert (topic["name"], topic["role"], topic["left_out"]) == ("ai", "mentee", 2)
    assert topic["told"].startswith("3 mentees want ai and have 3 seats")
    shown = (await http.get(f"/match-runs/{run['run_id']}", headers=as_("auditor"))).json()
    assert shown["bottlenecks"] == run["bottlenecks"]
