"""Interleaved rounds: every contender once, then every contender once more."""

from __future__ import annotations

import math
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
    deadline: float = math.inf
    """No round begins, but the first, that would end after this moment of `time.monotonic`."""
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
    longest = 0.0
    for number in range(plan.rounds):
        began = time.monotonic()
        if number and began + longest > plan.deadline:
            return [f"time was up after {number} of {plan.rounds} rounds"]
        for place, (name, play) in enumerate(contenders.items()):
            plan.says(f"round {number + 1} of {plan.rounds}: {name}")
            for figure, value in (await play(number)).items():
                series[figure].figures.append(value)
            plan.advance((number + (place + 1) / len(contenders)) / plan.rounds)
        longest = max(longest, time.monotonic() - began)
    return []
