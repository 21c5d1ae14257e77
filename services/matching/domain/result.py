"""What a matching run found, and its form on the way from the worker."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from services.matching.domain.explanation import Unmatched
from services.matching.domain.scoring import Contribution, Fit


@dataclass(frozen=True, slots=True)
class Match:
    """Two people who are to be paired, and how well they fit."""

    mentor_id: UUID
    mentee_id: UUID
    fit: Fit


@dataclass(frozen=True, slots=True)
class Result:
    """The pairs found, best first, everybody who waits on, and the sum of scores."""

    matches: tuple[Match, ...] = ()
    unmatched: tuple[Unmatched, ...] = ()
    objective: float = 0.0


def to_json(result: Result) -> bytes:
    """The result as one line of JSON."""
    return json.dumps(asdict(result), default=str, separators=(",", ":")).encode()


def from_json(text: bytes) -> Result:
    """The result of such a line."""
    document = json.loads(text)
    return Result(
        tuple(_match(each) for each in document["matches"]),
        tuple(
            Unmatched(UUID(each["participant_id"]), each["role"], each["reasons"])
            for each in document["unmatched"]
        ),
        document["objective"],
    )


def _match(plain: dict[str, Any]) -> Match:
    found = plain["fit"]
    return Match(
        UUID(plain["mentor_id"]),
        UUID(plain["mentee_id"]),
        Fit(
            found["score"],
            tuple(Contribution(**each) for each in found["breakdown"]),
            tuple(found["topics"]),
        ),
    )
