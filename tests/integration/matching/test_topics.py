from __future__ import annotations

import pytest

from services.matching import store
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


async def test_what_pairs_are_worth_is_read_from_the_programme(world: World) -> None:
    await world.tell(world.programme(score_floor=12.5, stickiness=2.5))
    async with world.database.transaction() as tx:
        programme = await store.programme(tx, PROGRAMME)
    assert programme is not None
    assert (programme.score_floor, programme.stickiness) == (12.5, 2.5)
