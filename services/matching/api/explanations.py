"""The explanation of every pair and of everybody without one."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from services.matching import store
from services.matching.api.access import Anyone, unknown
from services.matching.domain.pairs import Pair
from shared.catalogue import Contribution
from shared.http import Principal, TransactionRoute, Tx

router = APIRouter(route_class=TransactionRoute, tags=["matching"])


class PairExplanation(BaseModel):
    """Why two people were brought together."""

    pair_id: UUID
    programme_id: UUID
    programme_version: int
    run_id: UUID | None
    status: str
    score: float
    breakdown: list[Contribution]
    topics: list[str]


class ParticipantExplanation(BaseModel):
    """Why somebody has no partner; `reasons`: rule → number of counterparts that it excludes."""

    participant_id: UUID
    programme_id: UUID
    role: str
    living_pairs: int
    waiting: bool
    orphaned_since: datetime | None
    run_id: UUID | None
    explained_at: datetime | None
    reasons: dict[str, int]


@router.get("/pairs/{pair_id}/explanation")
async def explain_pair(pair_id: UUID, tx: Tx, who: Anyone) -> PairExplanation:
    """What each factor added to a pair's score, in plain words."""
    found = await store.pairs(tx, [pair_id])
    pair = found[0] if found else None
    if pair is None or not _may_see(who, *_told_of(pair)):
        raise unknown("pair")
    return PairExplanation(
        pair_id=pair.pair_id,
        programme_id=pair.programme_id,
        programme_version=pair.programme_version,
        run_id=pair.run_id,
        status=pair.status,
        score=pair.score,
        breakdown=[_contribution(part) for part in pair.breakdown],
        topics=list(pair.topics),
    )


@router.get("/participants/{participant_id}/explanation")
async def explain_participant(participant_id: UUID, tx: Tx, who: Anyone) -> ParticipantExplanation:
    """Why a participant has no partner, by the newest run that left them without one."""
    row = await store.participant_row(tx, participant_id)
    if row is None or not _may_see(who, row["employee_id"]):
        raise unknown("participant")
    waiting = row["status"] == "ready" and row["living_pairs"] == 0
    reasons = dict(row["reasons"] or {}) if waiting else {}
    return ParticipantExplanation(
        participant_id=row["participant_id"],
        programme_id=row["programme_id"],
        role=row["role"],
        living_pairs=row["living_pairs"],
        waiting=waiting,
        orphaned_since=row["orphaned_since"],
        run_id=row["run_id"] if waiting else None,
        explained_at=row["explained_at"] if waiting else None,
        reasons=reasons if _sees_all(who) else _discreet(reasons),
    )


def _told_of(pair: Pair) -> tuple[str, ...]:
    """Who knows of the pair: both once it was formed, before that whoever was asked."""
    if pair.formed or pair.awaiting == "mentor":
        return (pair.mentor_employee_id, pair.mentee_employee_id)
    return (pair.mentee_employee_id,) if pair.awaiting == "mentee" else ()


def _sees_all(who: Principal) -> bool:
    return bool(who.roles & {"programme_manager", "auditor"})


def _may_see(who: Principal, *employee_ids: str) -> bool:
    return _sees_all(who) or who.employee_id in employee_ids


def _discreet(reasons: dict[str, int]) -> dict[str, int]:
    """What the person themself may know: not that somebody blocked them."""
    told = {rule: count for rule, count in reasons.items() if rule != "blocked"}
    if "blocked" in reasons:
        told["capacity"] = told.get("capacity", 0) + reasons["blocked"]
    return told


def _contribution(part: Any) -> Contribution:
    return Contribution.model_validate(part, from_attributes=True)
