from __future__ import annotations

from typing import Any

import pytest

from services.matching import store
from services.matching.near import Embeddings
from tests.conftest import DatabaseFor
from tests.integration.matching.world import PROGRAMME, World


@pytest.fixture
async def world(database_for: DatabaseFor) -> World:
    return World(await database_for("matching"))


async def _pair_of(world: World, offered: str, wanted: str) -> tuple[tuple[str, ...], str]:
    """Topics and the telling of a pair that has been checked anew after it was proposed."""
    await world.tell(
        world.programme(),
        world.mentor("junior", topics_offered=({"topic": offered, "proficiency": 4},)),
        world.mentee("senior", topics_wanted=({"topic": wanted},)),
    )
    await world.run()
    await world.tell(world.participant("senior", interests=("chess",)))
    pair = await world.pair()
    assert pair.status == "proposed"
    return pair.topics, pair.breakdown[0].detail


async def test_people_are_paired_by_what_their_words_mean(world: World) -> None:
    assert await _pair_of(world, "Maschinelles  Lernen", "ML") == (
        ("machine learning",),
        "1 of 1 topics that the mentee wants: machine learning (offered as maschinelles lernen)",
    )


async def test_a_narrower_topic_is_offered_to_whom_wants_the_broader_one(world: World) -> None:
    assert await _pair_of(world, "pandas", "Python") == (
        ("python",),
        "1 of 1 topics that the mentee wants: python (offered as pandas)",
    )


async def test_words_that_nobody_knows_bring_people_together_by_nearness(world: World) -> None:
    topics, told = await _pair_of(world, "negotiating contracts", "Negotiation")
    assert topics == ("negotiation",)
    assert "negotiation (negotiating contracts is taken as near to it, " in told
    assert told.endswith(" %)")


async def _near_pair(world: World) -> None:
    """Two people who are brought together by nearness; it is not to be asked about ever after."""
    await world.tell(
        world.programme(),
        world.mentor("junior", topics_offered=({"topic": "negotiating contracts"},)),
        world.mentee("senior", topics_wanted=({"topic": "Negotiation"},)),
    )


async def test_only_a_run_looks_for_what_words_are_near_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("asked for nearness outside of a run")

    async def solve_alone(*given: Any) -> None:
        await world.solve(*given)
        monkeypatch.setattr(Embeddings, "__call__", never)

    await _near_pair(world)
    await world.run(solve_alone)
    await world.tell(world.employee("senior", department="elsewhere"))
    for by in ("mentee", "mentor"):
        await world.answer(await world.pair(), by)
    assert (await world.pair()).status == "active"


async def test_a_proposal_ends_when_what_was_near_is_no_longer_offered(world: World) -> None:
    await _near_pair(world)
    await world.run()
    assert (await world.pair()).status == "proposed"
    await world.tell(world.participant("junior", topics_offered=({"topic": "chess"},)))
    assert (await world.pair()).status == "expired"


async def test_a_pair_found_by_nearness_is_dropped_when_the_word_is_gone_before_it_is_proposed(
    world: World,
) -> None:
    async def changed_meanwhile(*given: Any) -> None:
        await world.solve(*given)
        await world.tell(world.participant("junior", topics_offered=({"topic": "chess"},)))

    await _near_pair(world)
    await world.run(changed_meanwhile)
    assert await world.pairs() == []
    assert await world.database.pool.fetchval("SELECT fate FROM run_pairs") == "no_wanted_topic"


async def test_what_pairs_are_worth_is_read_from_the_programme(world: World) -> None:
    await world.tell(world.programme(score_floor=12.5, stickiness=2.5))
    async with world.database.transaction() as tx:
        programme = await store.programme(tx, PROGRAMME)
    assert programme is not None
    assert (programme.score_floor, programme.stickiness) == (12.5, 2.5)
