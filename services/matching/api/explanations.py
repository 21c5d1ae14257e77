"""The explanation of every pair and of everybody without one."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from services.matching import store
from services.matching.api.access import Anyone, unknown
from services.matching.api.described import Described
from services.matching.domain.changes import Kind, Remedy
from services.matching.domain.explanation import Unmatched
from services.matching.domain.pairs import Pair
from services.matching.domain.result import Alternative
from services.matching.domain.scoring import Fit
from services.matching.domain.words import Audience, in_words, left_out_told_to, told_to
from services.matching.store import runs as run_store
from services.matching.store.runs import Alternatives
from shared.catalogue import Contribution
from shared.http import Principal, Tx, new_router

router = new_router("matching", without=(409,))


_ALTERNATIVES = 2
"""So many lines at the end of what a manager is told of a pair."""
_NOT_KEPT = "Who else was possible is no longer kept."


class PairExplanation(Described):
    """Why two people were brought together, to either of them in words alone.

    Their points tell what is kept from them: levels, waiting times, who else was possible.
    """

    pair_id: UUID
    programme_id: UUID
    programme_version: int
    run_id: UUID | None
    status: str
    topics: list[str]
    told: list[str]
    """In plain words, what matters most first."""
    score: float | None
    breakdown: list[Contribution]
    instead_for_mentee: Alternative | None
    """The mentee's next best mentor, and what choosing them would cost the programme at least."""
    instead_for_mentor: Alternative | None


class ChangeTold(Described):
    """One change with which a new run over the same people would find a partner."""

    kind: Kind
    field: str
    """What the engine calls it, which is not always what the profile does:

    - `works_from`, `works_until`: `working_hours` of the profile, which are local times of the
      profile's `timezone`;
    - `wants`: `topics_wanted`; `offers`: `topics_offered`; `languages`: `languages`;
    - `seats`: `capacity`, of the participant named by `participant_id`;
    - `consented`: `agreement_version`; `trained`: the training, once it is done;
    - `status`: the participant's break, ended by resuming; `employment`: HR's status of the person;
    - `different_department`, `min_level_gap`: rules of the programme.
    """
    before: str | int | bool | None
    """What it is; null for what is added to a list."""
    after: str | int | bool | None
    """What it would have to be: not to be written into a profile as it is.

    Of working hours minutes from midnight UTC, below 0 or above 1439 where the local day begins
    before or ends after that of UTC: move the local time by the difference of `before` and `after`.
    Of topics and languages the one to add to those there are: the usual name of the topic, the code
    of the language. Of seats the number in all, which the programme's `mentor_capacity` or
    `mentee_capacity` limits as well.
    """
    via: int
    """Counterparts who become possible by it."""
    participant_id: UUID | None
    """Whose field it is; None: the programme's."""
    told: str


class ParticipantExplanation(Described):
    """Why somebody has no partner and what would help, to themself in words and own changes alone.

    `reasons`: rule → number of counterparts that it excludes; who asks for themself must not learn
    what others did.
    """

    participant_id: UUID
    programme_id: UUID
    role: str
    living_pairs: int
    """Pairs and proposals; to a participant those alone that they were told of."""
    waiting: bool
    """Whether the person is ready and has none of these."""
    orphaned_since: datetime | None
    run_id: UUID | None
    explained_at: datetime | None
    told: list[str]
    """In plain words."""
    changes: list[ChangeTold]
    """Each alone would do; the smallest first."""
    reasons: dict[str, int]
    not_examined: list[Kind]
    """Changes of these kinds were not looked for."""


@router.get("/pairs/{pair_id}/explanation")
async def explain_pair(pair_id: UUID, tx: Tx, who: Anyone) -> PairExplanation:
    """What brought two people together, told as whoever asks may know it."""
    found = await store.pairs(tx, [pair_id])
    pair = found[0] if found else None
    if pair is None or not _may_see(who, *_told_of(pair)):
        raise unknown("pair")
    sees_all = _sees_all(who)
    instead = await run_store.alternatives(tx, pair) if sees_all else None
    return PairExplanation(
        pair_id=pair.pair_id,
        programme_id=pair.programme_id,
        programme_version=pair.programme_version,
        run_id=pair.run_id,
        status=pair.status,
        topics=list(pair.topics),
        told=_why(pair, who, instead),
        score=pair.score if sees_all else None,
        breakdown=[_contribution(part) for part in pair.breakdown] if sees_all else [],
        instead_for_mentee=instead and instead.for_mentee,
        instead_for_mentor=instead and instead.for_mentor,
    )


def _why(pair: Pair, who: Principal, instead: Alternatives | None) -> list[str]:
    fit = Fit(pair.score, pair.breakdown, pair.topics)
    if not _sees_all(who):
        return told_to("mentor" if who.employee_id == pair.mentor_employee_id else "mentee", fit)
    if instead is None:
        return [*told_to("manager", fit)[:-_ALTERNATIVES], _NOT_KEPT]
    return told_to(
        "manager",
        fit,
        instead_for_mentee=instead.for_mentee,
        instead_for_mentor=instead.for_mentor,
    )


@router.get("/participants/{participant_id}/explanation")
async def explain_participant(participant_id: UUID, tx: Tx, who: Anyone) -> ParticipantExplanation:
    """Why a participant has no partner and what would help, by the newest run that looked."""
    row = await store.participant_row(tx, participant_id)
    if row is None or not _may_see(who, row["employee_id"]):
        raise unknown("participant")
    living = await _known_living_pairs(tx, participant_id, who)
    ready = row["status"] == "ready"
    # What was said of somebody who was not ready holds until they are, and the other way round.
    holds = living == 0 and ready == (row["reasons"] is not None)
    reasons = dict(row["reasons"] or {}) if holds else {}
    remedy = run_store.remedy_of(row) if holds else None
    not_examined = list(row["not_examined"] or ()) if holds else []
    audience: Audience = "manager" if _sees_all(who) else row["role"]
    return ParticipantExplanation(
        participant_id=row["participant_id"],
        programme_id=row["programme_id"],
        role=row["role"],
        living_pairs=living,
        waiting=ready and living == 0,
        orphaned_since=row["orphaned_since"],
        run_id=row["run_id"] if holds else None,
        explained_at=row["explained_at"] if holds else None,
        told=left_out_told_to(
            audience,
            Unmatched(participant_id, row["role"], reasons) if reasons else None,
            remedy,
            not_examined,
        ),
        changes=_changes(remedy, audience),
        reasons=reasons if _sees_all(who) else {},
        not_examined=not_examined,
    )


async def _known_living_pairs(tx: Tx, participant_id: UUID, who: Principal) -> int:
    """A proposal that nobody told them of yet must not show: its end would tell who said no."""
    ids = await store.living_pairs_of_participants(tx, [participant_id])
    return sum(_may_see(who, *_told_of(pair)) for pair in await store.pairs(tx, ids))


def _changes(remedy: Remedy | None, audience: Audience) -> list[ChangeTold]:
    """The changes that somebody may know of; a participant those of their own profile."""
    if remedy is None:
        return []
    return [
        ChangeTold(
            kind=change.kind,
            field=change.field,
            before=change.before,
            after=change.after,
            via=change.via,
            participant_id=change.participant_id,
            told=in_words(change, remedy.role, audience),
        )
        for change in remedy.changes
        if audience == "manager" or change.participant_id == remedy.participant_id
    ]


def _told_of(pair: Pair) -> tuple[str, ...]:
    """Who knows of the pair: both once it was formed, before that whoever was asked."""
    if pair.formed or pair.awaiting == "mentor":
        return (pair.mentor_employee_id, pair.mentee_employee_id)
    return (pair.mentee_employee_id,) if pair.awaiting == "mentee" else ()


def _sees_all(who: Principal) -> bool:
    return bool(who.roles & {"programme_manager", "auditor"})


def _may_see(who: Principal, *employee_ids: str) -> bool:
    return _sees_all(who) or who.employee_id in employee_ids


def _contribution(part: Any) -> Contribution:
    return Contribution.model_validate(part, from_attributes=True)
