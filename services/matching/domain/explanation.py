"""Why somebody is left without a partner: which rule keeps how many counterparts away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.matching.domain.people import Person, Programme, Role
from services.matching.domain.rules import RULES, broken_rule

TAKEN = "capacity"
"""The reason for a counterpart who would be admissible, but is taken by others."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Somebody who is ready and has no partner; `reasons`: rule → counterparts excluded by it."""

    participant_id: UUID
    role: Role
    reasons: dict[str, int]


def reasons_by_number(counts: Sequence[int]) -> dict[str, int]:
    """Rule → count, of counts by rule number; number 0 is admissible, hence taken by others."""
    names = [TAKEN, *RULES]
    reasons: dict[str, int] = {}
    for name, count in zip(names, counts, strict=False):
        if count:
            reasons[name] = reasons.get(name, 0) + int(count)
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def unmatched(person: Person, counterparts: Sequence[Person], programme: Programme) -> Unmatched:
    """Explain one person by going through all counterparts."""
    numbers = {name: number for number, name in enumerate(RULES, start=1)}
    counts = [0] * (len(RULES) + 1)
    for other in counterparts:
        mentor, mentee = (person, other) if person.role == "mentor" else (other, person)
        rule = broken_rule(mentor, mentee, programme)
        counts[numbers[rule] if rule else 0] += 1
    return Unmatched(person.participant_id, person.role, reasons_by_number(counts))
