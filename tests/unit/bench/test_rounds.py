from __future__ import annotations

from collections.abc import Mapping

from tests.bench.figures import Series
from tests.bench.rounds import Contender, Plan, interleaved


def contender(name: str, played: list[str]) -> Contender:
    async def play(number: int) -> Mapping[str, float]:
        played.append(f"{name}{number}")
        return {name: float(number)}

    return play


async def test_rounds_are_interleaved_and_never_all_of_one_contender_first() -> None:
    played: list[str] = []
    series = {name: Series(name, "s") for name in "ab"}
    notes = await interleaved(
        {name: contender(name, played) for name in "ab"}, series, Plan(rounds=3)
    )
    assert played == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert series["a"].figures == series["b"].figures == [0, 1, 2]
    assert notes == []


async def test_when_time_is_up_every_contender_has_had_as_many_rounds() -> None:
    played: list[str] = []
    series = {name: Series(name, "s") for name in "ab"}
    plan = Plan(rounds=5, deadline=-1)
    notes = await interleaved({name: contender(name, played) for name in "ab"}, series, plan)
    assert played == ["a0", "b0"]
    assert notes == ["time was up after 1 of 5 rounds"]


async def test_progress_ends_at_the_whole() -> None:
    shares: list[float] = []
    series = {name: Series(name, "s") for name in "ab"}
    plan = Plan(rounds=2, advance=shares.append)
    await interleaved({name: contender(name, []) for name in "ab"}, series, plan)
    assert shares == [0.25, 0.5, 0.75, 1.0]
