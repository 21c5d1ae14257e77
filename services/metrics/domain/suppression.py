"""Figures about fewer people than a programme's minimum are not published, nor can be computed.

A group is too small when it shows at least one and fewer than `minimum` people on any of its
sides. Where groups add up to a published total, the total minus the groups shown gives the figure
of all hidden groups together; so more groups are hidden, smallest first, until the hidden ones
together are not too small either (complementary suppression; Willenborg & de Waal 2001).

Groups are published for the whole programme only and months only for all people together: each
hidden figure then lies on one line of sums, which this rule closes. A table of months by groups
would lie on two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from services.metrics.domain.facts import Person, headcount

People = tuple[frozenset[Person], ...]
K = TypeVar("K")


def size(people: People) -> int:
    """How many people a figure shows, on its smaller side."""
    return min((sum(map(headcount, side)) for side in people), default=0)


def too_small(people: People, minimum: int) -> bool:
    """Whether a figure shows somebody, and on some side fewer people than the minimum."""
    return any(people) and size(people) < minimum


def hidden(groups: Mapping[K, People], minimum: int, *, add_up: bool = True) -> frozenset[K]:
    """The groups that must not be shown; `add_up`: their total is known to the reader."""
    small = {group for group, people in groups.items() if too_small(people, minimum)}
    if not add_up or not small:
        return frozenset(small)
    rest = sorted(
        (group for group, people in groups.items() if group not in small and any(people)),
        key=lambda group: (size(groups[group]), str(group)),
    )
    for group in rest:
        if not too_small(union(groups[one] for one in small), minimum):
            break
        small.add(group)
    return frozenset(small)


def union(all_people: Iterable[People]) -> People:
    """The people of several figures together, side by side."""
    sides: list[frozenset[Person]] = []
    for people in all_people:
        for position, side in enumerate(people):
            if position == len(sides):
                sides.append(frozenset())
            sides[position] |= side
    return tuple(sides)
