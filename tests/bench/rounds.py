"""Interleaved rounds: every contender once, then every contender once more."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.bench.figures import Series

Contender = Callable[[int], Awaitable[Mapping[str, float]]]
"""Plays one round, of that number; returns a figure for each of its series."""


@dataclass
class Plan:
    """How much is measured, and who wants to know how far it has come."""

    rounds: int = 5
    quick: bool = False
    kafka: str = "apache"
    seconds: float = 240.0
    """After this time of a row no further round of it begins."""
    says: Callable[[str], None] = field(default=lambda _: None)
    """Told what is done now."""
    advance: Callable[[float], None] = field(default=lambda _: None)
    """Told which share of the row is done, in [0, 1]."""

    def either(self, full: int, quick: int) -> int:
        """A size: for a full run, or for a quick one."""
        return quick if self.quick else full


async def interleaved(
    contenders: Mapping[str, Contender], series: Mapping[str, Series], plan: Plan
) -> list[str]:
    """Play the rounds and add their figures to the series; returns notes for the reader.

    Each contender's figures are named like the series that they belong to.
    """
    began = time.monotonic()
    for number in range(plan.rounds):
        if number and time.monotonic() - began > plan.seconds:
            return [f"{number} rounds instead of {plan.rounds}: time was up"]
        for place, (name, play) in enumerate(contenders.items()):
            plan.says(f"round {number + 1} of {plan.rounds}: {name}")
            for figure, value in (await play(number)).items():
                series[figure].figures.append(value)
            plan.advance((number + (place + 1) / len(contenders)) / plan.rounds)
    return []
