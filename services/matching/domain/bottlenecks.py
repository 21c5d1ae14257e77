"""What a programme as a whole is short of: topics, languages, common hours, seats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from services.matching.domain.people import Role

Shortage: TypeAlias = Literal["topic", "language", "time", "seats"]


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Something that many need of the other side and few there have."""

    kind: Shortage
    name: str
    """The topic; the languages of those concerned, with commas; their working hours in UTC, as
    09:00-17:00; empty for seats."""
    role: Role
    """Of those who need it."""
    people: int
    """Those who need it."""
    seats: int
    """Their free seats."""
    offered: int
    """Free seats, on the other side, of those who have it."""
    left_out: int
    """Of `people`, those who have no partner after the run."""
