"""What a matching run found, and its form on the way from the worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias
from uuid import UUID

from services.matching.domain.bottlenecks import Bottleneck
from services.matching.domain.changes import Change, Kind, Remedy
from services.matching.domain.explanation import Unmatched
from services.matching.domain.scoring import Contribution, Fit

Stopped: TypeAlias = Literal["proven", "gap", "time"]


@dataclass(frozen=True, slots=True)
class Alternative:
    """The next best counterpart of one side of a pair."""

    participant_id: UUID
    score: float
    cost: float | None
    """Points that the programme would lose at least by choosing it; None where somebody would be
    left without a partner for it."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two people who are to be paired, and how well they fit."""

    mentor_id: UUID
    mentee_id: UUID
    fit: Fit
    instead_for_mentee: Alternative | None = None
    instead_for_mentor: Alternative | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """How good a result is, and how good any could be; all worth in points.

    A pair is worth its score, and what the programme's floor and stickiness add to it.
    """

    objective: float
    """What the pairs are worth."""
    bound: float
    """More than this no pairs are worth that serve as many people."""
    gap: float
    """1 − objective ÷ bound; 0 is a proof, 1 where it is not even proven who can be served."""
    covered: int
    """Mentees without a partner before who have one now."""
    coverable: int
    """More than this no pairs could serve while living and locked pairs stay."""
    covered_mentors: int
    coverable_mentors: int
    pairs: int
    total_score: float
    worst_score: float | None
    rules_version: int
    input_hash: str
    asked_gap: float = 0.0
    stopped: Stopped = "proven"
    passes: int = 0
    """How often all pairs were looked at."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What one more seat of each person would bring, in units of 1/10,000 point, by participant.

    They prove the certificate's bound: see `verification`.
    """

    mentees: Mapping[UUID, int] = field(default_factory=dict)
    mentors: Mapping[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefusedLock:
    """A pair that was to be formed whatever else is, and the rule that forbids it."""

    mentor_id: UUID
    mentee_id: UUID
    rule: str


@dataclass(frozen=True, slots=True)
class Result:
    """The pairs found, best first, everybody who waits on, and the proof."""

    matches: tuple[Match, ...]
    unmatched: tuple[Unmatched, ...]
    certificate: Certificate
    prices: Prices = Prices()
    refused_locks: tuple[RefusedLock, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    """What would serve those who wait on, and those who are not ready but could be."""
    not_examined: tuple[Kind, ...] = ()
    """Changes of these kinds were not looked for: the run was too large, or is not proven."""
    bottlenecks: tuple[Bottleneck, ...] = ()
    """What the programme is short of, the worst first."""


def to_json(result: Result) -> bytes:
    """The result as one line of JSON."""
    document = _plain(result) | {
        "prices": {
            side: {str(each): price for each, price in getattr(result.prices, side).items()}
            for side in ("mentees", "mentors")
        }
    }
    return json.dumps(document, default=_plain, allow_nan=False, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    # `asdict` would copy all that is in it first.
    if isinstance(value, UUID):
        return str(value)
    return {each.name: getattr(value, each.name) for each in fields(value)}


def from_json(text: bytes) -> Result:
    """The result of such a line."""
    document = json.loads(text)
    prices = document["prices"]
    return Result(
        tuple(_match(each) for each in document["matches"]),
        tuple(
            Unmatched(UUID(each["participant_id"]), each["role"], each["reasons"])
            for each in document["unmatched"]
        ),
        Certificate(**document["certificate"]),
        Prices(_prices(prices["mentees"]), _prices(prices["mentors"])),
        tuple(
            RefusedLock(UUID(each["mentor_id"]), UUID(each["mentee_id"]), each["rule"])
            for each in document["refused_locks"]
        ),
        tuple(_remedy(each) for each in document["remedies"]),
        tuple(document["not_examined"]),
        tuple(Bottleneck(**each) for each in document["bottlenecks"]),
    )


def _prices(plain: dict[str, int]) -> dict[UUID, int]:
    return {UUID(participant_id): price for participant_id, price in plain.items()}


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
        _alternative(plain["instead_for_mentee"]),
        _alternative(plain["instead_for_mentor"]),
    )


def _remedy(plain: dict[str, Any]) -> Remedy:
    changes = tuple(
        Change(**each | {"participant_id": _uuid(each["participant_id"])})
        for each in plain["changes"]
    )
    participant_id = UUID(plain["participant_id"])
    return Remedy(**plain | {"participant_id": participant_id, "changes": changes})


def _uuid(plain: str | None) -> UUID | None:
    return None if plain is None else UUID(plain)


def _alternative(plain: dict[str, Any] | None) -> Alternative | None:
    if plain is None:
        return None
    return Alternative(UUID(plain["participant_id"]), plain["score"], plain["cost"])
